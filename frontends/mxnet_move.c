/* frontends/mxnet_move.c: MXNet's operators on shapes, and those that only move elements. */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <string.h>

static void set_ints(mx_node *node, neo_node *made, const char *name, int n, const int64_t *v) {
  neo_node_set_ints(node->im->e.graph, made, name, n, v);
}

/* ---- reshape ------------------------------------------------------------------------------------------- */

void mx_flatten(mx_node *node) {
  mx_set(node, 0, mx_one(node, "flatten", mx_in(node, 0)));
}

static void turn(int n, int64_t *v) {
  for (int i = 0; i < n / 2; i++) {
    int64_t t = v[i];
    v[i] = v[n - 1 - i];
    v[n - 1 - i] = t;
  }
}

/* The codes of Reshape: 0 keeps a dimension, -1 takes what is left, -2 copies all that remain, -3
 * joins two, -4 a b splits one. The result may hold one -1. Returns its rank, -1 if the codes do
 * not fit. */
static int decode(const int64_t *code, int n, const neo_shape *in, int64_t *out) {
  int from = 0, rank = 0;
  for (int i = 0; i < n; i++) {
    int64_t c = code[i];
    int left = in->rank - from;
    if (rank >= NEO_MAX_RANK || c < -4)
      return -1;
    if (c == -2) {
      for (; from < in->rank && rank < NEO_MAX_RANK; from++)
        out[rank++] = in->dim[from];
    } else if (c == -3) {
      if (left < 2)
        return -1;
      out[rank++] = in->dim[from] * in->dim[from + 1];
      from += 2;
    } else if (c == -4) {
      if (left < 1 || i + 2 >= n || rank + 2 > NEO_MAX_RANK)
        return -1;
      int64_t a = code[i + 1], b = code[i + 2], d = in->dim[from++];
      if ((a == -1 && b < 1) || (b == -1 && a < 1))
        return -1;
      out[rank++] = a == -1 ? d / b : a;
      out[rank++] = b == -1 ? d / a : b;
      i += 2;
    } else if (c == 0) {
      if (left < 1)
        return -1;
      out[rank++] = in->dim[from++];
    } else {
      out[rank++] = c;
      from++;
    }
  }
  return rank;
}

void mx_reshape(mx_node *node) {
  int64_t code[2 * NEO_MAX_RANK], out[NEO_MAX_RANK];
  bool reverse = mx_bool(node, "reverse", false), plain = true;
  int x = mx_in(node, 0), n = mx_ints(node, "shape", code, 2 * NEO_MAX_RANK);
  if (n < 1)
    n = mx_ints(node, "target_shape", code, 2 * NEO_MAX_RANK);
  for (int i = 0; i < n; i++)
    plain &= code[i] > 0 || code[i] == -1;
  if (n > 0 && n <= NEO_MAX_RANK && plain) {
    mx_set(node, 0, neo_emit_reshape(&node->im->e, x, n, code));
    return;
  }
  const neo_shape *known = mx_shape(node, x);
  if (!known)
    return;
  neo_shape in = *known;
  if (reverse) {
    turn(n, code);
    turn(in.rank, in.dim);
  }
  int rank = n < 1 ? -1 : decode(code, n, &in, out);
  if (rank < 0) {
    mx_unsupported(node, "shape %s of an input of rank %d", mx_text(node, "shape", "?"), in.rank);
    return;
  }
  if (reverse)
    turn(rank, out);
  mx_set(node, 0, neo_emit_reshape(&node->im->e, x, rank, out));
}

void mx_reshape_like(mx_node *node) {
  const neo_shape *shape = mx_shape(node, mx_in(node, 1));
  if (mx_text(node, "lhs_begin", NULL) || mx_text(node, "rhs_begin", NULL) ||
      mx_text(node, "lhs_end", NULL) || mx_text(node, "rhs_end", NULL))
    mx_unsupported(node, "ranges of dimensions");
  else if (shape)
    mx_set(node, 0, neo_emit_reshape(&node->im->e, mx_in(node, 0), shape->rank, shape->dim));
}

void mx_transpose(mx_node *node) {
  int64_t axes[NEO_MAX_RANK];
  int x = mx_in(node, 0), n = mx_ints(node, "axes", axes, NEO_MAX_RANK), axis;
  if (n < 1) {
    mx_set(node, 0, mx_one(node, "transpose", x));
    return;
  }
  for (int i = 0; i < n; i++) {
    if (!mx_axis(node, axes[i], n, &axis))
      return;
    axes[i] = axis;
  }
  mx_set(node, 0, neo_emit_transpose(&node->im->e, x, n, axes));
}

