/* tests/runtime/cuda/fake_cuda.c: a libcuda.so.1 that has no device but checks every argument of
 * every call: initialisation, handles, the current context, ranges of memory, launch bounds,
 * parameters. What is wrong is counted and told on stderr; fake_cuda_report says how much, and what
 * is left over.
 *
 * Memory is the process's own, at addresses that nothing else has, so it can be told from the
 * host's. A module's image is text: "FAKE\n", then a line "NAME ITEMS BUFFERS OP" per kernel. A
 * launch of OP `add` computes, for element e = group * ITEMS + item, buffer 2 = buffer 0 + buffer 1
 * in floats; `late` does, too, and writes one more in the eighth launch of all; `fail` returns an
 * error. Cubins and PTX load, too: their kernels compute nothing, and of their parameters only the
 * first two are looked at, since nobody here knows how many there are. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_CONTEXT = 201 };
enum { INVALID_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719 };
enum { MAX = 4096, DEVICE = 7, MOST_BYTES = 1 << 28 };

typedef struct block {
  uint64_t at;
  size_t size;
  char *data;
} block;

enum { UNKNOWN_ITEMS = 0 };

typedef struct module module;
typedef struct function {
  module *of;
  char name[64], op[16];
  unsigned items, buffers; /* 0: not known */
  struct function *next;
} function;

struct module {
  int opaque; /* a cubin or PTX */
  function *functions;
  module *next;
};

static int violations, initialized, retained, n_blocks, launches;
static char context[16];
static void *current;
static block blocks[MAX];
static uint64_t next_address = UINT64_C(0x7f0000000000);
static module *modules;

static int wrong(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("fake cuda: ", stderr);
  vfprintf(stderr, format, args);
  fputs("\n", stderr);
  va_end(args);
  violations++;
  return code;
}

static int need_context(const char *call) {
  if (!initialized)
    return wrong(NOT_INITIALIZED, "%s before cuInit", call);
  if (!retained || current != context)
    return wrong(INVALID_CONTEXT, "%s without a current context", call);
  return 0;
}

/* The block that has all of [at, at + size). */
static block *find(uint64_t at, size_t size) {
  for (int i = 0; i < n_blocks; i++)
    if (at >= blocks[i].at && at - blocks[i].at <= blocks[i].size &&
        size <= blocks[i].size - (at - blocks[i].at))
      return &blocks[i];
  return NULL;
}

static char *host_of(uint64_t at, size_t size, const char *call) {
  block *b = size ? find(at, size) : NULL;
  if (b)
    return b->data + (at - b->at);
  wrong(0, "%s: %zu bytes at %llx are in no block", call, size, (unsigned long long)at);
  return NULL;
}

/* FAKE_CUDA_MEET=FILE: drivers hang until MEETING of them have appended a byte to it. */
static void meet(const char *path) {
  enum { MEETING = 3 };
  const struct timespec pause = {0, 1000000};
  struct stat file = {0};
  FILE *sign = path ? fopen(path, "a") : NULL;
  if (!sign)
    return;
  fputc('x', sign);
  fclose(sign);
  while (stat(path, &file) == 0 && file.st_size < MEETING)
    nanosleep(&pause, NULL);
}

/* ---- devices and contexts ---------------------------------------------------------------------- */

int cuInit(unsigned flags);
int cuInit(unsigned flags) {
  if (flags)
    return wrong(INVALID_VALUE, "cuInit: flags %u", flags);
  meet(getenv("FAKE_CUDA_MEET"));
  initialized = 1;
  return 0;
}

int cuDeviceGetCount(int *count);
int cuDeviceGetCount(int *count) {
  if (!initialized || !count)
    return wrong(NOT_INITIALIZED, "cuDeviceGetCount");
  *count = 1;
  return 0;
}

int cuDeviceGet(int *device, int ordinal);
int cuDeviceGet(int *device, int ordinal) {
  if (!initialized || !device || ordinal != 0)
    return wrong(INVALID_VALUE, "cuDeviceGet: ordinal %d", ordinal);
  *device = DEVICE;
  return 0;
}

int cuDeviceGetName(char *name, int size, int device);
int cuDeviceGetName(char *name, int size, int device) {
  if (!name || size < 2 || device != DEVICE)
    return wrong(INVALID_VALUE, "cuDeviceGetName: device %d, %d bytes", device, size);
  snprintf(name, (size_t)size, "no device at all");
  return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (!value || device != DEVICE || (attribute != 75 && attribute != 76))
    return wrong(INVALID_VALUE, "cuDeviceGetAttribute: %d of device %d", attribute, device);
  *value = attribute == 75 ? 7 : 5;
  return 0;
}

int cuDriverGetVersion(int *version);
int cuDriverGetVersion(int *version) {
  if (!version)
    return wrong(INVALID_VALUE, "cuDriverGetVersion");
  *version = 12040;
  return 0;
}

