/* frontends/onnx_sequence.c: sequences and optionals, which exist only while reading.
 *
 * A sequence is a list of values; in the place of a value's id stands a number that names it
 * (onnx_is_list). Operators on sequences rearrange lists and mostly make no nodes. What decides
 * lengths must be known while reading: so inference runs for what is there (neo_emit_const), and
 * loops whose states or bodies have sequences are unrolled here. An optional that holds something
 * is that thing; one that holds nothing is a list of kind `none`.
 *
 * Inputs: `x` of N elements becomes the inputs x.0 .. x.N-1; N is bound as --input x=N. Outputs
 * likewise. An optional input that no --input names holds nothing. */
#include <limits.h>
#include <string.h>

#include "frontends/onnx_import.h"

#define MAX_LENGTH 100000
#define MAX_TRIPS 10000

/* ---- lists ------------------------------------------------------------------------------------- */

const onnx_list *onnx_list_of(const onnx_import *im, int value) {
  return onnx_is_list(value) ? &im->list[ONNX_FIRST_LIST - value] : NULL;
}

int onnx_list_make(onnx_import *im, int n, const int *value) {
  im->list =
      neo_arena_grow(im->main->arena, im->list, &im->cap_lists, im->n_lists + 1, sizeof *im->list);
  onnx_list *list = &im->list[im->n_lists];
  *list = (onnx_list){.n = n};
  list->value = neo_arena_alloc(im->main->arena, sizeof(int) * ((size_t)n + 1));
  if (n > 0)
    memcpy(list->value, value, sizeof(int) * (size_t)n);
  return ONNX_FIRST_LIST - im->n_lists++;
}

static int make_none(onnx_import *im) {
  int id = onnx_list_make(im, 0, NULL);
  im->list[ONNX_FIRST_LIST - id].none = true;
  return id;
}

int onnx_list_capture(onnx_import *im, onnx_scope *scope, int outer) {
  const onnx_list list = *onnx_list_of(im, outer);
  int id = onnx_list_make(im, list.n, list.value);
  for (int i = 0; i < list.n; i++) {
    int inner = onnx_scope_capture(im, scope, list.value[i]);
    im->list[ONNX_FIRST_LIST - id].value[i] = inner;
  }
  im->list[ONNX_FIRST_LIST - id].none = list.none;
  return id;
}

/* Input k as a list; NULL after a message. */
static const onnx_list *list_input(onnx_import *im, onnx_node *node, int k, neo_status *status) {
  const onnx_list *list = onnx_list_of(im, onnx_input(node, k));
  if (!list || list->none)
    *status = onnx_bad(im, node, "input %d is not a sequence", k);
  return list && !list->none ? list : NULL;
}

static bool names_lists(const char *op) {
  return strncmp(op, "Sequence", 8) == 0 || strncmp(op, "Optional", 8) == 0 ||
         strcmp(op, "SplitToSequence") == 0 || strcmp(op, "ConcatFromSequence") == 0;
}

bool onnx_graph_has_lists(const Onnx__Graph *graph) {
  for (size_t i = 0; i < graph->n_input; i++)
    if (graph->input[i]->type && !graph->input[i]->type->tensor_type)
      return true;
  for (size_t i = 0; i < graph->n_node; i++) {
    const Onnx__Node *node = graph->node[i];
    if (node->op_type && names_lists(node->op_type))
      return true;
    for (size_t k = 0; k < node->n_attribute; k++)
      if (node->attribute[k]->g && onnx_graph_has_lists(node->attribute[k]->g))
        return true;
  }
  return false;
}

/* ---- the model's inputs ------------------------------------------------------------------------ */

