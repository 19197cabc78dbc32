/* Text of nests: canonical printing and parsing (the form is shown in nest.h).
 *
 * Why: every stage can be dumped, tests and fuzzers speak text, and people read nests.
 * How: recursive descent over lines; the indentation of a line is its depth, two blanks each.
 * Parsing recomputes what the text does not hold (n_vars, area sizes, counts) and checks the
 * result. */
#include "schedule/matrix.h"

#include <string.h>

#define MAX_ELEMENTS ((int64_t)1 << 40)
#define MAX_VARS 65536
#define MAX_ALIGN 64

static const char *const scope_names[] = {"param", "work", "scratch", "stack", "reg", "shared"};

/* ---- printing ---------------------------------------------------------------------------------
 */

static void print_buffer(neo_buf *buf, int number, const neo_nest_buffer *b) {
  neo_buf_printf(buf, "b%d %s", number, scope_names[b->scope]);
  if (b->scope == NEO_SCOPE_PARAM)
    neo_buf_text(buf, b->writable ? " out" : b->constant ? " const" : "");
  neo_buf_printf(buf, " %s %lld", neo_dtype_name(b->dtype), (long long)b->elements);
  if (b->scope == NEO_SCOPE_WORK || b->scope == NEO_SCOPE_SCRATCH)
    neo_buf_printf(buf, " @%lld", (long long)b->offset);
  if (b->scope == NEO_SCOPE_REG)
    neo_buf_printf(buf, " x%d", b->lanes);
  neo_buf_text(buf, "\n");
}

static void print_place(neo_buf *buf, const neo_matrix_place *place, int n_steps) {
  neo_buf_printf(buf, "b%d[", place->buffer);
  neo_expr_print(buf, place->offset);
  for (int i = 0; i < n_steps; i++)
    neo_buf_printf(buf, "%s %lld", i ? "," : ";", (long long)place->step[i]);
  neo_buf_text(buf, "]");
}

static void print_matrix(neo_buf *buf, const neo_matrix_stmt *m) {
  neo_buf_printf(buf, "mma %s %dx%d ", neo_matrix_get(m->row)->name, m->rows, m->columns);
  print_place(buf, &m->acc, 2);
  neo_buf_text(buf, " += ");
  print_place(buf, &m->a, 2);
  neo_buf_text(buf, " * ");
  print_place(buf, &m->b, 3);
  neo_buf_text(buf, "\n");
}

static void print_list(neo_buf *buf, const neo_stmt *list, int depth);

static void print_stmt(neo_buf *buf, const neo_stmt *s, int depth) {
  neo_buf_printf(buf, "%*s", depth * 2, "");
  switch (s->kind) {
  case NEO_STMT_FOR:
    neo_buf_printf(buf, "for i%d ", s->u.loop.var);
    neo_expr_print(buf, s->u.loop.extent);
    neo_buf_text(buf, s->u.loop.unrolled ? " unroll\n" : "\n");
    print_list(buf, s->u.loop.body, depth + 1);
    break;
  case NEO_STMT_LET:
    neo_buf_printf(buf, "let i%d = ", s->u.let.var);
    neo_expr_print(buf, s->u.let.value);
    neo_buf_text(buf, "\n");
    print_list(buf, s->u.let.body, depth + 1);
    break;
  case NEO_STMT_IF:
    neo_buf_text(buf, "if ");
    neo_expr_print(buf, s->u.branch.cond);
    neo_buf_text(buf, "\n");
    print_list(buf, s->u.branch.then, depth + 1);
    if (s->u.branch.otherwise) {
      neo_buf_printf(buf, "%*selse\n", depth * 2, "");
      print_list(buf, s->u.branch.otherwise, depth + 1);
    }
    break;
  case NEO_STMT_STORE:
    neo_buf_printf(buf, "b%d", s->u.store.buffer);
    if (s->u.store.value->lanes > 1)
      neo_buf_printf(buf, ".x%d", s->u.store.value->lanes);
    if (s->u.store.active < s->u.store.value->lanes)
      neo_buf_printf(buf, "a%d", s->u.store.active);
    neo_buf_text(buf, "[");
    neo_expr_print(buf, s->u.store.offset);
    neo_buf_text(buf, "] = ");
    neo_expr_print(buf, s->u.store.value);
    neo_buf_text(buf, "\n");
    break;
  case NEO_STMT_PREFETCH:
    neo_buf_printf(buf, "prefetch b%d[", s->u.prefetch.buffer);
    neo_expr_print(buf, s->u.prefetch.offset);
    neo_buf_text(buf, "]\n");
    break;
  case NEO_STMT_BARRIER:
    neo_buf_text(buf, "barrier\n");
    break;
  case NEO_STMT_MATRIX:
    print_matrix(buf, s->u.matrix);
    break;
  }
}

