/* ir/extents.c: elements of integer lists, see extents.h.
 *
 * Exporters write a shape that depends on data as shape -> gather -> min -> unsqueeze -> concat,
 * anew for every use. Followed back, all of these are the one count that the data determines; and
 * its largest value is found by computing with intervals. Both walks are bounded by a number of
 * nodes that they may look at, since a graph with much sharing has very many paths; what they do
 * not find is unknown, never wrong. */
#include "ir/extents.h"

#include "ir/ops_internal.h"

#include <string.h>

#define DEPTH 128
#define LOOKS 4096

static int64_t elements(const neo_value *v) {
  int64_t n = 0;
  return v->shape.rank >= 0 && neo_shape_elements(&v->shape, &n) ? n : 0;
}

static bool is_integer(const neo_value *v) {
  char cls = v->dtype < NEO_DTYPE_COUNT ? neo_dtype_class(v->dtype) : 0;
  return cls == 'i' || cls == 'u';
}

neo_extent neo_extent_number(int64_t n) {
  return (neo_extent){.known = true, .n = n, .value = NEO_NO_VALUE, .lo = n, .hi = n};
}

static const neo_node *producer(const neo_graph *graph, int v) {
  return graph->value[v].node >= 0 ? &graph->node[graph->value[v].node] : NULL;
}

/* ---- following back -------------------------------------------------------------------------- */

typedef struct place {
  int value;
  int64_t element;
} place;

/* Their intervals do not meet. */
static bool is_apart(const neo_graph *graph, place a, place b);

/* Part of a concat of lists that has the element. */
static bool into_concat(const neo_graph *graph, const neo_node *node, place *at) {
  int64_t i = at->element;
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *part = &graph->value[node->input[k]];
    int64_t n = part->shape.rank == 1 && !part->bounded ? part->shape.dim[0] : -1;
    if (n < 0)
      return false;
    if (i < n) {
      *at = (place){node->input[k], i};
      return true;
    }
    i -= n;
  }
  return false;
}

static bool into_gather(const neo_graph *graph, const neo_node *node, place *at) {
  const neo_value *data = &graph->value[node->input[0]];
  const neo_tensor *index = graph->value[node->input[1]].constant;
  if (!index || data->shape.rank != 1 || data->bounded)
    return false;
  int64_t i = neo_tensor_get_i64(index, at->element), n = data->shape.dim[0];
  i += i < 0 ? n : 0;
  if (i < 0 || i >= n)
    return false;
  *at = (place){node->input[0], i};
  return true;
}

static bool constant_first(const neo_graph *graph, const neo_node *node, int k, const char *attr,
                           int64_t otherwise, int64_t *out) {
  const neo_value *v = neo_op_in(graph, node, k);
  *out = otherwise;
  if (!v)
    return neo_node_ints(node, attr, out, 1) <= 1;
  if (!v->constant || elements(v) != 1)
    return false;
  *out = neo_tensor_get_i64(v->constant, 0);
  return true;
}

static bool into_slice(const neo_graph *graph, const neo_node *node, place *at) {
  int64_t start, step, n = graph->value[node->input[0]].shape.dim[0];
  if (graph->value[node->input[0]].shape.rank != 1 || graph->value[node->input[0]].bounded ||
      !constant_first(graph, node, 1, "starts", 0, &start) ||
      !constant_first(graph, node, 4, "steps", 1, &step) || step != 1)
    return false;
  start += start < 0 ? n : 0;
  if (start < 0 || start + at->element >= n)
    return false;
  *at = (place){node->input[0], start + at->element};
  return true;
}

static bool is_number(const neo_graph *graph, int v, int64_t n) {
  const neo_tensor *t = graph->value[v].constant;
  return t && is_integer(&graph->value[v]) && elements(&graph->value[v]) == 1 &&
         neo_tensor_get_i64(t, 0) == n;
}

/* x + 0, x * 1, x - 0, x / 1; a reduction of one element. */
static bool into_neutral(const neo_graph *graph, const neo_node *node, place *at) {
  bool add = neo_op_is(node, "add"), mul = neo_op_is(node, "mul");
  bool right = add || mul || neo_op_is(node, "sub") || neo_op_is(node, "div");
  int64_t neutral = add || neo_op_is(node, "sub") ? 0 : 1;
  if (strncmp(node->op->name, "reduce_m", 8) == 0 && elements(&graph->value[node->input[0]]) == 1) {
    *at = (place){node->input[0], 0};
    return true;
  }
  for (int k = 1; right && k >= (add || mul ? 0 : 1); k--)
    if (is_number(graph, node->input[k], neutral)) {
      int other = node->input[1 - k];
      *at = (place){other, elements(&graph->value[other]) == 1 ? 0 : at->element};
      return true;
    }
  return false;
}