void mx_swap_axes(mx_node *node) {
  int64_t perm[NEO_MAX_RANK];
  int x = mx_in(node, 0), rank = mx_rank(node, x), a, b;
  if (!mx_axis(node, mx_int(node, "dim1", 0), rank, &a) ||
      !mx_axis(node, mx_int(node, "dim2", 0), rank, &b))
    return;
  for (int d = 0; d < rank; d++)
    perm[d] = d == a ? b : d == b ? a : d;
  mx_set(node, 0, neo_emit_transpose(&node->im->e, x, rank, perm));
}

static int axes_node(mx_node *node, const char *op, int x, int n, const int64_t *axes) {
  neo_node *made = mx_emit(node, op, 1, &x);
  if (n > 0)
    set_ints(node, made, "axes", n, axes);
  return made->output[0];
}

void mx_expand_dims(mx_node *node) {
  int64_t axis = mx_int(node, "axis", 0);
  mx_set(node, 0, axes_node(node, "unsqueeze", mx_in(node, 0), 1, &axis));
}

void mx_squeeze(mx_node *node) {
  int64_t axes[NEO_MAX_RANK];
  int n = mx_ints(node, "axis", axes, NEO_MAX_RANK);
  mx_set(node, 0, axes_node(node, "squeeze", mx_in(node, 0), n, axes));
}

/* ---- joining and cutting ---------------------------------------------------------------------------------- */

static int concat(mx_node *node, int n, const int *inputs, int64_t axis) {
  neo_node *made = mx_emit(node, "concat", n, inputs);
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  return made->output[0];
}

void mx_concat(mx_node *node) {
  mx_set(node, 0, concat(node, node->n_inputs, node->input, mx_int(node, "dim", 1)));
}

void mx_stack(mx_node *node) {
  int64_t axis = mx_int(node, "axis", 0);
  int *parts =
      neo_arena_alloc(node->im->e.graph->arena, sizeof(int) * ((size_t)node->n_inputs + 1));
  for (int k = 0; k < node->n_inputs; k++)
    parts[k] = axes_node(node, "unsqueeze", mx_in(node, k), 1, &axis);
  mx_set(node, 0, concat(node, node->n_inputs, parts, axis));
}

static void set_parts(mx_node *node, const neo_node *made, bool squeeze, int64_t axis) {
  int n = made->n_outputs;
  const int *parts =
      neo_arena_copy(node->im->e.graph->arena, made->output, sizeof(int) * (size_t)n);
  for (int k = 0; k < n; k++)
    mx_set(node, k, squeeze ? axes_node(node, "squeeze", parts[k], 1, &axis) : parts[k]);
}

void mx_slice_channel(mx_node *node) {
  int64_t axis = mx_int(node, "axis", 1);
  int x = mx_in(node, 0);
  neo_node *made = neo_emit_node(&node->im->e, "split", 1, &x, node->n_outputs);
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  set_parts(node, made, mx_bool(node, "squeeze_axis", false), axis);
}

/* indices start with 0: where each part begins. */
void mx_split_v2(mx_node *node) {
  int64_t axis = mx_int(node, "axis", 1), cuts[256], sizes[256];
  int x = mx_in(node, 0), at;
  bool equal = mx_int(node, "sections", 0) > 0;
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || !mx_axis(node, axis, shape->rank, &at))
    return;
  int n = equal ? 0 : mx_ints(node, "indices", cuts, 256);
  int64_t extent = shape->dim[at];
  neo_node *made = neo_emit_node(&node->im->e, "split", 1, &x, node->n_outputs);
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  for (int i = 0; i < n; i++)
    sizes[i] = (i + 1 < n ? cuts[i + 1] : extent) - cuts[i];
  if (n > 0)
    set_ints(node, made, "split", n, sizes);
  set_parts(node, made, mx_bool(node, "squeeze_axis", false), axis);
}

typedef struct cut {
  int n;
  int64_t axis[NEO_MAX_RANK], from[NEO_MAX_RANK], to[NEO_MAX_RANK], step[NEO_MAX_RANK];
} cut;

static void add_cut(cut *c, int64_t axis, int64_t from, int64_t to, int64_t step) {
  c->axis[c->n] = axis;
  c->from[c->n] = from;
  c->to[c->n] = to;
  c->step[c->n++] = step;
}

