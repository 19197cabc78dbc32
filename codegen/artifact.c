/* codegen/artifact.c: the artifact directory: compiled.so (for Windows compiled.dll),
 * compiled.params, compiled_model.json, compiled.meta.
 *
 * compiled.so is linked by LLVM's linker from the kernels' objects and one object made here, which
 * holds the exported `neo_module` (neo/abi.h): the plan's bytes and a table of function pointers in
 * the plan's order. No other symbol is exported, no library is needed. How it is linked depends on
 * the operating system: one row of `linkers` each.
 *
 * compiled.params is a 64-byte header (magic "NEOPARM1", u32 version 1, u32 zero, u64 bytes, u32
 * CRC-32 of the data, zeros; little endian) and the data.
 *
 * Never half an artifact: all files are written into a sibling directory, which takes the final
 * name at the end, by an exchange where the file system can do that. A directory that holds
 * anything else than an artifact is never replaced. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <llvm-c/Core.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host.h"
#include "codegen/artifact_parts.h"
#include "codegen/llvm_machine.h"
#include "runtime/plan.h"

enum { PATH_SIZE = 1024, LINK_TIMEOUT_MS = 120000 };

static const char *const file_names[] = {"compiled.so", "compiled.dll", "compiled.params",
                                         "compiled_model.json", "compiled.meta"};

enum { MAX_OPTIONS = 12 };

typedef struct linker {
  const char *os, *library;
  const char *program[2]; /* Debian's versioned name first */
  const char *exports;    /* how the list of exports is given; NULL: option says it */
  const char *output;
  const char *option[MAX_OPTIONS];
} linker;

/* no-mmap-output-file: a full disk is an error, not SIGBUS. Hexagon's loader reads the older table
 * of symbols, which is 24 bytes for the one that is exported: not worth a row of its own. Android
 * maps libraries in pages of 16 KB on some devices, of 4 KB on others. */
static const linker linkers[] = {
    {"",
     "compiled.so",
     {"ld.lld-19", "ld.lld"},
     "--version-script=",
     "--output=",
     {"-shared", "--no-undefined", "--build-id=none", "--hash-style=both", "--no-mmap-output-file",
      "-z", "noexecstack"}},
    {"android",
     "compiled.so",
     {"ld.lld-19", "ld.lld"},
     "--version-script=",
     "--output=",
     {"-shared", "--no-undefined", "--build-id=none", "--hash-style=gnu", "--no-mmap-output-file",
      "-soname=compiled.so", "-z", "noexecstack", "-z", "max-page-size=16384", "-z",
      "common-page-size=16384"}},
    {"windows",
     "compiled.dll",
     {"lld-link-19", "lld-link"},
     NULL,
     "/out:",
     {"/dll", "/noentry", "/nologo", "/machine:x64", "/nodefaultlib", "/noimplib", "/Brepro",
      "/export:" NEO_MODULE_SYMBOL ",DATA"}},
};

static const linker *find_linker(const neo_target *target) {
  for (int k = 0; k < NEO_COUNT(linkers); k++)
    if (strcmp(linkers[k].os, target->os) == 0)
      return &linkers[k];
  return &linkers[0];
}

/* ---- the module object --------------------------------------------------------------------------- */

/* Portable C was compiled for this machine. */
static neo_target machine_target(const neo_target *target) {
  neo_target t = *target;
  if (strcmp(target->arch, "c") != 0)
    return t;
  char *triple = LLVMGetDefaultTargetTriple();
  snprintf(t.triple, sizeof t.triple, "%s", triple);
  snprintf(t.arch, sizeof t.arch, "%s", strncmp(triple, "aarch64", 7) == 0 ? "aarch64" : "x86_64");
  t.isa = 0;
  LLVMDisposeMessage(triple);
  return t;
}

static LLVMValueRef constant_global(LLVMModuleRef module, const char *name, LLVMValueRef value,
                                    unsigned align) {
  LLVMValueRef global = LLVMAddGlobal(module, LLVMTypeOf(value), name);
  LLVMSetInitializer(global, value);
  LLVMSetGlobalConstant(global, true);
  LLVMSetLinkage(global, LLVMPrivateLinkage);
  LLVMSetAlignment(global, align);
  return global;
}

