/* tests/fuzz/fuzz_target.h: what fuzz targets share. A target is one function; libFuzzer's main or
 * fuzz_replay.c's calls it. The table of targets is tests/fuzz/targets.cmake. */
#ifndef NEO_TESTS_FUZZ_TARGET_H
#define NEO_TESTS_FUZZ_TARGET_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file without a name that holds the bytes: path of it until the descriptor is closed. Nothing is
 * left behind when the target crashes. -1: it could not be made. */
static inline int fuzz_file(const uint8_t *data, size_t size, char path[64]) {
  int fd = memfd_create("neo-fuzz", MFD_CLOEXEC);
  if (fd >= 0 && write(fd, data, size) != (ssize_t)size) {
    close(fd);
    return -1;
  }
  snprintf(path, 64, "/proc/self/fd/%d", fd);
  return fd;
}

static char fuzz_folder_name[256];

static inline void fuzz_folder_end(void) {
  rmdir(fuzz_folder_name);
}

/* For readers of several files: one folder for the process's life, below $TMPDIR or in memory; the
 * target leaves it empty. */
static inline const char *fuzz_folder(void) {
  const char *base = getenv("TMPDIR");
  if (fuzz_folder_name[0])
    return fuzz_folder_name;
  if (!base || !*base)
    base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(fuzz_folder_name, sizeof fuzz_folder_name, "%.200s/neo-fuzz-XXXXXX", base);
  neo_assert(mkdtemp(fuzz_folder_name));
  atexit(fuzz_folder_end);
  return fuzz_folder_name;
}

static inline bool fuzz_write(const char *name, const uint8_t *data, size_t size) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
  FILE *file = fopen(path, "wb");
  if (!file)
    return false;
  bool written = fwrite(data, 1, size, file) == size;
  return fclose(file) == 0 && written;
}

static inline void fuzz_remove(const char *name) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
  unlink(path);
}

/* Inputs of several parts: u32 little-endian sizes, then the bytes; what is missing is empty. The
 * last part is the rest. */
static inline void fuzz_parts(const uint8_t *data, size_t size, int n, const uint8_t **part,
                              size_t *length) {
  for (int i = 0; i < n; i++) {
    size_t want = size;
    if (i + 1 < n && size >= 4) {
      want = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
      data += 4;
      size -= 4;
    }
    part[i] = data;
    length[i] = want < size ? want : size;
    data += length[i];
    size -= length[i];
  }
}

/* The bytes as a text, NUL-terminated, on the heap: reads past its end are seen. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  neo_assert(text);
  if (size)
    memcpy(text, data, size);
  text[size] = '\0';
  return text;
}

#endif
