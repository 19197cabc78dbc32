/* frontends/tflite_move.c: TFLite's operators on shapes, and those that only move elements. */
#include "frontends/tflite_import.h"

#include <inttypes.h>

/* ---- shapes --------------------------------------------------------------------------------------- */

void tfl_copy(tfl_op *op) {
  tfl_set_raw(op, 0, tfl_raw(op, 0));
}

/* An input that the IR wants as i64 constant once shapes are known. */
static int list(tfl_op *op, int k) {
  return neo_emit_cast(&op->im->e, tfl_raw(op, k), NEO_I64);
}

static void integer_result(tfl_op *op, int value) {
  const tfl_tensor *t = tfl_output(op, 0);
  if (t && t->dtype != NEO_I64 && t->dtype < NEO_DTYPE_COUNT)
    value = neo_emit_cast(&op->im->e, value, t->dtype);
  tfl_set_raw(op, 0, value);
}

void tfl_shape(tfl_op *op) {
  integer_result(op, neo_emit_unary(&op->im->e, "shape", tfl_raw(op, 0)));
}

void tfl_rank_of(tfl_op *op) {
  int shape = neo_emit_unary(&op->im->e, "shape", tfl_raw(op, 0));
  integer_result(op, neo_emit_unary(&op->im->e, "size", shape));
}

/* The shape: input 1, else the option, else what the file says of the output. */
void tfl_reshape(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t shape[NEO_MAX_RANK];
  const tfl_tensor *out = tfl_output(op, 0);
  neo_fb_vector option = neo_fb_field_vector(&op->options, 0, 4);
  int x = tfl_raw(op, 0), n = (int)option.n;
  if (tfl_input(op, 1)) {
    neo_node *node = tfl_node(op, "reshape", 2, (int[]){x, list(op, 1)});
    neo_node_set_int(e->graph, node, "allowzero", 1);
    tfl_set_raw(op, 0, node->output[0]);
    return;
  }
  if (n > NEO_MAX_RANK) {
    tfl_unsupported(op, "a shape of rank %d", n);
    return;
  }
  for (int d = 0; d < n; d++)
    shape[d] = neo_fb_element(&option, NEO_FB_I32, d);
  if (n == 1 && shape[0] == 0)
    n = 0; /* how old writers say scalar */
  if (n == 0 && out && out->shape.rank > 0)
    for (n = 0; n < out->shape.rank; n++)
      shape[n] = out->shape.dim[n];
  tfl_set_raw(op, 0, neo_emit_reshape(e, x, n, shape));
}

static int unary_axes(tfl_op *op, const char *name, int x, int n, const int64_t *axes) {
  neo_node *node = tfl_node(op, name, 1, &x);
  if (n > 0)
    neo_node_set_ints(op->im->e.graph, node, "axes", n, axes);
  return node->output[0];
}

void tfl_expand_dims(tfl_op *op) {
  int64_t axis;
  if (tfl_ints(op, 1, &axis, 1) == 1)
    tfl_set_raw(op, 0, unary_axes(op, "unsqueeze", tfl_raw(op, 0), 1, &axis));
}

void tfl_squeeze(tfl_op *op) {
  neo_fb_vector dims = neo_fb_field_vector(&op->options, 0, 4);
  int64_t axes[NEO_MAX_RANK];
  int n = dims.n > NEO_MAX_RANK ? NEO_MAX_RANK : (int)dims.n;
  for (int i = 0; i < n; i++)
    axes[i] = neo_fb_element(&dims, NEO_FB_I32, i);
  tfl_set_raw(op, 0, unary_axes(op, "squeeze", tfl_raw(op, 0), n, axes));
}

void tfl_broadcast_to(tfl_op *op) {
  tfl_set_raw(op, 0, tfl_node(op, "expand", 2, (int[]){tfl_raw(op, 0), list(op, 1)})->output[0]);
}

void tfl_fill(tfl_op *op) {
  tfl_set_raw(op, 0, tfl_node(op, "expand", 2, (int[]){tfl_raw(op, 1), list(op, 0)})->output[0]);
}

