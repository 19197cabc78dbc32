/* frontends/tflite_complex.c: TFLite's complex64 tensors (frontends/complex.h): what makes and what
 * consumes them, and operators that move or add them, part by part. */
#include "frontends/complex.h"
#include "frontends/tflite_import.h"

#include <string.h>

/* x [.., h, w], lengths [2] -> the transform of real numbers along the last two dimensions. */
void tfl_rfft2d(tfl_op *op) {
  int64_t length[2];
  neo_emitter *e = &op->im->e;
  if (tfl_ints(op, 1, length, 2) != 2)
    return;
  neo_complex z = {tfl_in(op, 0), NEO_NO_VALUE};
  z = neo_complex_fourier(e, z, &(neo_fourier){.axis = -1, .length = length[1], .half = true});
  if (length[0] != 1 || tfl_dim(op, 0, tfl_rank(op, 0) - 2) != 1)
    z = neo_complex_fourier(e, z, &(neo_fourier){.axis = -2, .length = length[0]});
  tfl_set_raw(op, 0, neo_complex_value(e, z));
}

void tfl_complex_part(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  neo_complex z = neo_complex_of(e, tfl_raw(op, 0));
  if (strcmp(op->row->op, "abs") == 0)
    tfl_set_raw(op, 0, neo_complex_abs(e, z));
  else
    tfl_set_raw(op, 0, *op->row->op == 'r' ? z.re : neo_complex_imaginary(e, z));
}

int tfl_parts_packed(tfl_import *im, int value) {
  neo_emitter *e = &im->e;
  return neo_complex_is(e, value) ? neo_complex_pack(e, neo_complex_of(e, value)) : value;
}

static bool has_complex(tfl_op *op) {
  for (int k = 0; k < op->inputs.n && k < TFL_MAX_OPERANDS; k++) {
    const tfl_tensor *t = tfl_input(op, k);
    if (t && t->value != NEO_NO_VALUE && neo_complex_is(&op->im->e, t->value))
      return true;
  }
  return false;
}

/* All inputs become one of their parts; the values before come back when `part` is -1. */
static void set_parts(tfl_op *op, int part, const int *value) {
  for (int k = 0; k < op->inputs.n && k < TFL_MAX_OPERANDS; k++) {
    tfl_tensor *t = tfl_input(op, k);
    if (!t || value[k] == NEO_NO_VALUE)
      continue;
    neo_complex z = neo_complex_of(&op->im->e, value[k]);
    t->value = part < 0 ? value[k] : part && z.im != NEO_NO_VALUE ? z.im : z.re;
  }
}

/* The outputs are taken from the tensors. */
static void take_outputs(tfl_op *op, int *value) {
  for (int k = 0; k < op->outputs.n && k < TFL_MAX_OPERANDS; k++) {
    tfl_tensor *t = tfl_output(op, k);
    value[k] = t ? t->value : NEO_NO_VALUE;
    if (t)
      t->value = NEO_NO_VALUE;
  }
}

static void both_parts(tfl_op *op) {
  int in[TFL_MAX_OPERANDS], made[2][TFL_MAX_OPERANDS];
  for (int k = 0; k < op->inputs.n && k < TFL_MAX_OPERANDS; k++) {
    const tfl_tensor *t = tfl_input(op, k);
    in[k] = t ? t->value : NEO_NO_VALUE;
  }
  for (int part = 0; part < 2; part++) {
    set_parts(op, part, in);
    op->row->convert(op);
    take_outputs(op, made[part]);
  }
  set_parts(op, -1, in);
  for (int k = 0; k < op->outputs.n && k < TFL_MAX_OPERANDS && tfl_ok(op->im); k++)
    if (made[0][k] != NEO_NO_VALUE && made[1][k] != NEO_NO_VALUE)
      tfl_set_raw(op, k, neo_complex_value(&op->im->e, (neo_complex){made[0][k], made[1][k]}));
}

void tfl_convert(tfl_op *op) {
  static const char parts[] =
      " ADD ADD_N BROADCAST_TO CONCATENATION EXPAND_DIMS GATHER GATHER_ND NEG "
      "PACK PAD RESHAPE REVERSE_V2 SLICE SPLIT SPLIT_V SQUEEZE "
      "STRIDED_SLICE SUB SUM TILE TRANSPOSE UNPACK ";
  char word[64];
  snprintf(word, sizeof word, " %.60s ", op->row->name);
  if (!has_complex(op) || op->row->convert == tfl_complex_part)
    op->row->convert(op);
  else if (op->row->convert == tfl_shape || op->row->convert == tfl_rank_of)
    op->row->convert(op); /* the id is the real part's */
  else if (strstr(parts, word) && op->inputs.n <= TFL_MAX_OPERANDS &&
           op->outputs.n <= TFL_MAX_OPERANDS)
    both_parts(op);
  else
    tfl_unsupported(op, "of complex numbers");
}
