/* frontends/onnx_flow.c: If, Loop and Scan.
 *
 * An If whose condition is a constant already is inlined. Everything else becomes a node with
 * graphs: each branch or body is converted into a graph of its own, in a closed scope, where outer
 * names turn into inputs as they are met (onnx_scope_capture). The two branches of an If must take
 * the same inputs, so each gets those of the other, too. What turns out to be constant later is
 * inlined or unrolled by inference.
 *
 * Scan is a loop whose body first picks its element of every scanned input. Stacked outputs come
 * along axis 0; reversed or other axes are put right behind the loop. */
#include <string.h>

#include "frontends/onnx_import.h"

/* ---- closed scopes --------------------------------------------------------------------------- */

/* A graph for attribute `attr` of node `at` of the current graph, which owns it at once. From here
 * to closed_end nodes go there. */
static neo_status closed_begin(onnx_import *im, onnx_node *node, const Onnx__Graph *pb, int at,
                               const char *attr, onnx_scope *inner) {
  neo_graph *outer = im->e.graph, *graph = NULL;
  node->scope->inferred = im->e.inferred;
  *inner = *node->scope;
  memset(&inner->names, 0, sizeof inner->names);
  inner->outer = node->scope;
  NEO_TRY(onnx_scope_enter(im, node, inner, pb->n_node));
  NEO_TRY(neo_graph_create(im->e.ctx, attr, &graph));
  neo_node_set_graph(outer, &outer->node[at], attr, graph);
  inner->graph = im->e.graph = graph;
  im->e.inferred = 0;
  return NEO_OK;
}

static void closed_end(onnx_import *im, onnx_scope *inner) {
  im->e.graph = inner->outer->graph;
  im->e.inferred = inner->outer->inferred;
  neo_map_fini(&inner->names);
}

/* form[i], unless NULL: -1 a tensor, else what onnx_list_outputs says. */
static neo_status add_outputs(onnx_import *im, onnx_node *node, onnx_scope *inner,
                              const Onnx__Graph *pb, int *form) {
  for (size_t i = 0; i < pb->n_output; i++) {
    const char *name = pb->output[i]->name ? pb->output[i]->name : "";
    int value = onnx_scope_find(im, inner, name);
    if (value == NEO_NO_VALUE)
      return onnx_bad(im, node, "its body's output '%s' is defined nowhere", name);
    if (!form && onnx_is_list(value))
      return onnx_unsupported(im, node, "its body's output '%s' is a sequence", name);
    if (form)
      form[i] = onnx_is_list(value) ? onnx_list_outputs(im, value, name) : -1;
    if (!onnx_is_list(value))
      neo_graph_add_output(im->e.graph, value, name);
  }
  return NEO_OK;
}

static neo_status formal_input(onnx_import *im, onnx_scope *inner, const Onnx__ValueInfo *info) {
  const char *name = info->name ? info->name : "", *type_name;
  const Onnx__TensorType *type = info->type ? info->type->tensor_type : NULL;
  neo_dtype dtype = NEO_DTYPE_COUNT;
  if (type && onnx_dtype(type->elem_type, &dtype, &type_name) != NEO_OK)
    dtype = NEO_DTYPE_COUNT;
  return onnx_scope_put(im, inner, name,
                        neo_graph_add_input(im->e.graph, name, dtype, &(neo_shape){.rank = -1}));
}

/* The node's inputs: `n` given ones, then captures. */
static void set_inputs(neo_graph *graph, int at, int n, const int *given, int n_captures,
                       const int *captures) {
  neo_node *node = &graph->node[at];
  node->input = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)(n + n_captures + 1));
  memcpy(node->input, given, sizeof(int) * (size_t)n);
  if (n_captures > 0)
    memcpy(node->input + n, captures, sizeof(int) * (size_t)n_captures);
  node->n_inputs = n + n_captures;
}

/* The element types of results, as far as they are known before inference. */
static void guess_types(neo_graph *graph, int at, const neo_graph *inner, int first) {
  const neo_node *node = &graph->node[at];
  for (int k = 0; k < node->n_outputs && first + k < inner->n_outputs; k++)
    graph->value[node->output[k]].dtype = inner->value[inner->output[first + k]].dtype;
}

