/* frontends/mxnet.c: MXNet symbols and Gluon's exports -> graph.
 *
 * A model is NAME-symbol.json and, beside it, NAME-EPOCH.params. The JSON has nodes in an order
 * that can be executed; "null" nodes are variables: those that the parameter file names are
 * constants, the labels of loss layers are dropped with the loss, the others are the model's
 * inputs. Attributes are in "attrs" (1.x), "attr" (0.9 to 0.12) or "param" (before).
 *
 * Names of outputs: of a symbol as MXNet says them (NAME_output, NAME_output1), of what Gluon
 * exported outK; Gluon's variables are known by their __dtype__ and __lr_mult__ attributes.
 *
 * MXNet's symbols do not say the inputs' shapes: what depends on them needs --input. */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <string.h>

#define MAX_NODES 1000000
#define MAX_DEPTH 16

static bool contains(const uint8_t *data, size_t size, const char *text) {
  size_t n = strlen(text);
  for (const uint8_t *at = data; size >= n;) {
    const uint8_t *hit = memchr(at, text[0], size - n + 1);
    if (!hit)
      return false;
    if (memcmp(hit, text, n) == 0)
      return true;
    size -= (size_t)(hit + 1 - at);
    at = hit + 1;
  }
  return false;
}

bool mxnet_detect(const neo_source *source) {
  const uint8_t *data = source->file.data;
  size_t size = source->file.size, at = 0;
  while (at < size && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t'))
    at++;
  return !source->folder && at < size && data[at] == '{' && contains(data, size, "\"arg_nodes\"") &&
         contains(data, size, "\"heads\"") && contains(data, size, "\"nodes\"");
}

static neo_status broken(mx_import *im, const char *format, ...) NEO_PRINTF(2, 3);
static neo_status broken(mx_import *im, const char *format, ...) {
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return neo_fail(im->e.ctx, NEO_BAD_INPUT, "mxnet: %s: %s", im->e.source->path, text);
}

/* ---- nodes ----------------------------------------------------------------------------------------- */

/* Outputs by operator: most have one. */
static int count_outputs(mx_node *node) {
  if (strcmp(node->op, "SliceChannel") == 0 || strcmp(node->op, "split") == 0)
    return (int)neo_min_i64(mx_int(node, "num_outputs", 1), 100000);
  if (strcmp(node->op, "_split_v2") == 0) {
    int64_t cuts[256];
    int n = mx_ints(node, "indices", cuts, 256);
    int64_t sections = mx_int(node, "sections", 0);
    return sections > 0 ? (int)neo_min_i64(sections, 100000) : n < 0 ? 1 : n;
  }
  if (strcmp(node->op, "RNN") == 0)
    return !mx_bool(node, "state_outputs", false) ? 1 : mx_is(node, "mode", "lstm", false) ? 3 : 2;
  if (strcmp(node->op, "moments") == 0)
    return 2;
  if (strcmp(node->op, "_foreach") == 0 || strcmp(node->op, "_while_loop") == 0 ||
      strcmp(node->op, "_cond") == 0)
    return (int)neo_min_i64(mx_int(node, "num_outputs", 1), 100000);
  if (strcmp(node->op, "topk") == 0)
    return mx_is(node, "ret_typ", "both", false) ? 2 : 1;
  if (strncmp(node->op, "BatchNorm", 9) == 0 || strcmp(node->op, "LayerNorm") == 0 ||
      strcmp(node->op, "GroupNorm") == 0)
    return 3;
  return 1;
}

static int placeholder(mx_import *im, const char *name) {
  return neo_graph_add_value(im->e.graph, name, NEO_DTYPE_COUNT, NULL);
}

static neo_status read_inputs(mx_import *im, mx_node *node, const json_t *json, int index) {
  const json_t *list = json_object_get(json, "inputs");
  node->n_inputs = (int)json_array_size(list);
  node->input = neo_arena_alloc(im->e.graph->arena, sizeof(int) * ((size_t)node->n_inputs + 1));
  for (int k = 0; k < node->n_inputs; k++) {
    const json_t *entry = json_array_get(list, (size_t)k);
    json_int_t from = json_integer_value(json_array_get(entry, 0)),
               output = json_integer_value(json_array_get(entry, 1));
    if (!json_is_integer(json_array_get(entry, 0)) || from < 0 || from >= index)
      return broken(im, "node '%s' reads node %lld, which does not come before it", node->name,
                    (long long)from);
    mx_node *source = &im->node[from];
    if (output < 0 || output >= source->n_outputs)
      return broken(im, "node '%s' reads output %lld of '%s', which has %d", node->name,
                    (long long)output, source->name, source->n_outputs);
    node->input[k] = source->output[output];
    node->poisoned |= source->poisoned;
  }
  return NEO_OK;
}

static neo_status read_node(mx_import *im, const json_t *json, int index) {
  static const char *const keys[] = {"attrs", "attr", "param"};
  mx_node *node = &im->node[index];
  const char *op = json_string_value(json_object_get(json, "op")),
             *name = json_string_value(json_object_get(json, "name"));
  node->im = im;
  if (!op || !name)
    return broken(im, "node %d has no operator or no name", index);
  node->op = neo_arena_strdup(im->e.graph->arena, op);
  node->name = neo_arena_strdup(im->e.graph->arena, name);
  for (int k = 0; k < NEO_COUNT(keys) && !node->attrs; k++)
    if (json_object_size(json_object_get(json, keys[k])) > 0)
      node->attrs = json_object_get(json, keys[k]);
  node->subgraphs = json_object_get(json, "subgraphs");
  node->n_outputs = count_outputs(node);
  if (im->status != NEO_OK)
    return im->status;
  if (node->n_outputs < 1)
    return broken(im, "node '%s' has %d outputs", name, node->n_outputs);
  node->output = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (size_t)node->n_outputs);
  for (int k = 0; k < node->n_outputs; k++)
    node->output[k] = NEO_NO_VALUE;
  return read_inputs(im, node, json, index);
}

