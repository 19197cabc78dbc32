/* frontends/torch_script.h: the partial evaluator of TorchScript: walks the code with values that
 * are known or tensors of the graph (torch.h). */
#ifndef NEO_FRONTENDS_TORCH_SCRIPT_H
#define NEO_FRONTENDS_TORCH_SCRIPT_H

#include "frontends/torch_code.h"

enum { MAX_CANDIDATES = 16, MAX_NUMBER_INPUTS = 8 };

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

#endif