int cuDevicePrimaryCtxRetain(void **out, int device);
int cuDevicePrimaryCtxRetain(void **out, int device) {
  if (!initialized || !out || device != DEVICE)
    return wrong(INVALID_VALUE, "cuDevicePrimaryCtxRetain: device %d", device);
  retained++;
  *out = context;
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int device);
int cuDevicePrimaryCtxRelease_v2(int device) {
  if (device != DEVICE || retained < 1)
    return wrong(INVALID_VALUE, "cuDevicePrimaryCtxRelease: device %d", device);
  retained--;
  current = retained ? current : NULL;
  return 0;
}

int cuCtxSetCurrent(void *given);
int cuCtxSetCurrent(void *given) {
  if (given != context || !retained)
    return wrong(INVALID_CONTEXT, "cuCtxSetCurrent: no such context");
  current = given;
  return 0;
}

int cuCtxSynchronize(void);
int cuCtxSynchronize(void) {
  return need_context("cuCtxSynchronize");
}

/* ---- memory ------------------------------------------------------------------------------------ */

int cuMemAlloc_v2(uint64_t *out, size_t bytes);
int cuMemAlloc_v2(uint64_t *out, size_t bytes) {
  int code = need_context("cuMemAlloc");
  if (code)
    return code;
  if (!out || bytes == 0)
    return wrong(INVALID_VALUE, "cuMemAlloc: %zu bytes", bytes);
  char *data = bytes <= MOST_BYTES && n_blocks < MAX ? malloc(bytes) : NULL;
  if (!data)
    return OUT_OF_MEMORY;
  memset(data, 0xa5, bytes);
  blocks[n_blocks++] = (block){next_address, bytes, data};
  *out = next_address;
  next_address += (bytes + 511) / 512 * 512 + 4096; /* nothing lies behind a block */
  return 0;
}

int cuMemFree_v2(uint64_t at);
int cuMemFree_v2(uint64_t at) {
  int code = need_context("cuMemFree");
  for (int i = 0; !code && i < n_blocks; i++)
    if (blocks[i].at == at) {
      free(blocks[i].data);
      blocks[i] = blocks[--n_blocks];
      return 0;
    }
  return code ? code : wrong(INVALID_VALUE, "cuMemFree: %llx is no block", (unsigned long long)at);
}

int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes);
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  int code = need_context("cuMemcpyHtoD");
  char *host = code ? NULL : host_of(to, bytes, "cuMemcpyHtoD");
  if (!host || !from || find((uint64_t)(uintptr_t)from, 1))
    return code ? code : wrong(INVALID_VALUE, "cuMemcpyHtoD");
  memcpy(host, from, bytes);
  return 0;
}

int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes);
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  int code = need_context("cuMemcpyDtoH");
  char *host = code ? NULL : host_of(from, bytes, "cuMemcpyDtoH");
  if (!host || !to || find((uint64_t)(uintptr_t)to, 1))
    return code ? code : wrong(INVALID_VALUE, "cuMemcpyDtoH");
  memcpy(to, host, bytes);
  return 0;
}

int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes);
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  int code = need_context("cuMemcpyDtoD");
  char *a = code ? NULL : host_of(to, bytes, "cuMemcpyDtoD");
  char *b = a ? host_of(from, bytes, "cuMemcpyDtoD") : NULL;
  if (!b)
    return code ? code : INVALID_VALUE;
  if (a < b + bytes && b < a + bytes)
    return wrong(INVALID_VALUE, "cuMemcpyDtoD: the two overlap");
  memcpy(a, b, bytes);
  return 0;
}

/* ---- modules ----------------------------------------------------------------------------------- */

static void add_functions(module *m, const char *text) {
  for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
    function f = {.of = m, .next = m->functions};
    char items[16], buffers[16];
    size_t at = 1, n;
    char *field[4] = {f.name, items, buffers, f.op};
    const size_t room[4] = {sizeof f.name, sizeof items, sizeof buffers, sizeof f.op};
    for (int k = 0; k < 4; k++) {
      n = strcspn(line + at, " \n");
      n = n < room[k] ? n : room[k] - 1;
      memcpy(field[k], line + at, n);
      field[k][n] = '\0';
      at += n + (line[at + n] == ' ');
    }
    f.items = (unsigned)strtoul(items, NULL, 10);
    f.buffers = (unsigned)strtoul(buffers, NULL, 10);
    m->functions = malloc(sizeof f);
    *m->functions = f;
  }
}

int cuModuleLoadData(void **out, const void *image);
int cuModuleLoadData(void **out, const void *image) {
  int code = need_context("cuModuleLoadData");
  if (code || !out || !image)
    return code ? code : wrong(INVALID_VALUE, "cuModuleLoadData: NULL");
  const char *text = image;
  int fake = strncmp(text, "FAKE\n", 5) == 0, elf = memcmp(text, "\177ELF", 4) == 0;
  if (!fake && !elf && !strstr(text, ".version"))
    return INVALID_IMAGE;
  module *m = calloc(1, sizeof *m);
  m->opaque = !fake;
  if (fake)
    add_functions(m, text);
  m->next = modules;
  modules = m;
  *out = m;
  return 0;
}

