/* runtime/session.h: a session's memory; between session.c and session_input.c. */
#ifndef NEO_RUNTIME_SESSION_H
#define NEO_RUNTIME_SESSION_H

#include "runtime/model.h"
#include "runtime/ops.h"

typedef struct session_step {
  const neo_plan_step *plan;
  void **data;                  /* by argument */
  const neo_plan_value **value; /* by argument, for operators of the runtime */
  neo_pool_call call;
  neo_op_call op;
} session_step;

/* The resolved steps of one of the artifact's shapes. */
typedef struct session_shape {
  const neo_plan *plan;
  void **place; /* by value */
  session_step *step;
  void **data; /* storage of all steps' data, value, functions and grids */
  const neo_plan_value **value;
  neo_kernel_fn *function;
  int64_t *grid;
  uint32_t first_step; /* in the session's ns */
} session_shape;

/* What the caller has given. */
typedef struct session_input {
  bool given;
  const void *data; /* dense, of `dim`: the session's own copy or the caller's memory */
  int64_t dim[NEO_RT_MAX_RANK];
} session_input;

/* Of sessions whose kernels run on a GPU (session_device.c). */
typedef struct neo_session_device neo_session_device;

struct neo_rt_session {
  neo_rt_model *model;
  neo_session_device *device; /* NULL: all on this processor */
  neo_pool *pool;
  session_shape *shape;
  session_input *input;
  void **own;  /* by input, then by output: the session's own buffers, of the largest shape */
  void **wide; /* by input: filled up with more rows; NULL where no shape needs it */
  char *arena, *scratch, *op_work;
  neo_op_texts texts;
  char op_message[NEO_OP_MESSAGE_BYTES]; /* why an operator failed in the last run; may be empty */
  int caller_cpu; /* the thread that runs the session is pinned to it while it does; -1: not */
  bool profile;
  double *ns; /* by step, of shape 0, then of shape 1, ... */
  /* Of the last run: */
  session_shape *now;
  int64_t rows; /* of now->plan->rows, if it has any */
};

/* The inputs' shapes decide which shape runs; its steps then read the inputs. Allocates nothing. */
neo_status neo_session_take_inputs(neo_ctx *ctx, neo_rt_session *session);

/* Opens the device if the plan has steps for one. */
/* Does a run of this plan touch activations outside of a GPU? */
bool neo_session_device_leaves(const neo_plan *plan);
neo_status neo_session_device_open(neo_ctx *ctx, neo_rt_session *session);
void neo_session_device_close(neo_ctx *ctx, neo_rt_session *session);
/* Of a run: inputs there, outputs back. Errors are told by neo_session_device_error. */
neo_status neo_session_device_begin(neo_rt_session *session);
neo_status neo_session_device_end(neo_rt_session *session);
neo_status neo_session_device_launch(neo_rt_session *session, const session_step *step);
neo_status neo_session_device_copy(neo_rt_session *session, const session_step *step);
/* A step's arguments as the host sees them, before and after it works on them; nothing without a
 * device. */
neo_status neo_session_device_fetch(neo_rt_session *session, const session_step *step);
neo_status neo_session_device_put(neo_rt_session *session, const session_step *step);
const char *neo_session_device_error(const neo_rt_session *session); /* "": none */

#endif
