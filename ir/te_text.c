/* ir/te_text.c: the text form of a te (ir/te.h), which is what the workload key hashes.
 *
 *   "te 1"
 *   "b" N role dtype shape                                        one line per buffer, N ascending
 *   "B" N "b" M "[" write indices "]" " s[" extents "]" [" r[" extents "] " combine " " init]
 *   "  " body                                                     two lines per block, N ascending
 *
 * init is a constant as expressions print it (f32:0, i64 without a prefix). */
#include "ir/te_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- printing ----------------------------------------------------------------------------------
 */

static void print_extents(neo_buf *buf, const char *name, const int64_t *extent, int n) {
  neo_buf_printf(buf, " %s[", name);
  for (int k = 0; k < n; k++)
    neo_buf_printf(buf, "%s%" PRId64, k ? "," : "", extent[k]);
  neo_buf_text(buf, "]");
}

static void print_init(neo_buf *buf, neo_dtype dtype, neo_scalar init) {
  if (dtype != NEO_I64)
    neo_buf_printf(buf, "%s:", neo_dtype_name(dtype));
  if (neo_dtype_class(dtype) == 'f')
    neo_buf_double(buf, init.f);
  else
    neo_buf_printf(buf, "%" PRId64, init.i);
}

static void print_block(neo_buf *buf, const neo_te *te, int k) {
  const neo_te_block *b = &te->block[k];
  neo_buf_printf(buf, "B%d b%d[", k, b->buffer);
  for (int d = 0; d < te->buffer[b->buffer].shape.rank; d++) {
    neo_buf_text(buf, d ? ", " : "");
    neo_expr_print(buf, b->write[d]);
  }
  neo_buf_text(buf, "]");
  print_extents(buf, "s", b->extent, b->n_spatial);
  if (b->n_reduce) {
    print_extents(buf, "r", b->extent + b->n_spatial, b->n_reduce);
    neo_buf_printf(buf, " %s ", neo_combine_name(b->combine));
    print_init(buf, te->buffer[b->buffer].dtype, b->init);
  }
  neo_buf_text(buf, "\n  ");
  neo_expr_print(buf, b->body);
  neo_buf_text(buf, "\n");
}

void neo_te_print(neo_buf *buf, const neo_te *te) {
  neo_buf_text(buf, "te 1\n");
  for (int k = 0; k < te->n_buffers; k++) {
    const neo_te_buffer *b = &te->buffer[k];
    neo_buf_printf(buf, "b%d %s %s ", k, neo_te_role_name(b->role), neo_dtype_name(b->dtype));
    neo_shape_print(buf, &b->shape);
    neo_buf_text(buf, "\n");
  }
  for (int k = 0; k < te->n_blocks; k++)
    print_block(buf, te, k);
}

/* ---- parsing -----------------------------------------------------------------------------------
 */

typedef struct parser {
  neo_ctx *ctx;
  neo_te *te;
  neo_scan scan;
} parser;

static neo_status fail(parser *p, const char *expected) {
  return neo_fail(p->ctx, NEO_BAD_INPUT, "te: line %d: expected %s at '%.24s'", p->scan.line,
                  expected, p->scan.at);
}

static neo_status need(parser *p, const char *token) {
  return neo_scan_token(&p->scan, token) ? NEO_OK : fail(p, token);
}

static neo_status need_number(parser *p, const char *token, int64_t expected) {
  int64_t v;
  NEO_TRY(need(p, token));
  if (!neo_scan_int(&p->scan, &v) || v != expected)
    return fail(p, "the next number");
  return NEO_OK;
}

static neo_status need_newline(parser *p) {
  return neo_scan_newline(&p->scan) ? NEO_OK : fail(p, "the end of the line");
}

/* "[1,2,3]" */
static neo_status parse_extents(parser *p, int64_t *out, int cap, int *n) {
  *n = 0;
  NEO_TRY(need(p, "["));
  if (neo_scan_token(&p->scan, "]"))
    return NEO_OK;
  do {
    if (*n == cap)
      return fail(p, "fewer extents");
    if (!neo_scan_int(&p->scan, &out[*n]) || out[*n] < 1)
      return fail(p, "an extent of at least 1");
    ++*n;
  } while (neo_scan_token(&p->scan, ","));
  return need(p, "]");
}

