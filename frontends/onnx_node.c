/* frontends/onnx_node.c: what converters are written with: attributes, constants, emitting nodes,
 * and the list of what is unsupported.
 *
 * Attributes are marked when read; onnx.c reports those that a converter never looked at, so a row
 * cannot silently drop one. Attributes inside function bodies may refer to the calling node's. */
#include "frontends/onnx_import.h"

#include <string.h>

/* ---- errors ---------------------------------------------------------------------------------- */

neo_status onnx_unsupported(onnx_import *im, const onnx_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_unsupported_add(&im->e.unsupported, "node '%s' (%s%s%s, opset %d): %s", node->name,
                      node->pb->domain ? node->pb->domain : "",
                      node->pb->domain && *node->pb->domain ? ":" : "",
                      node->pb->op_type ? node->pb->op_type : "", node->opset, text);
  return NEO_OK;
}

neo_status onnx_bad(onnx_import *im, const onnx_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: node '%s' (%s): %s", node->name,
                  node->pb->op_type ? node->pb->op_type : "", text);
}

/* ---- attributes ------------------------------------------------------------------------------ */

enum {
  KIND_FLOAT = 1,
  KIND_INT,
  KIND_STRING,
  KIND_TENSOR,
  KIND_GRAPH,
  KIND_FLOATS,
  KIND_INTS,
  KIND_STRINGS
};

static const Onnx__Attribute *resolve_reference(const onnx_scope *scope, const char *name) {
  const Onnx__Attribute *found = scope->call ? onnx_attr(scope->call, name) : NULL;
  for (size_t i = 0; !found && scope->function && i < scope->function->n_attribute_proto; i++)
    if (scope->function->attribute_proto[i]->name &&
        strcmp(scope->function->attribute_proto[i]->name, name) == 0)
      found = scope->function->attribute_proto[i];
  return found;
}

const Onnx__Attribute *onnx_attr(onnx_node *node, const char *name) {
  for (size_t i = 0; i < node->pb->n_attribute; i++) {
    const Onnx__Attribute *attr = node->pb->attribute[i];
    if (!attr->name || strcmp(attr->name, name) != 0)
      continue;
    node->used[i] = true;
    if (attr->ref_attr_name && *attr->ref_attr_name)
      return resolve_reference(node->scope, attr->ref_attr_name);
    return attr;
  }
  return NULL;
}

/* The type field, or what is present where old files leave it out. */
static int attr_kind(const Onnx__Attribute *attr) {
  if (attr->type)
    return attr->type;
  if (attr->has_f)
    return KIND_FLOAT;
  if (attr->has_i)
    return KIND_INT;
  if (attr->has_s)
    return KIND_STRING;
  if (attr->t)
    return KIND_TENSOR;
  if (attr->g)
    return KIND_GRAPH;
  if (attr->n_floats)
    return KIND_FLOATS;
  return attr->n_strings ? KIND_STRINGS : KIND_INTS;
}

static neo_status expect_kind(onnx_import *im, const onnx_node *node, const Onnx__Attribute *attr,
                              const char *name, int kind) {
  if (attr_kind(attr) != kind)
    return onnx_bad(im, node, "attribute '%s' has type %d, %d expected", name, attr_kind(attr),
                    kind);
  return NEO_OK;
}

neo_status onnx_attr_int(onnx_import *im, onnx_node *node, const char *name, int64_t *inout) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  if (!attr)
    return NEO_OK;
  NEO_TRY(expect_kind(im, node, attr, name, KIND_INT));
  *inout = attr->i;
  return NEO_OK;
}

neo_status onnx_attr_float(onnx_import *im, onnx_node *node, const char *name, double *inout) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  if (!attr)
    return NEO_OK;
  NEO_TRY(expect_kind(im, node, attr, name, KIND_FLOAT));
  *inout = attr->f;
  return NEO_OK;
}

static bool has_nul(ProtobufCBinaryData bytes) {
  return bytes.len > 0 && memchr(bytes.data, 0, bytes.len) != NULL;
}

neo_status onnx_attr_string(onnx_import *im, onnx_node *node, const char *name,
                            const char **inout) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  if (!attr)
    return NEO_OK;
  NEO_TRY(expect_kind(im, node, attr, name, KIND_STRING));
  if (has_nul(attr->s))
    return onnx_bad(im, node, "attribute '%s' holds a zero byte", name);
  *inout = neo_arena_strndup(im->e.graph->arena, attr->s.data ? (const char *)attr->s.data : "",
                             attr->s.len);
  return NEO_OK;
}

neo_status onnx_attr_ints(onnx_import *im, onnx_node *node, const char *name, int *n,
                          const int64_t **out) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  *n = -1;
  *out = NULL;
  if (!attr)
    return NEO_OK;
  NEO_TRY(expect_kind(im, node, attr, name, KIND_INTS));
  if (attr->n_ints > 1 << 20)
    return onnx_bad(im, node, "attribute '%s' has %zu values", name, attr->n_ints);
  *n = (int)attr->n_ints;
  *out = attr->n_ints ? neo_arena_copy(im->e.graph->arena, attr->ints, sizeof **out * attr->n_ints)
                      : neo_arena_alloc(im->e.graph->arena, sizeof **out);
  return NEO_OK;
}

