/* Schedule lines: parse and print; the naive schedule; layouts and signature of a line.
 *
 * Why: a schedule is stored, sent, mutated and replayed as one line of text (grammar in
 * schedule.h). How: one table of instruction names with a letter per operand; a parser and a
 * printer walk the letters. Only the grammar is checked here; whether a line fits a te is the
 * lowering's business.
 *
 * Operand letters: b buffer, B block, X block.axis, L block.axis.level, y layout, f factors, o
 * loops of `order`, s scope, n number, w a name, a the rest of the instruction (algorithm). */
#include "schedule/schedule.h"

#include <string.h>

#define MAX_LEVEL 3

typedef struct instr_row {
  const char *name, *operands;
} instr_row;

static const instr_row instr_rows[] = {
    [NEO_INSTR_ALG] = {"alg", "a"},
    [NEO_INSTR_LAY] = {"lay", "by"},
    [NEO_INSTR_PACK] = {"pack", "by"},
    [NEO_INSTR_INLINE] = {"inline", "B"},
    [NEO_INSTR_SPLIT] = {"split", "Xf"},
    [NEO_INSTR_ORDER] = {"order", "Bo"},
    [NEO_INSTR_AT] = {"at", "BCns"},
    [NEO_INSTR_PARALLEL] = {"parallel", "Bn"},
    [NEO_INSTR_VECTOR] = {"vector", "L"},
    [NEO_INSTR_UNROLL] = {"unroll", "L"},
    [NEO_INSTR_PREFETCH] = {"prefetch", "bLn"},
    [NEO_INSTR_PEEL] = {"peel", "L"},
    [NEO_INSTR_TENSORIZE] = {"tensorize", "Lw"},
    [NEO_INSTR_CHOOSE] = {"choose", "wn"},
    [NEO_INSTR_GROUP] = {"group", "Bnm"},
};

static const struct {
  const char *name;
  neo_scope scope;
} scopes[] = {{"reg", NEO_SCOPE_REG},
              {"stack", NEO_SCOPE_STACK},
              {"work", NEO_SCOPE_SCRATCH},
              {"shared", NEO_SCOPE_SHARED}};

/* ---- parsing ----------------------------------------------------------------------------------
 */

static bool scan_limited(neo_scan *scan, int64_t limit, int16_t *out) {
  int64_t v;
  if (*scan->at < '0' || *scan->at > '9' || !neo_scan_int(scan, &v) || v >= limit)
    return false;
  *out = (int16_t)v;
  return true;
}

static bool scan_sigil(neo_scan *scan, const char *sigil, int limit, int16_t *out) {
  return neo_scan_token(scan, sigil) && scan_limited(scan, limit, out);
}

static bool push(neo_instr *instr, int64_t v) {
  if (instr->n_args == NEO_SCHEDULE_MAX_ARGS || v < INT32_MIN || v > INT32_MAX)
    return false;
  instr->arg[instr->n_args++] = (int32_t)v;
  return true;
}

static bool at_end(const neo_scan *scan) {
  return *scan->at == ';' || *scan->at == '\0';
}

static bool scan_factors(neo_scan *scan, neo_instr *instr) {
  int64_t v;
  for (neo_scan_space(scan); !at_end(scan); neo_scan_space(scan))
    if (instr->n_args == MAX_LEVEL || !neo_scan_int(scan, &v) || v < 1 || !push(instr, v))
      return false;
  return instr->n_args > 0;
}

static bool scan_order(neo_scan *scan, neo_instr *instr) {
  for (neo_scan_space(scan); !at_end(scan); neo_scan_space(scan)) {
    int16_t axis, level = 0;
    if (!scan_limited(scan, NEO_TE_MAX_AXES, &axis))
      return false;
    if (*scan->at == '.') {
      scan->at++;
      if (!scan_limited(scan, MAX_LEVEL + 1, &level))
        return false;
    }
    if (!push(instr, axis * 16 + level))
      return false;
  }
  return instr->n_args > 0;
}