/* ---- variables --------------------------------------------------------------------------------------- */

/* Operators whose second input is a label. */
static bool is_loss(const char *op) {
  static const char *const losses[] = {"SoftmaxOutput",          "Softmax",
                                       "LinearRegressionOutput", "LogisticRegressionOutput",
                                       "MAERegressionOutput",    "SVMOutput"};
  for (int i = 0; i < NEO_COUNT(losses); i++)
    if (strcmp(op, losses[i]) == 0)
      return true;
  return false;
}

/* Marks variables: 1 read as a label only, 2 read otherwise. */
static void find_labels(mx_import *im, const json_t *nodes) {
  size_t i;
  json_t *node;
  im->use = neo_arena_alloc(im->e.graph->arena, (size_t)im->n);
  json_array_foreach(nodes, i, node) {
    const char *op = json_string_value(json_object_get(node, "op"));
    const json_t *inputs = json_object_get(node, "inputs");
    for (size_t k = 0; k < json_array_size(inputs); k++) {
      json_int_t from = json_integer_value(json_array_get(json_array_get(inputs, k), 0));
      if (from >= 0 && from < im->n)
        im->use[from] |= op && k == 1 && is_loss(op) ? 1 : 2;
    }
  }
}

/* "__shape__" with zeros for what is not known. */
static void declared_shape(mx_node *node, neo_shape *out) {
  out->rank = mx_ints(node, "__shape__", out->dim, NEO_MAX_RANK);
  for (int d = 0; d < out->rank; d++)
    if (out->dim[d] <= 0)
      out->dim[d] = -1;
}

static void convert_variable(mx_import *im, mx_node *node, int index) {
  neo_shape shape = {0};
  neo_tensor *tensor = neo_map_get(&im->params.tensors, node->name);
  if (im->bound && im->bound[index] != NEO_NO_VALUE) {
    node->output[0] = im->bound[index];
  } else if (tensor) {
    node->output[0] = neo_emit_tensor(&im->e, node->name, tensor);
  } else if (im->use[index] == 1) {
    node->output[0] = placeholder(im, node->name);
  } else {
    neo_dtype dtype = mx_dtype(node, "__dtype__", NEO_F32);
    declared_shape(node, &shape);
    node->output[0] =
        neo_emit_input(&im->e, node->name, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, &shape);
  }
}

static void convert_node(mx_import *im, mx_node *node, int index) {
  im->e.scope = node->name;
  if (strcmp(node->op, "null") == 0) {
    convert_variable(im, node, index);
    return;
  }
  node->row = mx_row_find(node->op);
  if (!node->row)
    mx_unsupported(node, "operator not implemented");
  else if (!node->poisoned)
    node->row->convert(node);
  for (int k = 0; k < node->n_outputs; k++)
    if (node->output[k] == NEO_NO_VALUE) {
      node->output[k] = placeholder(im, node->name);
      node->poisoned |= k == 0;
    }
}