static int slice(mx_node *node, int x, const cut *c) {
  neo_node *made = mx_emit(node, "slice", 1, &x);
  set_ints(node, made, "starts", c->n, c->from);
  set_ints(node, made, "ends", c->n, c->to);
  set_ints(node, made, "axes", c->n, c->axis);
  set_ints(node, made, "steps", c->n, c->step);
  return made->output[0];
}

/* begin, end, step; None: from the start, to the end. */
void mx_slice(mx_node *node) {
  int64_t begin[NEO_MAX_RANK], end[NEO_MAX_RANK], step[NEO_MAX_RANK];
  int n = mx_ints(node, "begin", begin, NEO_MAX_RANK), m = mx_ints(node, "end", end, NEO_MAX_RANK),
      k = mx_ints(node, "step", step, NEO_MAX_RANK);
  cut c = {0};
  if (n < 1 || m != n) {
    mx_unsupported(node, "begin and end of %d and %d values", n, m);
    return;
  }
  for (int d = 0; d < n; d++) {
    int64_t by = d < k && step[d] != MX_NONE && step[d] != 0 ? step[d] : 1;
    add_cut(&c, d,
            begin[d] != MX_NONE ? begin[d]
            : by > 0            ? 0
                                : INT64_MAX,
            end[d] != MX_NONE ? end[d]
            : by > 0          ? INT64_MAX
                              : INT64_MIN,
            by);
  }
  mx_set(node, 0, slice(node, mx_in(node, 0), &c));
}

void mx_slice_axis(mx_node *node) {
  cut c = {0};
  add_cut(&c, mx_int(node, "axis", 0), mx_int(node, "begin", 0), mx_int(node, "end", INT64_MAX), 1);
  mx_set(node, 0, slice(node, mx_in(node, 0), &c));
}

void mx_slice_like(mx_node *node) {
  int64_t axes[NEO_MAX_RANK];
  const neo_shape *like = mx_shape(node, mx_in(node, 1));
  int n = mx_ints(node, "axes", axes, NEO_MAX_RANK), axis;
  cut c = {0};
  if (!like)
    return;
  for (int d = 0; n < 1 && d < like->rank; d++)
    add_cut(&c, d, 0, like->dim[d], 1);
  for (int i = 0; i < n; i++)
    if (mx_axis(node, axes[i], like->rank, &axis))
      add_cut(&c, axis, 0, like->dim[axis], 1);
  mx_set(node, 0, slice(node, mx_in(node, 0), &c));
}

/* Crop: height and width as given, or as the second input's. */
void mx_crop(mx_node *node) {
  int64_t offset[2] = {0, 0}, size[2] = {0, 0};
  const neo_shape *in = mx_shape(node, mx_in(node, 0));
  const neo_shape *like = node->n_inputs > 1 ? mx_shape(node, mx_in(node, 1)) : NULL;
  cut c = {0};
  mx_ints(node, "offset", offset, 2);
  mx_ints(node, "h_w", size, 2);
  if (!in || in->rank != 4 || (node->n_inputs > 1 && (!like || like->rank != 4)))
    return;
  for (int d = 0; d < 2; d++) {
    size[d] = like ? like->dim[2 + d] : size[d];
    if (mx_bool(node, "center_crop", false))
      offset[d] = (in->dim[2 + d] - size[d]) / 2;
    add_cut(&c, 2 + d, offset[d], offset[d] + size[d], 1);
  }
  mx_set(node, 0, slice(node, mx_in(node, 0), &c));
}

