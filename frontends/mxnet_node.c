/* frontends/mxnet_node.c: what the converters of MXNet operators use (mxnet_import.h). */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <string.h>

static const mx_row rows[] = {
#define X(name, convert, op) {name, convert, op},
#include "frontends/mxnet_ops.def"
#undef X
};

const mx_row *mx_row_find(const char *name) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0)
      return &rows[i];
  return NULL;
}

void mx_unsupported(mx_node *node, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_emit_unsupported(&node->im->e, node->op, "%s", text);
}

int mx_in(const mx_node *node, int k) {
  return k < node->n_inputs ? node->input[k] : NEO_NO_VALUE;
}

void mx_set(mx_node *node, int k, int value) {
  if (k < node->n_outputs)
    node->output[k] = value;
}

neo_node *mx_emit(mx_node *node, const char *op, int n, const int *inputs) {
  return neo_emit_node(&node->im->e, op, n, inputs, 1);
}

int mx_one(mx_node *node, const char *op, int x) {
  return neo_emit_unary(&node->im->e, op, x);
}

int mx_two(mx_node *node, const char *op, int a, int b) {
  return neo_emit_binary(&node->im->e, op, a, b);
}

int mx_scalar(mx_node *node, int like, double v) {
  neo_dtype dtype = neo_emit_dtype(&node->im->e, like);
  return neo_emit_scalar(&node->im->e, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, v);
}

const neo_shape *mx_shape(mx_node *node, int value) {
  const neo_shape *shape = value == NEO_NO_VALUE ? NULL : neo_emit_shape(&node->im->e, value);
  if (!shape)
    mx_unsupported(node, "needs the shapes of its inputs: give them with --input NAME=SHAPE");
  return shape;
}

int mx_rank(mx_node *node, int value) {
  int rank = value == NEO_NO_VALUE ? -1 : neo_emit_rank(&node->im->e, value);
  if (rank < 0)
    mx_unsupported(node, "needs the shapes of its inputs: give them with --input NAME=SHAPE");
  return rank;
}

bool mx_axis(mx_node *node, int64_t axis, int rank, int *out) {
  if (rank < 0)
    return false;
  if (axis < -rank || axis >= rank) {
    mx_unsupported(node, "axis %" PRId64 " of a tensor of rank %d", axis, rank);
    return false;
  }
  *out = (int)(axis < 0 ? axis + rank : axis);
  return true;
}

int mx_transpose_to(mx_node *node, int value, int rank, int from, int to) {
  int64_t perm[NEO_MAX_RANK];
  int n = 0;
  for (int d = 0; d < rank; d++) {
    if (d == from)
      continue;
    if (n == to)
      perm[n++] = from;
    perm[n++] = d;
  }
  if (n < rank)
    perm[n] = from;
  return from == to ? value : neo_emit_transpose(&node->im->e, value, rank, perm);
}
