/* frontends/keras.c: Keras models: .h5 (Keras 1 to 3) and .keras (Keras 3).
 *
 * .h5: root attributes model_config (JSON {class_name, config}) and keras_version; weights below
 * model_weights. .keras: a zip with config.json (the same object), metadata.json {keras_version}
 * and model.weights.h5. There is no graph beside the configuration: every layer class is
 * implemented here.
 *
 * Inputs are named like the input layers, outputs output_0, output_1, ...; the one input and output
 * of a Sequential model without an InputLayer are `input` and `output`. */
#include "frontends/keras.h"

#include "frontends/archive.h"

#include <string.h>

#define MAX_CONFIG (256 << 20)

static const uint8_t h5_magic[8] = {0x89, 'H', 'D', 'F', 0x0d, 0x0a, 0x1a, 0x0a};

bool keras_h5_detect(const neo_source *source) {
  return !source->folder && source->file.size >= sizeof h5_magic &&
         memcmp(source->file.data, h5_magic, sizeof h5_magic) == 0;
}

/* Members of a zip are named in its directory, at the end. */
static bool contains(const neo_mapping *file, const char *text) {
  size_t length = strlen(text), window = 1 << 20;
  size_t from = file->size > window ? file->size - window : 0;
  return file->size >= length && memmem(file->data + from, file->size - from, text, length) != NULL;
}

bool keras_v3_detect(const neo_source *source) {
  return !source->folder && neo_archive_detect(source->file.data, source->file.size) &&
         contains(&source->file, "config.json") && contains(&source->file, "model.weights.h5");
}

/* ---- the model ------------------------------------------------------------------------------------------ */

static const char *session_name(const keras_import *im, const char *name) {
  const neo_import_options *options = &im->e->source->options;
  const char *out = name;
  for (int i = 0; i < options->n_bindings; i++) {
    if (strcmp(options->binding[i].name, name) == 0)
      return name;
    if (strncmp(options->binding[i].name, "keras_tensor", 12) == 0)
      out = options->binding[i].name;
  }
  return out;
}

static bool add_inputs(keras_import *im, keras_call *c) {
  keras_input *in = neo_arena_alloc(im->arena, sizeof *in * KERAS_MAX_INPUTS);
  int n = keras_model_inputs(im, c->class_name, c->config, in, KERAS_MAX_INPUTS);
  if (n < 1)
    keras_bad(c, "its inputs have no shape");
  for (int i = 0; i < n; i++) {
    neo_dtype dtype;
    if (!neo_dtype_find(in[i].dtype, &dtype)) {
      neo_emit_unsupported(im->e, "InputLayer", "input '%s' of type %.64s", in[i].name,
                           in[i].dtype);
      dtype = NEO_F32;
    }
    const char *name = n == 1 ? session_name(im, in[i].name) : in[i].name;
    int value = neo_emit_input(im->e, neo_arena_strdup(im->arena, name), dtype, &in[i].shape);
    const neo_shape *bound = &im->e->graph->value[value].shape;
    if (bound->rank != in[i].shape.rank)
      keras_bad(c, "input '%s' has rank %d, %d given", in[i].name, in[i].shape.rank, bound->rank);
    c->input[c->n_inputs++] = (keras_tensor){
        .value = value, .rank = in[i].shape.rank, .dtype = im->e->graph->value[value].dtype};
  }
  return im->status == NEO_OK;
}

static bool names_its_input(const keras_call *c) {
  const json_t *layers = json_object_get(c->config, "layers");
  const json_t *first = json_array_get(json_is_array(c->config) ? c->config : layers, 0);
  const char *name = json_string_value(json_object_get(first, "class_name"));
  return strcmp(c->class_name, "Sequential") != 0 || (name && strcmp(name, "InputLayer") == 0);
}

static neo_status convert(keras_import *im, const json_t *model) {
  const char *class_name = json_string_value(json_object_get(model, "class_name"));
  const json_t *config = json_object_get(model, "config");
  keras_call c = {.im = im, .class_name = class_name, .config = config, .group = ""};
  const char *name = json_string_value(json_object_get(config, "name"));
  c.name = name ? name : "model";
  if (!class_name || !config)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "keras: %s: its configuration has no class_name",
                    im->e->source->path);
  if (!keras_is_model(class_name))
    return neo_fail(im->ctx, NEO_UNSUPPORTED,
                    "keras: %s: '%.64s' is a class of its own; Functional and Sequential models "
                    "say what they do",
                    im->e->source->path, class_name);
  im->e->scope = "";
  if (!add_inputs(im, &c))
    return im->status;
  keras_convert_model(&c);
  bool named = names_its_input(&c);
  for (int i = 0; i < c.n_outputs; i++)
    neo_graph_add_output(im->e->graph, c.output[i].value,
                         named ? neo_arena_printf(im->arena, "output_%d", i) : "output");
  return im->status;
}

static void keep_release(void *keep) {
  neo_file_unmap(keep);
}

static void keep_idle(void *keep) {
  neo_file_idle(keep);
}

