/* frontends/keras_model.c: Functional and Sequential models, at the top or nested.
 *
 * A Functional model lists its layers, each with the calls made of it (inbound_nodes); a call's
 * inputs name (layer, call, output). Calls are converted in sweeps over the list, each as soon as
 * its inputs are there; lists are nearly always sorted, so one sweep does it.
 *
 * inbound_nodes of Keras 2: [[["x", 0, 0, {kwargs}], ...], ...]; kwargs may hold tensors as ["y",
 * 0, 0]. Keras 3: [{"args": [...], "kwargs": {...}}], tensors as {"class_name": "__keras_tensor__",
 * "config":
 * {"keras_history": ["x", 0, 0]}} at any depth. */
#include "frontends/keras_lambda.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CALLS 200000
#define MAX_SWEEPS 4096

typedef struct history {
  const char *layer;
  int64_t call, output;
} history;

/* Calls of the layers of one model, made so far. */
typedef struct model_run {
  keras_import *im;
  const keras_call *c; /* the model as a layer */
  keras_place place;
  neo_map results; /* "call output layer" -> keras_tensor */
  neo_map shifts;  /* layer -> model_shift */
} model_run;

/* A nested model's own making may count as its call 0, so that references to its calls start at 1:
 * Keras 3 counts so in output_layers, Keras 2 everywhere. */
typedef struct model_shift {
  int64_t inner, outer; /* in inbound_nodes; in output_layers */
} model_shift;

bool keras_is_model(const char *name) {
  return strcmp(name, "Functional") == 0 || strcmp(name, "Sequential") == 0 ||
         strcmp(name, "Model") == 0;
}

const keras_row *keras_row_find(const char *class_name) {
  static const keras_row rows[] = {
#define X(name, convert, op, parts) {name, convert, op, parts},
#include "frontends/keras_layers.def"
#undef X
  };
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].class_name, class_name) == 0)
      return &rows[i];
  return NULL;
}

/* Layers through which a mask goes on. */
static bool keeps_mask(const char *name) {
  static const char *const names[] = {"Flatten",
                                      "Reshape",
                                      "LSTM",
                                      "GRU",
                                      "SimpleRNN",
                                      "RNN",
                                      "Bidirectional",
                                      "Conv1D",
                                      "GlobalAveragePooling1D",
                                      "GlobalMaxPooling1D"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(names[i], name) == 0)
      return false;
  return true;
}

int keras_mask(const keras_call *c) {
  for (int i = 0; i < c->n_inputs; i++)
    if (c->keyword[i] && strcmp(c->keyword[i], "mask") == 0)
      return neo_emit_cast(c->im->e, c->input[i].value, NEO_BOOL);
  return c->n_inputs > 0 && c->input[0].masked ? c->input[0].mask : NEO_NO_VALUE;
}

/* The masks of all inputs together. */
static void keep_mask(keras_call *c) {
  int mask = NEO_NO_VALUE;
  for (int i = 0; i < c->n_inputs; i++)
    if (c->input[i].masked && !c->keyword[i])
      mask = mask == NEO_NO_VALUE || mask == c->input[i].mask
                 ? c->input[i].mask
                 : neo_emit_binary(c->im->e, "and", mask, c->input[i].mask);
  for (int i = 0; mask != NEO_NO_VALUE && i < c->n_outputs; i++) {
    c->output[i].masked = true;
    c->output[i].mask = mask;
  }
}

void keras_convert(keras_call *c) {
  const keras_row *row = c->function ? NULL : keras_row_find(c->class_name);
  const char *scope = c->im->e->scope;
  if (++c->im->n_calls > MAX_CALLS && c->im->status == NEO_OK)
    c->im->status =
        neo_fail(c->im->ctx, NEO_BAD_INPUT, "keras: more than %d calls of layers", MAX_CALLS);
  c->im->e->scope = neo_arena_strdup(c->im->arena, c->name);
  c->n_outputs = 0;
  if (c->n_inputs == 0)
    keras_bad(c, "it is called without inputs");
  else if (c->im->status != NEO_OK || c->depth > KERAS_MAX_DEPTH)
    keras_bad(c, "models nested deeper than %d", KERAS_MAX_DEPTH);
  else if (c->function)
    keras_convert_op(c);
  else if (row)
    row->convert(c);
  else
    keras_unsupported(c, "layer not implemented");
  if (c->n_outputs == 0)
    keras_out(c, c->n_inputs ? c->input[0].value : neo_emit_scalar(c->im->e, NEO_F32, 0),
              c->n_inputs ? c->input[0].rank : 0);
  if (row && keeps_mask(c->class_name) && !c->output[0].masked)
    keep_mask(c);
  c->im->e->scope = scope;
}

