/* neo inspect MODEL: inputs, outputs, operators, parameters, FLOPs, and all that stands in the way
 * of compiling it.
 *
 * How: the summary is gathered as one JSON document and printed as such or as text. The reader
 * lists what it does not know and goes on with stand-ins; if there is nothing, types are inferred
 * node by node, each that fails named, and what is left is partitioned as compiling would, which
 * gives the FLOPs. Free dimensions that --input does not give are taken as 1. */
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "cli/commands.h"
#include "frontends/frontends.h"

typedef struct summary {
  neo_ctx *ctx;
  const char *path;
  neo_graph *graph;
  json_t *json, *unsupported; /* the latter is a part of the former */
  bool assumed;               /* a free dimension is 1 */
} summary;

static void add_problem(summary *s, const char *text, size_t size) {
  json_t *line = json_stringn(text, size);
  json_array_append_new(s->unsupported, line ? line : json_string("(a name that is not UTF-8)"));
}

static void add_problems(summary *s, const char *text) {
  while (text && *text) {
    size_t length = strcspn(text, "\n");
    if (length > 0)
      add_problem(s, text, length);
    text += length + (text[length] == '\n');
  }
}

static void on_problem(void *self, neo_status status, const char *text) {
  (void)status;
  add_problems(self, text);
}

/* ---- parts ------------------------------------------------------------------------------------------ */

/* {"name", "dtype", "shape": [1, "batch", null], or null}; a free dimension by its name, if any. */
static json_t *tensor_json(const neo_value *v, const char *name) {
  json_t *shape = v->shape.rank < 0 ? json_null() : json_array();
  for (int d = 0; d < v->shape.rank; d++)
    json_array_append_new(shape, v->shape.dim[d] >= 0 ? json_integer(v->shape.dim[d])
                                 : v->dim_name[d]     ? neo_json_name(v->dim_name[d])
                                                      : json_null());
  const char *dtype = v->dtype < NEO_DTYPE_COUNT ? neo_dtype_name(v->dtype) : NULL;
  return json_pack("{s:o, s:s?, s:o}", "name", neo_json_name(name), "dtype", dtype, "shape", shape);
}

static void add_inputs(summary *s) {
  json_t *list = json_array();
  for (int i = 0; i < s->graph->n_inputs; i++) {
    const neo_value *v = &s->graph->value[s->graph->input[i]];
    json_array_append_new(list, tensor_json(v, v->name));
  }
  json_object_set_new(s->json, "inputs", list);
}

static void add_outputs(summary *s) {
  json_t *list = json_array();
  for (int i = 0; i < s->graph->n_outputs; i++)
    json_array_append_new(
        list, tensor_json(&s->graph->value[s->graph->output[i]], s->graph->output_name[i]));
  json_object_set_new(s->json, "outputs", list);
}

static void count_in(json_t *operators, const neo_graph *graph, double *elements, double *bytes) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const neo_node *node = &graph->node[i];
    if (node->dead)
      continue;
    json_int_t before = json_integer_value(json_object_get(operators, node->op->name));
    json_object_set_new(operators, node->op->name, json_integer(before + 1));
    for (int a = 0; a < node->n_attrs; a++)
      if (node->attr[a].kind == NEO_ATTR_GRAPH && node->attr[a].graph)
        count_in(operators, node->attr[a].graph, elements, bytes);
  }
  for (int v = 0; v < graph->n_values; v++) {
    int64_t n = 0;
    if (!graph->value[v].constant || !neo_shape_elements(&graph->value[v].shape, &n))
      continue;
    *elements += (double)n;
    *bytes += (double)graph->value[v].constant->size;
  }
}

static void add_operators(summary *s) {
  json_t *operators = json_object();
  double elements = 0, bytes = 0;
  count_in(operators, s->graph, &elements, &bytes);
  json_object_set_new(s->json, "operators", operators);
  json_object_set_new(s->json, "parameters", json_integer((json_int_t)elements));
  json_object_set_new(s->json, "parameter_bytes", json_integer((json_int_t)bytes));
}

/* ---- types and FLOPs -------------------------------------------------------------------------------- */

static void fill_free(summary *s) {
  for (int i = 0; i < s->graph->n_inputs; i++) {
    neo_shape *shape = &s->graph->value[s->graph->input[i]].shape;
    s->assumed |= shape->rank < 0;
    shape->rank = shape->rank < 0 ? 0 : shape->rank;
    for (int d = 0; d < shape->rank; d++)
      if (shape->dim[d] < 0) {
        shape->dim[d] = 1;
        s->assumed = true;
      }
  }
}

/* Inputs' bindings are the user's: a wrong one is an error of its own. Dimensions that have the
 * name of a given one follow it, so what is free is known after binding only. */
static neo_status infer(summary *s, const cli_inputs *inputs) {
  neo_ctx quiet;
  neo_ctx_fork(&quiet, s->ctx);
  neo_pass_bind(&quiet, s->graph, inputs->n_bindings, inputs->binding);
  fill_free(s);
  NEO_TRY(neo_pass_bind(s->ctx, s->graph, inputs->n_bindings, inputs->binding));
  return neo_pass_infer_all(s->ctx, s->graph, on_problem, s);
}

static neo_status partition(summary *s, double *flops) {
  neo_arena arena;
  neo_partition parts = {0};
  neo_arena_init(&arena);
  neo_status status = neo_graph_optimise(s->ctx, s->graph);
  if (status == NEO_OK)
    status = neo_graph_flatten(s->ctx, s->graph);
  if (status == NEO_OK)
    status = neo_graph_partition(s->ctx, s->graph, &arena, &parts);
  for (int g = 0; status == NEO_OK && g < parts.n_groups; g++)
    if (parts.group[g].kind == NEO_STEP_TE)
      *flops += neo_te_flops(&parts.group[g].te);
  neo_arena_fini(&arena);
  return status;
}

