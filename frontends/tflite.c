/* frontends/tflite.c: a TFLite model -> graph.
 *
 * The FlatBuffer is read in place (flatbuffer.h: every step checked). The first subgraph is the
 * model; its operators are stored in an order that can be executed and are converted one by one
 * through the rows of tflite_ops.def. Tensors are read when an operator first names them: those
 * with data become constants that point into the file, the others get their value from the operator
 * that writes them. Inputs and outputs have the names of their tensors.
 *
 * Bounds on hostile input: tensors per subgraph (in proportion to the file), nesting of subgraphs
 * (MAX_DEPTH), operators converted in all (MAX_CONVERTED: bodies count each time), bytes of
 * constants written out (sparse ones: --max-model-bytes). */
#include "frontends/tflite_import.h"

#include <inttypes.h>
#include <string.h>

#define MAX_DEPTH 32
#define MAX_CONVERTED 1000000

/* ---- errors ----------------------------------------------------------------------------------- */

bool tfl_ok(const tfl_import *im) {
  return im->fb.status == NEO_OK;
}

void tfl_broken(tfl_import *im, const char *format, ...) {
  char text[512];
  va_list args;
  if (!tfl_ok(im))
    return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  im->fb.status = neo_fail(im->e.ctx, NEO_BAD_INPUT, "tflite: %s: %s", im->e.source->path, text);
}

bool tfl_expand(tfl_import *im, int64_t bytes) {
  im->expanded += bytes;
  if (im->expanded <= im->e.source->options.max_model_bytes)
    return true;
  tfl_broken(im, "its constants take more than %" PRId64 " bytes (--max-model-bytes)",
             im->e.source->options.max_model_bytes);
  return false;
}

/* ---- tensors ---------------------------------------------------------------------------------- */

neo_dtype tfl_dtype(int64_t type) {
  static const uint8_t dtypes[] = {[TFL_FLOAT32] = NEO_F32,
                                   [TFL_FLOAT16] = NEO_F16,
                                   [TFL_INT32] = NEO_I32,
                                   [TFL_UINT8] = NEO_U8,
                                   [TFL_INT64] = NEO_I64,
                                   [TFL_STRING] = NEO_DTYPE_COUNT,
                                   [TFL_BOOL] = NEO_BOOL,
                                   [TFL_INT16] = NEO_I16,
                                   [TFL_COMPLEX64] = NEO_DTYPE_COUNT,
                                   [TFL_INT8] = NEO_I8,
                                   [TFL_FLOAT64] = NEO_F64,
                                   [TFL_COMPLEX128] = NEO_DTYPE_COUNT,
                                   [TFL_UINT64] = NEO_U64,
                                   [TFL_RESOURCE] = NEO_DTYPE_COUNT,
                                   [TFL_VARIANT] = NEO_DTYPE_COUNT,
                                   [TFL_UINT32] = NEO_U32,
                                   [TFL_UINT16] = NEO_U16,
                                   [TFL_INT4] = NEO_DTYPE_COUNT,
                                   [TFL_BFLOAT16] = NEO_BF16};
  return type >= 0 && type < NEO_COUNT(dtypes) ? (neo_dtype)dtypes[type] : NEO_DTYPE_COUNT;
}

static void read_shape(tfl_import *im, const neo_fb_table *table, tfl_tensor *t) {
  neo_fb_vector shape = neo_fb_field_vector(table, TFL_TENSOR_SHAPE, 4),
                sign = neo_fb_field_vector(table, TFL_TENSOR_SIGNATURE, 4);
  if (shape.n > NEO_MAX_RANK) {
    neo_unsupported_add(&im->e.unsupported, "tensor '%s': rank %" PRId64 ", at most %d", t->name,
                        shape.n, NEO_MAX_RANK);
    return;
  }
  t->shape.rank = (int)shape.n;
  for (int d = 0; d < shape.n; d++) {
    t->shape.dim[d] = neo_fb_element(&shape, NEO_FB_I32, d);
    if (t->shape.dim[d] < -1)
      tfl_broken(im, "tensor '%s' has dimension %" PRId64, t->name, t->shape.dim[d]);
    if (sign.n == shape.n && neo_fb_element(&sign, NEO_FB_I32, d) < 0)
      t->shape.dim[d] = -1;
  }
}

