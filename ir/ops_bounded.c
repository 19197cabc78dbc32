/* ir/ops_bounded.c: results whose number of elements depends on the data, and what may read them.
 *
 * Such a value has its largest possible shape and says so: `bounded` is 1 + the dimension of which
 * only a part is real, `count` the value (i64 []) that knows how much. What is behind the real part
 * is whatever the operators make of it; nobody may look. So an operator may read a bounded value
 * only if each of its results is bounded in the same way and every real element is made of real
 * ones: elementwise operators, views, gathers, slices and concatenations along other dimensions,
 * and whatever treats rows (of a matrix product, a softmax, a reduction) or images one by one.
 * What ir/bounded.h can write as such operators is; anything else is refused by name. The counts
 * reach the runtime, which cuts the outputs. */
#include "ir/extents.h"
#include "ir/flow.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- the operators that make them ---------------------------------------------------------------- */

/* Output 1, made if it is not there. */
void neo_op_add_count(neo_graph *graph, neo_node *node) {
  neo_shape scalar = {0};
  if (node->n_outputs < 2) {
    int v = neo_graph_add_value(graph, neo_arena_printf(graph->arena, "%s.count", node->name),
                                NEO_I64, &scalar);
    int *output = neo_arena_alloc(graph->arena, 2 * sizeof *output);
    output[0] = node->output[0];
    output[1] = v;
    graph->value[v].node = (int)(node - graph->node);
    graph->value[v].output = 1;
    node->output = output;
    node->n_outputs = 2;
  }
  neo_op_set(graph, node, 1, NEO_I64, &scalar);
}

neo_status neo_infer_bounded_nonzero(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t n = 0;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (x->constant && node->n_outputs == 1)
    return neo_infer_nonzero(ctx, graph, node);
  neo_shape_elements(&x->shape, &n);
  if (x->bounded)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "its input's extent is known at run time only");
  neo_op_set(graph, node, 0, NEO_I64, &(neo_shape){.rank = 2, .dim = {x->shape.rank, n}});
  neo_op_add_count(graph, node);
  return NEO_OK;
}

neo_status neo_eval_bounded_nonzero(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                    neo_tensor *const *in, neo_tensor *out) {
  int64_t n = 0, found = 0;
  NEO_TRY(neo_eval_nonzero(ctx, graph, node, in, out));
  neo_shape_elements(&in[0]->shape, &n);
  for (int64_t k = 0; k < n; k++)
    found += neo_tensor_get_f64(in[0], k) != 0;
  if (node->n_outputs == 2)
    neo_tensor_set_i64(&out[1], 0, found);
  return NEO_OK;
}

/* Constant scalar inputs 2 to 4 become attributes, which is how the runtime takes them. */
static neo_status nms_attributes(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  double most = 0, iou = 0, score = 0;
  bool given[3];
  if (neo_node_attr(node, "has_score_threshold"))
    return NEO_OK; /* done before */
  NEO_TRY(neo_op_scalar(ctx, graph, node, 2, &given[0], &most));
  NEO_TRY(neo_op_scalar(ctx, graph, node, 3, &given[1], &iou));
  NEO_TRY(neo_op_scalar(ctx, graph, node, 4, &given[2], &score));
  most = most > 0 ? fmin(most, INT32_MAX) : 0;
  int64_t center = neo_node_int(node, "center_point_box", 0);
  neo_node_set_int(graph, node, "max_output_boxes_per_class", (int64_t)most);
  neo_node_set_float(graph, node, "iou_threshold", iou);
  neo_node_set_float(graph, node, "score_threshold", score);
  neo_node_set_int(graph, node, "center_point_box", center);
  neo_node_set_int(graph, node, "has_score_threshold", given[2]);
  node->n_inputs = 2;
  return NEO_OK;
}

neo_status neo_infer_nms(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value boxes = *neo_op_in(graph, node, 0), scores = *neo_op_in(graph, node, 1);
  if (boxes.dtype != NEO_F32 || scores.dtype != NEO_F32 || boxes.shape.rank != 3 ||
      scores.shape.rank != 3 || boxes.shape.dim[2] != 4 ||
      boxes.shape.dim[0] != scores.shape.dim[0] || boxes.shape.dim[1] != scores.shape.dim[2])
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "boxes f32 [b,n,4] and scores f32 [b,classes,n] expected");
  if (boxes.bounded || scores.bounded)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "its inputs' extents are known at run time only");
  NEO_TRY(nms_attributes(ctx, graph, node));
  int64_t most =
      neo_min_i64(neo_node_int(node, "max_output_boxes_per_class", 0), boxes.shape.dim[1]);
  neo_shape shape = {.rank = 2, .dim = {boxes.shape.dim[0] * scores.shape.dim[1] * most, 3}};
  neo_op_set(graph, node, 0, NEO_I64, &shape);
  neo_op_add_count(graph, node);
  return NEO_OK;
}

