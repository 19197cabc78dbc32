/* ir/rows.c: proves that rows do not mix, from two partitions of a model that differ in their
 * number.
 *
 * How. Where the two differ in a dimension's extent by just the ratio of the rows, that dimension
 * is the rows' (b * wide here, b * narrow there: b neighbouring elements are of one row).
 * Everything else must be the same in both: operators, attributes, expressions, constants. A
 * constant that has rows must begin with the narrow one's. Then it is enough that, in the wide one,
 * every block of every te that writes rows computes row k from row k of what it reads; intervals of
 * the index expressions show it, row by row. Views must keep the rows' distance in memory. Runtime
 * operators that work along one axis keep rows along others apart; any other, and control flow, may
 * not touch rows.
 *
 * So nothing is assumed about the operators, and an extent that found its way into a number (the
 * mean over a batch, by 1/n) or a shape is a difference that is refused. */
#include "ir/rows.h"

#include <string.h>

/* Rows of a shape: dim is 1 + the dimension, 0: none; block: its elements of one row; stride:
 * elements between the starts of two rows. */
typedef struct row_shape {
  int dim;
  int64_t block, stride;
} row_shape;

typedef struct row_check {
  neo_ctx *ctx;
  const neo_partition *wide, *narrow;
  int64_t n_wide, n_narrow;
  row_shape *value; /* by the wide one's value */
  int *twin;        /* by the wide one's value: the narrow one's, or NEO_NO_VALUE */
  const neo_group *group;
} row_check;

static neo_status mixes(const row_check *c, const char *how) {
  return neo_fail(c->ctx, NEO_UNSUPPORTED, "node '%s' (%s) does not keep its slices apart: %s",
                  c->group ? c->group->name : "?", c->group ? c->group->op : "?", how);
}

static neo_status differs(const row_check *c, const char *what) {
  char how[80];
  snprintf(how, sizeof how, "%s depends on how many there are", what);
  return mixes(c, how);
}

/* Is a an extent of so many rows in the wide one as b in the narrow one? */
static bool scaled(const row_check *c, int64_t a, int64_t b, int64_t *block) {
  *block = a / c->n_wide;
  return *block > 0 && a == *block * c->n_wide && b == *block * c->n_narrow;
}

