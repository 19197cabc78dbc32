/* runtime/hexagon/libc.h: the C library of Neo's programs for Hexagon: all of it that they use.
 *
 * Why: Debian has a compiler, a linker and an emulator for this processor, and no C library. With
 * this one, runtime/, rpc/ and examples/ are compiled for it as they stand: build.cmake makes a
 * header of every standard name (stdio.h, sys/mman.h, ...) that includes this file.
 *
 * What is declared does what C17 and POSIX say; what it leaves out stands beside it. The system is
 * Linux as qemu-hexagon has it: "trap0(#1)" with the numbers and structures of asm-generic.
 *
 * libc_start.c begins and ends a process, libc_system.c asks the system, libc_heap.c has malloc,
 * libc_text.c bytes and strings, libc_print.c formats, libc_stream.c files, libc_decimal.c numbers
 * as digits, libc_thread.c threads, libc_library.c shared objects, libc_divide.c and libc_real.c
 * the arithmetic that the processor lacks. */
#ifndef NEO_RUNTIME_HEXAGON_LIBC_H
#define NEO_RUNTIME_HEXAGON_LIBC_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int pid_t, clockid_t;
typedef long ssize_t;
typedef long long off_t, time_t;

#define static_assert _Static_assert

/* ---- errors -------------------------------------------------------------------------------------- */

#define errno (*neo_libc_errno())
int *neo_libc_errno(void); /* of the calling thread */

enum {
  EPERM = 1,
  ENOENT = 2,
  EINTR = 4,
  EIO = 5,
  EBADF = 9,
  ECHILD = 10,
  EAGAIN = 11,
  ENOMEM = 12,
  EACCES = 13,
  EFAULT = 14,
  EEXIST = 17,
  ENOTDIR = 20,
  EISDIR = 21,
  EINVAL = 22,
  EMFILE = 24,
  EFBIG = 27,
  ENOSPC = 28,
  EPIPE = 32,
  ERANGE = 34,
  ENOSYS = 38,
  ENOTSOCK = 88,
};

char *strerror(int number); /* "error" for others than the above */

/* ---- bytes and strings --------------------------------------------------------------------------- */

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *data, int byte, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);
char *strchr(const char *text, int c);
char *strrchr(const char *text, int c);
char *strstr(const char *text, const char *part);
size_t strspn(const char *text, const char *set);
size_t strcspn(const char *text, const char *set);

/* ---- stdlib, locale, math ------------------------------------------------------------------------ */

void *malloc(size_t size); /* 16-byte aligned */
void *calloc(size_t n, size_t size);
void *realloc(void *data, size_t size);
void free(void *data);
void qsort(void *data, size_t n, size_t size, int (*order)(const void *, const void *));
void *bsearch(const void *key, const void *data, size_t n, size_t size,
              int (*order)(const void *, const void *));
double strtod(const char *text, char **end); /* decimal only; no "inf", no "nan" */
/* Base 10 only. */
long strtol(const char *text, char **end, int base);
long long strtoll(const char *text, char **end, int base);
__attribute__((noreturn)) void exit(int code);
__attribute__((noreturn)) void abort(void);

struct lconv {
  char *decimal_point;
};
struct lconv *localeconv(void);

#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()
#define HUGE_VAL __builtin_huge_val()
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)
double sqrt(double x);
double fmax(double x, double y);
double fabs(double x);
double ldexp(double x, int exponent);
double log(double x); /* within 2 units in the last place */
float fmaxf(float x, float y);
float fminf(float x, float y);
float fabsf(float x);

/* ---- stdio --------------------------------------------------------------------------------------- */

typedef struct neo_libc_file FILE;
extern FILE *const stdin, *const stdout, *const stderr;
#define EOF (-1)

FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
int fflush(FILE *file); /* NULL: stdout */
size_t fread(void *data, size_t size, size_t n, FILE *file);
size_t fwrite(const void *data, size_t size, size_t n, FILE *file);
char *fgets(char *line, int size, FILE *file);
int fputs(const char *text, FILE *file);
int fputc(int c, FILE *file);
int puts(const char *text);
int putchar(int c);
/* All of C17's conversions but %n, %a and wide characters. */
int vsnprintf(char *to, size_t size, const char *format, va_list args);
int snprintf(char *to, size_t size, const char *format, ...);
int vfprintf(FILE *file, const char *format, va_list args);
int fprintf(FILE *file, const char *format, ...);
int printf(const char *format, ...);

