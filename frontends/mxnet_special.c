/* frontends/mxnet_special.c: MXNet's special functions, sorting, moments, small linear algebra and
 * spatial transformers. */
#include "frontends/mxnet_import.h"
#include "frontends/special_functions.h"

#include <math.h>
#include <string.h>

static int scaled(mx_node *node, int x, const char *op, double by) {
  return mx_two(node, op, x, mx_scalar(node, x, by));
}

static int where(mx_node *node, int condition, int a, int b) {
  return mx_emit(node, "where", 3, (int[]){condition, a, b})->output[0];
}

static bool named(const mx_node *node, const char *part) {
  return strstr(node->op, part) != NULL;
}

/* ---- elementwise ----------------------------------------------------------------------------- */

static int length_of(mx_node *node, int a, int b) {
  int sum = mx_two(node, "add", mx_two(node, "mul", a, a), mx_two(node, "mul", b, b));
  return mx_one(node, "sqrt", sum);
}

void mx_hypot(mx_node *node) {
  mx_set(node, 0, length_of(node, mx_in(node, 0), mx_in(node, 1)));
}

void mx_hypot_scalar(mx_node *node) {
  int x = mx_in(node, 0);
  mx_set(node, 0, length_of(node, x, mx_scalar(node, x, mx_float(node, "scalar", 0))));
}

/* gamma and gammaln */
void mx_gamma(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int x = mx_in(node, 0);
  if (named(node, "gammaln")) {
    mx_set(node, 0, neo_emit_log_gamma(e, x));
    return;
  }
  int low = scaled(node, x, "less", 0.5), pi = mx_scalar(node, x, acos(-1));
  int y = where(node, low, mx_two(node, "sub", mx_scalar(node, x, 1), x), x);
  int l = mx_one(node, "exp", neo_emit_log_gamma_upper(e, y));
  int sine = mx_one(node, "sin", scaled(node, x, "mul", acos(-1)));
  mx_set(node, 0, where(node, low, mx_two(node, "div", pi, mx_two(node, "mul", sine, l)), l));
}

void mx_erfinv(mx_node *node) {
  mx_set(node, 0, neo_emit_erfinv(&node->im->e, mx_in(node, 0)));
}

/* ---- order, sums ----------------------------------------------------------------------------- */

/* axis=None: of all elements, which is not what an absent axis means if there is another default.
 */
static int one_axis(mx_node *node, int x, int64_t otherwise, int64_t *axis) {
  const char *text = json_string_value(json_object_get(node->attrs, "axis"));
  bool all = text ? strcmp(text, "None") == 0 : otherwise == INT64_MAX;
  *axis = all ? 0 : mx_int(node, "axis", otherwise);
  return all ? neo_emit_reshape(&node->im->e, x, 1, (int64_t[]){-1}) : x;
}

/* sort, argsort: all elements of top_k */
void mx_sort(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t axis;
  int x = one_axis(node, mx_in(node, 0), -1, &axis), at;
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || !mx_axis(node, axis, shape->rank, &at))
    return;
  int count = neo_emit_ints(e, 1, &shape->dim[at]);
  neo_node *made = neo_emit_node(e, "topk", 2, (int[]){x, count}, 2);
  neo_node_set_int(e->graph, made, "axis", at);
  neo_node_set_int(e->graph, made, "largest", !mx_bool(node, "is_ascend", true));
  int values = made->output[0], places = made->output[1];
  bool wants_places = named(node, "argsort");
  mx_set(node, 0,
         wants_places ? neo_emit_cast(e, places, mx_dtype(node, "dtype", NEO_F32)) : values);
}

void mx_cumsum(mx_node *node) {
  int64_t axis;
  int x = one_axis(node, mx_in(node, 0), INT64_MAX, &axis);
  neo_dtype dtype = mx_dtype(node, "dtype", NEO_DTYPE_COUNT);
  if (dtype != NEO_DTYPE_COUNT)
    x = neo_emit_cast(&node->im->e, x, dtype);
  mx_set(node, 0, mx_two(node, "cumsum", x, neo_emit_int(&node->im->e, axis)));
}

static int reduced(mx_node *node, const char *op, int x, int n, const int64_t *axes, bool keep) {
  neo_node *made = mx_emit(node, op, 1, &x);
  if (n >= 0)
    neo_node_set_ints(node->im->e.graph, made, "axes", n, axes);
  neo_node_set_int(node->im->e.graph, made, "keepdims", keep);
  int y = made->output[0];
  return n < 0 && !keep ? neo_emit_reshape(&node->im->e, y, 1, (int64_t[]){1}) : y;
}

/* Mean and variance. */
void mx_moments(mx_node *node) {
  int64_t axes[NEO_MAX_RANK];
  int n = mx_ints(node, "axes", axes, NEO_MAX_RANK), x = mx_in(node, 0);
  bool keep = mx_bool(node, "keepdims", false);
  int off = mx_two(node, "sub", x, reduced(node, "reduce_mean", x, n, axes, true));
  mx_set(node, 0, reduced(node, "reduce_mean", x, n, axes, keep));
  mx_set(node, 1, reduced(node, "reduce_mean", mx_two(node, "mul", off, off), n, axes, keep));
}

