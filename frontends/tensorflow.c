/* frontends/tensorflow.c: the two entries to TensorFlow models: frozen GraphDef files and
 * SavedModel folders, both into the interpreter of tensorflow_graph.c.
 *
 * A GraphDef names neither inputs nor outputs: inputs are the Placeholders that the outputs need,
 * outputs all nodes that nothing reads. A SavedModel's signature names both; its variables' values
 * are in the tensor bundle under keys that only the restore operation knows, so that is read (not
 * run): AssignVariableOp(handle, RestoreV2:k) says that a handle is the k-th tensor name. */
#include "frontends/tensorflow_import.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/complex.h"
#include "frontends/tensorflow_convert.h"
#include "frontends/wire.h"

#define TENSOR_CONTENT 4

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

static bool op_is(const Tf__Node *pb, const char *op) {
  return strcmp(text_or_empty(pb->op), op) == 0;
}

/* ---- life -------------------------------------------------------------------------------------------- */

/* What constants of the graph point into. */
typedef struct tf_keep {
  neo_mapping file;
  tf_bundle *bundle;
} tf_keep;

static void keep_release(void *self) {
  tf_keep *keep = self;
  neo_file_unmap(&keep->file);
  tf_bundle_close(keep->bundle);
}

static void import_fini(tf_import *im) {
  tf_graph_fini(&im->main);
  for (size_t i = 0; im->graphdef && im->graphdef->library && i < im->graphdef->library->n_function;
       i++) {
    const Tf__Signature *s = im->graphdef->library->function[i]->signature;
    tf_graph *g = s && s->name ? neo_map_get(&im->functions, s->name) : NULL;
    if (g && g->function == im->graphdef->library->function[i])
      tf_graph_fini(g);
  }
  neo_map_fini(&im->functions);
  neo_map_fini(&im->library);
  neo_map_fini(&im->variable_index);
  neo_arena_fini(&im->arena);
}

static neo_status no_memory(neo_ctx *ctx) {
  return neo_fail(ctx, NEO_NO_MEMORY, "tensorflow: out of memory");
}

static neo_status index_library(tf_import *im) {
  const Tf__Library *library = im->graphdef->library;
  for (size_t i = 0; library && i < library->n_function; i++) {
    Tf__FunctionDef *f = library->function[i];
    if (!f->signature || !f->signature->name)
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: a function without a name");
    if (neo_map_get(&im->library, f->signature->name))
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: two functions are named '%s'",
                      f->signature->name);
    if (!neo_map_put(&im->library, f->signature->name, f))
      return no_memory(im->ctx);
  }
  return tf_graph_index(im, &im->main, im->graphdef->n_node, im->graphdef->node, NULL);
}

/* Unpacks the message from the stripped copy; NULL and a status if it is damaged. */
static neo_status unpack(neo_ctx *ctx, const char *path, const neo_mapping *file,
                         const ProtobufCMessageDescriptor *type, ProtobufCMessage **out) {
  neo_buf stripped = {0};
  const neo_wire_file wire = {
      "tensorflow", path, file->data, file->size, type, &tf__tensor__descriptor, TENSOR_CONTENT};
  neo_status status = neo_wire_strip(ctx, &wire, &stripped);
  if (status == NEO_OK) {
    *out = protobuf_c_message_unpack(type, NULL, stripped.size,
                                     (const uint8_t *)(stripped.data ? stripped.data : ""));
    if (!*out)
      status = neo_fail(ctx, NEO_BAD_INPUT, "tensorflow: %s: damaged", path);
  }
  neo_buf_fini(&stripped);
  return status;
}

/* Complex numbers are given out as their parts, in a last dimension. */
static int real_of(tf_import *im, int id) {
  return neo_complex_is(im->e, id) ? neo_complex_pack(im->e, neo_complex_of(im->e, id)) : id;
}

/* ---- results ----------------------------------------------------------------------------------------- */

