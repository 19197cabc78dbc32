/* frontends/torch_file.c: what the files of PyTorch have in common: tensors in storages, the
 * model's inputs and outputs.
 *
 * Invariant: torch_weight_check holds for every weight before anything reads its elements: offset
 * and strides keep all of them inside the storage. */
#include "frontends/complex.h"
#include "frontends/torch.h"

#include <stdlib.h>
#include <string.h>

/* ---- weights ------------------------------------------------------------------------------------------------ */

bool torch_weight_check(torch *t, const torch_weight *weight) {
  int64_t n, last = weight->offset, room = (int64_t)(weight->size / neo_dtype_size(weight->dtype));
  if (!neo_shape_elements(&weight->shape, &n) || weight->offset < 0) {
    torch_bad(t, NEO_BAD_INPUT, "tensor '%s' has an impossible shape or offset", weight->name);
    return false;
  }
  for (int i = 0; n > 0 && i < weight->shape.rank; i++) {
    int64_t steps = weight->shape.dim[i] - 1, stride = weight->stride[i];
    if (stride < 0 || (stride > 0 && steps > (INT64_MAX / 2 - last) / stride)) {
      last = INT64_MAX / 2;
      break;
    }
    last += steps * stride;
  }
  if (n > 0 && last >= room) {
    torch_bad(t, NEO_BAD_INPUT, "tensor '%s' reaches beyond its storage of %lld elements",
              weight->name, (long long)room);
    return false;
  }
  return true;
}

static bool is_dense(const torch_weight *weight) {
  int64_t expected = 1;
  for (int i = weight->shape.rank; i-- > 0;) {
    if (weight->shape.dim[i] != 1 && weight->stride[i] != expected)
      return false;
    expected *= weight->shape.dim[i];
  }
  return true;
}

static void copy_elements(const torch_weight *weight, int64_t n, uint8_t *out) {
  size_t size = neo_dtype_size(weight->dtype);
  int64_t index[NEO_MAX_RANK] = {0}, at = weight->offset;
  for (int64_t i = 0; i < n; i++) {
    memcpy(out + (size_t)i * size, weight->data + (size_t)at * size, size);
    for (int d = weight->shape.rank; d-- > 0;) {
      at += weight->stride[d];
      if (++index[d] < weight->shape.dim[d])
        break;
      at -= weight->stride[d] * weight->shape.dim[d];
      index[d] = 0;
    }
  }
}

static void *dense_copy(torch *t, torch_weight *weight, int64_t n) {
  size_t bytes = (size_t)n * neo_dtype_size(weight->dtype);
  if (weight->dense)
    return weight->dense;
  if ((int64_t)bytes > t->source->options.max_model_bytes - t->copied) {
    torch_bad(t, NEO_BAD_INPUT, "tensor '%s' has %zu bytes: more than --max-model-bytes allows",
              weight->name, bytes);
    return NULL;
  }
  weight->dense = neo_aligned_alloc(t->ctx, bytes + 1);
  if (!weight->dense) {
    torch_bad(t, NEO_NO_MEMORY, "%zu bytes for tensor '%s'", bytes, weight->name);
    return NULL;
  }
  t->copied += (int64_t)bytes;
  neo_graph_adopt(t->emitter.graph, weight->dense);
  copy_elements(weight, n, weight->dense);
  return weight->dense;
}

int torch_weight_constant(torch *t, torch_weight *weight) {
  int64_t n = 0;
  size_t size = neo_dtype_size(weight->dtype);
  neo_shape_elements(&weight->shape, &n);
  const uint8_t *data = weight->data + (size_t)weight->offset * size;
  bool mapped = data >= t->source->file.data && data < t->source->file.data + t->source->file.size;
  neo_tensor tensor = {weight->dtype, weight->shape, (void *)data, (size_t)n * size};
  if (!mapped || !is_dense(weight) || (uintptr_t)data % size != 0)
    tensor.data = dense_copy(t, weight, n);
  if (!tensor.data)
    return neo_emit_int(t->frame->emitter, 0);
  return neo_emit_tensor(t->frame->emitter, weight->name, &tensor);
}

/* ---- inputs -------------------------------------------------------------------------------------------------- */

/* The user's binding of "argK", which is another name of input k. */
static bool bound_as_arg(torch *t, const char *name) {
  const neo_import_options *options = &t->source->options;
  for (int i = 0; i < options->n_bindings; i++)
    if (strcmp(options->binding[i].name, name) == 0)
      return true;
  return false;
}

tv torch_input(torch *t, torch_inputs *inputs, const char *name, neo_dtype dtype,
               const neo_shape *shape) {
  char arg[24];
  snprintf(arg, sizeof arg, "arg%d", inputs->n++);
  int value = neo_emit_input(&t->emitter, bound_as_arg(t, arg) ? arg : name, dtype, shape);
  const neo_value *made = &t->emitter.graph->value[value];
  bool known = made->shape.rank >= 0;
  for (int i = 0; i < made->shape.rank; i++)
    known = known && made->shape.dim[i] >= 0;
  for (int i = 0; known && shape->rank >= 0 && i < made->shape.rank; i++)
    if (made->shape.rank != shape->rank ||
        (shape->dim[i] >= 0 && shape->dim[i] != made->shape.dim[i])) {
      torch_bad(t, NEO_USAGE,
                "--input %s: dimension %d must be %lld: the model was exported with this size",
                made->name, i, (long long)(i < shape->rank ? shape->dim[i] : -1));
      break;
    }
  if (!known) {
    neo_buf_printf(&inputs->missing, "%s --input %s=", inputs->missing.size ? "," : "", made->name);
    for (int i = 0; i < shape->rank; i++)
      if (shape->dim[i] >= 0)
        neo_buf_printf(&inputs->missing, "%s%lld", i ? "," : "", (long long)shape->dim[i]);
      else
        neo_buf_printf(&inputs->missing, "%sN", i ? "," : "");
    if (shape->rank < 0)
      neo_buf_text(&inputs->missing, "SHAPE[:DTYPE]");
  }
  return torch_tensor(t, value);
}