static void print_list(neo_buf *buf, const neo_stmt *list, int depth) {
  for (; list; list = list->next)
    print_stmt(buf, list, depth);
}

void neo_nest_print(neo_buf *buf, const neo_nest *nest) {
  neo_buf_text(buf, "nest 1");
  if (nest->align > 0)
    neo_buf_printf(buf, " align %d", nest->align);
  neo_buf_text(buf, "\n");
  for (int i = 0; i < nest->n_buffers; i++)
    print_buffer(buf, i, &nest->buffer[i]);
  for (int i = 0; i < nest->n_launches; i++) {
    const neo_launch *launch = &nest->launch[i];
    neo_buf_printf(buf, "launch i%d %lld", launch->var, (long long)launch->grid);
    if (launch->lanes > 1)
      neo_buf_printf(buf, " lanes i%d %d", launch->lane_var, launch->lanes);
    neo_buf_text(buf, "\n");
    print_list(buf, nest->launch[i].body, 1);
  }
}

/* ---- parsing ----------------------------------------------------------------------------------
 */

typedef struct parser {
  neo_ctx *ctx;
  neo_arena *arena;
  neo_nest *nest;
  neo_scan scan;
  neo_status status;
} parser;

static bool fail(parser *p, const char *what) {
  if (p->status == NEO_OK)
    p->status = neo_fail(p->ctx, NEO_BAD_INPUT, "nest: line %d: %s", p->scan.line, what);
  return false;
}

static bool dtype_of(void *self, int buffer, neo_dtype *out) {
  const neo_nest *nest = self;
  if (buffer < 0 || buffer >= nest->n_buffers)
    return false;
  *out = nest->buffer[buffer].dtype;
  return true;
}

static bool parse_expr(parser *p, const neo_expr **out) {
  neo_status status = neo_expr_parse(p->ctx, p->arena, &p->scan, dtype_of, p->nest, out);
  if (status != NEO_OK && p->status == NEO_OK)
    p->status = status;
  return status == NEO_OK;
}

static bool parse_number(parser *p, int64_t lo, int64_t hi, int64_t *out) {
  return (neo_scan_int(&p->scan, out) && *out >= lo && *out <= hi) ||
         fail(p, "number out of range");
}

static bool parse_var(parser *p, int *out) {
  int64_t v;
  if (!neo_scan_token(&p->scan, "i") || !parse_number(p, 0, MAX_VARS - 1, &v))
    return fail(p, "variable expected");
  *out = (int)v;
  if (p->nest->n_vars <= *out)
    p->nest->n_vars = *out + 1;
  return true;
}

/* Blanks at the start of the current line; at a line that is empty or past the end: -1. */
static int indentation(const parser *p) {
  int n = 0;
  while (p->scan.at[n] == ' ')
    n++;
  return p->scan.at[n] == '\0' || p->scan.at[n] == '\n' ? -1 : n;
}

static bool end_line(parser *p) {
  return neo_scan_newline(&p->scan) || *p->scan.at == '\0' || fail(p, "end of line expected");
}

static bool parse_list(parser *p, int depth, neo_stmt **out);