static neo_status add_output(tf_import *im, const tf_value *value, const char *name) {
  int id = value->id;
  im->e->scope = name;
  if (value->kind == TF_BAD)
    return NEO_OK;
  if (value->kind == TF_VARIABLE) {
    tf_node none = {.pb = &(Tf__Node)TF__NODE__INIT};
    NEO_TRY(tf_variable_read(im, &none, value->id, &id));
  }
  if ((value->kind != TF_TENSOR && value->kind != TF_VARIABLE) || id == NEO_NO_VALUE)
    neo_unsupported_add(&im->e->unsupported, "output '%s' is no tensor of numbers", name);
  else
    neo_graph_add_output(im->e->graph, tf_emit_written(im, real_of(im, id)), name);
  return NEO_OK;
}

/* Inputs in the order of the file, whatever order they were met in. */
static void sort_inputs(tf_import *im, const tf_scope *scope) {
  neo_graph *g = im->e->graph;
  int n = 0;
  int *sorted = neo_arena_alloc(g->arena, sizeof(int) * (size_t)(g->n_inputs + 1));
  for (int i = 0; i < scope->graph->n; i++) {
    const Tf__Node *pb = scope->graph->node[i];
    if ((op_is(pb, "Placeholder") || op_is(pb, "PlaceholderV2")) && scope->n_out[i] > 0 &&
        scope->out[i][0].kind == TF_TENSOR && g->value[scope->out[i][0].id].is_input)
      sorted[n++] = scope->out[i][0].id;
  }
  if (n > 0 && n == g->n_inputs)
    memcpy(g->input, sorted, sizeof(int) * (size_t)n);
}

static neo_status finish(tf_import *im, neo_mapping file, neo_graph **out) {
  tf_keep *keep = neo_arena_alloc(im->e->graph->arena, sizeof *keep);
  NEO_TRY(neo_emitter_end(im->e, out));
  *keep = (tf_keep){file, im->bundle};
  (*out)->keep = keep;
  (*out)->keep_release = keep_release;
  return NEO_OK;
}

/* ---- GraphDef ---------------------------------------------------------------------------------------- */

/* Operators that are no results even if nothing reads them. */
static bool is_result(const Tf__Node *pb) {
  static const char *const not [] = {
      "NoOp",        "Const",      "Placeholder",   "PlaceholderWithDefault",
      "Assert",      "Switch",     "SaveV2",        "RestoreV2",
      "Assign",      "Enter",      "Print",         "AssignVariableOp",
      "VarHandleOp", "VariableV2", "ControlTrigger"};
  for (int i = 0; i < NEO_COUNT(not ); i++)
    if (op_is(pb, not [i]))
      return false;
  return true;
}

/* Marks the nodes that others read, also by control dependencies. */
static neo_status mark_read(tf_import *im, bool *read) {
  for (int i = 0; i < im->main.n; i++) {
    const Tf__Node *pb = im->main.node[i];
    for (size_t k = 0; k < pb->n_input; k++) {
      tf_ref ref;
      NEO_TRY(tf_resolve(im, &im->main, pb->input[k] + (*pb->input[k] == '^'), &ref));
      read[ref.node] = true;
    }
  }
  return NEO_OK;
}

/* Placeholders that the user binds are inputs even if no output needs them. */
static neo_status fetch_bound(tf_import *im, tf_scope *scope) {
  for (int i = 0; i < im->main.n; i++) {
    const Tf__Node *pb = im->main.node[i];
    const char *name = text_or_empty(pb->name);
    tf_value value;
    if (!op_is(pb, "Placeholder"))
      continue;
    const char *input = neo_arena_printf(&im->arena, "%s:0", name);
    for (int k = 0; k < im->source->options.n_bindings; k++)
      if (strcmp(im->source->options.binding[k].name, input) == 0)
        NEO_TRY(tf_fetch(im, scope, 1, &name, &value));
  }
  return NEO_OK;
}