static bool scan_word(neo_scan *scan, bool whole, char *out, size_t size) {
  size_t n = 0;
  for (neo_scan_space(scan); !at_end(scan); scan->at++) {
    char c = *scan->at;
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '_' || c == '-' || c == '.' || (whole && (c == '=' || c == ',' || c == ' '));
    if (!plain && c == ' ')
      break;
    if (!plain || n + 1 >= size)
      return false;
    if (c != ' ' || out[n - 1] != ' ')
      out[n++] = c;
  }
  while (n > 0 && out[n - 1] == ' ')
    n--;
  out[n] = '\0';
  return n > 0;
}

static bool scan_layout(neo_ctx *ctx, neo_scan *scan, neo_layout *out) {
  char text[128];
  neo_scan_space(scan);
  size_t n = strspn(scan->at, "0123456789,/%~");
  if (n == 0 || n >= sizeof(text))
    return false;
  memcpy(text, scan->at, n);
  text[n] = '\0';
  scan->at += n;
  return neo_layout_parse(ctx, text, -1, out) == NEO_OK;
}

static bool scan_scope(neo_scan *scan, neo_instr *instr) {
  char name[16];
  if (!neo_scan_name(scan, name, sizeof(name)))
    return false;
  for (int i = 0; i < NEO_COUNT(scopes); i++)
    if (strcmp(scopes[i].name, name) == 0)
      return push(instr, scopes[i].scope);
  return false;
}

/* "B2.1" and, with_level, "B2.1.0"; a missing level is 0. */
static bool scan_axis(neo_scan *scan, bool with_level, neo_instr *instr) {
  if (!scan_sigil(scan, "B", NEO_TE_MAX_BLOCKS, &instr->block) || *scan->at != '.')
    return false;
  scan->at++;
  if (!scan_limited(scan, NEO_TE_MAX_AXES, &instr->axis))
    return false;
  instr->level = with_level ? 0 : -1;
  if (!with_level || *scan->at != '.')
    return true;
  scan->at++;
  return scan_limited(scan, MAX_LEVEL + 1, &instr->level);
}

static bool scan_operand(neo_ctx *ctx, neo_scan *scan, char letter, neo_instr *instr) {
  int16_t number;
  int64_t v;
  switch (letter) {
  case 'b':
    return scan_sigil(scan, "b", NEO_TE_MAX_BUFFERS, &instr->buffer);
  case 'B':
    return scan_sigil(scan, "B", NEO_TE_MAX_BLOCKS, &instr->block);
  case 'C':
    return scan_sigil(scan, "B", NEO_TE_MAX_BLOCKS, &number) && push(instr, number);
  case 'X':
    return scan_axis(scan, false, instr);
  case 'L':
    return scan_axis(scan, true, instr);
  case 'y':
    return scan_layout(ctx, scan, &instr->layout);
  case 'f':
    return scan_factors(scan, instr);
  case 'o':
    return scan_order(scan, instr);
  case 's':
    return scan_scope(scan, instr);
  case 'n':
    return neo_scan_int(scan, &v) && v >= 0 && push(instr, v);
  case 'm': /* may be left out */
    neo_scan_space(scan);
    return at_end(scan) || (neo_scan_int(scan, &v) && v >= 2 && push(instr, v));
  case 'w':
    return scan_word(scan, false, instr->name, sizeof(instr->name));
  default:
    return scan_word(scan, true, instr->name, sizeof(instr->name));
  }
}

static bool scan_instr(neo_ctx *ctx, neo_scan *scan, neo_instr *out) {
  char name[16];
  memset(out, 0, sizeof(*out));
  out->block = out->buffer = out->axis = out->level = -1;
  if (!neo_scan_name(scan, name, sizeof(name)))
    return false;
  for (int i = 0; i < NEO_COUNT(instr_rows); i++) {
    if (strcmp(instr_rows[i].name, name) != 0)
      continue;
    out->kind = (neo_instr_kind)i;
    for (const char *letter = instr_rows[i].operands; *letter; letter++)
      if (!scan_operand(ctx, scan, *letter, out))
        return false;
    neo_scan_space(scan);
    return at_end(scan);
  }
  return false;
}