void mx_reverse(mx_node *node) {
  int64_t axes[NEO_MAX_RANK];
  int n = mx_ints(node, "axis", axes, NEO_MAX_RANK);
  cut c = {0};
  for (int i = 0; i < n; i++)
    add_cut(&c, axes[i], INT64_MAX, INT64_MIN, -1);
  mx_set(node, 0, slice(node, mx_in(node, 0), &c));
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

static int with_list(mx_node *node, const char *op, int x, int n, const int64_t *v) {
  return mx_two(node, op, x, neo_emit_ints(&node->im->e, n, v));
}

/* reps may be longer or shorter than the rank. */
void mx_tile(mx_node *node) {
  int64_t reps[NEO_MAX_RANK], all[NEO_MAX_RANK];
  int x = mx_in(node, 0), n = mx_ints(node, "reps", reps, NEO_MAX_RANK), rank = mx_rank(node, x);
  if (rank < 0 || n < 0)
    return;
  int64_t axes[NEO_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  if (n > rank)
    x = axes_node(node, "unsqueeze", x, n - rank, axes);
  int to = n > rank ? n : rank;
  for (int d = 0; d < to; d++)
    all[d] = d < to - n ? 1 : reps[d - (to - n)];
  mx_set(node, 0, with_list(node, "tile", x, to, all));
}

/* Every element `repeats` times: as a gather. */
void mx_repeat(mx_node *node) {
  int64_t repeats = mx_int(node, "repeats", 1);
  int x = mx_in(node, 0), axis = 0;
  if (!mx_text(node, "axis", NULL))
    x = neo_emit_reshape(&node->im->e, x, 1, (int64_t[]){-1});
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || !mx_axis(node, mx_int(node, "axis", 0), shape->rank, &axis))
    return;
  if (repeats < 1 || shape->dim[axis] > (1 << 24) / repeats) {
    mx_unsupported(node, "%" PRId64 " repeats", repeats);
    return;
  }
  int64_t n = shape->dim[axis] * repeats;
  int64_t *index = neo_arena_alloc(node->im->e.graph->arena, sizeof *index * ((size_t)n + 1));
  for (int64_t i = 0; i < n; i++)
    index[i] = i / repeats;
  neo_node *made =
      mx_emit(node, "gather", 2, (int[]){x, neo_emit_ints(&node->im->e, (int)n, index)});
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  mx_set(node, 0, made->output[0]);
}

void mx_pad(mx_node *node) {
  int64_t width[2 * NEO_MAX_RANK], pads[2 * NEO_MAX_RANK];
  int x = mx_in(node, 0), n = mx_ints(node, "pad_width", width, 2 * NEO_MAX_RANK);
  const char *mode = mx_text(node, "mode", "constant");
  if (n < 2 || n % 2) {
    mx_unsupported(node, "pad_width of %d values", n);
    return;
  }
  for (int d = 0; d < n / 2; d++) {
    pads[d] = width[2 * d];
    pads[n / 2 + d] = width[2 * d + 1];
  }
  int value = mx_scalar(node, x, mx_float(node, "constant_value", 0));
  int list = neo_emit_ints(&node->im->e, n, pads);
  bool constant = strcmp(mode, "constant") == 0;
  neo_node *made = mx_emit(node, "pad", 3, (int[]){x, list, constant ? value : NEO_NO_VALUE});
  neo_node_set_string(node->im->e.graph, made, "mode", mode);
  mx_set(node, 0, made->output[0]);
}

void mx_depth_space(mx_node *node) {
  int x = mx_in(node, 0);
  neo_node *made = mx_emit(node, node->row->op, 1, &x);
  neo_node_set_int(node->im->e.graph, made, "blocksize", mx_int(node, "block_size", 1));
  mx_set(node, 0, made->output[0]);
}

/* Extents per named axis. */
void mx_broadcast_axis(mx_node *node) {
  int64_t axes[NEO_MAX_RANK], sizes[NEO_MAX_RANK], to[NEO_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  int n = mx_ints(node, "axis", axes, NEO_MAX_RANK), m = mx_ints(node, "size", sizes, NEO_MAX_RANK);
  int x = mx_in(node, 0), rank = mx_rank(node, x), axis;
  for (int i = 0; i < n && i < m; i++) {
    if (!mx_axis(node, axes[i], rank, &axis))
      return;
    to[axis] = sizes[i];
  }
  if (rank >= 0)
    mx_set(node, 0, with_list(node, "expand", x, rank, to));
}

void mx_broadcast_to(mx_node *node) {
  int64_t to[NEO_MAX_RANK];
  int n = mx_ints(node, "shape", to, NEO_MAX_RANK);
  for (int d = 0; d < n; d++)
    to[d] = to[d] == 0 ? 1 : to[d]; /* 0: as it is */
  if (n >= 0)
    mx_set(node, 0, with_list(node, "expand", mx_in(node, 0), n, to));
}

void mx_broadcast_like(mx_node *node) {
  if (mx_text(node, "lhs_axes", NULL) || mx_text(node, "rhs_axes", NULL))
    mx_unsupported(node, "some axes only");
  else
    mx_set(node, 0, mx_two(node, "expand", mx_in(node, 0), mx_one(node, "shape", mx_in(node, 1))));
}

/* ---- by index ------------------------------------------------------------------------------------------------- */

/* Indices outside are clipped, or wrap. */
void mx_take(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int x = mx_in(node, 0), index = neo_emit_cast(e, mx_in(node, 1), NEO_I64), axis;
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || !mx_axis(node, mx_int(node, "axis", 0), shape->rank, &axis))
    return;
  if (!mx_is(node, "mode", "wrap", false)) {
    index = mx_two(node, "max", index, neo_emit_scalar(e, NEO_I64, 0));
    index = mx_two(node, "min", index, neo_emit_scalar(e, NEO_I64, (double)shape->dim[axis] - 1));
  }
  neo_node *made = mx_emit(node, "gather", 2, (int[]){x, index});
  neo_node_set_int(e->graph, made, "axis", axis);
  mx_set(node, 0, made->output[0]);
}

void mx_one_hot(mx_node *node) {
  neo_emitter *e = &node->im->e;
  double values[2] = {mx_float(node, "off_value", 0), mx_float(node, "on_value", 1)};
  neo_dtype dtype = mx_dtype(node, "dtype", NEO_F32);
  int index = neo_emit_cast(e, mx_in(node, 0), NEO_I64);
  int depth = neo_emit_int(e, mx_int(node, "depth", 1)), pair = neo_emit_floats(e, 2, values);
  int y = mx_emit(node, "one_hot", 3, (int[]){index, depth, pair})->output[0];
  mx_set(node, 0, dtype == NEO_F32 || dtype == NEO_DTYPE_COUNT ? y : neo_emit_cast(e, y, dtype));
}

/* MXNet has coordinates in the first dimension of the indices. */
void mx_gather_nd(mx_node *node) {
  int index = neo_emit_cast(&node->im->e, mx_in(node, 1), NEO_I64), rank = mx_rank(node, index);
  if (rank < 1)
    return;
  index = mx_transpose_to(node, index, rank, 0, rank - 1);
  mx_set(node, 0, mx_two(node, "gather_nd", mx_in(node, 0), index));
}

/* An index outside of the dimension is the nearest one inside, or with `wrap` the remainder. */
static int inside(mx_node *node, int index, int64_t size) {
  if (mx_is(node, "mode", "wrap", false))
    return mx_two(node, "mod", index, neo_emit_int(&node->im->e, size));
  index = mx_two(node, "max", index, neo_emit_int(&node->im->e, 0));
  return mx_two(node, "min", index, neo_emit_int(&node->im->e, size - 1));
}

void mx_pick(mx_node *node) {
  int64_t axis = mx_int(node, "axis", -1);
  int x = mx_in(node, 0), index = neo_emit_cast(&node->im->e, mx_in(node, 1), NEO_I64), at;
  int index_rank = mx_rank(node, index);
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || index_rank < 0 || !mx_axis(node, axis, shape->rank, &at))
    return;
  int rank = shape->rank;
  index = inside(node, index, shape->dim[at]);
  if (index_rank < rank)
    index = axes_node(node, "unsqueeze", index, 1, &axis);
  neo_node *made = mx_emit(node, "gather_elements", 2, (int[]){x, index});
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  int y = made->output[0];
  bool keep = mx_bool(node, "keepdims", false);
  mx_set(node, 0, keep ? y : axes_node(node, "squeeze", y, 1, &axis));
}

