/* ir/bounded.c: reading values whose extent depends on data.
 *
 * A bounded value (ir/ops_bounded.c) can be read as it is only by operators that keep real elements
 * apart from the rest. For the others this is where they become such: a node that would look at
 * what is behind the end, or that takes a shape, a position or a number which is a count, is
 * written as nodes that do not, as soon as its inputs have types. Three operators carry it:
 * `unbound` (all of it, as it lies in memory), `uncut` (all of it, with something harmless behind
 * the real part) and `cut` (only so much of it is real). So a maximum reads -infinity behind the
 * end, a concatenation gathers the real parts, a reshape multiplies the count.
 *
 * Invariants: a rule decides before it adds nodes; what it cannot prove it leaves, and the node is
 * then refused by name. A value has one bounded dimension: two counts never meet in one value. */
#include "ir/bounded.h"

#include "ir/ops_internal.h"
#include "ir/pass_internal.h"

#include <inttypes.h>
#include <string.h>

#define MOST_PLACES                                                                                \
  (1 << 22) /* a constant is made of them, which a small file may not make large */

static const struct {
  const char *op;
  neo_bounded_rule *rule;
  bool unknown; /* also asked when an input from the second on is an integer that is no constant */
} rules[] = {{"shape", neo_bounded_shape, false},
             {"size", neo_bounded_size, false},
             {"constant_of_shape", neo_bounded_constant_of_shape, true},
             {"expand", neo_bounded_expand, true},
             {"reshape", neo_bounded_reshape, true},
             {"flatten", neo_bounded_reshape, false},
             {"range", neo_bounded_range, true},
             {"slice", neo_bounded_slice, true},
             {"nonzero", neo_bounded_nonzero, false},
             {"arg_max", neo_bounded_arg, false},
             {"arg_min", neo_bounded_arg, false},
             {"topk", neo_bounded_topk, true},
             {"top_k", neo_bounded_top_k, false},
             {"non_max_suppression", neo_bounded_nms, false},
             {"concat", neo_bounded_concat, false},
             {"gather", neo_bounded_gather, false},
             {"scatter_rows", neo_bounded_scatter_rows, false},
             {"softmax", neo_bounded_softmax, false},
             {"log_softmax", neo_bounded_softmax, false},
             {"roi_align", neo_bounded_roi_align, false}};

static neo_bounded_rule *find_rule(const neo_graph *graph, const neo_node *node) {
  bool bounded = false, unknown = false;
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    bounded |= v && v->bounded;
    unknown |= v && !v->constant &&
               (k > 0 || neo_op_is(node, "constant_of_shape") || neo_op_is(node, "range"));
  }
  for (int i = 0; (bounded || unknown) && i < NEO_COUNT(rules); i++)
    if (neo_op_is(node, rules[i].op))
      return bounded || rules[i].unknown ? rules[i].rule : NULL;
  if (bounded && strncmp(node->op->name, "reduce_", 7) == 0)
    return neo_bounded_reduce;
  return bounded && node->op->fuse == 'e' && node->n_outputs == 1 && node->n_inputs > 1
             ? neo_bounded_elementwise
             : NULL;
}