static neo_status sequence_input(onnx_import *im, onnx_scope *scope, const char *name,
                                 const Onnx__Type *element) {
  const neo_binding *length = onnx_binding_of(im, name);
  int64_t n = length && length->shape.rank == 1 ? length->shape.dim[0] : -1;
  if (n < 0 || n > MAX_LENGTH || !element || !element->tensor_type) {
    neo_unsupported_add(&im->e.unsupported, "input '%s' is a sequence: %s", name,
                        element && element->tensor_type
                            ? "give its length and its elements' shapes as --input NAME=N "
                              "--input NAME.0=SHAPE ..."
                            : "of something else than tensors");
    return onnx_scope_put(im, scope, name, onnx_list_make(im, 0, NULL));
  }
  int *value = neo_arena_alloc(im->main->arena, sizeof(int) * ((size_t)n + 1));
  for (int64_t i = 0; i < n; i++) {
    char *own = neo_arena_printf(im->main->arena, "%s.%lld", name, (long long)i);
    NEO_TRY(onnx_tensor_input(im, own, element->tensor_type, &value[i]));
  }
  neo_graph_add_taken(im->main, name);
  return onnx_scope_put(im, scope, name, onnx_list_make(im, (int)n, value));
}

neo_status onnx_list_input(onnx_import *im, onnx_scope *scope, const char *name,
                           const Onnx__Type *type) {
  if (type->optional_type) {
    type = type->optional_type->elem_type;
    if (!type || !onnx_binding_of(im, name))
      return onnx_scope_put(im, scope, name, make_none(im));
  }
  if (type->sequence_type)
    return sequence_input(im, scope, name, type->sequence_type->elem_type);
  int id = NEO_NO_VALUE;
  if (type->tensor_type) {
    NEO_TRY(onnx_tensor_input(im, name, type->tensor_type, &id));
    return onnx_scope_put(im, scope, name, id);
  }
  neo_unsupported_add(&im->e.unsupported, "input '%s': neither a tensor nor a sequence of such",
                      name);
  return onnx_scope_put(im, scope, name, make_none(im));
}

int onnx_list_outputs(onnx_import *im, int value, const char *name) {
  const onnx_list *list = onnx_list_of(im, value);
  for (int i = 0; i < list->n; i++)
    neo_graph_add_output(im->e.graph, list->value[i],
                         neo_arena_printf(im->e.graph->arena, "%s.%d", name, i));
  return list->none ? -2 : list->n;
}

/* ---- operators --------------------------------------------------------------------------------- */

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int with_axis(onnx_import *im, onnx_node *node, const char *op, int n, const int *in,
                     int64_t axis) {
  int value = emit(im, node, op, n, in);
  if (value != NEO_NO_VALUE)
    neo_node_set_int(im->e.graph, &im->e.graph->node[im->e.graph->value[value].node], "axis", axis);
  return value;
}

static int int_scalar(onnx_import *im, onnx_node *node, int64_t v) {
  int id = onnx_make_scalar_like(im, node, "n", NEO_I64, 0);
  neo_tensor_set_i64(im->e.graph->value[id].constant, 0, v);
  return id;
}

/* Input k, a position in a list of n (or one behind it with `end`); -1 after a message. *known
 * false: not a constant. */
static int position(onnx_import *im, onnx_node *node, int k, int n, bool *known) {
  const neo_tensor *at = neo_emit_const(&im->e, onnx_input(node, k));
  *known = at != NULL && at->size > 0;
  if (!*known)
    return -1;
  int64_t v = neo_tensor_get_i64(at, 0);
  v += v < 0 ? n : 0;
  return v >= 0 && v <= n ? (int)v : -1;
}

neo_status onnx_sequence_construct(onnx_import *im, onnx_node *node) {
  for (int i = 0; i < node->n_inputs; i++)
    if (node->input[i] < 0)
      return onnx_bad(im, node, "input %d is not a tensor", i);
  onnx_bind(im, node, 0, onnx_list_make(im, node->n_inputs, node->input));
  return NEO_OK;
}

neo_status onnx_sequence_empty(onnx_import *im, onnx_node *node) {
  onnx_attr(node, "dtype"); /* elements bring theirs */
  onnx_bind(im, node, 0, onnx_list_make(im, 0, NULL));
  return NEO_OK;
}