static bool compare_shapes(const row_check *c, const neo_shape *a, const neo_shape *b,
                           row_shape *out) {
  *out = (row_shape){0};
  if (a->rank != b->rank)
    return false;
  for (int d = 0; d < a->rank; d++) {
    if (a->dim[d] == b->dim[d])
      continue;
    if (out->dim || !scaled(c, a->dim[d], b->dim[d], &out->block))
      return false;
    out->dim = d + 1;
  }
  out->stride = out->block;
  for (int d = out->dim; out->dim && d < a->rank; d++)
    out->stride *= a->dim[d];
  return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The narrow one's constant is what the wide one's begins with. */
static bool same_constant(const neo_tensor *a, const neo_tensor *b, const row_shape *rows) {
  for (int d = 0; d < rows->dim - 1; d++)
    if (a->shape.dim[d] != 1)
      return false;
  return b->size <= a->size &&
         (b->size == 0 || a->data == b->data || memcmp(a->data, b->data, b->size) == 0);
}

/* v and u are the same value of both. */
static neo_status pair(row_check *c, int v, int u) {
  if ((v == NEO_NO_VALUE) != (u == NEO_NO_VALUE))
    return differs(c, "an argument");
  if (v == NEO_NO_VALUE)
    return NEO_OK;
  if (c->twin[v] != NEO_NO_VALUE)
    return c->twin[v] == u ? NEO_OK : differs(c, "an argument");
  const neo_value *a = &c->wide->graph->value[v], *b = &c->narrow->graph->value[u];
  if (a->dtype != b->dtype || a->bounded != b->bounded || (!a->constant) != (!b->constant))
    return differs(c, "an argument");
  if (!compare_shapes(c, &a->shape, &b->shape, &c->value[v]))
    return differs(c, "a shape");
  if (a->bounded && c->value[v].dim)
    return mixes(c, "only a part of them is real");
  if (a->constant && !same_constant(a->constant, b->constant, &c->value[v]))
    return differs(c, "a constant");
  c->twin[v] = u;
  return NEO_OK;
}

/* ---- tensor expressions ---------------------------------------------------------------------- */

typedef struct te_check {
  row_check *rows;
  const neo_te *te;
  row_shape buffer[NEO_TE_MAX_BUFFERS];
  neo_range range[NEO_TE_MAX_AXES]; /* of one row */
  int n_axes, axis;                 /* that has the rows, -1: none */
  int64_t row;
  bool apart;
} te_check;

/* Does this index stay in the row? */
static bool in_row(const te_check *c, const neo_expr *index, const row_shape *rows) {
  neo_range range;
  return neo_expr_range(index, c->range, c->n_axes, &range) && range.lo >= c->row * rows->block &&
         range.hi < (c->row + 1) * rows->block;
}

static void check_load(void *self, const neo_expr *load) {
  te_check *c = self;
  const row_shape *rows = &c->buffer[load->u.load.buffer];
  if (rows->dim && (c->axis < 0 || !in_row(c, load->arg[rows->dim - 1], rows)))
    c->apart = false;
}

/* Axes of both are the same but for one, which has the rows. */
static bool find_axis(te_check *c, const neo_te_block *a, const neo_te_block *b, int64_t *block) {
  c->axis = -1;
  c->n_axes = a->n_spatial + a->n_reduce;
  for (int i = 0; i < c->n_axes; i++) {
    c->range[i] = (neo_range){0, a->extent[i] - 1};
    if (a->extent[i] == b->extent[i])
      continue;
    if (c->axis >= 0 || !scaled(c->rows, a->extent[i], b->extent[i], block))
      return false;
    c->axis = i;
  }
  return true;
}

static bool same_block(const te_check *c, const neo_te_block *a, const neo_te_block *b) {
  if (a->buffer != b->buffer || a->n_spatial != b->n_spatial || a->n_reduce != b->n_reduce ||
      a->combine != b->combine || memcmp(&a->init, &b->init, sizeof a->init) != 0 ||
      !neo_expr_equal(a->body, b->body))
    return false;
  for (int d = 0; d < c->te->buffer[a->buffer].shape.rank; d++)
    if (!neo_expr_equal(a->write[d], b->write[d]))
      return false;
  return true;
}

static neo_status check_block(te_check *c, const neo_te_block *a, const neo_te_block *b) {
  const row_shape *out = &c->buffer[a->buffer];
  int64_t block = 0;
  if (!find_axis(c, a, b, &block))
    return differs(c->rows, "an extent");
  if (!same_block(c, a, b))
    return differs(c->rows, "an expression");
  if (c->axis >= a->n_spatial || (c->axis >= 0) != (out->dim > 0))
    return mixes(c->rows, "it combines them");
  c->apart = true;
  int64_t n = c->axis < 0 ? 1 : c->rows->n_wide;
  for (c->row = 0; c->row < n && c->apart; c->row++) {
    if (c->axis >= 0) {
      c->range[c->axis] = (neo_range){c->row * block, (c->row + 1) * block - 1};
      c->apart = in_row(c, a->write[out->dim - 1], out);
    }
    neo_expr_visit_loads(a->body, check_load, c);
  }
  return c->apart ? NEO_OK : mixes(c->rows, "it combines them");
}

/* Buffers of the te against the values that they are. */
static neo_status check_buffers(te_check *c, const neo_te *narrow) {
  const row_check *rows = c->rows;
  int arg = 0;
  for (int b = 0; b < c->te->n_buffers; b++) {
    const neo_te_buffer *x = &c->te->buffer[b], *y = &narrow->buffer[b];
    if (x->role != y->role || x->dtype != y->dtype ||
        !compare_shapes(rows, &x->shape, &y->shape, &c->buffer[b]))
      return differs(rows, "a shape");
    if (x->role == NEO_TE_TMP)
      continue;
    const row_shape *value = &rows->value[rows->group->arg[arg++]];
    if ((value->dim > 0) != (c->buffer[b].dim > 0) || value->stride != c->buffer[b].stride)
      return differs(rows, "a shape");
  }
  return NEO_OK;
}

static neo_status check_te(row_check *rows, const neo_te *wide, const neo_te *narrow) {
  te_check *c = neo_alloc(rows->ctx, sizeof *c);
  if (!c)
    return neo_fail(rows->ctx, NEO_NO_MEMORY, "rows");
  *c = (te_check){.rows = rows, .te = wide};
  neo_status status = NEO_OK;
  if (wide->n_buffers != narrow->n_buffers || wide->n_blocks != narrow->n_blocks)
    status = differs(rows, "the code");
  if (status == NEO_OK)
    status = check_buffers(c, narrow);
  for (int b = 0; b < wide->n_blocks && status == NEO_OK; b++)
    status = check_block(c, &wide->block[b], &narrow->block[b]);
  neo_free(rows->ctx, c);
  return status;
}

/* ---- what is no tensor expression --------------------------------------------------------------- */

static bool any_rows(const row_check *c) {
  for (int i = 0; i < c->group->n_args; i++)
    if (c->group->arg[i] != NEO_NO_VALUE && c->value[c->group->arg[i]].dim)
      return true;
  return false;
}

static bool same_attributes(const neo_node *a, const neo_node *b) {
  bool same = a->n_attrs == b->n_attrs;
  for (int i = 0; same && i < a->n_attrs; i++) {
    const neo_attr *x = &a->attr[i], *y = &b->attr[i];
    same = strcmp(x->name, y->name) == 0 && x->kind == y->kind;
    if (!same)
      break;
    switch (x->kind) {
    case NEO_ATTR_INT:
      same = x->i == y->i;
      break;
    case NEO_ATTR_FLOAT:
      same = memcmp(&x->f, &y->f, sizeof x->f) == 0;
      break;
    case NEO_ATTR_STRING:
      same = strcmp(x->s, y->s) == 0;
      break;
    case NEO_ATTR_INTS:
      same = x->n == y->n && memcmp(x->ints, y->ints, sizeof *x->ints * (size_t)x->n) == 0;
      break;
    default: /* of no runtime operator */
      same = false;
    }
  }
  return same;
}

/* The operators of the runtime that work along one axis, or (axis -2) on one row of dimension 0. */
static bool row_axis(const neo_node *node, int rank, int *out) {
  static const char *const along[] = {"top_k", "arg_max", "arg_min"};
  const char *name = node->op->runtime ? node->op->runtime : "";
  for (int i = 0; i < NEO_COUNT(along); i++)
    if (strcmp(name, along[i]) == 0) {
      int axis = (int)neo_node_int(node, "axis", -1);
      *out = axis < 0 ? axis + rank : axis;
      return true;
    }
  *out = -1;
  return strcmp(name, "tree_table") == 0;
}

static neo_status check_runtime(row_check *c, const neo_group *narrow) {
  const neo_graph *graph = c->wide->graph;
  const neo_node *a = &graph->node[c->group->node[0]];
  if (!same_attributes(a, &c->narrow->graph->node[narrow->node[0]]))
    return differs(c, "an attribute");
  if (!any_rows(c))
    return NEO_OK;
  int axis = -1, first = c->value[c->group->arg[0]].dim;
  if (!row_axis(a, graph->value[c->group->arg[0]].shape.rank, &axis) || first == 0 ||
      first - 1 == axis || (axis < 0 && first != 1))
    return mixes(c, "it sees all of them at once");
  for (int i = 0; i < c->group->n_args; i++) {
    int v = c->group->arg[i];
    const row_shape *rows = v == NEO_NO_VALUE ? NULL : &c->value[v];
    bool is_output = i >= c->group->n_inputs;
    if (rows && (is_output ? rows->dim != first : i > 0 && rows->dim != 0))
      return mixes(c, "it sees all of them at once");
  }
  return NEO_OK;
}

static neo_status check_view(const row_check *c) {
  const row_shape *in = &c->value[c->group->arg[0]],
                  *out = &c->value[c->group->arg[c->group->n_args - 1]];
  if ((in->dim > 0) != (out->dim > 0) || in->stride != out->stride)
    return mixes(c, "it is a view across them");
  return NEO_OK;
}

static neo_status check_group(row_check *c, const neo_group *narrow) {
  const neo_group *g = c->group;
  if (g->kind != narrow->kind || strcmp(g->op, narrow->op) != 0 || g->n_args != narrow->n_args ||
      g->region != narrow->region || g->n_inputs != narrow->n_inputs)
    return differs(c, "the code");
  for (int i = 0; i < g->n_args; i++)
    NEO_TRY(pair(c, g->arg[i], narrow->arg[i]));
  switch (g->kind) {
  case NEO_STEP_TE:
    return check_te(c, &g->te, &narrow->te);
  case NEO_STEP_RUNTIME:
    return check_runtime(c, narrow);
  case NEO_STEP_VIEW:
    return check_view(c);
  case NEO_STEP_FLOW:
    break;
  }
  return any_rows(c) || g->region ? mixes(c, "control flow may depend on all of them") : NEO_OK;
}

/* ---- the whole model ----------------------------------------------------------------------------- */

static neo_status check_interface(row_check *c, int *input_dim, int *output_dim) {
  const neo_graph *a = c->wide->graph, *b = c->narrow->graph;
  c->group = NULL;
  for (int o = 0; o < a->n_outputs; o++) {
    NEO_TRY(pair(c, a->output[o], b->output[o]));
    output_dim[o] = c->value[a->output[o]].dim;
  }
  for (int i = 0; i < a->n_inputs; i++) {
    const row_shape *rows = &c->value[a->input[i]];
    input_dim[i] = rows->dim;
    if (rows->dim && rows->block != 1)
      return neo_fail(c->ctx, NEO_UNSUPPORTED, "input '%s' has a multiple of the rows",
                      a->value[a->input[i]].name);
  }
  return NEO_OK;
}

static neo_status check_all(row_check *c, int *input_dim, int *output_dim) {
  const neo_graph *a = c->wide->graph, *b = c->narrow->graph;
  if (a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs ||
      c->wide->n_groups != c->narrow->n_groups)
    return neo_fail(c->ctx, NEO_UNSUPPORTED, "the graph depends on how many slices there are");
  for (int i = 0; i < a->n_inputs; i++)
    NEO_TRY(pair(c, a->input[i], b->input[i]));
  for (int g = 0; g < c->wide->n_groups; g++) {
    c->group = &c->wide->group[g];
    NEO_TRY(check_group(c, &c->narrow->group[g]));
  }
  return check_interface(c, input_dim, output_dim);
}

neo_status neo_rows_check(neo_ctx *ctx, const neo_rows_of *wide, const neo_rows_of *narrow,
                          int *input_dim, int *output_dim) {
  size_t n = (size_t)wide->partition->graph->n_values + 1;
  row_check c = {.ctx = ctx,
                 .wide = wide->partition,
                 .narrow = narrow->partition,
                 .n_wide = wide->rows,
                 .n_narrow = narrow->rows};
  c.value = neo_alloc(ctx, sizeof *c.value * n);
  c.twin = neo_alloc(ctx, sizeof *c.twin * n);
  neo_status status =
      c.value && c.twin ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "rows: %zu values", n);
  for (size_t v = 0; status == NEO_OK && v < n; v++)
    c.twin[v] = NEO_NO_VALUE;
  if (status == NEO_OK)
    status = check_all(&c, input_dim, output_dim);
  neo_free(ctx, c.value);
  neo_free(ctx, c.twin);
  return status;
}
