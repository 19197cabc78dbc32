/* frontends/onnx.c: an ONNX ModelProto -> graph.
 *
 * The file is walked once (onnx_wire.c), unpacked by protobuf-c from the stripped copy, and
 * converted node by node through the rows of onnx_ops.def. Names live in scopes: the main graph,
 * the taken branch of an If whose condition is a constant (sees the outer names), a model-local
 * function (sees only its parameters); both are inlined. Other branches and bodies become graphs of
 * their own (onnx_flow.c). Files whose nodes are not in topological order are sorted; a cycle
 * is an error.
 *
 * Unsupported things do not stop the reading: they collect in one list, and what depends on them
 * turns into placeholders whose consumers are only looked up in the table.
 *
 * Bounds on hostile input: nesting (onnx_wire.c, MAX_SCOPES), nodes made by inlining (MAX_INLINED),
 * everything else is proportional to the file. */
#include "frontends/onnx_import.h"

#include <string.h>

#define MAX_SCOPES 32
#define MAX_INLINED 100000
#define ABSENT (-2) /* a function's parameter that the call leaves out */

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

static const char *plain_domain(const char *domain) {
  domain = text_or_empty(domain);
  return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* ---- scopes ---------------------------------------------------------------------------------- */

int onnx_scope_capture(onnx_import *im, onnx_scope *scope, int outer) {
  const neo_value value = scope->outer->graph->value[outer];
  if (value.constant)
    return neo_graph_add_constant(scope->graph, value.name, value.constant);
  if (value.node < 0 && !value.is_input) /* a placeholder stays one */
    return neo_graph_add_value(scope->graph, value.name, NEO_DTYPE_COUNT, NULL);
  for (int i = 0; i < scope->n_captures; i++)
    if (scope->capture[i] == outer)
      return scope->graph->input[scope->graph->n_inputs - scope->n_captures + i];
  scope->capture = neo_arena_grow(im->main->arena, scope->capture, &scope->cap_captures,
                                  scope->n_captures + 1, sizeof *scope->capture);
  scope->capture[scope->n_captures++] = outer;
  return neo_graph_add_input(scope->graph, value.name, value.dtype, &(neo_shape){.rank = -1});
}

static int scope_find(onnx_import *im, onnx_scope *scope, const char *name) {
  intptr_t id = (intptr_t)neo_map_get(&scope->names, name);
  if (id || !scope->outer)
    return (int)id - 1;
  int outer = scope_find(im, scope->outer, name);
  bool list = onnx_is_list(outer);
  if ((outer < 0 && !list) || scope->outer->graph == scope->graph)
    return outer;
  int inner = list ? onnx_list_capture(im, scope, outer) : onnx_scope_capture(im, scope, outer);
  if (!neo_map_put(&scope->names, name, (void *)(intptr_t)(inner + 1)))
    return NEO_NO_VALUE;
  return inner;
}

int onnx_scope_find(onnx_import *im, onnx_scope *scope, const char *name) {
  int value = scope_find(im, scope, name);
  return value == ABSENT ? NEO_NO_VALUE : value;
}

neo_status onnx_scope_put(onnx_import *im, onnx_scope *scope, const char *name, int value) {
  if (neo_map_get(&scope->names, name))
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: the name '%s' is defined twice", name);
  if (!neo_map_put(&scope->names, name, (void *)(intptr_t)(value + 1)))
    return neo_fail(im->e.ctx, NEO_NO_MEMORY, "onnx: out of memory");
  return NEO_OK;
}

/* 0 if the scope does not import the domain. */
static int64_t scope_opset(const onnx_scope *scope, const char *domain) {
  for (size_t i = 0; i < scope->n_opsets; i++)
    if (strcmp(plain_domain(scope->opsets[i]->domain), domain) == 0)
      return scope->opsets[i]->version;
  return 0;
}

/* ---- order ----------------------------------------------------------------------------------- */

typedef struct sorter {
  onnx_import *im;
  neo_arena arena;
  neo_map made_by; /* name -> node + 1 */
  Onnx__Node **node;
  int n;
  int **dep, *n_dep, *cap_dep;
  int *order, n_order;
  uint8_t *state; /* 0 new, 1 on the stack, 2 done */
} sorter;

/* Dependencies of node `to` among its siblings: its inputs and those of nodes in its subgraphs. */
static void collect_deps(sorter *s, int to, const Onnx__Node *node) {
  for (size_t i = 0; i < node->n_input; i++) {
    int from = (int)(intptr_t)neo_map_get(&s->made_by, node->input[i]) - 1;
    if (from < 0 || (from == to && node != s->node[to]))
      continue;
    s->dep[to] =
        neo_arena_grow(&s->arena, s->dep[to], &s->cap_dep[to], s->n_dep[to] + 1, sizeof **s->dep);
    s->dep[to][s->n_dep[to]++] = from;
  }
  for (size_t i = 0; i < node->n_attribute; i++)
    for (size_t k = 0; node->attribute[i]->g && k < node->attribute[i]->g->n_node; k++)
      collect_deps(s, to, node->attribute[i]->g->node[k]);
}

static neo_status map_outputs(sorter *s) {
  for (int i = 0; i < s->n; i++)
    for (size_t k = 0; k < s->node[i]->n_output; k++) {
      const char *name = s->node[i]->output[k];
      if (!*name)
        continue;
      if (neo_map_get(&s->made_by, name))
        return neo_fail(s->im->e.ctx, NEO_BAD_INPUT, "onnx: the name '%s' is defined twice", name);
      if (!neo_map_put(&s->made_by, name, (void *)(intptr_t)(i + 1)))
        return neo_fail(s->im->e.ctx, NEO_NO_MEMORY, "onnx: out of memory");
    }
  return NEO_OK;
}

/* Depth first from `root`, with its own stack: files choose the depth. */
static neo_status visit(sorter *s, int root, int *stack, int *next) {
  int depth = 0;
  stack[0] = root;
  next[0] = 0;
  s->state[root] = 1;
  while (depth >= 0) {
    int at = stack[depth];
    if (next[depth] == s->n_dep[at]) {
      s->state[at] = 2;
      s->order[s->n_order++] = at;
      depth--;
      continue;
    }
    int from = s->dep[at][next[depth]++];
    if (s->state[from] == 1)
      return neo_fail(s->im->e.ctx, NEO_BAD_INPUT, "onnx: node '%s' (%s) depends on its own output",
                      text_or_empty(s->node[from]->name), text_or_empty(s->node[from]->op_type));
    if (s->state[from] == 0) {
      s->state[from] = 1;
      stack[++depth] = from;
      next[depth] = 0;
    }
  }
  return NEO_OK;
}

static neo_status sort_nodes(sorter *s) {
  size_t room = (size_t)s->n + 1;
  s->dep = neo_arena_alloc(&s->arena, sizeof *s->dep * room);
  s->n_dep = neo_arena_alloc(&s->arena, sizeof(int) * room);
  s->cap_dep = neo_arena_alloc(&s->arena, sizeof(int) * room);
  s->order = neo_arena_alloc(&s->arena, sizeof(int) * room);
  s->state = neo_arena_alloc(&s->arena, room);
  int *stack = neo_arena_alloc(&s->arena, sizeof(int) * room);
  int *next = neo_arena_alloc(&s->arena, sizeof(int) * room);
  NEO_TRY(map_outputs(s));
  for (int i = 0; i < s->n; i++)
    collect_deps(s, i, s->node[i]);
  for (int i = 0; i < s->n; i++)
    if (s->state[i] == 0)
      NEO_TRY(visit(s, i, stack, next));
  return NEO_OK;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static neo_status convert_nodes(onnx_import *im, onnx_scope *scope, Onnx__Node **nodes, size_t n);

static int placeholder(onnx_import *im, const char *name) {
  return neo_graph_add_value(im->e.graph, name, NEO_DTYPE_COUNT, NULL);
}

static bool is_placeholder(const onnx_import *im, int value) {
  const onnx_list *list = onnx_list_of(im, value);
  for (int i = 0; list && i < list->n; i++)
    if (is_placeholder(im, list->value[i]))
      return true;
  if (list)
    return false;
  const neo_value *v = &im->e.graph->value[value];
  return v->node < 0 && !v->constant && !v->is_input;
}

static neo_status resolve_inputs(onnx_import *im, onnx_node *node, bool *poisoned) {
  const Onnx__Node *pb = node->pb;
  node->input = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (pb->n_input + 1));
  *poisoned = false;
  for (size_t i = 0; i < pb->n_input; i++) {
    node->input[i] = NEO_NO_VALUE;
    if (!*pb->input[i])
      continue;
    int value = scope_find(im, node->scope, pb->input[i]);
    if (value == NEO_NO_VALUE)
      return onnx_bad(im, node, "input '%s' is defined nowhere", pb->input[i]);
    if (value == ABSENT)
      continue;
    node->input[i] = value;
    node->n_inputs = (int)i + 1;
    *poisoned |= is_placeholder(im, value);
  }
  node->output = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (pb->n_output + 1));
  for (size_t i = 0; i < pb->n_output; i++) {
    node->output[i] = NEO_NO_VALUE;
    if (*pb->output[i])
      node->n_outputs = (int)i + 1;
  }
  return NEO_OK;
}