neo_status onnx_sequence_length(onnx_import *im, onnx_node *node) {
  neo_status status = NEO_OK;
  const onnx_list *list = list_input(im, node, 0, &status);
  if (list)
    onnx_bind(im, node, 0, int_scalar(im, node, list->n));
  return status;
}

/* All elements on a new axis, for an index that the data decide. */
static neo_status pick(onnx_import *im, onnx_node *node, const onnx_list *list) {
  int *part = neo_arena_alloc(im->e.graph->arena, sizeof(int) * ((size_t)list->n + 1));
  const neo_shape *first = list->n ? neo_emit_shape(&im->e, list->value[0]) : NULL;
  for (int i = 0; i < list->n; i++) {
    const neo_shape *shape = neo_emit_shape(&im->e, list->value[i]);
    if (!first || !shape || !neo_shape_equal(first, shape))
      return onnx_unsupported(im, node,
                              "its position is not a constant, and the elements' shapes differ or "
                              "are not known");
    part[i] = emit(im, node, "unsqueeze", 2,
                   (int[]){list->value[i], onnx_make_ints(im, node, "axes", 1, &(int64_t){0})});
  }
  if (list->n == 0)
    return onnx_bad(im, node, "the sequence is empty");
  int all = with_axis(im, node, "concat", list->n, part, 0);
  onnx_bind(im, node, 0, with_axis(im, node, "gather", 2, (int[]){all, onnx_input(node, 1)}, 0));
  return NEO_OK;
}

neo_status onnx_sequence_at(onnx_import *im, onnx_node *node) {
  neo_status status = NEO_OK;
  const onnx_list *list = list_input(im, node, 0, &status);
  bool known;
  if (!list)
    return status;
  int at = position(im, node, 1, list->n, &known);
  if (!known)
    return pick(im, node, list);
  if (at < 0 || at >= list->n)
    return onnx_bad(im, node, "its position is outside a sequence of %d", list->n);
  onnx_bind(im, node, 0, list->value[at]);
  return NEO_OK;
}

neo_status onnx_sequence_insert(onnx_import *im, onnx_node *node) {
  neo_status status = NEO_OK;
  const onnx_list *list = list_input(im, node, 0, &status);
  bool known = true;
  if (!list || list->n >= MAX_LENGTH)
    return list ? onnx_bad(im, node, "more than %d elements", MAX_LENGTH) : status;
  if (onnx_input(node, 1) < 0)
    return onnx_bad(im, node, "input 1 is not a tensor");
  int n = list->n, at = node->n_inputs > 2 ? position(im, node, 2, n, &known) : n;
  if (!known)
    return onnx_unsupported(im, node, "its position is not a constant");
  if (at < 0)
    return onnx_bad(im, node, "its position is outside a sequence of %d", n);
  int *value = neo_arena_alloc(im->main->arena, sizeof(int) * ((size_t)n + 1));
  for (int i = 0; i <= n; i++)
    value[i] = i == at ? onnx_input(node, 1) : list->value[i < at ? i : i - 1];
  onnx_bind(im, node, 0, onnx_list_make(im, n + 1, value));
  return NEO_OK;
}

neo_status onnx_sequence_erase(onnx_import *im, onnx_node *node) {
  neo_status status = NEO_OK;
  const onnx_list *list = list_input(im, node, 0, &status);
  bool known = true;
  if (!list)
    return status;
  int n = list->n, at = node->n_inputs > 1 ? position(im, node, 1, n, &known) : n - 1;
  if (!known)
    return onnx_unsupported(im, node, "its position is not a constant");
  if (at < 0 || at >= n)
    return onnx_bad(im, node, "its position is outside a sequence of %d", n);
  int *value = neo_arena_alloc(im->main->arena, sizeof(int) * (size_t)n);
  for (int i = 0; i < n - 1; i++)
    value[i] = list->value[i < at ? i : i + 1];
  onnx_bind(im, node, 0, onnx_list_make(im, n - 1, value));
  return NEO_OK;
}