void mx_topk(mx_node *node) {
  neo_emitter *e = &node->im->e;
  const char *what = mx_text(node, "ret_typ", "indices");
  int64_t k = mx_int(node, "k", 1);
  int count = neo_emit_ints(e, 1, &k);
  neo_node *made = neo_emit_node(e, "topk", 2, (int[]){mx_in(node, 0), count}, 2);
  neo_node_set_int(e->graph, made, "axis", mx_int(node, "axis", -1));
  neo_node_set_int(e->graph, made, "largest", !mx_bool(node, "is_ascend", false));
  if (made->n_outputs < 2)
    return;
  int values = made->output[0], places = made->output[1];
  places = neo_emit_cast(e, places, mx_dtype(node, "dtype", NEO_F32));
  if (strcmp(what, "both") == 0) {
    mx_set(node, 0, values);
    mx_set(node, 1, places);
  } else if (strcmp(what, "mask") == 0) {
    mx_unsupported(node, "ret_typ mask");
  } else {
    mx_set(node, 0, strcmp(what, "value") == 0 ? values : places);
  }
}

/* ---- new tensors ------------------------------------------------------------------------------------------------- */

/* A dimension of 0 is one that MXNet infers (the batch of a recurrent state): 1, which broadcasts.
 */
void mx_filled(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t shape[NEO_MAX_RANK];
  int n = mx_ints(node, "shape", shape, NEO_MAX_RANK);
  neo_dtype dtype = mx_dtype(node, "dtype", NEO_F32);
  bool ones = strstr(node->op, "ones") != NULL;
  for (int d = 0; d < n; d++)
    shape[d] = shape[d] <= 0 ? 1 : shape[d];
  int value = neo_emit_scalar(e, dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype,
                              mx_float(node, "value", ones ? 1 : 0));
  mx_set(node, 0, with_list(node, "expand", value, n < 0 ? 0 : n, shape));
}

