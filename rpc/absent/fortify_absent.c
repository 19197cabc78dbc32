/* What Debian's mbedTLS asks of glibc that musl does not have: the checked twins of libc's
 * functions, which its headers put in place of the plain ones (-D_FORTIFY_SOURCE=2). For the static
 * board with musl; the checks are the same. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memset_chk(void *to, int byte, size_t size, size_t room);
int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, va_list args);
int __snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...);
int __printf_chk(int flag, const char *format, ...);

static void check(size_t size, size_t room) {
  if (size > room)
    abort();
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room) {
  check(size, room);
  return memcpy(to, from, size);
}

void *__memset_chk(void *to, int byte, size_t size, size_t room) {
  check(size, room);
  return memset(to, byte, size);
}

int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format,
                    va_list args) {
  (void)flag;
  check(size, room);
  return vsnprintf(to, size, format, args);
}

int __snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = __vsnprintf_chk(to, size, flag, room, format, args);
  va_end(args);
  return n;
}

int __printf_chk(int flag, const char *format, ...) {
  (void)flag;
  va_list args;
  va_start(args, format);
  int n = vprintf(format, args);
  va_end(args);
  return n;
}