neo_status onnx_concat_from_sequence(onnx_import *im, onnx_node *node) {
  neo_status status = NEO_OK;
  const onnx_list *list = list_input(im, node, 0, &status);
  int64_t axis = 0, new_axis = 0;
  NEO_TRY(onnx_attr_int(im, node, "axis", &axis));
  NEO_TRY(onnx_attr_int(im, node, "new_axis", &new_axis));
  if (!list || list->n == 0)
    return list ? onnx_bad(im, node, "the sequence is empty") : status;
  int *part = neo_arena_copy(im->e.graph->arena, list->value, sizeof(int) * (size_t)list->n);
  for (int i = 0; new_axis && i < list->n; i++)
    part[i] = emit(im, node, "unsqueeze", 2,
                   (int[]){part[i], onnx_make_ints(im, node, "axes", 1, &axis)});
  onnx_bind(im, node, 0, with_axis(im, node, "concat", list->n, part, axis));
  return NEO_OK;
}

/* Sizes of the parts; *n -1 after a message. */
static neo_status split_sizes(onnx_import *im, onnx_node *node, int64_t extent, int *n,
                              int64_t **out) {
  int split = onnx_input(node, 1);
  const neo_tensor *given = neo_emit_const(&im->e, split);
  *n = -1;
  if (split != NEO_NO_VALUE && !given)
    return onnx_unsupported(im, node, "its split is not a constant");
  int64_t each = given && given->shape.rank == 0 ? neo_tensor_get_i64(given, 0) : 1;
  int64_t count = given && given->shape.rank == 1 ? given->shape.dim[0]
                  : each > 0                      ? (extent + each - 1) / each
                                                  : -1;
  if (count < 0 || count > MAX_LENGTH)
    return onnx_bad(im, node, "split into %lld parts", (long long)count);
  *out = neo_arena_alloc(im->e.graph->arena, sizeof(int64_t) * ((size_t)count + 1));
  for (int64_t i = 0; i < count; i++)
    (*out)[i] = given && given->shape.rank == 1 ? neo_tensor_get_i64(given, i)
                                                : neo_min_i64(each, extent - i * each);
  *n = (int)count;
  return NEO_OK;
}

neo_status onnx_split_to_sequence(onnx_import *im, onnx_node *node) {
  int64_t axis = 0, keep = 1, *sizes = NULL;
  int n, x = onnx_input(node, 0);
  NEO_TRY(onnx_attr_int(im, node, "axis", &axis));
  NEO_TRY(onnx_attr_int(im, node, "keepdims", &keep));
  if (x < 0)
    return onnx_bad(im, node, "input 0 is not a tensor");
  const neo_shape *shape = neo_emit_shape(&im->e, x);
  if (!shape)
    return onnx_unsupported(im, node, "the shape of its input is not known");
  axis += axis < 0 ? shape->rank : 0;
  if (axis < 0 || axis >= shape->rank)
    return onnx_bad(im, node, "axis %lld of rank %d", (long long)axis, shape->rank);
  NEO_TRY(split_sizes(im, node, shape->dim[axis], &n, &sizes));
  if (n <= 0) {
    onnx_bind(im, node, 0, onnx_list_make(im, 0, NULL));
    return NEO_OK;
  }
  neo_node *made =
      onnx_emit(im, node, "split", 2, (int[]){x, onnx_make_ints(im, node, "split", n, sizes)}, n);
  if (!made)
    return NEO_OK;
  neo_node_set_int(im->e.graph, made, "axis", axis);
  int *part = neo_arena_copy(im->e.graph->arena, made->output, sizeof(int) * (size_t)n);
  for (int i = 0; !keep && onnx_input(node, 1) == NEO_NO_VALUE && i < n; i++)
    part[i] =
        emit(im, node, "squeeze", 2, (int[]){part[i], onnx_make_ints(im, node, "axes", 1, &axis)});
  onnx_bind(im, node, 0, onnx_list_make(im, n, part));
  return NEO_OK;
}

/* ---- optionals --------------------------------------------------------------------------------- */

neo_status onnx_optional(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0);
  onnx_attr(node, "type");
  onnx_bind(im, node, 0, x == NEO_NO_VALUE ? make_none(im) : x);
  return NEO_OK;
}

