/* ir/ops_matmul.c: matmul, gemm and einsum: sums of products. Axes (batch..., m, n), reduce k. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

/* The block that sums: the output itself, or a TMP in the type of the computation that `finish`
 * rounds. */
static neo_te_block *sum_block(neo_lowering *l, bool more) {
  const neo_value *y = &l->graph->value[l->node->output[0]];
  neo_dtype compute = neo_compute_dtype(y->dtype);
  if (!more && compute == y->dtype)
    return neo_lower_output(l, 0);
  return neo_lower_tmp(l, compute, &y->shape);
}

static void identity_index(neo_lowering *l, int rank, const neo_expr **index) {
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(l, d);
}

static void finish(neo_lowering *l, const neo_te_block *sum) {
  const neo_expr *index[NEO_MAX_RANK];
  if (l->te->buffer[sum->buffer].role == NEO_TE_OUT)
    return;
  identity_index(l, l->te->buffer[sum->buffer].shape.rank, index);
  const neo_expr *e = neo_lower_read(l, sum, index);
  neo_lower_body(l, neo_lower_output(l, 0), e);
}

/* ---- matmul -------------------------------------------------------------------------------------- */

/* Both operands as if of rank 2 or more. */
typedef struct product {
  int64_t m, n, k;
  bool row, column; /* a, b is a vector: its output dimension disappears */
  neo_shape batch, out;
} product;

static neo_shape batch_of(const neo_shape *s) {
  neo_shape b = *s;
  b.rank = s->rank > 2 ? s->rank - 2 : 0;
  return b;
}

static neo_status read_product(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               product *p) {
  const neo_shape *a = &neo_op_in(graph, node, 0)->shape, *b = &neo_op_in(graph, node, 1)->shape;
  if (a->rank < 1 || b->rank < 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "an operand is a scalar");
  p->row = a->rank == 1;
  p->column = b->rank == 1;
  p->k = a->dim[a->rank - 1];
  p->m = p->row ? 1 : a->dim[a->rank - 2];
  p->n = p->column ? 1 : b->dim[b->rank - 1];
  int64_t inner = p->column ? b->dim[0] : b->dim[b->rank - 2];
  neo_shape x = batch_of(a), y = batch_of(b);
  if (inner != p->k)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "inner dimensions %" PRId64 " and %" PRId64 " differ", p->k, inner);
  if (p->k == 0)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "a product over no elements");
  if (!neo_shape_broadcast(&x, &y, &p->batch))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the batch dimensions do not broadcast");
  p->out = p->batch;
  if (!p->row)
    p->out.dim[p->out.rank++] = p->m;
  if (!p->column)
    p->out.dim[p->out.rank++] = p->n;
  return NEO_OK;
}

neo_status neo_infer_matmul(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  product p = {0};
  neo_dtype out;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_contraction(ctx, graph, node, &out));
  NEO_TRY(read_product(ctx, graph, node, &p));
  const neo_value *a = neo_op_in(graph, node, 0);
  if (a->dtype == NEO_BOOL)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for bool");
  neo_op_set(graph, node, 0, out, &p.out);
  return NEO_OK;
}

/* Batch indices of an operand, right-aligned with the output's; returns their number. */
static int batch_index(neo_lowering *l, const product *p, const neo_shape *s,
                       const neo_expr **index) {
  int n = s->rank > 2 ? s->rank - 2 : 0;
  for (int d = 0; d < n; d++)
    index[d] = s->dim[d] == 1 ? neo_i_const(l, 0) : neo_i_var(l, p->batch.rank - n + d);
  return n;
}

neo_status neo_lower_matmul(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  product p = {0};
  const neo_expr *ia[NEO_MAX_RANK], *ib[NEO_MAX_RANK];
  NEO_TRY(read_product(ctx, graph, node, &p));
  int a = neo_lower_input(&l, 0), b = neo_lower_input(&l, 1);
  neo_te_block *sum = sum_block(&l, false);
  const neo_expr *k = neo_i_var(&l, neo_lower_reduce(sum, NEO_COMBINE_ADD, 1, &p.k));
  int na = batch_index(&l, &p, &te->buffer[a].shape, ia),
      nb = batch_index(&l, &p, &te->buffer[b].shape, ib);
  if (!p.row)
    ia[na++] = neo_i_var(&l, p.batch.rank);
  ia[na] = k;
  ib[nb++] = k;
  if (!p.column)
    ib[nb] = neo_i_var(&l, p.out.rank - 1);
  neo_dtype dtype = te->buffer[sum->buffer].dtype;
  const neo_expr *x = neo_expr_cast(te->arena, dtype, neo_lower_load(&l, a, ia));
  sum->body =
      neo_x2(&l, NEO_EXPR_MUL, x, neo_expr_cast(te->arena, dtype, neo_lower_load(&l, b, ib)));
  finish(&l, sum);
  return NEO_OK;
}

