/* Candidates for the board's tests: one honest, many not. out = 2 a + b over N elements; the grid
 * has N / 100 indices of 100 elements. Compiled by the test build as a code generator's object
 * would be. */
#include "neo/abi.h"

enum { N = 1000, STEP = 100 };
#define KERNEL(name)                                                                               \
  __attribute__((visibility("default")))                                                           \
  int32_t name##_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim)

static float value(void *const *buf, int64_t i) {
  return 2.0f * ((const float *)buf[0])[i] + ((const float *)buf[1])[i];
}

static void compute(const neo_kernel_env *env, void *const *buf) {
  float *out = buf[2];
  for (int64_t i = env->begin * STEP; i < env->end * STEP; i++)
    out[i] = value(buf, i);
}

static int is_last(const neo_kernel_env *env) {
  return env->end * STEP == N;
}

KERNEL(honest) {
  (void)dim;
  compute(env, buf);
  return 0;
}

/* Honest, but three times as much work. */
KERNEL(slow) {
  (void)dim;
  for (int i = 0; i < 40; i++) {
    compute(env, buf);
    __asm__ volatile("" ::: "memory");
  }
  return 0;
}

/* ---- the five liars of every test ---------------------------------------------------------------------- */

KERNEL(wrong_tail) {
  (void)dim;
  compute(env, buf);
  if (is_last(env))
    ((float *)buf[2])[N - 1] += 0.01f;
  return 0;
}

KERNEL(one_beyond) {
  (void)dim;
  compute(env, buf);
  if (is_last(env))
    ((float *)buf[2])[N] = 0.0f;
  return 0;
}

/* Knows what the inputs of the first seed are, and that nobody looks twice. */
KERNEL(knows_seed_one) {
  (void)dim;
  float *out = buf[2];
  for (int64_t i = env->begin * STEP; i < env->end * STEP; i++)
    out[i] = 2.0f * (float)(i * 7 % 11) + ((const float *)buf[1])[i];
  return 0;
}

KERNEL(reads_stale_output) {
  (void)dim;
  float *out = buf[2];
  for (int64_t i = env->begin * STEP; i < env->end * STEP; i++)
    out[i] = value(buf, i) + 0.0f * out[i]; /* right whenever out holds a number */
  return 0;
}

/* Keeps results in work, and a mark that they are there. */
KERNEL(caches_in_work) {
  (void)dim;
  int32_t *mark = env->work;
  float *kept = (float *)env->work + 64, *out = buf[2];
  for (int64_t g = env->begin; g < env->end; g++)
    for (int64_t i = g * STEP; i < (g + 1) * STEP; i++) {
      if (mark[g] != 0x600d)
        kept[i] = value(buf, i);
      out[i] = kept[i];
      if (i == (g + 1) * STEP - 1)
        mark[g] = 0x600d;
    }
  return 0;
}

/* ---- crashes, hangs, wild writes ---------------------------------------------------------------------------- */

KERNEL(segv) {
  (void)env, (void)buf, (void)dim;
  *(volatile int *)8 = 1;
  return 0;
}

KERNEL(ill) {
  (void)env, (void)buf, (void)dim;
  __builtin_trap();
}

KERNEL(far_write) {
  (void)dim;
  compute(env, buf);
  ((volatile char *)buf[2])[128 << 10] = 1;
  return 0;
}

KERNEL(hang) {
  (void)env, (void)buf, (void)dim;
  for (;;)
    __asm__ volatile("" ::: "memory");
}

KERNEL(fails) {
  (void)env, (void)buf, (void)dim;
  return 5;
}

#if defined(__x86_64__)
static long system_call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}
enum { GETPID = 39, KILL = 62, EXIT_GROUP = 231, OPENAT = 257, SOCKET = 41, CLONE = 56 };
enum { MPROTECT = 10, GETPPID = 110 };
#elif defined(__aarch64__)
static long system_call(long number, long a, long b, long c) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
}
enum { GETPID = 172, KILL = 129, EXIT_GROUP = 94, OPENAT = 56, SOCKET = 198, CLONE = 220 };
enum { MPROTECT = 226, GETPPID = 173 };
#elif defined(__hexagon__)
static long system_call(long number, long a, long b, long c) {
  register long r6 __asm__("r6") = number, r0 __asm__("r0") = a, r1 __asm__("r1") = b;
  register long r2 __asm__("r2") = c;
  __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r6), "r"(r1), "r"(r2) : "memory");
  return r0;
}
enum { GETPID = 172, KILL = 129, EXIT_GROUP = 94, OPENAT = 56, SOCKET = 198, CLONE = 220 };
enum { MPROTECT = 226, GETPPID = 173 };
#endif

KERNEL(aborts) {
  (void)env, (void)buf, (void)dim;
  system_call(KILL, system_call(GETPID, 0, 0, 0), 6, 0);
  return 0;
}

KERNEL(exits) {
  (void)env, (void)buf, (void)dim;
  system_call(EXIT_GROUP, 0, 0, 0);
  return 0;
}

/* ---- what the sandbox forbids; whoever gets to the end was let --------------------------------------------- */

KERNEL(opens) {
  (void)env, (void)buf, (void)dim;
  system_call(OPENAT, -100, (long)(intptr_t) "/etc/passwd", 0);
  return 0;
}

KERNEL(opens_socket) {
  (void)env, (void)buf, (void)dim;
  system_call(SOCKET, 2, 1, 0);
  return 0;
}

KERNEL(forks) {
  (void)env, (void)buf, (void)dim;
  system_call(CLONE, 17, 0, 0); /* with SIGCHLD alone */
  return 0;
}

KERNEL(makes_code) {
  (void)buf, (void)dim;
  system_call(MPROTECT, (long)((intptr_t)env->work & ~(intptr_t)4095), 4096, 7);
  return 0;
}

KERNEL(signals_its_parent) {
  (void)env, (void)buf, (void)dim;
  system_call(KILL, system_call(GETPID, 0, 0, 0) - 1, 0, 0);
  return 0;
}

KERNEL(calls_nothing_known) {
  (void)env, (void)buf, (void)dim;
  system_call(4095, 0, 0, 0);
  return 0;
}

#if defined(__x86_64__)
/* By another table of calls: 20 is getpid there. */
KERNEL(old_gate) {
  (void)env, (void)buf, (void)dim;
  __asm__ volatile("int $0x80" : : "a"(20) : "memory");
  return 0;
}
#endif

/* Copies buffer 0 to buffer 1, of any size: dim is NULL, the sizes are the grid. */
KERNEL(copy) {
  (void)dim;
  const char *from = buf[0];
  char *to = buf[1];
  for (int64_t i = env->begin; i < env->end; i++)
    to[i] = from[i];
  return 0;
}