static neo_status graphdef_outputs(tf_import *im, tf_scope *scope) {
  size_t room = (size_t)im->main.n + 1;
  bool *read = neo_arena_alloc(&im->arena, room);
  const char **text = neo_arena_alloc(&im->arena, sizeof *text * room);
  tf_value *value = neo_arena_alloc(&im->arena, sizeof *value * room);
  int n = 0;
  NEO_TRY(mark_read(im, read));
  for (int i = 0; i < im->main.n; i++)
    if (!read[i] && is_result(im->main.node[i]))
      text[n++] = text_or_empty(im->main.node[i]->name);
  if (n == 0)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: %s: no node is a result",
                    im->source->path);
  NEO_TRY(tf_fetch(im, scope, n, text, value));
  for (int i = 0; i < n; i++) {
    tf_ref ref;
    NEO_TRY(tf_resolve(im, &im->main, text[i], &ref));
    for (int k = 0; k < scope->n_out[ref.node]; k++) {
      const tf_value *v = &scope->out[ref.node][k];
      if (v->kind == TF_TENSOR || v->kind == TF_BAD)
        NEO_TRY(add_output(im, v, neo_arena_printf(&im->arena, "%s:%d", text[i], k)));
    }
  }
  if (im->e->graph->n_outputs == 0 && im->e->unsupported.n == 0)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: %s: no node is a result",
                    im->source->path);
  NEO_TRY(fetch_bound(im, scope));
  sort_inputs(im, scope);
  return NEO_OK;
}

static neo_status convert_graphdef(tf_import *im) {
  tf_scope scope;
  im->suffix = true;
  NEO_TRY(index_library(im));
  tf_scope_init(&scope, &im->main, 0);
  neo_status status = graphdef_outputs(im, &scope);
  tf_scope_fini(&scope);
  return status;
}

neo_status tf_graphdef_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  ProtobufCMessage *message = NULL;
  neo_emitter e;
  tf_import im = {.ctx = ctx,
                  .source = source,
                  .e = &e,
                  .generation = 1,
                  .last_generation = 1,
                  .file = source->file};
  NEO_TRY(unpack(ctx, source->path, &source->file, &tf__graph_def__descriptor, &message));
  im.graphdef = (Tf__GraphDef *)message;
  neo_arena_init(&im.arena);
  neo_status status = neo_emitter_init(&e, ctx, source, "tensorflow");
  if (status == NEO_OK) {
    status = convert_graphdef(&im);
    if (status == NEO_OK)
      status = finish(&im, source->file, out);
    if (status != NEO_OK)
      neo_emitter_drop(&e);
  }
  import_fini(&im);
  protobuf_c_message_free_unpacked(message, NULL);
  return status;
}

/* A NodeDef: known fields, and a name and an operator that are names. */
static bool is_node(const uint8_t *at, const uint8_t *end) {
  bool seen[8] = {false};
  while (at < end) {
    uint64_t tag;
    if (!neo_wire_varint(&at, end, &tag) || tag >> 3 < 1 || tag >> 3 > 7 || (tag & 7) != 2)
      return false;
    const uint8_t *next = neo_wire_payload_end(&at, end, 2);
    if (!next)
      return false;
    for (const uint8_t *c = at; tag >> 3 <= 2 && c < next; c++)
      if (*c < ' ' || *c > '~')
        return false;
    seen[tag >> 3] = true;
    at = next;
  }
  return seen[1] && seen[2];
}

/* GraphDef has no magic: its fields with their wire types, and the first node must look like one.
 */
bool tf_graphdef_detect(const neo_source *source) {
  const uint8_t *at = source->file.data, *end = at + source->file.size;
  static const uint8_t wire_of[5] = {9, 2, 2, 0, 2};
  int nodes = 0;
  while (at < end) {
    uint64_t tag;
    if (!neo_wire_varint(&at, end, &tag) || tag >> 3 < 1 || tag >> 3 > 4 ||
        wire_of[tag >> 3] != (tag & 7))
      return nodes > 0 && at == end;
    const uint8_t *next = neo_wire_payload_end(&at, end, (unsigned)(tag & 7));
    if (!next)
      return nodes > 0;
    if (tag >> 3 == 1 && nodes++ == 0 && !is_node(at, next))
      return false;
    at = next;
  }
  return nodes > 0;
}

/* ---- variables of a SavedModel ----------------------------------------------------------------------- */

static const char *variable_key(tf_import *im, const Tf__Node *pb) {
  const Tf__Value *shared = tf_attr(&(tf_node){.pb = pb}, "shared_name");
  if (shared && shared->has_s && shared->s.len > 0 && !memchr(shared->s.data, 0, shared->s.len))
    return neo_arena_strndup(&im->arena, (const char *)shared->s.data, shared->s.len);
  return text_or_empty(pb->name);
}

