/* runtime/plan.h: the executor's plan: what compiled.so carries beside its kernels. Written by
 * driver/ through neo_plan_encode, read by libneo_rt through neo_plan_decode; docs/formats/plan.md
 * has it byte by byte. */
#ifndef NEO_RUNTIME_PLAN_H
#define NEO_RUNTIME_PLAN_H

#include "base/core.h"

#define NEO_PLAN_MAGIC "NEOPLAN1"
#define NEO_PLAN_VERSION 4 /* 3 is written for plans of one exact shape */
#define NEO_PLAN_MAX_SHAPES 256
#define NEO_PLAN_MAX_RANK 8

typedef enum neo_storage {
  NEO_STORE_INPUT,  /* slot = index of the model's input */
  NEO_STORE_OUTPUT, /* slot = index of the model's output */
  NEO_STORE_ARENA,  /* slot = byte offset in the activation arena */
  NEO_STORE_PARAM,  /* slot = byte offset in compiled.params' data */
} neo_storage;

/* A value slot. Inputs and outputs are dense row-major; inner values have any layout (bytes says
 * how big). */
typedef struct neo_plan_value {
  const char *name; /* "" for inner values */
  uint8_t dtype;    /* neo_dtype number of ir/tensor.h, fixed by docs/formats/plan.md */
  uint8_t rank;
  int64_t dim[NEO_PLAN_MAX_RANK];
  neo_storage storage;
  int64_t slot;
  int64_t bytes;
} neo_plan_value;

/* Numbers are in the file; 6 is reserved for call.
 *
 * BRANCH and LOOP own the steps that follow them: a branch `first` steps for a true condition, then
 * `second` for a false one; a loop `first` steps, its body. So control flow nests in the one array
 * of steps, and a subplan is a range of it. */
typedef enum neo_plan_step_kind {
  NEO_PLAN_LAUNCH = 1,
  NEO_PLAN_COPY = 2,
  NEO_PLAN_RUNTIME = 3,
  NEO_PLAN_BRANCH = 4, /* args: condition (bool) */
  NEO_PLAN_LOOP = 5    /* args: trips (i64), condition (bool), i (i64, set to 0, 1, ..) */
} neo_plan_step_kind;

#define NEO_PLAN_MAX_DEPTH 64 /* steps within steps */

typedef struct neo_plan_launch {
  uint32_t function; /* in neo_module.functions */
  int64_t grid;
} neo_plan_launch;

typedef struct neo_plan_step {
  neo_plan_step_kind kind;
  uint8_t device; /* 0: the host cpu; 1, launches only: the GPU, functions are neo_device_kernels */
  const char *name;
  uint32_t n_args;
  uint32_t *arg; /* value ids: kernel buffers in order; copy: source, destination, and perhaps a row
                    number (i64): the source is that row of the destination; runtime: inputs then
                    outputs */
  uint32_t n_launches;
  neo_plan_launch *launch;
  int64_t work_offset;   /* in the arena; -1: none */
  int64_t work_bytes;    /* of it: decode checks that it lies in the arena */
  int64_t scratch_bytes; /* per worker */
  const char *runtime;   /* RUNTIME: row of runtime/runtime_ops.def, its attributes as "k=v ..." */
  const char *attributes;
  uint32_t first, second; /* BRANCH, LOOP: steps owned; else 0 */
} neo_plan_step;

/* Of one shape; `more` has those of the artifact's further shapes.
 *
 * Rows. A plan may serve fewer slices than it was compiled for, along one dimension of some inputs
 * (a batch): the runtime repeats the last one and cuts the outputs. The compiler has
 * proven that slice k of every output depends on slice k of the inputs only (ir/rows.h). */
typedef struct neo_plan neo_plan;
struct neo_plan {
  uint32_t threads; /* compiled for */
  int64_t arena_bytes, scratch_bytes /* max over steps, per worker */, params_bytes;
  uint64_t isa; /* neo_target.isa bits needed, and arch text: checked at load */
  const char *arch;
  const char *target; /* canonical text, for messages */
  uint32_t n_values, n_inputs, n_outputs, n_steps;
  neo_plan_value *value;
  uint32_t *input, *output; /* value ids, model order */
  const char **output_name; /* names as the user sees them */
  /* Outputs whose extent depends on the data: 1 + that dimension, which is the largest possible,
   * and the value (i64) that has the real one after a run; else 0, 0. To be encoded, both may be
   * NULL: none. */
  uint32_t *output_bounded, *output_count;
  neo_plan_step *step;
  /* rows: what it was compiled for; it serves least..rows of them. 0: exactly its own shapes.
   * By input, 1 + the dimension that is the rows, or 0; by output, 1 + the dimension that has
   * dim / rows elements for each row, or 0. */
  int64_t rows, rows_least;
  uint32_t *input_rows, *output_rows;
  /* First plan only: those of the further shapes. They have the same inputs and outputs but for
   * dimensions; threads, params_bytes, isa, arch and target are those of the first. */
  uint32_t n_more;
  neo_plan *more;
};

/* Appends the binary form. */
neo_status neo_plan_encode(neo_ctx *ctx, const neo_plan *plan, neo_buf *out);
/* Decodes into one heap block owned by *out (neo_plan_free); every offset, count and id is checked,
 * including that arena, params and function ranges are respected. error text up to 256 bytes. Never
 * aborts. */
neo_status neo_plan_decode(neo_ctx *ctx, const uint8_t *data, size_t size, uint64_t n_functions,
                           neo_plan **out);
void neo_plan_free(neo_ctx *ctx, neo_plan *plan);

/* compiled.params: 64-byte header {"NEOPARM1", u32 version, u32 zero, u64 data bytes, u32 crc32 of
 * data, zeros}, then data. */
#define NEO_PARAMS_MAGIC "NEOPARM1"
#define NEO_PARAMS_HEADER 64

#endif
