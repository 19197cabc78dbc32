/* A program that prints what a C library and the compiler's arithmetic give, built twice: for
 * Hexagon with runtime/hexagon and for this machine with its own library. libc_compare.py holds the
 * two outputs against each other; nothing of the text may depend on sizes of types. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <stdbool.h>
#include <stdint.h>

static uint64_t state = UINT64_C(0x2545f4914f6cdd1d);

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* ---- arithmetic ---------------------------------------------------------------------------------- */

static double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static void show(const char *what, double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  printf("%s %016llx\n", what, isnan(x) ? 0x7ff8000000000000ull : (unsigned long long)bits);
}

/* Any, of near exponents, small integers, or a special one. */
static double any_double(void) {
  static const uint64_t special[] = {0,
                                     1,
                                     UINT64_C(0x8000000000000000),
                                     UINT64_C(0x7ff0000000000000),
                                     UINT64_C(0xfff0000000000000),
                                     UINT64_C(0x7ff8000000000000),
                                     UINT64_C(0x000fffffffffffff),
                                     UINT64_C(0x0010000000000000),
                                     UINT64_C(0x7fefffffffffffff),
                                     UINT64_C(0x3ff0000000000000)};
  uint64_t bits = next();
  switch (bits >> 61) {
  case 0:
    return double_of(special[bits % (sizeof special / sizeof *special)]);
  case 1:
    return (double)(int64_t)(bits & 0xffff) - 32768;
  case 2:
  case 3:
    return double_of(next());
  case 4: /* subnormal or nearly so */
    return double_of(next() & UINT64_C(0x803fffffffffffff));
  default:
    return double_of((next() & UINT64_C(0x803fffffffffffff)) | UINT64_C(0x3fc0000000000000));
  }
}

