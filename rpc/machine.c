/* The operating system at the ends of a network: see machine.h. For Windows: windows/. */
#include "rpc/machine.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

bool neo_machine_random(void *out, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t n = getrandom((char *)out + at, size - at, 0);
    if (n < 0 && errno != EINTR)
      return false;
    at += n > 0 ? (size_t)n : 0;
  }
  return true;
}

neo_status neo_machine_open_private(neo_ctx *ctx, const char *path, FILE **out) {
  struct stat info;
  FILE *file = fopen(path, "re");
  neo_status status = NEO_OK;
  if (!file || fstat(fileno(file), &info) != 0)
    status = neo_fail(ctx, NEO_USAGE, "key file %s: %s", path, strerror(errno));
  else if (info.st_mode & (S_IRWXG | S_IRWXO))
    status = neo_fail(ctx, NEO_USAGE, "key file %s may be read by others: chmod 600", path);
  if (status == NEO_OK)
    *out = file;
  else if (file)
    fclose(file);
  return status;
}
