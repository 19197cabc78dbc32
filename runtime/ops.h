/* runtime/ops.h: operators that the runtime computes itself, for what has no tensor expression. A
 * row of runtime_ops.def each; between session.c and op_*.c, nobody else. */
#ifndef NEO_RUNTIME_OPS_H
#define NEO_RUNTIME_OPS_H

#include "runtime/dtype.h"
#include "runtime/runtime.h"

enum { NEO_OP_MAX_ATTRIBUTES = 8, NEO_OP_MESSAGE_BYTES = 256 };

typedef struct neo_op_attribute {
  const char *name;
  char kind;       /* 'i' integer, 'r' real, 'I' integer that must be given, 't' text, not kept */
  double fallback; /* when absent */
} neo_op_attribute;

typedef struct neo_op neo_op;

/* Memory for the strings that a run makes: the session's, emptied before its next run. */
typedef struct neo_op_block neo_op_block;
typedef struct neo_op_texts {
  neo_op_block *first;
} neo_op_texts;
void neo_op_texts_reset(neo_op_texts *texts, bool all); /* all: not even one block is kept */

/* One step's operator with its arguments: made once per session, run many times. */
typedef struct neo_op_call {
  const neo_op *op;
  int n_inputs, n_outputs;
  const neo_plan_value *const *value;     /* inputs, then outputs */
  void *const *data;                      /* the same order */
  int64_t integer[NEO_OP_MAX_ATTRIBUTES]; /* by the attribute's position */
  double real[NEO_OP_MAX_ATTRIBUTES];
  size_t work_bytes; /* per worker, set by check; the session allocates */
  char *work;        /* worker k's part at k * work_bytes */
  neo_pool *pool;
  neo_op_texts *texts;
  char *message; /* NEO_OP_MESSAGE_BYTES: attempt may say why it fails */
  void *state;   /* check's, for release */
} neo_op_call;

struct neo_op {
  const char *name;
  int min_inputs, max_inputs, min_outputs, max_outputs;
  const neo_op_attribute *attribute; /* up to name == NULL */
  /* Checks types, shapes and attribute values, so that run cannot fail; sets work_bytes. data is
   * not valid yet. */
  neo_status (*check)(neo_ctx *ctx, neo_op_call *call);
  void (*run)(const neo_op_call *call);
  /* Instead of run, where a run can fail: not 0 then. */
  int32_t (*attempt)(const neo_op_call *call);
  /* If check set state: gives it back. NULL: there is none. */
  void (*release)(neo_op_call *call);
};

const neo_op *neo_runtime_op_find(const char *name); /* NULL: no such row */
/* Fills *call for a step (all but data, work, pool): how many arguments are outputs is the number
 * of writable ones at the end, at most max_outputs. Names the step in errors. */
neo_status neo_op_prepare(neo_ctx *ctx, const neo_plan_step *step,
                          const neo_plan_value *const *value, neo_op_call *call);
neo_status neo_op_parse(neo_ctx *ctx, const neo_op *op, const char *text, neo_op_call *call);

/* Order of elements i and j: < 0, 0, > 0; NaN above everything, as in numpy. */
int neo_op_compare(const void *data, int dtype, int64_t i, int64_t j);
/* axis in [-rank, rank) -> [0, rank) with the products of the dims before and after it. */
neo_status neo_runtime_op_axis(neo_ctx *ctx, const char *op, const neo_plan_value *value,
                               int64_t axis, int64_t out[3]);

#endif
