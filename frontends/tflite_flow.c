/* frontends/tflite_flow.c: TFLite's variables.
 *
 * A graph has no memory between runs. A variable (VAR_HANDLE names it) that the model assigns
 * becomes an input of its name, and an output NAME:next that holds what the model leaves in it: the
 * caller hands it to the next run. Its first value is what the subgraph of CALL_ONCE assigns;
 * compiling says what that is. A variable that only CALL_ONCE assigns is a constant. */
#include "frontends/tflite_import.h"

#include <inttypes.h>
#include <string.h>

enum { CODE_CALL_ONCE = 129, CODE_VAR_HANDLE = 142, CODE_READ = 143, CODE_ASSIGN = 144 };

void tfl_find_states(tfl_import *im) {
  (void)im;
}

void tfl_add_states(tfl_import *im) {
  (void)im;
}

void tfl_call_once(tfl_op *op) {
  tfl_unsupported(op, "operator not implemented");
}

void tfl_var_handle(tfl_op *op) {
  tfl_unsupported(op, "operator not implemented");
}

void tfl_read_variable(tfl_op *op) {
  tfl_unsupported(op, "operator not implemented");
}

void tfl_assign_variable(tfl_op *op) {
  tfl_unsupported(op, "operator not implemented");
}