/* text: the configuration; version: "2.15.0" or NULL. */
static neo_status build(neo_ctx *ctx, const neo_source *source, keras_h5 *file, const neo_buf *text,
                        const char *version, neo_graph **out) {
  neo_emitter e = {0};
  json_t *model = NULL;
  NEO_TRY(neo_json_parse(ctx, "keras: model_config", text->data, text->size, &model));
  neo_status status = neo_emitter_init(&e, ctx, source, "keras");
  if (status == NEO_OK) {
    keras_import im = {.ctx = ctx,
                       .e = &e,
                       .arena = e.graph->arena,
                       .file = file,
                       .v3 = !keras_h5_detect(source),
                       .bytes_left = source->options.max_model_bytes};
    im.version = version && *version >= '1' && *version <= '9' ? *version - '0' : 2;
    status = convert(&im, model);
    e.scope = "";
    neo_map_fini(&im.tensors);
    neo_map_fini(&im.constants);
  }
  if (status == NEO_OK)
    status = neo_emitter_end(&e, out);
  if (status == NEO_OK && keras_h5_has_lent(file)) {
    (*out)->keep = neo_arena_copy((*out)->arena, &source->file, sizeof source->file);
    (*out)->keep_release = keep_release;
    (*out)->keep_idle = keep_idle;
  }
  if (status != NEO_OK && e.graph)
    neo_emitter_drop(&e);
  json_decref(model);
  return status;
}

/* The graph keeps the mapping only where weights lie in it. */
static void release(neo_status status, const neo_source *source, neo_graph *const *graph) {
  neo_mapping file = source->file;
  if (status == NEO_OK && !(*graph)->keep)
    neo_file_unmap(&file);
}

/* ---- the two forms ----------------------------------------------------------------------------------------- */

neo_status keras_h5_model(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  keras_h5 *file = NULL;
  neo_arena arena;
  NEO_TRY(keras_h5_open(ctx, source->path, source->file.data, source->file.size, &file));
  keras_h5_may_borrow(file);
  neo_arena_init(&arena);
  size_t limit = source->file.size < MAX_CONFIG ? source->file.size : MAX_CONFIG;
  char *config = keras_h5_text(file, &arena, "", "model_config", limit);
  const char *version = keras_h5_text(file, &arena, "", "keras_version", 64);
  if (!version)
    version = keras_h5_text(file, &arena, "model_weights", "keras_version", 64);
  neo_status status;
  if (config) {
    neo_buf text = {.data = config, .size = strlen(config)};
    status = build(ctx, source, file, &text, version, out);
  } else {
    status = neo_fail(ctx, NEO_UNSUPPORTED,
                      "keras: %s: no attribute model_config: weights without a model "
                      "(save_weights); save the model",
                      source->path);
  }
  neo_arena_fini(&arena);
  keras_h5_close(file);
  release(status, source, out);
  return status;
}

static neo_status read_member(neo_ctx *ctx, const neo_source *source, neo_archive *archive,
                              const char *name, uint64_t limit, neo_buf *out) {
  const neo_archive_member *member = neo_archive_find(archive, name);
  const uint8_t *data;
  if (!member)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: %s: no %s in the archive", source->path, name);
  NEO_TRY(neo_archive_read(ctx, archive, member, limit, &data));
  *out = (neo_buf){.data = (char *)(uintptr_t)data, .size = (size_t)member->size};
  return NEO_OK;
}

static neo_status open_archive(neo_ctx *ctx, const neo_source *source, neo_archive *archive,
                               neo_graph **out) {
  neo_buf config, weights, metadata;
  keras_h5 *file = NULL;
  json_t *meta = NULL;
  const char *version = "3";
  NEO_TRY(read_member(ctx, source, archive, "config.json", MAX_CONFIG, &config));
  NEO_TRY(read_member(ctx, source, archive, "model.weights.h5", 0, &weights));
  if (neo_archive_find(archive, "metadata.json")) {
    NEO_TRY(read_member(ctx, source, archive, "metadata.json", 1 << 20, &metadata));
    NEO_TRY(neo_json_parse(ctx, "keras: metadata.json", metadata.data, metadata.size, &meta));
    const char *text = json_string_value(json_object_get(meta, "keras_version"));
    version = text ? text : version;
  }
  neo_status status =
      keras_h5_open(ctx, source->path, (const uint8_t *)weights.data, weights.size, &file);
  if (status == NEO_OK && neo_archive_find(archive, "model.weights.h5")->stored)
    keras_h5_may_borrow(file); /* else it is the archive's memory */
  if (status == NEO_OK)
    status = build(ctx, source, file, &config, version, out);
  keras_h5_close(file);
  json_decref(meta);
  return status;
}

neo_status keras_v3_model(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  neo_archive *archive = NULL;
  NEO_TRY(neo_archive_open(ctx, source, &archive));
  neo_status status = open_archive(ctx, source, archive, out);
  neo_archive_close(archive);
  release(status, source, out);
  return status;
}
