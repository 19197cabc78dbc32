/* Files and directories: whole reads, atomic writes, maps, temporary directories.
 *
 * Why: artifacts and stores must never be seen half written under their final name, whatever kills
 * the process; so every write of Neo goes through neo_file_write.
 *
 * Design: write to PATH.tmp.PID, fsync, rename, fsync the directory. A crash leaves at most the
 * temporary file, never a torn one under the final name. What is no regular file is written into.
 */
#include "base/host.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static neo_status fail_errno(neo_ctx *ctx, const char *path, const char *doing) {
  return neo_fail(ctx, NEO_IO, "%s: cannot %s: %s", path, doing, strerror(errno));
}

/* Opens a regular file (or a pipe, a device) for reading; a directory is an error here already. */
static neo_status open_for_reading(neo_ctx *ctx, const char *path, int *out_fd, size_t *out_size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(ctx, path, "open");
  struct stat info;
  if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    if (S_ISDIR(info.st_mode))
      errno = EISDIR;
    neo_status status = fail_errno(ctx, path, "read");
    close(fd);
    return status;
  }
  *out_fd = fd;
  *out_size = S_ISREG(info.st_mode) ? (size_t)info.st_size : 0;
  return NEO_OK;
}

static neo_status read_all(neo_ctx *ctx, const char *path, int fd, size_t limit, neo_buf *buf) {
  char block[65536];
  for (;;) {
    ssize_t n = read(fd, block, sizeof(block));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_errno(ctx, path, "read");
    if (n == 0)
      return NEO_OK;
    neo_buf_append(buf, block, (size_t)n);
    if (buf->failed)
      return neo_fail(ctx, NEO_NO_MEMORY, "%s: out of memory after %zu bytes", path, buf->size);
    if (limit && buf->size > limit)
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: larger than the limit of %zu bytes", path, limit);
  }
}

neo_status neo_file_read(neo_ctx *ctx, const char *path, size_t limit, neo_buf *out) {
  int fd;
  size_t size;
  NEO_TRY(open_for_reading(ctx, path, &fd, &size));
  neo_buf buf = {0};
  neo_status status = NEO_OK;
  if (limit && size > limit)
    status = neo_fail(ctx, NEO_BAD_INPUT, "%s: %zu bytes, the limit is %zu", path, size, limit);
  else
    status = read_all(ctx, path, fd, limit, &buf);
  close(fd);
  neo_buf_append(&buf, "", 0);
  if (status == NEO_OK && buf.failed)
    status = neo_fail(ctx, NEO_NO_MEMORY, "%s: out of memory", path);
  if (status != NEO_OK) {
    neo_buf_fini(&buf);
    return status;
  }
  neo_buf_fini(out);
  *out = buf;
  return NEO_OK;
}

static bool write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return false;
    data += n;
    size -= (size_t)n;
  }
  return true;
}

/* Makes the rename itself durable. Some file systems refuse to sync a directory; that is no loss of
 * atomicity, so the result is not looked at. */
static void sync_parent(const char *path) {
  char parent[PATH_MAX];
  snprintf(parent, sizeof(parent), "%s", path);
  char *slash = strrchr(parent, '/');
  if (slash == parent)
    slash[1] = '\0';
  else if (slash)
    *slash = '\0';
  int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  (void)fsync(fd);
  close(fd);
}

/* A device or a pipe: a rename would put a file in its place. */
static bool is_special(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static neo_status write_into(neo_ctx *ctx, const char *path, const void *data, size_t size) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(ctx, path, "open");
  bool written = write_all(fd, data, size);
  int error = errno;
  if (close(fd) != 0 && written) {
    written = false;
    error = errno;
  }
  errno = error;
  return written ? NEO_OK : fail_errno(ctx, path, "write");
}

neo_status neo_file_write(neo_ctx *ctx, const char *path, const void *data, size_t size) {
  char temp[PATH_MAX];
  if (is_special(path))
    return write_into(ctx, path, data, size);
  int length = snprintf(temp, sizeof(temp), "%s.tmp.%ld", path, (long)getpid());
  if (length < 0 || (size_t)length >= sizeof(temp))
    return neo_fail(ctx, NEO_IO, "%.80s...: path is longer than %d bytes", path, PATH_MAX);
  int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0)
    return fail_errno(ctx, path, "create");
  bool written = write_all(fd, data, size) && fsync(fd) == 0;
  int error = errno;
  if (close(fd) != 0 && written) {
    written = false;
    error = errno;
  }
  if (written && rename(temp, path) != 0) {
    written = false;
    error = errno;
  }
  if (!written) {
    unlink(temp);
    errno = error;
    return fail_errno(ctx, path, "write");
  }
  sync_parent(path);
  return NEO_OK;
}

static bool is_directory(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

neo_status neo_dir_create(neo_ctx *ctx, const char *path) {
  char part[PATH_MAX];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof(part))
    return neo_fail(ctx, NEO_IO, "'%.80s': not a usable directory name", path);
  for (size_t i = 1; i <= length; i++) {
    if (path[i] != '/' && path[i] != '\0')
      continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (mkdir(part, 0777) == 0)
      continue;
    int error = errno; /* stat leaves its own */
    if (is_directory(part))
      continue;
    errno = error == EEXIST ? ENOTDIR : error;
    return fail_errno(ctx, part, "create the directory");
  }
  return NEO_OK;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk) {
  (void)info, (void)type, (void)walk;
  return remove(path);
}

neo_status neo_dir_remove(neo_ctx *ctx, const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0)
    return errno == ENOENT ? NEO_OK : fail_errno(ctx, path, "remove");
  if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
    return fail_errno(ctx, path, "remove");
  return NEO_OK;
}

neo_status neo_dir_temp(neo_ctx *ctx, const char *base, char out[256]) {
  char path[256];
  int length = snprintf(path, sizeof(path), "%s/neo-XXXXXX", base ? base : "/tmp");
  if (length < 0 || (size_t)length >= sizeof(path))
    return neo_fail(ctx, NEO_IO, "%.80s...: too long for a temporary directory", base);
  if (!mkdtemp(path))
    return fail_errno(ctx, path, "create the directory");
  memcpy(out, path, (size_t)length + 1);
  return NEO_OK;
}

bool neo_file_exists(const char *path) {
  return access(path, F_OK) == 0;
}

bool neo_dir_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

neo_status neo_file_map(neo_ctx *ctx, const char *path, neo_mapping *out) {
  int fd;
  size_t size;
  NEO_TRY(open_for_reading(ctx, path, &fd, &size));
  static const uint8_t nothing[1]; /* so that ranges of an empty file are ranges */
  const void *data = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : nothing;
  neo_status status = data == MAP_FAILED ? fail_errno(ctx, path, "map") : NEO_OK;
  close(fd);
  if (status == NEO_OK)
    *out = (neo_mapping){.data = data, .size = size};
  return status;
}

void neo_file_unmap(neo_mapping *mapping) {
  if (mapping->size)
    munmap((void *)(uintptr_t)mapping->data, mapping->size);
  *mapping = (neo_mapping){0};
}

void neo_file_idle(const neo_mapping *mapping) {
  if (mapping->size)
    madvise((void *)(uintptr_t)mapping->data, mapping->size, MADV_DONTNEED);
}
