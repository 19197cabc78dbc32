/* The system's calls: "trap0(#1)" with the number in r6, arguments in r0 to r5, the answer in r0.
 *
 * The numbers are those of asm-generic/unistd.h for 32-bit processors, of calls with 64-bit times
 * where there are such. */
#include "runtime/hexagon/libc.h"

enum {
  SYS_OPENAT = 56,
  SYS_CLOSE = 57,
  SYS_PIPE2 = 59,
  SYS_LLSEEK = 62,
  SYS_READ = 63,
  SYS_WRITE = 64,
  SYS_FSTAT64 = 80,
  SYS_EXIT_GROUP = 94,
  SYS_SCHED_SETAFFINITY = 122,
  SYS_SCHED_GETAFFINITY = 123,
  SYS_KILL = 129,
  SYS_RT_SIGACTION = 134,
  SYS_SETPGID = 154,
  SYS_PRCTL = 167,
  SYS_GETCPU = 168,
  SYS_GETPID = 172,
  SYS_SYSINFO = 179,
  SYS_SENDTO = 206,
  SYS_MUNMAP = 215,
  SYS_CLONE = 220,
  SYS_MMAP2 = 222,
  SYS_MPROTECT = 226,
  SYS_MADVISE = 233,
  SYS_WAIT4 = 260,
  SYS_PRLIMIT64 = 261,
  SYS_CLOCK_GETTIME64 = 403,
  SYS_CLOCK_NANOSLEEP64 = 407,
  SYS_PPOLL64 = 414,
  THIS_FOLDER = -100,
  SIGNAL_CHILD = 17,
  SIGNAL_SET_BYTES = 8,
  SA_RESTART = 0x10000000,
  AUXILIARY_PAGE_SIZE = 6,
};

long neo_libc_system(const neo_libc_call *call) {
  register long r0 __asm__("r0") = call->word[0];
  register long r1 __asm__("r1") = call->word[1];
  register long r2 __asm__("r2") = call->word[2];
  register long r3 __asm__("r3") = call->word[3];
  register long r4 __asm__("r4") = call->word[4];
  register long r5 __asm__("r5") = call->word[5];
  register long r6 __asm__("r6") = call->number;
  __asm__ volatile("trap0(#1)"
                   : "+r"(r0)
                   : "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5), "r"(r6)
                   : "memory");
  return r0;
}

/* -1 and errno for an error. */
static long checked(neo_libc_call call) {
  enum { MOST_ERRORS = 4095 };
  long answer = neo_libc_system(&call);
  if (answer >= 0 || answer < -MOST_ERRORS)
    return answer;
  errno = (int)-answer;
  return -1;
}

#define CALL(number, ...) checked((neo_libc_call){number, {__VA_ARGS__}})
#define WORD NEO_LIBC_WORD

/* ---- files --------------------------------------------------------------------------------------- */

int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  long mode = flags & O_CREAT ? va_arg(args, int) : 0;
  va_end(args);
  return (int)CALL(SYS_OPENAT, THIS_FOLDER, WORD(path), flags, mode);
}

int close(int fd) {
  return (int)CALL(SYS_CLOSE, fd);
}

ssize_t read(int fd, void *data, size_t size) {
  return CALL(SYS_READ, fd, WORD(data), (long)size);
}

ssize_t write(int fd, const void *data, size_t size) {
  return CALL(SYS_WRITE, fd, WORD(data), (long)size);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  return CALL(SYS_SENDTO, fd, WORD(data), (long)size, flags);
}

off_t lseek(int fd, off_t offset, int from) {
  off_t result = -1;
  long answer = CALL(SYS_LLSEEK, fd, (long)(offset >> 32), (long)offset, WORD(&result), from);
  return answer < 0 ? -1 : result;
}

int fstat(int fd, struct stat *out) {
  return (int)CALL(SYS_FSTAT64, fd, WORD(out));
}

int pipe2(int fd[2], int flags) {
  return (int)CALL(SYS_PIPE2, WORD(fd), flags);
}

int poll(struct pollfd *fds, unsigned long n, int timeout_ms) {
  struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  long until = timeout_ms < 0 ? 0 : WORD(&timeout);
  return (int)CALL(SYS_PPOLL64, WORD(fds), (long)n, until, 0, SIGNAL_SET_BYTES);
}

/* ---- memory -------------------------------------------------------------------------------------- */

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  enum { UNIT = 4096 };
  long units = (long)(offset / UNIT);
  return (void *)(intptr_t)CALL(SYS_MMAP2, WORD(at), (long)size, protection, flags, fd, units);
}

