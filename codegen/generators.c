/* codegen/generators.c: the table of code generators (generators.def). */
#include "codegen/codegen.h"

#include <string.h>

#define X(name) extern const neo_codegen neo_codegen_##name;
#include "codegen/generators.def"
#undef X

static const neo_codegen *const rows[] = {
#define X(name) &neo_codegen_##name,
#include "codegen/generators.def"
#undef X
};

const neo_codegen *neo_codegen_find(const char *name) {
  for (int k = 0; k < NEO_COUNT(rows); k++)
    if (strcmp(rows[k]->name, name) == 0)
      return rows[k];
  return NULL;
}

neo_status neo_codegen_choose(neo_ctx *ctx, const char *name, const neo_target *target,
                              const neo_codegen **out) {
  neo_buf names = {0};
  if (!name)
    name = neo_target_is_gpu(target) ? target->gpu.api : "llvm";
  *out = neo_codegen_find(name);
  for (int k = 0; !*out && k < NEO_COUNT(rows); k++)
    neo_buf_printf(&names, " %s", rows[k]->name);
  neo_status status = *out ? NEO_OK
                           : neo_fail(ctx, NEO_USAGE, "code generator '%.40s' is not known; use%s",
                                      name, names.data ? names.data : " another");
  neo_buf_fini(&names);
  return status;
}

void neo_codegen_visit(void (*fn)(void *self, const neo_codegen *codegen), void *self) {
  for (int k = 0; k < NEO_COUNT(rows); k++)
    fn(self, rows[k]);
}
