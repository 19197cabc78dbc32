/* codegen/cuda_nvrtc.c: CUDA C to cubins and PTX by NVRTC, loaded at run time.
 *
 * Why no header: Neo is built where there is no CUDA; the few functions are declared here as
 * NVRTC's documentation has them. The library is looked for beside the programs, in ../lib of the
 * one that runs, where scripts/nvrtc.sh puts it, then as the system does. It is loaded once and
 * stays. */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "codegen/cuda_nvrtc.h"

typedef struct nvrtc_program *nvrtc_program;

/* X(name without nvrtc, parameters); all return 0 or an error */
#define FUNCTIONS(X)                                                                               \
  X(CreateProgram,                                                                                 \
    (nvrtc_program *, const char *, const char *, int, const char *const *, const char *const *))  \
  X(CompileProgram, (nvrtc_program, int, const char *const *))                                     \
  X(GetProgramLogSize, (nvrtc_program, size_t *))                                                  \
  X(GetProgramLog, (nvrtc_program, char *))                                                        \
  X(GetPTXSize, (nvrtc_program, size_t *))                                                         \
  X(GetPTX, (nvrtc_program, char *))                                                               \
  X(GetCUBINSize, (nvrtc_program, size_t *))                                                       \
  X(GetCUBIN, (nvrtc_program, char *))                                                             \
  X(DestroyProgram, (nvrtc_program *))

typedef struct nvrtc {
  bool loaded;
#define X(name, parameters) int(*name) parameters;
  FUNCTIONS(X)
#undef X
} nvrtc;

enum { UNKNOWN_OPTION = 5, BAD_OPTION = 4 };

static void *open_beside_programs(const char *name) {
  char path[600];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
  char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
  if (!slash)
    return NULL;
  snprintf(slash, 64, "/../lib/%s", name);
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static bool load(nvrtc *out) {
  static const char *const names[] = {"libnvrtc.so.12", "libnvrtc.so", "libnvrtc.so.13"};
  void *library = open_beside_programs(names[0]);
  for (int k = 0; k < NEO_COUNT(names) && !library; k++)
    library = dlopen(names[k], RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return false;
#define X(name, parameters)                                                                        \
  *(void **)&out->name = dlsym(library, "nvrtc" #name);                                            \
  if (!out->name)                                                                                  \
    return false;
  FUNCTIONS(X)
#undef X
  return true;
}

/* The functions; NULL: not installed. */
static const nvrtc *library(void) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static nvrtc functions;
  static bool tried;
  pthread_mutex_lock(&mutex);
  if (!tried)
    functions.loaded = load(&functions);
  tried = true;
  pthread_mutex_unlock(&mutex);
  return functions.loaded ? &functions : NULL;
}

static neo_status fail_compile(neo_ctx *ctx, const nvrtc *f, nvrtc_program program, int code,
                               const char *model) {
  size_t size = 0;
  char *log = f->GetProgramLogSize(program, &size) == 0 && size < (1 << 20)
                  ? neo_alloc(ctx, size + 1)
                  : NULL;
  if (log && f->GetProgramLog(program, log) != 0)
    log[0] = '\0';
  bool option = code == UNKNOWN_OPTION || code == BAD_OPTION;
  neo_status status =
      neo_fail(ctx, option ? NEO_UNSUPPORTED : NEO_INTERNAL,
               "cuda: NVRTC failed with %d for %s: %.400s", code, model, log ? log : "");
  neo_free(ctx, log);
  return status;
}

static neo_status take_result(neo_ctx *ctx, const nvrtc *f, nvrtc_program program, bool ptx,
                              neo_buf *out) {
  size_t size = 0;
  int code = ptx ? f->GetPTXSize(program, &size) : f->GetCUBINSize(program, &size);
  char *bytes = code == 0 && size > 0 ? neo_alloc(ctx, size) : NULL;
  if (bytes)
    code = ptx ? f->GetPTX(program, bytes) : f->GetCUBIN(program, bytes);
  if (bytes && code == 0)
    neo_buf_append(out, bytes, size);
  neo_free(ctx, bytes);
  return bytes && code == 0 && !out->failed
             ? NEO_OK
             : neo_fail(ctx, NEO_INTERNAL, "cuda: NVRTC gave no code (%d)", code);
}

neo_status cuda_nvrtc_compile(neo_ctx *ctx, const char *source, const char *model, neo_buf *out) {
  const nvrtc *f = library();
  nvrtc_program program = NULL;
  char architecture[64];
  if (!f)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "cuda: libnvrtc.so.12 is not installed; scripts/nvrtc.sh fetches it");
  if (strncmp(model, "sm_", 3) != 0 && strncmp(model, "compute_", 8) != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "cuda: '%s' is no architecture: sm_NN or compute_NN",
                    model);
  snprintf(architecture, sizeof architecture, "--gpu-architecture=%s", model);
  const char *const options[] = {architecture, "--fmad=false",
                                 "--device-as-default-execution-space", "--std=c++17"};
  int code = f->CreateProgram(&program, source, "nest.cu", 0, NULL, NULL);
  if (code)
    return neo_fail(ctx, NEO_INTERNAL, "cuda: nvrtcCreateProgram failed with %d", code);
  code = f->CompileProgram(program, NEO_COUNT(options), options);
  neo_status status = code ? fail_compile(ctx, f, program, code, model)
                           : take_result(ctx, f, program, model[0] == 'c', out);
  f->DestroyProgram(&program);
  return status;
}