void mx_filled_like(mx_node *node) {
  int x = mx_in(node, 0), value = mx_scalar(node, x, strcmp(node->op, "ones_like") == 0);
  mx_set(node, 0, mx_two(node, "expand", value, mx_one(node, "shape", x)));
}

void mx_arange(mx_node *node) {
  double start = mx_float(node, "start", 0), step = mx_float(node, "step", 1),
         stop = mx_float(node, "stop", 0);
  int64_t repeat = mx_int(node, "repeat", 1), n;
  bool like = node->n_inputs > 0;
  if (like) {
    const neo_shape *shape = mx_shape(node, mx_in(node, 0));
    int axis = 0;
    if (!shape || !mx_text(node, "axis", NULL) ||
        !mx_axis(node, mx_int(node, "axis", 0), shape->rank, &axis)) {
      mx_unsupported(node, "without an axis");
      return;
    }
    n = shape->dim[axis];
  } else {
    if (!mx_text(node, "stop", NULL)) {
      stop = start;
      start = 0;
    }
    double count = step != 0 ? (stop - start) / step : -1;
    n = count >= 0 && count < 1 << 24 ? (int64_t)count + (count > (double)(int64_t)count) : -1;
  }
  if (n < 0 || n > 1 << 24 || repeat != 1) {
    mx_unsupported(node, "this many values");
    return;
  }
  double *v = neo_arena_alloc(node->im->e.graph->arena, sizeof *v * ((size_t)n + 1));
  for (int64_t i = 0; i < n; i++)
    v[i] = start + step * (double)i;
  mx_set(node, 0, neo_emit_floats(&node->im->e, (int)n, v));
}

void mx_shape_array(mx_node *node) {
  mx_set(node, 0, mx_one(node, "shape", mx_in(node, 0)));
}

/* ---- sequences (time is dimension `axis`, 0 by default) ----------------------------------------------------------- */

static bool with_lengths(mx_node *node) {
  return mx_bool(node, "use_sequence_length", false);
}

void mx_sequence_last(mx_node *node) {
  int64_t axis = mx_int(node, "axis", 0);
  cut c = {0};
  if (with_lengths(node)) {
    mx_last_of_lengths(node, mx_in(node, 0), mx_in(node, 1), axis);
    return;
  }
  add_cut(&c, axis, -1, INT64_MAX, 1);
  mx_set(node, 0, axes_node(node, "squeeze", slice(node, mx_in(node, 0), &c), 1, &axis));
}

/* Where time >= the row's length: `value`. */
void mx_sequence_mask(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int x = mx_in(node, 0);
  int64_t axis = mx_int(node, "axis", 0), ones[NEO_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  if (!mx_bool(node, "use_sequence_length", false)) {
    mx_set(node, 0, x);
    return;
  }
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || shape->rank < 2 || axis < 0 || axis > 1 || shape->dim[axis] > 1 << 24)
    return;
  int rank = shape->rank;
  int64_t steps = shape->dim[axis];
  double *v = neo_arena_alloc(e->graph->arena, sizeof *v * ((size_t)steps + 1));
  for (int64_t i = 0; i < steps; i++)
    v[i] = (double)i;
  ones[axis] = -1;
  int time = neo_emit_reshape(e, neo_emit_floats(e, (int)steps, v), rank, ones);
  ones[axis] = 1;
  ones[1 - axis] = -1;
  int length = neo_emit_cast(e, neo_emit_reshape(e, mx_in(node, 1), rank, ones), NEO_F32);
  int inside = mx_two(node, "less", time, length),
      fill = mx_scalar(node, x, mx_float(node, "value", 0));
  mx_set(node, 0, mx_emit(node, "where", 3, (int[]){inside, x, fill})->output[0]);
}

void mx_sequence_reverse(mx_node *node) {
  cut c = {0};
  if (with_lengths(node)) {
    mx_reverse_of_lengths(node, mx_in(node, 0), mx_in(node, 1));
    return;
  }
  add_cut(&c, 0, INT64_MAX, INT64_MIN, -1);
  mx_set(node, 0, slice(node, mx_in(node, 0), &c));
}