static void read_data(tfl_import *im, const neo_fb_table *table, tfl_tensor *t) {
  int64_t index = neo_fb_int(table, TFL_TENSOR_BUFFER, NEO_FB_U32, 0);
  neo_fb_table buffer = neo_fb_element_table(&im->buffers, index);
  if (index != 0 && index >= im->buffers.n)
    tfl_broken(im, "tensor '%s' has buffer %" PRId64 " of %" PRId64, t->name, index, im->buffers.n);
  t->data = neo_fb_field_vector(&buffer, TFL_BUFFER_DATA, 1);
  int64_t offset = neo_fb_int(&buffer, TFL_BUFFER_OFFSET, NEO_FB_I64, 0),
          size = neo_fb_int(&buffer, TFL_BUFFER_SIZE, NEO_FB_I64, 0);
  if (t->data.n == 0 && offset > 1 && size != 0) {
    if (size < 0 || (uint64_t)offset > im->fb.size || (uint64_t)size > im->fb.size - (size_t)offset)
      tfl_broken(im, "the data of tensor '%s' lies outside of the file", t->name);
    else
      t->data = (neo_fb_vector){&im->fb, im->fb.data + offset, size};
  }
  t->constant = t->data.n > 0;
}

static void read_quantisation(tfl_import *im, const neo_fb_table *table, tfl_tensor *t) {
  neo_fb_table quant = neo_fb_child(table, TFL_TENSOR_QUANTIZATION);
  t->scale = neo_fb_field_vector(&quant, TFL_QUANT_SCALE, 4);
  t->zero_point = neo_fb_field_vector(&quant, TFL_QUANT_ZERO_POINT, 8);
  t->axis = (int)neo_fb_int(&quant, TFL_QUANT_AXIS, NEO_FB_I32, 0);
  if (neo_fb_int(&quant, TFL_QUANT_DETAILS_TYPE, NEO_FB_U8, 0) > 1)
    neo_unsupported_add(&im->e.unsupported, "tensor '%s': blockwise quantisation", t->name);
  if (t->type != TFL_INT8 && t->type != TFL_UINT8 && t->type != TFL_INT16 && t->type != TFL_INT32 &&
      t->type != TFL_INT64)
    t->scale.n = 0;
  for (int64_t i = 0; i < t->zero_point.n; i++) {
    int64_t zero = neo_fb_element(&t->zero_point, NEO_FB_I64, i);
    if (zero < INT32_MIN || zero > INT32_MAX)
      tfl_broken(im, "tensor '%s' has zero point %" PRId64, t->name, zero);
  }
  if (t->scale.n > 1 &&
      (t->axis < 0 || t->axis >= t->shape.rank || t->shape.dim[t->axis] != t->scale.n))
    tfl_broken(im, "tensor '%s' has %" PRId64 " scales along dimension %d", t->name, t->scale.n,
               t->axis);
  if (t->zero_point.n > 1 && t->scale.n > 0 && t->zero_point.n != t->scale.n)
    tfl_broken(im, "tensor '%s' has %" PRId64 " zero points for %" PRId64 " scales", t->name,
               t->zero_point.n, t->scale.n);
}