/* ---- If -------------------------------------------------------------------------------------- */

typedef struct if_branch {
  const Onnx__Graph *pb;
  onnx_scope scope;
  int *form; /* see add_outputs */
} if_branch;

static neo_status branch(onnx_import *im, onnx_node *node, if_branch *b, int at, const char *attr) {
  const Onnx__Graph *pb = b->pb;
  onnx_scope *inner = &b->scope;
  b->form = neo_arena_alloc(im->main->arena, sizeof(int) * (pb->n_output + 1));
  NEO_TRY(closed_begin(im, node, pb, at, attr, inner));
  neo_status status = onnx_graph_nodes(im, inner, pb);
  if (status == NEO_OK)
    status = add_outputs(im, node, inner, pb, b->form);
  closed_end(im, inner);
  return status;
}

/* The node's outputs as tensors and lists; both branches must give the same. The node gets as many
 * outputs as there are tensors in all. */
static neo_status bind_branches(onnx_import *im, onnx_node *node, int at, const int *form,
                                const int *other) {
  neo_graph *graph = im->e.graph;
  int total = 0, next = 0;
  for (int i = 0; i < node->n_outputs; i++) {
    if (form[i] != other[i])
      return onnx_unsupported(im, node,
                              "its branches give different sequences or optionals, and its "
                              "condition is not a constant");
    total += form[i] == -1 ? 1 : form[i] > 0 ? form[i] : 0;
  }
  int *output = neo_arena_alloc(graph->arena, sizeof(int) * ((size_t)total + 1));
  for (int i = 0; i < total; i++) {
    output[i] = i < node->n_outputs ? graph->node[at].output[i]
                                    : neo_graph_add_value(graph, node->name, NEO_DTYPE_COUNT, NULL);
    graph->value[output[i]].node = at;
    graph->value[output[i]].output = i;
  }
  graph->node[at].output = output;
  graph->node[at].n_outputs = total;
  guess_types(graph, at, neo_node_graph(&graph->node[at], "then"), 0);
  for (int i = 0; i < node->n_outputs; i++) {
    int n = form[i] == -1 ? 1 : form[i] > 0 ? form[i] : 0;
    onnx_bind(im, node, i, form[i] == -1 ? output[next] : onnx_list_make(im, n, output + next));
    next += n;
  }
  return NEO_OK;
}

/* `graph` captures `mine`; its inputs become those of `all`. */
static void widen_inputs(neo_graph *graph, int n_mine, const int *mine, int n_all, const int *all) {
  int *input = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)(n_all + 1));
  for (int k = 0; k < n_all; k++) {
    input[k] = NEO_NO_VALUE;
    for (int i = 0; i < n_mine && input[k] == NEO_NO_VALUE; i++)
      if (mine[i] == all[k])
        input[k] = graph->input[i];
    if (input[k] == NEO_NO_VALUE)
      input[k] = neo_graph_add_input(graph, "", NEO_DTYPE_COUNT, &(neo_shape){.rank = -1});
  }
  graph->input = input;
  graph->n_inputs = graph->cap_inputs = n_all;
}

static int unite(onnx_import *im, const onnx_scope *a, const onnx_scope *b, int **out) {
  int *all =
      neo_arena_alloc(im->main->arena, sizeof(int) * (size_t)(a->n_captures + b->n_captures + 1));
  int n = a->n_captures;
  if (n > 0)
    memcpy(all, a->capture, sizeof(int) * (size_t)n);
  for (int i = 0; i < b->n_captures; i++) {
    bool known = false;
    for (int k = 0; k < n && !known; k++)
      known = all[k] == b->capture[i];
    if (!known)
      all[n++] = b->capture[i];
  }
  *out = all;
  return n;
}