/* ---- histories --------------------------------------------------------------------------------------- */

/* ["layer", call, output, ...] */
static bool read_history(const json_t *v, history *out) {
  if (!json_is_array(v) || !json_is_string(json_array_get(v, 0)) ||
      !json_is_integer(json_array_get(v, 1)) || !json_is_integer(json_array_get(v, 2)))
    return false;
  *out =
      (history){json_string_value(json_array_get(v, 0)), json_integer_value(json_array_get(v, 1)),
                json_integer_value(json_array_get(v, 2))};
  return true;
}

static const char *result_key(keras_import *im, const history *h) {
  return neo_arena_printf(im->arena, "%lld %lld %s", (long long)h->call, (long long)h->output,
                          h->layer);
}

static const keras_tensor *find_result(model_run *run, const history *h) {
  char key[512];
  int length =
      snprintf(key, sizeof key, "%lld %lld %s", (long long)h->call, (long long)h->output, h->layer);
  return length < (int)sizeof key ? neo_map_get(&run->results, key) : NULL;
}

static void put_result(model_run *run, const history *h, const keras_tensor *tensor) {
  keras_import *im = run->im;
  if (!neo_map_put(&run->results, result_key(im, h),
                   neo_arena_copy(im->arena, tensor, sizeof *tensor)))
    im->status = neo_fail(im->ctx, NEO_NO_MEMORY, "keras: out of memory");
}

static int order_keys(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_structure(const json_t *v, history *out, int cap, int depth) {
  const char *keys[KERAS_MAX_INPUTS], *key;
  json_t *item;
  int n = 0, n_keys = 0;
  if (cap < 1 || depth > KERAS_MAX_DEPTH)
    return 0;
  if (read_history(v, out))
    return 1;
  for (size_t i = 0; i < json_array_size(v) && n < cap; i++)
    n += read_structure(json_array_get(v, i), out + n, cap - n, depth + 1);
  json_object_foreach((json_t *)(uintptr_t)v, key, item) {
    if (n_keys < KERAS_MAX_INPUTS)
      keys[n_keys++] = key;
  }
  if (n_keys > 1)
    qsort(keys, (size_t)n_keys, sizeof *keys, order_keys);
  for (int i = 0; i < n_keys && n < cap; i++)
    n += read_structure(json_object_get(v, keys[i]), out + n, cap - n, depth + 1);
  return n;
}

/* input_layers and output_layers: one history, or lists and dictionaries of them, which Keras
 * flattens by their sorted keys. */
static int read_histories(const json_t *v, history *out, int cap) {
  return read_structure(v, out, cap, 0);
}

/* ---- nested models ------------------------------------------------------------------------------------- */

/* The highest call of this layer that is named anywhere below v, else -1. */
static int64_t highest_call(const json_t *v, const char *layer, int depth) {
  history h;
  int64_t out = -1;
  const char *key;
  json_t *item;
  if (read_history(v, &h))
    out = strcmp(h.layer, layer) == 0 ? h.call : -1;
  for (size_t i = 0; depth < KERAS_MAX_DEPTH && i < json_array_size(v); i++)
    out = neo_max_i64(out, highest_call(json_array_get(v, i), layer, depth + 1));
  json_object_foreach((json_t *)(uintptr_t)v, key, item) {
    if (depth < KERAS_MAX_DEPTH)
      out = neo_max_i64(out, highest_call(item, layer, depth + 1));
  }
  return out;
}

static void find_shifts(model_run *run, const json_t *config) {
  const json_t *layers = json_object_get(config, "layers");
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *layer = json_array_get(layers, i);
    const char *class_name = json_string_value(json_object_get(layer, "class_name"));
    const char *name = json_string_value(json_object_get(layer, "name"));
    int64_t calls = (int64_t)json_array_size(json_object_get(layer, "inbound_nodes")), inner = -1;
    if (!name || !class_name || !keras_is_model(class_name))
      continue;
    for (size_t k = 0; k < json_array_size(layers); k++)
      inner = neo_max_i64(
          inner,
          highest_call(json_object_get(json_array_get(layers, k), "inbound_nodes"), name, 0));
    int64_t outer = highest_call(json_object_get(config, "output_layers"), name, 0);
    model_shift shift = {inner >= calls, outer >= calls};
    if (run->im->version < 3)
      shift.inner = shift.outer = shift.inner || shift.outer;
    else
      shift.outer = strcmp(class_name, "Sequential") != 0 || outer >= calls;
    if (!neo_map_put(&run->shifts, name, neo_arena_copy(run->im->arena, &shift, sizeof shift)))
      run->im->status = neo_fail(run->im->ctx, NEO_NO_MEMORY, "keras: out of memory");
  }
}