neo_status onnx_optional_has_element(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0);
  const onnx_list *list = onnx_list_of(im, x);
  bool has = x != NEO_NO_VALUE && !(list && list->none);
  onnx_bind(im, node, 0, onnx_make_scalar_like(im, node, "has", NEO_BOOL, has));
  return NEO_OK;
}

neo_status onnx_optional_get_element(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0);
  const onnx_list *list = onnx_list_of(im, x);
  if (x == NEO_NO_VALUE || (list && list->none))
    return onnx_bad(im, node, "the optional holds nothing");
  onnx_bind(im, node, 0, x);
  return NEO_OK;
}

/* ---- bodies, again and again ------------------------------------------------------------------- */

neo_status onnx_body_pass(onnx_import *im, onnx_node *node, const Onnx__Graph *pb, const int *in,
                          int *out) {
  onnx_scope inner = *node->scope;
  onnx_node pass = *node;
  memset(&inner.names, 0, sizeof inner.names);
  inner.outer = node->scope;
  pass.name = neo_arena_printf(im->e.graph->arena, "%s/%d", node->name, im->e.graph->n_values);
  NEO_TRY(onnx_scope_enter(im, &pass, &inner, pb->n_node + 1));
  neo_status status = NEO_OK;
  for (size_t i = 0; status == NEO_OK && i < pb->n_input; i++)
    status = onnx_scope_put(im, &inner, pb->input[i]->name ? pb->input[i]->name : "", in[i]);
  if (status == NEO_OK)
    status = onnx_graph_nodes(im, &inner, pb);
  for (size_t i = 0; status == NEO_OK && i < pb->n_output; i++) {
    const char *name = pb->output[i]->name ? pb->output[i]->name : "";
    out[i] = onnx_scope_find(im, &inner, name);
    if (out[i] == NEO_NO_VALUE)
      status = onnx_bad(im, node, "its body's output '%s' is defined nowhere", name);
  }
  neo_map_fini(&inner.names);
  return status;
}

/* SequenceMap: the body for each element; other sequences go along, tensors stay. */
neo_status onnx_sequence_map(onnx_import *im, onnx_node *node) {
  const Onnx__Attribute *attr = onnx_attr(node, "body");
  const Onnx__Graph *pb = attr ? attr->g : NULL;
  neo_status status = NEO_OK;
  const onnx_list *first = list_input(im, node, 0, &status);
  if (!first)
    return status;
  if (!pb || pb->n_input != (size_t)node->n_inputs || pb->n_output < (size_t)node->n_outputs)
    return onnx_bad(im, node, "its body does not fit its inputs and outputs");
  int n = first->n, n_out = (int)pb->n_output;
  neo_arena *arena = im->main->arena;
  int *in = neo_arena_alloc(arena, sizeof(int) * ((size_t)node->n_inputs + 1));
  int *out = neo_arena_alloc(arena, sizeof(int) * ((size_t)n_out + 1));
  int *all = neo_arena_alloc(arena, sizeof(int) * ((size_t)n_out * (size_t)n + 1));
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < node->n_inputs; k++) {
      const onnx_list *list = onnx_list_of(im, onnx_input(node, k));
      if (list && list->n != n)
        return onnx_bad(im, node, "sequences of %d and %d elements", n, list->n);
      in[k] = list ? list->value[i] : onnx_input(node, k);
    }
    NEO_TRY(onnx_body_pass(im, node, pb, in, out));
    for (int k = 0; k < n_out; k++) {
      if (onnx_is_list(out[k]))
        return onnx_bad(im, node, "its body gives a sequence");
      all[k * n + i] = out[k];
    }
  }
  for (int k = 0; k < node->n_outputs; k++)
    onnx_bind(im, node, k, onnx_list_make(im, n, all + (ptrdiff_t)k * n));
  return NEO_OK;
}