static neo_status open_if(onnx_import *im, onnx_node *node, const Onnx__Graph *then_pb,
                          const Onnx__Graph *else_pb) {
  int condition = onnx_input(node, 0), *all;
  if_branch a = {.pb = then_pb}, b = {.pb = else_pb};
  if (condition == NEO_NO_VALUE)
    return onnx_bad(im, node, "it has no condition");
  if ((int)then_pb->n_output < node->n_outputs || (int)else_pb->n_output < node->n_outputs)
    return onnx_bad(im, node, "its branches have fewer outputs than it");
  neo_node *made = onnx_emit(im, node, "if", 1, &condition, node->n_outputs);
  if (!made)
    return NEO_OK;
  int at = (int)(made - im->e.graph->node);
  NEO_TRY(branch(im, node, &a, at, "then"));
  NEO_TRY(branch(im, node, &b, at, "else"));
  int n = unite(im, &a.scope, &b.scope, &all);
  made = &im->e.graph->node[at];
  widen_inputs(neo_node_graph(made, "then"), a.scope.n_captures, a.scope.capture, n, all);
  widen_inputs(neo_node_graph(made, "else"), b.scope.n_captures, b.scope.capture, n, all);
  set_inputs(im->e.graph, at, 1, &condition, n, all);
  return bind_branches(im, node, at, a.form, b.form);
}

neo_status onnx_if(onnx_import *im, onnx_node *node) {
  const neo_tensor *condition =
      onnx_input(node, 0) < 0 ? NULL : onnx_const(im, onnx_input(node, 0));
  const Onnx__Attribute *then_branch = onnx_attr(node, "then_branch");
  const Onnx__Attribute *else_branch = onnx_attr(node, "else_branch");
  int64_t n;
  if (!then_branch || !else_branch || !then_branch->g || !else_branch->g)
    return onnx_bad(im, node, "a branch is missing");
  if (onnx_is_list(onnx_input(node, 0)))
    return onnx_bad(im, node, "its condition is a sequence");
  if (!condition && (onnx_graph_has_lists(then_branch->g) || onnx_graph_has_lists(else_branch->g)))
    condition = neo_emit_const(&im->e, onnx_input(node, 0));
  if (!condition)
    return open_if(im, node, then_branch->g, else_branch->g);
  if (!neo_shape_elements(&condition->shape, &n) || n != 1)
    return onnx_bad(im, node, "its condition is not one value");
  return onnx_inline_graph(im, node,
                           neo_tensor_get_i64(condition, 0) ? then_branch->g : else_branch->g);
}

/* ---- Loop ------------------------------------------------------------------------------------ */

static neo_status loop_body(onnx_import *im, onnx_node *node, const Onnx__Graph *pb,
                            onnx_scope *inner) {
  for (size_t i = 0; i < pb->n_input; i++)
    NEO_TRY(formal_input(im, inner, pb->input[i]));
  NEO_TRY(onnx_graph_nodes(im, inner, pb));
  return add_outputs(im, node, inner, pb, NULL);
}

/* Sequences in its states, or inside while its number of iterations is known. */
static bool must_unroll(onnx_import *im, const onnx_node *node, const Onnx__Graph *pb) {
  for (int i = 0; i < node->n_inputs; i++)
    if (onnx_is_list(node->input[i]))
      return true;
  int trips = onnx_input(node, 0);
  return onnx_graph_has_lists(pb) && trips != NEO_NO_VALUE && neo_emit_const(&im->e, trips);
}