/* ---- bodies of control flow ------------------------------------------------------------------------------- */

/* Argument k of the body is its variable number arg_nodes[k]. */
static bool bind_arguments(mx_import *im, const json_t *json, int n, const int *args) {
  const json_t *list = json_object_get(json, "arg_nodes");
  if ((int)json_array_size(list) != n) {
    im->status = broken(im, "a body of %zu arguments is given %d", json_array_size(list), n);
    return false;
  }
  for (int k = 0; k < n; k++) {
    json_int_t at = json_integer_value(json_array_get(list, (size_t)k));
    if (at < 0 || at >= im->n) {
      im->status = broken(im, "argument %d of a body is node %lld", k, (long long)at);
      return false;
    }
    im->bound[at] = args[k];
  }
  return true;
}

static bool body_outputs(mx_import *im, const json_t *json, int n, int *out, bool *poisoned) {
  const json_t *heads = json_object_get(json, "heads");
  if ((int)json_array_size(heads) != n) {
    im->status = broken(im, "a body has %zu outputs, %d are wanted", json_array_size(heads), n);
    return false;
  }
  for (int k = 0; k < n; k++) {
    const json_t *head = json_array_get(heads, (size_t)k);
    json_int_t id = json_integer_value(json_array_get(head, 0)),
               output = json_integer_value(json_array_get(head, 1));
    if (id < 0 || id >= im->n || output < 0 || output >= im->node[id].n_outputs) {
      im->status = broken(im, "output %d of a body does not exist", k);
      return false;
    }
    out[k] = im->node[id].output[output];
    *poisoned |= im->node[id].poisoned;
  }
  return true;
}

static bool convert_body(mx_import *im, const json_t *json, int n, const int *args) {
  const json_t *nodes = json_object_get(json, "nodes");
  im->expanded += (int64_t)json_array_size(nodes) + 4 * n; /* a step moves its arguments, too */
  if (im->depth > MAX_DEPTH || im->expanded > MAX_NODES || json_array_size(nodes) == 0) {
    im->status =
        broken(im, "bodies of control flow come to more than %d nodes, or to none", MAX_NODES);
    return false;
  }
  im->n = (int)json_array_size(nodes);
  im->node = neo_arena_alloc(im->e.graph->arena, sizeof *im->node * (size_t)im->n);
  im->bound = neo_arena_alloc(im->e.graph->arena, sizeof *im->bound * (size_t)im->n);
  for (int i = 0; i < im->n; i++)
    im->bound[i] = NEO_NO_VALUE;
  find_labels(im, nodes);
  bool ok = bind_arguments(im, json, n, args);
  for (int i = 0; ok && i < im->n && im->status == NEO_OK; i++) {
    im->status = read_node(im, json_array_get(nodes, (size_t)i), i);
    if (im->status == NEO_OK)
      convert_node(im, &im->node[i], i);
  }
  return ok && im->status == NEO_OK;
}

bool mx_subgraph(mx_node *node, int which, int n, const int *args, int n_out, int *out) {
  mx_import *im = node->im;
  const json_t *json = json_array_get(node->subgraphs, (size_t)which);
  mx_import outer = *im;
  const char *scope = im->e.scope;
  bool poisoned = false;
  if (!json) {
    mx_unsupported(node, "body %d is absent", which);
    return false;
  }
  im->depth++;
  bool ok = convert_body(im, json, n, args) && body_outputs(im, json, n_out, out, &poisoned);
  im->depth = outer.depth;
  im->n = outer.n;
  im->node = outer.node;
  im->use = outer.use;
  im->bound = outer.bound;
  im->e.scope = scope;
  return ok && !poisoned;
}

/* ---- outputs -------------------------------------------------------------------------------------------- */

static bool is_gluon(const json_t *nodes) {
  size_t i;
  json_t *node;
  json_array_foreach(nodes, i, node) {
    const json_t *attrs = json_object_get(node, "attrs");
    attrs = attrs ? attrs : json_object_get(node, "attr");
    if (json_object_get(attrs, "__dtype__") && json_object_get(attrs, "__lr_mult__"))
      return true;
  }
  return false;
}

