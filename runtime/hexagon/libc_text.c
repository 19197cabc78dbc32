/* Bytes, strings, sorting, whole numbers out of text, names of errors and signals.
 *
 * Compiled with -fno-builtin, or the compiler would make memcpy of the loop in memcpy. Loops over
 * words are unrolled: an emulator pays for every branch. */
#include "runtime/hexagon/libc.h"

/* ---- bytes --------------------------------------------------------------------------------------- */

typedef uint64_t __attribute__((may_alias)) eight;

enum { WORD = sizeof(eight) };

static size_t offset_in_word(const void *data) {
  return (uintptr_t)data % WORD;
}

/* Whole words to an aligned place from any: two neighbouring words of the source have one. Reads
 * only words of which some byte is asked for. Returns how many bytes that were. */
static size_t copy_words(char *to, const char *from, size_t size) {
  size_t shift = offset_in_word(from), n = size / WORD;
  const eight *f = (const eight *)(from - shift);
  eight *t = (eight *)to;
  if (shift == 0) {
#pragma clang loop unroll_count(8)
    for (size_t i = 0; i < n; i++)
      t[i] = f[i];
    return n * WORD;
  }
  uint64_t low = n ? f[0] : 0;
#pragma clang loop unroll_count(8)
  for (size_t i = 0; i < n; i++) {
    uint64_t high = f[i + 1];
    t[i] = low >> 8 * shift | high << (64 - 8 * shift);
    low = high;
  }
  return n * WORD;
}

void *memcpy(void *to, const void *from, size_t size) {
  char *t = to;
  const char *f = from;
  for (; size > 0 && offset_in_word(t); size--)
    *t++ = *f++;
  size_t copied = copy_words(t, f, size);
  for (size_t i = copied; i < size; i++)
    t[i] = f[i];
  return to;
}

/* What the compiler calls for copies that it thinks are aligned. */
void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from, size_t n);
void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from, size_t n) {
  return memcpy(to, from, n);
}

void *memmove(void *to, const void *from, size_t size) {
  char *t = to;
  const char *f = from;
  if (t <= f || t >= f + size)
    return memcpy(to, from, size);
  while (size-- > 0)
    t[size] = f[size];
  return to;
}

void *memset(void *to, int byte, size_t size) {
  char *t = to;
  uint64_t all = (uint8_t)byte * UINT64_C(0x0101010101010101);
  for (; size > 0 && offset_in_word(t); size--)
    *t++ = (char)byte;
#pragma clang loop unroll_count(8)
  for (; size >= WORD; t += WORD, size -= WORD)
    *(eight *)t = all;
  for (; size > 0; size--)
    *t++ = (char)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *x = a, *y = b;
  for (; size > 0 && offset_in_word(x) && *x == *y; size--)
    x++, y++;
  if (!offset_in_word(x) && !offset_in_word(y))
#pragma clang loop unroll_count(8)
    for (; size >= WORD && *(const eight *)x == *(const eight *)y; size -= WORD)
      x += WORD, y += WORD;
  for (; size > 0; x++, y++, size--)
    if (*x != *y)
      return *x - *y;
  return 0;
}

void *memchr(const void *data, int byte, size_t size) {
  const unsigned char *at = data;
  for (; size > 0; at++, size--)
    if (*at == (unsigned char)byte)
      return (void *)(uintptr_t)at;
  return NULL;
}

/* ---- strings ------------------------------------------------------------------------------------- */

size_t strlen(const char *text) {
  const char *at = text;
  while (*at)
    at++;
  return (size_t)(at - text);
}

int strncmp(const char *a, const char *b, size_t most) {
  for (; most > 0; a++, b++, most--)
    if (*a != *b || !*a)
      return (unsigned char)*a - (unsigned char)*b;
  return 0;
}

int strcmp(const char *a, const char *b) {
  return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *text, int c) {
  for (; *text != (char)c; text++)
    if (!*text)
      return NULL;
  return (char *)(uintptr_t)text;
}

char *strrchr(const char *text, int c) {
  for (const char *at = text + strlen(text);; at--) {
    if (*at == (char)c)
      return (char *)(uintptr_t)at;
    if (at == text)
      return NULL;
  }
}

char *strstr(const char *text, const char *part) {
  size_t n = strlen(part);
  for (; strncmp(text, part, n) != 0; text++)
    if (!*text)
      return NULL;
  return (char *)(uintptr_t)text;
}

static size_t span(const char *text, const char *set, bool inside) {
  size_t n = 0;
  while (text[n] && (strchr(set, text[n]) != NULL) == inside)
    n++;
  return n;
}

size_t strspn(const char *text, const char *set) {
  return span(text, set, true);
}

