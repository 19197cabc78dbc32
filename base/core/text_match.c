/* Regular expressions on all of a text: a program of instructions, run as a set of states that move
 * over the text together (Thompson's construction), so that no pattern takes more than linear time.
 *
 * Syntax: literals, . [..] [^..] (..) (?:..) (?i..) refused, | * + ? {m} {m,} {m,n} and their lazy
 * forms (the same for a full match), \d \w \s \D \W \S, \b \B ^ $ \A \z, \n \t \r \f \v \xHH
 * \x{H..}, [:alpha:] and its like. Targets of jumps are relative, so code can be moved and copied.
 */
#include "base/text.h"

#include <string.h>

#define MAX_CODE 4096
#define MAX_RANGES 1024
#define MAX_DEPTH 64
#define MAX_ALTERNATIVES 256

typedef enum opcode { SET, SPLIT, JUMP, BEGIN, END, EDGE, NO_EDGE, DONE } opcode;

typedef struct instruction {
  opcode op;
  bool negated;     /* SET */
  int first, count; /* SET: ranges; SPLIT: relative targets; JUMP: first */
} instruction;

typedef struct range {
  int low, high;
} range;

struct neo_text_pattern {
  int n, n_ranges;
  instruction code[MAX_CODE];
  range set[MAX_RANGES];
};

typedef struct parser {
  neo_text_pattern *p;
  const char *text, *at;
  const char *error;
  bool too_large;
  int depth, n_alternatives;
  instruction nowhere; /* what is emitted when there is no room */
} parser;

/* ---- reading --------------------------------------------------------------------------------- */

static int next_char(const char **at) {
  const unsigned char *s = (const unsigned char *)*at;
  int c = s[0], more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
  if (more)
    c &= 63 >> more;
  (*at)++;
  for (; more > 0 && (*(const unsigned char *)*at & 0xc0) == 0x80; more--)
    c = c << 6 | (*(const unsigned char *)(*at)++ & 63);
  return c;
}

static void fail(parser *r, const char *what) {
  if (!r->error)
    r->error = what;
}

static void fail_size(parser *r, const char *what) {
  r->too_large = r->too_large || !r->error;
  fail(r, what);
}

static instruction *emit(parser *r, opcode op, int first, int count) {
  if (r->p->n == MAX_CODE) {
    fail_size(r, "too large");
    return &r->nowhere;
  }
  instruction *made = &r->p->code[r->p->n++];
  *made = (instruction){op, false, first, count};
  return made;
}

/* Makes room for one instruction at `at`; what moves keeps its relative targets. */
static void insert(parser *r, int at, instruction what) {
  int n = r->p->n;
  emit(r, DONE, 0, 0);
  if (r->error)
    return;
  memmove(r->p->code + at + 1, r->p->code + at, sizeof(instruction) * (size_t)(n - at));
  r->p->code[at] = what;
}

static void add_range(parser *r, int low, int high) {
  if (r->p->n_ranges == MAX_RANGES) {
    fail_size(r, "too large");
    return;
  }
  r->p->set[r->p->n_ranges++] = (range){low, high};
}

static void add_outside(parser *r, const range *in, int n) {
  int from = 0;
  for (int k = 0; k < n; k++) {
    if (in[k].low > from)
      add_range(r, from, in[k].low - 1);
    from = in[k].high + 1;
  }
  add_range(r, from, 0x10ffff);
}

/* The class that a letter behind a backslash names; false: none. */
static bool add_class(parser *r, char letter) {
  static const range digits[] = {{'0', '9'}},
                     words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                     spaces[] = {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};
  const range *in = NULL;
  int n = 0;
  switch (letter | 32) {
  case 'd':
    in = digits;
    n = NEO_COUNT(digits);
    break;
  case 'w':
    in = words;
    n = NEO_COUNT(words);
    break;
  case 's':
    in = spaces;
    n = NEO_COUNT(spaces);
    break;
  default:
    return false;
  }
  if (letter & 32)
    for (int k = 0; k < n; k++)
      add_range(r, in[k].low, in[k].high);
  else
    add_outside(r, in, n);
  return true;
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9'                 ? c - '0'
         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                              : -1;
}