static void name_node(onnx_import *im, onnx_node *node) {
  const Onnx__Node *pb = node->pb;
  const char *own = text_or_empty(pb->name);
  for (size_t i = 0; !*own && i < pb->n_output; i++)
    own = pb->output[i];
  if (!*own)
    own = text_or_empty(pb->op_type);
  node->name = neo_arena_printf(im->e.graph->arena, "%s%s", node->scope->prefix, own);
}

static neo_status bind_outputs(onnx_import *im, onnx_node *node) {
  for (int i = 0; i < node->n_outputs; i++) {
    const char *name = node->pb->output[i];
    if (!*name)
      continue;
    if (node->output[i] == NEO_NO_VALUE)
      node->output[i] = placeholder(im, name);
    NEO_TRY(onnx_scope_put(im, node->scope, name, node->output[i]));
  }
  return NEO_OK;
}

/* consumed_inputs, of opsets 1 to 5, says what may be overwritten. */
static void report_unread(onnx_import *im, const onnx_node *node) {
  for (size_t i = 0; i < node->pb->n_attribute; i++)
    if (!node->used[i] &&
        strcmp(text_or_empty(node->pb->attribute[i]->name), "consumed_inputs") != 0)
      onnx_unsupported(im, node, "attribute '%s' not implemented",
                       text_or_empty(node->pb->attribute[i]->name));
}