/* Operators whose output has the elements of their first input. */
static bool is_view(const char *op) {
  static const char *const views[] = {"reshape", "squeeze", "unsqueeze", "transpose",
                                      "slice",   "expand",  "identity",  "concat"};
  for (int i = 0; i < NEO_COUNT(views); i++)
    if (strcmp(op, views[i]) == 0)
      return true;
  return false;
}

bool torch_want(torch *t, int id, neo_dtype dtype) {
  const neo_graph *graph = t->emitter.graph;
  if (!t->wanted || t->frame != &t->top || id == NEO_NO_VALUE)
    return t->rerun;
  while (graph->value[id].node >= 0 && is_view(graph->node[graph->value[id].node].op->name))
    id = graph->node[graph->value[id].node].input[0];
  for (int k = 0; k < t->n_wanted && k < graph->n_inputs; k++)
    if (graph->input[k] == id && t->wanted[k] == NEO_DTYPE_COUNT &&
        graph->value[id].dtype != dtype) {
      t->wanted[k] = dtype;
      t->rerun = true;
    }
  return t->rerun;
}

/* Marks the values that `id` is made of. */
static void mark_sources(const neo_graph *graph, int id, bool *seen, int *stack) {
  int n = 0;
  stack[n++] = id;
  seen[id] = true;
  while (n > 0) {
    int v = stack[--n], at = graph->value[v].node;
    for (int k = 0; at >= 0 && k < graph->node[at].n_inputs; k++) {
      int in = graph->node[at].input[k];
      if (in != NEO_NO_VALUE && !seen[in]) {
        seen[in] = true;
        stack[n++] = in;
      }
    }
  }
}

bool torch_want_like(torch *t, int x, int w) {
  const neo_graph *graph = t->emitter.graph;
  if (!t->wanted || t->frame != &t->top || x == NEO_NO_VALUE || w == NEO_NO_VALUE || t->rerun)
    return t->rerun;
  neo_dtype dtype = torch_dtype_of(t, w);
  if (torch_dtype_of(t, x) != NEO_F32 || dtype == NEO_F32 || dtype >= NEO_DTYPE_COUNT ||
      neo_dtype_class(dtype) != 'f')
    return false;
  bool *seen = neo_arena_alloc(&t->arena, (size_t)graph->n_values);
  mark_sources(graph, x, seen,
               neo_arena_alloc(&t->arena, sizeof(int) * (size_t)(graph->n_values + 1)));
  for (int k = 0; k < t->n_wanted && k < graph->n_inputs; k++)
    if (seen[graph->input[k]] && t->wanted[k] == NEO_DTYPE_COUNT &&
        graph->value[graph->input[k]].dtype == NEO_F32) {
      t->wanted[k] = dtype;
      t->rerun = true;
    }
  return t->rerun;
}

bool torch_inputs_end(torch *t, torch_inputs *inputs) {
  if (inputs->missing.size)
    torch_bad(t, NEO_USAGE, "shapes of inputs are not in the file, give them:%s",
              inputs->missing.data);
  neo_buf_fini(&inputs->missing);
  return t->failed == NEO_OK;
}

/* ---- outputs --------------------------------------------------------------------------------------------------- */

static void add_outputs(torch *t, const tv *v, int depth, int *n) {
  if (depth > 32)
    return;
  if (torch_is_seq(v) || v->kind == TV_DICT) {
    for (int i = v->kind == TV_DICT; i < v->seq->n; i += v->kind == TV_DICT ? 2 : 1)
      add_outputs(t, &v->seq->item[i], depth + 1, n);
  } else if (v->kind == TV_OBJECT) { /* a NamedTuple */
    for (int i = 0; i < v->object->n; i++)
      add_outputs(t, &v->object->value[i], depth + 1, n);
  } else if (v->kind == TV_TENSOR || torch_is_number(v)) {
    neo_graph *graph = t->emitter.graph;
    int id = torch_id(t, v);
    if (neo_complex_is(&t->emitter, id)) /* its parts, in a last dimension */
      id = neo_complex_pack(&t->emitter, neo_complex_of(&t->emitter, id));
    neo_graph_add_output(graph, id, neo_arena_printf(graph->arena, "out%d", (*n)++));
  } else if (v->kind == TV_POISON && !torch_poisoned(t) && !t->rerun) {
    torch_unsupported(t, "output", "a result that only training has");
  }
}

void torch_outputs(torch *t, const tv *v) {
  int n = 0;
  add_outputs(t, v, 0, &n);
  neo_emit_infer(&t->emitter);
  if (n == 0 && !torch_poisoned(t))
    torch_bad(t, NEO_UNSUPPORTED, "the model has no tensor among its outputs");
}