typedef struct unrolling {
  const Onnx__Graph *pb;
  int n_state, n_scan, trips;
  int64_t max_trips;
  int *in, *out;
  int **scan; /* of each scanned output: its rows, unsqueezed */
  int cap;
} unrolling;

static neo_status constant_flag(onnx_import *im, onnx_node *node, int value, const char *what,
                                int64_t *out) {
  const neo_tensor *t = neo_emit_const(&im->e, value);
  if (!t || t->size == 0)
    return onnx_unsupported(im, node, "%s is not a constant, and its states or body have sequences",
                            what);
  *out = neo_tensor_get_i64(t, 0);
  return NEO_OK;
}

static neo_status one_trip(onnx_import *im, onnx_node *node, unrolling *u) {
  neo_arena *arena = im->main->arena;
  NEO_TRY(onnx_body_pass(im, node, u->pb, u->in, u->out));
  for (int k = 0; k <= u->n_state; k++)
    u->in[1 + k] = u->out[k];
  for (int k = 0; k < u->n_scan; k++) {
    int cap = u->cap, value = u->out[1 + u->n_state + k];
    if (onnx_is_list(value))
      return onnx_bad(im, node, "it stacks a sequence");
    u->scan[k] = neo_arena_grow(arena, u->scan[k], &cap, u->trips + 1, sizeof(int));
    u->scan[k][u->trips] = emit(im, node, "unsqueeze", 2,
                                (int[]){value, onnx_make_ints(im, node, "axes", 1, &(int64_t){0})});
    if (k == u->n_scan - 1)
      u->cap = cap;
  }
  u->trips++;
  return NEO_OK;
}

static neo_status bind_unrolled(onnx_import *im, onnx_node *node, const unrolling *u) {
  for (int k = 0; k < u->n_state && k < node->n_outputs; k++)
    onnx_bind(im, node, k, u->in[2 + k]);
  for (int k = 0; k < u->n_scan && u->n_state + k < node->n_outputs; k++) {
    if (u->trips == 0)
      return onnx_unsupported(im, node, "an output stacked of no iterations");
    onnx_bind(im, node, u->n_state + k, with_axis(im, node, "concat", u->trips, u->scan[k], 0));
  }
  return NEO_OK;
}

/* A Loop whose number of iterations is known, unrolled. */
neo_status onnx_unroll(onnx_import *im, onnx_node *node, const Onnx__Graph *pb) {
  unrolling u = {.pb = pb, .n_state = (int)pb->n_input - 2, .max_trips = INT64_MAX};
  int64_t go = 1;
  int before = im->e.unsupported.n;
  u.n_scan = (int)pb->n_output - 1 - u.n_state;
  u.in = neo_arena_alloc(im->main->arena, sizeof(int) * (pb->n_input + 1));
  u.out = neo_arena_alloc(im->main->arena, sizeof(int) * (pb->n_output + 1));
  u.scan = neo_arena_alloc(im->main->arena, sizeof(int *) * ((size_t)u.n_scan + 1));
  if (onnx_input(node, 0) != NEO_NO_VALUE)
    NEO_TRY(constant_flag(im, node, onnx_input(node, 0), "its number of iterations", &u.max_trips));
  u.in[1] = onnx_input(node, 1);
  if (u.in[1] == NEO_NO_VALUE)
    u.in[1] = onnx_make_scalar_like(im, node, "go", NEO_BOOL, 1);
  for (int k = 0; k < u.n_state; k++)
    u.in[2 + k] = onnx_input(node, 2 + k);
  while (im->e.unsupported.n == before) {
    NEO_TRY(constant_flag(im, node, u.in[1], "its condition", &go));
    if (!go || u.trips >= u.max_trips || im->e.unsupported.n != before)
      break;
    if (u.trips >= MAX_TRIPS)
      return onnx_unsupported(im, node, "more than %d iterations over sequences", MAX_TRIPS);
    u.in[0] = int_scalar(im, node, u.trips);
    NEO_TRY(one_trip(im, node, &u));
  }
  return im->e.unsupported.n == before ? bind_unrolled(im, node, &u) : NEO_OK;
}