static const Onnx__Function *find_function(const onnx_import *im, const Onnx__Node *pb) {
  for (size_t i = 0; i < im->model->n_functions; i++) {
    const Onnx__Function *f = im->model->functions[i];
    if (strcmp(text_or_empty(f->name), text_or_empty(pb->op_type)) == 0 &&
        strcmp(plain_domain(f->domain), plain_domain(pb->domain)) == 0 &&
        strcmp(text_or_empty(f->overload), text_or_empty(pb->overload)) == 0)
      return f;
  }
  return NULL;
}

static neo_status bind_results(onnx_import *im, onnx_node *node, onnx_scope *inner, int k,
                               const char *name) {
  int value = scope_find(im, inner, text_or_empty(name));
  if (value == NEO_NO_VALUE || value == ABSENT)
    return onnx_bad(im, node, "its body's output '%s' is defined nowhere", text_or_empty(name));
  if (k < node->n_outputs)
    node->output[k] = value;
  return NEO_OK;
}

static neo_status function_body(onnx_import *im, onnx_node *node, onnx_scope *inner) {
  const Onnx__Function *f = inner->function;
  for (size_t i = 0; i < f->n_input; i++) {
    int value = onnx_input(node, (int)i);
    NEO_TRY(onnx_scope_put(im, inner, f->input[i], value == NEO_NO_VALUE ? ABSENT : value));
  }
  NEO_TRY(convert_nodes(im, inner, f->node, f->n_node));
  for (size_t i = 0; i < f->n_output; i++)
    NEO_TRY(bind_results(im, node, inner, (int)i, f->output[i]));
  return NEO_OK;
}