typedef struct nms {
  const neo_node *node;
  const float *boxes, *scores; /* of one batch and class */
  int64_t n, most, found, *kept;
} nms;

static double side(const float *box, int k, bool center, bool high) {
  double a = center ? box[k] - box[k + 2] / 2 : fmin(box[k], box[k + 2]);
  double b = center ? box[k] + box[k + 2] / 2 : fmax(box[k], box[k + 2]);
  return high ? b : a;
}

static double overlap(const nms *s, int64_t i, int64_t j) {
  bool center = neo_node_int(s->node, "center_point_box", 0) != 0;
  double both = 1, area[2] = {1, 1};
  const float *box[2] = {s->boxes + 4 * i, s->boxes + 4 * j};
  for (int k = 0; k < 2; k++) {
    for (int b = 0; b < 2; b++)
      area[b] *= side(box[b], k, center, true) - side(box[b], k, center, false);
    both *= fmax(0, fmin(side(box[0], k, center, true), side(box[1], k, center, true)) -
                        fmax(side(box[0], k, center, false), side(box[1], k, center, false)));
  }
  double either = area[0] + area[1] - both;
  return either > 0 ? both / either : 0;
}

/* The best box behind `after` in the order of falling score, -1: none. */
static int64_t next_box(const nms *s, int64_t after) {
  bool limited = neo_node_int(s->node, "has_score_threshold", 0) != 0;
  double least = neo_node_float(s->node, "score_threshold", 0);
  int64_t best = -1;
  for (int64_t i = 0; i < s->n; i++) {
    float v = s->scores[i];
    bool later = after < 0 || v < s->scores[after] || (v == s->scores[after] && i > after);
    if (later && (limited ? v > (float)least : v == v) && (best < 0 || v > s->scores[best]))
      best = i;
  }
  return best;
}

static void suppress(nms *s) {
  double iou = neo_node_float(s->node, "iou_threshold", 0);
  s->found = 0;
  for (int64_t at = next_box(s, -1); at >= 0 && s->found < s->most; at = next_box(s, at)) {
    bool keep = true;
    for (int64_t k = 0; k < s->found && keep; k++)
      keep = overlap(s, at, s->kept[k]) <= iou;
    if (keep)
      s->kept[s->found++] = at;
  }
}

neo_status neo_eval_nms(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                        neo_tensor *const *in, neo_tensor *out) {
  int64_t n = in[0]->shape.dim[1], classes = in[1]->shape.dim[1], total = 0;
  int64_t most = neo_min_i64(neo_node_int(node, "max_output_boxes_per_class", 0), n);
  nms s = {.node = node, .n = n, .most = most};
  (void)graph;
  s.kept = neo_alloc(ctx, sizeof *s.kept * (size_t)(n + 1));
  if (!s.kept)
    return neo_op_fail(ctx, node, NEO_NO_MEMORY, "out of memory");
  memset(out[0].data, 0xff, out[0].size);
  for (int64_t at = 0; at < in[0]->shape.dim[0] * classes; at++) {
    s.boxes = (const float *)in[0]->data + at / classes * n * 4;
    s.scores = (const float *)in[1]->data + at * n;
    suppress(&s);
    for (int64_t k = 0; k < s.found && total < out[0].shape.dim[0]; k++, total++) {
      const int64_t row[3] = {at / classes, at % classes, s.kept[k]};
      for (int c = 0; c < 3; c++)
        neo_tensor_set_i64(&out[0], 3 * total + c, row[c]);
    }
  }
  neo_free(ctx, s.kept);
  if (node->n_outputs == 2)
    neo_tensor_set_i64(&out[1], 0, total);
  return NEO_OK;
}

/* ---- what may read them -------------------------------------------------------------------------- */

/* The dimension of the output that dimension d of input k becomes, or -1. */
typedef int follow_fn(const neo_graph *graph, const neo_node *node, int k, int d);

static int64_t product(const neo_shape *shape, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++)
    n *= shape->dim[i];
  return n;
}