/* ---- gemm ---------------------------------------------------------------------------------------- */

neo_status neo_infer_gemm(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, 1));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, 2));
  const neo_value *a = neo_op_in(graph, node, 0), *b = neo_op_in(graph, node, 1),
                  *c = neo_op_in(graph, node, 2);
  int ta = neo_node_int(node, "trans_a", 0) != 0, tb = neo_node_int(node, "trans_b", 0) != 0;
  if (a->shape.rank != 2 || b->shape.rank != 2)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "operands of rank %d and %d, 2 needed",
                       a->shape.rank, b->shape.rank);
  if (a->shape.dim[!ta] != b->shape.dim[tb] || a->shape.dim[!ta] == 0)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "inner dimensions %" PRId64 " and %" PRId64,
                       a->shape.dim[!ta], b->shape.dim[tb]);
  if (a->dtype == NEO_BOOL)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for bool");
  neo_shape shape = {.rank = 2, .dim = {a->shape.dim[ta], b->shape.dim[!tb]}}, both;
  if (c && (!neo_shape_broadcast(&shape, &c->shape, &both) || !neo_shape_equal(&both, &shape)))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input 2 does not broadcast to the product");
  neo_op_set(graph, node, 0, a->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_gemm(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                          int *in_value) {
  NEO_LOWERING(l);
  bool ta = neo_node_int(node, "trans_a", 0) != 0, tb = neo_node_int(node, "trans_b", 0) != 0;
  double alpha = neo_node_float(node, "alpha", 1), beta = neo_node_float(node, "beta", 1);
  const neo_expr *m = neo_i_var(&l, 0), *n = neo_i_var(&l, 1), *index[2] = {m, n};
  const neo_expr *ia[2], *ib[2];
  int a = neo_lower_input(&l, 0), b = neo_lower_input(&l, 1);
  bool add = beta != 0 && neo_op_in(graph, node, 2);
  const neo_expr *c = add ? neo_lower_operand(&l, 2, 2, index) : NULL;
  neo_te_block *sum = sum_block(&l, c || alpha != 1);
  const neo_expr *k =
      neo_i_var(&l, neo_lower_reduce(sum, NEO_COMBINE_ADD, 1, &te->buffer[a].shape.dim[!ta]));
  ia[ta] = m;
  ia[!ta] = k;
  ib[tb] = k;
  ib[!tb] = n;
  sum->body = neo_x2(&l, NEO_EXPR_MUL, neo_lower_load(&l, a, ia), neo_lower_load(&l, b, ib));
  if (te->buffer[sum->buffer].role == NEO_TE_OUT)
    return NEO_OK;
  const neo_expr *e = neo_xc(&l, NEO_EXPR_MUL, neo_lower_read(&l, sum, index), alpha);
  if (c)
    e = neo_x2(&l, NEO_EXPR_ADD, e, neo_xc(&l, NEO_EXPR_MUL, c, beta));
  neo_lower_body(&l, neo_lower_output(&l, 0), e);
  return NEO_OK;
}

/* ---- einsum -------------------------------------------------------------------------------------- */

#define MAX_TERMS 8

/* "bij,bjk->bik": letters per term; "..." becomes letters of its own, one per dimension. */
typedef struct equation {
  int n_terms;
  char term[MAX_TERMS][NEO_MAX_RANK + 1];
  char out[NEO_MAX_RANK + 1];
  char sum[NEO_TE_MAX_AXES + 1]; /* letters that only inputs have, in order of appearance */
  int64_t extent[128];
} equation;

/* Ellipsis dimensions are named '0', '1', ... from the right, so that they broadcast like NumPy's.
 */
static bool expand_term(const char **at, int rank, char *out) {
  char text[64];
  int n = 0, length = 0, dots = -1;
  for (; **at && **at != ',' && **at != '-'; ++*at) {
    if (strncmp(*at, "...", 3) == 0) {
      dots = n;
      *at += 2;
    } else if (**at != ' ') {
      bool letter = (**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z');
      if (!letter || n == (int)sizeof text - 1)
        return false;
      text[n++] = **at;
    }
  }
  int more = dots < 0 ? 0 : rank - n;
  if (n > NEO_MAX_RANK || more < 0 || n + more > NEO_MAX_RANK || (rank >= 0 && n + more != rank))
    return false;
  for (int k = 0; k <= n; k++) {
    for (int d = 0; k == dots && d < more; d++)
      out[length++] = (char)('0' + more - 1 - d);
    if (k < n)
      out[length++] = text[k];
  }
  out[length] = 0;
  return true;
}

static bool distinct(const char *text) {
  for (; *text; text++) {
    if (strchr(text + 1, *text))
      return false;
  }
  return true;
}

/* Output without "->": ellipsis first, then the letters that appear once, in alphabetical order. */
static bool implicit_output(equation *q) {
  int count[128] = {0}, n = 0;
  for (int t = 0; t < q->n_terms; t++) {
    for (const char *c = q->term[t]; *c; c++)
      count[(int)*c]++;
  }
  for (int c = '9'; c >= '0'; c--) {
    if (count[c] && n < NEO_MAX_RANK)
      q->out[n++] = (char)c;
  }
  for (int c = 'A'; c <= 'z'; c++) {
    if (count[c] == 1 && n < NEO_MAX_RANK)
      q->out[n++] = (char)c;
  }
  q->out[n] = 0;
  return true;
}

static neo_status read_extents(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               equation *q) {
  for (int c = 0; c < 128; c++)
    q->extent[c] = 1;
  for (int t = 0; t < q->n_terms; t++) {
    const neo_shape *s = &neo_op_in(graph, node, t)->shape;
    for (int d = 0; d < s->rank; d++) {
      int64_t *e = &q->extent[(int)q->term[t][d]];
      if (*e != s->dim[d] && *e != 1 && s->dim[d] != 1)
        return neo_op_fail(ctx, node, NEO_BAD_INPUT, "'%c' is %" PRId64 " and %" PRId64,
                           q->term[t][d], *e, s->dim[d]);
      *e = *e == 1 ? s->dim[d] : *e;
      if (s->dim[d] == 0)
        return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "an empty operand");
    }
  }
  return NEO_OK;
}

static neo_status read_equation(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                equation *q) {
  const char *text = neo_node_string(node, "equation", ""), *at = text;
  *q = (equation){.n_terms = node->n_inputs};
  bool ok = node->n_inputs <= MAX_TERMS;
  int dots = 0;
  for (int t = 0; ok && t < q->n_terms; t++) {
    ok = expand_term(&at, neo_op_in(graph, node, t)->shape.rank, q->term[t]);
    for (const char *c = q->term[t]; ok && *c; c++)
      dots = *c >= '0' && *c <= '9' && *c - '0' + 1 > dots ? *c - '0' + 1 : dots;
    if (ok && t < q->n_terms - 1)
      ok = *at++ == ',';
  }
  if (ok && at[0] == '-' && at[1] == '>') {
    at += 2;
    bool ellipsis = strstr(at, "...") != NULL;
    int letters = 0;
    for (const char *c = at; *c; c++)
      letters += *c != '.' && *c != ' ';
    ok = expand_term(&at, letters + (ellipsis ? dots : 0), q->out) && distinct(q->out);
  } else if (ok) {
    ok = implicit_output(q);
  }
  if (!ok || *at)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "equation '%s'", text);
  NEO_TRY(read_extents(ctx, graph, node, q));
  int n = 0;
  for (int t = 0; t < q->n_terms; t++) {
    for (const char *c = q->term[t]; *c; c++) {
      if (strchr(q->out, *c) || strchr(q->sum, *c))
        continue;
      if (n + (int)strlen(q->out) == NEO_TE_MAX_AXES)
        return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "equation '%s' has too many letters", text);
      q->sum[n++] = *c;
    }
  }
  return NEO_OK;
}