static const char *output_name(neo_arena *arena, const mx_node *node, int output) {
  static const char *const states[] = {"output", "state_output", "statecell_output"};
  if (strcmp(node->op, "RNN") == 0 && output < NEO_COUNT(states))
    return neo_arena_printf(arena, "%s_%s", node->name, states[output]);
  if (strcmp(node->op, "make_loss") == 0)
    return neo_arena_printf(arena, "%s_loss", node->name);
  bool norm = strncmp(node->op, "BatchNorm", 9) == 0 || strcmp(node->op, "LayerNorm") == 0 ||
              strcmp(node->op, "GroupNorm") == 0;
  bool two = strcmp(node->op, "sort") == 0 || strcmp(node->op, "_contrib_box_nms") == 0 ||
             (strcmp(node->op, "topk") == 0 && mx_is(node, "ret_typ", "value", false));
  return two || (node->n_outputs > 1 && !norm)
             ? neo_arena_printf(arena, "%s_output%d", node->name, output)
             : neo_arena_printf(arena, "%s_output", node->name);
}

static neo_status add_outputs(mx_import *im, const json_t *root, bool gluon) {
  const json_t *heads = json_object_get(root, "heads");
  neo_arena *arena = im->e.graph->arena;
  for (size_t i = 0; i < json_array_size(heads); i++) {
    const json_t *head = json_array_get(heads, i);
    json_int_t id = json_integer_value(json_array_get(head, 0)),
               output = json_integer_value(json_array_get(head, 1));
    if (id < 0 || id >= im->n || output < 0 || output >= im->node[id].n_outputs)
      return broken(im, "output %zu is output %lld of node %lld, which does not exist", i,
                    (long long)output, (long long)id);
    const mx_node *node = &im->node[id];
    const char *name = gluon                           ? neo_arena_printf(arena, "out%zu", i)
                       : strcmp(node->op, "null") == 0 ? node->name
                                                       : output_name(arena, node, (int)output);
    neo_graph_add_output(im->e.graph, node->output[output], name);
  }
  if (im->e.graph->n_outputs == 0)
    return broken(im, "the symbol has no outputs");
  return NEO_OK;
}

/* ---- the model --------------------------------------------------------------------------------------------- */

static neo_status read_symbol(mx_import *im, const json_t *root) {
  const json_t *nodes = json_object_get(root, "nodes");
  if (!json_is_array(nodes) || json_array_size(nodes) == 0)
    return broken(im, "no nodes");
  if (json_array_size(nodes) > MAX_NODES)
    return broken(im, "%zu nodes", json_array_size(nodes));
  im->n = (int)json_array_size(nodes);
  im->node = neo_arena_alloc(im->e.graph->arena, sizeof *im->node * (size_t)im->n);
  find_labels(im, nodes);
  for (int i = 0; i < im->n && im->status == NEO_OK; i++) {
    NEO_TRY(read_node(im, json_array_get(nodes, (size_t)i), i));
    convert_node(im, &im->node[i], i);
  }
  NEO_TRY(im->status);
  return add_outputs(im, root, is_gluon(nodes));
}

typedef struct kept {
  neo_mapping symbol, params;
} kept;

static void release(void *keep) {
  neo_file_unmap(&((kept *)keep)->symbol);
  neo_file_unmap(&((kept *)keep)->params);
}

static neo_status read_files(mx_import *im, neo_ctx *ctx, const neo_source *source) {
  char path[4096 + 300];
  json_t *root = NULL;
  if (mx_params_find(ctx, source->path, path, sizeof path))
    NEO_TRY(mx_params_read(ctx, path, im->e.graph->arena, &im->params));
  else
    neo_log(ctx, NEO_LOG_WARN, "mxnet: no parameter file beside '%s': all variables are inputs",
            source->path);
  NEO_TRY(
      neo_json_parse(ctx, source->path, (const char *)source->file.data, source->file.size, &root));
  neo_status status = read_symbol(im, root);
  json_decref(root);
  return status;
}

neo_status mxnet_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  mx_import im = {.status = NEO_OK};
  NEO_TRY(neo_emitter_init(&im.e, ctx, source, "mxnet"));
  kept *keep = neo_arena_alloc(im.e.graph->arena, sizeof *keep);
  neo_graph *graph = im.e.graph;
  neo_status status = read_files(&im, ctx, source);
  neo_map_fini(&im.params.tensors);
  if (status == NEO_OK)
    status = neo_emitter_end(&im.e, out);
  if (status != NEO_OK) {
    neo_emitter_drop(&im.e);
    neo_file_unmap(&im.params.file);
    return status;
  }
  *keep = (kept){source->file, im.params.file};
  graph->keep = keep;
  graph->keep_release = release;
  return NEO_OK;
}
