/* frontends/tensorflow_flow.h: between tensorflow_flow.c, tensorflow_loop.c and tensorflow_kept.c.
 */
#ifndef NEO_FRONTENDS_TENSORFLOW_FLOW_H
#define NEO_FRONTENDS_TENSORFLOW_FLOW_H

#include "frontends/tensorflow_convert.h"

/* ---- tensorflow_flow.c ---- */
/* The function that an attribute names, which must be there. */
neo_status tf_function_attr(tf_import *im, const tf_node *node, const char *attr,
                            const tf_graph **out);
int tf_result_count(const tf_graph *f);
/* false: it is no constant of one element. */
bool tf_const_predicate(tf_import *im, int value, bool *out);

/* While a body is built: the emitter of the graph around it. */
typedef struct tf_inner {
  neo_emitter e, *outer;
  int outer_generation;
} tf_inner;

neo_status tf_inner_begin(tf_import *im, tf_inner *in, const char *name);
/* Back to the outer graph. What was unsupported inside is so outside. */
void tf_inner_end(tf_import *im, tf_inner *in);
/* An input of the inner graph with the type of this value of the outer one. */
int tf_inner_input(tf_import *im, tf_inner *in, int like);

/* ---- tensorflow_loop.c ---- */
/* A loop of TensorFlow 1. */
typedef struct tf_frame {
  int n, cap, n_const, cap_const;
  struct tf_frame_state {
    int enter, merge, swtch, exit; /* exit -1: nobody wants it */
    const char *next;              /* what NextIteration takes */
  } * state;
  int *constant; /* Enter nodes of values that all iterations share */
  const char *cond;
} tf_frame;

typedef struct tf_loop {
  tf_node *node;
  int n; /* states; a frame's constants come behind them */
  int n_shared;
  const tf_graph *cond, *body; /* While */
  tf_frame *frame;             /* TensorFlow 1 */
  tf_value *start;             /* n + n_shared */
} tf_loop;

/* Evaluates the condition (want_cond) and the next states that `want` marks (NULL: none). */
typedef struct tf_step {
  const tf_value *state;
  const bool *want;
  tf_value *cond, *next;
} tf_step;

neo_status tf_loop_step(tf_import *im, const tf_loop *loop, const tf_step *s);
/* Is the next value of state i the state itself? Followed through Identity nodes. */
bool tf_loop_is_invariant(tf_import *im, const tf_loop *loop, int i);
/* What the loop's node, or its exits, give. */
neo_status tf_loop_results(tf_loop *loop, const tf_value *state);
/* All results are bad; why NULL: a line about it is in the list. */
neo_status tf_loop_unsupported(tf_import *im, tf_loop *loop, const char *why);

/* ---- tensorflow_kept.c ---- */
/* first: the condition before the first iteration, unless trips says how many there are. */
neo_status tf_loop_keep(tf_import *im, tf_loop *loop, int64_t trips, const tf_value *first);

#endif