neo_status onnx_scope_enter(onnx_import *im, onnx_node *node, onnx_scope *inner, size_t n_nodes) {
  inner->depth = node->scope->depth + 1;
  inner->graph = im->e.graph;
  inner->n_captures = inner->cap_captures = 0;
  inner->capture = NULL;
  inner->prefix = neo_arena_printf(im->e.graph->arena, "%s/", node->name);
  if (inner->depth > MAX_SCOPES || n_nodes > MAX_INLINED ||
      (im->n_inlined += (int)n_nodes) > MAX_INLINED)
    return onnx_bad(im, node, "bodies nested deeper than %d or longer than %d nodes in all",
                    MAX_SCOPES, MAX_INLINED);
  return NEO_OK;
}

static neo_status inline_function(onnx_import *im, onnx_node *node, const Onnx__Function *f) {
  onnx_scope inner = {
      .call = node, .function = f, .n_opsets = f->n_opset_import, .opsets = f->opset_import};
  if (node->n_inputs > (int)f->n_input)
    return onnx_bad(im, node, "%d inputs given to a function of %zu", node->n_inputs, f->n_input);
  NEO_TRY(onnx_scope_enter(im, node, &inner, f->n_node));
  for (size_t i = 0; i < node->pb->n_attribute; i++)
    for (size_t k = 0; k < f->n_attribute; k++)
      if (strcmp(text_or_empty(node->pb->attribute[i]->name), f->attribute[k]) == 0)
        node->used[i] = true;
  neo_status status = function_body(im, node, &inner);
  neo_map_fini(&inner.names);
  return status;
}

static neo_status add_initializer(onnx_import *im, onnx_scope *scope, const Onnx__Tensor *pb) {
  const char *name = text_or_empty(pb->name);
  neo_tensor tensor;
  NEO_TRY(onnx_tensor(im, pb, name, &tensor));
  return onnx_scope_put(im, scope, name, neo_graph_add_constant(im->e.graph, name, &tensor));
}

neo_status onnx_graph_nodes(onnx_import *im, onnx_scope *inner, const Onnx__Graph *graph) {
  for (size_t i = 0; i < graph->n_initializer; i++)
    NEO_TRY(add_initializer(im, inner, graph->initializer[i]));
  return convert_nodes(im, inner, graph->node, graph->n_node);
}

neo_status onnx_inline_graph(onnx_import *im, onnx_node *node, const Onnx__Graph *graph) {
  onnx_scope inner = *node->scope;
  memset(&inner.names, 0, sizeof inner.names);
  inner.outer = node->scope;
  NEO_TRY(onnx_scope_enter(im, node, &inner, graph->n_node));
  neo_status status = onnx_graph_nodes(im, &inner, graph);
  for (size_t i = 0; status == NEO_OK && i < graph->n_output; i++)
    status = bind_results(im, node, &inner, (int)i, graph->output[i]->name);
  neo_map_fini(&inner.names);
  return status;
}

/* Which converter, if any: NULL (and a line in the list) for operators we lack. */
static neo_status find_row(onnx_import *im, onnx_node *node) {
  const char *domain = plain_domain(node->pb->domain);
  int64_t opset = scope_opset(node->scope, domain);
  if (opset <= 0)
    return onnx_bad(im, node, "its domain '%s' is not imported", domain);
  node->opset = opset > 1000 ? 1000 : (int)opset;
  if (!*domain && (opset < ONNX_MIN_OPSET || opset > ONNX_MAX_OPSET))
    return onnx_unsupported(im, node, "opset %lld, %d to %d are known", (long long)opset,
                            ONNX_MIN_OPSET, ONNX_MAX_OPSET);
  node->row = onnx_row_find(domain, node->pb->op_type, node->opset);
  if (node->row)
    return NEO_OK;
  if (onnx_row_any(domain, node->pb->op_type))
    return onnx_unsupported(im, node, "operator not implemented at this opset");
  return onnx_unsupported(im, node, "operator not implemented");
}

/* Operators of tensors are not given sequences, but for Identity, which is nothing then. */
static neo_status convert_row(onnx_import *im, onnx_node *node) {
  const char *op = node->row->op ? node->row->op : "";
  if (strcmp(op, "identity") == 0 && node->n_inputs == 1 && onnx_is_list(node->input[0])) {
    onnx_bind(im, node, 0, node->input[0]);
    return NEO_OK;
  }
  for (int i = 0; i < node->n_inputs && strcmp(op, "*") != 0; i++)
    if (onnx_is_list(node->input[i]))
      return onnx_unsupported(im, node, "input %d is a sequence or an optional without a value", i);
  return node->row->convert(im, node);
}