neo_status onnx_attr_floats(onnx_import *im, onnx_node *node, const char *name, int *n,
                            const double **out) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  *n = -1;
  *out = NULL;
  if (!attr)
    return NEO_OK;
  NEO_TRY(expect_kind(im, node, attr, name, KIND_FLOATS));
  if (attr->n_floats > 1 << 20)
    return onnx_bad(im, node, "attribute '%s' has %zu values", name, attr->n_floats);
  double *copy = neo_arena_alloc(im->e.graph->arena, sizeof *copy * (attr->n_floats + 1));
  for (size_t i = 0; i < attr->n_floats; i++)
    copy[i] = attr->floats[i];
  *n = (int)attr->n_floats;
  *out = copy;
  return NEO_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

int onnx_input(const onnx_node *node, int k) {
  return k < node->n_inputs ? node->input[k] : NEO_NO_VALUE;
}

const neo_tensor *onnx_const(onnx_import *im, int value) {
  return value == NEO_NO_VALUE ? NULL : im->e.graph->value[value].constant;
}

static int make_constant(onnx_import *im, onnx_node *node, const char *suffix, neo_tensor *tensor) {
  char *name = neo_arena_printf(im->e.graph->arena, "%s.%s", node->name, suffix);
  return neo_graph_add_constant(im->e.graph, name, tensor);
}

int onnx_make_ints(onnx_import *im, onnx_node *node, const char *suffix, int n, const int64_t *v) {
  neo_tensor tensor = {NEO_I64, {1, {n}}, NULL, sizeof *v * (size_t)n};
  tensor.data = neo_arena_alloc(im->e.graph->arena, tensor.size + 8);
  if (n > 0)
    memcpy(tensor.data, v, tensor.size);
  return make_constant(im, node, suffix, &tensor);
}

int onnx_make_floats(onnx_import *im, onnx_node *node, const char *suffix, int n, const double *v) {
  neo_tensor tensor = {NEO_F32, {1, {n}}, NULL, sizeof(float) * (size_t)n};
  tensor.data = neo_arena_alloc(im->e.graph->arena, tensor.size + 8);
  for (int i = 0; i < n; i++)
    ((float *)tensor.data)[i] = (float)v[i];
  return make_constant(im, node, suffix, &tensor);
}

int onnx_make_scalar_like(onnx_import *im, onnx_node *node, const char *suffix, neo_dtype dtype,
                          double v) {
  neo_tensor tensor = {dtype, {0}, NULL, neo_dtype_size(dtype)};
  tensor.data = neo_arena_alloc(im->e.graph->arena, 16);
  neo_tensor_set_f64(&tensor, 0, v);
  return make_constant(im, node, suffix, &tensor);
}

/* ---- emitting -------------------------------------------------------------------------------- */

/* The element type as far as it is known before inference, which CastLike asks for. */
static neo_dtype guess_dtype(const neo_graph *graph, const neo_node *node) {
  static const char *const bools[] = {"equal",         "less",  "less_equal", "greater",
                                      "greater_equal", "not",   "and",        "or",
                                      "xor",           "isnan", "isinf"};
  static const char *const indices[] = {"shape", "size", "arg_max", "arg_min", "nonzero"};
  int from = strcmp(node->op->name, "where") == 0 ? 1 : 0;
  for (int i = 0; i < NEO_COUNT(bools); i++)
    if (strcmp(node->op->name, bools[i]) == 0)
      return NEO_BOOL;
  for (int i = 0; i < NEO_COUNT(indices); i++)
    if (strcmp(node->op->name, indices[i]) == 0)
      return NEO_I64;
  if (strcmp(node->op->name, "constant_of_shape") == 0 ||
      strstr(node->op->name, "quantize_linear") || strcmp(node->op->name, "matmul_integer") == 0 ||
      strcmp(node->op->name, "conv_integer") == 0 || strcmp(node->op->name, "cast") == 0 ||
      from >= node->n_inputs || node->input[from] == NEO_NO_VALUE)
    return NEO_DTYPE_COUNT;
  return graph->value[node->input[from]].dtype;
}

neo_node *onnx_emit(onnx_import *im, onnx_node *node, const char *op, int n_inputs,
                    const int *inputs, int n_outputs) {
  while (n_inputs > 0 && inputs[n_inputs - 1] == NEO_NO_VALUE)
    n_inputs--;
  neo_node *made = neo_graph_add_node(im->e.graph, op, node->name, n_inputs, inputs, n_outputs);
  if (!made)
    onnx_unsupported(im, node, "operator not implemented (%s)", op);
  else if (n_outputs > 0)
    im->e.graph->value[made->output[0]].dtype = guess_dtype(im->e.graph, made);
  return made;
}

void onnx_bind(onnx_import *im, onnx_node *node, int k, int value) {
  if (k >= node->n_outputs)
    return;
  node->output[k] = value;
  if (value < 0)
    return;
  const char *name = node->pb->output[k];
  if (im->e.graph->value[value].node >= 0 && *name)
    im->e.graph->value[value].name =
        neo_arena_printf(im->e.graph->arena, "%s%s", node->scope->prefix, name);
}

