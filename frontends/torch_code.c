/* frontends/torch_code.c: parser of TorchScript source (torch_code.h), by recursive descent.
 *
 * Grammar (torch/csrc/jit/serialization/python_print.cpp writes it):
 *   file   := (class | def)*
 *   class  := 'class' NAME ['(' NAME ')'] ':' block of fields and defs
 *   def    := 'def' NAME '(' param,* ')' '->' expr ':' block
 *   stmt   := targets '=' expr | NAME ':' expr ['=' expr] | expr | 'return' expr | 'pass'
 *           | 'if' | 'for' NAME 'in' expr | 'while' expr | 'with' expr
 *   expr   := primary ('.' NAME | '(' args ')' | '[' expr ']')*
 *   primary:= NAME | number | '-' number | string | '(' exprs ')' | '[' exprs ']' | '{' pairs '}'
 * Blocks are by indentation; inside brackets line ends mean nothing. */
#include "frontends/torch_code.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 200, MAX_INDENT = 100 };

typedef enum token_kind {
  T_END,
  T_NEWLINE,
  T_INDENT,
  T_DEDENT,
  T_NAME,
  T_NUMBER,
  T_STRING,
  T_PUNCT
} token_kind;

typedef struct parser {
  torch *t;
  const char *path, *at, *end;
  int line, depth, brackets;
  int indent[MAX_INDENT], n_indents, dedents; /* dedents still to be delivered */
  bool fresh;                                 /* at the start of a line */
  token_kind kind;
  const char *text; /* of NAME, NUMBER and STRING (decoded) */
  char punct[3];
  bool failed;
} parser;