/* ---- one call ------------------------------------------------------------------------------------------ */

typedef struct call_inputs {
  model_run *run;
  keras_call *c;
  bool missing, foreign; /* not there yet; something that is no tensor among the arguments */
} call_inputs;

static void add_input(call_inputs *in, const history *named, const char *keyword) {
  keras_call *c = in->c;
  const model_shift *shift = neo_map_get(&in->run->shifts, named->layer);
  history h = {named->layer, named->call - (shift ? shift->inner : 0), named->output};
  const keras_tensor *t = find_result(in->run, &h);
  if (!t) {
    in->missing = true;
    return;
  }
  if (c->n_inputs == KERAS_MAX_INPUTS) {
    keras_bad(c, "more than %d inputs", KERAS_MAX_INPUTS);
    return;
  }
  c->input[c->n_inputs] = *t;
  c->keyword[c->n_inputs++] = keyword;
}

/* Numbers of nested lists, in order; whole and real may be NULL to count only. */
typedef struct list_numbers {
  neo_shape shape;
  int64_t n;
  int64_t *whole;
  double *real;
  bool fraction;
} list_numbers;

/* v: at depth d; false: rows of other lengths, or something that is no number. */
static bool read_numbers(const json_t *v, list_numbers *out, int d) {
  if (d < out->shape.rank) {
    bool good = json_is_array(v) && (int64_t)json_array_size(v) == out->shape.dim[d];
    for (size_t i = 0; good && i < json_array_size(v); i++)
      good = read_numbers(json_array_get(v, i), out, d + 1);
    return good;
  }
  if (!json_is_number(v) && !json_is_boolean(v))
    return false;
  if (out->whole) {
    out->whole[out->n] = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
    out->real[out->n] = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
  }
  out->fraction = out->fraction || json_is_real(v);
  out->n++;
  return true;
}

static bool count_numbers(const json_t *v, list_numbers *out) {
  *out = (list_numbers){.n = 0};
  for (const json_t *at = v; json_is_array(at) && out->shape.rank < NEO_MAX_RANK;
       at = json_array_get(at, 0))
    out->shape.dim[out->shape.rank++] = (int64_t)json_array_size(at);
  return read_numbers(v, out, 0) && out->n <= INT32_MAX;
}

/* Nested lists of numbers among the arguments, as an array of this type. */
static void add_array(call_inputs *in, const json_t *v, const char *type, const char *keyword) {
  keras_call *c = in->c;
  neo_dtype dtype = NEO_F32;
  list_numbers list;
  if ((type && !neo_dtype_find(type, &dtype)) || c->n_inputs == KERAS_MAX_INPUTS) {
    in->foreign = true;
    return;
  }
  if (!count_numbers(v, &list)) {
    keras_bad(c, "an array whose rows are not numbers, or not of one length");
    return;
  }
  neo_emitter *e = in->run->im->e;
  int n = (int)list.n;
  list.whole = neo_arena_alloc(in->run->im->arena, sizeof *list.whole * ((size_t)n + 1));
  list.real = neo_arena_alloc(in->run->im->arena, sizeof *list.real * ((size_t)n + 1));
  list.n = 0;
  read_numbers(v, &list, 0);
  int value = list.fraction || neo_dtype_class(dtype) == 'f' ? neo_emit_floats(e, n, list.real)
                                                             : neo_emit_ints(e, n, list.whole);
  c->keyword[c->n_inputs] = keyword;
  c->input[c->n_inputs++] = (keras_tensor){
      .value = keras_reshape(c, neo_emit_cast(e, value, dtype), list.shape.rank, list.shape.dim),
      .rank = list.shape.rank,
      .dtype = dtype};
}