static neo_status parse_buffer(parser *p) {
  char name[16];
  neo_te *te = p->te;
  neo_te_buffer b = {0};
  if (te->n_buffers == NEO_TE_MAX_BUFFERS)
    return fail(p, "at most 64 buffers");
  NEO_TRY(need_number(p, "b", te->n_buffers));
  if (!neo_scan_name(&p->scan, name, sizeof name))
    return fail(p, "a role");
  int role = 0;
  while (role <= NEO_TE_OUT && strcmp(name, neo_te_role_name((neo_te_role)role)) != 0)
    role++;
  if (role > NEO_TE_OUT)
    return fail(p, "in, const, tmp or out before");
  b.role = (neo_te_role)role;
  if (!neo_scan_name(&p->scan, name, sizeof name) || !neo_dtype_find_computed(name, &b.dtype))
    return fail(p, "an element type");
  NEO_TRY(parse_extents(p, b.shape.dim, NEO_MAX_RANK, &b.shape.rank));
  te->buffer[te->n_buffers++] = b;
  return need_newline(p);
}

static bool dtype_of(void *self, int buffer, neo_dtype *out) {
  const neo_te *te = self;
  if (buffer < 0 || buffer >= te->n_buffers)
    return false;
  *out = te->buffer[buffer].dtype;
  return true;
}

static neo_status parse_expr(parser *p, const neo_expr **out) {
  return neo_expr_parse(p->ctx, p->te->arena, &p->scan, dtype_of, p->te, out);
}

static neo_status parse_reduction(parser *p, neo_te_block *b) {
  char name[16];
  const neo_expr *init;
  NEO_TRY(parse_extents(p, b->extent + b->n_spatial, NEO_TE_MAX_AXES - b->n_spatial, &b->n_reduce));
  if (!neo_scan_name(&p->scan, name, sizeof name))
    return fail(p, "a combination");
  for (int k = NEO_COMBINE_ADD; k <= NEO_COMBINE_MIN; k++) {
    if (strcmp(name, neo_combine_name((neo_combine)k)) == 0)
      b->combine = (neo_combine)k;
  }
  if (b->combine == NEO_COMBINE_NONE)
    return fail(p, "add, mul, max or min before");
  NEO_TRY(parse_expr(p, &init));
  if (init->op != NEO_EXPR_CONST || init->dtype != p->te->buffer[b->buffer].dtype)
    return fail(p, "a constant of the buffer's type before");
  if (neo_dtype_class(init->dtype) == 'f')
    b->init.f = init->u.f;
  else
    b->init.i = init->u.i;
  return NEO_OK;
}

static neo_status parse_write(parser *p, neo_te_block *b) {
  int rank = p->te->buffer[b->buffer].shape.rank;
  NEO_TRY(need(p, "["));
  for (int d = 0; d < rank; d++) {
    if (d > 0)
      NEO_TRY(need(p, ","));
    NEO_TRY(parse_expr(p, &b->write[d]));
  }
  return need(p, "]");
}

static neo_status parse_block(parser *p) {
  neo_te *te = p->te;
  neo_te_block b = {0};
  int64_t buffer;
  if (te->n_blocks == NEO_TE_MAX_BLOCKS)
    return fail(p, "at most 64 blocks");
  NEO_TRY(need_number(p, "B", te->n_blocks));
  NEO_TRY(need(p, "b"));
  if (!neo_scan_int(&p->scan, &buffer) || buffer < 0 || buffer >= te->n_buffers)
    return fail(p, "a known buffer");
  b.buffer = (int)buffer;
  NEO_TRY(parse_write(p, &b));
  NEO_TRY(need(p, "s"));
  NEO_TRY(parse_extents(p, b.extent, NEO_TE_MAX_AXES, &b.n_spatial));
  if (neo_scan_token(&p->scan, "r"))
    NEO_TRY(parse_reduction(p, &b));
  NEO_TRY(need_newline(p));
  NEO_TRY(parse_expr(p, &b.body));
  te->block[te->n_blocks++] = b;
  return need_newline(p);
}

static neo_status parse_te(parser *p) {
  NEO_TRY(need(p, "te"));
  NEO_TRY(need(p, "1"));
  NEO_TRY(need_newline(p));
  while (neo_scan_space(&p->scan), *p->scan.at == 'b')
    NEO_TRY(parse_buffer(p));
  while (neo_scan_space(&p->scan), *p->scan.at == 'B')
    NEO_TRY(parse_block(p));
  return neo_scan_end(&p->scan) ? NEO_OK : fail(p, "a block or the end");
}

neo_status neo_te_parse(neo_ctx *ctx, neo_arena *arena, const char *text, neo_te *out) {
  neo_te *te = neo_arena_alloc(arena, sizeof *te);
  parser p = {.ctx = ctx, .te = te};
  neo_te_init(te, arena);
  neo_scan_init(&p.scan, text);
  NEO_TRY(parse_te(&p));
  NEO_TRY(neo_te_check(ctx, te));
  memcpy(out, te, sizeof *out);
  return NEO_OK;
}