static bool parse_for(parser *p, int depth, neo_stmt **out) {
  int var;
  const neo_expr *extent;
  neo_stmt *body;
  if (!parse_var(p, &var) || !parse_expr(p, &extent))
    return false;
  bool unrolled = neo_scan_token(&p->scan, "unroll");
  if (!end_line(p) || !parse_list(p, depth + 1, &body))
    return false;
  *out = neo_nest_for(p->arena, var, extent, unrolled, body);
  return true;
}

static bool parse_let(parser *p, int depth, neo_stmt **out) {
  int var;
  const neo_expr *value;
  neo_stmt *body;
  if (!parse_var(p, &var))
    return false;
  if (!neo_scan_token(&p->scan, "="))
    return fail(p, "'=' expected");
  if (!parse_expr(p, &value) || !end_line(p) || !parse_list(p, depth + 1, &body))
    return false;
  *out = neo_nest_let(p->arena, var, value, body);
  return true;
}

static bool parse_if(parser *p, int depth, neo_stmt **out) {
  const neo_expr *cond;
  neo_stmt *then, *otherwise = NULL;
  if (!parse_expr(p, &cond) || !end_line(p) || !parse_list(p, depth + 1, &then))
    return false;
  if (indentation(p) == depth * 2 && strncmp(p->scan.at + depth * 2, "else\n", 5) == 0) {
    neo_scan_token(&p->scan, "else");
    if (!end_line(p) || !parse_list(p, depth + 1, &otherwise))
      return false;
  }
  *out = neo_nest_if(p->arena, cond, then, otherwise);
  return true;
}

static bool parse_place(parser *p, int *out_buffer, const neo_expr **out_offset) {
  int64_t buffer;
  if (!neo_scan_token(&p->scan, "b") || !parse_number(p, 0, p->nest->n_buffers - 1, &buffer))
    return fail(p, "no such buffer");
  *out_buffer = (int)buffer;
  if (!neo_scan_token(&p->scan, "["))
    return fail(p, "'[' expected");
  return parse_expr(p, out_offset) && (neo_scan_token(&p->scan, "]") || fail(p, "']' expected"));
}

static bool parse_prefetch(parser *p, neo_stmt **out) {
  int buffer;
  const neo_expr *offset;
  if (!parse_place(p, &buffer, &offset) || !end_line(p))
    return false;
  *out = neo_nest_prefetch(p->arena, buffer, offset);
  return true;
}

static bool parse_store(parser *p, neo_stmt **out) {
  int64_t buffer, lanes = 1, active;
  const neo_expr *offset, *value;
  if (!neo_scan_token(&p->scan, "b") || !parse_number(p, 0, p->nest->n_buffers - 1, &buffer))
    return fail(p, "statement expected");
  if (neo_scan_token(&p->scan, ".x") && !parse_number(p, 2, NEO_NEST_MAX_LANES, &lanes))
    return false;
  active = lanes;
  if (lanes > 1 && neo_scan_token(&p->scan, "a") && !parse_number(p, 1, lanes - 1, &active))
    return false;
  if (!neo_scan_token(&p->scan, "["))
    return fail(p, "'[' expected");
  if (!parse_expr(p, &offset))
    return false;
  if (!neo_scan_token(&p->scan, "]") || !neo_scan_token(&p->scan, "="))
    return fail(p, "'] =' expected");
  if (!parse_expr(p, &value))
    return false;
  if (value->lanes != lanes)
    return fail(p, "the value's lanes are not the store's");
  if (!end_line(p))
    return false;
  *out = neo_nest_store(p->arena, (int)buffer, offset, value, (int)active);
  return true;
}