static void fail(parser *p, const char *what) {
  if (!p->failed)
    torch_bad(p->t, NEO_BAD_INPUT, "%s: line %d: %s", p->path, p->line, what);
  p->failed = true;
  p->kind = T_END;
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

static int hex_value(char c) {
  return isdigit((unsigned char)c)    ? c - '0'
         : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                      : -1;
}

static char escaped(parser *p) {
  char c = p->at < p->end ? *p->at++ : 0;
  if (c >= '0' && c <= '7') {
    int v = c - '0';
    for (int i = 0; i < 2 && p->at < p->end && *p->at >= '0' && *p->at <= '7'; i++)
      v = v * 8 + *p->at++ - '0';
    return (char)v;
  }
  if (c == 'x' && p->end - p->at >= 2 && hex_value(p->at[0]) >= 0 && hex_value(p->at[1]) >= 0) {
    p->at += 2;
    return (char)(hex_value(p->at[-2]) * 16 + hex_value(p->at[-1]));
  }
  return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

static void string_token(parser *p) {
  char quote = *p->at++;
  neo_buf text = {0};
  while (p->at < p->end && *p->at != quote && *p->at != '\n') {
    char c = *p->at++;
    if (c == '\\')
      c = escaped(p);
    neo_buf_append(&text, &c, 1);
  }
  if (p->at >= p->end || *p->at != quote)
    fail(p, "string without an end");
  else
    p->at++;
  p->text = neo_arena_strdup(&p->t->arena, text.data ? text.data : "");
  p->kind = p->failed ? T_END : T_STRING;
  neo_buf_fini(&text);
}

/* Blank lines and comments, and at the start of a line its indentation; true: that made a token. */
static bool line_start(parser *p) {
  for (;;) {
    const char *from = p->at;
    while (p->at < p->end && *p->at == ' ')
      p->at++;
    int width = (int)(p->at - from > 10000 ? 10000 : p->at - from);
    if (p->at < p->end && *p->at == '#')
      while (p->at < p->end && *p->at != '\n')
        p->at++;
    if (p->at < p->end && (*p->at == '\n' || *p->at == '\r')) {
      p->line += *p->at == '\n';
      p->at++;
      continue;
    }
    p->fresh = false;
    if (p->at >= p->end)
      width = 0;
    if (width > p->indent[p->n_indents - 1]) {
      if (p->n_indents == MAX_INDENT) {
        fail(p, "nested too deep");
        return true;
      }
      p->indent[p->n_indents++] = width;
      p->kind = T_INDENT;
      return true;
    }
    while (width < p->indent[p->n_indents - 1]) {
      p->n_indents--;
      p->dedents++;
    }
    return false;
  }
}

static void word_token(parser *p) {
  const char *from = p->at;
  bool number = isdigit((unsigned char)*from) || *from == '.';
  while (p->at < p->end &&
         (isalnum((unsigned char)*p->at) || *p->at == '_' || (number && *p->at == '.') ||
          (number && (*p->at == '-' || *p->at == '+') && (p->at[-1] == 'e' || p->at[-1] == 'E'))))
    p->at++;
  p->text = neo_arena_strndup(&p->t->arena, from, (size_t)(p->at - from));
  p->kind = number ? T_NUMBER : T_NAME;
}

static void newline_token(parser *p) {
  while (p->at < p->end && *p->at != '\n')
    p->at++;
  p->line++;
  p->at += p->at < p->end;
  p->fresh = true;
  p->kind = T_NEWLINE;
}

static void punct_token(parser *p) {
  char c = *p->at;
  bool arrow = c == '-' && p->at + 1 < p->end && p->at[1] == '>';
  snprintf(p->punct, sizeof p->punct, "%.*s", arrow ? 2 : 1, p->at);
  p->at += arrow ? 2 : 1;
  if (c != 0 && strchr("([{", c))
    p->brackets++;
  if (c != 0 && strchr(")]}", c))
    p->brackets--;
  p->kind = T_PUNCT;
}

/* Blanks, and within brackets line ends. */
static void skip_space(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\r' || (p->brackets > 0 && *p->at == '\n')))
    p->line += *p->at++ == '\n';
}

static void next(parser *p) {
  if (p->failed || (p->fresh && line_start(p)))
    return;
  if (p->dedents > 0) {
    p->dedents--;
    p->kind = T_DEDENT;
    return;
  }
  skip_space(p);
  if (p->at >= p->end) {
    p->kind = T_END;
    return;
  }
  unsigned char c = (unsigned char)*p->at;
  bool fraction = c == '.' && p->at + 1 < p->end && isdigit((unsigned char)p->at[1]);
  if (c == '\n' || c == '#')
    newline_token(p);
  else if (c == '"' || c == '\'')
    string_token(p);
  else if (isalnum(c) || c == '_' || fraction)
    word_token(p);
  else
    punct_token(p);
}

static bool is(const parser *p, const char *punct) {
  return p->kind == T_PUNCT && strcmp(p->punct, punct) == 0;
}

static bool is_word(const parser *p, const char *word) {
  return p->kind == T_NAME && strcmp(p->text, word) == 0;
}

static bool accept(parser *p, const char *punct) {
  if (!is(p, punct))
    return false;
  next(p);
  return true;
}

static void expect(parser *p, const char *punct) {
  if (!accept(p, punct))
    fail(p, neo_arena_printf(&p->t->arena, "'%s' expected", punct));
}

static const char *name(parser *p) {
  const char *text = p->text;
  if (p->kind != T_NAME) {
    fail(p, "name expected");
    return "";
  }
  next(p);
  return text;
}

static void line_end(parser *p) {
  if (p->kind == T_NEWLINE)
    next(p);
  else if (p->kind != T_END && p->kind != T_DEDENT)
    fail(p, "end of line expected");
}

/* ---- expressions ---------------------------------------------------------------------------------------------------- */

static ts_expr *expression(parser *p);

static ts_expr *make(parser *p, ts_kind kind) {
  ts_expr *e = neo_arena_alloc(&p->t->arena, sizeof *e);
  e->kind = kind;
  e->line = p->line;
  return e;
}

static void add_item(parser *p, ts_expr *e, ts_expr *item) {
  e->item = neo_arena_grow(&p->t->arena, e->item, &e->cap, e->n + 1, sizeof(ts_expr *));
  e->item[e->n++] = item;
}

/* exprs up to the closing bracket; a comma at the end is fine. *comma: there was one. */
static void items(parser *p, ts_expr *e, const char *close, bool *comma) {
  while (!p->failed && !is(p, close)) {
    add_item(p, e, expression(p));
    *comma = accept(p, ",") || *comma;
    if (!is(p, close) && !*comma)
      break;
  }
  expect(p, close);
}

static ts_expr *number(parser *p, bool negative) {
  ts_expr *e = make(p, TS_VALUE);
  const char *text = p->text;
  if (p->kind == T_NAME && negative && (strcmp(text, "inf") == 0 || strcmp(text, "nan") == 0)) {
    e->value = torch_float(text[0] == 'i' ? -strtod("inf", NULL) : strtod("nan", NULL));
  } else if (p->kind != T_NUMBER || strchr(text, 'j')) {
    fail(p, "number expected");
  } else if (strpbrk(text, ".eE")) {
    double v = strtod(text, NULL);
    e->value = torch_float(negative ? -v : v);
  } else {
    uint64_t v = strtoull(text, NULL, 10);
    e->value = torch_int(negative ? (int64_t)(0 - v) : (int64_t)v);
  }
  next(p);
  return e;
}

static ts_expr *dict(parser *p) {
  ts_expr *e = make(p, TS_DICT);
  while (!p->failed && !is(p, "}")) {
    add_item(p, e, expression(p));
    expect(p, ":");
    add_item(p, e, expression(p));
    if (!accept(p, ","))
      break;
  }
  expect(p, "}");
  return e;
}

static ts_expr *word(parser *p) {
  ts_expr *e = make(p, TS_VALUE);
  if (is_word(p, "None")) {
    e->value = torch_none();
  } else if (is_word(p, "True") || is_word(p, "False")) {
    e->value = torch_bool(p->text[0] == 'T');
  } else if (is_word(p, "inf") || is_word(p, "nan")) {
    e->value = torch_float(strtod(p->text, NULL));
  } else {
    e->kind = TS_NAME;
    e->text = p->text;
  }
  next(p);
  return e;
}

static ts_expr *primary(parser *p) {
  bool comma = false;
  if (p->kind == T_NAME)
    return word(p);
  if (p->kind == T_NUMBER)
    return number(p, false);
  if (p->kind == T_STRING) {
    ts_expr *e = make(p, TS_VALUE);
    e->value = torch_string(p->text);
    next(p);
    return e;
  }
  if (accept(p, "-"))
    return number(p, true);
  if (accept(p, "{"))
    return dict(p);
  if (accept(p, "[")) {
    ts_expr *e = make(p, TS_LIST);
    items(p, e, "]", &comma);
    return e;
  }
  if (accept(p, "(")) {
    ts_expr *e = make(p, TS_TUPLE);
    items(p, e, ")", &comma);
    return e->n == 1 && !comma ? e->item[0] : e;
  }
  fail(p, "expression expected");
  return make(p, TS_TUPLE);
}

/* f(a, b, k=c, ) */
static void call_args(parser *p, ts_expr *call) {
  while (!p->failed && !is(p, ")")) {
    ts_expr *arg = expression(p);
    if (arg->kind == TS_NAME && accept(p, "=")) {
      call->key = neo_arena_grow(&p->t->arena, call->key, &call->cap_named, call->n_named + 1,
                                 sizeof(char *));
      call->key[call->n_named++] = arg->text;
      arg = expression(p);
    } else if (call->n_named > 0) {
      fail(p, "positional argument behind a named one");
    }
    add_item(p, call, arg);
    if (!accept(p, ","))
      break;
  }
  expect(p, ")");
}

static ts_expr *expression(parser *p) {
  if (++p->depth > MAX_DEPTH) {
    fail(p, "nested too deep");
    p->depth--;
    return make(p, TS_TUPLE);
  }
  ts_expr *e = primary(p);
  for (int length = 0; !p->failed; length++) {
    ts_expr *outer = NULL;
    if (length > MAX_DEPTH)
      fail(p, "chain too long");
    else if (accept(p, ".")) {
      outer = make(p, TS_ATTR);
      outer->text = p->kind == T_NUMBER ? p->text : NULL;
      if (outer->text)
        next(p);
      else
        outer->text = name(p);
    } else if (accept(p, "(")) {
      outer = make(p, TS_CALL);
      call_args(p, outer);
    } else if (accept(p, "[")) {
      bool comma = false;
      ts_expr *list = make(p, TS_TUPLE);
      items(p, list, "]", &comma);
      outer = make(p, TS_INDEX);
      add_item(p, outer, list->n == 1 ? list->item[0] : list);
    } else {
      break;
    }
    if (outer) {
      outer->base = e;
      e = outer;
    }
  }
  p->depth--;
  return e;
}

/* ---- statements ------------------------------------------------------------------------------------------------------- */

static void block(parser *p, ts_block *out);

static void add_target(parser *p, ts_stmt *s, ts_expr *e) {
  s->target =
      neo_arena_grow(&p->t->arena, s->target, &s->cap_targets, s->n_targets + 1, sizeof(ts_expr *));
  s->target[s->n_targets++] = e;
}

static void simple(parser *p, ts_stmt *s) {
  ts_expr *e = expression(p);
  s->kind = TS_EXPR;
  s->value = e;
  if (is(p, ",")) {
    s->unpack = true;
    add_target(p, s, e);
    while (accept(p, ",") && !is(p, "="))
      add_target(p, s, expression(p));
  }
  if (accept(p, ":")) { /* x : T [= v] */
    expression(p);
    s->kind = TS_ASSIGN;
    s->value = NULL;
    add_target(p, s, e);
  }
  if (accept(p, "=")) {
    if (s->n_targets == 0)
      add_target(p, s, e);
    s->kind = TS_ASSIGN;
    s->value = expression(p);
    if (is(p, ",")) { /* x, y = a, b */
      ts_expr *tuple = make(p, TS_TUPLE);
      add_item(p, tuple, s->value);
      while (accept(p, ",") && p->kind != T_NEWLINE)
        add_item(p, tuple, expression(p));
      s->value = tuple;
    }
  }
  line_end(p);
}

static void returned(parser *p, ts_stmt *s) {
  s->kind = TS_RETURN;
  if (p->kind != T_NEWLINE && p->kind != T_END)
    s->value = expression(p);
  line_end(p);
}

static void statement(parser *p, ts_stmt *s) {
  s->line = p->line;
  if (is_word(p, "pass")) {
    next(p);
    s->kind = TS_PASS;
    line_end(p);
  } else if (is_word(p, "return")) {
    next(p);
    returned(p, s);
  } else if (is_word(p, "if") || is_word(p, "while") || is_word(p, "with")) {
    s->kind = p->text[0] == 'i' ? TS_IF : p->text[1] == 'h' ? TS_WHILE : TS_WITH;
    next(p);
    s->value = expression(p);
    block(p, &s->body);
    if (s->kind == TS_IF && is_word(p, "else")) {
      next(p);
      block(p, &s->orelse);
    }
  } else if (is_word(p, "for")) {
    next(p);
    s->kind = TS_FOR;
    add_target(p, s, expression(p));
    if (!is_word(p, "in"))
      fail(p, "'in' expected");
    next(p);
    s->value = expression(p);
    block(p, &s->body);
  } else {
    simple(p, s);
  }
}

/* ':' NEWLINE INDENT statements DEDENT */
static bool open_block(parser *p) {
  expect(p, ":");
  line_end(p);
  if (p->kind != T_INDENT)
    return false;
  next(p);
  return true;
}

static void block(parser *p, ts_block *out) {
  if (!open_block(p)) {
    fail(p, "block expected");
    return;
  }
  while (!p->failed && p->kind != T_DEDENT && p->kind != T_END) {
    ts_stmt s = {0};
    statement(p, &s);
    out->stmt = neo_arena_grow(&p->t->arena, out->stmt, &out->cap, out->n + 1, sizeof s);
    out->stmt[out->n++] = s;
  }
  if (p->kind == T_DEDENT)
    next(p);
}

static void def(parser *p, ts_def *d) {
  d->line = p->line;
  next(p);
  d->name = name(p);
  expect(p, "(");
  while (!p->failed && !is(p, ")")) {
    ts_param param = {.name = name(p)};
    if (accept(p, ":"))
      param.type = expression(p);
    if (accept(p, "="))
      param.otherwise = expression(p);
    d->param =
        neo_arena_grow(&p->t->arena, d->param, &d->cap_params, d->n_params + 1, sizeof param);
    d->param[d->n_params++] = param;
    if (!accept(p, ","))
      break;
  }
  expect(p, ")");
  if (accept(p, "->"))
    expression(p);
  block(p, &d->body);
}

static void class_body(parser *p, ts_class *c) {
  while (!p->failed && p->kind != T_DEDENT && p->kind != T_END) {
    if (is_word(p, "def")) {
      ts_def d = {0};
      def(p, &d);
      c->def = neo_arena_grow(&p->t->arena, c->def, &c->cap_defs, c->n_defs + 1, sizeof d);
      c->def[c->n_defs++] = d;
    } else {
      ts_stmt s = {0};
      statement(p, &s);
      c->fields.stmt =
          neo_arena_grow(&p->t->arena, c->fields.stmt, &c->fields.cap, c->fields.n + 1, sizeof s);
      c->fields.stmt[c->fields.n++] = s;
    }
  }
}

static void class_(parser *p, ts_class *c) {
  next(p);
  c->name = name(p);
  c->base = "";
  if (accept(p, "(")) {
    if (!is(p, ")"))
      c->base = name(p);
    expect(p, ")");
  }
  if (open_block(p)) {
    class_body(p, c);
    if (p->kind == T_DEDENT)
      next(p);
  }
}

ts_file *ts_parse(torch *t, const char *path, const char *text, size_t size) {
  parser p = {.t = t,
              .path = path,
              .at = text,
              .end = text + size,
              .line = 1,
              .n_indents = 1,
              .fresh = true};
  ts_file *file = neo_arena_alloc(&t->arena, sizeof *file);
  file->path = path;
  for (next(&p); !p.failed && p.kind != T_END;) {
    if (is_word(&p, "class")) {
      ts_class c = {0};
      class_(&p, &c);
      file->cls =
          neo_arena_grow(&t->arena, file->cls, &file->cap_classes, file->n_classes + 1, sizeof c);
      file->cls[file->n_classes++] = c;
    } else if (is_word(&p, "def")) {
      ts_def d = {0};
      def(&p, &d);
      file->def = neo_arena_grow(&t->arena, file->def, &file->cap_defs, file->n_defs + 1, sizeof d);
      file->def[file->n_defs++] = d;
    } else {
      ts_stmt s = {0};
      statement(&p, &s);
    }
  }
  return p.failed ? NULL : file;
}
