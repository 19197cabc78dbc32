/* frontends/tensorflow_node.c: one node: its attributes, inputs and outputs, and the table of
 * operators. */
#include "frontends/tensorflow_import.h"

#include <string.h>

#include "frontends/tensorflow_convert.h"

static const tf_row rows[] = {
#define TF(op, inputs, outputs, convert, arg) {#op, inputs, outputs, tf_##convert, arg, false},
#define TF_RAW(op, inputs, outputs, convert, arg) {#op, inputs, outputs, tf_##convert, arg, true},
#include "frontends/tensorflow_ops.def"
};

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

const tf_row *tf_row_find(const char *op) {
  int lo = 0, hi = NEO_COUNT(rows) - 1;
  while (lo <= hi) {
    int mid = (lo + hi) / 2, order = strcmp(op, rows[mid].op);
    if (order == 0)
      return &rows[mid];
    if (order < 0)
      hi = mid - 1;
    else
      lo = mid + 1;
  }
  return NULL;
}

/* ---- attributes -------------------------------------------------------------------------------------- */

const Tf__Value *tf_attr(const tf_node *node, const char *name) {
  for (size_t i = 0; i < node->pb->n_attr; i++)
    if (strcmp(text_or_empty(node->pb->attr[i]->key), name) == 0)
      return node->pb->attr[i]->value;
  return NULL;
}

int64_t tf_int(const tf_node *node, const char *name, int64_t otherwise) {
  const Tf__Value *v = tf_attr(node, name);
  return v && v->has_i ? v->i : otherwise;
}

bool tf_bool(const tf_node *node, const char *name, bool otherwise) {
  const Tf__Value *v = tf_attr(node, name);
  return v && v->has_b ? v->b != 0 : otherwise;
}

double tf_float(const tf_node *node, const char *name, double otherwise) {
  const Tf__Value *v = tf_attr(node, name);
  return v && v->has_f ? (double)v->f : otherwise;
}

bool tf_string_is(const tf_node *node, const char *name, const char *otherwise, const char *is) {
  const Tf__Value *v = tf_attr(node, name);
  if (!v || !v->has_s)
    return strcmp(otherwise, is) == 0;
  return v->s.len == strlen(is) && memcmp(v->s.data, is, v->s.len) == 0;
}

int tf_ints(const tf_node *node, const char *name, int64_t *out, int cap) {
  const Tf__Value *v = tf_attr(node, name);
  if (!v || !v->list || v->list->n_i > (size_t)cap)
    return -1;
  for (size_t i = 0; i < v->list->n_i; i++)
    out[i] = v->list->i[i];
  return (int)v->list->n_i;
}

neo_dtype tf_type(const tf_node *node, const char *name) {
  const Tf__Value *v = tf_attr(node, name);
  neo_dtype dtype;
  return v && v->has_type && tf_dtype(v->type, &dtype) ? dtype : NEO_DTYPE_COUNT;
}

/* ---- outputs ----------------------------------------------------------------------------------------- */

void tf_outputs(tf_import *im, tf_node *node, int n) {
  (void)im;
  node->out = neo_arena_alloc(&node->scope->arena, sizeof *node->out * (size_t)(n + 1));
  node->n_outputs = n;
}

void tf_set(tf_node *node, int k, int value) {
  if (k < node->n_outputs)
    node->out[k] = (tf_value){.kind = TF_TENSOR, .id = value};
}

neo_status tf_set1(tf_node *node, int value) {
  tf_set(node, 0, value);
  return NEO_OK;
}

neo_status tf_unsupported(tf_import *im, tf_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_emit_unsupported(im->e, text_or_empty(node->pb->op), "%s", text);
  for (int k = 0; k < node->n_outputs; k++)
    node->out[k] = (tf_value){.kind = TF_BAD};
  return NEO_OK;
}

neo_status tf_unknown(tf_import *im, tf_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (im->e->unsupported.n == 0)
    return tf_unsupported(im, node, "%s (are all inputs bound?)", text);
  for (int k = 0; k < node->n_outputs; k++)
    node->out[k] = (tf_value){.kind = TF_BAD};
  return NEO_OK;
}

neo_status tf_bad(tf_import *im, const tf_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: node '%s' (%s): %s",
                  text_or_empty(node->pb->name), text_or_empty(node->pb->op), text);
}

/* ---- inputs ------------------------------------------------------------------------------------------ */

int tf_in(const tf_node *node, int k) {
  return k < node->n_inputs && node->in[k].kind == TF_TENSOR ? node->in[k].id : NEO_NO_VALUE;
}

const neo_tensor *tf_const(tf_import *im, const tf_node *node, int k) {
  return neo_emit_const(im->e, tf_in(node, k));
}

bool tf_const_ints(tf_import *im, tf_node *node, int k, int64_t *out, int cap, int *n) {
  const neo_tensor *tensor = tf_const(im, node, k);
  int64_t count = 0;
  if (!tensor || !neo_shape_elements(&tensor->shape, &count) || tensor->shape.rank > 1 ||
      count > cap) {
    if (tensor)
      tf_unsupported(im, node, "input %d is no list of at most %d values", k, cap);
    else
      tf_unknown(im, node, "input %d is not a constant", k);
    return false;
  }
  for (int64_t i = 0; i < count; i++)
    out[i] = neo_tensor_get_i64(tensor, i);
  *n = (int)count;
  return true;
}

bool tf_const_int(tf_import *im, tf_node *node, int k, int64_t *out) {
  int n;
  if (!tf_const_ints(im, node, k, out, 1, &n))
    return false;
  if (n == 1)
    return true;
  tf_unsupported(im, node, "input %d is empty", k);
  return false;
}