static neo_status list_variables(tf_import *im) {
  for (int i = 0; i < im->main.n; i++) {
    const Tf__Node *pb = im->main.node[i];
    if (!op_is(pb, "VarHandleOp") && !op_is(pb, "VariableV2") && !op_is(pb, "Variable"))
      continue;
    im->variable = neo_arena_grow(&im->arena, im->variable, &im->cap_variables, im->n_variables + 1,
                                  sizeof *im->variable);
    im->variable[im->n_variables++] =
        (tf_variable){.name = text_or_empty(pb->name), .key = variable_key(im, pb)};
    if (!neo_map_put(&im->variable_index, text_or_empty(pb->name),
                     (void *)(intptr_t)im->n_variables))
      return no_memory(im->ctx);
  }
  return NEO_OK;
}

/* The tensor name that output k of a RestoreV2 node restores; NULL if that is not plain. */
static const char *restored_name(tf_import *im, const tf_graph *g, const Tf__Node *restore, int k) {
  tf_ref ref;
  if (restore->n_input < 2 || tf_resolve(im, g, restore->input[1], &ref) != NEO_OK || ref.node < 0)
    return NULL;
  const Tf__Value *names = tf_attr(&(tf_node){.pb = g->node[ref.node]}, "value");
  const Tf__Tensor *t = names ? names->tensor : NULL;
  if (!t || k < 0 || (size_t)k >= t->n_string_val || t->string_val[k].len == 0 ||
      memchr(t->string_val[k].data, 0, t->string_val[k].len))
    return NULL;
  return neo_arena_strndup(&im->arena, (const char *)t->string_val[k].data, t->string_val[k].len);
}

/* What a value is restored from, followed through Identity; NULL if it is not. */
static const char *restored_by(tf_import *im, const tf_graph *g, const char *text) {
  tf_ref ref;
  for (int steps = 0; steps < 16 && *text != '^'; steps++) {
    if (tf_resolve(im, g, text, &ref) != NEO_OK || ref.node < 0)
      return NULL;
    const Tf__Node *pb = g->node[ref.node];
    if (op_is(pb, "RestoreV2"))
      return restored_name(im, g, pb, ref.output);
    if (!op_is(pb, "Identity") || pb->n_input < 1)
      return NULL;
    text = pb->input[0];
  }
  return NULL;
}

/* Keys of the variables that this graph's assignments restore. A function's handles are arguments,
 * which its call names. */
static neo_status read_assignments(tf_import *im, const tf_graph *g, const Tf__Node *call) {
  for (int i = 0; i < g->n; i++) {
    const Tf__Node *pb = g->node[i];
    tf_ref ref;
    if ((!op_is(pb, "Assign") && !op_is(pb, "AssignVariableOp")) || pb->n_input < 2)
      continue;
    NEO_TRY(tf_resolve(im, g, pb->input[0], &ref));
    if (ref.node < 0 && (!call || (size_t)ref.output >= call->n_input))
      continue;
    if (ref.node < 0)
      NEO_TRY(tf_resolve(im, &im->main, call->input[ref.output], &ref));
    else if (call)
      continue;
    const char *name = text_or_empty(im->main.node[ref.node]->name);
    int place = (int)(intptr_t)neo_map_get(&im->variable_index, name) - 1;
    const char *key = restored_by(im, g, pb->input[1]);
    if (place >= 0 && key)
      im->variable[place].key = key;
  }
  return NEO_OK;
}

static neo_status read_restore(tf_import *im, const Tf__MetaGraph *meta) {
  const char *text = meta->saver ? text_or_empty(meta->saver->restore_op_name) : "";
  const tf_graph *f = NULL;
  NEO_TRY(list_variables(im));
  NEO_TRY(read_assignments(im, &im->main, NULL));
  if (!*text)
    return NEO_OK;
  tf_ref ref;
  NEO_TRY(tf_resolve(im, &im->main, text, &ref));
  const Tf__Node *call = im->main.node[ref.node];
  const Tf__Value *called = tf_attr(&(tf_node){.pb = call}, "f");
  if (called && called->func && called->func->name)
    NEO_TRY(tf_function(im, called->func->name, &f));
  return f ? read_assignments(im, f, call) : NEO_OK;
}