/* The table of functions; null if there are none. */
static LLVMValueRef function_table(LLVMContextRef lc, LLVMModuleRef module,
                                   const neo_artifact *artifact, LLVMValueRef *entry) {
  LLVMTypeRef pointer = LLVMPointerTypeInContext(lc, 0);
  LLVMTypeRef type = LLVMFunctionType(LLVMInt32TypeInContext(lc),
                                      (LLVMTypeRef[]){pointer, pointer, pointer}, 3, false);
  if (artifact->n_functions == 0)
    return LLVMConstNull(pointer);
  for (int k = 0; k < artifact->n_functions; k++) {
    LLVMValueRef known = LLVMGetNamedFunction(module, artifact->function[k]);
    entry[k] = known ? known : LLVMAddFunction(module, artifact->function[k], type);
    LLVMSetVisibility(entry[k], LLVMHiddenVisibility);
  }
  LLVMValueRef table = LLVMConstArray2(pointer, entry, (uint64_t)artifact->n_functions);
  return constant_global(module, "functions", table, 8);
}

static void fill_module(LLVMContextRef lc, LLVMModuleRef module, const neo_artifact *artifact,
                        LLVMValueRef *entry) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(lc), i64 = LLVMInt64TypeInContext(lc);
  LLVMValueRef bytes = LLVMConstStringInContext2(lc, (const char *)artifact->plan,
                                                 artifact->plan_size, /* DontNullTerminate */ true);
  LLVMValueRef fields[] = {
      LLVMConstInt(i32, NEO_MODULE_MAGIC, false),
      LLVMConstInt(i32, NEO_ABI_VERSION, false),
      LLVMConstInt(i64, artifact->plan_size, false),
      constant_global(module, "plan", bytes, 16),
      LLVMConstInt(i64, (unsigned long long)artifact->n_functions, false),
      function_table(lc, module, artifact, entry),
  };
  LLVMValueRef value = LLVMConstStructInContext(lc, fields, NEO_COUNT(fields), false);
  LLVMValueRef global = constant_global(module, NEO_MODULE_SYMBOL, value, 8);
  LLVMSetLinkage(global, LLVMExternalLinkage);
}

static neo_status module_object(neo_ctx *ctx, const neo_target *target,
                                const neo_artifact *artifact, neo_buf *out) {
  neo_target t = machine_target(target);
  LLVMTargetMachineRef machine = NULL;
  LLVMValueRef *entry = neo_alloc(ctx, sizeof *entry * ((size_t)artifact->n_functions + 1));
  if (!entry)
    return neo_fail(ctx, NEO_NO_MEMORY, "artifact: no memory for %d functions",
                    artifact->n_functions);
  neo_status status = llvm_machine_create(ctx, &t, &machine);
  if (status == NEO_OK) {
    LLVMContextRef lc = LLVMContextCreate();
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext("module", lc);
    llvm_machine_prepare(machine, &t, module);
    fill_module(lc, module, artifact, entry);
    status = llvm_machine_emit(ctx, machine, module, LLVMObjectFile, out);
    LLVMDisposeModule(module);
    LLVMContextDispose(lc);
    LLVMDisposeTargetMachine(machine);
  }
  neo_free(ctx, entry);
  return status;
}

/* ---- linking ------------------------------------------------------------------------------------- */

static neo_status join(neo_ctx *ctx, const char *dir, const char *name, char out[PATH_SIZE]) {
  int n = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
  return n > 0 && n < PATH_SIZE
             ? NEO_OK
             : neo_fail(ctx, NEO_USAGE, "artifact: path of '%s' is too long", name);
}

static neo_status write_part(neo_ctx *ctx, const char *dir, const char *name, const void *data,
                             size_t size) {
  char path[PATH_SIZE];
  NEO_TRY(join(ctx, dir, name, path));
  return neo_file_write(ctx, path, data, size);
}