neo_status neo_schedule_parse(neo_ctx *ctx, const char *line, neo_schedule *out) {
  neo_scan scan;
  neo_scan_init(&scan, line);
  if (!neo_scan_token(&scan, "s1") || (neo_scan_space(&scan), *scan.at != ';'))
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: version 's1;' expected at '%.16s'", line);
  neo_schedule *made = neo_alloc(ctx, sizeof(*made));
  if (!made)
    return neo_fail(ctx, NEO_NO_MEMORY, "schedule: no memory for a line");
  neo_status status = NEO_OK;
  while (status == NEO_OK && neo_scan_token(&scan, ";")) {
    neo_scan_space(&scan);
    const char *start = scan.at;
    if (made->n == NEO_SCHEDULE_MAX_INSTRS)
      status = neo_fail(ctx, NEO_BAD_INPUT, "schedule: more than %d instructions",
                        NEO_SCHEDULE_MAX_INSTRS);
    else if (!scan_instr(ctx, &scan, &made->instr[made->n]))
      status = neo_fail(ctx, NEO_BAD_INPUT, "schedule: instruction %d is malformed: '%.40s'",
                        made->n, start);
    else if ((made->n == 0) != (made->instr[made->n].kind == NEO_INSTR_ALG) &&
             made->instr[made->n].kind != NEO_INSTR_CHOOSE)
      status = neo_fail(ctx, NEO_BAD_INPUT,
                        "schedule: 'alg' must be the first instruction and only that");
    else
      made->n++;
  }
  if (status == NEO_OK && *scan.at != '\0')
    status = neo_fail(ctx, NEO_BAD_INPUT, "schedule: unexpected text '%.16s'", scan.at);
  if (status == NEO_OK && made->n == 0)
    status = neo_fail(ctx, NEO_BAD_INPUT, "schedule: no instruction");
  if (status == NEO_OK)
    *out = *made;
  neo_free(ctx, made);
  return status;
}

/* ---- printing ---------------------------------------------------------------------------------
 */

static bool is_split(const neo_schedule *schedule, int block, int axis) {
  for (int i = 0; i < schedule->n; i++)
    if (schedule->instr[i].kind == NEO_INSTR_SPLIT && schedule->instr[i].block == block &&
        schedule->instr[i].axis == axis)
      return true;
  return false;
}

static void print_order(neo_buf *buf, const neo_schedule *schedule, const neo_instr *instr) {
  for (int i = 0; i < instr->n_args; i++) {
    int axis = instr->arg[i] / 16, level = instr->arg[i] % 16;
    neo_buf_printf(buf, " %d", axis);
    if (level > 0 || is_split(schedule, instr->block, axis))
      neo_buf_printf(buf, ".%d", level);
  }
}

static const char *scope_name(int scope) {
  for (int i = 0; i < NEO_COUNT(scopes); i++)
    if ((int)scopes[i].scope == scope)
      return scopes[i].name;
  return "?";
}

/* `used` is the number of instr->arg that letters before this one have printed. */
static void print_operand(neo_buf *buf, const neo_schedule *schedule, const neo_instr *instr,
                          char letter, int *used) {
  switch (letter) {
  case 'b':
    neo_buf_printf(buf, " b%d", instr->buffer);
    break;
  case 'B':
    neo_buf_printf(buf, " B%d", instr->block);
    break;
  case 'C':
    neo_buf_printf(buf, " B%d", (int)instr->arg[(*used)++]);
    break;
  case 'X':
    neo_buf_printf(buf, " B%d.%d", instr->block, instr->axis);
    break;
  case 'L':
    neo_buf_printf(buf, " B%d.%d.%d", instr->block, instr->axis, instr->level);
    break;
  case 'y':
    neo_buf_text(buf, " ");
    neo_layout_print(buf, &instr->layout, 0);
    break;
  case 'f':
    for (int i = 0; i < instr->n_args; i++)
      neo_buf_printf(buf, " %d", (int)instr->arg[i]);
    break;
  case 'o':
    print_order(buf, schedule, instr);
    break;
  case 's':
    neo_buf_printf(buf, " %s", scope_name(instr->arg[(*used)++]));
    break;
  case 'n':
    neo_buf_printf(buf, " %d", (int)instr->arg[(*used)++]);
    break;
  case 'm':
    if (*used < instr->n_args)
      neo_buf_printf(buf, " %d", (int)instr->arg[(*used)++]);
    break;
  default:
    neo_buf_printf(buf, " %s", instr->name);
  }
}