static int is_module(const module *m) {
  for (const module *k = modules; k; k = k->next)
    if (k == m)
      return 1;
  return 0;
}

int cuModuleUnload(void *given);
int cuModuleUnload(void *given) {
  int code = need_context("cuModuleUnload");
  for (module **at = &modules; !code && *at; at = &(*at)->next)
    if (*at == given) {
      module *m = *at;
      *at = m->next;
      for (function *f = m->functions, *next; f; f = next) {
        next = f->next;
        free(f);
      }
      free(m);
      return 0;
    }
  return code ? code : wrong(INVALID_VALUE, "cuModuleUnload: no such module");
}

int cuModuleGetFunction(void **out, void *given, const char *name);
int cuModuleGetFunction(void **out, void *given, const char *name) {
  int code = need_context("cuModuleGetFunction");
  if (code || !out || !name || !is_module(given))
    return code ? code : wrong(INVALID_VALUE, "cuModuleGetFunction");
  for (function *f = ((module *)given)->functions; f; f = f->next)
    if (strcmp(f->name, name) == 0) {
      *out = f;
      return 0;
    }
  if (!((module *)given)->opaque)
    return NOT_FOUND;
  function *made = calloc(1, sizeof *made);
  *made = (function){.of = given,
                     .op = "none",
                     .items = UNKNOWN_ITEMS,
                     .buffers = 1,
                     .next = ((module *)given)->functions};
  snprintf(made->name, sizeof made->name, "%s", name);
  ((module *)given)->functions = made;
  *out = made;
  return 0;
}

static const function *find_function(const void *given) {
  for (const module *m = modules; m; m = m->next)
    for (const function *f = m->functions; f; f = f->next)
      if (f == given)
        return f;
  return NULL;
}

static int run(const function *f, unsigned groups, void **params) {
  float *data[3];
  size_t bytes = (size_t)groups * f->items * sizeof(float);
  int late = strcmp(f->op, "late") == 0, adds = late || strcmp(f->op, "add") == 0;
  if (strcmp(f->op, "fail") == 0)
    return LAUNCH_FAILED;
  for (unsigned k = 0; k < f->buffers; k++) {
    uint64_t at = *(const uint64_t *)params[2 * k], offset = *(const uint64_t *)params[2 * k + 1];
    block *b = find(at, 0);
    if (!b || b->at != at)
      return wrong(INVALID_VALUE, "cuLaunchKernel: argument %u is no block", k);
    if (offset > b->size)
      return wrong(INVALID_VALUE, "cuLaunchKernel: argument %u is beyond its block", k);
    if (k < 3 && adds &&
        !(data[k] = (float *)(void *)host_of(at + offset, bytes, "cuLaunchKernel")))
      return INVALID_VALUE;
  }
  for (size_t e = 0; adds && e < bytes / sizeof(float); e++)
    data[2][e] = data[0][e] + data[1][e];
  if (late && launches == 8)
    data[2][bytes / sizeof(float)] = 1.0f;
  return 0;
}

/* As the driver has them. */
#define LAUNCH_PARAMETERS                                                                          \
  void *given, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,       \
      unsigned shared, void *stream, void **params, void **extra

int cuLaunchKernel(LAUNCH_PARAMETERS);
int cuLaunchKernel(LAUNCH_PARAMETERS) {
  int code = need_context("cuLaunchKernel");
  const function *f = code ? NULL : find_function(given);
  if (!f)
    return code ? code : wrong(INVALID_VALUE, "cuLaunchKernel: no such function");
  if (gx < 1 || gx > INT32_MAX || gy != 1 || gz != 1 || by != 1 || bz != 1 ||
      (f->items != UNKNOWN_ITEMS && bx != f->items))
    return wrong(INVALID_VALUE, "cuLaunchKernel: %ux%ux%u groups of %ux%ux%u", gx, gy, gz, bx, by,
                 bz);
  if (bx < 1 || bx > 1024 || shared || stream || extra || !params)
    return wrong(INVALID_VALUE, "cuLaunchKernel: shared memory, a stream, extra or no parameters");
  for (unsigned k = 0; k < 2 * f->buffers; k++)
    if (!params[k])
      return wrong(INVALID_VALUE, "cuLaunchKernel: parameter %u is missing", k);
  launches++;
  return run(f, gx, params);
}

/* ---- for tests --------------------------------------------------------------------------------- */

void fake_cuda_report(int *out_violations, int *out_left, int *out_launches);
void fake_cuda_report(int *out_violations, int *out_left, int *out_launches) {
  *out_violations = violations;
  *out_left = n_blocks + retained + (modules != NULL);
  *out_launches = launches;
}