/* ---- files, pipes -------------------------------------------------------------------------------- */

enum {
  STDIN_FILENO = 0,
  STDOUT_FILENO = 1,
  STDERR_FILENO = 2,
  SEEK_SET = 0,
  SEEK_CUR = 1,
  SEEK_END = 2,
  O_RDONLY = 0,
  O_WRONLY = 1,
  O_RDWR = 2,
  O_CREAT = 0100,
  O_TRUNC = 01000,
  O_APPEND = 02000,
  O_CLOEXEC = 02000000,
  POLLIN = 1,
  POLLOUT = 4,
  MSG_DONTWAIT = 0x40,
  MSG_NOSIGNAL = 0x4000,
};

struct stat {
  uint64_t st_dev, st_ino;
  uint32_t st_mode, st_nlink, st_uid, st_gid;
  uint64_t st_rdev, padding_1;
  off_t st_size;
  int32_t st_blksize, padding_2;
  int64_t st_blocks;
  int32_t st_times[6], padding_3[2];
};
#define S_ISREG(mode) (((mode)&0170000) == 0100000)

struct pollfd {
  int fd;
  short events, revents;
};

int open(const char *path, int flags, ...);
int close(int fd);
ssize_t read(int fd, void *data, size_t size);
ssize_t write(int fd, const void *data, size_t size);
ssize_t send(int fd, const void *data, size_t size, int flags);
off_t lseek(int fd, off_t offset, int from);
int fstat(int fd, struct stat *out);
int pipe2(int fd[2], int flags);
int poll(struct pollfd *fds, unsigned long n, int timeout_ms);

/* ---- memory -------------------------------------------------------------------------------------- */

enum {
  PROT_NONE = 0,
  PROT_READ = 1,
  PROT_WRITE = 2,
  PROT_EXEC = 4,
  MAP_SHARED = 1,
  MAP_PRIVATE = 2,
  MAP_ANONYMOUS = 0x20,
  MAP_NORESERVE = 0x4000,
  MADV_REMOVE = 9,
};
#define MAP_FAILED ((void *)-1)

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int munmap(void *at, size_t size);
int mprotect(void *at, size_t size, int protection);
int madvise(void *at, size_t size, int advice);

/* ---- processes, signals, limits ------------------------------------------------------------------ */

enum {
  SIGINT = 2,
  SIGILL = 4,
  SIGTRAP = 5,
  SIGABRT = 6,
  SIGBUS = 7,
  SIGFPE = 8,
  SIGKILL = 9,
  SIGSEGV = 11,
  SIGPIPE = 13,
  SIGTERM = 15,
  SIGXCPU = 24,
  SIGSYS = 31,
  WNOHANG = 1,
  PR_SET_PDEATHSIG = 1,
  RLIMIT_CPU = 0,
  RLIMIT_FSIZE = 1,
  RLIMIT_CORE = 4,
  RLIMIT_AS = 9,
  _SC_PAGESIZE = 30,
  _SC_NPROCESSORS_ONLN = 84,
  _SC_PHYS_PAGES = 85,
};

typedef void (*neo_libc_handler)(int);
#define SIG_DFL ((neo_libc_handler)0)
#define SIG_IGN ((neo_libc_handler)1)

struct sigaction {
  neo_libc_handler sa_handler;
  unsigned long sa_flags;
  void *restorer; /* qemu has it; without it the mask begins here */
  unsigned long sa_mask[2];
};

typedef unsigned long long rlim_t;
struct rlimit {
  rlim_t rlim_cur, rlim_max;
};
#define RLIM_INFINITY (~(rlim_t)0)

