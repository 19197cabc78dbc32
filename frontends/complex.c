/* frontends/complex.c: complex numbers of readers as pairs of real ones (complex.h), and Fourier
 * transforms of them by the operator dft, whose numbers have a last dimension of their own. */
#include "frontends/complex.h"

static const double pi = 3.14159265358979323846;

int neo_complex_value(neo_emitter *e, neo_complex z) {
  if (z.im == NEO_NO_VALUE)
    return z.re;
  int id = neo_emit_unary(e, "identity", z.re);
  e->pair =
      neo_arena_grow(e->graph->arena, e->pair, &e->cap_pairs, e->n_pairs + 1, sizeof *e->pair);
  e->pair[e->n_pairs++] = (neo_emit_pair){id, z.re, z.im};
  return id;
}

/* Ids only grow. */
static const neo_emit_pair *find(const neo_emitter *e, int value) {
  int lo = 0, hi = e->n_pairs - 1;
  while (lo <= hi) {
    int mid = lo + (hi - lo) / 2;
    if (e->pair[mid].value == value)
      return &e->pair[mid];
    if (e->pair[mid].value < value)
      lo = mid + 1;
    else
      hi = mid - 1;
  }
  return NULL;
}

bool neo_complex_is(const neo_emitter *e, int value) {
  return find(e, value) != NULL;
}

neo_complex neo_complex_of(const neo_emitter *e, int value) {
  const neo_emit_pair *pair = find(e, value);
  return pair ? (neo_complex){pair->re, pair->im} : (neo_complex){value, NEO_NO_VALUE};
}

/* ---- arithmetic ------------------------------------------------------------------------------- */

static int two(neo_emitter *e, const char *op, int a, int b) {
  return neo_emit_binary(e, op, a, b);
}

static int with(neo_emitter *e, const char *op, int x, double v) {
  neo_emit_infer(e);
  neo_dtype dtype = neo_emit_dtype(e, x);
  return two(e, op, x, neo_emit_scalar(e, dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype, v));
}

static int select_of(neo_emitter *e, int condition, int yes, int no) {
  return neo_emit_node(e, "where", 3, (int[]){condition, yes, no}, 1)->output[0];
}

int neo_complex_imaginary(neo_emitter *e, neo_complex z) {
  return z.im != NEO_NO_VALUE ? z.im : with(e, "mul", z.re, 0);
}

neo_complex neo_complex_add(neo_emitter *e, neo_complex a, neo_complex b) {
  neo_complex sum = {two(e, "add", a.re, b.re), NEO_NO_VALUE};
  if (a.im != NEO_NO_VALUE || b.im != NEO_NO_VALUE)
    sum.im = two(e, "add", neo_complex_imaginary(e, a), neo_complex_imaginary(e, b));
  return sum;
}

neo_complex neo_complex_mul(neo_emitter *e, neo_complex a, neo_complex b) {
  if (a.im == NEO_NO_VALUE)
    return (neo_complex){two(e, "mul", a.re, b.re),
                         b.im == NEO_NO_VALUE ? b.im : two(e, "mul", a.re, b.im)};
  if (b.im == NEO_NO_VALUE)
    return neo_complex_mul(e, b, a);
  return (neo_complex){two(e, "sub", two(e, "mul", a.re, b.re), two(e, "mul", a.im, b.im)),
                       two(e, "add", two(e, "mul", a.re, b.im), two(e, "mul", a.im, b.re))};
}

neo_complex neo_complex_div(neo_emitter *e, neo_complex a, neo_complex b) {
  int by = b.re;
  if (b.im != NEO_NO_VALUE) {
    a = neo_complex_mul(e, a, neo_complex_conj(e, b));
    by = two(e, "add", two(e, "mul", b.re, b.re), two(e, "mul", b.im, b.im));
  }
  return (neo_complex){two(e, "div", a.re, by),
                       a.im == NEO_NO_VALUE ? a.im : two(e, "div", a.im, by)};
}

neo_complex neo_complex_neg(neo_emitter *e, neo_complex z) {
  return (neo_complex){neo_emit_unary(e, "neg", z.re),
                       z.im == NEO_NO_VALUE ? z.im : neo_emit_unary(e, "neg", z.im)};
}

