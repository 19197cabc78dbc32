/* frontends/keras_weights.c: which weights a layer has.
 *
 * .keras (v3): [MODEL/]layers/CLASS[_N]/PART/0, 1, ...: CLASS in snake case, N counting the layers
 * of a class in the model's order; from 3.4 or so on the attribute `name` of .../vars says whose it
 * is, which we believe first. A layer's own parts are in its row of keras_layers.def. .h5:
 * model_weights/NAME with the attribute weight_names, paths below that group in the order of
 * get_weights() (over 64 KB split into weight_names0, weight_names1, ...). A nested model is one
 * entry with the weights of all its layers; a layer's own are those with its name as a component.
 */
#include "frontends/keras.h"

#include <ctype.h>
#include <string.h>

#define MAX_WEIGHTS 128 /* of one layer of a .keras */

static bool is_upper(char c) {
  return isupper((unsigned char)c) != 0;
}

static bool is_lower(char c) {
  return islower((unsigned char)c) != 0;
}

/* Conv2DTranspose -> conv2d_transpose, as keras.src.utils.naming does it. */
static const char *snake_case(neo_arena *arena, const char *name) {
  char *out = neo_arena_alloc(arena, strlen(name) * 2 + 1), *to = out;
  for (size_t i = 0; name[i]; i++) {
    if (i > 0 && is_upper(name[i]) && (is_lower(name[i + 1]) || is_lower(name[i - 1])))
      *to++ = '_';
    *to++ = (char)tolower((unsigned char)name[i]);
  }
  return out;
}

/* ---- v3 --------------------------------------------------------------------------------------------- */

static const char *container(keras_import *im, const keras_place *place) {
  static const char *const names[] = {"layers", "_layer_checkpoint_dependencies", "_layers"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    const char *path =
        neo_arena_printf(im->arena, "%s%s%s", place->group, *place->group ? "/" : "", names[i]);
    if (keras_h5_exists(im->file, path))
      return path;
  }
  return NULL;
}

static void read_names(keras_import *im, keras_place *place, const char *layers) {
  const char **group = NULL;
  int n = keras_h5_members(im->file, im->arena, layers, &group);
  place->named = true;
  for (int i = 0; i < n; i++) {
    char *path = neo_arena_printf(im->arena, "%s/%s", layers, group[i]);
    const char *name = keras_h5_text(im->file, im->arena,
                                     neo_arena_printf(im->arena, "%s/vars", path), "name", 4096);
    if (name && !neo_map_get(&place->names, name) && !neo_map_put(&place->names, name, path))
      im->status = neo_fail(im->ctx, NEO_NO_MEMORY, "keras: out of memory");
  }
}

static const char *find_group(keras_import *im, keras_place *place, const char *name,
                              const char *class_name) {
  const char *layers = container(im, place), *snake = snake_case(im->arena, class_name);
  if (!layers)
    return NULL;
  if (!place->named)
    read_names(im, place, layers);
  intptr_t used = (intptr_t)neo_map_get(&place->used, snake);
  if (!neo_map_put(&place->used, snake, (void *)(used + 1)))
    im->status = neo_fail(im->ctx, NEO_NO_MEMORY, "keras: out of memory");
  const char *own = neo_map_get(&place->names, name);
  if (own)
    return own;
  return used ? neo_arena_printf(im->arena, "%s/%s_%d", layers, snake, (int)used)
              : neo_arena_printf(im->arena, "%s/%s", layers, snake);
}

static void add_part(keras_import *im, keras_weights *w, const char *part) {
  for (int k = 0; w->n < MAX_WEIGHTS; k++) {
    const char *path = neo_arena_printf(im->arena, "%s/%d", part, k);
    if (!keras_h5_exists(im->file, path))
      return;
    w->path[w->n++] = path;
  }
}

static void find_v3(keras_import *im, keras_place *place, const char *parts, keras_call *c) {
  const char *group = find_group(im, place, c->name, c->class_name);
  c->group = group ? group : "";
  c->weights.path = neo_arena_alloc(im->arena, sizeof(char *) * MAX_WEIGHTS);
  for (const char *at = parts ? parts : "vars"; group && *at;) {
    size_t length = strcspn(at, " ");
    const char *part = neo_arena_printf(im->arena, "%s/%.*s", group, (int)length, at);
    if (!keras_h5_exists(im->file,
                         part)) /* Keras 2.15 names those of attention by private members */
      part = neo_arena_printf(im->arena, "%s/_%.*s", group, (int)length, at);
    add_part(im, &c->weights, part);
    at += length + (at[length] == ' ');
  }
}

/* ---- h5 --------------------------------------------------------------------------------------------- */