/* nansum, nanprod */
void mx_nan_reduce(mx_node *node) {
  int64_t axes[NEO_MAX_RANK];
  int n = mx_ints(node, "axis", axes, NEO_MAX_RANK), x = mx_in(node, 0);
  bool product = named(node, "prod");
  if (mx_bool(node, "exclude", false)) {
    mx_unsupported(node, "exclude");
    return;
  }
  x = where(node, mx_one(node, "isnan", x), mx_scalar(node, x, product), x);
  mx_set(node, 0,
         reduced(node, product ? "reduce_prod" : "reduce_sum", x, n > 0 ? n : -1, axes,
                 mx_bool(node, "keepdims", false)));
}

void mx_argmax_channel(mx_node *node) {
  int x = mx_in(node, 0);
  neo_node *made = mx_emit(node, "arg_max", 1, &x);
  neo_node_set_int(node->im->e.graph, made, "axis", 1);
  neo_node_set_int(node->im->e.graph, made, "keepdims", 0);
  mx_set(node, 0, neo_emit_cast(&node->im->e, made->output[0], NEO_F32));
}

void mx_size_array(mx_node *node) {
  int x = mx_in(node, 0);
  int n = mx_emit(node, "size", 1, &x)->output[0];
  mx_set(node, 0, neo_emit_reshape(&node->im->e, n, 1, (int64_t[]){1}));
}

/* ---- linear algebra -------------------------------------------------------------------------- */

/* The elements of a list by number; number n is 0. */
static int pick(mx_node *node, int x, int64_t n, const int64_t *at) {
  neo_emitter *e = &node->im->e;
  int flat[2] = {neo_emit_reshape(e, x, 1, (int64_t[]){-1}), NEO_NO_VALUE};
  flat[1] = neo_emit_reshape(e, mx_scalar(node, x, 0), 1, (int64_t[]){1});
  neo_node *both = mx_emit(node, "concat", 2, flat);
  neo_node_set_int(e->graph, both, "axis", 0);
  return mx_two(node, "gather", both->output[0], neo_emit_ints(e, (int)n, at));
}

/* The k-th diagonal of a matrix, or a matrix with the vector on it. */
void mx_diag(mx_node *node) {
  int x = mx_in(node, 0);
  int64_t k = mx_int(node, "k", 0), down = k < 0 ? -k : 0, right = k > 0 ? k : 0;
  const neo_shape *shape = mx_shape(node, x);
  if (!shape)
    return;
  neo_shape s = *shape;
  neo_arena *arena = node->im->e.graph->arena;
  if (s.rank < 1 || s.rank > 2 || k > 1 << 15 || k < -(1 << 15) || s.dim[0] > 1 << 12) {
    mx_unsupported(node, "rank %d, or too large", s.rank);
  } else if (s.rank == 1) {
    int64_t n = s.dim[0], side = n + down + right;
    int64_t *at = neo_arena_alloc(arena, sizeof *at * (size_t)(side * side + 1));
    for (int64_t i = 0; i < side * side; i++)
      at[i] = n;
    for (int64_t i = 0; i < n; i++)
      at[(i + down) * side + i + right] = i;
    int made = pick(node, x, side * side, at);
    mx_set(node, 0, neo_emit_reshape(&node->im->e, made, 2, (int64_t[]){side, side}));
  } else {
    int64_t n = neo_min_i64(s.dim[0] - down, s.dim[1] - right);
    int64_t *at = neo_arena_alloc(arena, sizeof *at * (size_t)(neo_max_i64(n, 0) + 1));
    for (int64_t i = 0; i < n; i++)
      at[i] = (i + down) * s.dim[1] + i + right;
    mx_set(node, 0, pick(node, x, neo_max_i64(n, 0), at));
  }
}

static int turned(mx_node *node, int x, bool yes) {
  int rank = yes ? mx_rank(node, x) : 0;
  return rank >= 2 ? mx_transpose_to(node, x, rank, rank - 1, rank - 2) : x;
}

/* alpha op(A) op(B) + beta C */
void mx_linalg_gemm(mx_node *node) {
  int a = turned(node, mx_in(node, 0), mx_bool(node, "transpose_a", false));
  int b = turned(node, mx_in(node, 1), mx_bool(node, "transpose_b", false));
  int y = scaled(node, mx_two(node, "matmul", a, b), "mul", mx_float(node, "alpha", 1));
  int c = scaled(node, mx_in(node, 2), "mul", mx_float(node, "beta", 1));
  if (mx_int(node, "axis", -2) != -2)
    mx_unsupported(node, "axis");
  mx_set(node, 0, mx_two(node, "add", y, c));
}

/* alpha A A^T, or A^T A */
void mx_linalg_syrk(mx_node *node) {
  bool swap = mx_bool(node, "transpose", false);
  int a = mx_in(node, 0), t = turned(node, a, true);
  int y = swap ? mx_two(node, "matmul", t, a) : mx_two(node, "matmul", a, t);
  mx_set(node, 0, scaled(node, y, "mul", mx_float(node, "alpha", 1)));
}