/* Lists of numbers are one operand, not several. */
static bool add_list(call_inputs *in, const json_t *v, const char *keyword) {
  list_numbers list;
  if (!count_numbers(v, &list) || list.n == 0)
    return false;
  add_array(in, v, list.fraction ? "float32" : "int64", keyword);
  return true;
}

/* A plain number: its type is that of the tensors that it meets. */
static void add_scalar(call_inputs *in, const json_t *v) {
  keras_call *c = in->c;
  double number = json_number_value(v);
  bool exact = !json_is_integer(v) || (number >= -(1 << 24) && number <= 1 << 24);
  int value = exact ? neo_emit_scalar(in->run->im->e, NEO_F32, number)
                    : neo_emit_int(in->run->im->e, json_integer_value(v));
  c->keyword[c->n_inputs] = NULL;
  c->input[c->n_inputs++] = (keras_tensor){.value = value, .dtype = NEO_DTYPE_COUNT};
}

/* __keras_tensor__: an output of a call before. */
static void add_tensor(call_inputs *in, const json_t *config, const char *keyword) {
  history h;
  const char *dtype = json_string_value(json_object_get(config, "dtype"));
  int at = in->c->n_inputs;
  if (read_history(json_object_get(config, "keras_history"), &h))
    add_input(in, &h, keyword);
  else
    keras_bad(in->c, "a tensor without history");
  if (in->c->n_inputs > at && (!dtype || !neo_dtype_find(dtype, &in->c->input[at].dtype)))
    in->c->input[at].dtype = NEO_F32;
}

/* Keras 3: tensors at any depth below an argument. */
static void add_arguments(call_inputs *in, const json_t *v, const char *keyword, int depth) {
  const char *key;
  json_t *item;
  if (depth > KERAS_MAX_DEPTH)
    return;
  const char *class_name = json_string_value(json_object_get(v, "class_name"));
  if (class_name && strcmp(class_name, "__keras_tensor__") == 0) {
    add_tensor(in, json_object_get(v, "config"), keyword);
    return;
  }
  if (class_name &&
      (strcmp(class_name, "__numpy__") == 0 || strcmp(class_name, "__tensor__") == 0)) {
    const json_t *config = json_object_get(v, "config");
    add_array(in, json_object_get(config, "value"),
              json_string_value(json_object_get(config, "dtype")), keyword);
    return;
  }
  if (class_name && in->c->function) /* a slice or a type: the function reads it */
    return;
  if (in->c->function && depth > 0 && json_is_array(v) && !keyword && add_list(in, v, keyword))
    return;
  for (size_t i = 0; i < json_array_size(v); i++)
    add_arguments(in, json_array_get(v, i), keyword, depth + 1);
  if (json_is_object(v)) {
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
        add_arguments(in, item, keyword, depth + 1);
  } else if (json_is_number(v) && !keyword && in->c->n_inputs < KERAS_MAX_INPUTS) {
    add_scalar(in, v);
  } else if (!json_is_array(v) && !keyword && !json_is_null(v) && !in->c->function) {
    in->foreign = true;
  }
}

static void add_keywords(call_inputs *in, const json_t *kwargs, bool keras_3) {
  const char *key;
  json_t *item;
  history h;
  json_object_foreach((json_t *)(uintptr_t)kwargs, key, item) {
    if (keras_3)
      add_arguments(in, item, key, 0);
    else if (read_history(item, &h) && find_result(in->run, &h))
      add_input(in, &h, key);
    else if (json_is_array(item))
      for (size_t i = 0; i < json_array_size(item); i++)
        if (read_history(json_array_get(item, i), &h))
          add_input(in, &h, key);
  }
  if (kwargs)
    in->c->kwargs = kwargs;
}