/* bK[OFFSET; step, step ...] */
static bool parse_steps(parser *p, int n_steps, neo_matrix_place *out) {
  int64_t buffer;
  if (!neo_scan_token(&p->scan, "b") || !parse_number(p, 0, p->nest->n_buffers - 1, &buffer))
    return fail(p, "no such buffer");
  out->buffer = (int)buffer;
  if (!neo_scan_token(&p->scan, "[") || !parse_expr(p, &out->offset))
    return fail(p, "'[offset' expected");
  for (int i = 0; i < n_steps; i++)
    if (!neo_scan_token(&p->scan, i ? "," : ";") ||
        !parse_number(p, 0, MAX_ELEMENTS, &out->step[i]))
      return fail(p, "a step expected");
  return neo_scan_token(&p->scan, "]") || fail(p, "']' expected");
}

static bool parse_matrix(parser *p, neo_stmt **out) {
  neo_matrix_stmt made = {0};
  char name[32];
  int64_t rows, columns;
  if (!neo_scan_name(&p->scan, name, sizeof(name)) || (made.row = neo_matrix_find(name)) < 0)
    return fail(p, "no such row of matrices.def");
  if (!parse_number(p, 1, NEO_MATRIX_MAX_TILE, &rows) || !neo_scan_token(&p->scan, "x") ||
      !parse_number(p, 1, NEO_MATRIX_MAX_TILE, &columns))
    return fail(p, "ROWSxCOLUMNS expected");
  made.rows = (int)rows;
  made.columns = (int)columns;
  if (!parse_steps(p, 2, &made.acc))
    return false;
  if (!neo_scan_token(&p->scan, "+=") || !parse_steps(p, 2, &made.a))
    return fail(p, "'+= A' expected");
  if (!neo_scan_token(&p->scan, "*") || !parse_steps(p, 3, &made.b))
    return fail(p, "'* B' expected");
  *out = neo_nest_matrix(p->arena, &made);
  return end_line(p);
}

static bool parse_stmt(parser *p, int depth, neo_stmt **out) {
  if (depth >= NEO_NEST_MAX_DEPTH)
    return fail(p, "nested too deeply");
  if (neo_scan_token(&p->scan, "for "))
    return parse_for(p, depth, out);
  if (neo_scan_token(&p->scan, "let "))
    return parse_let(p, depth, out);
  if (neo_scan_token(&p->scan, "if "))
    return parse_if(p, depth, out);
  if (neo_scan_token(&p->scan, "prefetch "))
    return parse_prefetch(p, out);
  if (neo_scan_token(&p->scan, "mma "))
    return parse_matrix(p, out);
  if (neo_scan_token(&p->scan, "barrier")) {
    *out = neo_nest_barrier(p->arena);
    return end_line(p);
  }
  return parse_store(p, out);
}

static bool parse_list(parser *p, int depth, neo_stmt **out) {
  neo_stmt *head = NULL, **tail = &head;
  while (indentation(p) == depth * 2 && strncmp(p->scan.at + depth * 2, "else\n", 5) != 0) {
    if (!parse_stmt(p, depth, tail))
      return false;
    tail = &(*tail)->next;
  }
  *out = head;
  return head || fail(p, "statement expected here");
}

static bool parse_scope(parser *p, neo_nest_buffer *out) {
  for (int i = 0; i < NEO_COUNT(scope_names); i++) {
    if (!neo_scan_token(&p->scan, scope_names[i]))
      continue;
    out->scope = (neo_scope)i;
    if (i == NEO_SCOPE_PARAM) {
      out->writable = neo_scan_token(&p->scan, "out ");
      out->constant = !out->writable && neo_scan_token(&p->scan, "const ");
    }
    return true;
  }
  return fail(p, "scope expected");
}

