/* frontends/torch_script.h: the partial evaluator of TorchScript: walks the code with values that
 * are known or tensors of the graph (torch.h). */
#ifndef NEO_FRONTENDS_TORCH_SCRIPT_H
#define NEO_FRONTENDS_TORCH_SCRIPT_H

#include "frontends/torch_code.h"

enum { MAX_CANDIDATES = 16, MAX_NUMBER_INPUTS = 8, TS_MAX_NAMES = 64 };

/* Values that the code compares a number input with. */
typedef struct ts_candidates {
  int n;
  int64_t value[MAX_CANDIDATES];
} ts_candidates;

typedef struct script {
  torch t;
  const char *folder; /* of the archive, with its slash */
  neo_map files;      /* path -> ts_file */
  tv constants;       /* tuple of constants.pkl */
  int depth;          /* of calls */
  int64_t steps;
  bool raised;
  const char *message;       /* of what was raised */
  bool state_changed;        /* an attribute of a module was set */
  ts_candidates *candidates; /* [MAX_NUMBER_INPUTS], or NULL */
} script;

typedef struct ts_env {
  neo_map names; /* name -> tv */
  tv result;
  bool returned;
  const char *what; /* for scopes: "Conv2d.forward" */
} ts_env;

/* The class or function of a qualified name; NULL: there is none (or its file is damaged: failed).
 */
const ts_class *ts_find_class(script *s, const char *qualified);
const ts_def *ts_find_def(script *s, const char *qualified);
const ts_def *ts_find_method(const ts_class *cls, const char *name);

tv ts_call_def(script *s, const ts_def *def, const char *what, const torch_args *args);
/* A call of torch.NAME, ops.NAMESPACE.NAME or a Python builtin. */
tv ts_builtin(script *s, const char *name, const torch_args *args);
bool ts_equal(const tv *a, const tv *b); /* known values */
tv ts_raise(script *s, const char *message);

/* ---- torch_quant.c ---------------------------------------------------------------------------- */

/* ops.quantized.NAME */
tv ts_quantized(script *s, const char *op, const torch_args *args);
/* An operator of ATen whose first argument is quantised, or that makes such a tensor; false: it is
 * neither. */
bool ts_quantised_call(script *s, const char *op, const torch_args *args, tv *out);

/* ---- between torch_eval.c and torch_flow.c ---------------------------------------------------- */

tv ts_eval(script *s, ts_env *env, const ts_expr *e);
void ts_run_block(script *s, ts_env *env, const ts_block *block);
void ts_set_local(script *s, ts_env *env, const char *name, tv v);
/* The names that a block sets, at most TS_MAX_NAMES. */
void ts_collect_names(const ts_block *block, const char **names, int *n);
/* Every name that the statement mentions, from one scope into another. */
void ts_copy_names(script *s, ts_env *into, const ts_env *from, const ts_stmt *stmt);
/* Drops the emitter of a branch or body; what was unsupported in it goes to the model's list. */
void ts_end_frame(script *s, neo_emitter *emitter);
/* A for (trips: its length) or while loop (trips NULL) whose length is not known. */
void ts_loop_on_data(script *s, ts_env *env, const ts_stmt *stmt, const tv *trips);

#endif