/* The inputs of one entry of inbound_nodes. */
static void read_call(call_inputs *in, const json_t *node) {
  history h;
  if (json_is_object(node)) {
    in->c->args = json_object_get(node, "args");
    if (strcmp(in->c->class_name, "GetItem") == 0) /* what follows says which elements */
      add_arguments(in, json_array_get(in->c->args, 0), NULL, 0);
    else
      add_arguments(in, in->c->args, NULL, 0);
    add_keywords(in, json_object_get(node, "kwargs"), true);
    return;
  }
  if (read_history(node, &h)) {
    add_input(in, &h, NULL);
    add_keywords(in, json_array_get(node, 3), false);
    return;
  }
  for (size_t i = 0; i < json_array_size(node); i++)
    if (read_history(json_array_get(node, i), &h)) {
      add_input(in, &h, NULL);
      add_keywords(in, json_array_get(json_array_get(node, i), 3), false);
    }
}

/* A number, or an array of them, among the operands of a function of TensorFlow. */
static void add_number(call_inputs *in, const json_t *v) {
  keras_call *c = in->c;
  if (json_is_array(v)) {
    add_array(in, v, NULL, NULL);
    return;
  }
  if (!json_is_number(v) || c->n_inputs == KERAS_MAX_INPUTS) {
    in->foreign = true;
    return;
  }
  add_scalar(in, v);
}

/* ["layer", 0, 0, {..}] or ["_CONSTANT_VALUE", -1, number, {..}]; returns the arguments by name. */
static const json_t *add_operand(call_inputs *in, const json_t *v) {
  const char *name = json_string_value(json_array_get(v, 0));
  history h;
  if (name && strcmp(name, "_CONSTANT_VALUE") == 0)
    add_number(in, json_array_get(v, 2));
  else if (read_history(v, &h))
    add_input(in, &h, NULL);
  return json_array_get(v, 3);
}

/* Tensors inside of a list do not count: histories are lists themselves. */
static json_t *read_function(call_inputs *in, const json_t *node) {
  const json_t *kwargs = NULL;
  const char *key;
  json_t *item;
  history h;
  if (json_is_string(json_array_get(node, 0)))
    kwargs = add_operand(in, node);
  else
    for (size_t i = 0; i < json_array_size(node); i++)
      kwargs = add_operand(in, json_array_get(node, i));
  json_object_foreach((json_t *)(uintptr_t)kwargs, key, item) {
    if (read_history(item, &h))
      add_input(in, &h, NULL);
    else if ((json_is_number(item) || json_is_array(item)) && keras_lambda_operand(key))
      add_number(in, item);
  }
  return in->missing ? NULL : keras_lambda_open(in->c, kwargs);
}

/* ---- Functional ---------------------------------------------------------------------------------------- */

typedef struct layer_entry {
  keras_call base; /* name, class, configuration and weights; no inputs yet */
  const json_t *nodes;
  size_t done;
} layer_entry;

static const char *layer_name(const json_t *layer) {
  const char *name = json_string_value(json_object_get(layer, "name"));
  return name ? name : json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
}

/* .keras names the module of a function; .h5 does not, but a function, unlike a layer, is not
 * "trainable" in its configuration and is called in Keras 3's way. */
static bool is_function(const json_t *layer, const char *class_name) {
  static const char prefix[] = "keras.src.ops.";
  const char *module = json_string_value(json_object_get(layer, "module"));
  if (module)
    return strncmp(module, prefix, sizeof prefix - 1) == 0;
  return class_name && keras_op_known(class_name) &&
         json_is_object(json_array_get(json_object_get(layer, "inbound_nodes"), 0)) &&
         !json_object_get(json_object_get(layer, "config"), "trainable");
}

static void open_layer(model_run *run, const json_t *layer, keras_call *out) {
  const char *class_name = json_string_value(json_object_get(layer, "class_name"));
  const char *name = layer_name(layer);
  memset(out, 0, sizeof *out);
  out->im = run->im;
  out->depth = run->c->depth + 1;
  out->config = json_object_get(layer, "config");
  out->function = is_function(layer, class_name);
  if (!name || !class_name || strlen(name) > 300) {
    out->name = out->class_name = "?";
    keras_bad(out, "a layer of '%s' has no name or no class", run->c->name);
    return;
  }
  const keras_row *row = keras_row_find(class_name);
  keras_find_weights(run->im, &run->place, name, class_name, row ? row->parts : NULL, out);
}

/* Layers that move their input's elements, of whatever type they are. (Keras 3 writes types.) */
static void keep_type(keras_call *c) {
  static const char *const moving[] = {"InputLayer", "Flatten",      "Reshape", "Permute",
                                       "Dropout",    "RepeatVector", "Identity"};
  for (int i = 0; c->n_inputs > 0 && i < NEO_COUNT(moving); i++)
    if (strcmp(c->class_name, moving[i]) == 0)
      for (int k = 0; k < c->n_outputs; k++)
        c->output[k].dtype = c->input[0].dtype;
}

