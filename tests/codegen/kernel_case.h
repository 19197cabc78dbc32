/* tests/codegen/kernel_case.h: runs a nest through a code generator and compares it with the
 * interpreter. */
#ifndef NEO_TESTS_KERNEL_CASE_H
#define NEO_TESTS_KERNEL_CASE_H

#include "codegen/codegen.h"

typedef struct kernel_case kernel_case;

/* Where kernels run that this process cannot run. Outputs hold zeros before, and the grid is run as
 * a whole. */
typedef struct kernel_runner {
  /* data: of each parameter */
  void (*run)(void *self, neo_ctx *ctx, const neo_nest *nest, const neo_object *object,
              void *const *data);
  void *self;
} kernel_runner;

struct kernel_case {
  const neo_codegen *codegen;
  neo_target target;
  uint64_t seed;
  double ulps;                 /* of the output's dtype, for floats */
  bool special;                /* floats include NaN, infinities, zeros of both signs, denormals */
  int chunk;                   /* grid indices per call; 0: all at once */
  bool warnings;               /* C: no compiler may warn about the text */
  const kernel_runner *runner; /* NULL: this process */
};

/* Fails the cmocka test with the first difference. Buffers are aligned to their element only, with
 * red zones. */
void kernel_case_run(neo_ctx *ctx, const kernel_case *c, neo_nest *nest);
void kernel_case_run_text(neo_ctx *ctx, const kernel_case *c, const char *text);
/* A row of targets.def; fails the test if there is none. */
neo_target kernel_target(const char *name);
/* Calls fn(self, case). kernel_visit.c: every generator for processors with every target that it
 * can run here, or where a test is built with KERNEL_CASE_API, the generator of that GPU interface;
 * kernel_visit_emulated.c: LLVM for every target of tests/measure/emulated_board.h. */
void kernel_case_visit(void (*fn)(void *self, kernel_case *c), void *self);
/* 0; or 77, with a message, if the test needs a GPU's driver that is not here. */
int kernel_case_missing(void);

#endif