/* Objects, the linker's list of them and the list of exported symbols, all in work. */
static neo_status write_inputs(neo_ctx *ctx, const char *work, const neo_target *target,
                               const neo_artifact *artifact) {
  static const char exports[] = "{ global: " NEO_MODULE_SYMBOL "; local: *; };\n";
  neo_buf list = {0}, module = {0};
  neo_status status = module_object(ctx, target, artifact, &module);
  if (status == NEO_OK)
    status = write_part(ctx, work, "module.o", module.data, module.size);
  if (status == NEO_OK)
    status = write_part(ctx, work, "exports", exports, sizeof exports - 1);
  neo_buf_printf(&list, "\"%s/module.o\"\n", work);
  for (int k = 0; k < artifact->n_objects && status == NEO_OK; k++) {
    char name[32];
    snprintf(name, sizeof name, "%d.o", k);
    status = write_part(ctx, work, name, artifact->object[k]->bytes.data,
                        artifact->object[k]->bytes.size);
    neo_buf_printf(&list, "\"%s/%s\"\n", work, name);
  }
  if (status == NEO_OK)
    status = list.failed
                 ? neo_fail(ctx, NEO_NO_MEMORY, "artifact: no memory for the list of objects")
                 : write_part(ctx, work, "objects", list.data, list.size);
  neo_buf_fini(&list);
  neo_buf_fini(&module);
  return status;
}

static neo_status run_linker(neo_ctx *ctx, const linker *l, const char *program, const char *work) {
  char objects[PATH_SIZE], exports[PATH_SIZE], output[PATH_SIZE];
  int a = snprintf(objects, sizeof objects, "@%s/objects", work);
  int b = snprintf(exports, sizeof exports, "%s%s/exports", l->exports ? l->exports : "", work);
  int c = snprintf(output, sizeof output, "%s%s/%s", l->output, work, l->library);
  if (a >= PATH_SIZE || b >= PATH_SIZE || c >= PATH_SIZE)
    return neo_fail(ctx, NEO_USAGE, "artifact: path '%s' is too long", work);
  const char *argv[MAX_OPTIONS + 5] = {program};
  int n = 1;
  for (int k = 0; k < MAX_OPTIONS && l->option[k]; k++)
    argv[n++] = l->option[k];
  if (l->exports)
    argv[n++] = exports;
  argv[n++] = output;
  argv[n] = objects;
  neo_process_result result = {0};
  neo_ctx start;
  neo_ctx_fork(&start, ctx);
  if (neo_process_run(&start, argv, LINK_TIMEOUT_MS, &result) != NEO_OK)
    return neo_fail(ctx, NEO_UNREACHABLE, "artifact: %s", start.message);
  neo_status status = NEO_OK;
  if (result.exit_code != 0) {
    const char *text = result.output.size ? result.output.data : "no output";
    bool full = strstr(text, strerror(ENOSPC)) || strstr(text, strerror(EFBIG));
    status = neo_fail(ctx, full ? NEO_IO : NEO_INTERNAL, "artifact: %s could not write %s: %.600s",
                      program, l->library, text);
    while (ctx->message[0] && ctx->message[strlen(ctx->message) - 1] == '\n')
      ctx->message[strlen(ctx->message) - 1] = '\0';
  }
  neo_buf_fini(&result.output);
  return status;
}

/* The linker's output goes through neo_file_write, as all files of an artifact. */
static neo_status move_library(neo_ctx *ctx, const char *work, const char *dir, const char *name) {
  neo_buf bytes = {0};
  char from[PATH_SIZE];
  NEO_TRY(join(ctx, work, name, from));
  neo_status status = neo_file_read(ctx, from, 0, &bytes);
  if (status == NEO_OK)
    status = write_part(ctx, dir, name, bytes.data, bytes.size);
  neo_buf_fini(&bytes);
  return status;
}