void tfl_zeros_like(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  const tfl_tensor *t = tfl_output(op, 0);
  int shape = neo_emit_unary(e, "shape", tfl_raw(op, 0));
  int zero = neo_emit_scalar(e, t && t->dtype < NEO_DTYPE_COUNT ? t->dtype : NEO_F32, 0);
  tfl_set_raw(op, 0, neo_emit_binary(e, "expand", zero, shape));
}

void tfl_range(tfl_op *op) {
  int a = tfl_raw(op, 0), b = tfl_raw(op, 1), c = tfl_raw(op, 2);
  tfl_set_raw(op, 0, tfl_node(op, "range", 3, (int[]){a, b, c})->output[0]);
}

/* ---- movement --------------------------------------------------------------------------------------- */

void tfl_transpose(tfl_op *op) {
  int64_t perm[NEO_MAX_RANK];
  int n = tfl_ints(op, 1, perm, NEO_MAX_RANK);
  for (int i = 0; i < n; i++)
    perm[i] = tfl_axis(op, perm[i], n);
  if (n >= 0)
    tfl_set_raw(op, 0, neo_emit_transpose(&op->im->e, tfl_raw(op, 0), n, perm));
}

/* All inputs, as stored if none needs other scales. */
static int *gather_inputs(tfl_op *op, bool *as_stored) {
  int n = (int)op->inputs.n;
  int *inputs = neo_arena_alloc(op->im->e.graph->arena, sizeof(int) * ((size_t)n + 1));
  *as_stored = true;
  for (int k = 0; k < n; k++)
    *as_stored &= tfl_same_scales(tfl_input(op, k), tfl_output(op, 0));
  for (int k = 0; k < n; k++)
    inputs[k] = *as_stored ? tfl_raw(op, k) : tfl_in(op, k);
  return inputs;
}

void tfl_concatenation(tfl_op *op) {
  bool as_stored;
  int *inputs = gather_inputs(op, &as_stored);
  neo_node *node = tfl_node(op, "concat", (int)op->inputs.n, inputs);
  neo_node_set_int(op->im->e.graph, node, "axis", tfl_option(op, TFL_CONCAT_AXIS, NEO_FB_I32, 0));
  if (as_stored && tfl_option(op, TFL_CONCAT_ACTIVATION, NEO_FB_I8, 0) == TFL_ACT_NONE)
    tfl_set_raw(op, 0, node->output[0]);
  else if (as_stored && tfl_quantised(tfl_output(op, 0)))
    tfl_unsupported(op, "an activation");
  else
    tfl_set_active(op, 0, node->output[0], TFL_CONCAT_ACTIVATION);
}

void tfl_pack(tfl_op *op) {
  bool as_stored;
  int *inputs = gather_inputs(op, &as_stored);
  int64_t axis = tfl_option(op, 1, NEO_FB_I32, 0);
  for (int k = 0; k < op->inputs.n; k++)
    inputs[k] = unary_axes(op, "unsqueeze", inputs[k], 1, &axis);
  neo_node *node = tfl_node(op, "concat", (int)op->inputs.n, inputs);
  neo_node_set_int(op->im->e.graph, node, "axis", axis);
  if (as_stored)
    tfl_set_raw(op, 0, node->output[0]);
  else
    tfl_set(op, 0, node->output[0]);
}

/* One node with all outputs; NULL if there are too many to be true. */
static neo_node *split(tfl_op *op, int x, int64_t axis) {
  if (op->outputs.n < 1 || op->outputs.n > 1 << 20) {
    tfl_broken(op->im, "%s with %" PRId64 " outputs", op->row->name, op->outputs.n);
    return NULL;
  }
  neo_node *node = neo_emit_node(&op->im->e, "split", 1, &x, (int)op->outputs.n);
  neo_node_set_int(op->im->e.graph, node, "axis", axis);
  return node;
}

static void set_all(tfl_op *op, const neo_node *node) {
  int n = node->n_outputs;
  const int *outputs =
      neo_arena_copy(op->im->e.graph->arena, node->output, sizeof(int) * (size_t)n);
  for (int k = 0; k < n; k++)
    tfl_set_raw(op, k, outputs[k]);
}

void tfl_split(tfl_op *op) {
  int64_t axis;
  if (tfl_ints(op, 0, &axis, 1) != 1)
    return;
  neo_node *node = split(op, tfl_raw(op, 1), axis);
  if (node)
    set_all(op, node);
}

