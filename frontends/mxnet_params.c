/* frontends/mxnet_params.c: MXNet's parameter files.
 *
 * Little endian. u64 0x112, u64 0, u64 n, n arrays, u64 n, n names (u64 length, bytes; "arg:" or
 * "aux:" in front but for files of Gluon's save_parameters). array of 1.x:  u32 0xF993FAC9, i32
 * storage type (0: dense), u32 ndim, i64 dims[ndim], rest 1.x with NumPy shapes: 0xF993FACA, the
 * same 0.11: u32 0xF993FAC8, u32 ndim, i64 dims[ndim], rest 0.9:  u32 ndim, u32 dims[ndim], rest
 *   rest: i32 device type, i32 device number, i32 element type, data. ndim 0 in files before 1.x's
 * NumPy shapes is an absent array: nothing follows. */
#include "frontends/mxnet_import.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAGIC 0x112
#define V1_MAGIC 0xF993FAC8u
#define V2_MAGIC 0xF993FAC9u
#define V3_MAGIC 0xF993FACAu

/* ---- which file ----------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* Epoch of "PREFIX-EPOCH.params", else -1. */
static int64_t epoch_of(const char *file, const char *prefix, size_t length) {
  int64_t epoch = 0;
  if (strncmp(file, prefix, length) != 0 || file[length] != '-' || !ends_with(file, ".params"))
    return -1;
  const char *at = file + length + 1;
  if (*at < '0' || *at > '9')
    return -1;
  for (; *at >= '0' && *at <= '9' && epoch < 1000000000; at++)
    epoch = epoch * 10 + (*at - '0');
  return strcmp(at, ".params") == 0 ? epoch : -1;
}

typedef struct found {
  char best[256], only[256], like[256];
  int64_t epoch;
  int n_epochs, n_params, n_like;
} found;

/* Does it begin as a list of arrays? */
static bool looks_like(DIR *dir, const char *file) {
  uint8_t head[16] = {0};
  struct stat info;
  int fd = openat(dirfd(dir), file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return false;
  bool whole = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
               read(fd, head, sizeof head) == (ssize_t)sizeof head;
  close(fd);
  neo_reader r = {.data = head, .size = sizeof head};
  return whole && neo_read_u64le(&r) == LIST_MAGIC && neo_read_u64le(&r) == 0;
}

static void look_through(DIR *dir, const char *prefix, size_t length, found *f) {
  for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    const char *file = entry->d_name;
    if (strlen(file) >= sizeof f->best)
      continue;
    if (!ends_with(file, ".params")) {
      if (looks_like(dir, file)) {
        f->n_like++;
        snprintf(f->like, sizeof f->like, "%s", file);
      }
      continue;
    }
    f->n_params++;
    snprintf(f->only, sizeof f->only, "%s", file);
    int64_t epoch = epoch_of(file, prefix, length);
    f->n_epochs += epoch >= 0;
    if (epoch > f->epoch) {
      f->epoch = epoch;
      snprintf(f->best, sizeof f->best, "%s", file);
    }
  }
}

bool mx_params_find(neo_ctx *ctx, const char *symbol, char *out, size_t size) {
  const char *slash = strrchr(symbol, '/'), *name = slash ? slash + 1 : symbol;
  size_t length = strlen(name);
  char folder[4096];
  found f = {.epoch = -1};
  if (ends_with(name, "-symbol.json"))
    length -= strlen("-symbol.json");
  else if (ends_with(name, ".json"))
    length -= strlen(".json");
  if ((size_t)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - symbol) : 1,
                       slash ? symbol : ".") >= sizeof folder)
    return false;
  DIR *dir = opendir(*folder ? folder : "/");
  if (!dir)
    return false;
  look_through(dir, name, length, &f);
  closedir(dir);
  const char *file = f.n_epochs > 0                     ? f.best
                     : f.n_params == 1                  ? f.only
                     : f.n_params == 0 && f.n_like == 1 ? f.like
                                                        : NULL;
  if (!file)
    return false;
  if (f.n_epochs > 1)
    neo_log(ctx, NEO_LOG_WARN, "mxnet: %d parameter files belong to '%s'; taking the newest, %s",
            f.n_epochs, name, file);
  return (size_t)snprintf(out, size, "%s/%s", folder, file) < size;
}

/* ---- arrays ---------------------------------------------------------------------------------------- */

typedef struct reading {
  neo_ctx *ctx;
  const char *path;
  neo_reader r;
  neo_arena *arena;
} reading;