/* NEO_UNREACHABLE of run_linker means that it could not be started. */
static neo_status link_library(neo_ctx *ctx, const char *dir, const neo_target *target,
                               const neo_artifact *artifact) {
  const linker *l = find_linker(target);
  char work[256];
  NEO_TRY(neo_dir_temp(ctx, NULL, work));
  neo_status status = write_inputs(ctx, work, target, artifact);
  if (status == NEO_OK) {
    neo_ctx attempt;
    neo_ctx_fork(&attempt, ctx);
    status = run_linker(&attempt, l, l->program[0], work);
    if (status == NEO_UNREACHABLE)
      status = run_linker(ctx, l, l->program[1], work);
    else if (status != NEO_OK)
      neo_fail(ctx, status, "%s", attempt.message);
  }
  if (status == NEO_OK)
    status = move_library(ctx, work, dir, l->library);
  neo_ctx ignored;
  neo_ctx_fork(&ignored, ctx);
  neo_dir_remove(&ignored, work);
  return status;
}

/* ---- the directory ------------------------------------------------------------------------------- */

static void put_le(uint8_t *at, uint64_t v, int bytes) {
  for (int k = 0; k < bytes; k++)
    at[k] = (uint8_t)(v >> (8 * k));
}

static neo_status write_params(neo_ctx *ctx, const char *dir, const neo_artifact *artifact) {
  size_t size = artifact->params_size;
  uint8_t *bytes = neo_alloc(ctx, NEO_PARAMS_HEADER + size);
  if (!bytes)
    return neo_fail(ctx, NEO_NO_MEMORY, "artifact: no memory for %zu bytes of parameters", size);
  memcpy(bytes, NEO_PARAMS_MAGIC, 8);
  put_le(bytes + 8, 1, 4);
  put_le(bytes + 16, size, 8);
  put_le(bytes + 24, neo_crc32(0, artifact->params, size), 4);
  if (size)
    memcpy(bytes + NEO_PARAMS_HEADER, artifact->params, size);
  neo_status status = write_part(ctx, dir, "compiled.params", bytes, NEO_PARAMS_HEADER + size);
  neo_free(ctx, bytes);
  return status;
}

static neo_status write_files(neo_ctx *ctx, const char *dir, const neo_target *target,
                              const neo_artifact *artifact) {
  NEO_TRY(link_library(ctx, dir, target, artifact));
  NEO_TRY(write_params(ctx, dir, artifact));
  NEO_TRY(artifact_write_sources(ctx, dir, artifact));
  NEO_TRY(write_part(ctx, dir, "compiled_model.json", artifact->model_json,
                     strlen(artifact->model_json)));
  return write_part(ctx, dir, "compiled.meta", artifact->meta, strlen(artifact->meta));
}

/* An artifact's file, or what neo_file_write left of one when it was killed. */
static bool is_ours(const char *name) {
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return true;
  for (int k = 0; k < NEO_COUNT(file_names); k++) {
    size_t n = strlen(file_names[k]);
    if (strncmp(name, file_names[k], n) == 0 && (!name[n] || strncmp(name + n, ".tmp.", 5) == 0))
      return true;
  }
  return false;
}

/* Absent, empty, or an artifact: nothing of the user's gets lost when it is replaced. */
static neo_status check_replaceable(neo_ctx *ctx, const char *dir, bool *out_exists) {
  DIR *d = opendir(dir);
  if (!d && errno != ENOENT)
    return neo_fail(ctx, NEO_IO, "artifact: '%s': %s", dir, strerror(errno));
  *out_exists = d != NULL;
  neo_status status = NEO_OK;
  for (struct dirent *entry; d && (entry = readdir(d)) && status == NEO_OK;)
    if (!is_ours(entry->d_name) &&
        !(strcmp(entry->d_name, ARTIFACT_SOURCES) == 0 && artifact_sources_are_ours(dir)))
      status = neo_fail(ctx, NEO_USAGE,
                        "artifact: '%s' holds '%s', which is no part of an artifact: not replaced",
                        dir, entry->d_name);
  if (d)
    closedir(d);
  return status;
}