/* ---- signatures -------------------------------------------------------------------------------------- */

static const Tf__MetaGraph *pick_meta_graph(const Tf__SavedModel *model) {
  for (size_t i = 0; i < model->n_meta_graph; i++) {
    const Tf__MetaInfo *info = model->meta_graph[i]->info;
    for (size_t k = 0; info && k < info->n_tags; k++)
      if (strcmp(info->tags[k], "serve") == 0)
        return model->meta_graph[i];
  }
  return model->n_meta_graph ? model->meta_graph[0] : NULL;
}

/* serving_default, else the first that has outputs and is no initialiser. */
static const Tf__SignatureDef *pick_signature(const Tf__MetaGraph *meta) {
  const Tf__SignatureDef *first = NULL;
  for (size_t i = 0; i < meta->n_signature; i++) {
    const Tf__NamedSignature *s = meta->signature[i];
    if (!s->value || s->value->n_outputs == 0)
      continue;
    if (strcmp(text_or_empty(s->key), "serving_default") == 0)
      return s->value;
    if (!first && strncmp(text_or_empty(s->key), "__", 2) != 0)
      first = s->value;
  }
  return first;
}

static int by_key(const void *a, const void *b) {
  const Tf__NamedTensor *const *x = a, *const *y = b;
  return strcmp(text_or_empty((*x)->key), text_or_empty((*y)->key));
}

/* A TensorFlow 1 model is addressed by its tensors' names, a TensorFlow 2 model by the keys. */
static const char *public_name(const Tf__MetaGraph *meta, const Tf__NamedTensor *t) {
  bool v1 = meta->info && strncmp(text_or_empty(meta->info->tensorflow_version), "1.", 2) == 0;
  return text_or_empty(v1 ? t->value->name : t->key);
}

static neo_status add_inputs(tf_import *im, tf_scope *scope, const Tf__MetaGraph *meta,
                             const Tf__SignatureDef *signature) {
  for (size_t i = 0; i < signature->n_inputs; i++) {
    const Tf__NamedTensor *t = signature->inputs[i];
    neo_dtype dtype;
    neo_shape shape;
    tf_ref ref;
    if (!t->value || !t->value->name)
      return neo_fail(im->ctx, NEO_UNSUPPORTED, "tensorflow: input '%s' is no dense tensor",
                      text_or_empty(t->key));
    if (!tf_shape(t->value->shape, &shape))
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: input '%s': damaged shape",
                      text_or_empty(t->key));
    NEO_TRY(tf_resolve(im, &im->main, t->value->name, &ref));
    tf_value value = {.kind = TF_BAD};
    if (!tf_dtype(t->value->dtype, &dtype))
      neo_unsupported_add(&im->e->unsupported, "input '%s' is %s", text_or_empty(t->key),
                          tf_dtype_name(t->value->dtype));
    else
      value = (tf_value){.kind = TF_TENSOR,
                         .id = neo_emit_input(im->e, public_name(meta, t), dtype, &shape)};
    if (ref.output > 65535)
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: '%s' names no output", t->value->name);
    tf_scope_bind(scope, ref.node, ref.output, value);
  }
  return NEO_OK;
}

static neo_status add_outputs(tf_import *im, tf_scope *scope, const Tf__MetaGraph *meta,
                              const Tf__SignatureDef *signature) {
  size_t n = signature->n_outputs;
  const char **text = neo_arena_alloc(&im->arena, sizeof *text * (n + 1));
  tf_value *value = neo_arena_alloc(&im->arena, sizeof *value * (n + 1));
  for (size_t i = 0; i < n; i++) {
    const Tf__NamedTensor *t = signature->outputs[i];
    if (!t->value || !t->value->name)
      return neo_fail(im->ctx, NEO_UNSUPPORTED, "tensorflow: output '%s' is no dense tensor",
                      text_or_empty(t->key));
    text[i] = t->value->name;
  }
  NEO_TRY(tf_fetch(im, scope, (int)n, text, value));
  for (size_t i = 0; i < n; i++)
    NEO_TRY(add_output(im, &value[i], public_name(meta, signature->outputs[i])));
  return NEO_OK;
}

