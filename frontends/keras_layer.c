/* frontends/keras_layer.c: what converters use: configuration, weights, layouts, activations. */
#include "frontends/keras.h"

#include <math.h>
#include <string.h>

/* ---- failures --------------------------------------------------------------------------------------- */

int keras_bad(keras_call *c, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (c->im->status == NEO_OK)
    c->im->status = neo_fail(c->im->ctx, NEO_BAD_INPUT, "keras: layer '%s' (%s): %s", c->name,
                             c->class_name, text);
  return neo_emit_scalar(c->im->e, NEO_F32, 0);
}

void keras_unsupported(keras_call *c, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_emit_unsupported(c->im->e, c->class_name, "%s", text);
  c->n_outputs = 0;
  for (int i = 0; i < c->n_inputs; i++)
    keras_out(c, c->input[i].value, c->input[i].rank);
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const json_t *config_at(const keras_call *c, const char *key) {
  return json_object_get(c->config, key);
}

int64_t keras_int(const keras_call *c, const char *key, int64_t otherwise) {
  const json_t *v = config_at(c, key);
  return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

double keras_number(const keras_call *c, const char *key, double otherwise) {
  const json_t *v = config_at(c, key);
  if (json_is_object(v)) /* a serialised constant */
    v = json_object_get(json_object_get(v, "config"), "value");
  return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool keras_bool(const keras_call *c, const char *key, bool otherwise) {
  const json_t *v = config_at(c, key);
  return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const char *keras_text(const keras_call *c, const char *key, const char *otherwise) {
  const json_t *v = config_at(c, key);
  return json_is_string(v) ? json_string_value(v) : otherwise;
}

static bool flatten_ints(const json_t *v, int cap, int *n, int64_t *out) {
  if (json_is_integer(v)) {
    if (*n < cap)
      out[*n] = json_integer_value(v);
    ++*n;
    return true;
  }
  for (size_t i = 0; json_is_array(v) && i < json_array_size(v) && i < 64; i++)
    if (json_is_array(json_array_get(v, i)) ? json_array_size(json_array_get(v, i)) > 64
                                            : !json_is_integer(json_array_get(v, i)))
      return false;
  for (size_t i = 0; json_is_array(v) && i < json_array_size(v) && *n <= cap; i++) {
    const json_t *item = json_array_get(v, i);
    for (size_t k = 0; json_is_array(item) && k < json_array_size(item); k++)
      if (!json_is_integer(json_array_get(item, k)))
        return false;
    for (size_t k = 0; json_is_array(item) && k < json_array_size(item) && *n < cap; k++)
      out[(*n)++] = json_integer_value(json_array_get(item, k));
    if (json_is_integer(item) && *n < cap)
      out[*n] = json_integer_value(item);
    *n += json_is_integer(item);
  }
  return json_is_array(v);
}

bool keras_ints(const keras_call *c, const char *key, int n, int64_t *out) {
  const json_t *v = config_at(c, key);
  int found = 0;
  if (!flatten_ints(v, n, &found, out))
    return false;
  for (int i = 1; found == 1 && i < n; i++)
    out[i] = out[0];
  return found == n || found == 1;
}

int keras_axis(const keras_call *c, const char *key, int64_t otherwise, int rank) {
  const json_t *v = config_at(c, key);
  if (json_is_array(v) && json_array_size(v) == 1)
    v = json_array_get(v, 0);
  int64_t axis = json_is_integer(v) ? json_integer_value(v) : otherwise;
  if (v && !json_is_integer(v) && !json_is_null(v))
    return -1;
  axis += axis < 0 ? rank : 0;
  return axis >= 0 && axis < rank ? (int)axis : -1;
}

bool keras_is_3(const keras_call *c) {
  return c->im->version >= 3;
}

#define IDLE_BYTES (8 << 20)

/* ---- weights -------------------------------------------------------------------------------------------- */

static const neo_tensor *read_weight(keras_call *c, const char *path) {
  keras_import *im = c->im;
  neo_tensor *known = neo_map_get(&im->tensors, path);
  if (known && (known->data || known->size == 0))
    return known;
  if (!known)
    known = neo_arena_alloc(im->arena, sizeof *known);
  neo_status status = keras_h5_read(im->ctx, im->file, path, im->bytes_left, known);
  if (status == NEO_OK) {
    bool lent = keras_h5_owns(im->file, known->data);
    im->bytes_left -= lent ? 0 : (int64_t)known->size;
    if (!lent) {
      neo_graph_adopt(im->e->graph, known->data);
      im->copied += (int64_t)known->size;
    }
    if (im->copied > IDLE_BYTES) { /* what was copied need not be in memory twice */
      neo_file_idle(&im->e->source->file);
      im->copied = 0;
    }
    if (!neo_map_put(&im->tensors, path, known))
      status = neo_fail(im->ctx, NEO_NO_MEMORY, "keras: out of memory");
  }
  if (status == NEO_OK)
    return known;
  im->status = im->status == NEO_OK ? status : im->status;
  return NULL;
}

/* Stands in for what could not be read: one element, of the rank that was asked for. */
static const neo_tensor *stand_in(keras_call *c, int rank) {
  neo_tensor *out = neo_arena_alloc(c->im->arena, sizeof *out);
  *out = (neo_tensor){NEO_F32, {rank, {1, 1, 1, 1, 1, 1, 1, 1}}, NULL, 4};
  out->data = neo_arena_alloc(c->im->arena, 16);
  return out;
}

const neo_tensor *keras_weight(keras_call *c, int k, int rank) {
  if (k >= c->weights.n) {
    keras_bad(c, "weight %d is not in the file, which has %d", k, c->weights.n);
    return stand_in(c, rank);
  }
  const neo_tensor *t = read_weight(c, c->weights.path[k]);
  if (t && t->shape.rank != rank)
    keras_bad(c, "weight '%s' has rank %d, %d expected", c->weights.path[k], t->shape.rank, rank);
  return t && t->shape.rank == rank ? t : stand_in(c, rank);
}

/* The same constant for every call of a shared layer. */
static int known_constant(keras_call *c, const char *key) {
  return (int)(intptr_t)neo_map_get(&c->im->constants, key) - 1;
}

static int add_constant(keras_call *c, const char *key, const neo_tensor *tensor) {
  int value = neo_emit_tensor(c->im->e, key, tensor);
  if (!neo_map_put(&c->im->constants, key, (void *)(intptr_t)(value + 1)))
    c->im->status = neo_fail(c->im->ctx, NEO_NO_MEMORY, "keras: out of memory");
  return value;
}

int keras_constant(keras_call *c, int k, int rank) {
  const neo_tensor *t = keras_weight(c, k, rank);
  const char *key = k < c->weights.n ? c->weights.path[k] : "";
  int known = known_constant(c, key);
  return known >= 0 ? known : add_constant(c, key, t);
}

static void permute(const neo_tensor *from, const int *perm, float *to) {
  int rank = from->shape.rank;
  int64_t stride[NEO_MAX_RANK], at[NEO_MAX_RANK] = {0}, n = 1, step = 1, offset = 0;
  for (int d = rank - 1; d >= 0; d--) {
    stride[d] = step;
    step *= from->shape.dim[d];
  }
  neo_shape_elements(&from->shape, &n);
  for (int64_t i = 0; i < n; i++) {
    to[i] = ((const float *)from->data)[offset];
    for (int d = rank - 1; d >= 0; d--) {
      offset += stride[perm[d]];
      if (++at[d] < from->shape.dim[perm[d]])
        break;
      offset -= at[d] * stride[perm[d]];
      at[d] = 0;
    }
  }
}

/* A copy that only served to be permuted goes at once; whoever needs it again reads it again. */
static void forget(keras_call *c, int k) {
  const char *path = k < c->weights.n ? c->weights.path[k] : "";
  neo_tensor *t = neo_map_get(&c->im->tensors, path);
  if (!t || !t->data || keras_h5_owns(c->im->file, t->data) || known_constant(c, path) >= 0)
    return;
  c->im->bytes_left += (int64_t)t->size;
  neo_graph_disown(c->im->e->graph, t->data);
  t->data = NULL;
}

int keras_permuted(keras_call *c, int k, int rank, const int *perm, const neo_shape *shape) {
  const neo_tensor *t = keras_weight(c, k, rank);
  neo_tensor out;
  neo_buf key = {0};
  int64_t want = 0, have = 0;
  neo_shape permuted = {.rank = rank};
  neo_buf_printf(&key, "%s", k < c->weights.n ? c->weights.path[k] : "");
  for (int d = 0; d < rank; d++) {
    neo_buf_printf(&key, "%c%d", d ? ',' : '|', perm[d]);
    permuted.dim[d] = t->shape.dim[perm[d]];
  }
  if (shape)
    neo_shape_print(&key, shape);
  const char *name = neo_arena_strdup(c->im->arena, key.data ? key.data : "");
  neo_buf_fini(&key);
  int known = known_constant(c, name);
  if (known >= 0)
    return known;
  if (shape &&
      (!neo_shape_elements(shape, &want) || !neo_shape_elements(&t->shape, &have) || want != have))
    return keras_bad(c, "weight %d has %lld values, %lld expected", k, (long long)have,
                     (long long)want);
  neo_status status = neo_tensor_create(c->im->ctx, NEO_F32, shape ? shape : &permuted, &out);
  if (status != NEO_OK) {
    c->im->status = c->im->status == NEO_OK ? status : c->im->status;
    return neo_emit_scalar(c->im->e, NEO_F32, 0);
  }
  neo_graph_adopt(c->im->e->graph, out.data);
  if (out.size)
    permute(t, perm, out.data);
  forget(c, k);
  return add_constant(c, name, &out);
}

int keras_floats(keras_call *c, const char *suffix, const neo_shape *shape, const float *v) {
  neo_tensor t = {.dtype = NEO_F32, .shape = *shape};
  int64_t n = 0;
  neo_shape_elements(shape, &n);
  t.size = sizeof(float) * (size_t)n;
  t.data = neo_arena_copy(c->im->arena, v, t.size);
  return neo_emit_tensor(c->im->e, neo_arena_printf(c->im->arena, "%s.%s", c->name, suffix), &t);
}

/* ---- nodes ------------------------------------------------------------------------------------------------- */

void keras_out(keras_call *c, int value, int rank) {
  neo_assert(c->n_outputs < KERAS_MAX_INPUTS);
  c->output[c->n_outputs++] = (keras_tensor){.value = value, .rank = rank};
}

neo_node *keras_node(keras_call *c, const char *op, int n, const int *inputs, int outputs) {
  return neo_emit_node(c->im->e, op, n, inputs, outputs);
}

int keras_reshape(keras_call *c, int x, int n, const int64_t *shape) {
  int target = neo_emit_ints(c->im->e, n, shape);
  return keras_node(c, "reshape", 2, (int[]){x, target}, 1)->output[0];
}

bool keras_channels_first(const keras_call *c) {
  return strcmp(keras_text(c, "data_format", "channels_last"), "channels_first") == 0;
}

int keras_to_channels(keras_call *c, int value, int rank) {
  int64_t perm[NEO_MAX_RANK] = {0, rank - 1};
  if (keras_channels_first(c) || rank < 3)
    return value;
  for (int d = 2; d < rank; d++)
    perm[d] = d - 1;
  return neo_emit_transpose(c->im->e, value, rank, perm);
}

int keras_from_channels(keras_call *c, int value, int rank) {
  int64_t perm[NEO_MAX_RANK] = {0};
  if (keras_channels_first(c) || rank < 3)
    return value;
  for (int d = 1; d < rank - 1; d++)
    perm[d] = d + 1;
  perm[rank - 1] = 1;
  return neo_emit_transpose(c->im->e, value, rank, perm);
}

/* ---- activations ------------------------------------------------------------------------------------------- */

typedef struct activation_row {
  const char *name, *op;
  const char *attr; /* "name value name value" */
} activation_row;

static const activation_row activations[] = {
    {"relu", "relu", ""},
    {"sigmoid", "sigmoid", ""},
    {"tanh", "tanh", ""},
    {"softplus", "softplus", ""},
    {"softsign", "softsign", ""},
    {"elu", "elu", ""},
    {"selu", "selu", ""},
    {"gelu", "gelu", ""},
    {"swish", "swish", ""},
    {"silu", "swish", ""},
    {"mish", "mish", ""},
    {"exponential", "exp", ""},
    {"hard_swish", "hard_swish", ""},
    {"hard_silu", "hard_swish", ""},
    {"celu", "celu", ""},
    {"relu6", "clip", "min 0 max 6"},
    {"hard_tanh", "clip", "min -1 max 1"},
    {"leaky_relu", "leaky_relu", "alpha 0.2"},
    {"hard_shrink", "shrink", "lambd 0.5 bias 0"},
    {"soft_shrink", "shrink", "lambd 0.5 bias 0.5"},
};

static void set_attributes(keras_call *c, neo_node *node, const char *text) {
  neo_scan scan;
  char name[32];
  double v;
  neo_scan_init(&scan, text);
  while (neo_scan_name(&scan, name, sizeof name) && neo_scan_double(&scan, &v))
    neo_node_set_float(c->im->e->graph, node, neo_arena_strdup(c->im->arena, name), v);
}

/* sparse_sigmoid, sparse_plus and squareplus: of clipped, squared and square-rooted values. */
static int polynomial(keras_call *c, const char *name, int x) {
  neo_emitter *e = c->im->e;
  int one = neo_emit_scalar(e, NEO_F32, 1), half = neo_emit_scalar(e, NEO_F32, 0.5);
  if (strcmp(name, "squareplus") == 0) { /* (x + sqrt(x^2 + 4)) / 2 */
    int inside =
        neo_emit_binary(e, "add", neo_emit_binary(e, "mul", x, x), neo_emit_scalar(e, NEO_F32, 4));
    return neo_emit_binary(e, "mul",
                           neo_emit_binary(e, "add", x, neo_emit_unary(e, "sqrt", inside)), half);
  }
  int within = neo_emit_binary(e, "max", x, neo_emit_scalar(e, NEO_F32, -1));
  within = neo_emit_binary(e, "min", within, one);
  int ramp = neo_emit_binary(e, "mul", neo_emit_binary(e, "add", within, one), half);
  if (strcmp(name, "sparse_plus") != 0)
    return ramp;
  /* ((x + 1) / 2)^2 up to 1, x above it */
  return neo_emit_binary(e, "add", neo_emit_binary(e, "mul", ramp, ramp),
                         neo_emit_unary(e, "relu", neo_emit_binary(e, "sub", x, one)));
}

int keras_activation(keras_call *c, const char *name, int x, int rank) {
  neo_emitter *e = c->im->e;
  if (strcmp(name, "linear") == 0)
    return x;
  if (strcmp(name, "softmax") == 0 || strcmp(name, "log_softmax") == 0) {
    neo_node *node = keras_node(c, name, 1, &x, 1);
    neo_node_set_int(e->graph, node, "axis", rank - 1);
    return node->output[0];
  }
  if (strcmp(name, "hard_sigmoid") == 0) {
    neo_node *node = keras_node(c, "hard_sigmoid", 1, &x, 1);
    neo_node_set_float(e->graph, node, "alpha", keras_is_3(c) ? 1.0 / 6 : 0.2);
    neo_node_set_float(e->graph, node, "beta", 0.5);
    return node->output[0];
  }
  if (strcmp(name, "log_sigmoid") == 0)
    return neo_emit_unary(e, "neg", neo_emit_unary(e, "softplus", neo_emit_unary(e, "neg", x)));
  if (strcmp(name, "tanh_shrink") == 0)
    return neo_emit_binary(e, "sub", x, neo_emit_unary(e, "tanh", x));
  if (strncmp(name, "sparse_", 7) == 0 || strcmp(name, "squareplus") == 0)
    return polynomial(c, name, x);
  for (int i = 0; i < NEO_COUNT(activations); i++)
    if (strcmp(activations[i].name, name) == 0) {
      neo_node *node = keras_node(c, activations[i].op, 1, &x, 1);
      set_attributes(c, node, activations[i].attr);
      return node->output[0];
    }
  neo_emit_unsupported(e, c->class_name, "activation '%.64s' not implemented", name);
  return x;
}

/* A name, a serialised function {"config": name}, or a whole layer. */
int keras_activate(keras_call *c, const char *key, int x, int rank) {
  const json_t *v = config_at(c, key);
  if (!v || json_is_null(v))
    return x;
  if (json_is_object(v) && json_is_object(json_object_get(v, "config")) &&
      c->depth < KERAS_MAX_DEPTH) {
    keras_call inner = keras_inner_call(c, key);
    inner.weights.n = 0;
    inner.n_inputs = 1;
    inner.input[0] = (keras_tensor){.value = x, .rank = rank};
    keras_convert(&inner);
    return inner.n_outputs > 0 ? inner.output[0].value : x;
  }
  if (json_is_object(v))
    v = json_object_get(v, "config");
  const char *name = json_string_value(v);
  if (name)
    return keras_activation(c, name, x, rank);
  neo_emit_unsupported(c->im->e, c->class_name, "%s is not a known function", key);
  return x;
}