/* Makes the calls of a layer whose inputs are there, in order; returns how many. */
static int advance(model_run *run, layer_entry *entry) {
  int made = 0;
  for (; entry->done < json_array_size(entry->nodes) && run->im->status == NEO_OK; made++) {
    keras_call call = entry->base;
    call_inputs in = {.run = run, .c = &call};
    const json_t *node = json_array_get(entry->nodes, entry->done);
    bool function = keras_is_lambda(call.class_name) && !json_is_object(node);
    json_t *config = function ? read_function(&in, node) : NULL;
    if (!function)
      read_call(&in, node);
    if (in.missing)
      break;
    if (in.foreign)
      neo_emit_unsupported(run->im->e, call.class_name, "layer '%s': an argument that is no tensor",
                           call.name);
    keras_convert(&call);
    if (function)
      keras_lambda_types(&call);
    else
      keep_type(&call);
    json_decref(config);
    for (int i = 0; i < call.n_outputs; i++)
      put_result(run, &(history){call.name, (int64_t)entry->done, i}, &call.output[i]);
    entry->done++;
  }
  return made;
}

static void run_layers(model_run *run, const json_t *layers) {
  keras_import *im = run->im;
  size_t n = json_array_size(layers), open = 0;
  layer_entry *entry = neo_alloc(im->ctx, sizeof *entry * (n + 1));
  int sweeps = 0, made = 1;
  if (!entry) {
    im->status = neo_fail(im->ctx, NEO_NO_MEMORY, "keras: out of memory");
    return;
  }
  for (size_t i = 0; i < n; i++) {
    const json_t *layer = json_array_get(layers, i);
    open_layer(run, layer, &entry[i].base);
    entry[i].nodes = json_object_get(layer, "inbound_nodes");
  }
  for (; made > 0 && im->status == NEO_OK && sweeps < MAX_SWEEPS; sweeps++) {
    made = 0;
    open = n;
    for (size_t i = 0; i < n; i++) {
      made += advance(run, &entry[i]);
      if (entry[i].done < json_array_size(entry[i].nodes))
        open = i;
    }
  }
  /* calls that were made outside of this model have inputs that it does not know: they stay open */
  (void)open;
  neo_free(im->ctx, entry);
}

static void run_functional(keras_call *c, model_run *run) {
  history *h = neo_arena_alloc(c->im->arena, sizeof *h * KERAS_MAX_INPUTS);
  int n = read_histories(json_object_get(c->config, "input_layers"), h, KERAS_MAX_INPUTS);
  if (n != c->n_inputs)
    keras_bad(c, "%d inputs given, %d expected", c->n_inputs, n);
  for (int i = 0; i < n && i < c->n_inputs; i++)
    put_result(run, &h[i], &c->input[i]);
  find_shifts(run, c->config);
  run_layers(run, json_object_get(c->config, "layers"));
  n = read_histories(json_object_get(c->config, "output_layers"), h, KERAS_MAX_INPUTS);
  if (n == 0)
    keras_bad(c, "it has no outputs");
  for (int i = 0; i < n && c->im->status == NEO_OK; i++) {
    const model_shift *shift = neo_map_get(&run->shifts, h[i].layer);
    h[i].call -= shift ? shift->outer : 0;
    const keras_tensor *t = find_result(run, &h[i]);
    if (!t)
      keras_bad(c, "its output %d (layer '%s') cannot be computed from its inputs", i, h[i].layer);
    else if (c->n_outputs < KERAS_MAX_INPUTS)
      c->output[c->n_outputs++] = *t;
  }
}

/* ---- Sequential ------------------------------------------------------------------------------------------ */

/* The list of layers; in files of Keras before 2.2.3 the configuration is the list itself. */
static const json_t *sequential_layers(const json_t *config) {
  return json_is_array(config) ? config : json_object_get(config, "layers");
}