neo_complex neo_complex_conj(neo_emitter *e, neo_complex z) {
  return (neo_complex){z.re, z.im == NEO_NO_VALUE ? z.im : neo_emit_unary(e, "neg", z.im)};
}

neo_complex neo_complex_polar(neo_emitter *e, int size, int angle) {
  return (neo_complex){two(e, "mul", size, neo_emit_unary(e, "cos", angle)),
                       two(e, "mul", size, neo_emit_unary(e, "sin", angle))};
}

neo_complex neo_complex_exp(neo_emitter *e, neo_complex z) {
  int size = neo_emit_unary(e, "exp", z.re);
  return z.im == NEO_NO_VALUE ? (neo_complex){size, z.im} : neo_complex_polar(e, size, z.im);
}

int neo_complex_abs(neo_emitter *e, neo_complex z) {
  if (z.im == NEO_NO_VALUE)
    return neo_emit_unary(e, "abs", z.re);
  int sum = two(e, "add", two(e, "mul", z.re, z.re), two(e, "mul", z.im, z.im));
  return neo_emit_unary(e, "sqrt", sum);
}

/* atan(im / re), turned by half a circle where re < 0: up, or where im < 0 down; where re is 0, of
 * either sign, a quarter of a circle to im's side, and of 0 / 0 the angle is 0. */
int neo_complex_angle(neo_emitter *e, neo_complex z) {
  int im = neo_complex_imaginary(e, z);
  int upright = with(e, "mul", neo_emit_unary(e, "sign", im), pi / 2);
  int slope = neo_emit_unary(e, "atan", two(e, "div", im, z.re));
  int down = with(e, "sub", slope, pi), up = with(e, "add", slope, pi);
  int turned = select_of(e, with(e, "less", im, 0), down, up);
  int angle = select_of(e, with(e, "less", z.re, 0), turned, slope);
  return select_of(e, with(e, "equal", z.re, 0), upright, angle);
}

/* ---- parts side by side ----------------------------------------------------------------------- */

static int unsqueeze_last(neo_emitter *e, int x) {
  int64_t last = -1;
  return two(e, "unsqueeze", x, neo_emit_ints(e, 1, &last));
}

int neo_complex_pack(neo_emitter *e, neo_complex z) {
  int part[2] = {unsqueeze_last(e, z.re), unsqueeze_last(e, neo_complex_imaginary(e, z))};
  neo_node *node = neo_emit_node(e, "concat", 2, part, 1);
  neo_node_set_int(e->graph, node, "axis", -1);
  return node->output[0];
}

static int part_of(neo_emitter *e, int packed, int64_t at) {
  neo_node *node = neo_emit_node(e, "gather", 2, (int[]){packed, neo_emit_int(e, at)}, 1);
  neo_node_set_int(e->graph, node, "axis", -1);
  return node->output[0];
}

neo_complex neo_complex_unpack(neo_emitter *e, int packed) {
  neo_complex z = {part_of(e, packed, 0), NEO_NO_VALUE};
  z.im = part_of(e, packed, 1);
  return z;
}

/* ---- transforms ------------------------------------------------------------------------------- */

neo_complex neo_complex_fourier(neo_emitter *e, neo_complex z, const neo_fourier *how) {
  bool real = how->inverse && how->half;
  int x = z.im == NEO_NO_VALUE ? unsqueeze_last(e, z.re) : neo_complex_pack(e, z);
  int length = how->length > 0 ? neo_emit_int(e, how->length) : NEO_NO_VALUE;
  neo_node *node = neo_emit_node(e, "dft", 2, (int[]){x, length}, 1);
  neo_node_set_int(e->graph, node, "axis", how->axis - 1);
  neo_node_set_int(e->graph, node, "inverse", how->inverse);
  neo_node_set_int(e->graph, node, "onesided", how->half);
  int y = node->output[0];
  return real ? (neo_complex){part_of(e, y, 0), NEO_NO_VALUE} : neo_complex_unpack(e, y);
}