neo_status onnx_loop(onnx_import *im, onnx_node *node) {
  const Onnx__Attribute *attr = onnx_attr(node, "body");
  const Onnx__Graph *pb = attr ? attr->g : NULL;
  onnx_scope inner;
  if (!pb)
    return onnx_bad(im, node, "it has no body");
  int n_state = (int)pb->n_input - 2, n_in = n_state + 2, n_out = (int)pb->n_output - 1;
  if (n_state < 0 || n_out < n_state || node->n_inputs > n_in ||
      (n_state > 0 && node->n_inputs != n_in) || node->n_outputs > n_out)
    return onnx_bad(im, node, "%d inputs and %d outputs do not fit a body of %zu and %zu",
                    node->n_inputs, node->n_outputs, pb->n_input, pb->n_output);
  if (must_unroll(im, node, pb))
    return onnx_unroll(im, node, pb);
  int *given = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (size_t)(n_in + 1));
  for (int i = 0; i < n_in; i++)
    given[i] = onnx_input(node, i);
  neo_node *made = onnx_emit(im, node, "loop", n_in, given, n_out);
  if (!made)
    return NEO_OK;
  int at = (int)(made - im->e.graph->node);
  NEO_TRY(closed_begin(im, node, pb, at, "body", &inner));
  neo_status status = loop_body(im, node, pb, &inner);
  closed_end(im, &inner);
  NEO_TRY(status);
  made = &im->e.graph->node[at];
  neo_node_set_int(im->e.graph, made, "n_state", n_state);
  set_inputs(im->e.graph, at, n_in, given, inner.n_captures, inner.capture);
  guess_types(im->e.graph, at, inner.graph, 1);
  for (int i = 0; i < node->n_outputs; i++)
    onnx_bind(im, node, i, made->output[i]);
  return NEO_OK;
}

/* ---- Scan ------------------------------------------------------------------------------------ */

typedef struct scan {
  const Onnx__Graph *pb;
  int n_state, n_in, n_out; /* states; scanned inputs; stacked outputs */
  const int64_t *axis, *reversed, *out_axis, *out_reversed; /* NULL: all 0 */
} scan;

static neo_status scan_list(onnx_import *im, onnx_node *node, const char *name, int want,
                            const int64_t **out) {
  int n;
  NEO_TRY(onnx_attr_ints(im, node, name, &n, out));
  if (n >= 0 && n != want)
    return onnx_bad(im, node, "attribute '%s' has %d values, %d expected", name, n, want);
  if (n < 0)
    *out = NULL;
  return NEO_OK;
}

static neo_status read_scan(onnx_import *im, onnx_node *node, scan *s) {
  const Onnx__Attribute *attr = onnx_attr(node, "body");
  int64_t n_in = 0;
  memset(s, 0, sizeof *s);
  s->pb = attr ? attr->g : NULL;
  NEO_TRY(onnx_attr_int(im, node, "num_scan_inputs", &n_in));
  if (!s->pb || n_in < 1 || n_in > node->n_inputs || s->pb->n_input != (size_t)node->n_inputs ||
      (int64_t)s->pb->n_output < node->n_inputs - n_in)
    return onnx_bad(im, node, "%d inputs, %lld scanned, do not fit its body", node->n_inputs,
                    (long long)n_in);
  s->n_in = (int)n_in;
  s->n_state = node->n_inputs - s->n_in;
  s->n_out = (int)s->pb->n_output - s->n_state;
  for (int i = 0; i < node->n_inputs; i++)
    if (onnx_input(node, i) == NEO_NO_VALUE)
      return onnx_bad(im, node, "input %d is absent", i);
  if (node->n_outputs > s->n_state + s->n_out)
    return onnx_bad(im, node, "its body has fewer outputs than it");
  NEO_TRY(scan_list(im, node, "scan_input_axes", s->n_in, &s->axis));
  NEO_TRY(scan_list(im, node, "scan_input_directions", s->n_in, &s->reversed));
  if (node->opset < 9)
    NEO_TRY(scan_list(im, node, "directions", s->n_in, &s->reversed));
  NEO_TRY(scan_list(im, node, "scan_output_axes", s->n_out, &s->out_axis));
  return scan_list(im, node, "scan_output_directions", s->n_out, &s->out_reversed);
}

