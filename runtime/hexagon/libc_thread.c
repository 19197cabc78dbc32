/* Threads by clone and futex.
 *
 * A thread's own data is what the register UGP points to; a thread that is ours sets it before
 * anything else. It lies at the top of its stack, which who joins gives back: when the thread is
 * gone the system clears its `alive` and wakes who waits there. Mutexes are those of U. Drepper,
 * "Futexes Are Tricky", the second one; a condition counts its signals, and who waits sleeps while
 * the count is what it was when the mutex was still held. */
#include "runtime/hexagon/libc.h"

#include <stdatomic.h>

enum {
  SYS_EXIT = 93,
  SYS_FUTEX = 98,
  SYS_CLONE = 220,
  FUTEX_WAIT = 0,
  FUTEX_WAKE = 1,
  STACK = 1 << 20,
  GUARD = 1 << 16, /* a page of its Linux: below, so that a stack that is too small is a signal */
  /* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, CHILD_CLEARTID */
  SHARE_ALL = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x200000,
};

struct neo_libc_thread {
  int error;
  int alive;
  void *map; /* guard and stack */
  void *(*start)(void *);
  void *self, *value;
};

/* ---- the thread's own ---------------------------------------------------------------------------- */

static void set_own(pthread_t thread) {
  __asm__ volatile("ugp = %0" ::"r"(thread));
}

int *neo_libc_errno(void) {
  pthread_t own;
  __asm__("%0 = ugp" : "=r"(own));
  return &own->error;
}

void neo_libc_thread_first(void) {
  static struct neo_libc_thread first;
  set_own(&first);
}

/* ---- beginning and end --------------------------------------------------------------------------- */

/* The system's clone, with r0 to r4 as they are. A child begins with two words on its stack, a
 * function that does not return and its argument. */
long neo_libc_clone(long flags, void *stack, void *parent, void *child, void *no_tls);
__asm__(".globl neo_libc_clone\n"
        ".type neo_libc_clone, @function\n"
        "neo_libc_clone:\n"
        "  { r6 = #220 }\n"
        "  { trap0(#1) }\n"
        "  { p0 = cmp.eq(r0, #0) }\n"
        "  { if (!p0) jumpr r31 }\n"
        "  { r1 = memw(r29 + #0); r0 = memw(r29 + #4) }\n"
        "  { callr r1 }\n");

static void run_thread(pthread_t thread) {
  set_own(thread);
  thread->value = thread->start(thread->self);
  const neo_libc_call end = {SYS_EXIT, {0}};
  neo_libc_system(&end);
}

int pthread_create(pthread_t *out, const void *no_attributes, void *(*start)(void *), void *self) {
  enum { TOP = 64 };
  (void)no_attributes;
  char *map = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED)
    return errno;
  if (mprotect(map, GUARD, PROT_NONE) != 0) {
    int error = errno;
    munmap(map, GUARD + STACK);
    return error;
  }
  char *stack = map + GUARD;
  pthread_t thread = (pthread_t)(stack + STACK - TOP);
  *thread = (struct neo_libc_thread){.alive = 1, .map = map, .start = start, .self = self};
  void **top = (void **)(stack + STACK - 2 * TOP);
  top[0] = (void *)(uintptr_t)run_thread;
  top[1] = thread;
  long id = neo_libc_clone(SHARE_ALL, top, NULL, &thread->alive, NULL);
  if (id < 0) {
    munmap(map, GUARD + STACK);
    return (int)-id;
  }
  *out = thread;
  return 0;
}

/* ---- waiting ------------------------------------------------------------------------------------- */

/* Sleeps while *word is `value`, or shorter. */
static void futex_wait(int *word, int value) {
  const neo_libc_call call = {SYS_FUTEX, {NEO_LIBC_WORD(word), FUTEX_WAIT, value}};
  neo_libc_system(&call);
}

static void futex_wake(int *word, int n) {
  const neo_libc_call call = {SYS_FUTEX, {NEO_LIBC_WORD(word), FUTEX_WAKE, n}};
  neo_libc_system(&call);
}

static int load(int *word) {
  return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

int pthread_join(pthread_t thread, void **value) {
  while (load(&thread->alive))
    futex_wait(&thread->alive, 1);
  if (value)
    *value = thread->value;
  munmap(thread->map, GUARD + STACK);
  return 0;
}

int pthread_mutex_init(pthread_mutex_t *mutex, const void *no_attributes) {
  (void)no_attributes;
  mutex->state = 0;
  return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex) {
  (void)mutex;
  return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
  int is = 0;
  if (__atomic_compare_exchange_n(&mutex->state, &is, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    return 0;
  while (__atomic_exchange_n(&mutex->state, 2, __ATOMIC_SEQ_CST) != 0)
    futex_wait(&mutex->state, 2);
  return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  if (__atomic_exchange_n(&mutex->state, 0, __ATOMIC_SEQ_CST) == 2)
    futex_wake(&mutex->state, 1);
  return 0;
}

int pthread_cond_init(pthread_cond_t *cond, const void *no_attributes) {
  (void)no_attributes;
  cond->signals = 0;
  return 0;
}

int pthread_cond_destroy(pthread_cond_t *cond) {
  (void)cond;
  return 0;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex) {
  int before = load(&cond->signals);
  pthread_mutex_unlock(mutex);
  futex_wait(&cond->signals, before);
  return pthread_mutex_lock(mutex);
}

static int wake(pthread_cond_t *cond, int n) {
  __atomic_fetch_add(&cond->signals, 1, __ATOMIC_SEQ_CST);
  futex_wake(&cond->signals, n);
  return 0;
}

int pthread_cond_signal(pthread_cond_t *cond) {
  return wake(cond, 1);
}

int pthread_cond_broadcast(pthread_cond_t *cond) {
  return wake(cond, INT32_MAX);
}