static neo_status damaged(reading *in, const char *what) {
  return neo_fail(in->ctx, NEO_BAD_INPUT, "mxnet: %s: %s at byte %zu", in->path, what, in->r.at);
}

static neo_status read_shape(reading *in, uint32_t ndim, bool wide, neo_shape *out) {
  if (ndim > NEO_MAX_RANK)
    return damaged(in, "an array of more than 8 dimensions");
  out->rank = (int)ndim;
  for (uint32_t d = 0; d < ndim; d++) {
    out->dim[d] = wide ? (int64_t)neo_read_u64le(&in->r) : (int64_t)neo_read_u32le(&in->r);
    if (out->dim[d] < 0)
      return damaged(in, "a negative dimension");
  }
  return NEO_OK;
}

static neo_status read_array(reading *in, neo_tensor *out) {
  neo_shape shape = {0};
  int64_t n;
  size_t size;
  uint32_t magic = neo_read_u32le(&in->r);
  bool numpy = magic == V3_MAGIC, wide = numpy || magic == V2_MAGIC || magic == V1_MAGIC;
  *out = (neo_tensor){0};
  if ((numpy || magic == V2_MAGIC) && neo_read_u32le(&in->r) != 0)
    return neo_fail(in->ctx, NEO_UNSUPPORTED, "mxnet: %s: a sparse array at byte %zu", in->path,
                    in->r.at);
  NEO_TRY(read_shape(in, wide ? neo_read_u32le(&in->r) : magic, wide, &shape));
  if (shape.rank == 0 && !numpy)
    return in->r.failed ? damaged(in, "the end of the file") : NEO_OK;
  neo_read_u64le(&in->r); /* device */
  neo_dtype dtype = mx_dtype_flag((int32_t)neo_read_u32le(&in->r));
  if (in->r.failed)
    return damaged(in, "the end of the file");
  if (dtype == NEO_DTYPE_COUNT)
    return damaged(in, "an unknown element type");
  if (!neo_shape_elements(&shape, &n) || !neo_mul_size((size_t)n, neo_dtype_size(dtype), &size))
    return damaged(in, "an array that is too large");
  const uint8_t *data = neo_read_bytes(&in->r, size);
  if (!data)
    return damaged(in, "an array that goes beyond the end");
  *out = (neo_tensor){dtype, shape, (void *)(uintptr_t)data, size};
  if (size == 0 || (uintptr_t)data % neo_dtype_size(dtype) != 0) {
    out->data = neo_arena_alloc(in->arena, size + 16);
    memcpy(out->data, data, size);
  }
  return NEO_OK;
}

static neo_status read_name(reading *in, mx_params *out, neo_tensor *tensor) {
  uint64_t length = neo_read_u64le(&in->r);
  const uint8_t *text = length < 4096 ? neo_read_bytes(&in->r, (size_t)length) : NULL;
  if (!text)
    return damaged(in, "a damaged name");
  const char *name = neo_arena_strndup(in->arena, (const char *)text, (size_t)length);
  if (strncmp(name, "arg:", 4) == 0 || strncmp(name, "aux:", 4) == 0)
    name += 4;
  if (tensor->data && !neo_map_put(&out->tensors, name, tensor))
    return neo_fail(in->ctx, NEO_NO_MEMORY, "mxnet: out of memory");
  return NEO_OK;
}

static neo_status read_all(reading *in, mx_params *out) {
  uint64_t magic = neo_read_u64le(&in->r);
  neo_read_u64le(&in->r);
  uint64_t n = neo_read_u64le(&in->r);
  if (in->r.failed || magic != LIST_MAGIC)
    return neo_fail(in->ctx, NEO_BAD_INPUT, "mxnet: %s: not a parameter file", in->path);
  if (n > in->r.size / 8)
    return damaged(in, "more arrays than the file can hold");
  neo_tensor *tensors = neo_arena_alloc(in->arena, sizeof *tensors * ((size_t)n + 1));
  for (uint64_t i = 0; i < n; i++)
    NEO_TRY(read_array(in, &tensors[i]));
  if (neo_read_u64le(&in->r) != n)
    return damaged(in, "as many names as arrays expected");
  for (uint64_t i = 0; i < n; i++)
    NEO_TRY(read_name(in, out, &tensors[i]));
  return NEO_OK;
}

neo_status mx_params_read(neo_ctx *ctx, const char *path, neo_arena *arena, mx_params *out) {
  NEO_TRY(neo_file_map(ctx, path, &out->file));
  reading in = {ctx, path, {.data = out->file.data, .size = out->file.size}, arena};
  return read_all(&in, out);
}