static place operand(const neo_graph *graph, const neo_node *node, int k, int64_t element) {
  return (place){node->input[k], elements(&graph->value[node->input[k]]) == 1 ? 0 : element};
}

/* A choice whose condition is known, or can only be false: equal to what it cannot be. */
static bool into_where(const neo_graph *graph, const neo_node *node, place *at) {
  place cond = operand(graph, node, 0, at->element);
  const neo_tensor *known = graph->value[cond.value].constant;
  const neo_node *equal = producer(graph, cond.value);
  bool no = equal && neo_op_is(equal, "equal") && is_integer(&graph->value[equal->input[0]]) &&
            is_apart(graph, operand(graph, equal, 0, cond.element),
                     operand(graph, equal, 1, cond.element));
  if (!known && !no)
    return false;
  *at = operand(graph, node, known && neo_tensor_get_i64(known, cond.element) ? 1 : 2, at->element);
  return true;
}

static bool step_back(const neo_graph *graph, place *at) {
  const neo_node *node = producer(graph, at->value);
  if (!node || graph->value[at->value].constant || node->n_inputs < 1 ||
      node->input[0] == NEO_NO_VALUE || graph->value[at->value].output != 0)
    return false;
  const neo_value *in = &graph->value[node->input[0]];
  if (neo_op_is(node, "where"))
    return is_integer(&graph->value[at->value]) && into_where(graph, node, at);
  if (!is_integer(in) || in->shape.rank < 0)
    return false;
  if (neo_op_is(node, "cast") || node->op->fuse == 'v') {
    at->value = node->input[0];
    return true;
  }
  if (neo_op_is(node, "concat"))
    return into_concat(graph, node, at);
  if (neo_op_is(node, "gather"))
    return into_gather(graph, node, at);
  if (neo_op_is(node, "slice"))
    return into_slice(graph, node, at);
  return into_neutral(graph, node, at);
}

/* ---- intervals ------------------------------------------------------------------------------- */

typedef struct range {
  int64_t lo, hi;
} range;
static const range anything = {INT64_MIN, INT64_MAX};
#define LARGE                                                                                      \
  (INT64_C(1) << 40) /* beyond it nothing is an extent, and products do not overflow               \
                      */

static bool is_small(range r) {
  return r.lo >= -LARGE && r.hi <= LARGE;
}

static int64_t least(const int64_t *v, int n) {
  int64_t r = v[0];
  for (int i = 1; i < n; i++)
    r = neo_min_i64(r, v[i]);
  return r;
}

static int64_t most(const int64_t *v, int n) {
  int64_t r = v[0];
  for (int i = 1; i < n; i++)
    r = neo_max_i64(r, v[i]);
  return r;
}

static range combine(const char *op, range a, range b) {
  if (strcmp(op, "min") == 0)
    return (range){neo_min_i64(a.lo, b.lo), neo_min_i64(a.hi, b.hi)};
  if (strcmp(op, "max") == 0)
    return (range){neo_max_i64(a.lo, b.lo), neo_max_i64(a.hi, b.hi)};
  if (!is_small(a) || !is_small(b))
    return anything;
  if (strcmp(op, "add") == 0 || strcmp(op, "sum") == 0)
    return (range){a.lo + b.lo, a.hi + b.hi};
  if (strcmp(op, "sub") == 0)
    return (range){a.lo - b.hi, a.hi - b.lo};
  if (strcmp(op, "mul") == 0 && a.lo >= -(1 << 20) && b.hi <= 1 << 20 && a.hi <= 1 << 20 &&
      b.lo >= -(1 << 20)) {
    const int64_t corner[4] = {a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi};
    return (range){least(corner, 4), most(corner, 4)};
  }
  if (strcmp(op, "div") == 0 && b.lo > 0) {
    const int64_t corner[4] = {a.lo / b.lo, a.lo / b.hi, a.hi / b.lo, a.hi / b.hi};
    return (range){least(corner, 4), most(corner, 4)};
  }
  if (strcmp(op, "mod") == 0 && b.lo > 0 && a.lo >= 0)
    return (range){0, b.hi - 1};
  return anything;
}

typedef struct search {
  const neo_graph *graph;
  int looks;
} search;

static range range_of(search *s, place at, int depth);

static range range_of_input(search *s, const neo_node *node, int k, int64_t element, int depth) {
  int v = node->input[k];
  if (v == NEO_NO_VALUE)
    return anything;
  return range_of(s, (place){v, elements(&s->graph->value[v]) == 1 ? 0 : element}, depth);
}