static void run_sequential(keras_call *c, model_run *run) {
  const json_t *layers = sequential_layers(c->config);
  keras_tensor at = c->input[0];
  for (size_t i = 0; i < json_array_size(layers) && c->im->status == NEO_OK; i++) {
    keras_call call;
    open_layer(run, json_array_get(layers, i), &call);
    call.n_inputs = 1;
    call.input[0] = at;
    keras_convert(&call);
    at = call.output[0];
  }
  c->output[c->n_outputs++] = at;
}

void keras_convert_model(keras_call *c) {
  model_run run = {.im = c->im, .c = c, .place = {.group = c->group}};
  if (!c->im->v3 && c->depth > 0) {
    run.place.within = c->weights.path;
    run.place.n_within = c->weights.n;
    static const char *const none[1] = {NULL};
    run.place.within = run.place.within ? run.place.within : none;
  }
  if (strcmp(c->class_name, "Sequential") == 0)
    run_sequential(c, &run);
  else
    run_functional(c, &run);
  neo_map_fini(&run.results);
  neo_map_fini(&run.shifts);
  neo_map_fini(&run.place.names);
  neo_map_fini(&run.place.used);
}

/* ---- inputs of the model ------------------------------------------------------------------------------------ */

static bool read_shape(const json_t *v, neo_shape *out) {
  if (!json_is_array(v) || json_array_size(v) > NEO_MAX_RANK || json_array_size(v) == 0)
    return false;
  out->rank = (int)json_array_size(v);
  for (int d = 0; d < out->rank; d++) {
    const json_t *dim = json_array_get(v, (size_t)d);
    out->dim[d] =
        json_is_integer(dim) && json_integer_value(dim) >= 0 ? json_integer_value(dim) : -1;
  }
  return true;
}

/* What an InputLayer, or a first layer with a shape of its own, says. */
static bool input_of(const json_t *layer, keras_input *out) {
  static const char *const keys[] = {"batch_shape", "batch_input_shape"};
  const json_t *config = json_object_get(layer, "config"),
               *dtype = json_object_get(config, "dtype");
  const char *name = layer_name(layer);
  bool found = false;
  for (int i = 0; i < NEO_COUNT(keys) && !found; i++)
    found = read_shape(json_object_get(config, keys[i]), &out->shape);
  if (json_is_object(dtype))
    dtype = json_object_get(json_object_get(dtype, "config"), "name");
  out->name = name ? name : "input";
  out->dtype = json_is_string(dtype) ? json_string_value(dtype) : "float32";
  return found;
}

static bool is_class(const json_t *layer, const char *name) {
  const char *own = json_string_value(json_object_get(layer, "class_name"));
  return own && strcmp(own, name) == 0;
}

/* A Sequential without an InputLayer has an input that only Keras' session names; it is "input". */
static int sequential_input(const json_t *config, keras_input *out) {
  const json_t *first = json_array_get(sequential_layers(config), 0);
  bool found = input_of(first, out);
  if (!is_class(first, "InputLayer"))
    out->name = "input";
  if (!found)
    found = read_shape(json_object_get(config, "build_input_shape"), &out->shape) ||
            read_shape(json_object_get(json_object_get(first, "build_config"), "input_shape"),
                       &out->shape);
  const char *inner = json_string_value(json_object_get(first, "class_name"));
  if (!found && inner && keras_is_model(inner)) {
    const json_t *within = json_object_get(first, "config"), *layers = sequential_layers(within);
    for (size_t i = 0; i < json_array_size(layers) && !found; i++)
      found = input_of(json_array_get(layers, i), out);
  }
  return found ? 1 : -1;
}

int keras_model_inputs(keras_import *im, const char *class_name, const json_t *config,
                       keras_input *out, int cap) {
  if (strcmp(class_name, "Sequential") == 0)
    return sequential_input(config, out);
  history *h = neo_arena_alloc(im->arena, sizeof *h * KERAS_MAX_INPUTS);
  const json_t *layers = json_object_get(config, "layers");
  int n = read_histories(json_object_get(config, "input_layers"), h, KERAS_MAX_INPUTS);
  for (int i = 0; i < n && i < cap; i++) {
    bool found = false;
    for (size_t k = 0; k < json_array_size(layers) && !found; k++) {
      const char *name = layer_name(json_array_get(layers, k));
      found = name && strcmp(name, h[i].layer) == 0 && input_of(json_array_get(layers, k), &out[i]);
    }
    if (!found)
      return -1;
  }
  return n <= cap ? n : -1;
}
