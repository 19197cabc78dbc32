/* frontends/torch_export.c: torch.export archives (.pt2).
 *
 * A zip with models/model.json (the graph of an ExportedProgram, schema version 8), data/weights
 * and data/constants (raw little-endian storages and a JSON list of the tensors in them) below one
 * folder; docs/formats/torch.md. Nothing in it is a pickle that we read. The graph is in single
 * assignment and in order, but for in-place operators, which torch.h's variables take care of. */
#include "frontends/torch.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_JSON = 1 << 30, MAX_NESTED = 16 };

typedef struct pt2 {
  torch t;
  char *folder; /* "model/" */
  json_t *model;
  json_t *weights, *constants; /* their "config" objects */
  const json_t *values;        /* tensor_values of the graph */
  torch_inputs inputs;
} pt2;

/* Names of one graph. */
typedef struct scope {
  neo_map names;
  int depth;
} scope;

static neo_status run_graph(pt2 *p, scope *s, const json_t *graph, tv *out);

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static neo_status bad(pt2 *p, const char *what, const char *name) {
  torch_bad(&p->t, NEO_BAD_INPUT, "model.json: %s%s%s%s", what, name ? " '" : "", name ? name : "",
            name ? "'" : "");
  return NEO_BAD_INPUT;
}

/* ---- members ------------------------------------------------------------------------------------------------- */

static neo_status member_json(pt2 *p, const char *name, bool required, json_t **out) {
  const char *path = neo_arena_printf(&p->t.arena, "%s%s", p->folder, name);
  const neo_archive_member *member = neo_archive_find(p->t.archive, path);
  const uint8_t *text;
  if (!member && !required)
    return NEO_OK;
  if (!member)
    return neo_fail(p->t.ctx, NEO_BAD_INPUT, "%s: no %s in the archive", p->t.source->path, path);
  NEO_TRY(neo_archive_read(p->t.ctx, p->t.archive, member, MAX_JSON, &text));
  return neo_json_parse(p->t.ctx, path, (const char *)text, member->size, out);
}

/* ScalarType of torch.export's schema, which is not c10's. */
static int64_t scalar_type(const json_t *code) {
  int64_t v = json_integer_value(code);
  if (v >= 1 && v <= 12)
    return v - 1;
  return v == 13 ? 15 : v == 28 ? 27 : -1; /* bfloat16, uint16 */
}

static int64_t int_of(const json_t *dim) {
  const json_t *v = json_object_get(dim, "as_int");
  return json_is_integer(v) ? json_integer_value(v) : -1;
}

static bool dims_of(const json_t *list, int *rank, int64_t *out) {
  *rank = (int)json_array_size(list);
  if (json_array_size(list) > NEO_MAX_RANK)
    return false;
  for (int i = 0; i < *rank; i++)
    out[i] = int_of(json_array_get(list, (size_t)i));
  return true;
}