/* A reduction of a short list to one element. */
static range range_of_list(search *s, const neo_node *node, const char *op, int depth) {
  int64_t n = elements(&s->graph->value[node->input[0]]);
  const neo_node *from = producer(s->graph, node->input[0]);
  if (strcmp(op, "add") == 0 && from && neo_op_is(from, "cast") &&
      s->graph->value[from->input[0]].dtype == NEO_BOOL)
    return (range){0, n};
  if (n < 1 || n > 64 || s->graph->value[node->input[0]].bounded)
    return anything;
  range r = range_of_input(s, node, 0, 0, depth);
  for (int64_t i = 1; i < n; i++)
    r = combine(op, r, range_of(s, (place){node->input[0], i}, depth));
  return r;
}

/* The count of a bounded output 0. */
static bool is_count(const neo_graph *graph, int v, const neo_node *node) {
  return graph->value[v].output == 1 && node->n_outputs == 2 &&
         graph->value[node->output[0]].bounded && graph->value[node->output[0]].count == v;
}

static range range_of(search *s, place at, int depth) {
  static const char *const reductions[][2] = {
      {"reduce_min", "min"}, {"reduce_max", "max"}, {"reduce_sum", "add"}, {"reduce_prod", "mul"}};
  if (depth == 0 || --s->looks < 0)
    return anything;
  while (step_back(s->graph, &at) && --s->looks > 0)
    continue;
  const neo_value *v = &s->graph->value[at.value];
  if (v->constant) {
    if (v->dtype == NEO_STR || at.element >= elements(v))
      return anything;
    int64_t n = neo_tensor_get_i64(v->constant, at.element);
    return (range){n, n};
  }
  const neo_node *node = producer(s->graph, at.value);
  if (v->dtype == NEO_BOOL)
    return (range){0, 1};
  if (!node)
    return anything;
  if (is_count(s->graph, at.value, node)) {
    const neo_value *list = &s->graph->value[node->output[0]];
    return (range){0, list->shape.dim[list->bounded - 1]};
  }
  if (v->output != 0)
    return anything;
  if (neo_op_is(node, "cast") || neo_op_is(node, "floor") || neo_op_is(node, "ceil") ||
      node->op->fuse == 'v')
    return range_of_input(s, node, 0, at.element, depth - 1);
  if (neo_op_is(node, "where")) {
    range yes = range_of_input(s, node, 1, at.element, depth - 1);
    range no = range_of_input(s, node, 2, at.element, depth - 1);
    return (range){neo_min_i64(yes.lo, no.lo), neo_max_i64(yes.hi, no.hi)};
  }
  for (int i = 0; i < NEO_COUNT(reductions); i++)
    if (neo_op_is(node, reductions[i][0]) && elements(v) == 1)
      return range_of_list(s, node, reductions[i][1], depth - 1);
  if (node->op->fuse != 'e' || node->n_inputs < 2)
    return anything;
  range r = range_of_input(s, node, 0, at.element, depth - 1);
  for (int k = 1; k < node->n_inputs; k++)
    r = combine(node->op->name, r, range_of_input(s, node, k, at.element, depth - 1));
  return r;
}

static bool is_apart(const neo_graph *graph, place a, place b) {
  search s = {graph, LOOKS / 16};
  range p = range_of(&s, a, DEPTH / 4), q = range_of(&s, b, DEPTH / 4);
  return p.hi < q.lo || q.hi < p.lo;
}

neo_extent neo_extent_at(const neo_graph *graph, int v, int64_t i) {
  place at = {v, i};
  for (int k = 0; k < LOOKS && step_back(graph, &at); k++)
    continue;
  const neo_value *value = &graph->value[at.value];
  if (value->constant && value->dtype != NEO_STR && at.element < elements(value))
    return neo_extent_number(neo_tensor_get_i64(value->constant, at.element));
  search s = {graph, LOOKS};
  range r = range_of(&s, at, DEPTH);
  return (neo_extent){.value = at.value, .element = (int)at.element, .lo = r.lo, .hi = r.hi};
}

/* ---- equality -------------------------------------------------------------------------------- */

static bool same_values(search *s, int a, int b, int depth);

static bool same_attributes(const neo_node *a, const neo_node *b) {
  if (a->n_attrs != b->n_attrs)
    return false;
  for (int i = 0; i < a->n_attrs; i++) {
    const neo_attr *p = &a->attr[i], *q = &b->attr[i];
    if (strcmp(p->name, q->name) != 0 || p->kind != q->kind || p->n != q->n || p->i != q->i ||
        p->f != q->f || p->kind == NEO_ATTR_TENSOR || p->kind == NEO_ATTR_GRAPH ||
        (p->kind == NEO_ATTR_STRING && strcmp(p->s, q->s) != 0) ||
        (p->kind == NEO_ATTR_INTS && memcmp(p->ints, q->ints, sizeof *p->ints * (size_t)p->n)) ||
        (p->kind == NEO_ATTR_FLOATS &&
         memcmp(p->floats, q->floats, sizeof *p->floats * (size_t)p->n)))
      return false;
  }
  return true;
}

