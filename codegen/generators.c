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

void neo_codegen_visit(void (*fn)(void *self, const neo_codegen *codegen), void *self) {
  for (int k = 0; k < NEO_COUNT(rows); k++)
    fn(self, rows[k]);
}