static int follow_elementwise(const neo_graph *graph, const neo_node *node, int k, int d) {
  const neo_shape *in = &graph->value[node->input[k]].shape;
  const neo_shape *out = &graph->value[node->output[0]].shape;
  int at = d + out->rank - in->rank;
  for (int i = 0; i < node->n_inputs; i++) {
    const neo_value *other = node->input[i] == NEO_NO_VALUE ? NULL : &graph->value[node->input[i]];
    int own = other ? at - (out->rank - other->shape.rank) : -1;
    if (own >= 0 && !other->bounded && other->shape.dim[own] != 1)
      return -1;
  }
  return in->dim[d] == out->dim[at] ? at : -1;
}

static int follow_view(const neo_graph *graph, const neo_node *node, int k, int d) {
  const neo_shape *in = &graph->value[node->input[k]].shape;
  const neo_shape *out = &graph->value[node->output[0]].shape;
  for (int e = 0; k == 0 && e < out->rank; e++)
    if (out->dim[e] == in->dim[d] && product(out, 0, e) == product(in, 0, d))
      return e;
  return -1;
}

static int follow_gather(const neo_graph *graph, const neo_node *node, int k, int d) {
  int rank = graph->value[node->input[0]].shape.rank;
  int axis = (int)neo_node_int(node, "axis", 0);
  axis += axis < 0 ? rank : 0;
  if (k == 1)
    return axis + d;
  return d == axis ? -1 : d < axis ? d : d - 1 + graph->value[node->input[1]].shape.rank;
}

/* Parts along another dimension. */
static int follow_split(const neo_graph *graph, const neo_node *node, int k, int d) {
  int rank = graph->value[node->input[0]].shape.rank, axis = (int)neo_node_int(node, "axis", 0);
  return k == 0 && d != (axis < 0 ? axis + rank : axis) ? d : -1;
}

/* The dimension is left as it is. */
static int follow_slice(const neo_graph *graph, const neo_node *node, int k, int d) {
  const neo_shape *in = &graph->value[node->input[0]].shape;
  int64_t steps[NEO_MAX_RANK];
  const neo_value *given = neo_op_in(graph, node, 4);
  int n = neo_node_ints(node, "steps", steps, NEO_MAX_RANK);
  for (int i = 0; i < n && i < NEO_MAX_RANK; i++)
    if (steps[i] < 0)
      return -1;
  for (int i = 0; given && given->constant && i < given->shape.dim[0]; i++)
    if (neo_tensor_get_i64(given->constant, i) < 0)
      return -1;
  return k == 0 && in->dim[d] == graph->value[node->output[0]].shape.dim[d] ? d : -1;
}

/* Of dimensions that are expanded none is bounded. */
static int follow_expand(const neo_graph *graph, const neo_node *node, int k, int d) {
  const neo_shape *in = &graph->value[node->input[0]].shape;
  const neo_shape *out = &graph->value[node->output[0]].shape;
  int at = d + out->rank - in->rank;
  return k == 0 && in->dim[d] == out->dim[at] ? at : -1;
}

static int follow_tile(const neo_graph *graph, const neo_node *node, int k, int d) {
  const neo_shape *in = &graph->value[node->input[0]].shape;
  const neo_shape *out = &graph->value[node->output[0]].shape;
  return k == 0 && in->rank == out->rank && in->dim[d] == out->dim[d] ? d : -1;
}

/* Sums over what is in front. */
static int follow_cumsum(const neo_graph *graph, const neo_node *node, int k, int d) {
  (void)graph;
  return k == 0 && !neo_node_int(node, "reverse", 0) ? d : -1;
}

static int follow_one_hot(const neo_graph *graph, const neo_node *node, int k, int d) {
  int rank = graph->value[node->output[0]].shape.rank, axis = (int)neo_node_int(node, "axis", -1);
  axis += axis < 0 ? rank : 0;
  return k == 0 ? d + (d >= axis) : -1;
}

static int follow_transpose(const neo_graph *graph, const neo_node *node, int k, int d) {
  int64_t perm[NEO_MAX_RANK];
  int rank = graph->value[node->input[0]].shape.rank;
  int n = neo_node_ints(node, "perm", perm, NEO_MAX_RANK);
  for (int e = 0; k == 0 && e < rank; e++)
    if ((n == rank ? (int)perm[e] : rank - 1 - e) == d)
      return e;
  return -1;
}

