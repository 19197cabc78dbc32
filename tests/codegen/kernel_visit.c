/* tests/codegen/kernel_visit.c: the kernels that this machine can run. */
#include <string.h>

#include "tests/codegen/kernel_case.h"

#ifndef KERNEL_CASE_API
#define KERNEL_CASE_API ""
#endif
static const char api[] = KERNEL_CASE_API;

typedef struct visit {
  void (*fn)(void *self, kernel_case *c);
  void *self;
} visit;

static void visit_codegen(void *self, const neo_codegen *codegen) {
  static const char *const names[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "generic-c"};
  const visit *v = self;
  if (strcmp(api, codegen->name) == 0) {
    kernel_case c = {.codegen = codegen, .target = kernel_target(api), .seed = 1};
    v->fn(v->self, &c);
  }
  if (api[0] || (strcmp(codegen->name, "llvm") != 0 && strcmp(codegen->name, "c") != 0))
    return;
  for (int k = 0; k < NEO_COUNT(names); k++) {
    kernel_case c = {.codegen = codegen, .target = kernel_target(names[k]), .seed = 1};
    bool llvm = strcmp(codegen->name, "llvm") == 0;
    if ((llvm && k == 3) || (!llvm && k != 3 && k != 1) || !neo_target_runs_here(&c.target))
      continue;
    v->fn(v->self, &c);
  }
}

void kernel_case_visit(void (*fn)(void *self, kernel_case *c), void *self) {
  visit v = {fn, self};
  neo_codegen_visit(visit_codegen, &v);
}