static void check_doubles(void) {
  for (int i = 0; i < 1500; i++) {
    volatile double a = any_double(), b = any_double();
    show("+", a + b);
    show("-", a - b);
    show("*", a * b);
    show("/", a / b);
    show("sqrt", sqrt(a));
    show("ldexp", ldexp(a, (int)(next() % 160) - 80));
    if (!isnan(a) && !isnan(b) && (a != 0 || b != 0))
      show("fmax", fmax(a, b));
  }
  for (int i = 1; i < 400; i++) {
    volatile double x = double_of((next() >> 2) & UINT64_C(0x7fffffffffffffff));
    if (!isnan(x) && !isinf(x))
      printf("log %.13g\n", log(x));
    x = 1 + (i - 200) * 1e-4;
    printf("log %.13g\n", log(x));
  }
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static void check_floats(void) {
  for (int i = 0; i < 3000; i++) {
    uint32_t mask = i % 3 == 0 ? 0xffffffff : i % 3 == 1 ? 0x80ffffff : 0xbfffffff;
    volatile float a = float_of((uint32_t)next() & mask), b = float_of((uint32_t)next() & mask);
    show("f/", (double)(a / b));
    show("f*", (double)(a * b));
    show("f+", (double)(a + b));
    volatile double d = any_double();
    show("narrow", (double)(float)d);
    if (fabs(d) < 9e18)
      printf("integer %lld\n", (long long)d);
    show("real", (double)(int64_t)next());
    show("real", (double)next());
  }
}

static void check_division(void) {
  for (int i = 0; i < 3000; i++) {
    volatile uint64_t a = next() >> (next() % 64), b = (next() >> (next() % 63)) | 1;
    volatile uint32_t c = (uint32_t)a, d = (uint32_t)b;
    volatile int64_t e = (int64_t)a, f = (int64_t)b;
    volatile int32_t g = (int32_t)a, h = (int32_t)b;
    printf("%llu %llu %u %u\n", (unsigned long long)(a / b), (unsigned long long)(a % b), c / d,
           c % d);
    if (e == INT64_MIN || g == INT32_MIN)
      continue;
    printf("%lld %lld %d %d\n", (long long)(e / f), (long long)(e % f), g / h, g % h);
  }
}

/* ---- text ---------------------------------------------------------------------------------------- */

static void check_formats(void) {
  static const char *const reals[] = {"%g",    "%.17g", "%f",   "%.3f",  "%e",    "%.0f", "%12.4f|",
                                      "%-12g", "%+.1e", "%#g",  "%.9g",  "%.30f", "%.1f", "%G",
                                      "% .2f", "%012f", "%.0e", "%#.0f", "%.15g", "%.40g"};
  static const double some[] = {0.0,  -0.0,    1.0,    0.5,   1.5,   2.5,   0.1,      9.5,    9.995,
                                1e5,  1e6,     999999, 1e-4,  1e-5,  1e300, 5e-324,   123456, 1e21,
                                -1.0, 0.00012, 1e100,  100.0, 1e-10, 8.5,   1.0 / 3.0};
  for (int k = 0; k < (int)(sizeof reals / sizeof *reals); k++) {
    for (int i = 0; i < (int)(sizeof some / sizeof *some); i++) {
      printf(reals[k], some[i]);
      printf("\n");
    }
    for (int i = 0; i < 20; i++) {
      double x = any_double();
      printf(reals[k], isnan(x) ? (double)INFINITY : x);
      printf("\n");
    }
  }
  for (int i = 0; i < 200; i++) {
    long long v = (long long)(next() >> (next() % 64));
    int n = (int)v, width = (int)(next() % 12), precision = (int)(next() % 12);
    printf("%d|%5d|%-7d|%07d|%+d|% d|%.3d|%*d|%-*d|%.*d|\n", n, n, n, n, n, n, n, width, n, width,
           n, precision, n);
    printf("%lld|%llu|%llx|%llX|%#llx|%llo|%#llo|%20lld|%.25lld|\n", v, (unsigned long long)v,
           (unsigned long long)v, (unsigned long long)v, (unsigned long long)v,
           (unsigned long long)v, (unsigned long long)v, v, -v);
    printf("%u|%x|%08x|%hd|%hhu|%zu|%c|%%|\n", (unsigned)n, (unsigned)n, (unsigned)n, (short)n,
           (unsigned char)n, (size_t)(unsigned)n, 'a' + (n & 15));
  }
  printf("%s|%10s|%-10s|%.2s|%.*s|%.0d|\n", "abc", "abc", "abc", "abc", 1, "abc", 0);
  char small[8];
  int n = snprintf(small, sizeof small, "%s", "0123456789");
  printf("%d %s %d\n", n, small, snprintf(NULL, 0, "%d", 12345));
}

static void check_reading(void) {
  static const char *const texts[] = {"1",
                                      "-2.5e3x",
                                      "  .5",
                                      "5.",
                                      "1e400",
                                      "-1e-400",
                                      "4.9e-324",
                                      "2.4703282292062327e-324",
                                      "2.4703282292062328e-324",
                                      "2.2250738585072011e-308",
                                      "1.7976931348623157e308",
                                      "1.7976931348623159e308",
                                      "9007199254740993",
                                      "9007199254740992.9999",
                                      "0.000000000000000000000000000001",
                                      "1e",
                                      "1e+",
                                      "0e99",
                                      "",
                                      "-",
                                      ".",
                                      "123456789012345678901234567890e-10"};
  char text[64], *end;
  for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
    errno = 0;
    double x = strtod(texts[i], &end); /* of small numbers libraries may say ERANGE, or not */
    show("strtod", x);
    printf("%d '%s'\n", x == 0 || x > 1 ? errno : 0, end);
  }
  for (int i = 0; i < 400; i++) {
    double x = any_double();
    if (isnan(x) || isinf(x))
      continue;
    snprintf(text, sizeof text, "%.*g", 5 + i % 20, x);
    show(text, strtod(text, NULL));
  }
  static const char *const integers[] = {"0",
                                         "-17x",
                                         "  +8",
                                         "9223372036854775807",
                                         "9223372036854775808",
                                         "-9223372036854775808",
                                         "-9223372036854775809",
                                         "x"};
  for (int i = 0; i < (int)(sizeof integers / sizeof *integers); i++) {
    errno = 0;
    printf("strtoll %lld", strtoll(integers[i], &end, 10));
    printf(" '%s' %d\n", end, errno);
  }
}

static void check_strings(void) {
  char a[300], b[300];
  for (int i = 0; i < 400; i++) {
    size_t to = next() % 80, from = next() % 80, n = next() % 200;
    for (size_t k = 0; k < sizeof a; k++)
      a[k] = b[k] = (char)('a' + next() % 3);
    memmove(a + to, a + from, n);
    memcpy(b + to, a + from, n / 2);
    memset(b + from, 'x', n / 3);
    a[sizeof a - 1] = b[sizeof b - 1] = '\0';
    printf("%s\n%s\n", a, b);
    const char *found = strstr(a, "abca"), *last = strrchr(b, 'x'), *first = strchr(b, 'x');
    printf("%d %d %d %d %d %d %d\n", found ? (int)(found - a) : -1, last ? (int)(last - b) : -1,
           first ? (int)(first - b) : -1, (int)strspn(a, "ab"), (int)strcspn(a, "bc"),
           strcmp(a, b) < 0, memcmp(a, b, 40) < 0);
    printf("%d %d %d\n", (int)strlen(a), strncmp(a, b, 3) < 0,
           memchr(a, 'c', 20) ? (int)((char *)memchr(a, 'c', 20) - a) : -1);
  }
}