static bool same_constants(const neo_tensor *a, const neo_tensor *b) {
  return a->dtype == b->dtype && a->dtype != NEO_STR && a->size == b->size &&
         neo_shape_equal(&a->shape, &b->shape) && memcmp(a->data, b->data, a->size) == 0;
}

/* Of integers of one element: of what they are made. */
static bool same_places(search *s, place a, place b, int depth) {
  while (step_back(s->graph, &a) && --s->looks > 0)
    continue;
  while (step_back(s->graph, &b) && --s->looks > 0)
    continue;
  const neo_value *p = &s->graph->value[a.value], *q = &s->graph->value[b.value];
  if (p->constant && q->constant && is_integer(p) && is_integer(q))
    return a.element < elements(p) && b.element < elements(q) &&
           neo_tensor_get_i64(p->constant, a.element) == neo_tensor_get_i64(q->constant, b.element);
  return a.element == b.element && same_values(s, a.value, b.value, depth);
}

static bool is_one_number(const neo_graph *graph, int v) {
  return is_integer(&graph->value[v]) && elements(&graph->value[v]) == 1;
}

static bool same_values(search *s, int a, int b, int depth) {
  const neo_graph *graph = s->graph;
  if (a == b)
    return true;
  if (a == NEO_NO_VALUE || b == NEO_NO_VALUE || depth == 0 || --s->looks < 0)
    return false;
  const neo_value *p = &graph->value[a], *q = &graph->value[b];
  if (p->constant || q->constant)
    return p->constant && q->constant && same_constants(p->constant, q->constant);
  const neo_node *m = producer(graph, a), *n = producer(graph, b);
  if (!m || !n || m->op != n->op || p->output != q->output || m->n_inputs != n->n_inputs ||
      p->dtype != q->dtype || !same_attributes(m, n))
    return false;
  if (m == n)
    return true;
  for (int k = 0; k < m->n_inputs; k++) {
    bool numbers = m->input[k] != NEO_NO_VALUE && n->input[k] != NEO_NO_VALUE &&
                   is_one_number(graph, m->input[k]) && is_one_number(graph, n->input[k]);
    if (numbers ? !same_places(s, (place){m->input[k], 0}, (place){n->input[k], 0}, depth - 1)
                : !same_values(s, m->input[k], n->input[k], depth - 1))
      return false;
  }
  return true;
}

bool neo_values_same(const neo_graph *graph, int a, int b) {
  search s = {graph, LOOKS};
  return same_values(&s, a, b, DEPTH);
}

bool neo_extent_same(const neo_graph *graph, const neo_extent *a, const neo_extent *b) {
  search s = {graph, LOOKS};
  if (a->known || b->known)
    return a->known && b->known && a->n == b->n;
  return a->element == b->element && same_values(&s, a->value, b->value, DEPTH);
}

/* ---- signs ----------------------------------------------------------------------------------- */

static bool counts(search *s, int v, int depth);

static bool constant_counts(const neo_value *value) {
  for (int64_t i = 0; i < elements(value); i++)
    if (neo_tensor_get_i64(value->constant, i) < 0)
      return false;
  return true;
}

/* Operators that number places. */
static bool makes_places(const neo_node *node, int output) {
  static const char *const names[] = {"nonzero", "non_max_suppression", "arg_max", "arg_min"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (neo_op_is(node, names[i]))
      return true;
  return neo_op_is(node, "top_k") && output == 1;
}

/* Operators whose elements are not negative if their inputs' are not; how many of the inputs. */
static int inputs_that_count(const neo_graph *graph, const neo_node *node) {
  static const char *const all[] = {"concat", "add", "mul", "min"};
  static const char *const none[] = {"pad", "one_hot", "resize"};
  for (int i = 0; i < NEO_COUNT(all); i++)
    if (neo_op_is(node, all[i]))
      return node->n_inputs;
  for (int i = 0; i < NEO_COUNT(none); i++)
    if (neo_op_is(node, none[i]))
      return 0;
  if (neo_op_is(node, "cast"))
    return is_integer(&graph->value[node->input[0]]);
  return node->op->fuse == 'v' || node->op->fuse == 'm';
}

static bool counts(search *s, int v, int depth) {
  const neo_value *value = &s->graph->value[v];
  const neo_node *node = producer(s->graph, v);
  if (depth == 0 || --s->looks < 0)
    return false;
  if (value->constant)
    return constant_counts(value);
  if (!node || makes_places(node, value->output))
    return node != NULL;
  int n = inputs_that_count(s->graph, node);
  for (int k = 0; k < n; k++)
    if (node->input[k] == NEO_NO_VALUE || !counts(s, node->input[k], depth - 1))
      return false;
  return n > 0;
}

bool neo_value_counts(const neo_graph *graph, int v) {
  search s = {graph, LOOKS};
  return counts(&s, v, DEPTH);
}
