/* FILEs: a descriptor and a buffer, for reading or for writing.
 *
 * stderr has no buffer in use; the others are written out when theirs is full, by fflush and
 * fclose, stdout when the process ends, too. */
#include "runtime/hexagon/libc.h"

enum { BUFFER = 4096 };

struct neo_libc_file {
  int fd;
  bool unbuffered, failed;
  size_t at, end; /* reading: at..end is unread; writing: 0..at waits */
  char buffer[BUFFER];
};

static FILE standard[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2, .unbuffered = true}};
FILE *const stdin = &standard[0];
FILE *const stdout = &standard[1];
FILE *const stderr = &standard[2];

FILE *fopen(const char *path, const char *mode) {
  int how = *mode == 'r'   ? O_RDONLY
            : *mode == 'w' ? O_WRONLY | O_CREAT | O_TRUNC
                           : O_WRONLY | O_CREAT | O_APPEND;
  int fd = open(path, how | (strchr(mode, 'e') ? O_CLOEXEC : 0), 0666);
  FILE *file = fd >= 0 ? malloc(sizeof *file) : NULL;
  if (file)
    *file = (FILE){.fd = fd};
  else if (fd >= 0)
    close(fd);
  return file;
}

/* 0, or EOF. */
static int write_out(FILE *file, const char *data, size_t size) {
  while (size > 0 && !file->failed) {
    ssize_t n = write(file->fd, data, size);
    if (n < 0 && errno != EINTR)
      file->failed = true;
    if (n > 0) {
      data += n;
      size -= (size_t)n;
    }
  }
  return file->failed ? EOF : 0;
}

int fflush(FILE *file) {
  file = file ? file : stdout;
  if (file->end > 0) /* a file that is read */
    return 0;
  int code = write_out(file, file->buffer, file->at);
  file->at = 0;
  return code;
}

int fclose(FILE *file) {
  int code = fflush(file), closed = close(file->fd);
  if (file < standard || file >= standard + 3)
    free(file);
  return code || closed ? EOF : 0;
}

size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
  const char *from = data;
  size_t left = size * n;
  if (left > BUFFER || file->unbuffered) {
    fflush(file);
    return write_out(file, from, left) ? 0 : n;
  }
  if (file->at + left > BUFFER)
    fflush(file);
  memcpy(file->buffer + file->at, from, left);
  file->at += left;
  return file->failed ? 0 : n;
}

/* Unread bytes in the buffer; 0: the end, or an error. */
static size_t fill(FILE *file) {
  if (file->at < file->end)
    return file->end - file->at;
  ssize_t n;
  do
    n = read(file->fd, file->buffer, BUFFER);
  while (n < 0 && errno == EINTR);
  file->at = 0;
  file->end = n > 0 ? (size_t)n : 0;
  return file->end;
}

size_t fread(void *data, size_t size, size_t n, FILE *file) {
  char *to = data;
  size_t left = size * n, has;
  while (left > 0 && (has = fill(file)) > 0) {
    has = has < left ? has : left;
    memcpy(to, file->buffer + file->at, has);
    file->at += has;
    to += has;
    left -= has;
  }
  return size ? (size * n - left) / size : 0;
}

char *fgets(char *line, int size, FILE *file) {
  int n = 0;
  while (n < size - 1 && fill(file) > 0) {
    char c = file->buffer[file->at++];
    line[n++] = c;
    if (c == '\n')
      break;
  }
  if (n == 0)
    return NULL;
  line[n] = '\0';
  return line;
}

int fputs(const char *text, FILE *file) {
  size_t n = strlen(text);
  return fwrite(text, 1, n, file) == n ? 0 : EOF;
}

int fputc(int c, FILE *file) {
  char byte = (char)c;
  return fwrite(&byte, 1, 1, file) == 1 ? (unsigned char)byte : EOF;
}

int putchar(int c) {
  return fputc(c, stdout);
}

int puts(const char *text) {
  return fputs(text, stdout) == EOF ? EOF : fputc('\n', stdout);
}