/* ---- memory, sorting ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void check_sorting(void) {
  uint32_t data[257];
  for (int n = 0; n <= 257; n += 1 + n / 8) {
    for (int i = 0; i < n; i++)
      data[i] = (uint32_t)next() % 300;
    qsort(data, (size_t)n, sizeof *data, by_value);
    for (int i = 0; i < n; i++)
      printf("%u ", data[i]);
    uint32_t key = (uint32_t)next() % 300;
    printf("%d\n", bsearch(&key, data, (size_t)n, sizeof *data, by_value) != NULL);
  }
}

static bool filled(const unsigned char *block, size_t size, unsigned char with) {
  for (size_t i = 0; i < size; i++)
    if (block[i] != with)
      return false;
  return true;
}

static void check_heap(void) {
  enum { BLOCKS = 100 };
  unsigned char *block[BLOCKS] = {NULL};
  size_t size[BLOCKS] = {0};
  int wrong = 0;
  for (int i = 0; i < 6000; i++) {
    size_t k = next() % BLOCKS, wanted = next() % (i % 50 == 0 ? 300000 : 2000);
    wrong += block[k] && !filled(block[k], size[k], (unsigned char)k);
    if (next() % 3 == 0) {
      free(block[k]);
      block[k] = calloc(1, wanted + 1);
      wrong += !block[k] || !filled(block[k], wanted + 1, 0);
    } else {
      block[k] = realloc(block[k], wanted + 1);
      wrong += block[k] && !filled(block[k], size[k] < wanted ? size[k] : wanted, (unsigned char)k);
    }
    size[k] = wanted;
    wrong += !block[k] || (uintptr_t)block[k] % 16 != 0;
    if (block[k])
      memset(block[k], (int)k, wanted);
  }
  for (int k = 0; k < BLOCKS; k++)
    free(block[k]);
  volatile size_t huge = SIZE_MAX / 2;
  printf("heap: %d wrong, %d\n", wrong, malloc(huge) == NULL && calloc(huge, 3) == NULL);
}

/* ---- the system ---------------------------------------------------------------------------------- */

typedef struct counter {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int value, turn;
} counter;

static counter shared;

static void *count_in_turn(void *self) {
  int me = *(int *)self;
  errno = me;
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&shared.lock);
    while (shared.turn != me)
      pthread_cond_wait(&shared.changed, &shared.lock);
    shared.turn = (me + 1) % 3;
    shared.value++;
    pthread_cond_broadcast(&shared.changed);
    pthread_mutex_unlock(&shared.lock);
  }
  return errno == me ? self : NULL;
}

static void check_threads(void) {
  pthread_t thread[3];
  int number[3] = {0, 1, 2};
  pthread_mutex_init(&shared.lock, NULL);
  pthread_cond_init(&shared.changed, NULL);
  for (int i = 0; i < 3; i++)
    printf("create %d\n", pthread_create(&thread[i], NULL, count_in_turn, &number[i]));
  for (int i = 0; i < 3; i++) {
    void *value = NULL;
    printf("join %d", pthread_join(thread[i], &value));
    printf(" %d\n", value == &number[i]);
  }
  printf("counted %d\n", shared.value);
}

static volatile int seen;
static int *volatile nowhere;

static void on_signal(int number) {
  seen = number;
}

static int child(int task, int fd, int *page) {
  switch (task) {
  case 0:
    *page = 4711;
    return write(fd, "hello", 5) == 5 ? 3 : 1;
  case 1:
    return *nowhere; /* dies */
  case 2:
    abort();
  default:
    for (;;)
      poll(NULL, 0, 1000);
  }
}

static void check_processes(void) {
  int *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int task = 0; task < 4; task++) {
    int fd[2], status = 0;
    char text[8] = "";
    *page = 0;
    printf("pipe %d\n", pipe2(fd, O_CLOEXEC));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
      _exit(child(task, fd[1], page));
    close(fd[1]);
    struct pollfd p = {.fd = fd[0], .events = POLLIN};
    if (task == 3)
      printf("poll %d\n", poll(&p, 1, 20));
    if (task == 3)
      printf("kill %d\n", kill(pid, SIGKILL));
    int ready = poll(&p, 1, 60000);
    int n = (int)read(fd[0], text, sizeof text - 1);
    bool reaped = waitpid(pid, &status, 0) == pid;
    printf("poll %d read %d %s wait %d: %d %d, %s; %d\n", ready, n, text, reaped,
           WIFSIGNALED(status), WEXITSTATUS(status),
           WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "none", *page);
    close(fd[0]);
  }
  errno = 0;
  printf("waitpid %d", waitpid(-1, NULL, WNOHANG));
  printf(" %d %s\n", errno, strerror(errno));
}

