/* codegen/codegen.h: a nest printed as machine code or text, and the artifact directory. Sees nests
 * and targets, never a te or a schedule.
 *
 * Each launch k of a nest becomes one function `<symbol>_<k>` with the ABI of neo/abi.h; its
 * buffers are the nest's PARAMs in order. Kernels import nothing. Functions for WORK and SCRATCH
 * use env->work and env->scratch at the nest's byte offsets. */
#ifndef NEO_CODEGEN_CODEGEN_H
#define NEO_CODEGEN_CODEGEN_H

#include "schedule/nest.h"
#include "target/target.h"

/* A relocatable ELF object with the functions of one nest. */
typedef struct neo_object {
  neo_buf bytes;      /* heap; neo_object_fini */
  char code_hash[33]; /* key of the .text and .rodata bytes: equal code is not measured twice */
  int n_launches;
} neo_object;

void neo_object_fini(neo_object *object);

/* Rows of codegen/generators.def: llvm, c, opencl, cuda. build may be called from several threads
 * at once, each with its own ctx. The nest needs neo_nest_expand_math first (build does it on a
 * copy if needed: no; the caller does). */
typedef struct neo_codegen {
  const char *name;
  neo_status (*build)(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                      const char *symbol, neo_object *out);
  /* Source or assembly for a person's eyes. */
  neo_status (*text)(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                     const char *symbol, neo_buf *out);
} neo_codegen;

const neo_codegen *neo_codegen_find(const char *name); /* NULL: unknown */
/* name NULL: the one for the target: its GPU's, else llvm. NEO_USAGE: unknown. */
neo_status neo_codegen_choose(neo_ctx *ctx, const char *name, const neo_target *target,
                              const neo_codegen **out);
void neo_codegen_visit(void (*fn)(void *self, const neo_codegen *codegen), void *self);

/* ---- the artifact ---------------------------------------------------------------------------- */

typedef struct neo_artifact {
  const neo_object *const *object; /* all kernels */
  int n_objects;
  const char *const *function; /* names in the order of the plan's function numbers */
  int n_functions;
  const uint8_t *plan; /* runtime/plan.h's binary form */
  size_t plan_size;
  const void *params; /* compiled.params' data (without its header) */
  size_t params_size;
  const char *model_json; /* compiled_model.json: the plan's printed twin */
  const char *meta;       /* compiled.meta: versions, target, task table */
  const neo_buf *source;  /* the kernels' C text, for DIR/sources; n_sources 0: none is written */
  int n_sources;
} neo_artifact;

/* Links compiled.so (ld.lld, no libraries) and writes the four files into a temporary sibling
 * directory that is renamed to `dir` at the end; an existing artifact there is replaced whole.
 * Never half an artifact under the final name. */
neo_status neo_artifact_write(neo_ctx *ctx, const char *dir, const neo_target *target,
                              const neo_artifact *artifact);
/* Whether an artifact may get the name `dir`: asked before minutes go into making it. */
neo_status neo_artifact_check_output(neo_ctx *ctx, const char *dir);
/* crc-checked header bytes for compiled.params are written by neo_artifact_write. */

#endif