int tf_rank(tf_import *im, tf_node *node, int k) {
  int rank = neo_emit_rank(im->e, tf_in(node, k));
  if (rank < 0)
    tf_unknown(im, node, "the rank of input %d is not known", k);
  return rank;
}

/* ---- conversion -------------------------------------------------------------------------------------- */

static neo_status gather_inputs(tf_import *im, tf_node *node) {
  const tf_scope *scope = node->scope;
  node->in = neo_arena_alloc(&node->scope->arena, sizeof *node->in * (node->pb->n_input + 1));
  for (size_t i = 0; i < node->pb->n_input; i++) {
    tf_ref ref;
    if (*node->pb->input[i] == '^')
      continue;
    NEO_TRY(tf_resolve(im, scope->graph, node->pb->input[i], &ref));
    tf_value value = tf_scope_value(scope, &ref);
    if (value.kind == TF_ABSENT)
      return tf_bad(im, node, "its input '%s' names no output", node->pb->input[i]);
    node->in[node->n_inputs++] = value;
  }
  return NEO_OK;
}

/* Before the node sees them: dead and bad inputs make dead and bad outputs; variables become their
 * tensors where tensors are wanted. */
static neo_status prepare_inputs(tf_import *im, tf_node *node, tf_kind *fate) {
  *fate = TF_TENSOR;
  for (int k = 0; k < node->n_inputs; k++) {
    tf_value *v = &node->in[k];
    if (v->kind == TF_DEAD)
      *fate = TF_DEAD;
    if (v->kind == TF_BAD && *fate != TF_DEAD)
      *fate = TF_BAD;
  }
  for (int k = 0; k < node->n_inputs && *fate == TF_TENSOR && !node->row->raw; k++) {
    tf_value *v = &node->in[k];
    int value;
    if (v->kind == TF_VARIABLE) {
      NEO_TRY(tf_variable_read(im, node, v->id, &value));
      *v = (tf_value){.kind = value == NEO_NO_VALUE ? TF_BAD : TF_TENSOR, .id = value};
      *fate = value == NEO_NO_VALUE ? TF_BAD : *fate;
    } else if (v->kind != TF_TENSOR) {
      *fate = TF_BAD;
      return tf_unsupported(im, node, "input %d is no tensor (a string, list or resource)", k);
    }
  }
  return NEO_OK;
}

static int count_words(const char *text) {
  int n = *text != 0;
  for (; *text; text++)
    n += *text == ' ';
  return n;
}

static void set_all(tf_node *node, tf_kind kind) {
  for (int k = 0; k < node->n_outputs; k++)
    if (node->out[k].kind == TF_ABSENT)
      node->out[k] = (tf_value){.kind = kind};
}

/* What of a Switch whose predicate is not constant reaches the outputs. */
static void inherit_branch(tf_node *node) {
  int pred = 0;
  bool side = false;
  for (int k = 0; k < node->n_inputs; k++)
    if (node->in[k].kind == TF_TENSOR && node->in[k].pred) {
      pred = node->in[k].pred;
      side = node->in[k].side;
    }
  for (int k = 0; k < node->n_outputs && pred; k++)
    if (node->out[k].kind == TF_TENSOR && !node->out[k].pred) {
      node->out[k].pred = pred;
      node->out[k].side = side;
    }
}

static bool is_merge(const tf_row *row) {
  return row && strcmp(row->op, "Merge") == 0;
}

static neo_status convert_known(tf_import *im, tf_node *node) {
  tf_kind fate = TF_TENSOR;
  int words = count_words(node->row->outputs);
  tf_outputs(im, node, words ? words : 1);
  if (node->n_inputs < node->row->inputs)
    return tf_bad(im, node, "%d inputs, at least %d needed", node->n_inputs, node->row->inputs);
  if (!is_merge(node->row))
    NEO_TRY(prepare_inputs(im, node, &fate));
  if (fate == TF_TENSOR)
    NEO_TRY(tf_has_complex(im, node) ? tf_complex_convert(im, node) : node->row->convert(im, node));
  set_all(node, fate == TF_TENSOR ? TF_OPAQUE : fate);
  if (!is_merge(node->row))
    inherit_branch(node);
  return NEO_OK;
}

/* An operator that is not in the table: a function of the library, or unsupported. */
static neo_status convert_unknown(tf_import *im, tf_node *node) {
  const tf_graph *f;
  tf_kind fate = TF_TENSOR;
  NEO_TRY(tf_function(im, text_or_empty(node->pb->op), &f));
  for (int k = 0; k < node->n_inputs; k++)
    fate = node->in[k].kind == TF_DEAD ? TF_DEAD : fate;
  int n = f ? (int)f->function->signature->n_output_arg : 1;
  tf_outputs(im, node, n);
  if (fate == TF_DEAD)
    set_all(node, fate);
  else if (f)
    return tf_call(im, f, node->scope, node->n_inputs, node->in, node->out);
  else
    return tf_unsupported(im, node, "operator not implemented");
  return NEO_OK;
}

neo_status tf_node_convert(tf_import *im, tf_scope *scope, int index) {
  tf_node node = {.pb = scope->graph->node[index], .scope = scope, .index = index};
  const char *outer = im->e->scope;
  node.row = tf_row_find(text_or_empty(node.pb->op));
  im->e->scope = text_or_empty(node.pb->name);
  neo_status status = tf_is_exit(node.pb) ? NEO_OK : gather_inputs(im, &node);
  if (status == NEO_OK)
    status = node.row ? convert_known(im, &node) : convert_unknown(im, &node);
  im->e->scope = outer;
  if (status == NEO_OK && scope->n_out[index] == 0) {
    scope->out[index] = node.out;
    scope->n_out[index] = node.n_outputs;
  }
  return status;
}