static neo_status convert_node(onnx_import *im, onnx_scope *scope, const Onnx__Node *pb) {
  onnx_node node = {.scope = scope, .pb = pb};
  bool poisoned;
  name_node(im, &node);
  if (!pb->op_type)
    return onnx_bad(im, &node, "it has no operator");
  node.used = neo_arena_alloc(im->e.graph->arena, pb->n_attribute + 1);
  NEO_TRY(resolve_inputs(im, &node, &poisoned));
  const Onnx__Function *function = find_function(im, pb);
  if (function) {
    NEO_TRY(inline_function(im, &node, function));
    report_unread(im, &node);
  } else {
    NEO_TRY(find_row(im, &node));
    if (node.row && !poisoned) {
      int before = im->e.unsupported.n;
      NEO_TRY(convert_row(im, &node));
      if (im->e.unsupported.n == before)
        report_unread(im, &node);
    }
  }
  return bind_outputs(im, &node);
}

static neo_status convert_nodes(onnx_import *im, onnx_scope *scope, Onnx__Node **nodes, size_t n) {
  if (n > 1u << 24)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: %zu nodes", n);
  sorter s = {.im = im, .node = nodes, .n = (int)n};
  neo_arena_init(&s.arena);
  neo_status status = sort_nodes(&s);
  for (int i = 0; status == NEO_OK && i < s.n; i++)
    status = convert_node(im, scope, nodes[s.order[i]]);
  neo_map_fini(&s.made_by);
  neo_arena_fini(&s.arena);
  return status;
}

/* ---- the main graph -------------------------------------------------------------------------- */

static neo_status input_shape(onnx_import *im, const char *name, const Onnx__TensorType *type,
                              neo_shape *shape, const char **dim_name) {
  const Onnx__TensorShape *pb = type->shape;
  shape->rank = pb ? (int)neo_min_i64((int64_t)pb->n_dim, NEO_MAX_RANK + 1) : -1;
  if (shape->rank > NEO_MAX_RANK)
    return neo_fail(im->e.ctx, NEO_UNSUPPORTED,
                    "onnx: input '%s' has rank %zu, at most %d supported", name, pb->n_dim,
                    NEO_MAX_RANK);
  for (int i = 0; i < shape->rank; i++) {
    const Onnx__Dimension *dim = pb->dim[i];
    shape->dim[i] = dim->has_dim_value ? dim->dim_value : -1;
    if (shape->dim[i] < -1)
      return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: input '%s' has dimension %lld", name,
                      (long long)shape->dim[i]);
    if (shape->dim[i] < 0 && dim->dim_param && *dim->dim_param)
      dim_name[i] = neo_arena_strdup(im->e.graph->arena, dim->dim_param);
  }
  return NEO_OK;
}

neo_status onnx_tensor_input(onnx_import *im, const char *name, const Onnx__TensorType *type,
                             int *out) {
  const char *dim_name[NEO_MAX_RANK] = {0}, *type_name = "not a tensor";
  neo_shape shape = {0};
  neo_dtype dtype;
  if (!type || onnx_dtype(type->elem_type, &dtype, &type_name) != NEO_OK) {
    neo_unsupported_add(&im->e.unsupported, "input '%s': %s", name, type_name);
    *out = placeholder(im, name);
    return NEO_OK;
  }
  NEO_TRY(input_shape(im, name, type, &shape, dim_name));
  *out = neo_emit_input(&im->e, name, dtype, &shape);
  memcpy(im->e.graph->value[*out].dim_name, dim_name, sizeof dim_name);
  return NEO_OK;
}

static neo_status add_input(onnx_import *im, onnx_scope *scope, const Onnx__ValueInfo *info) {
  const char *name = text_or_empty(info->name);
  int known = scope_find(im, scope, name), id;
  if (known != NEO_NO_VALUE) {
    if (known >= 0 && im->e.graph->value[known].constant)
      return NEO_OK; /* an initializer listed as input: a default value */
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: the name '%s' is defined twice", name);
  }
  if (info->type && (info->type->sequence_type || info->type->optional_type))
    return onnx_list_input(im, scope, name, info->type);
  NEO_TRY(onnx_tensor_input(im, name, info->type ? info->type->tensor_type : NULL, &id));
  return onnx_scope_put(im, scope, name, id);
}