void tfl_split_v(tfl_op *op) {
  int64_t axis, n = op->outputs.n, rest = -1, sum = 0;
  int64_t *sizes = neo_arena_alloc(op->im->e.graph->arena, sizeof *sizes * ((size_t)n + 1));
  if (tfl_ints(op, 2, &axis, 1) != 1 || tfl_ints(op, 1, sizes, (int)n) != n)
    return;
  for (int64_t k = 0; k < n; k++) {
    if (sizes[k] == -1)
      rest = k;
    else
      sum += sizes[k];
  }
  if (rest >= 0)
    sizes[rest] = tfl_dim(op, 0, tfl_axis(op, axis, tfl_rank(op, 0))) - sum;
  neo_node *node = split(op, tfl_raw(op, 0), axis);
  if (!node)
    return;
  neo_node_set_ints(op->im->e.graph, node, "split", (int)n, sizes);
  set_all(op, node);
}

void tfl_unpack(tfl_op *op) {
  int64_t axis = tfl_option(op, 1, NEO_FB_I32, 0);
  neo_node *node = split(op, tfl_raw(op, 0), axis);
  if (!node)
    return;
  int n = node->n_outputs;
  const int *parts = neo_arena_copy(op->im->e.graph->arena, node->output, sizeof(int) * (size_t)n);
  for (int k = 0; k < n; k++)
    tfl_set_raw(op, k, unary_axes(op, "squeeze", parts[k], 1, &axis));
}

/* where(flag, a, b) over i64 lists. */
static int choose(tfl_op *op, int flag, int a, int b) {
  return tfl_node(op, "where", 3, (int[]){flag, a, b})->output[0];
}

static bool all_zero(const neo_tensor *list) {
  int64_t n = 0;
  bool zero = list && neo_shape_elements(&list->shape, &n);
  for (int64_t i = 0; zero && i < n; i++)
    zero = neo_tensor_get_i64(list, i) == 0;
  return zero;
}

/* Bounds that are not known yet (a loop's counter): known once the loop is unrolled. */
static void slice_later(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int cut;
  if (all_zero(neo_emit_const(e, tfl_raw(op, 1))) && tfl_cut(op, list(op, 2), 1, &cut)) {
    tfl_set_raw(op, 0, cut);
    return;
  }
  int from = list(op, 1), size = list(op, 2);
  int to = neo_emit_binary(e, "add", from, size);
  int open = neo_emit_binary(e, "equal", size, neo_emit_int(e, -1));
  to = choose(op, open, neo_emit_int(e, INT64_MAX), to);
  tfl_set_raw(op, 0, tfl_node(op, "slice", 3, (int[]){tfl_raw(op, 0), from, to})->output[0]);
}

/* Sizes of -1 reach to the end. */
void tfl_slice(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t starts[NEO_MAX_RANK], ends[NEO_MAX_RANK];
  int x = tfl_raw(op, 0);
  if (!neo_emit_const(e, tfl_raw(op, 1)) || !neo_emit_const(e, tfl_raw(op, 2))) {
    slice_later(op);
    return;
  }
  int n = tfl_ints(op, 1, starts, NEO_MAX_RANK);
  if (n < 0 || tfl_ints(op, 2, ends, NEO_MAX_RANK) != n)
    return;
  for (int d = 0; d < n; d++)
    ends[d] = ends[d] == -1 ? INT64_MAX : starts[d] + ends[d];
  neo_node *node = tfl_node(op, "slice", 1, &x);
  neo_node_set_ints(e->graph, node, "starts", n, starts);
  neo_node_set_ints(e->graph, node, "ends", n, ends);
  tfl_set_raw(op, 0, node->output[0]);
}

/* What a strided slice does to each dimension of its input. */
typedef struct strides {
  int n; /* entries of begin, end, step */
  int64_t begin[NEO_MAX_RANK], end[NEO_MAX_RANK], step[NEO_MAX_RANK];
  int n_slices, n_shrink, n_new;
  int64_t axes[NEO_MAX_RANK], starts[NEO_MAX_RANK], ends[NEO_MAX_RANK], steps[NEO_MAX_RANK];
  int64_t shrink[NEO_MAX_RANK], fresh[NEO_MAX_RANK]; /* in the input; in the result */
} strides;

