/* frontends/special_functions.c: log gamma and erfinv as other operators (special_functions.h). */
#include "frontends/special_functions.h"

#include <math.h>

static int scalar_like(neo_emitter *e, int x, double v) {
  neo_dtype dtype = neo_emit_dtype(e, x);
  return neo_emit_scalar(e, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, v);
}

static int with(neo_emitter *e, const char *op, int x, double v) {
  return neo_emit_binary(e, op, x, scalar_like(e, x, v));
}

static int where(neo_emitter *e, int condition, int a, int b) {
  return neo_emit_node(e, "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

int neo_emit_log_gamma_upper(neo_emitter *e, int x) {
  static const double term[] = {676.5203681218851,     -1259.1392167224028,  771.32342877765313,
                                -176.61502916214059,   12.507343278686905,   -0.13857109526572012,
                                9.9843695780195716e-6, 1.5056327351493116e-7};
  int sum = scalar_like(e, x, 0.99999999999980993);
  for (int i = 0; i < NEO_COUNT(term); i++) {
    int part = neo_emit_binary(e, "div", scalar_like(e, x, term[i]), with(e, "add", x, i));
    sum = neo_emit_binary(e, "add", sum, part);
  }
  int t = with(e, "add", x, 6.5);
  int y = neo_emit_binary(e, "mul", with(e, "sub", x, 0.5), neo_emit_unary(e, "log", t));
  y = neo_emit_binary(e, "sub", y, t);
  y = neo_emit_binary(e, "add", y, neo_emit_unary(e, "log", sum));
  return with(e, "add", y, 0.5 * log(2 * acos(-1)));
}

/* The sine of what is left of the next integer is as large, and exactly 0 at the poles. */
int neo_emit_log_gamma(neo_emitter *e, int x) {
  int low = with(e, "less", x, 0.5);
  int y = where(e, low, neo_emit_binary(e, "sub", scalar_like(e, x, 1), x), x);
  int above = neo_emit_log_gamma_upper(e, y);
  int rest = neo_emit_binary(e, "sub", x, neo_emit_unary(e, "round", x));
  int sine = neo_emit_unary(e, "sin", with(e, "mul", rest, acos(-1)));
  int ratio =
      neo_emit_binary(e, "div", scalar_like(e, x, acos(-1)), neo_emit_unary(e, "abs", sine));
  int reflected = neo_emit_binary(e, "sub", neo_emit_unary(e, "log", ratio), above);
  return where(e, low, reflected, above);
}

static int polynomial(neo_emitter *e, int x, const double *c, int n) {
  int y = scalar_like(e, x, c[0]);
  for (int i = 1; i < n; i++)
    y = with(e, "add", neo_emit_binary(e, "mul", y, x), c[i]);
  return y;
}

int neo_emit_erfinv(neo_emitter *e, int x) {
  static const double middle[] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                  -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                  -0.00417768164,  0.246640727,    1.50140941},
                      tail[] = {-0.000200214257, 0.000100950558, 0.00134934322,
                                -0.00367342844,  0.00573950773,  -0.0076224613,
                                0.00943887047,   1.00167406,     2.83297682};
  int one = scalar_like(e, x, 1);
  int w = neo_emit_binary(e, "mul", neo_emit_binary(e, "sub", one, x),
                          neo_emit_binary(e, "add", one, x));
  w = neo_emit_unary(e, "neg", neo_emit_unary(e, "log", w));
  int near = polynomial(e, with(e, "sub", w, 2.5), middle, NEO_COUNT(middle));
  int far = polynomial(e, with(e, "sub", neo_emit_unary(e, "sqrt", w), 3), tail, NEO_COUNT(tail));
  int y = neo_emit_binary(e, "mul", where(e, with(e, "less", w, 5), near, far), x);
  int end = with(e, "equal", neo_emit_unary(e, "abs", x), 1);
  return where(e, end, with(e, "mul", x, (double)INFINITY), y);
}