tfl_tensor *tfl_tensor_at(tfl_import *im, tfl_scope *scope, int64_t index) {
  if (index >= 0 && index < scope->tensors.n && scope->tensor[index])
    return scope->tensor[index]; /* also after a failure: converters go on to their end */
  if (index == -1 || !tfl_ok(im))
    return NULL;
  if (index < 0 || index >= scope->tensors.n) {
    tfl_broken(im, "tensor %" PRId64 " of %" PRId64 " is used", index, scope->tensors.n);
    return NULL;
  }
  neo_fb_table table = neo_fb_element_table(&scope->tensors, index);
  tfl_tensor *t = neo_arena_alloc(im->e.graph->arena, sizeof *t);
  const char *name = neo_fb_string(&table, TFL_TENSOR_NAME);
  t->name = name && *name ? neo_arena_strdup(im->e.graph->arena, name)
                          : neo_arena_printf(im->e.graph->arena, "tensor%" PRId64, index);
  t->type = (int)neo_fb_int(&table, TFL_TENSOR_TYPE, NEO_FB_I8, 0);
  t->dtype = tfl_dtype(t->type);
  t->value = t->real = NEO_NO_VALUE;
  t->variable = neo_fb_int(&table, TFL_TENSOR_VARIABLE, NEO_FB_U8, 0) != 0;
  t->sparsity = neo_fb_child(&table, TFL_TENSOR_SPARSITY);
  read_shape(im, &table, t);
  read_data(im, &table, t);
  read_quantisation(im, &table, t);
  scope->tensor[index] = t;
  return tfl_ok(im) ? t : NULL;
}

/* The constant as it lies in the file, or a copy where it lies badly. */
static bool constant_tensor(tfl_import *im, const tfl_tensor *t, neo_tensor *out) {
  int64_t n;
  *out = (neo_tensor){.dtype = t->dtype, .shape = t->shape};
  if (!neo_shape_elements(&t->shape, &n) ||
      !neo_mul_size((size_t)n, neo_dtype_size(t->dtype), &out->size)) {
    tfl_broken(im, "constant '%s' has a free dimension or is too large", t->name);
    return false;
  }
  if (t->sparsity.at)
    return tfl_densify(im, t, out);
  if ((int64_t)out->size != t->data.n) {
    tfl_broken(im, "constant '%s' has %" PRId64 " bytes, its shape needs %zu", t->name, t->data.n,
               out->size);
    return false;
  }
  out->data = (void *)(uintptr_t)t->data.data;
  if (out->size == 0 || (uintptr_t)out->data % neo_dtype_size(t->dtype) != 0) {
    if (!tfl_expand(im, (int64_t)out->size))
      return false;
    out->data = neo_arena_alloc(im->e.graph->arena, out->size + 16);
    if (out->size)
      memcpy(out->data, t->data.data, out->size);
  }
  return true;
}

/* Something of the type's kind, so that what follows can be looked at. */
static int placeholder(tfl_import *im, const char *name) {
  return neo_graph_add_value(im->e.graph, name, NEO_DTYPE_COUNT, NULL);
}

int tfl_value(tfl_import *im, tfl_tensor *t) {
  neo_tensor tensor;
  int64_t n;
  if (!t)
    return NEO_NO_VALUE;
  if (t->value != NEO_NO_VALUE)
    return t->value;
  bool empty = t->dtype < NEO_DTYPE_COUNT && neo_shape_elements(&t->shape, &n) && n == 0;
  if (t->dtype >= NEO_DTYPE_COUNT) {
    neo_unsupported_add(&im->e.unsupported, "tensor '%s': element type %d", t->name, t->type);
  } else if (t->constant || empty) {
    if (constant_tensor(im, t, &tensor))
      t->value = neo_emit_tensor(&im->e, t->name, &tensor);
  } else if (t->variable && neo_shape_elements(&t->shape, &n) && n < INT64_C(1) << 40) {
    tensor = (neo_tensor){t->dtype, t->shape, NULL, (size_t)n * neo_dtype_size(t->dtype)};
    if (tfl_expand(im, (int64_t)tensor.size)) {
      tensor.data = neo_arena_alloc(im->e.graph->arena, tensor.size + 16);
      t->value = neo_emit_tensor(&im->e, t->name, &tensor);
    }
  } else {
    tfl_broken(im, "tensor '%s' is read before anything writes it", t->name);
  }
  if (t->value == NEO_NO_VALUE)
    t->value = placeholder(im, t->name);
  return t->value;
}

/* ---- operators -------------------------------------------------------------------------------- */