static void slice_one(tfl_op *op, strides *s, int i, int axis) {
  int64_t begin_mask = tfl_option(op, TFL_SLICE_BEGIN, NEO_FB_I32, 0),
          end_mask = tfl_option(op, TFL_SLICE_END, NEO_FB_I32, 0),
          shrink = tfl_option(op, TFL_SLICE_SHRINK, NEO_FB_I32, 0);
  int k = s->n_slices++;
  bool back = s->step[i] < 0, offset = tfl_option(op, TFL_SLICE_OFFSET, NEO_FB_U8, 0) != 0;
  s->axes[k] = axis;
  s->steps[k] = s->step[i];
  s->starts[k] = begin_mask >> i & 1 ? (back ? INT64_MAX : 0) : s->begin[i];
  s->ends[k] = s->end[i] + (offset ? s->begin[i] : 0);
  if (end_mask >> i & 1)
    s->ends[k] = back ? INT64_MIN : INT64_MAX;
  if (shrink >> i & 1) {
    s->starts[k] = s->begin[i];
    s->ends[k] = s->begin[i] == -1 ? INT64_MAX : s->begin[i] + 1;
    s->steps[k] = 1;
    s->shrink[s->n_shrink++] = axis;
  }
}

/* Walks the entries over the dimensions: an ellipsis takes what is left, a new axis none. */
static bool plan_slices(tfl_op *op, strides *s, int rank) {
  int64_t ellipsis = tfl_option(op, TFL_SLICE_ELLIPSIS, NEO_FB_I32, 0),
          fresh = tfl_option(op, TFL_SLICE_NEW_AXIS, NEO_FB_I32, 0);
  int axis = 0, out = 0, named = 0;
  for (int i = 0; i < s->n; i++)
    named += !(ellipsis >> i & 1) && !(fresh >> i & 1);
  for (int i = 0; i < s->n; i++) {
    if (ellipsis >> i & 1) {
      int more = rank - named > 0 ? rank - named : 0;
      axis += more;
      out += more;
    } else if (fresh >> i & 1) {
      s->fresh[s->n_new++] = out++;
    } else if (axis >= rank || s->step[i] == 0) {
      return false;
    } else {
      int shrunk = s->n_shrink;
      slice_one(op, s, i, axis++);
      out += s->n_shrink == shrunk;
    }
  }
  return true;
}

/* Bits of a mask as a bool list. */
static int flags(tfl_op *op, int field, int n) {
  int64_t bits[NEO_MAX_RANK], mask = tfl_option(op, field, NEO_FB_I32, 0);
  for (int i = 0; i < n; i++)
    bits[i] = mask >> i & 1;
  return neo_emit_cast(&op->im->e, neo_emit_ints(&op->im->e, n, bits), NEO_BOOL);
}

static bool is_one(tfl_op *op, int k) {
  const neo_tensor *known = neo_emit_const(&op->im->e, tfl_raw(op, k));
  return known && known->size > 0 && neo_tensor_get_i64(known, 0) == 1;
}