static neo_status convert_signature(tf_import *im, const Tf__MetaGraph *meta,
                                    const Tf__SignatureDef *signature) {
  tf_scope scope;
  if (signature->n_inputs > 1) /* none: no array */
    qsort(signature->inputs, signature->n_inputs, sizeof *signature->inputs, by_key);
  if (signature->n_outputs > 1)
    qsort(signature->outputs, signature->n_outputs, sizeof *signature->outputs, by_key);
  tf_scope_init(&scope, &im->main, 0);
  neo_status status = add_inputs(im, &scope, meta, signature);
  if (status == NEO_OK)
    status = add_outputs(im, &scope, meta, signature);
  tf_scope_fini(&scope);
  return status;
}

static neo_status convert_saved_model(tf_import *im, const Tf__SavedModel *model,
                                      const char *folder) {
  const Tf__MetaGraph *meta = pick_meta_graph(model);
  const Tf__SignatureDef *signature = meta ? pick_signature(meta) : NULL;
  if (!meta || !meta->graph)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: %s: no graph", folder);
  if (!signature)
    return neo_fail(im->ctx, NEO_BAD_INPUT,
                    "tensorflow: %s: no signature says what are inputs and outputs", folder);
  im->graphdef = meta->graph;
  NEO_TRY(index_library(im));
  char *prefix = neo_arena_printf(&im->arena, "%s/variables/variables", folder);
  if (neo_file_exists(neo_arena_printf(&im->arena, "%s.index", prefix)))
    NEO_TRY(tf_bundle_open(im->ctx, prefix, &im->bundle));
  NEO_TRY(read_restore(im, meta));
  return convert_signature(im, meta, signature);
}

/* ---- SavedModel -------------------------------------------------------------------------------------- */

static bool is_model_file(const char *path) {
  const char *slash = strrchr(path, '/');
  return strcmp(slash ? slash + 1 : path, "saved_model.pb") == 0;
}

bool tf_savedmodel_detect(const neo_source *source) {
  neo_buf path = {0};
  if (!source->folder)
    return is_model_file(source->path);
  neo_buf_printf(&path, "%s/saved_model.pb", source->path);
  bool found = path.data && neo_file_exists(path.data);
  neo_buf_fini(&path);
  return found;
}

static neo_status read_saved_model(tf_import *im, const char *folder, neo_mapping *file,
                                   neo_graph **out) {
  ProtobufCMessage *message = NULL;
  NEO_TRY(unpack(im->ctx, im->source->path, file, &tf__saved_model__descriptor, &message));
  neo_status status = neo_emitter_init(im->e, im->ctx, im->source, "tensorflow");
  if (status == NEO_OK) {
    status = convert_saved_model(im, (Tf__SavedModel *)message, folder);
    if (status == NEO_OK)
      status = finish(im, *file, out);
    if (status != NEO_OK)
      neo_emitter_drop(im->e);
  }
  import_fini(im); /* its maps name the message's functions */
  neo_arena_init(&im->arena);
  protobuf_c_message_free_unpacked(message, NULL);
  return status;
}

neo_status tf_savedmodel_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  neo_mapping file = source->file;
  neo_emitter e;
  tf_import im = {.ctx = ctx, .source = source, .e = &e, .generation = 1, .last_generation = 1};
  neo_arena_init(&im.arena);
  char *folder = neo_arena_strdup(&im.arena, source->path), *path = folder;
  neo_arena names;
  neo_arena_init(&names);
  neo_status status = NEO_OK;
  if (source->folder) {
    path = neo_arena_printf(&names, "%s/saved_model.pb", source->path);
    status = neo_file_map(ctx, path, &file);
  } else {
    char *slash = strrchr(folder, '/');
    folder = slash ? neo_arena_strndup(&names, folder, (size_t)(slash - folder)) : ".";
  }
  folder = neo_arena_strdup(&names, folder);
  im.file = file;
  if (status == NEO_OK)
    status = read_saved_model(&im, folder, &file, out);
  if (status != NEO_OK) {
    tf_bundle_close(im.bundle);
    if (source->folder)
      neo_file_unmap(&file);
  }
  neo_arena_fini(&im.arena);
  neo_arena_fini(&names);
  return status;
}