static int follow_concat(const neo_graph *graph, const neo_node *node, int k, int d) {
  int axis = (int)neo_node_int(node, "axis", 0);
  axis += axis < 0 ? graph->value[node->output[0]].shape.rank : 0;
  for (int i = 0; i < node->n_inputs; i++)
    if (!graph->value[node->input[i]].bounded)
      return -1;
  return k >= 0 && d != axis ? d : -1;
}

/* Along the other dimensions than `axis`; dropped ones come off. */
static int follow_but(int d, int rank, int64_t axis, bool keep) {
  axis += axis < 0 ? rank : 0;
  return d == axis ? -1 : d > axis && !keep ? d - 1 : d;
}

static int follow_rows(const neo_graph *graph, const neo_node *node, int k, int d) {
  int rank = graph->value[node->input[0]].shape.rank;
  if (k != 0 || neo_node_int(node, "coerce_2d", 0))
    return -1;
  return follow_but(d, rank, neo_node_int(node, "axis", -1), true);
}

/* Norms take everything from the axis on. */
static int follow_norm(const neo_graph *graph, const neo_node *node, int k, int d) {
  int64_t axis = neo_node_int(node, "axis", -1);
  axis += axis < 0 ? graph->value[node->input[0]].shape.rank : 0;
  return k == 0 && d < axis && node->n_outputs == 1 ? d : -1;
}

static int follow_arg(const neo_graph *graph, const neo_node *node, int k, int d) {
  int rank = graph->value[node->input[0]].shape.rank;
  return k == 0 ? follow_but(d, rank, neo_node_int(node, "axis", 0),
                             neo_node_int(node, "keepdims", 1) != 0)
                : -1;
}

static int follow_reduce(const neo_graph *graph, const neo_node *node, int k, int d) {
  bool flag[NEO_MAX_RANK] = {false}, given = false;
  int rank = graph->value[node->input[0]].shape.rank, dropped = 0;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_op_site at = {&ctx, graph, node};
  if (k != 0 || neo_op_axes(&at, 1, rank, flag, &given) != NEO_OK || !given || flag[d])
    return -1;
  for (int e = 0; e < d; e++)
    dropped += flag[e];
  return neo_node_int(node, "keepdims", 1) ? d : d - dropped;
}

/* Rows of the first operand times a matrix. */
static int follow_matmul(const neo_graph *graph, const neo_node *node, int k, int d) {
  int a = graph->value[node->input[0]].shape.rank, b = graph->value[node->input[1]].shape.rank;
  return k == 0 && b == 2 && a >= 2 && d < a - 1 ? d : -1;
}

static int follow_gemm(const neo_graph *graph, const neo_node *node, int k, int d) {
  const neo_value *c = neo_op_in(graph, node, 2);
  bool one_row = !c || c->shape.rank < 2 || c->shape.dim[0] == 1;
  return k == 0 && d == 0 && one_row && !neo_node_int(node, "trans_a", 0) ? 0 : -1;
}

/* Images one by one. */
static int follow_batch(const neo_graph *graph, const neo_node *node, int k, int d) {
  (void)graph;
  return k == 0 && d == 0 && node->n_outputs == 1 ? 0 : -1;
}

static int follow_same(const neo_graph *graph, const neo_node *node, int k, int d) {
  (void)graph;
  (void)node;
  return k == 0 ? d : -1;
}

static follow_fn *find_follow(const neo_node *node) {
  static const struct {
    const char *op;
    follow_fn *follow;
  } rows[] = {{"gather", follow_gather},
              {"split", follow_split},
              {"slice", follow_slice},
              {"expand", follow_expand},
              {"tile", follow_tile},
              {"cumsum", follow_cumsum},
              {"one_hot", follow_one_hot},
              {"transpose", follow_transpose},
              {"text_case", follow_same},
              {"softmax", follow_rows},
              {"log_softmax", follow_rows},
              {"lp_normalization", follow_rows},
              {"layer_norm", follow_norm},
              {"rms_norm", follow_norm},
              {"arg_max", follow_arg},
              {"arg_min", follow_arg},
              {"matmul", follow_matmul},
              {"gemm", follow_gemm},
              {"conv", follow_batch},
              {"max_pool", follow_batch},
              {"average_pool", follow_batch},
              {"global_average_pool", follow_batch},
              {"global_max_pool", follow_batch},
              {"concat", follow_concat}};
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (neo_op_is(node, rows[i].op))
      return rows[i].follow;
  if (strncmp(node->op->name, "reduce_", 7) == 0)
    return follow_reduce;
  if (node->op->fuse == 'v')
    return follow_view;
  return node->op->fuse == 'e' && node->n_outputs == 1 ? follow_elementwise : NULL;
}