static bool read_op(tfl_import *im, const neo_fb_table *table, tfl_op *op, int *code) {
  *op = (tfl_op){.im = im, .table = *table};
  op->options = neo_fb_child(table, TFL_OPERATOR_OPTIONS);
  op->inputs = neo_fb_field_vector(table, TFL_OPERATOR_INPUTS, 4);
  op->outputs = neo_fb_field_vector(table, TFL_OPERATOR_OUTPUTS, 4);
  int64_t index = neo_fb_int(table, TFL_OPERATOR_CODE, NEO_FB_U32, 0);
  if (index >= im->codes.n)
    tfl_broken(im, "operator code %" PRId64 " of %" PRId64 " is used", index, im->codes.n);
  neo_fb_table entry = neo_fb_element_table(&im->codes, index);
  int64_t old = neo_fb_int(&entry, TFL_CODE_OLD, NEO_FB_I8, 0),
          built_in = neo_fb_int(&entry, TFL_CODE_BUILTIN, NEO_FB_I32, 0);
  *code = (int)(old > built_in ? old : built_in);
  op->custom = neo_fb_string(&entry, TFL_CODE_CUSTOM);
  return tfl_ok(im);
}

/* Outputs that the converter could not make stand as placeholders. */
static void fill_outputs(tfl_op *op) {
  for (int k = 0; k < op->outputs.n && tfl_ok(op->im); k++) {
    tfl_tensor *t = tfl_output(op, k);
    if (t && t->value == NEO_NO_VALUE && !t->handle)
      t->value = placeholder(op->im, t->name);
  }
}

static bool is_placeholder(tfl_import *im, int value) {
  const neo_value *v = &im->e.graph->value[value];
  return v->node < 0 && !v->constant && !v->is_input;
}

/* Depends on something unsupported: only looked up in the table. */
static bool poisoned(tfl_op *op) {
  for (int k = 0; k < op->inputs.n; k++) {
    const tfl_tensor *t = tfl_input(op, k);
    if (t && t->value != NEO_NO_VALUE && is_placeholder(op->im, t->value))
      return true;
  }
  return false;
}

static void convert_op(tfl_import *im, const neo_fb_table *table) {
  tfl_op op;
  int code;
  if (!read_op(im, table, &op, &code))
    return;
  op.row = tfl_row_find(code);
  const tfl_tensor *first = op.outputs.n > 0 ? tfl_output(&op, 0) : NULL;
  im->e.scope = first ? first->name : "";
  if (++im->n_converted > MAX_CONVERTED)
    tfl_broken(im, "more than %d operators", MAX_CONVERTED);
  if (!op.row) {
    const char *what = code == 32 ? "custom" : "builtin";
    neo_emit_unsupported(&im->e, op.custom && code == 32 ? op.custom : "?",
                         "%s operator (code %d) not implemented", what, code);
  } else if (!poisoned(&op) && tfl_ok(im)) {
    tfl_convert(&op);
  }
  fill_outputs(&op);
}

bool tfl_open_scope(tfl_import *im, int64_t subgraph, tfl_scope *scope) {
  *scope = (tfl_scope){.subgraph = (int)subgraph};
  if (subgraph < 0 || subgraph >= im->subgraphs.n) {
    tfl_broken(im, "subgraph %" PRId64 " of %" PRId64 " is used", subgraph, im->subgraphs.n);
    return false;
  }
  neo_fb_table table = neo_fb_element_table(&im->subgraphs, subgraph);
  scope->tensors = neo_fb_field_vector(&table, TFL_GRAPH_TENSORS, 4);
  scope->inputs = neo_fb_field_vector(&table, TFL_GRAPH_INPUTS, 4);
  scope->outputs = neo_fb_field_vector(&table, TFL_GRAPH_OUTPUTS, 4);
  scope->operators = neo_fb_field_vector(&table, TFL_GRAPH_OPERATORS, 4);
  if (scope->tensors.n > (int64_t)(im->fb.size / 16 + 64))
    tfl_broken(im, "subgraph %" PRId64 " has %" PRId64 " tensors, more than the file can hold",
               subgraph, scope->tensors.n);
  if (!tfl_ok(im))
    return false;
  scope->tensor =
      neo_arena_alloc(im->e.graph->arena, sizeof *scope->tensor * ((size_t)scope->tensors.n + 1));
  return true;
}