/* The bounds come from values: steps are positive, no ellipsis, no new axes. */
static void strided_slice_later(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t axes[NEO_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7}, shrink[NEO_MAX_RANK];
  int n = (int)tfl_dim(op, 1, 0), n_shrink = 0;
  int64_t mask = tfl_option(op, TFL_SLICE_SHRINK, NEO_FB_I32, 0);
  if (n < 1 || n > NEO_MAX_RANK || tfl_option(op, TFL_SLICE_ELLIPSIS, NEO_FB_I32, 0) ||
      tfl_option(op, TFL_SLICE_NEW_AXIS, NEO_FB_I32, 0)) {
    tfl_unsupported(op, "its bounds must be known when the model is read");
    return;
  }
  int x = NEO_NO_VALUE, end = list(op, 2);
  bool plain = n == 1 && mask == 0 && !tfl_option(op, TFL_SLICE_END, NEO_FB_I32, 0) &&
               !tfl_option(op, TFL_SLICE_OFFSET, NEO_FB_U8, 0) && is_one(op, 3);
  if (plain && all_zero(neo_emit_const(e, tfl_raw(op, 1))) && tfl_cut(op, end, 0, &x)) {
    tfl_set_raw(op, 0, x);
    return;
  }
  int begin = list(op, 1), step = list(op, 3), most = neo_emit_int(e, INT64_MAX);
  int next = neo_emit_binary(e, "add", begin, neo_emit_int(e, 1));
  int last = neo_emit_binary(e, "equal", begin, neo_emit_int(e, -1));
  if (tfl_option(op, TFL_SLICE_OFFSET, NEO_FB_U8, 0))
    end = neo_emit_binary(e, "add", begin, end);
  end = choose(op, flags(op, TFL_SLICE_END, n), most, end);
  end = choose(op, flags(op, TFL_SLICE_SHRINK, n), choose(op, last, most, next), end);
  begin = choose(op, flags(op, TFL_SLICE_BEGIN, n), neo_emit_int(e, 0), begin);
  int inputs[] = {tfl_raw(op, 0), begin, end, neo_emit_ints(e, n, axes), step};
  x = tfl_node(op, "slice", 5, inputs)->output[0];
  for (int i = 0; i < n; i++)
    if (mask >> i & 1)
      shrink[n_shrink++] = i;
  tfl_set_raw(op, 0, n_shrink ? unary_axes(op, "squeeze", x, n_shrink, shrink) : x);
}

void tfl_strided_slice(tfl_op *op) {
  neo_graph *graph = op->im->e.graph;
  strides s = {0};
  int rank = tfl_rank(op, 0), x = tfl_raw(op, 0);
  if (!neo_emit_const(&op->im->e, tfl_raw(op, 1)) || !neo_emit_const(&op->im->e, tfl_raw(op, 2))) {
    strided_slice_later(op);
    return;
  }
  s.n = tfl_ints(op, 1, s.begin, NEO_MAX_RANK);
  int ends = tfl_ints(op, 2, s.end, NEO_MAX_RANK), steps = tfl_ints(op, 3, s.step, NEO_MAX_RANK);
  if (s.n < 0 || ends < 0 || steps < 0)
    return;
  if (ends != s.n || steps != s.n || !plan_slices(op, &s, rank)) {
    tfl_broken(op->im, "STRIDED_SLICE '%s': its bounds do not fit rank %d", op->im->e.scope, rank);
    return;
  }
  if (s.n_slices > 0) {
    neo_node *node = tfl_node(op, "slice", 1, &x);
    neo_node_set_ints(graph, node, "starts", s.n_slices, s.starts);
    neo_node_set_ints(graph, node, "ends", s.n_slices, s.ends);
    neo_node_set_ints(graph, node, "axes", s.n_slices, s.axes);
    neo_node_set_ints(graph, node, "steps", s.n_slices, s.steps);
    x = node->output[0];
  }
  if (s.n_shrink > 0)
    x = unary_axes(op, "squeeze", x, s.n_shrink, s.shrink);
  if (s.n_new > 0)
    x = unary_axes(op, "unsqueeze", x, s.n_new, s.fresh);
  tfl_set_raw(op, 0, x);
}

void tfl_tile(tfl_op *op) {
  tfl_set_raw(op, 0, tfl_node(op, "tile", 2, (int[]){tfl_raw(op, 0), list(op, 1)})->output[0]);
}

void tfl_reverse(tfl_op *op) {
  static const int64_t last[NEO_MAX_RANK] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                                             INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
  static const int64_t below[NEO_MAX_RANK] = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN,
                                              INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
  static const int64_t back[NEO_MAX_RANK] = {-1, -1, -1, -1, -1, -1, -1, -1};
  neo_graph *graph = op->im->e.graph;
  int64_t axes[NEO_MAX_RANK];
  int x = tfl_raw(op, 0), n = tfl_ints(op, 1, axes, NEO_MAX_RANK);
  if (n < 0)
    return;
  neo_node *node = tfl_node(op, "slice", 1, &x);
  neo_node_set_ints(graph, node, "starts", n, last);
  neo_node_set_ints(graph, node, "ends", n, below);
  neo_node_set_ints(graph, node, "axes", n, axes);
  neo_node_set_ints(graph, node, "steps", n, back);
  tfl_set_raw(op, 0, node->output[0]);
}