static bool parse_buffer(parser *p) {
  neo_nest *nest = p->nest;
  int64_t number, lanes = 1;
  char name[8];
  neo_nest_buffer made = {.lanes = 1};
  if (nest->n_buffers == NEO_NEST_MAX_BUFFERS)
    return fail(p, "too many buffers");
  if (!parse_number(p, nest->n_buffers, nest->n_buffers, &number) || !parse_scope(p, &made))
    return false;
  if (!neo_scan_name(&p->scan, name, sizeof(name)) || !neo_dtype_find_computed(name, &made.dtype))
    return fail(p, "element type expected");
  if (!parse_number(p, 1, MAX_ELEMENTS, &made.elements))
    return false;
  bool area = made.scope == NEO_SCOPE_WORK || made.scope == NEO_SCOPE_SCRATCH;
  if (area && (!neo_scan_token(&p->scan, "@") || !parse_number(p, 0, MAX_ELEMENTS, &made.offset)))
    return fail(p, "'@offset' expected");
  if (made.scope == NEO_SCOPE_REG &&
      (!neo_scan_token(&p->scan, "x") || !parse_number(p, 1, NEO_NEST_MAX_LANES, &lanes)))
    return fail(p, "'xLANES' expected");
  made.lanes = (int)lanes;
  if (made.scope == NEO_SCOPE_PARAM && nest->n_params++ != nest->n_buffers)
    return fail(p, "params come first");
  nest->buffer[nest->n_buffers++] = made;
  return end_line(p);
}

static bool parse_launch(parser *p) {
  neo_nest *nest = p->nest;
  if (nest->n_launches == NEO_NEST_MAX_LAUNCHES)
    return fail(p, "too many launches");
  neo_launch *launch = &nest->launch[nest->n_launches++];
  int64_t lanes = 1;
  launch->lane_var = -1;
  if (!parse_var(p, &launch->var) || !parse_number(p, 1, MAX_ELEMENTS, &launch->grid))
    return false;
  if (neo_scan_token(&p->scan, "lanes ") &&
      (!parse_var(p, &launch->lane_var) || !parse_number(p, 2, NEO_NEST_MAX_GROUP, &lanes)))
    return false;
  launch->lanes = (int)lanes;
  return end_line(p) && parse_list(p, 1, &launch->body);
}

void neo_nest_areas(neo_nest *nest) {
  nest->work_bytes = nest->scratch_bytes = 0;
  for (int i = 0; i < nest->n_buffers; i++) {
    const neo_nest_buffer *b = &nest->buffer[i];
    int64_t end = b->offset + (b->elements * (int64_t)neo_dtype_size(b->dtype) + 63) / 64 * 64;
    if (b->scope == NEO_SCOPE_WORK)
      nest->work_bytes = neo_max_i64(nest->work_bytes, end);
    if (b->scope == NEO_SCOPE_SCRATCH)
      nest->scratch_bytes = neo_max_i64(nest->scratch_bytes, end);
  }
}

static bool parse_nest(parser *p) {
  int64_t align = 0;
  if (!neo_scan_token(&p->scan, "nest 1"))
    return fail(p, "'nest 1' expected");
  if (neo_scan_token(&p->scan, "align ") && !parse_number(p, 1, MAX_ALIGN, &align))
    return false;
  if ((align & (align - 1)) != 0 || !end_line(p))
    return fail(p, "a power of two, then the end of the line, expected");
  p->nest->align = (int)align;
  while (*p->scan.at == 'b' && neo_scan_token(&p->scan, "b"))
    if (!parse_buffer(p))
      return false;
  while (*p->scan.at == 'l' && neo_scan_token(&p->scan, "launch "))
    if (!parse_launch(p))
      return false;
  return neo_scan_end(&p->scan) || fail(p, "unexpected text");
}

neo_status neo_nest_parse(neo_ctx *ctx, neo_arena *arena, const char *text, neo_nest *out) {
  parser p = {.ctx = ctx, .arena = arena, .nest = neo_arena_alloc(arena, sizeof(neo_nest))};
  p.nest->arena = arena;
  neo_scan_init(&p.scan, text);
  if (!parse_nest(&p))
    return p.status == NEO_OK ? neo_fail(ctx, NEO_BAD_INPUT, "nest: malformed text") : p.status;
  neo_nest_areas(p.nest);
  NEO_TRY(neo_nest_check(ctx, p.nest));
  neo_nest_count(p.nest);
  *out = *p.nest;
  return NEO_OK;
}