static char *below; /* what lies where a stack would grow into */
enum { BELOW = 1 << 20 };

static int go_deep(int depth) {
  volatile char block[4096];
  block[depth % 4096] = 1;
  if ((char *)block >= below && (char *)block < below + BELOW)
    _exit(7); /* in other people's memory, and nothing has stopped it */
  return depth < 0 ? 0 : go_deep(depth + 1) + block[depth % 4096];
}

static void *overflow(void *self) {
  below = mmap(NULL, BELOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return go_deep(0) ? self : NULL;
}

static void check_end_of_stack(void) {
  pthread_t thread;
  int status = 0;
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    if (pthread_create(&thread, NULL, overflow, NULL) == 0)
      pthread_join(thread, NULL);
    _exit(8);
  }
  waitpid(pid, &status, 0);
  printf("stack: %d %s\n", WIFSIGNALED(status) ? 0 : WEXITSTATUS(status),
         WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "none");
}

static void check_signals(void) {
  struct sigaction action = {.sa_handler = on_signal}, before;
  printf("sigaction %d\n", sigaction(SIGTERM, &action, NULL));
  kill(getpid(), SIGTERM);
  printf("seen %d\n", seen);
  printf("again %d", sigaction(SIGTERM, &action, &before));
  printf(" %d\n", before.sa_handler == on_signal);
  printf("signal %d", signal(SIGTERM, SIG_DFL) == on_signal);
  printf(" %d\n", signal(SIGPIPE, SIG_IGN) == SIG_DFL);
  int fd[2];
  if (pipe2(fd, 0) != 0)
    return;
  close(fd[0]);
  ssize_t n = write(fd[1], "x", 1);
  printf("write %d %s\n", (int)n, n < 0 ? strerror(errno) : "");
  struct rlimit limit = {0};
  printf("limit %d", getrlimit(RLIMIT_CPU, &limit));
  limit.rlim_cur = 1000;
  printf(" %d", setrlimit(RLIMIT_CPU, &limit));
  printf(" %d", getrlimit(RLIMIT_CPU, &limit));
  printf(" %d\n", (int)limit.rlim_cur);
}

static void check_files(const char *path) {
  char line[40];
  FILE *file = fopen(path, "wb");
  if (!file)
    return;
  for (int i = 0; i < 1000; i++)
    fprintf(file, "line %d\n", i * i);
  fwrite(line, 1, 0, file);
  printf("close %d\n", fclose(file));
  file = fopen(path, "rb");
  for (int i = 0; file && fgets(line, i == 3 ? 4 : (int)sizeof line, file); i++)
    if (i % 97 < 5)
      printf("%s|", line);
  if (file)
    fclose(file);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info = {0};
  printf("stat %d", fstat(fd, &info));
  printf(" %lld %d\n", (long long)info.st_size, S_ISREG(info.st_mode));
  printf("seek %lld", (long long)lseek(fd, -8, SEEK_END));
  printf(" %lld\n", (long long)lseek(fd, 3, SEEK_SET));
  printf("read %d", (int)read(fd, line, 5));
  printf(" %.5s\n", line);
  char *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  printf("map %.20s\n", map);
  printf("unmap %d close %d\n", munmap(map, (size_t)info.st_size), close(fd));
  errno = 0;
  printf("open %d", open("/nowhere/at/all", O_RDONLY));
  printf(" %s\n", strerror(errno));
  struct timespec pause = {0, 20000000}, before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  int slept = nanosleep(&pause, NULL);
  clock_gettime(CLOCK_MONOTONIC, &after);
  double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
              (double)(after.tv_nsec - before.tv_nsec) * 1e-6;
  printf("sleep %d %d\n", slept, ms >= 20);
  printf("sizes %d %d\n", sysconf(_SC_PAGESIZE) >= 4096, sysconf(_SC_PHYS_PAGES) > 0);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  check_division();
  check_doubles();
  check_floats();
  check_formats();
  check_reading();
  check_strings();
  check_sorting();
  check_heap();
  check_threads();
  check_end_of_stack();
  check_signals();
  check_processes();
  check_files(argv[1]);
  printf("%s", "the end\n");
  return 5;
}