int munmap(void *at, size_t size) {
  return (int)CALL(SYS_MUNMAP, WORD(at), (long)size);
}

int mprotect(void *at, size_t size, int protection) {
  return (int)CALL(SYS_MPROTECT, WORD(at), (long)size, protection);
}

int madvise(void *at, size_t size, int advice) {
  return (int)CALL(SYS_MADVISE, WORD(at), (long)size, advice);
}

/* What __builtin___clear_cache calls: code that was written as data is code from now on. */
void __clear_cache(void *begin, void *end);
void __clear_cache(void *begin, void *end) {
  enum { LINE = 32 };
  uintptr_t first = (uintptr_t)begin / LINE * LINE;
  for (uintptr_t at = first; at < (uintptr_t)end; at += LINE)
    __asm__ volatile("dccleana(%0)" ::"r"(at) : "memory");
  __asm__ volatile("syncht" ::: "memory");
  for (uintptr_t at = first; at < (uintptr_t)end; at += LINE)
    __asm__ volatile("icinva(%0)" ::"r"(at) : "memory");
  __asm__ volatile("isync" ::: "memory");
}

/* ---- processes ----------------------------------------------------------------------------------- */

pid_t fork(void) {
  return (pid_t)CALL(SYS_CLONE, SIGNAL_CHILD);
}

pid_t getpid(void) {
  return (pid_t)CALL(SYS_GETPID, 0);
}

pid_t waitpid(pid_t pid, int *status, int options) {
  return (pid_t)CALL(SYS_WAIT4, pid, WORD(status), options);
}

int kill(pid_t pid, int signal) {
  return (int)CALL(SYS_KILL, pid, signal);
}

int setpgid(pid_t pid, pid_t group) {
  return (int)CALL(SYS_SETPGID, pid, group);
}

void _exit(int code) {
  for (;;)
    CALL(SYS_EXIT_GROUP, code);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *before) {
  return (int)CALL(SYS_RT_SIGACTION, signal, WORD(action), WORD(before), SIGNAL_SET_BYTES);
}

neo_libc_handler signal(int number, neo_libc_handler handler) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
  return sigaction(number, &action, &before) == 0 ? before.sa_handler : (neo_libc_handler)-1;
}

int getrlimit(int resource, struct rlimit *out) {
  return (int)CALL(SYS_PRLIMIT64, 0, resource, 0, WORD(out));
}

int setrlimit(int resource, const struct rlimit *limit) {
  return (int)CALL(SYS_PRLIMIT64, 0, resource, WORD(limit));
}

int prctl(int option, ...) {
  va_list args;
  va_start(args, option);
  long value = va_arg(args, long);
  va_end(args);
  return (int)CALL(SYS_PRCTL, option, value);
}

static int processors(void) {
  cpu_set_t set;
  int n = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return -1;
  for (int i = 0; i < CPU_SETSIZE; i++)
    n += (int)CPU_ISSET(i, &set);
  return n;
}

static long memory_pages(void) {
  struct {
    long uptime;
    unsigned long loads[3], memory, rest[5];
    unsigned short processes, padding;
    unsigned long high[2], unit, end[2];
  } info;
  if (CALL(SYS_SYSINFO, WORD(&info)) != 0)
    return -1;
  return (long)((uint64_t)info.memory * info.unit / neo_libc_auxiliary(AUXILIARY_PAGE_SIZE));
}

long sysconf(int name) {
  switch (name) {
  case _SC_PAGESIZE:
    return (long)neo_libc_auxiliary(AUXILIARY_PAGE_SIZE);
  case _SC_NPROCESSORS_ONLN:
    return processors();
  case _SC_PHYS_PAGES:
    return memory_pages();
  default:
    errno = EINVAL;
    return -1;
  }
}

/* ---- time, processors ---------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *out) {
  return (int)CALL(SYS_CLOCK_GETTIME64, clock, WORD(out));
}

int nanosleep(const struct timespec *pause, struct timespec *rest) {
  return (int)CALL(SYS_CLOCK_NANOSLEEP64, CLOCK_MONOTONIC, 0, WORD(pause), WORD(rest));
}

/* The system writes as many bytes as it has processors for, and says how many. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *out) {
  memset(out, 0, size);
  return CALL(SYS_SCHED_GETAFFINITY, pid, (long)size, WORD(out)) < 0 ? -1 : 0;
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set) {
  return (int)CALL(SYS_SCHED_SETAFFINITY, pid, (long)size, WORD(set));
}

int sched_getcpu(void) {
  unsigned cpu = 0;
  return CALL(SYS_GETCPU, WORD(&cpu)) == 0 ? (int)cpu : -1;
}