static neo_status refuse(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int value) {
  return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                     "it cannot read '%s', whose extent along dimension %d is known at run time "
                     "only (at most %" PRId64 ")",
                     graph->value[value].name, graph->value[value].bounded - 1,
                     graph->value[value].shape.dim[graph->value[value].bounded - 1]);
}

static neo_status check_graphs(neo_ctx *ctx, const neo_node *node) {
  for (int i = 0; i < node->n_attrs; i++) {
    const neo_graph *sub = node->attr[i].kind == NEO_ATTR_GRAPH ? node->attr[i].graph : NULL;
    for (int o = 0; sub && o < sub->n_outputs; o++)
      if (sub->value[sub->output[o]].bounded)
        return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                           "its graph returns '%s', whose extent is known at run time only",
                           sub->output_name[o]);
  }
  return NEO_OK;
}

/* It may read what is bounded by its own count. */
static neo_status check_uncut(neo_ctx *ctx, const neo_graph *graph, const neo_node *node) {
  const neo_value *in = &graph->value[node->input[0]];
  int64_t axis = neo_node_int(node, "axis", 0);
  axis += axis < 0 ? in->shape.rank : 0;
  return in->bounded && (in->bounded != axis + 1 || in->count != node->input[1])
             ? refuse(ctx, graph, node, node->input[0])
             : NEO_OK;
}

/* Operators that are written as others, by names of elements only, never by how many there are:
 * what they are made of is looked at instead. */
static bool is_seen_through(const neo_graph *graph, const neo_node *node) {
  static const char *const names[] = {"topk", "gather_nd", "scatter_nd", "roi_align",
                                      "scatter_elements"};
  const neo_value *data = neo_op_in(graph, node, 0);
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (neo_op_is(node, names[i]))
      return i == 0 || i == 3 || !data->bounded || neo_value_counts(graph, node->input[1]);
  return false;
}

neo_status neo_node_bounds(neo_ctx *ctx, neo_graph *graph, const neo_node *node) {
  for (int i = 0; i < node->n_outputs; i++)
    graph->value[node->output[i]].bounded = 0;
  NEO_TRY(check_graphs(ctx, node));
  if (node->n_outputs == 2 &&
      (neo_op_is(node, "nonzero") || neo_op_is(node, "non_max_suppression") ||
       neo_op_is(node, "text_filter"))) {
    neo_value *out = &graph->value[node->output[0]];
    out->bounded = neo_op_is(node, "nonzero")       ? 2
                   : neo_op_is(node, "text_filter") ? out->shape.rank
                                                    : 1;
    out->count = node->output[1];
    return NEO_OK;
  }
  if (neo_op_is(node, "cut") && !graph->value[node->input[0]].bounded) {
    neo_value *out = &graph->value[node->output[0]];
    int64_t axis = neo_node_int(node, "axis", 0);
    out->bounded = 1 + (int)(axis < 0 ? axis + out->shape.rank : axis);
    out->count = node->input[1];
    return NEO_OK;
  }
  if (neo_op_is(node, "uncut"))
    return check_uncut(ctx, graph, node);
  if (neo_op_is(node, "unbound") || is_seen_through(graph, node))
    return NEO_OK;
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *in = node->input[k] == NEO_NO_VALUE ? NULL : &graph->value[node->input[k]];
    if (!in || !in->bounded)
      continue;
    follow_fn *follow = find_follow(node);
    int at = follow ? follow(graph, node, k, in->bounded - 1) : -1;
    for (int o = 0; o < (neo_op_is(node, "split") ? node->n_outputs : 1); o++) {
      neo_value *out = &graph->value[node->output[o]];
      if (at < 0 || (out->bounded && (out->bounded != at + 1 || out->count != in->count)))
        return refuse(ctx, graph, node, node->input[k]);
      out->bounded = at + 1;
      out->count = in->count;
    }
  }
  return NEO_OK;
}

neo_status neo_pass_bounds(neo_ctx *ctx, neo_graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (!graph->node[i].dead)
      NEO_TRY(neo_node_bounds(ctx, graph, &graph->node[i]));
  return NEO_OK;
}