void tfl_convert_scope(tfl_import *im, tfl_scope *scope) {
  if (++im->depth > MAX_DEPTH)
    tfl_broken(im, "subgraphs are nested deeper than %d, or call themselves", MAX_DEPTH);
  scope->outer = im->scope;
  im->scope = scope;
  for (int64_t i = 0; i < scope->operators.n && tfl_ok(im); i++) {
    neo_fb_table table = neo_fb_element_table(&scope->operators, i);
    convert_op(im, &table);
  }
  im->scope = scope->outer;
  im->depth--;
}

/* ---- the model -------------------------------------------------------------------------------- */

static void add_inputs(tfl_import *im, tfl_scope *scope) {
  for (int64_t i = 0; i < scope->inputs.n && tfl_ok(im); i++) {
    tfl_tensor *t = tfl_tensor_at(im, scope, neo_fb_element(&scope->inputs, NEO_FB_I32, i));
    if (!t || t->value != NEO_NO_VALUE) {
      tfl_broken(im, "input %" PRId64 " is absent or the same as another", i);
    } else if (t->dtype >= NEO_DTYPE_COUNT) {
      neo_unsupported_add(&im->e.unsupported, "input '%s': element type %d", t->name, t->type);
      t->value = placeholder(im, t->name);
    } else {
      t->value = neo_emit_input(&im->e, t->name, t->dtype, &t->shape);
    }
  }
}

static void add_outputs(tfl_import *im, tfl_scope *scope) {
  for (int64_t i = 0; i < scope->outputs.n && tfl_ok(im); i++) {
    tfl_tensor *t = tfl_tensor_at(im, scope, neo_fb_element(&scope->outputs, NEO_FB_I32, i));
    if (!t)
      tfl_broken(im, "output %" PRId64 " is absent", i);
    else
      neo_graph_add_output(im->e.graph, tfl_parts_packed(im, tfl_value(im, t)), t->name);
  }
  tfl_add_states(im);
}

static void read_model(tfl_import *im, const neo_fb_table *model) {
  tfl_scope scope;
  int64_t version = neo_fb_int(model, TFL_MODEL_VERSION, NEO_FB_U32, 0);
  im->codes = neo_fb_field_vector(model, TFL_MODEL_CODES, 4);
  im->subgraphs = neo_fb_field_vector(model, TFL_MODEL_SUBGRAPHS, 4);
  im->buffers = neo_fb_field_vector(model, TFL_MODEL_BUFFERS, 4);
  if (tfl_ok(im) && version != 3)
    im->fb.status = neo_fail(im->e.ctx, NEO_UNSUPPORTED,
                             "tflite: %s: schema version %" PRId64 ", only 3 is known",
                             im->e.source->path, version);
  if (!tfl_ok(im) || !tfl_open_scope(im, 0, &scope))
    return;
  add_inputs(im, &scope);
  tfl_find_states(im);
  tfl_convert_scope(im, &scope);
  add_outputs(im, &scope);
  if (tfl_ok(im) && im->e.graph->n_outputs == 0)
    tfl_broken(im, "the model has no outputs");
}

bool tflite_detect(const neo_source *source) {
  return !source->folder && neo_fb_detect(source->file.data, source->file.size, "TFL3");
}

static void release(void *keep) {
  neo_file_unmap(keep);
}

static void idle(void *keep) {
  neo_file_idle(keep);
}

neo_status tflite_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  tfl_import im = {0};
  NEO_TRY(neo_emitter_init(&im.e, ctx, source, "tflite"));
  neo_mapping *file = neo_arena_alloc(im.e.graph->arena, sizeof *file);
  neo_fb_table model = neo_fb_root(&im.fb, ctx, source->path, source->file.data, source->file.size);
  read_model(&im, &model);
  neo_graph *graph = im.e.graph;
  neo_status status = im.fb.status;
  if (status == NEO_OK)
    status = neo_emitter_end(&im.e, out);
  if (status != NEO_OK) {
    neo_emitter_drop(&im.e);
    return status;
  }
  *file = source->file;
  graph->keep = file;
  graph->keep_release = release;
  graph->keep_idle = idle;
  return NEO_OK;
}