void tfl_reverse_sequence(tfl_op *op) {
  int x = tfl_raw(op, 0), lengths = list(op, 1);
  neo_node *node = tfl_node(op, "reverse_sequence", 2, (int[]){x, lengths});
  neo_node_set_int(op->im->e.graph, node, "time_axis", tfl_option(op, 0, NEO_FB_I32, 0));
  neo_node_set_int(op->im->e.graph, node, "batch_axis", tfl_option(op, 1, NEO_FB_I32, 0));
  tfl_set_raw(op, 0, node->output[0]);
}

/* ---- gathers ----------------------------------------------------------------------------------------- */

/* Rows of indices beside rows of data: a gather of one coordinate. */
static void batched_gather(tfl_op *op, int64_t axis, int64_t batch) {
  if (axis != batch) {
    tfl_unsupported(op, "batch_dims %" PRId64 " with axis %" PRId64, batch, axis);
    return;
  }
  int64_t last = -1;
  int index = unary_axes(op, "unsqueeze", list(op, 1), 1, &last);
  neo_node *node = tfl_node(op, "gather_nd", 2, (int[]){tfl_raw(op, 0), index});
  neo_node_set_int(op->im->e.graph, node, "batch_dims", batch);
  tfl_set_raw(op, 0, node->output[0]);
}

void tfl_gather(tfl_op *op) {
  int64_t axis = tfl_option(op, TFL_GATHER_AXIS, NEO_FB_I32, 0),
          batch = tfl_option(op, TFL_GATHER_BATCH, NEO_FB_I32, 0);
  if (batch < 0)
    batch += tfl_rank(op, 1);
  if (batch != 0) {
    batched_gather(op, axis < 0 ? axis + tfl_rank(op, 0) : axis, batch);
    return;
  }
  neo_node *node = tfl_node(op, "gather", 2, (int[]){tfl_raw(op, 0), tfl_raw(op, 1)});
  neo_node_set_int(op->im->e.graph, node, "axis", axis);
  tfl_set_raw(op, 0, node->output[0]);
}

void tfl_gather_nd(tfl_op *op) {
  tfl_set_raw(op, 0,
              tfl_node(op, "gather_nd", 2, (int[]){tfl_raw(op, 0), tfl_raw(op, 1)})->output[0]);
}

/* Equal indices add up. */
void tfl_scatter_nd(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  const tfl_tensor *t = tfl_input(op, 1);
  int zero = neo_emit_scalar(e, t && t->dtype < NEO_DTYPE_COUNT ? t->dtype : NEO_F32, 0);
  int base = neo_emit_binary(e, "expand", zero, list(op, 2));
  neo_node *node = tfl_node(op, "scatter_nd", 3, (int[]){base, list(op, 0), tfl_raw(op, 1)});
  neo_node_set_string(e->graph, node, "reduction", "add");
  tfl_set_raw(op, 0, node->output[0]);
}

void tfl_one_hot(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t one = 1;
  int on = neo_emit_reshape(e, tfl_raw(op, 2), 1, &one),
      off = neo_emit_reshape(e, tfl_raw(op, 3), 1, &one);
  neo_node *node = tfl_node(op, "concat", 2, (int[]){off, on});
  neo_node_set_int(e->graph, node, "axis", 0);
  int values = node->output[0];
  node = tfl_node(op, "one_hot", 3, (int[]){tfl_raw(op, 0), list(op, 1), values});
  neo_node_set_int(e->graph, node, "axis", tfl_option(op, 0, NEO_FB_I32, 0));
  tfl_set_raw(op, 0, node->output[0]);
}

/* Places of what is true, one a row. */
void tfl_where(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int places = neo_emit_unary(e, "nonzero", tfl_raw(op, 0));
  integer_result(op, neo_emit_transpose(e, places, 2, (int64_t[]){1, 0}));
}

/* ---- pads --------------------------------------------------------------------------------------------- */