static void add_flops(summary *s) {
  double flops = 0;
  if (json_array_size(s->unsupported) > 0)
    return;
  if (partition(s, &flops) == NEO_OK)
    json_object_set_new(s->json, "flops", json_real(flops));
  else
    add_problems(s, s->ctx->message);
  neo_ctx_clear(s->ctx);
}

/* ---- printing --------------------------------------------------------------------------------------- */

static void print_tensors(const json_t *list, const char *what) {
  size_t i, d;
  json_t *tensor, *dim;
  json_array_foreach(list, i, tensor) {
    const json_t *shape = json_object_get(tensor, "shape");
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    printf("%s %s %s ", what, json_string_value(json_object_get(tensor, "name")),
           dtype ? dtype : "?");
    printf("%s", json_is_array(shape) ? "[" : "?");
    json_array_foreach(shape, d, dim) {
      if (json_is_integer(dim))
        printf("%s%lld", d ? "," : "", (long long)json_integer_value(dim));
      else
        printf("%s?%s", d ? "," : "", json_is_string(dim) ? json_string_value(dim) : "");
    }
    printf("%s\n", json_is_array(shape) ? "]" : "");
  }
}

static void print_text(const summary *s) {
  size_t i;
  json_t *count, *line;
  const char *name;
  const json_t *flops = json_object_get(s->json, "flops");
  printf("format: %s\n", json_string_value(json_object_get(s->json, "format")));
  print_tensors(json_object_get(s->json, "inputs"), "input");
  print_tensors(json_object_get(s->json, "outputs"), "output");
  printf("operators:");
  json_object_foreach(json_object_get(s->json, "operators"), name, count)
      printf(" %s x%lld", name, (long long)json_integer_value(count));
  printf("\nparameters: %lld, %.3f MB in constants\n",
         (long long)json_integer_value(json_object_get(s->json, "parameters")),
         json_number_value(json_object_get(s->json, "parameter_bytes")) / 1e6);
  const char *with = s->assumed ? ", free dimensions as 1 (--input gives them)" : "";
  if (flops)
    printf("work: %.6f GFLOP%s\n", json_number_value(flops) / 1e9, with);
  if (json_array_size(s->unsupported))
    printf("unsupported: %zu\n", json_array_size(s->unsupported));
  json_array_foreach(s->unsupported, i, line) printf("  %s\n", json_string_value(line));
}

static void print_summary(const summary *s, bool as_json) {
  neo_buf out = {0};
  if (as_json) {
    neo_json_print(&out, s->json, true);
    printf("%s", out.data ? out.data : "");
  } else {
    print_text(s);
  }
  neo_buf_fini(&out);
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static neo_status describe(summary *s, const cli_inputs *inputs) {
  add_inputs(s);
  add_operators(s);
  if (json_array_size(s->unsupported) == 0)
    NEO_TRY(infer(s, inputs));
  add_outputs(s);
  add_flops(s);
  json_object_set_new(s->json, "free_dimensions_as_1", json_boolean(s->assumed));
  return NEO_OK;
}

/* A graph with stand-ins may be none at all: then the list is what there is. */
static neo_status import(summary *s, const cli_args *args, const cli_inputs *inputs) {
  neo_buf unsupported = {0};
  neo_import_options options = {
      .n_bindings = inputs->n_bindings, .binding = inputs->binding, .unsupported = &unsupported};
  NEO_TRY(
      cli_int(s->ctx, args, "--max-model-bytes", 1 << 20, INT64_MAX / 2, &options.max_model_bytes));
  neo_status status = neo_import(s->ctx, s->path, &options, &s->graph);
  if (status == NEO_UNSUPPORTED)
    add_problems(s, s->ctx->message);
  if (unsupported.size > 0)
    add_problems(s, unsupported.data);
  if (json_array_size(s->unsupported) > 0) {
    status = NEO_OK;
    neo_ctx_clear(s->ctx);
  }
  neo_buf_fini(&unsupported);
  return status;
}

neo_status cli_inspect_model(neo_ctx *ctx, const cli_args *args, neo_arena *arena) {
  cli_inputs *inputs = neo_arena_alloc(arena, sizeof *inputs);
  summary s = {.ctx = ctx, .path = args->argument[0], .json = json_object()};
  NEO_TRY(cli_read_inputs(ctx, args, arena, inputs));
  cli_largest_inputs(inputs);
  s.unsupported = json_array();
  json_object_set_new(s.json, "unsupported", s.unsupported);
  const char *format = neo_import_format(ctx, s.path);
  neo_ctx_clear(ctx);
  json_object_set_new(s.json, "format", json_string(format ? format : "?"));
  json_object_set_new(s.json, "model", neo_json_name(s.path));
  neo_status status = import(&s, args, inputs);
  if (status == NEO_OK && s.graph)
    status = describe(&s, inputs);
  size_t n = json_array_size(s.unsupported);
  if (status == NEO_OK) {
    print_summary(&s, cli_has(args, "--json"));
    if (n > 0)
      status = neo_fail(ctx, NEO_UNSUPPORTED, "%s: %zu unsupported, listed above", s.path, n);
  }
  neo_graph_destroy(s.graph);
  json_decref(s.json);
  return status;
}