neo_status neo_infer_einsum(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  equation q;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  for (int k = 1; k < node->n_inputs; k++)
    NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, k));
  NEO_TRY(read_equation(ctx, graph, node, &q));
  neo_shape shape = {.rank = (int)strlen(q.out)};
  for (int d = 0; d < shape.rank; d++)
    shape.dim[d] = q.extent[(int)q.out[d]];
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_einsum(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  equation q;
  int64_t extents[NEO_TE_MAX_AXES];
  const neo_expr *of[128] = {NULL}, *e = NULL;
  NEO_TRY(read_equation(ctx, graph, node, &q));
  int buffer[MAX_TERMS], n = (int)strlen(q.sum);
  for (int t = 0; t < q.n_terms; t++)
    buffer[t] = neo_lower_input(&l, t);
  neo_te_block *sum = sum_block(&l, false);
  for (int k = 0; k < n; k++)
    extents[k] = q.extent[(int)q.sum[k]];
  int var = neo_lower_reduce(sum, NEO_COMBINE_ADD, n, extents);
  for (int d = 0; q.out[d]; d++)
    of[(int)q.out[d]] = neo_i_var(&l, d);
  for (int k = 0; k < n; k++)
    of[(int)q.sum[k]] = neo_i_var(&l, var + k);
  for (int t = 0; t < q.n_terms; t++) {
    const neo_expr *index[NEO_MAX_RANK];
    const neo_shape *s = &te->buffer[buffer[t]].shape;
    for (int d = 0; d < s->rank; d++)
      index[d] = s->dim[d] == 1 ? neo_i_const(&l, 0) : of[(int)q.term[t][d]];
    const neo_expr *x = neo_lower_load(&l, buffer[t], index);
    e = e ? neo_x2(&l, NEO_EXPR_MUL, e, x) : x;
  }
  sum->body = e;
  finish(&l, sum);
  return NEO_OK;
}