neo_node *onnx_emit_row(onnx_import *im, onnx_node *node, int n_inputs, const int *inputs) {
  neo_node *made = onnx_emit(im, node, node->row->op, n_inputs, inputs, node->n_outputs);
  for (int i = 0; made && i < node->n_outputs; i++)
    onnx_bind(im, node, i, made->output[i]);
  return made;
}

/* One entry of a row's attrs: [-]from[>to][:kind[=default]] */
typedef struct attr_spec {
  bool ignore;
  char from[48], to[48], kind, otherwise[64];
} attr_spec;

static const char *next_spec(const char *at, attr_spec *spec) {
  memset(spec, 0, sizeof *spec);
  at += strspn(at, " ");
  if (!*at)
    return NULL;
  size_t length = strcspn(at, " "), name = strcspn(at, " :>");
  const char *end = at + length;
  neo_assert(name < sizeof spec->from && length < sizeof spec->to + sizeof spec->otherwise);
  spec->ignore = *at == '-';
  memcpy(spec->from, at + spec->ignore, name - spec->ignore);
  memcpy(spec->to, spec->from, sizeof spec->to);
  at += name;
  if (*at == '>') {
    memset(spec->to, 0, sizeof spec->to);
    size_t to = strcspn(at + 1, " :");
    neo_assert(to < sizeof spec->to);
    memcpy(spec->to, at + 1, to);
    at += to + 1;
  }
  if (*at == ':')
    spec->kind = at[1];
  const char *equals = memchr(at, '=', (size_t)(end - at));
  neo_assert(!equals || end - equals <= (ptrdiff_t)sizeof spec->otherwise);
  if (equals)
    memcpy(spec->otherwise, equals + 1, (size_t)(end - equals - 1));
  return end;
}

static neo_status copy_number(onnx_import *im, onnx_node *node, const attr_spec *spec, bool present,
                              neo_node *to) {
  neo_scan scan;
  int64_t i = 0;
  double f = 0;
  neo_scan_init(&scan, spec->otherwise);
  if (spec->kind == 'i') {
    bool has = present || neo_scan_int(&scan, &i);
    NEO_TRY(onnx_attr_int(im, node, spec->from, &i));
    if (has)
      neo_node_set_int(im->e.graph, to, spec->to, i);
  } else {
    bool has = present || neo_scan_double(&scan, &f);
    NEO_TRY(onnx_attr_float(im, node, spec->from, &f));
    if (has)
      neo_node_set_float(im->e.graph, to, spec->to, f);
  }
  return NEO_OK;
}

static const char *lower_case(neo_arena *arena, const char *text) {
  char *copy = neo_arena_strdup(arena, text);
  for (char *c = copy; *c; c++)
    if (*c >= 'A' && *c <= 'Z')
      *c = (char)(*c - 'A' + 'a');
  return copy;
}

static neo_status copy_one(onnx_import *im, onnx_node *node, const attr_spec *spec, neo_node *to) {
  const int64_t *ints;
  const double *floats;
  int n;
  bool present = onnx_attr(node, spec->from) != NULL;
  const char *text = *spec->otherwise ? spec->otherwise : NULL;
  switch (spec->kind) {
  case 'i':
  case 'f':
    return copy_number(im, node, spec, present, to);
  case 's':
  case 't':
    NEO_TRY(onnx_attr_string(im, node, spec->from, &text));
    if (text)
      neo_node_set_string(im->e.graph, to, spec->to,
                          spec->kind == 's' ? lower_case(im->e.graph->arena, text) : text);
    return NEO_OK;
  case 'I':
    NEO_TRY(onnx_attr_ints(im, node, spec->from, &n, &ints));
    if (n >= 0)
      neo_node_set_ints(im->e.graph, to, spec->to, n, ints);
    return NEO_OK;
  default:
    neo_assert(spec->kind == 'F');
    NEO_TRY(onnx_attr_floats(im, node, spec->from, &n, &floats));
    if (n >= 0)
      neo_node_set_floats(im->e.graph, to, spec->to, n, floats);
    return NEO_OK;
  }
}

neo_status onnx_copy_attrs(onnx_import *im, onnx_node *node, neo_node *to) {
  attr_spec spec;
  for (const char *at = node->row->attrs; at && (at = next_spec(at, &spec)) != NULL;) {
    if (spec.ignore)
      onnx_attr(node, spec.from);
    else
      NEO_TRY(copy_one(im, node, &spec, to));
  }
  return NEO_OK;
}

neo_status onnx_plain(onnx_import *im, onnx_node *node) {
  neo_node *made = onnx_emit_row(im, node, node->n_inputs, node->input);
  return made ? onnx_copy_attrs(im, node, made) : NEO_OK;
}

const neo_binding *onnx_binding_of(const onnx_import *im, const char *name) {
  const neo_import_options *options = &im->e.source->options;
  for (int i = 0; i < options->n_bindings; i++)
    if (strcmp(options->binding[i].name, name) == 0)
      return &options->binding[i];
  return NULL;
}