size_t strcspn(const char *text, const char *set) {
  return span(text, set, false);
}

/* ---- sorting ------------------------------------------------------------------------------------- */

static void swap(char *a, char *b, size_t size) {
  for (size_t i = 0; i < size; i++) {
    char c = a[i];
    a[i] = b[i];
    b[i] = c;
  }
}

/* Heap sort: no memory, no bad cases. */
void qsort(void *data, size_t n, size_t size, int (*order)(const void *, const void *)) {
  char *base = data;
  for (size_t heap = n / 2, end = n; end > 1;) {
    if (heap > 0)
      heap--;
    else
      swap(base, base + --end * size, size);
    for (size_t at = heap, child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && order(base + child * size, base + (child + 1) * size) < 0)
        child++;
      if (order(base + at * size, base + child * size) >= 0)
        break;
      swap(base + at * size, base + child * size, size);
    }
  }
}

void *bsearch(const void *key, const void *data, size_t n, size_t size,
              int (*order)(const void *, const void *)) {
  const char *base = data;
  while (n > 0) {
    const char *middle = base + n / 2 * size;
    int sign = order(key, middle);
    if (sign == 0)
      return (void *)(uintptr_t)middle;
    if (sign > 0)
      base = middle + size;
    n = sign > 0 ? n - n / 2 - 1 : n / 2;
  }
  return NULL;
}

/* ---- whole numbers ------------------------------------------------------------------------------- */

long long strtoll(const char *text, char **end, int base) {
  const char *at = text + strspn(text, " \t\n\v\f\r");
  bool minus = *at == '-', over = false;
  at += *at == '-' || *at == '+';
  uint64_t value = 0, limit = (uint64_t)INT64_MAX + minus;
  const char *first = at;
  for (; *at >= '0' && *at <= '9' && base == 10; at++) {
    unsigned digit = (unsigned)(*at - '0');
    over = over || value > (limit - digit) / 10;
    value = over ? limit : value * 10 + digit;
  }
  if (end)
    *end = (char *)(uintptr_t)(at == first ? text : at);
  if (over)
    errno = ERANGE;
  return (long long)(minus ? 0 - value : value);
}

long strtol(const char *text, char **end, int base) {
  long long value = strtoll(text, end, base);
  if (value == (long)value)
    return (long)value;
  errno = ERANGE;
  return value < 0 ? INT32_MIN : INT32_MAX;
}

/* ---- names --------------------------------------------------------------------------------------- */

typedef struct name_row {
  int number;
  const char *name;
} name_row;

static char *name_of(const name_row *rows, size_t n, int number, const char *other) {
  for (size_t i = 0; i < n; i++)
    if (rows[i].number == number)
      other = rows[i].name;
  return (char *)(uintptr_t)other;
}

char *strerror(int number) {
  static const name_row rows[] = {
      {0, "Success"},
      {EPERM, "Operation not permitted"},
      {ENOENT, "No such file or directory"},
      {EINTR, "Interrupted system call"},
      {EIO, "Input/output error"},
      {EBADF, "Bad file descriptor"},
      {ECHILD, "No child processes"},
      {EAGAIN, "Resource temporarily unavailable"},
      {ENOMEM, "Cannot allocate memory"},
      {EACCES, "Permission denied"},
      {EFAULT, "Bad address"},
      {EEXIST, "File exists"},
      {ENOTDIR, "Not a directory"},
      {EISDIR, "Is a directory"},
      {EINVAL, "Invalid argument"},
      {EMFILE, "Too many open files"},
      {EFBIG, "File too large"},
      {ENOSPC, "No space left on device"},
      {EPIPE, "Broken pipe"},
      {ERANGE, "Numerical result out of range"},
      {ENOSYS, "Function not implemented"},
      {ENOTSOCK, "Socket operation on non-socket"},
  };
  return name_of(rows, sizeof rows / sizeof *rows, number, "error");
}

char *strsignal(int number) {
  static const name_row rows[] = {
      {SIGINT, "Interrupt"},
      {SIGILL, "Illegal instruction"},
      {SIGTRAP, "Trace/breakpoint trap"},
      {SIGABRT, "Aborted"},
      {SIGBUS, "Bus error"},
      {SIGFPE, "Floating point exception"},
      {SIGKILL, "Killed"},
      {SIGSEGV, "Segmentation fault"},
      {SIGPIPE, "Broken pipe"},
      {SIGTERM, "Terminated"},
      {SIGXCPU, "CPU time limit exceeded"},
  };
  return name_of(rows, sizeof rows / sizeof *rows, number, "signal");
}

struct lconv *localeconv(void) {
  static char point[] = ".";
  static struct lconv c = {point};
  return &c;
}