/* Gives `fresh` the name `dir`; what was there ends up under the name fresh or is gone. */
static neo_status take_name(neo_ctx *ctx, const char *fresh, const char *dir, bool exists) {
  if (exists && renameat2(AT_FDCWD, fresh, AT_FDCWD, dir, RENAME_EXCHANGE) == 0)
    return NEO_OK;
  if (exists)
    NEO_TRY(neo_dir_remove(ctx, dir));
  if (rename(fresh, dir) != 0)
    return neo_fail(ctx, NEO_IO, "artifact: cannot rename '%s' to '%s': %s", fresh, dir,
                    strerror(errno));
  return NEO_OK;
}

static neo_status sibling(neo_ctx *ctx, const char *dir, char out[PATH_SIZE]) {
  size_t n = strlen(dir);
  while (n > 1 && dir[n - 1] == '/')
    n--;
  int written = snprintf(out, PATH_SIZE, "%.*s.tmp.%ld", (int)n, dir, (long)getpid());
  if (n == 0 || written < 0 || written >= PATH_SIZE)
    return neo_fail(ctx, NEO_USAGE, "artifact: bad directory name '%.80s'", dir);
  return NEO_OK;
}

/* Of a compile that is gone: DIR.tmp.PID of no living process, holding nothing but an artifact's
 * files. */
static bool is_stale(neo_ctx *ctx, const char *path, const char *pid) {
  neo_scan scan;
  neo_ctx quiet;
  int64_t number = 0;
  bool exists = false;
  neo_scan_init(&scan, pid);
  if (!neo_scan_int(&scan, &number) || !neo_scan_end(&scan) || number < 1 || number > INT32_MAX)
    return false;
  if (kill((pid_t)number, 0) == 0 || errno != ESRCH)
    return false;
  neo_ctx_fork(&quiet, ctx);
  return check_replaceable(&quiet, path, &exists) == NEO_OK && exists;
}

/* Removes what killed compiles to the same directory left. fresh: our own DIR.tmp.PID. */
static void remove_stale(neo_ctx *ctx, const char *fresh) {
  const char *slash = strrchr(fresh, '/');
  size_t parent = slash ? (size_t)(slash - fresh) + 1 : 0;
  size_t stem = (size_t)(strrchr(fresh, '.') - fresh) + 1 - parent;
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%.*s", (int)parent, parent ? fresh : "");
  DIR *d = opendir(parent ? path : ".");
  for (struct dirent *entry; d && (entry = readdir(d));) {
    int n = snprintf(path, sizeof path, "%.*s%s", (int)parent, fresh, entry->d_name);
    neo_ctx ignored;
    neo_ctx_fork(&ignored, ctx);
    if (n > 0 && n < PATH_SIZE && strncmp(entry->d_name, fresh + parent, stem) == 0 &&
        is_stale(ctx, path, entry->d_name + stem))
      neo_dir_remove(&ignored, path);
  }
  if (d)
    closedir(d);
}

neo_status neo_artifact_check_output(neo_ctx *ctx, const char *dir) {
  char fresh[PATH_SIZE];
  bool exists = false;
  NEO_TRY(sibling(ctx, dir, fresh));
  NEO_TRY(check_replaceable(ctx, dir, &exists));
  NEO_TRY(neo_dir_create(ctx, fresh));
  return neo_dir_remove(ctx, fresh);
}

neo_status neo_artifact_write(neo_ctx *ctx, const char *dir, const neo_target *target,
                              const neo_artifact *artifact) {
  char fresh[PATH_SIZE];
  bool exists = false;
  NEO_TRY(sibling(ctx, dir, fresh));
  NEO_TRY(check_replaceable(ctx, dir, &exists));
  remove_stale(ctx, fresh);
  NEO_TRY(neo_dir_remove(ctx, fresh));
  NEO_TRY(neo_dir_create(ctx, fresh));
  neo_status status = write_files(ctx, fresh, target, artifact);
  if (status == NEO_OK)
    status = take_name(ctx, fresh, dir, exists);
  neo_ctx ignored;
  neo_ctx_fork(&ignored, ctx);
  neo_dir_remove(&ignored, fresh);
  return status;
}