#define WIFSIGNALED(status) (((status)&0x7f) != 0 && ((status)&0x7f) != 0x7f)
#define WTERMSIG(status) ((status)&0x7f)
#define WIFEXITED(status) (((status)&0x7f) == 0)
#define WEXITSTATUS(status) ((status) >> 8 & 0xff)

pid_t fork(void);
pid_t getpid(void);
pid_t waitpid(pid_t pid, int *status, int options);
int kill(pid_t pid, int signal);
int setpgid(pid_t pid, pid_t group);
__attribute__((noreturn)) void _exit(int code);
int sigaction(int signal, const struct sigaction *action, struct sigaction *before);
neo_libc_handler signal(int signal, neo_libc_handler handler);
char *strsignal(int signal);
int getrlimit(int resource, struct rlimit *out);
int setrlimit(int resource, const struct rlimit *limit);
int prctl(int option, ...);
long sysconf(int name);

/* ---- time, processors ---------------------------------------------------------------------------- */

enum { CLOCK_MONOTONIC = 1 };

struct timespec {
  time_t tv_sec;
  long tv_nsec, padding; /* the system's has 64 bits, and this processor is little-endian */
};

int clock_gettime(clockid_t clock, struct timespec *out);
int nanosleep(const struct timespec *pause, struct timespec *rest);

enum { CPU_SETSIZE = 1024 };
typedef struct cpu_set_t {
  unsigned long word[CPU_SETSIZE / 32];
} cpu_set_t;
#define CPU_ZERO(set) memset(set, 0, sizeof(cpu_set_t))
#define CPU_SET(cpu, set) ((void)((set)->word[(cpu) / 32] |= 1ul << (cpu) % 32))
#define CPU_ISSET(cpu, set) ((set)->word[(cpu) / 32] >> (cpu) % 32 & 1)

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *out);
int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);
int sched_getcpu(void);

/* ---- threads: no attributes ---------------------------------------------------------------------- */

typedef struct neo_libc_thread *pthread_t;
typedef struct pthread_mutex_t {
  int state; /* 0: free, 1: held, 2: held and waited for */
} pthread_mutex_t;
typedef struct pthread_cond_t {
  int signals; /* so far */
} pthread_cond_t;

int pthread_create(pthread_t *out, const void *no_attributes, void *(*start)(void *), void *self);
int pthread_join(pthread_t thread, void **value);
int pthread_mutex_init(pthread_mutex_t *mutex, const void *no_attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);
int pthread_cond_init(pthread_cond_t *cond, const void *no_attributes);
int pthread_cond_destroy(pthread_cond_t *cond);
int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int pthread_cond_signal(pthread_cond_t *cond);
int pthread_cond_broadcast(pthread_cond_t *cond);

/* ---- shared objects: by path only, and of those only what imports nothing ------------------------- */

enum { RTLD_LOCAL = 0, RTLD_NOW = 2 };

void *dlopen(const char *path, int mode);
void *dlsym(void *library, const char *name);
int dlclose(void *library);
char *dlerror(void);

/* ---- between the files of this folder ------------------------------------------------------------ */

typedef struct neo_libc_call {
  long number, word[6];
} neo_libc_call;
/* The system's answer: a value, or minus an error number. */
long neo_libc_system(const neo_libc_call *call);
#define NEO_LIBC_WORD(pointer) ((long)(intptr_t)(pointer))

/* What the system says of the process when it starts, of getauxval's types; 0: nothing. */
unsigned long neo_libc_auxiliary(unsigned long type);
/* Makes the calling thread, the first of the process, one of ours. */
void neo_libc_thread_first(void);

/* 0.digits times 10 to the power of point; the first digit is not 0. n 0: zero. Enough digits for
 * any double as it is. */
enum { NEO_LIBC_DIGITS = 800 };
typedef struct neo_libc_decimal {
  int n, point;
  bool cut; /* there were more digits, not all of them 0 */
  uint8_t digit[NEO_LIBC_DIGITS];
} neo_libc_decimal;
void neo_libc_decimal_set(neo_libc_decimal *d, double value); /* finite, not negative; exact */
void neo_libc_decimal_round(neo_libc_decimal *d, int keep);   /* to so many digits, ties to even */

#endif