neo_status neo_bounded_rewrite(neo_ctx *ctx, neo_graph *graph, int id, int depth, bool *done) {
  neo_bounded_rule *rule = find_rule(graph, &graph->node[id]);
  *done = false;
  if (!rule)
    return NEO_OK;
  NEO_TRY(neo_op_check_inputs(ctx, graph, &graph->node[id]));
  neo_expander x = {.ctx = ctx, .graph = graph, .node = graph->node[id], .depth = depth + 1};
  for (int k = 0; k < NEO_XP_MAX_OUTPUTS; k++)
    x.out[k] = NEO_NO_VALUE;
  neo_status status = rule(&x);
  NEO_TRY(x.status != NEO_OK ? x.status : status);
  if (x.out[0] == NEO_NO_VALUE)
    return NEO_OK;
  for (int k = 0; k < x.node.n_outputs; k++) {
    int from = x.node.output[k], to = x.out[k];
    if (to == NEO_NO_VALUE)
      return neo_xp_fail(&x, NEO_INTERNAL, "its rewriting makes no output %d", k);
    graph->value[from].node = -1;
    if (graph->value[to].node >= 0)
      graph->value[to].name = graph->value[from].name;
    neo_edit_replace(graph, from, to);
  }
  graph->node[id].dead = true;
  *done = true;
  return NEO_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

bool neo_bd_is(const neo_expander *x, int v) {
  return v != NEO_NO_VALUE && x->graph->value[v].bounded != 0;
}

int neo_bd_axis(const neo_expander *x, int v) {
  return neo_bd_is(x, v) ? x->graph->value[v].bounded - 1 : -1;
}

int64_t neo_bd_elements(const neo_expander *x, int v) {
  neo_shape shape = neo_xp_shape(x, v);
  int64_t n = 0;
  return neo_shape_elements(&shape, &n) ? n : 0;
}

neo_extent neo_bd_extent(const neo_expander *x, int v, int64_t i) {
  return neo_extent_at(x->graph, v, i);
}

/* Never more than there is room for. */
neo_extent neo_bd_count(const neo_expander *x, int v) {
  neo_extent e = neo_extent_at(x->graph, x->graph->value[v].count, 0);
  e.lo = neo_max_i64(e.lo, 0);
  e.hi = neo_min_i64(e.hi, neo_xp_dim(x, v, neo_bd_axis(x, v)));
  return e;
}

/* ---- building -------------------------------------------------------------------------------- */

int neo_bd_raw(neo_expander *x, int v) {
  return neo_bd_is(x, v) ? neo_xp_1(x, "unbound", v) : v;
}

int neo_bd_fill(neo_expander *x, int v, double value) {
  if (!neo_bd_is(x, v))
    return v;
  return neo_xp_op(
      x, "uncut", 2, (int[]){v, x->graph->value[v].count},
      NEO_XP_ATTRS(NEO_XP_INT("axis", neo_bd_axis(x, v)), NEO_XP_FLOAT("value", value)));
}

int neo_bd_scalar(neo_expander *x, neo_extent e) {
  if (e.known)
    return neo_xp_scalar(x, NEO_I64, (double)e.n);
  int v = e.value;
  if (neo_bd_elements(x, v) != 1) {
    v = neo_xp_reshape(x, v, 1, (int64_t[]){neo_bd_elements(x, v)});
    v = neo_xp_gather(x, v, neo_xp_scalar(x, NEO_I64, e.element), 0);
  }
  return neo_xp_reshape(x, neo_xp_cast(x, v, NEO_I64), 0, NULL);
}

int neo_bd_cut(neo_expander *x, int v, int axis, neo_extent count) {
  int64_t room = neo_xp_dim(x, v, axis);
  int64_t most = neo_max_i64(0, neo_min_i64(count.hi, room));
  v = neo_xp_slice(x, v, axis, 0, most);
  if (count.known)
    return v;
  return neo_xp_op(x, "cut", 2, (int[]){v, neo_bd_scalar(x, count)},
                   NEO_XP_ATTRS(NEO_XP_INT("axis", axis)));
}

void neo_bd_again(neo_expander *x, const char *op, int n, const int *in) {
  neo_attr *attr = neo_arena_alloc(x->graph->arena, sizeof *attr * (size_t)(x->node.n_attrs + 1));
  memset(attr, 0, sizeof *attr * (size_t)(x->node.n_attrs + 1));
  if (x->node.n_attrs)
    memcpy(attr, x->node.attr, sizeof *attr * (size_t)x->node.n_attrs);
  neo_xp_emit(x, &(neo_xp_call){op, n, in, x->node.n_outputs, attr}, x->out);
}

/* ---- arithmetic of extents ------------------------------------------------------------------- */

static neo_extent made(neo_expander *x, const char *op, neo_extent a, neo_extent b, int64_t lo,
                       int64_t hi) {
  int v = neo_xp_2(x, op, neo_bd_scalar(x, a), neo_bd_scalar(x, b));
  return (neo_extent){.value = v, .lo = lo, .hi = hi};
}

static int64_t above(int64_t a, int64_t b) { /* a sum that may have no bound */
  return a > INT64_MAX / 4 || b > INT64_MAX / 4 ? INT64_MAX : a + b;
}

static int64_t below(int64_t a, int64_t b) {
  return a < INT64_MIN / 4 || b < INT64_MIN / 4 ? INT64_MIN : a + b;
}

neo_extent neo_bd_min(neo_expander *x, neo_extent a, neo_extent b) {
  if (a.hi <= b.lo || neo_extent_same(x->graph, &a, &b))
    return a;
  if (b.hi <= a.lo)
    return b;
  return made(x, "min", a, b, neo_min_i64(a.lo, b.lo), neo_min_i64(a.hi, b.hi));
}

neo_extent neo_bd_max(neo_expander *x, neo_extent a, neo_extent b) {
  if (a.lo >= b.hi || neo_extent_same(x->graph, &a, &b))
    return a;
  if (b.lo >= a.hi)
    return b;
  return made(x, "max", a, b, neo_max_i64(a.lo, b.lo), neo_max_i64(a.hi, b.hi));
}

neo_extent neo_bd_add(neo_expander *x, neo_extent a, neo_extent b) {
  if (a.known && b.known)
    return neo_extent_number(neo_wrap_add(a.n, b.n));
  if (a.known && a.n == 0)
    return b;
  if (b.known && b.n == 0)
    return a;
  return made(x, "add", a, b, below(a.lo, b.lo), above(a.hi, b.hi));
}

neo_extent neo_bd_sub(neo_expander *x, neo_extent a, neo_extent b) {
  if (neo_extent_same(x->graph, &a, &b))
    return neo_extent_number(0);
  if (a.known && b.known)
    return neo_extent_number(a.n - b.n);
  if (b.known && b.n == 0)
    return a;
  int64_t lo = b.hi == INT64_MAX ? INT64_MIN : below(a.lo, -b.hi);
  return made(x, "sub", a, b, lo, b.lo == INT64_MIN ? INT64_MAX : above(a.hi, -b.lo));
}

/* The factor if e is something times a constant, and the something; else 1. */
static int64_t factor_of(const neo_expander *x, neo_extent *e) {
  const neo_node *node =
      e->known || x->graph->value[e->value].node < 0 || neo_bd_elements(x, e->value) != 1
          ? NULL
          : &x->graph->node[x->graph->value[e->value].node];
  for (int k = 0; node && neo_op_is(node, "mul") && k < 2; k++) {
    neo_extent by = neo_extent_at(x->graph, node->input[k], 0);
    if (by.known && by.n > 0 && neo_bd_elements(x, node->input[1 - k]) == 1) {
      *e = neo_extent_at(x->graph, node->input[1 - k], 0);
      return by.n;
    }
  }
  return 1;
}

neo_extent neo_bd_scale(neo_expander *x, neo_extent a, int64_t by, int64_t over) {
  if (by == 0)
    return neo_extent_number(0);
  int64_t own = factor_of(x, &a), common = by * own;
  if (a.known)
    return neo_extent_number(a.n * common / over);
  int64_t lo = neo_max_i64(a.lo, 0), hi = a.hi;
  hi = hi > INT64_MAX / common ? INT64_MAX : hi * common / over;
  lo = lo > INT64_MAX / common ? 0 : lo * common / over;
  if (common % over == 0) {
    common /= over;
    over = 1;
  }
  if (common != 1)
    a = made(x, "mul", a, neo_extent_number(common), 0, INT64_MAX);
  if (over != 1)
    a = made(x, "div", a, neo_extent_number(over), 0, INT64_MAX);
  a.lo = lo;
  a.hi = hi;
  return a;
}

int neo_bd_places(neo_expander *x, neo_dtype dtype, int64_t n) {
  if (n <= MOST_PLACES)
    return neo_xp_iota(x, dtype, n);
  neo_xp_fail(x, NEO_UNSUPPORTED, "an extent that depends on data, up to %" PRId64, n);
  return NEO_NO_VALUE;
}

/* ---- several of one extent ------------------------------------------------------------------- */

bool neo_bd_unify(neo_expander *x, int n, int *v, const int *axis) {
  int first = -1;
  int64_t room = 0;
  for (int k = 0; k < n; k++) {
    if (!neo_bd_is(x, v[k]) || axis[k] < 0)
      continue;
    if (neo_bd_axis(x, v[k]) != axis[k])
      return false;
    neo_extent own = neo_bd_count(x, v[k]), like = own;
    if (first >= 0)
      like = neo_bd_count(x, v[first]);
    if (!neo_extent_same(x->graph, &own, &like))
      return false;
    room =
        first < 0 ? neo_xp_dim(x, v[k], axis[k]) : neo_min_i64(room, neo_xp_dim(x, v[k], axis[k]));
    first = first < 0 ? k : first;
  }
  int count = first < 0 ? NEO_NO_VALUE : x->graph->value[v[first]].count;
  for (int k = 0; k < n; k++) {
    if (!neo_bd_is(x, v[k]) || axis[k] < 0 ||
        (x->graph->value[v[k]].count == count && neo_xp_dim(x, v[k], axis[k]) == room))
      continue;
    int all = neo_xp_slice(x, neo_bd_raw(x, v[k]), axis[k], 0, room);
    v[k] = neo_xp_op(x, "cut", 2, (int[]){all, count}, NEO_XP_ATTRS(NEO_XP_INT("axis", axis[k])));
  }
  return true;
}