/* ---- spatial transformers -------------------------------------------------------------------- */

/* theta [n, 6] as sampling points [n, h, w, 2]. */
static int affine(mx_node *node, int theta) {
  neo_emitter *e = &node->im->e;
  int64_t size[2];
  const neo_shape *shape = mx_shape(node, theta);
  if (!shape || mx_ints(node, "target_shape", size, 2) != 2)
    return NEO_NO_VALUE;
  int64_t n = shape->dim[0], whole[4] = {n, 1, size[0], size[1]};
  theta = neo_emit_reshape(e, theta, 3, (int64_t[]){n, 2, 3});
  neo_node *made = mx_emit(node, "affine_grid", 2, (int[]){theta, neo_emit_ints(e, 4, whole)});
  neo_node_set_int(e->graph, made, "align_corners", 1);
  return made->output[0];
}

static int sample(mx_node *node, int x, int grid) {
  neo_node *made = mx_emit(node, "grid_sample", 2, (int[]){x, grid});
  neo_node_set_string(node->im->e.graph, made, "mode", "linear");
  neo_node_set_string(node->im->e.graph, made, "padding_mode", "zeros");
  neo_node_set_int(node->im->e.graph, made, "align_corners", 1);
  return made->output[0];
}

/* A flow [n, 2, h, w] in pixels, added to where the pixels are. */
static int warped(mx_node *node, int flow) {
  neo_emitter *e = &node->im->e;
  const neo_shape *shape = mx_shape(node, flow);
  if (!shape || shape->rank != 4 || shape->dim[2] > 1 << 12 || shape->dim[3] > 1 << 12)
    return NEO_NO_VALUE;
  int64_t h = shape->dim[2], w = shape->dim[3];
  double *at = neo_arena_alloc(e->graph->arena, sizeof *at * (size_t)(2 * h * w + 1));
  double half[2] = {w > 1 ? (double)(w - 1) / 2 : 1, h > 1 ? (double)(h - 1) / 2 : 1};
  for (int64_t i = 0; i < h * w; i++) {
    at[i] = (double)(i % w);
    at[h * w + i] = (double)(i / w);
  }
  int place =
      neo_emit_reshape(e, neo_emit_floats(e, (int)(2 * h * w), at), 4, (int64_t[]){1, 2, h, w});
  int scale = neo_emit_reshape(e, neo_emit_floats(e, 2, half), 4, (int64_t[]){1, 2, 1, 1});
  return scaled(node, mx_two(node, "div", mx_two(node, "add", flow, place), scale), "sub", 1);
}

void mx_grid_generator(mx_node *node) {
  int x = mx_in(node, 0), grid;
  if (mx_is(node, "transform_type", "warp", false)) {
    grid = warped(node, x);
  } else {
    grid = affine(node, x);
    if (grid != NEO_NO_VALUE)
      grid = neo_emit_transpose(&node->im->e, grid, 4, (int64_t[]){0, 3, 1, 2});
  }
  if (grid != NEO_NO_VALUE)
    mx_set(node, 0, grid);
  else
    mx_unsupported(node, "its shapes");
}

void mx_bilinear_sampler(mx_node *node) {
  int grid = neo_emit_transpose(&node->im->e, mx_in(node, 1), 4, (int64_t[]){0, 2, 3, 1});
  mx_set(node, 0, sample(node, mx_in(node, 0), grid));
}

void mx_spatial_transformer(mx_node *node) {
  int grid = affine(node, mx_in(node, 1));
  if (grid != NEO_NO_VALUE)
    mx_set(node, 0, sample(node, mx_in(node, 0), grid));
  else
    mx_unsupported(node, "its shapes");
}

/* ---- sequences with lengths ------------------------------------------------------------------ */

/* [time, batch, ..] or [batch, time, ..]: the element before each row's length. */
void mx_last_of_lengths(mx_node *node, int x, int lengths, int64_t axis) {
  neo_emitter *e = &node->im->e;
  int rank = mx_rank(node, x);
  if (rank < 2)
    return;
  if (axis == 0)
    x = mx_transpose_to(node, x, rank, 1, 0);
  lengths = neo_emit_cast(e, lengths, NEO_I64);
  int at = mx_two(node, "sub", lengths, neo_emit_int(e, 1));
  at = neo_emit_reshape(e, at, 2, (int64_t[]){-1, 1});
  neo_node *made = mx_emit(node, "gather_nd", 2, (int[]){x, at});
  neo_node_set_int(e->graph, made, "batch_dims", 1);
  mx_set(node, 0, made->output[0]);
}

void mx_reverse_of_lengths(mx_node *node, int x, int lengths) {
  neo_emitter *e = &node->im->e;
  neo_node *made =
      mx_emit(node, "reverse_sequence", 2, (int[]){x, neo_emit_cast(e, lengths, NEO_I64)});
  neo_node_set_int(e->graph, made, "batch_axis", 1);
  neo_node_set_int(e->graph, made, "time_axis", 0);
  mx_set(node, 0, made->output[0]);
}