void neo_schedule_print(neo_buf *buf, const neo_schedule *schedule) {
  neo_buf_text(buf, "s1");
  for (int i = 0; i < schedule->n; i++) {
    const neo_instr *instr = &schedule->instr[i];
    int used = 0;
    neo_buf_printf(buf, "; %s", instr_rows[instr->kind].name);
    for (const char *letter = instr_rows[instr->kind].operands; *letter; letter++)
      print_operand(buf, schedule, instr, *letter, &used);
  }
}

/* ---- helpers on lines ---------------------------------------------------------------------------
 */

void neo_schedule_naive(neo_schedule *out) {
  memset(out, 0, sizeof(*out));
  out->n = 1;
  out->instr[0] =
      (neo_instr){.kind = NEO_INSTR_ALG, .block = -1, .buffer = -1, .axis = -1, .level = -1};
  memcpy(out->instr[0].name, "direct", sizeof("direct"));
}

static neo_instr *find_layout(const neo_schedule *schedule, int buffer) {
  for (int i = 0; i < schedule->n; i++) {
    const neo_instr *instr = &schedule->instr[i];
    if ((instr->kind == NEO_INSTR_LAY || instr->kind == NEO_INSTR_PACK) && instr->buffer == buffer)
      return (neo_instr *)(uintptr_t)instr;
  }
  return NULL;
}

const neo_layout *neo_schedule_layout(const neo_schedule *schedule, int buffer) {
  const neo_instr *instr = find_layout(schedule, buffer);
  return instr ? &instr->layout : NULL;
}

void neo_schedule_set_layout(neo_schedule *schedule, int buffer, const neo_layout *layout) {
  neo_instr *instr = find_layout(schedule, buffer);
  neo_layout none = {0};
  if (neo_layout_equal(layout, &none)) {
    if (!instr)
      return;
    int at = (int)(instr - schedule->instr);
    memmove(instr, instr + 1, (size_t)(schedule->n - at - 1) * sizeof(*instr));
    schedule->n--;
    return;
  }
  if (instr) {
    instr->layout = *layout;
    return;
  }
  neo_assert(schedule->n >= 1 && schedule->n < NEO_SCHEDULE_MAX_INSTRS);
  memmove(&schedule->instr[2], &schedule->instr[1], (size_t)(schedule->n - 1) * sizeof(*instr));
  schedule->n++;
  schedule->instr[1] = (neo_instr){.kind = NEO_INSTR_LAY,
                                   .block = -1,
                                   .buffer = (int16_t)buffer,
                                   .axis = -1,
                                   .level = -1,
                                   .layout = *layout};
}

void neo_schedule_signature(neo_buf *buf, const neo_te *te, const neo_schedule *schedule) {
  const char *gap = "";
  neo_layout none = {0};
  for (int b = 0; b < te->n_buffers; b++) {
    const neo_layout *layout = neo_schedule_layout(schedule, b);
    neo_te_role role = te->buffer[b].role;
    if (!layout || neo_layout_equal(layout, &none) || (role != NEO_TE_IN && role != NEO_TE_OUT))
      continue;
    neo_buf_printf(buf, "%sb%d=", gap, b);
    neo_layout_print(buf, layout, te->buffer[b].shape.rank);
    gap = " ";
  }
}