static neo_status main_graph(onnx_import *im, onnx_scope *scope) {
  const Onnx__Graph *pb = im->model->graph;
  for (size_t i = 0; i < pb->n_initializer; i++)
    NEO_TRY(add_initializer(im, scope, pb->initializer[i]));
  if (pb->n_sparse_initializer > 0) {
    neo_unsupported_add(&im->e.unsupported, "%zu sparse initializers", pb->n_sparse_initializer);
  }
  for (size_t i = 0; i < pb->n_input; i++)
    NEO_TRY(add_input(im, scope, pb->input[i]));
  NEO_TRY(convert_nodes(im, scope, pb->node, pb->n_node));
  if (pb->n_output == 0)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: %s: the graph has no outputs", im->path);
  for (size_t i = 0; i < pb->n_output; i++) {
    const char *name = text_or_empty(pb->output[i]->name);
    int value = scope_find(im, scope, name);
    if (value == NEO_NO_VALUE)
      return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: output '%s' is defined nowhere", name);
    if (onnx_is_list(value))
      onnx_list_outputs(im, value, name);
    else
      neo_graph_add_output(im->e.graph, value, name);
  }
  return NEO_OK;
}

static neo_status build(neo_ctx *ctx, const neo_source *source, const Onnx__Model *model,
                        neo_graph **out) {
  onnx_import im = {
      .e = {.ctx = ctx, .source = source, .scope = ""}, .path = source->path, .model = model};
  onnx_scope scope = {
      .prefix = "", .n_opsets = model->n_opset_import, .opsets = model->opset_import};
  NEO_TRY(neo_graph_create(ctx, text_or_empty(model->graph->name), &im.e.graph));
  im.e.graph->budget->bytes = source->options.max_model_bytes;
  im.main = scope.graph = im.e.graph;
  im.files = neo_arena_alloc(im.e.graph->arena, sizeof *im.files);
  im.files->model = source->file;
  neo_status status = main_graph(&im, &scope);
  if (status == NEO_OK)
    status = neo_unsupported_end(ctx, source, &im.e.unsupported);
  bool whole = im.e.unsupported.n == 0;
  if (status == NEO_OK && whole)
    status = im.e.failed;
  if (status == NEO_OK && whole)
    status = neo_graph_check(ctx, im.e.graph);
  neo_map_fini(&scope.names);
  neo_unsupported_fini(&im.e.unsupported);
  im.e.graph->keep = im.files;
  im.e.graph->keep_release = onnx_files_release;
  im.e.graph->keep_idle = onnx_files_idle;
  if (status == NEO_OK) {
    *out = im.e.graph;
    return NEO_OK;
  }
  im.files->model = (neo_mapping){0}; /* still the caller's */
  neo_graph_destroy(im.e.graph);
  return status;
}

/* ---- protobuf-c ------------------------------------------------------------------------------ */

static void *pb_alloc(void *self, size_t size) {
  return neo_resize(self, NULL, size ? size : 1);
}

static void pb_free(void *self, void *data) {
  neo_free(self, data);
}

neo_status onnx_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  const char *path = source->path;
  const neo_mapping *file = &source->file;
  ProtobufCAllocator allocator = {pb_alloc, pb_free, ctx};
  neo_buf stripped = {0};
  Onnx__Model *model = NULL;
  neo_status status =
      onnx_wire_strip(ctx, path, file->data, file->size, &onnx__model__descriptor, &stripped);
  if (status == NEO_OK) {
    model = onnx__model__unpack(&allocator, stripped.size, (const uint8_t *)stripped.data);
    if (!model)
      status = neo_fail(ctx, NEO_BAD_INPUT, "onnx: %s: a damaged field", path);
    else if (!model->graph)
      status = neo_fail(ctx, NEO_BAD_INPUT, "onnx: %s: no graph in the file", path);
  }
  neo_buf_fini(&stripped);
  if (status == NEO_OK)
    status = build(ctx, source, model, out);
  if (model)
    onnx__model__free_unpacked(model, &allocator);
  return status;
}