static int one(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int scalar(onnx_import *im, onnx_node *node, const char *suffix, int64_t v) {
  return onnx_make_scalar_like(im, node, suffix, NEO_I64, (double)v);
}

/* The extent of the first scanned input's axis: i64 []. */
static int scan_length(onnx_import *im, onnx_node *node, const scan *s) {
  int x = onnx_input(node, s->n_state);
  int in[2] = {one(im, node, "shape", 1, &x), scalar(im, node, "axis", s->axis ? s->axis[0] : 0)};
  return in[0] == NEO_NO_VALUE ? NEO_NO_VALUE : one(im, node, "gather", 2, in);
}

/* Element i (or that many from the end) of scanned input k, inside the body. */
static int scan_element(onnx_import *im, onnx_node *node, const scan *s, int k, onnx_scope *inner,
                        int i) {
  int x = onnx_scope_capture(im, inner, onnx_input(node, s->n_state + k));
  if (s->reversed && s->reversed[k]) {
    int back[2] = {scalar(im, node, "last", -1), i};
    i = one(im, node, "sub", 2, back);
  }
  int in[2] = {x, i};
  neo_node *made = onnx_emit(im, node, "gather", 2, in, 1);
  if (!made)
    return NEO_NO_VALUE;
  neo_node_set_int(im->e.graph, made, "axis", s->axis ? s->axis[k] : 0);
  return made->output[0];
}

static neo_status scan_body(onnx_import *im, onnx_node *node, const scan *s, onnx_scope *inner) {
  neo_shape scalar_shape = {0};
  int i = neo_graph_add_input(im->e.graph, "i", NEO_I64, &scalar_shape);
  int condition = neo_graph_add_input(im->e.graph, "condition", NEO_BOOL, &scalar_shape);
  for (int k = 0; k < s->n_state; k++)
    NEO_TRY(formal_input(im, inner, s->pb->input[k]));
  for (int k = 0; k < s->n_in; k++) {
    const char *name = s->pb->input[s->n_state + k]->name;
    int element = scan_element(im, node, s, k, inner, i);
    if (element == NEO_NO_VALUE)
      return NEO_OK;
    NEO_TRY(onnx_scope_put(im, inner, name ? name : "", element));
  }
  NEO_TRY(onnx_graph_nodes(im, inner, s->pb));
  neo_graph_add_output(im->e.graph, condition, "condition");
  return add_outputs(im, node, inner, s->pb, NULL);
}

/* Rank of the body's output k as the file declares it, -1 if it does not. */
static int declared_rank(const scan *s, int k) {
  const Onnx__ValueInfo *info = s->pb->output[s->n_state + k];
  const Onnx__TensorType *type = info->type ? info->type->tensor_type : NULL;
  return type && type->shape && type->shape->n_dim < NEO_MAX_RANK ? (int)type->shape->n_dim : -1;
}

/* Stacked output k as the attributes want it. */
static neo_status scan_output(onnx_import *im, onnx_node *node, const scan *s, int k, int value) {
  static const int64_t starts = -1, ends = INT64_MIN, steps = -1, axes = 0;
  if (s->out_reversed && s->out_reversed[k]) {
    neo_node *flip = onnx_emit(im, node, "slice", 1, &value, 1);
    if (!flip)
      return NEO_OK;
    neo_node_set_ints(im->e.graph, flip, "starts", 1, &starts);
    neo_node_set_ints(im->e.graph, flip, "ends", 1, &ends);
    neo_node_set_ints(im->e.graph, flip, "axes", 1, &axes);
    neo_node_set_ints(im->e.graph, flip, "steps", 1, &steps);
    value = flip->output[0];
  }
  if (s->out_axis && s->out_axis[k] != 0) {
    int rank = declared_rank(s, k) + 1;
    int64_t axis = s->out_axis[k] < 0 ? s->out_axis[k] + rank : s->out_axis[k], perm[NEO_MAX_RANK];
    if (rank == 0)
      return onnx_unsupported(im, node, "scan_output_axes of an output of undeclared rank");
    if (axis < 0 || axis >= rank)
      return onnx_bad(im, node, "scan_output_axes: %lld of rank %d", (long long)s->out_axis[k],
                      rank);
    for (int d = 0; d < rank; d++)
      perm[d] = d < axis ? d + 1 : d == axis ? 0 : d;
    neo_node *turn = onnx_emit(im, node, "transpose", 1, &value, 1);
    if (!turn)
      return NEO_OK;
    neo_node_set_ints(im->e.graph, turn, "perm", rank, perm);
    value = turn->output[0];
  }
  onnx_bind(im, node, s->n_state + k, value);
  return NEO_OK;
}

neo_status onnx_scan(onnx_import *im, onnx_node *node) {
  scan s;
  onnx_scope inner;
  NEO_TRY(read_scan(im, node, &s));
  int n_given = 2 + s.n_state, n_out = s.n_state + s.n_out;
  int *given = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (size_t)(n_given + 1));
  given[0] = scan_length(im, node, &s);
  given[1] = NEO_NO_VALUE;
  for (int k = 0; k < s.n_state; k++)
    given[2 + k] = onnx_input(node, k);
  neo_node *made = onnx_emit(im, node, "loop", n_given, given, n_out);
  if (!made || given[0] == NEO_NO_VALUE)
    return NEO_OK;
  int at = (int)(made - im->e.graph->node);
  NEO_TRY(closed_begin(im, node, s.pb, at, "body", &inner));
  neo_status status = scan_body(im, node, &s, &inner);
  closed_end(im, &inner);
  NEO_TRY(status);
  neo_node_set_int(im->e.graph, &im->e.graph->node[at], "n_state", s.n_state);
  set_inputs(im->e.graph, at, n_given, given, inner.n_captures, inner.capture);
  guess_types(im->e.graph, at, inner.graph, 1);
  const int *output = im->e.graph->node[at].output;
  for (int k = 0; k < s.n_state && k < node->n_outputs; k++)
    onnx_bind(im, node, k, output[k]);
  for (int k = 0; k < s.n_out && s.n_state + k < node->n_outputs; k++)
    NEO_TRY(scan_output(im, node, &s, k, output[s.n_state + k]));
  return NEO_OK;
}