static int hex_escape(parser *r) {
  bool braces = *r->at == '{';
  int v = 0, n = 0;
  r->at += braces;
  for (; n < (braces ? 6 : 2) && hex_digit(*r->at) >= 0; n++)
    v = v * 16 + hex_digit(*r->at++);
  if (n == 0 || (braces && *r->at != '}'))
    fail(r, "a wrong \\x");
  r->at += braces && *r->at == '}';
  return v;
}

/* The character that an escape stands for; `at` is behind the backslash. */
static int escaped(parser *r) {
  static const char names[] = "nrtfva", values[] = "\n\r\t\f\v\a";
  const char *known = *r->at ? strchr(names, *r->at) : NULL;
  if (!*r->at) {
    fail(r, "ends with a backslash");
    return 0;
  }
  if (known) {
    r->at++;
    return values[known - names];
  }
  if (*r->at == 'x') {
    r->at++;
    return hex_escape(r);
  }
  char c = *r->at;
  if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
    fail(r, "an escape that is not known");
  return next_char(&r->at);
}

static bool named_class(parser *r) {
  static const struct {
    const char *name;
    int n;
    range in[4];
  } rows[] = {{"[:alpha:]", 2, {{'A', 'Z'}, {'a', 'z'}}},
              {"[:digit:]", 1, {{'0', '9'}}},
              {"[:alnum:]", 3, {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
              {"[:upper:]", 1, {{'A', 'Z'}}},
              {"[:lower:]", 1, {{'a', 'z'}}},
              {"[:space:]", 2, {{'\t', '\r'}, {' ', ' '}}},
              {"[:blank:]", 2, {{'\t', '\t'}, {' ', ' '}}},
              {"[:punct:]", 4, {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
              {"[:word:]", 4, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
              {"[:xdigit:]", 3, {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}}};
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    if (strncmp(r->at, rows[k].name, strlen(rows[k].name)) != 0)
      continue;
    for (int i = 0; i < rows[k].n; i++)
      add_range(r, rows[k].in[i].low, rows[k].in[i].high);
    r->at += strlen(rows[k].name);
    return true;
  }
  return false;
}

/* One end of a range, or a whole class: then *whole. */
static int bracket_item(parser *r, bool *whole) {
  *whole = false;
  if (*r->at == '[' && named_class(r)) {
    *whole = true;
    return 0;
  }
  if (*r->at != '\\')
    return next_char(&r->at);
  r->at++;
  if (*r->at && add_class(r, *r->at)) {
    r->at++;
    *whole = true;
    return 0;
  }
  return escaped(r);
}

/* Behind the opening bracket. */
static void bracket(parser *r) {
  instruction *set = emit(r, SET, r->p->n_ranges, 0);
  bool whole, first = true;
  if (*r->at == '^') {
    set->negated = true;
    r->at++;
  }
  for (; *r->at && (*r->at != ']' || first) && !r->error; first = false) {
    int low = bracket_item(r, &whole), high = low;
    if (whole)
      continue;
    if (r->at[0] == '-' && r->at[1] && r->at[1] != ']') {
      r->at++;
      high = bracket_item(r, &whole);
      if (whole || high < low)
        fail(r, "a range that is none");
    }
    add_range(r, low, high);
  }
  if (*r->at != ']')
    fail(r, "a bracket that is not closed");
  else
    r->at++;
  set->count = r->p->n_ranges - set->first;
}

static void one_char(parser *r, int c) {
  emit(r, SET, r->p->n_ranges, 1);
  add_range(r, c, c);
}

static void alternatives(parser *r);

static void group(parser *r) {
  if (r->at[0] == '?' && r->at[1] == ':')
    r->at += 2;
  else if (r->at[0] == '?' && r->at[1] == 'P' && r->at[2] == '<' && strchr(r->at, '>'))
    r->at = strchr(r->at, '>') + 1;
  else if (r->at[0] == '?')
    fail(r, "a group of a kind that is not known");
  if (++r->depth > MAX_DEPTH)
    fail_size(r, "groups nest too deep");
  else
    alternatives(r);
  r->depth--;
  if (*r->at != ')')
    fail(r, "a group that is not closed");
  else
    r->at++;
}

static void escape(parser *r) {
  static const char letters[] = "bBAz";
  static const opcode meant[] = {EDGE, NO_EDGE, BEGIN, END};
  const char *known = *r->at ? strchr(letters, *r->at) : NULL;
  int first = r->p->n_ranges;
  if (known) {
    r->at++;
    emit(r, meant[known - letters], 0, 0);
  } else if (*r->at && add_class(r, *r->at)) {
    r->at++;
    emit(r, SET, first, r->p->n_ranges - first);
  } else {
    one_char(r, escaped(r));
  }
}

static void atom(parser *r) {
  char c = *r->at;
  if (c != 0 && strchr("*+?", c)) {
    fail(r, "nothing to repeat");
  } else if (c == '(') {
    r->at++;
    group(r);
  } else if (c == '[') {
    r->at++;
    bracket(r);
  } else if (c == '.') {
    r->at++;
    emit(r, SET, r->p->n_ranges, 1)->negated = true;
    add_range(r, '\n', '\n');
  } else if (c == '^' || c == '$') {
    r->at++;
    emit(r, c == '^' ? BEGIN : END, 0, 0);
  } else if (c == '\\') {
    r->at++;
    escape(r);
  } else {
    one_char(r, next_char(&r->at));
  }
}

/* "{m,n}" at r->at: false if it is none, and so literal; *most -1: no limit. */
static bool counts(parser *r, int *least, int *most) {
  const char *at = r->at + 1;
  int v[2] = {0, -1}, n = 0;
  for (; n < 2; n++) {
    bool any = false;
    for (; *at >= '0' && *at <= '9'; at++, any = true) {
      v[n] = (any ? v[n] : 0) * 10 + (*at - '0');
      v[n] = v[n] > 1000 ? 1001 : v[n];
    }
    if (!any && n == 0)
      return false;
    if (n == 1 || *at != ',')
      break;
    at++;
  }
  if (*at != '}')
    return false;
  *least = v[0];
  *most = n == 0 ? v[0] : v[1];
  r->at = at + 1;
  if (v[0] > 1000 || v[1] > 1000 || (*most >= 0 && *most < *least))
    fail(r, "wrong counts");
  return true;
}

static void append_block(parser *r, const instruction *block, int n) {
  for (int k = 0; k < n; k++)
    *emit(r, DONE, 0, 0) = block[k];
}

/* The code from `start` on, at least and at most so many times. */
static void repeat(parser *r, int start, int least, int most) {
  int n = r->p->n - start;
  instruction block[256];
  if (n > NEO_COUNT(block)) {
    fail_size(r, "too large");
    return;
  }
  memcpy(block, r->p->code + start, sizeof *block * (size_t)n);
  r->p->n = start;
  for (int k = 0; k < least && !r->error; k++)
    append_block(r, block, n);
  for (int k = least; k < most && !r->error; k++) {
    emit(r, SPLIT, 1, n + 1);
    append_block(r, block, n);
  }
  if (most < 0) {
    emit(r, SPLIT, 1, n + 2);
    append_block(r, block, n);
    emit(r, JUMP, -(n + 1), 0);
  }
}

static void repeated(parser *r) {
  int start = r->p->n, least, most;
  atom(r);
  while (!r->error) {
    int n = r->p->n - start;
    if (*r->at == '*') {
      insert(r, start, (instruction){SPLIT, false, 1, n + 2});
      emit(r, JUMP, -(n + 1), 0);
    } else if (*r->at == '+') {
      emit(r, SPLIT, -n, 1);
    } else if (*r->at == '?') {
      insert(r, start, (instruction){SPLIT, false, 1, n + 1});
    } else if (*r->at == '{' && counts(r, &least, &most)) {
      repeat(r, start, least, most);
      r->at--;
    } else {
      return;
    }
    r->at++;
    r->at += *r->at == '?'; /* lazy: the same set of texts */
  }
}

static void alternatives(parser *r) {
  int start = r->p->n;
  while (*r->at && *r->at != ')' && *r->at != '|' && !r->error)
    repeated(r);
  if (*r->at != '|' || r->error)
    return;
  r->at++;
  int n = r->p->n - start;
  insert(r, start, (instruction){SPLIT, false, 1, n + 2});
  int jump = r->p->n;
  emit(r, JUMP, 0, 0);
  if (++r->n_alternatives > MAX_ALTERNATIVES)
    fail_size(r, "too many alternatives");
  else
    alternatives(r);
  r->n_alternatives--;
  if (!r->error)
    r->p->code[jump].first = r->p->n - jump;
}

neo_status neo_text_pattern_create(neo_ctx *ctx, const char *text, neo_text_pattern **out) {
  neo_text_pattern *p = neo_alloc(ctx, sizeof *p);
  if (!p)
    return neo_fail(ctx, NEO_NO_MEMORY, "pattern: no memory");
  p->n = p->n_ranges = 0;
  parser r = {.p = p, .text = neo_text_of(text), .at = neo_text_of(text)};
  alternatives(&r);
  if (*r.at && !r.error)
    fail(&r, "a parenthesis too many");
  emit(&r, DONE, 0, 0);
  if (!r.error) {
    *out = p;
    return NEO_OK;
  }
  neo_status status =
      neo_fail(ctx, r.too_large ? NEO_UNSUPPORTED : NEO_BAD_INPUT,
               "pattern '%.100s': at byte %d: %s", r.text, (int)(r.at - r.text), r.error);
  neo_free(ctx, p);
  return status;
}

void neo_text_pattern_destroy(neo_ctx *ctx, neo_text_pattern *pattern) {
  neo_free(ctx, pattern);
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct states {
  int n;
  int at[MAX_CODE];
  uint8_t in[MAX_CODE];
} states;

static bool is_word(int c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Where in the text the states are. */
typedef struct place {
  int before, next; /* characters; 0: none */
} place;

static bool holds(opcode op, place where) {
  bool edge = is_word(where.before) != is_word(where.next);
  return op == BEGIN ? where.before == 0 : op == END ? where.next == 0 : op == EDGE ? edge : !edge;
}

/* Adds a state and all that it reaches without reading. */
static void add_state(const neo_text_pattern *p, states *s, int first, place where) {
  int stack[MAX_CODE], n = 0;
  if (s->in[first])
    return;
  s->in[first] = 1;
  stack[n++] = first;
  while (n > 0) {
    int at = stack[--n], to[2], m = 0;
    const instruction *i = &p->code[at];
    if (i->op == SPLIT) {
      to[m++] = at + i->count;
      to[m++] = at + i->first;
    } else if (i->op == JUMP) {
      to[m++] = at + i->first;
    } else if (i->op == SET || i->op == DONE) {
      s->at[s->n++] = at;
    } else if (holds(i->op, where)) {
      to[m++] = at + 1;
    }
    for (int k = 0; k < m; k++)
      if (!s->in[to[k]]) {
        s->in[to[k]] = 1;
        stack[n++] = to[k];
      }
  }
}

static bool takes(const neo_text_pattern *p, const instruction *i, int c) {
  bool in = false;
  for (int k = 0; k < i->count && !in; k++)
    in = c >= p->set[i->first + k].low && c <= p->set[i->first + k].high;
  return in != i->negated;
}

bool neo_text_match(const neo_text_pattern *p, const char *text) {
  states now = {0}, then;
  const char *at = neo_text_of(text), *ahead = at;
  place where = {0, *at ? next_char(&ahead) : 0};
  add_state(p, &now, 0, where);
  while (*at && now.n > 0) {
    int c = next_char(&at);
    ahead = at;
    where = (place){c, *at ? next_char(&ahead) : 0};
    then.n = 0;
    memset(then.in, 0, sizeof then.in);
    for (int k = 0; k < now.n; k++)
      if (p->code[now.at[k]].op == SET && takes(p, &p->code[now.at[k]], c))
        add_state(p, &then, now.at[k] + 1, where);
    now = then;
  }
  for (int k = 0; k < now.n && !*at; k++)
    if (p->code[now.at[k]].op == DONE)
      return true;
  return false;
}