/* [n, 2] -> begins, then ends. */
static int pads(tfl_op *op, int64_t *out) {
  int64_t pairs[2 * NEO_MAX_RANK];
  int n = tfl_ints(op, 1, pairs, 2 * NEO_MAX_RANK);
  for (int d = 0; d < n / 2; d++) {
    out[d] = pairs[2 * d];
    out[n / 2 + d] = pairs[2 * d + 1];
  }
  return n;
}

/* Quantised: what stands for 0 is the zero point. */
void tfl_pad(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t amounts[2 * NEO_MAX_RANK];
  tfl_tensor *t = tfl_input(op, 0);
  int n = pads(op, amounts), value = NEO_NO_VALUE;
  if (n < 0 || !t || t->dtype >= NEO_DTYPE_COUNT)
    return;
  if (op->row->code == 60)
    value = neo_emit_reshape(e, tfl_raw(op, 2), 0, NULL);
  else if (tfl_quantised(t))
    value = neo_emit_scalar(e, t->dtype, (double)neo_fb_element(&t->zero_point, NEO_FB_I64, 0));
  int list = neo_emit_ints(e, n, amounts);
  tfl_set_raw(op, 0, tfl_node(op, "pad", 3, (int[]){tfl_raw(op, 0), list, value})->output[0]);
}

/* Along one dimension of extent n, the mirror with its edge: as a gather. */
static int mirror_with_edge(tfl_op *op, int x, int axis, int64_t before, int64_t after) {
  neo_emitter *e = &op->im->e;
  int64_t n = tfl_dim(op, 0, axis), total = before + n + after;
  if (n < 1 || before < 0 || after < 0 || before > n || after > n) {
    tfl_unsupported(op, "mirrors %" PRId64 " and %" PRId64 " of %" PRId64, before, after, n);
    return x;
  }
  int64_t *index = neo_arena_alloc(e->graph->arena, sizeof *index * (size_t)total);
  for (int64_t i = 0; i < total; i++) {
    int64_t k = i - before;
    index[i] = k < 0 ? -1 - k : k >= n ? 2 * n - 1 - k : k;
  }
  neo_node *node = tfl_node(op, "gather", 2, (int[]){x, neo_emit_ints(e, (int)total, index)});
  neo_node_set_int(e->graph, node, "axis", axis);
  return node->output[0];
}

void tfl_mirror_pad(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t amounts[2 * NEO_MAX_RANK];
  int n = pads(op, amounts), x = tfl_raw(op, 0);
  if (n < 0)
    return;
  if (tfl_option(op, 0, NEO_FB_I8, 0) == 1) {
    for (int d = 0; d < n / 2; d++)
      if (amounts[d] || amounts[n / 2 + d])
        x = mirror_with_edge(op, x, d, amounts[d], amounts[n / 2 + d]);
    tfl_set_raw(op, 0, x);
    return;
  }
  neo_node *node = tfl_node(op, "pad", 2, (int[]){x, neo_emit_ints(e, n, amounts)});
  neo_node_set_string(e->graph, node, "mode", "reflect");
  tfl_set_raw(op, 0, node->output[0]);
}

/* ---- blocks ------------------------------------------------------------------------------------------- */

void tfl_depth_space(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int x = tfl_to_nchw(op, tfl_raw(op, 0), 4);
  neo_node *node = tfl_node(op, op->row->op, 1, &x);
  neo_node_set_int(e->graph, node, "blocksize", tfl_option(op, 0, NEO_FB_I32, 1));
  tfl_set_raw(op, 0, tfl_to_nhwc(op, node->output[0], 4));
}

/* Block sizes m <= 3, crops or pads, and the extents of those dimensions; false: said. */
typedef struct blocks {
  int m, rank;
  int64_t block[3], edge[6], extent[NEO_MAX_RANK];
} blocks;

static bool read_blocks(tfl_op *op, blocks *b) {
  b->rank = tfl_rank(op, 0);
  b->m = tfl_ints(op, 1, b->block, 3);
  if (b->m < 0 || tfl_ints(op, 2, b->edge, 6) != 2 * b->m || b->rank < b->m + 1 ||
      b->rank + b->m > NEO_MAX_RANK) {
    tfl_unsupported(op, "%d blocks of a tensor of rank %d", b->m, b->rank);
    return false;
  }
  for (int d = 0; d < b->rank; d++) {
    b->extent[d] = tfl_dim(op, 0, d);
    if (d > 0 && b->extent[d] < 0) {
      tfl_unsupported(op, "the size of dimension %d is free", d);
      return false;
    }
  }
  for (int i = 0; i < b->m; i++)
    if (b->block[i] < 1 || b->block[i] > INT32_MAX) {
      tfl_broken(op->im, "%s '%s': block %" PRId64, op->row->name, op->im->e.scope, b->block[i]);
      return false;
    }
  return true;
}

