/* codegen/sources.c: an artifact's kernels as C files, for compilers that Neo cannot start:
 * DIR/sources.
 *
 * Why: vendors' compilers run where their licence is. What comes out of them takes the place of
 * compiled.so; plan and parameters stay.
 *
 * One file a task, as the C generator prints it, and module.c, which has what the object made by
 * artifact.c has: the plan's bytes and the table of functions. How to build stands at its head. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/host.h"
#include "codegen/artifact_parts.h"

enum { PATH_SIZE = 1024, BYTES_A_LINE = 20 };

static const char module_head[] =
    "/* The kernels of a model as C11, made by Neo. To build the library that libneo_rt loads:\n"
    " *\n"
    " *   CC -std=c11 -O2 -fPIC -shared -o compiled.so *.c -lm\n"
    " *\n"
    " * with no option that lets floats be computed otherwise than written (-ffast-math, "
    "contraction).\n"
    " * compiled.so belongs beside compiled.params. Numbers are little-endian. */\n"
    "#include <stdint.h>\n\n"
    "/* As in neo/abi.h. */\n"
    "typedef struct neo_kernel_env neo_kernel_env;\n"
    "typedef int32_t (*neo_kernel_fn)(const neo_kernel_env *env, void *const *buf,\n"
    "                                 const int64_t *dim);\n"
    "typedef struct module_table {\n"
    "  uint32_t magic, abi_version;\n"
    "  uint64_t plan_size;\n"
    "  const uint8_t *plan;\n"
    "  uint64_t n_functions;\n"
    "  const neo_kernel_fn *functions;\n"
    "} module_table;\n"
    "extern const module_table " NEO_MODULE_SYMBOL ";\n\n";

static bool named_before(const neo_artifact *a, int k) {
  for (int j = 0; j < k; j++)
    if (strcmp(a->function[j], a->function[k]) == 0)
      return true;
  return false;
}

static void print_functions(neo_buf *out, const neo_artifact *a) {
  for (int k = 0; k < a->n_functions; k++)
    if (!named_before(a, k))
      neo_buf_printf(out,
                     "int32_t %s(const neo_kernel_env *env, void *const *buf, const int64_t "
                     "*dim);\n",
                     a->function[k]);
  neo_buf_text(out, "\nstatic const neo_kernel_fn functions[] = {\n");
  for (int k = 0; k < a->n_functions; k++)
    neo_buf_printf(out, "    %s,\n", a->function[k]);
  neo_buf_text(out, a->n_functions ? "};\n\n" : "    0,\n};\n\n");
}

static void print_plan(neo_buf *out, const neo_artifact *a) {
  neo_buf_text(out, "static const _Alignas(16) uint8_t plan[] = {");
  for (size_t i = 0; i < a->plan_size; i++)
    neo_buf_printf(out, "%s%u,", i % BYTES_A_LINE ? " " : "\n    ", (unsigned)a->plan[i]);
  neo_buf_text(out, a->plan_size ? "\n};\n\n" : "0};\n\n");
}

static void print_module(neo_buf *out, const neo_artifact *a) {
  neo_buf_text(out, module_head);
  print_functions(out, a);
  print_plan(out, a);
  neo_buf_printf(out,
                 "const module_table " NEO_MODULE_SYMBOL " = {0x%08xu, %uu, %zu, plan, %d, "
                 "functions};\n",
                 NEO_MODULE_MAGIC, NEO_ABI_VERSION, a->plan_size, a->n_functions);
}

static neo_status write_one(neo_ctx *ctx, const char *dir, const char *name, const neo_buf *text) {
  char path[PATH_SIZE];
  int n = snprintf(path, sizeof path, "%s/" ARTIFACT_SOURCES "/%s", dir, name);
  if (n < 0 || n >= PATH_SIZE)
    return neo_fail(ctx, NEO_USAGE, "artifact: path of '%s' is too long", name);
  return text->failed ? neo_fail(ctx, NEO_NO_MEMORY, "artifact: no memory for %s", name)
                      : neo_file_write(ctx, path, text->data, text->size);
}

neo_status artifact_write_sources(neo_ctx *ctx, const char *dir, const neo_artifact *artifact) {
  char path[PATH_SIZE];
  neo_buf module = {0};
  if (artifact->n_sources == 0)
    return NEO_OK;
  int n = snprintf(path, sizeof path, "%s/" ARTIFACT_SOURCES, dir);
  if (n < 0 || n >= PATH_SIZE)
    return neo_fail(ctx, NEO_USAGE, "artifact: directory name '%.80s' is too long", dir);
  NEO_TRY(neo_dir_create(ctx, path));
  print_module(&module, artifact);
  neo_status status = write_one(ctx, dir, "module.c", &module);
  for (int k = 0; k < artifact->n_sources && status == NEO_OK; k++) {
    char name[32];
    snprintf(name, sizeof name, "t%d.c", k);
    status = write_one(ctx, dir, name, &artifact->source[k]);
  }
  neo_buf_fini(&module);
  return status;
}

static bool is_source(const char *name) {
  size_t digits = name[0] == 't' ? strspn(name + 1, "0123456789") : 0;
  return strcmp(name, "module.c") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
         (digits > 0 && strcmp(name + 1 + digits, ".c") == 0);
}

bool artifact_sources_are_ours(const char *dir) {
  char path[PATH_SIZE];
  int n = snprintf(path, sizeof path, "%s/" ARTIFACT_SOURCES, dir);
  DIR *d = n > 0 && n < PATH_SIZE ? opendir(path) : NULL;
  bool ours = d != NULL;
  for (struct dirent *entry; d && (entry = readdir(d));)
    ours = ours && is_source(entry->d_name);
  if (d)
    closedir(d);
  return ours;
}