static void append_names(keras_import *im, const char *group, const char *attribute,
                         keras_weights *w, int *cap, bool *found) {
  const char **list = NULL;
  int n = keras_h5_texts(im->file, im->arena, group, attribute, &list);
  *found = n >= 0;
  for (int i = 0; i < n; i++) {
    w->path = neo_arena_grow(im->arena, (void *)w->path, cap, w->n + 1, sizeof(char *));
    w->path[w->n++] = neo_arena_printf(im->arena, "%s/%s", group, list[i]);
  }
}

static void find_top(keras_import *im, const char *name, keras_weights *w) {
  int cap = 0;
  bool found;
  const char *root = keras_h5_exists(im->file, "model_weights") ? "model_weights/" : "";
  const char *group = neo_arena_printf(im->arena, "%s%s", root, name);
  append_names(im, group, "weight_names", w, &cap, &found);
  for (int k = 0; !found && k < 10000; k++) {
    bool more;
    append_names(im, group, neo_arena_printf(im->arena, "weight_names%d", k), w, &cap, &more);
    if (!more)
      return;
  }
}

static bool has_component(const char *path, const char *name) {
  size_t length = strlen(name);
  for (const char *at = path; at; at = strchr(at, '/')) {
    at += *at == '/';
    if (strncmp(at, name, length) == 0 && at[length] == '/')
      return true;
    if (!strchr(at, '/'))
      return false;
  }
  return false;
}

static void find_h5(keras_import *im, const keras_place *place, keras_call *c) {
  keras_weights *w = &c->weights;
  c->group = "";
  if (!place->within) {
    find_top(im, c->name, w);
    return;
  }
  w->path = neo_arena_alloc(im->arena, sizeof(char *) * ((size_t)place->n_within + 1));
  for (int i = 0; i < place->n_within; i++)
    if (has_component(place->within[i], c->name))
      w->path[w->n++] = place->within[i];
  if (w->n == 0 && keras_is_model(c->class_name)) /* its layers' names may stand without its own */
    for (; w->n < place->n_within; w->n++)
      w->path[w->n] = place->within[w->n];
}

/* A wrapper's parts are those of the layer inside. */
static const char *wrapped_parts(keras_import *im, const keras_call *c) {
  const json_t *inner = json_object_get(c->config, "layer");
  const char *class_name = json_string_value(json_object_get(inner, "class_name"));
  const keras_row *row = class_name ? keras_row_find(class_name) : NULL;
  neo_buf buf = {0};
  for (const char *at = row && row->parts ? row->parts : "vars"; *at;) {
    size_t length = strcspn(at, " ");
    neo_buf_printf(&buf, "%slayer/%.*s", buf.size ? " " : "", (int)length, at);
    at += length + (at[length] == ' ');
  }
  const char *out = neo_arena_strdup(im->arena, buf.data ? buf.data : "");
  neo_buf_fini(&buf);
  return out;
}

/* RNN([cell, ...]): cell/cells/CLASS[_N]/vars each. */
static const char *stacked_parts(keras_import *im, const json_t *cells) {
  neo_buf buf = {0};
  for (size_t i = 0; i < json_array_size(cells) && i < MAX_WEIGHTS; i++) {
    const char *own = json_string_value(json_object_get(json_array_get(cells, i), "class_name"));
    int before = 0;
    for (size_t k = 0; own && k < i; k++) {
      const json_t *other = json_object_get(json_array_get(cells, k), "class_name");
      before += json_is_string(other) && strcmp(json_string_value(other), own) == 0;
    }
    neo_buf_printf(&buf, "%scell/cells/%s", i ? " " : "", own ? snake_case(im->arena, own) : "");
    if (before)
      neo_buf_printf(&buf, "_%d", before);
    neo_buf_printf(&buf, "/vars");
  }
  const char *out = neo_arena_strdup(im->arena, buf.data ? buf.data : "");
  neo_buf_fini(&buf);
  return out;
}

void keras_find_weights(keras_import *im, keras_place *place, const char *name,
                        const char *class_name, const char *parts, keras_call *c) {
  c->name = name;
  c->class_name = class_name;
  c->weights = (keras_weights){0};
  if (strcmp(class_name, "TimeDistributed") == 0)
    parts = wrapped_parts(im, c);
  const json_t *cells =
      json_object_get(json_object_get(json_object_get(c->config, "cell"), "config"), "cells");
  if (strcmp(class_name, "RNN") == 0 && json_is_array(cells))
    parts = stacked_parts(im, cells);
  if (im->v3)
    find_v3(im, place, parts, c);
  else
    find_h5(im, place, c);
}

keras_call keras_inner_call(const keras_call *c, const char *key) {
  const json_t *inner = json_object_get(c->config, key);
  const char *class_name = json_string_value(json_object_get(inner, "class_name"));
  keras_call call = *c;
  call.class_name = class_name ? class_name : "";
  call.config = json_object_get(inner, "config");
  call.group = c->im->v3 ? neo_arena_printf(c->im->arena, "%s/%s", c->group, key) : "";
  call.kwargs = NULL;
  call.n_outputs = 0;
  call.depth = c->depth + 1;
  return call;
}