/* Scan of opset 8, (lengths?, states..., scanned...): all of them have a batch dimension in front,
 * whose elements are scanned one by one. */
neo_status onnx_scan_8(onnx_import *im, onnx_node *node) {
  neo_arena *arena = im->main->arena;
  const neo_shape *shape = neo_emit_shape(&im->e, onnx_input(node, 1));
  int64_t batch = shape && shape->rank > 0 ? shape->dim[0] : -1;
  if (onnx_input(node, 0) != NEO_NO_VALUE || batch < 1 || batch > 4096)
    return onnx_unsupported(im, node, "sequence_lens, or a batch that is not known or over 4096");
  int **out = neo_arena_alloc(arena, sizeof *out * (size_t)batch), before = im->e.unsupported.n;
  for (int64_t b = 0; b < batch; b++) {
    onnx_node part = *node;
    part.name = neo_arena_printf(arena, "%s/%lld", node->name, (long long)b);
    part.input = neo_arena_alloc(arena, sizeof(int) * (size_t)node->n_inputs);
    part.n_inputs = node->n_inputs - 1;
    for (int i = 0; i < part.n_inputs; i++) {
      if (onnx_input(node, i + 1) == NEO_NO_VALUE)
        return onnx_bad(im, node, "input %d is absent", i + 1);
      part.input[i] = one(im, node, "gather", 2,
                          (int[]){onnx_input(node, i + 1), scalar(im, node, "batch", b)});
    }
    part.output = out[b] = neo_arena_alloc(arena, sizeof(int) * ((size_t)node->n_outputs + 1));
    for (int i = 0; i < node->n_outputs; i++)
      part.output[i] = NEO_NO_VALUE;
    NEO_TRY(onnx_scan(im, &part));
    if (im->e.unsupported.n != before)
      return NEO_OK;
  }
  int *row = neo_arena_alloc(arena, sizeof(int) * (size_t)batch);
  for (int k = 0; k < node->n_outputs; k++) {
    for (int64_t b = 0; b < batch; b++)
      row[b] = one(im, node, "unsqueeze", 2,
                   (int[]){out[b][k], onnx_make_ints(im, node, "axes", 1, &(int64_t){0})});
    neo_node *all = onnx_emit(im, node, "concat", (int)batch, row, 1);
    if (all)
      onnx_bind(im, node, k, all->output[0]);
  }
  return NEO_OK;
}