static neo_status weight_of(pt2 *p, const json_t *config, const char *part, const char *name,
                            tv *out) {
  const json_t *entry = json_object_get(config, name),
               *meta = json_object_get(entry, "tensor_meta");
  torch_weight *w = neo_arena_alloc(&p->t.arena, sizeof *w);
  int n_strides;
  *out = torch_poison();
  if (!meta || !torch_dtype(scalar_type(json_object_get(meta, "dtype")), &w->dtype)) {
    neo_unsupported_add(&p->t.emitter.unsupported, "tensor '%s': element type %d or missing", name,
                        (int)json_integer_value(json_object_get(meta, "dtype")));
    return NEO_OK;
  }
  if (json_is_true(json_object_get(entry, "use_pickle"))) {
    neo_unsupported_add(&p->t.emitter.unsupported, "tensor '%s': stored as a pickle", name);
    return NEO_OK;
  }
  w->name = neo_arena_strdup(&p->t.arena, name);
  w->offset = int_of(json_object_get(meta, "storage_offset"));
  if (!dims_of(json_object_get(meta, "sizes"), &w->shape.rank, w->shape.dim) ||
      !dims_of(json_object_get(meta, "strides"), &n_strides, w->stride) ||
      n_strides != w->shape.rank)
    return bad(p, "sizes or strides of tensor", name);
  const char *path =
      neo_arena_printf(&p->t.arena, "%sdata/%s/%s", p->folder, part, text_of(entry, "path_name"));
  const neo_archive_member *member = neo_archive_find(p->t.archive, path);
  if (!member)
    return bad(p, "no storage for tensor", name);
  NEO_TRY(neo_archive_read(p->t.ctx, p->t.archive, member, 0, &w->data));
  w->size = member->size;
  if (!torch_weight_check(&p->t, w))
    return p->t.failed;
  *out = torch_weight_tensor(&p->t, w);
  return NEO_OK;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static neo_status define(pt2 *p, scope *s, const char *name, tv v) {
  tv *kept = neo_arena_copy(&p->t.arena, &v, sizeof v);
  if (!neo_map_put(&s->names, name, kept))
    return neo_fail(p->t.ctx, NEO_NO_MEMORY, "%s: names", p->t.source->path);
  return NEO_OK;
}

static tv lookup(pt2 *p, scope *s, const char *name) {
  const tv *v = neo_map_get(&s->names, name);
  if (v)
    return *v;
  bad(p, "no value named", name);
  return torch_poison();
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static tv value_of(pt2 *p, scope *s, const char *kind, const json_t *v, int depth);

/* {"as_KIND": value} */
static tv argument(pt2 *p, scope *s, const json_t *arg, int depth) {
  void *at = json_object_iter((json_t *)arg);
  if (!at || depth > MAX_NESTED) {
    bad(p, "damaged argument", NULL);
    return torch_poison();
  }
  return value_of(p, s, json_object_iter_key(at), json_object_iter_value(at), depth);
}

static double float_of(const json_t *v) {
  const char *text = json_string_value(v);
  return text ? strtod(text, NULL) : json_number_value(v);
}

/* One value of a kind: "tensor", "int", ... */
static bool plain_value(pt2 *p, scope *s, const char *kind, const json_t *v, tv *out) {
  if (strcmp(kind, "tensor") == 0 || strcmp(kind, "optional_tensor_name") == 0)
    *out = lookup(p, s, text_of(v, "name"));
  else if (strcmp(kind, "int") == 0)
    *out = torch_int(json_integer_value(v));
  else if (strcmp(kind, "float") == 0)
    *out = torch_float(float_of(v));
  else if (strcmp(kind, "bool") == 0)
    *out = torch_bool(json_is_true(v));
  else if (strcmp(kind, "string") == 0)
    *out = torch_string(
        neo_arena_strdup(&p->t.arena, json_string_value(v) ? json_string_value(v) : ""));
  else if (strcmp(kind, "none") == 0 || strcmp(kind, "memory_format") == 0 ||
           strcmp(kind, "layout") == 0)
    *out = torch_none();
  else if (strcmp(kind, "scalar_type") == 0)
    *out = torch_int(scalar_type(v));
  else if (strcmp(kind, "device") == 0)
    *out = torch_string("cpu");
  else
    return false;
  return true;
}

static bool has_prefix(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static tv list_of(pt2 *p, scope *s, const char *kind, const json_t *list, int depth) {
  tv out = torch_seq_new(&p->t, TV_LIST, 0, NULL);
  size_t i;
  json_t *item;
  json_array_foreach((json_t *)list, i, item) {
    bool wrapped = json_is_object(item) && json_object_size(item) == 1 &&
                   has_prefix(json_object_iter_key(json_object_iter(item)), "as_");
    torch_seq_add(&p->t, out.seq,
                  wrapped ? argument(p, s, item, depth + 1)
                          : value_of(p, s, kind, item, depth + 1));
  }
  return out;
}

static tv value_of(pt2 *p, scope *s, const char *kind, const json_t *v, int depth) {
  char one[40];
  tv out;
  if (has_prefix(kind, "as_"))
    kind += 3;
  if (depth > MAX_NESTED) {
    bad(p, "arguments nested too deep", NULL);
    return torch_poison();
  }
  if (has_prefix(kind, "sym_") && json_is_object(v)) { /* {"as_name": ...} or {"as_int": ...} */
    const char *name = json_string_value(json_object_get(v, "as_name"));
    return name ? lookup(p, s, name) : argument(p, s, v, depth + 1);
  }
  if (plain_value(p, s, kind, v, &out))
    return out;
  if (strcmp(kind, "optional_tensor") == 0)
    return json_object_get(v, "as_tensor") || json_object_get(v, "as_none")
               ? argument(p, s, v, depth + 1)
               : torch_none();
  if (strcmp(kind, "name") == 0)
    return lookup(p, s, json_string_value(v) ? json_string_value(v) : "");
  if (json_is_array(v)) {
    snprintf(one, sizeof one, "%.*s", (int)strlen(kind) - 1, kind);
    return list_of(p, s, one, v, depth);
  }
  return torch_unsupported(&p->t, kind, "argument of this kind");
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

/* torch.ops.NAMESPACE.NAME.OVERLOAD, _operator.NAME, torch.NAME, math.NAME -> NAME */
static const char *plain_op(pt2 *p, const char *target) {
  const char *at = target;
  if (has_prefix(target, "torch.ops.")) {
    const char *name = strchr(target + 10, '.');
    if (name)
      return neo_arena_strndup(&p->t.arena, name + 1, strcspn(name + 1, "."));
  }
  for (const char *dot = target; (dot = strchr(dot, '.')) != NULL; dot++)
    at = dot + 1;
  return at;
}

/* The names that an output entry defines, for the values of `v`. */
static neo_status define_output(pt2 *p, scope *s, const json_t *output, tv v) {
  void *at = json_object_iter((json_t *)output);
  const char *kind = at ? json_object_iter_key(at) : "";
  const json_t *value = at ? json_object_iter_value(at) : NULL;
  if (strcmp(kind, "as_none") == 0 || !at)
    return NEO_OK;
  if (json_is_array(value)) {
    for (size_t i = 0; i < json_array_size(value); i++) {
      const json_t *item = json_array_get(value, i);
      bool known = torch_is_seq(&v) && (int)i < v.seq->n;
      const char *name = text_of(
          json_object_get(item, "as_tensor") ? json_object_get(item, "as_tensor") : item, "name");
      if (*name)
        NEO_TRY(define(p, s, name, known ? v.seq->item[i] : torch_poison()));
    }
    return NEO_OK;
  }
  const char *name = text_of(value, "name");
  return define(p, s, *name ? name : text_of(value, "as_name"), v);
}

static neo_status define_outputs(pt2 *p, scope *s, const json_t *outputs, tv v) {
  size_t n = json_array_size(outputs);
  for (size_t i = 0; i < n; i++) {
    tv each =
        n == 1 && !(torch_is_seq(&v) && v.kind == TV_TUPLE && v.seq->n == 1) ? v : torch_poison();
    if (each.kind == TV_POISON && torch_is_seq(&v) && (int)i < v.seq->n)
      each = v.seq->item[i];
    NEO_TRY(define_output(p, s, json_array_get(outputs, i), each));
  }
  return NEO_OK;
}

/* A graph that an operator takes, run in place of the operator: wrap_with_set_grad_enabled and the
 * like. */
static neo_status run_nested(pt2 *p, scope *s, const json_t *node, const json_t *graph,
                             size_t first) {
  const json_t *inner = json_object_get(graph, "graph"), *given = json_object_get(node, "inputs");
  const json_t *inputs = json_object_get(inner, "inputs");
  scope nested = {.depth = s->depth + 1};
  tv out = torch_poison();
  neo_status status = NEO_OK;
  if (nested.depth > MAX_NESTED)
    return bad(p, "graphs nested too deep", NULL);
  for (size_t i = 0; i < json_array_size(inputs) && status == NEO_OK; i++) {
    const json_t *arg = json_object_get(json_array_get(given, first + i), "arg");
    tv v = arg ? argument(p, s, arg, 0) : torch_poison();
    status = define_output(p, &nested, json_array_get(inputs, i), v);
  }
  if (status == NEO_OK)
    status = run_graph(p, &nested, inner, &out);
  if (status == NEO_OK)
    status = define_outputs(p, s, json_object_get(node, "outputs"), out);
  neo_map_fini(&nested.names);
  return status;
}

static neo_status run_node(pt2 *p, scope *s, const json_t *node) {
  const char *target = text_of(node, "target"), *names[TORCH_MAX_ARGS], *op = plain_op(p, target);
  const json_t *inputs = json_object_get(node, "inputs"),
               *outputs = json_object_get(node, "outputs");
  tv arg[TORCH_MAX_ARGS];
  torch_args args = {.arg = arg, .name = names};
  size_t n = json_array_size(inputs);
  const json_t *first = json_object_get(json_array_get(outputs, 0), "as_tensor");
  p->t.emitter.scope = neo_arena_strdup(p->t.emitter.graph->arena,
                                        *text_of(first, "name") ? text_of(first, "name") : op);
  for (size_t i = 0; i < n; i++) {
    const json_t *graph =
        json_object_get(json_object_get(json_array_get(inputs, i), "arg"), "as_graph");
    if (graph && has_prefix(op, "wrap_with"))
      return run_nested(p, s, node, graph, i + 1);
    if (graph)
      return torch_unsupported(&p->t, op, "operator with graphs"),
             define_outputs(p, s, outputs, torch_poison());
  }
  if (n > TORCH_MAX_ARGS)
    return bad(p, "too many arguments of", target);
  bool python = !has_prefix(target, "torch.ops.") || has_prefix(op, "sym_") ||
                strcmp(op, "item") == 0 || strcmp(op, "_local_scalar_dense") == 0;
  for (size_t i = 0; i < n; i++) {
    const json_t *input = json_array_get(inputs, i);
    arg[i] = argument(p, s, json_object_get(input, "arg"), 0);
    names[i] = text_of(input, "name");
  }
  args.n = python ? (int)n : 0; /* ATen's are all bound by name */
  args.n_named = (int)n - args.n;
  tv out = python ? torch_apply(&p->t, op, &args) : torch_call_op(&p->t, op, &args);
  if (p->t.failed != NEO_OK)
    return p->t.failed;
  return define_outputs(p, s, outputs, out);
}

static neo_status run_graph(pt2 *p, scope *s, const json_t *graph, tv *out) {
  const json_t *nodes = json_object_get(graph, "nodes"),
               *outputs = json_object_get(graph, "outputs");
  for (size_t i = 0; i < json_array_size(nodes); i++)
    NEO_TRY(run_node(p, s, json_array_get(nodes, i)));
  *out = torch_seq_new(&p->t, TV_TUPLE, 0, NULL);
  for (size_t i = 0; i < json_array_size(outputs); i++)
    torch_seq_add(&p->t, out->seq, argument(p, s, json_array_get(outputs, i), 0));
  return p->t.failed;
}

/* ---- the signature --------------------------------------------------------------------------------------------------- */

/* forward()'s own parameter names, if they are as many as the inputs. */
static const char *forward_name(pt2 *p, int k, int n, const char *otherwise) {
  const json_t *graph = json_object_get(p->model, "graph_module");
  const json_t *calls = json_object_get(graph, "module_call_graph");
  const json_t *names =
      json_object_get(json_object_get(json_array_get(calls, 0), "signature"), "forward_arg_names");
  const char *name = json_string_value(json_array_get(names, (size_t)k));
  return (int)json_array_size(names) == n && name && *name ? name : otherwise;
}

static neo_status user_input(pt2 *p, scope *s, const json_t *arg, int n_users) {
  const json_t *tensor = json_object_get(arg, "as_tensor");
  const char *name = text_of(tensor, "name");
  neo_shape shape;
  neo_dtype dtype;
  if (!tensor) /* a constant that the export has baked in */
    return NEO_OK;
  const json_t *meta = json_object_get(p->values, name);
  if (!meta || !dims_of(json_object_get(meta, "sizes"), &shape.rank, shape.dim))
    return bad(p, "no shape of input", name);
  if (!torch_dtype(scalar_type(json_object_get(meta, "dtype")), &dtype)) {
    neo_unsupported_add(&p->t.emitter.unsupported, "input '%s': element type %d", name,
                        (int)json_integer_value(json_object_get(meta, "dtype")));
    dtype = NEO_F32;
  }
  const char *shown = forward_name(p, p->inputs.n, n_users, name);
  return define(p, s, name, torch_input(&p->t, &p->inputs, shown, dtype, &shape));
}

static neo_status one_input(pt2 *p, scope *s, const json_t *spec, int n_users) {
  static const char *const kinds[][3] = {{"parameter", "parameter_name", "weights"},
                                         {"buffer", "buffer_name", "weights"},
                                         {"tensor_constant", "tensor_constant_name", "constants"}};
  const json_t *user = json_object_get(spec, "user_input");
  if (user)
    return user_input(p, s, json_object_get(user, "arg"), n_users);
  for (int k = 0; k < NEO_COUNT(kinds); k++) {
    const json_t *at = json_object_get(spec, kinds[k][0]);
    const char *name = text_of(at, kinds[k][1]), *part = kinds[k][2];
    if (!at)
      continue;
    const json_t *config = *part == 'w' ? p->weights : p->constants;
    tv v;
    if (!json_object_get(config,
                         name)) { /* buffers that are not persistent lie with the constants */
      part = "constants";
      config = p->constants;
    }
    NEO_TRY(weight_of(p, config, part, name, &v));
    return define(p, s, text_of(json_object_get(at, "arg"), "name"), v);
  }
  const json_t *constant = json_object_get(spec, "constant_input");
  if (constant)
    return define(p, s, text_of(constant, "name"),
                  argument(p, s, json_object_get(constant, "value"), 0));
  neo_unsupported_add(&p->t.emitter.unsupported,
                      "an input that is neither tensor, weight nor constant");
  return NEO_OK;
}

static neo_status read_inputs(pt2 *p, scope *s, const json_t *signature) {
  const json_t *specs = json_object_get(signature, "input_specs");
  int users = 0;
  for (size_t i = 0; i < json_array_size(specs); i++)
    users += json_object_get(json_array_get(specs, i), "user_input") != NULL;
  for (size_t i = 0; i < json_array_size(specs); i++)
    NEO_TRY(one_input(p, s, json_array_get(specs, i), users));
  return torch_inputs_end(&p->t, &p->inputs) ? NEO_OK : p->t.failed;
}

/* The user's outputs: the others are changes of buffers. */
static void keep_outputs(pt2 *p, const json_t *signature, const tv *all) {
  const json_t *specs = json_object_get(signature, "output_specs");
  tv kept = torch_seq_new(&p->t, TV_TUPLE, 0, NULL);
  bool mutation = false;
  for (int i = 0; i < all->seq->n; i++) {
    const json_t *spec = json_array_get(specs, (size_t)i);
    if (!spec || json_object_get(spec, "user_output"))
      torch_seq_add(&p->t, kept.seq, all->seq->item[i]);
    else
      mutation = true;
  }
  if (mutation)
    neo_log(p->t.ctx, NEO_LOG_WARN,
            "%s: the model changes its buffers; each run starts from the stored ones",
            p->t.source->path);
  torch_outputs(&p->t, &kept);
}

static neo_status read_program(pt2 *p, scope *s) {
  NEO_TRY(member_json(p, "models/model.json", true, &p->model));
  json_t *weights = NULL, *constants = NULL;
  neo_status status = member_json(p, "data/weights/model_weights_config.json", false, &weights);
  if (status == NEO_OK)
    status = member_json(p, "data/constants/model_constants_config.json", false, &constants);
  p->weights = json_incref(json_object_get(weights, "config"));
  p->constants = json_incref(json_object_get(constants, "config"));
  json_decref(weights);
  json_decref(constants);
  if (status != NEO_OK)
    return status;
  const json_t *module = json_object_get(p->model, "graph_module"),
               *graph = json_object_get(module, "graph");
  const json_t *signature = json_object_get(module, "signature");
  tv out;
  if (!json_is_array(json_object_get(graph, "nodes")) ||
      !json_is_array(json_object_get(signature, "input_specs")))
    return bad(p, "no graph or signature", NULL);
  p->values = json_object_get(graph, "tensor_values");
  NEO_TRY(read_inputs(p, s, signature));
  NEO_TRY(run_graph(p, s, graph, &out));
  keep_outputs(p, signature, &out);
  return p->t.failed;
}

/* ---- entry -------------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, size_t n, const char *end) {
  size_t m = strlen(end);
  return n >= m && memcmp(text + n - m, end, m) == 0;
}

/* A zip whose local headers name models/model.json: found without a directory, since detection
 * cannot fail. */
bool torch_export_detect(const neo_source *source) {
  static const char name[] = "/models/model.json";
  const uint8_t *data = source->file.data;
  return !source->folder && neo_archive_detect(data, source->file.size) &&
         memmem(data, source->file.size, name, sizeof name - 1) != NULL &&
         memmem(data, source->file.size, "archive_format", 14) != NULL;
}

neo_status torch_export_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  pt2 p = {0};
  scope s = {0};
  NEO_TRY(torch_init(&p.t, ctx, source, "torch.export"));
  neo_status status = neo_archive_open(ctx, source, &p.t.archive);
  for (int i = 0; status == NEO_OK && i < neo_archive_count(p.t.archive); i++) {
    const char *name = neo_archive_at(p.t.archive, i)->name;
    size_t n = strlen(name);
    if (ends_with(name, n, "models/model.json"))
      p.folder = neo_arena_strndup(&p.t.arena, name, n - strlen("models/model.json"));
  }
  if (status == NEO_OK && !p.folder)
    status = neo_fail(ctx, NEO_BAD_INPUT, "%s: no models/model.json in the archive", source->path);
  if (status == NEO_OK)
    status = read_program(&p, &s);
  json_decref(p.model);
  json_decref(p.weights);
  json_decref(p.constants);
  neo_map_fini(&s.names);
  neo_buf_fini(&p.inputs.missing);
  return torch_finish(&p.t, status, out);
}