/* [b, s.., rest] padded, s = s' * block: [block.., b, s'.., rest], merged into the batch. */
void tfl_space_to_batch(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  blocks b;
  int64_t amounts[2 * NEO_MAX_RANK] = {0}, shape[NEO_MAX_RANK], perm[NEO_MAX_RANK];
  tfl_tensor *t = tfl_input(op, 0);
  int n = 0, k = 0;
  if (!t || !read_blocks(op, &b))
    return;
  shape[n++] = -1;
  for (int i = 0; i < b.m; i++) {
    amounts[1 + i] = b.edge[2 * i];
    amounts[b.rank + 1 + i] = b.edge[2 * i + 1];
    shape[n++] = (b.extent[1 + i] + b.edge[2 * i] + b.edge[2 * i + 1]) / b.block[i];
    shape[n++] = b.block[i];
  }
  for (int d = 1 + b.m; d < b.rank; d++)
    shape[n++] = b.extent[d];
  for (int i = 0; i < b.m; i++)
    perm[k++] = 2 + 2 * i;
  perm[k++] = 0;
  for (int i = 0; i < b.m; i++)
    perm[k++] = 1 + 2 * i;
  for (int d = 1 + 2 * b.m; d < n; d++)
    perm[k++] = d;
  double zero = tfl_quantised(t) ? (double)neo_fb_element(&t->zero_point, NEO_FB_I64, 0) : 0;
  int list = neo_emit_ints(e, 2 * b.rank, amounts), value = neo_emit_scalar(e, t->dtype, zero);
  int x = neo_emit_node(e, "pad", 3, (int[]){tfl_raw(op, 0), list, value}, 1)->output[0];
  x = neo_emit_transpose(e, neo_emit_reshape(e, x, n, shape), n, perm);
  for (int i = 0; i < b.m; i++)
    b.extent[1 + i] = shape[1 + 2 * i];
  b.extent[0] = -1;
  tfl_set_raw(op, 0, neo_emit_reshape(e, x, b.rank, b.extent));
}

/* The reverse: [block.., b, s.., rest] -> [b, s1, block1, ..], merged, cropped. */
void tfl_batch_to_space(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  blocks b;
  int64_t shape[NEO_MAX_RANK], perm[NEO_MAX_RANK], ends[3], starts[3], axes[3];
  int n = 0, k = 0;
  if (!read_blocks(op, &b))
    return;
  for (int i = 0; i < b.m; i++)
    shape[n++] = b.block[i];
  shape[n++] = -1;
  for (int d = 1; d < b.rank; d++)
    shape[n++] = b.extent[d];
  perm[k++] = b.m;
  for (int i = 0; i < b.m; i++) {
    perm[k++] = b.m + 1 + i;
    perm[k++] = i;
  }
  for (int d = 2 * b.m + 1; d < n; d++)
    perm[k++] = d;
  int x = neo_emit_reshape(e, tfl_raw(op, 0), n, shape);
  x = neo_emit_transpose(e, x, n, perm);
  for (int i = 0; i < b.m; i++) {
    b.extent[1 + i] *= b.block[i];
    axes[i] = 1 + i;
    starts[i] = b.edge[2 * i];
    ends[i] = b.extent[1 + i] - b.edge[2 * i + 1];
  }
  b.extent[0] = -1;
  x = neo_emit_reshape(e, x, b.rank, b.extent);
  neo_node *node = tfl_node(op, "slice", 1, &x);
  neo_node_set_ints(e->graph, node, "starts", b.m, starts);
  neo_node_set_ints(e->graph, node, "ends", b.m, ends);
  neo_node_set_ints(e->graph, node, "axes", b.m, axes);
  tfl_set_raw(op, 0, node->output[0]);
}
