/* frontends/torch_code.h: the syntax tree of TorchScript's source text, the subset of Python that
 * torch.jit writes into archives. */
#ifndef NEO_FRONTENDS_TORCH_CODE_H
#define NEO_FRONTENDS_TORCH_CODE_H

#include "frontends/torch.h"

typedef enum ts_kind {
  TS_NAME,  /* text */
  TS_VALUE, /* literal in `value` */
  TS_ATTR,  /* base.text */
  TS_CALL,  /* base(item...), the last n_named of them with names in key */
  TS_INDEX, /* base[item 0] */
  TS_LIST,
  TS_TUPLE,
  TS_DICT /* item: key, value, key, value */
} ts_kind;

typedef struct ts_expr ts_expr;
struct ts_expr {
  ts_kind kind;
  int line;
  const char *text;
  tv value;
  ts_expr *base;
  int n, cap, n_named, cap_named;
  ts_expr **item;
  const char **key;
};

typedef enum ts_stmt_kind {
  TS_ASSIGN,
  TS_EXPR,
  TS_RETURN,
  TS_IF,
  TS_FOR,
  TS_WHILE,
  TS_WITH,
  TS_PASS
} ts_stmt_kind;

typedef struct ts_block {
  int n, cap;
  struct ts_stmt *stmt;
} ts_block;

/* TS_ASSIGN: targets = value (value NULL: a declaration). TS_FOR: for target in value. TS_IF,
 * TS_WHILE: value is the condition. */
typedef struct ts_stmt {
  ts_stmt_kind kind;
  int line;
  int n_targets, cap_targets;
  ts_expr **target;
  bool unpack; /* a, = x */
  ts_expr *value;
  ts_block body, orelse;
} ts_stmt;

typedef struct ts_param {
  const char *name;
  const ts_expr *type, *otherwise;
} ts_param;

typedef struct ts_def {
  const char *name;
  int line, n_params, cap_params;
  ts_param *param;
  ts_block body;
} ts_def;

typedef struct ts_class {
  const char *name, *base;
  int n_defs, cap_defs;
  ts_def *def;
  ts_block fields; /* annotated names and constants, as TS_ASSIGN */
} ts_class;

typedef struct ts_file {
  const char *path;
  int n_classes, cap_classes, n_defs, cap_defs;
  ts_class *cls;
  ts_def *def;
} ts_file;

/* Parses the text of one file; NULL and failed if it is not of the subset. */
ts_file *ts_parse(torch *t, const char *path, const char *text, size_t size);

#endif
