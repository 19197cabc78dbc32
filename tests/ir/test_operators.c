/* tests/ir/test_operators.c: convolutions, pools and resize with random attributes against
 * straightforward loops; each te that they lower to is also checked, printed, parsed, canonicalised
 * and widened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/ir/op_testing.h"

static neo_ctx ctx;

static int setup(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return 0;
}

#define SPECS(...)                                                                                 \
  (const char *const[]) {                                                                          \
    __VA_ARGS__, NULL                                                                              \
  }

static double get(const neo_tensor *t, int64_t i) {
  return neo_tensor_get_f64(t, i);
}

static void assert_close(double got, double want, const char *what, int64_t at) {
  if (!(fabs(got - want) <= 1e-4 * (1 + fabs(want))) && !(isnan(got) && isnan(want)) && got != want)
    fail_msg("%s: element %d is %.9g, %.9g expected", what, (int)at, got, want);
}

/* ---- convolutions over random attributes, against loops ------------------------------------------------ */

typedef struct geometry {
  int64_t n, group, cg, kg, in[2], kernel[2], stride[2], dilation[2], begin[2], end[2], out[2],
      more[2];
  bool bias;
} geometry;

static int64_t pick(neo_rng *rng, int64_t lo, int64_t hi) {
  return lo + (int64_t)neo_rng_below(rng, (uint64_t)(hi - lo + 1));
}

static geometry random_geometry(neo_rng *rng) {
  geometry g = {
      .n = pick(rng, 1, 2), .group = pick(rng, 1, 3), .cg = pick(rng, 1, 3), .kg = pick(rng, 1, 3)};
  if (neo_rng_below(rng, 3) == 0)
    g.cg = g.kg = 1;
  for (int d = 0; d < 2; d++) {
    g.kernel[d] = pick(rng, 1, 4);
    g.stride[d] = pick(rng, 1, 3);
    g.dilation[d] = pick(rng, 1, 3);
    g.begin[d] = pick(rng, 0, 3);
    g.end[d] = pick(rng, 0, 3);
    g.in[d] = pick(rng, 4, 9) + (g.kernel[d] - 1) * g.dilation[d];
    g.more[d] = pick(rng, 0, g.stride[d] - 1);
  }
  g.bias = neo_rng_below(rng, 2);
  return g;
}

static void describe(const geometry *g, const char *op, bool transposed, char *call, size_t size) {
  char extra[64] = "";
  if (transposed)
    snprintf(extra, sizeof extra, "output_padding=[%d,%d], ", (int)g->more[0], (int)g->more[1]);
  snprintf(call, size,
           "%s(%%0, %%1%s) {dilations=[%d,%d], group=%d, %spads=[%d,%d,%d,%d], strides=[%d,%d]}",
           op, g->bias ? ", %2" : "", (int)g->dilation[0], (int)g->dilation[1], (int)g->group,
           extra, (int)g->begin[0], (int)g->begin[1], (int)g->end[0], (int)g->end[1],
           (int)g->stride[0], (int)g->stride[1]);
}

static void run_convolution(op_run *r, geometry *g, const char *op, bool transposed) {
  char call[256], x[64], w[64], b[64];
  int64_t first = transposed ? g->group * g->cg : g->group * g->kg,
          second = transposed ? g->kg : g->cg;
  describe(g, op, transposed, call, sizeof call);
  snprintf(x, sizeof x, "input f32 [%d,%d,%d,%d]", (int)g->n, (int)(g->group * g->cg),
           (int)g->in[0], (int)g->in[1]);
  snprintf(w, sizeof w, "input f32 [%d,%d,%d,%d]", (int)first, (int)second, (int)g->kernel[0],
           (int)g->kernel[1]);
  snprintf(b, sizeof b, "input f32 [%d]", (int)(g->group * g->kg));
  op_go(r, &ctx, call, SPECS(x, w, g->bias ? b : NULL), 1);
  for (int d = 0; d < 2; d++)
    g->out[d] = r->out[0].shape.dim[2 + d];
}

static void convolution_equals_loops(void **state) {
  (void)state;
  neo_rng rng;
  neo_rng_init(&rng, 17);
  for (int trial = 0; trial < 60; trial++) {
    geometry g = random_geometry(&rng);
    op_run r;
    run_convolution(&r, &g, "conv", false);
    int64_t at = 0;
    for (int64_t n = 0; n < g.n; n++)
      for (int64_t k = 0; k < g.group * g.kg; k++)
        for (int64_t y = 0; y < g.out[0]; y++)
          for (int64_t x = 0; x < g.out[1]; x++) {
            double sum = g.bias ? get(&r.in[2], k) : 0;
            for (int64_t q = 0; q < g.cg * g.kernel[0] * g.kernel[1]; q++) {
              int64_t c = q / (g.kernel[0] * g.kernel[1]), ky = q / g.kernel[1] % g.kernel[0],
                      kx = q % g.kernel[1];
              int64_t iy = y * g.stride[0] - g.begin[0] + ky * g.dilation[0];
              int64_t ix = x * g.stride[1] - g.begin[1] + kx * g.dilation[1];
              if (iy < 0 || iy >= g.in[0] || ix < 0 || ix >= g.in[1])
                continue;
              int64_t channel = k / g.kg * g.cg + c;
              sum += get(&r.in[0], ((n * g.group * g.cg + channel) * g.in[0] + iy) * g.in[1] + ix) *
                     get(&r.in[1], ((k * g.cg + c) * g.kernel[0] + ky) * g.kernel[1] + kx);
            }
            assert_close(get(&r.out[0], at), sum, "conv", at);
            at++;
          }
    op_end(&r);
  }
}

static void transposed_convolution_equals_scattering(void **state) {
  (void)state;
  neo_rng rng;
  neo_rng_init(&rng, 23);
  for (int trial = 0; trial < 60; trial++) {
    geometry g = random_geometry(&rng);
    op_run r;
    run_convolution(&r, &g, "conv_transpose", true);
    int64_t area = g.out[0] * g.out[1], size = g.n * g.group * g.kg * area;
    double *want = calloc((size_t)size, sizeof *want);
    for (int64_t i = 0; g.bias && i < size; i++)
      want[i] = get(&r.in[2], i / area % (g.group * g.kg));
    for (int64_t i = 0; i < g.n * g.group * g.cg * g.in[0] * g.in[1]; i++) {
      int64_t ix = i % g.in[1], iy = i / g.in[1] % g.in[0],
              c = i / (g.in[0] * g.in[1]) % (g.group * g.cg);
      int64_t n = i / (g.in[0] * g.in[1] * g.group * g.cg);
      for (int64_t q = 0; q < g.kg * g.kernel[0] * g.kernel[1]; q++) {
        int64_t kk = q / (g.kernel[0] * g.kernel[1]), ky = q / g.kernel[1] % g.kernel[0],
                kx = q % g.kernel[1];
        int64_t y = iy * g.stride[0] + ky * g.dilation[0] - g.begin[0];
        int64_t x = ix * g.stride[1] + kx * g.dilation[1] - g.begin[1];
        if (y < 0 || y >= g.out[0] || x < 0 || x >= g.out[1])
          continue;
        want[((n * g.group * g.kg + c / g.cg * g.kg + kk) * g.out[0] + y) * g.out[1] + x] +=
            get(&r.in[0], i) *
            get(&r.in[1], ((c * g.kg + kk) * g.kernel[0] + ky) * g.kernel[1] + kx);
      }
    }
    for (int64_t i = 0; i < size; i++)
      assert_close(get(&r.out[0], i), want[i], "conv_transpose", i);
    free(want);
    op_end(&r);
  }
}

/* ---- pools --------------------------------------------------------------------------------------- */

typedef struct pooled {
  double max, sum, squares;
  int64_t inside, padded; /* taps inside of the input, and of the padded input */
} pooled;

static pooled pool_at(const geometry *g, const neo_tensor *t, int64_t channel, int64_t y,
                      int64_t x) {
  pooled p = {.max = -INFINITY};
  for (int64_t q = 0; q < g->kernel[0] * g->kernel[1]; q++) {
    int64_t iy = y * g->stride[0] - g->begin[0] + q / g->kernel[1] * g->dilation[0];
    int64_t ix = x * g->stride[1] - g->begin[1] + q % g->kernel[1] * g->dilation[1];
    p.padded += iy < g->in[0] + g->end[0] && ix < g->in[1] + g->end[1];
    if (iy < 0 || iy >= g->in[0] || ix < 0 || ix >= g->in[1])
      continue;
    double v = get(t, (channel * g->in[0] + iy) * g->in[1] + ix);
    p.max = fmax(p.max, v);
    p.sum += v;
    p.squares += v * v;
    p.inside++;
  }
  return p;
}

static void run_pool(op_run *r, const geometry *g, const char *op, bool ceil_mode, bool include) {
  char call[256], x[64], extra[32] = "";
  if (strcmp(op, "average_pool") == 0)
    snprintf(extra, sizeof extra, "count_include_pad=%d, ", include);
  snprintf(call, sizeof call,
           "%s(%%0) {ceil_mode=%d, %sdilations=[%d,%d], kernel_shape=[%d,%d], pads=[%d,%d,%d,%d], "
           "strides=[%d,%d]}",
           op, ceil_mode, extra, (int)g->dilation[0], (int)g->dilation[1], (int)g->kernel[0],
           (int)g->kernel[1], (int)g->begin[0], (int)g->begin[1], (int)g->end[0], (int)g->end[1],
           (int)g->stride[0], (int)g->stride[1]);
  snprintf(x, sizeof x, "input f32 [2,3,%d,%d]", (int)g->in[0], (int)g->in[1]);
  op_go(r, &ctx, call, SPECS(x), 1);
}

static void pools_equal_loops(void **state) {
  (void)state;
  static const char *const ops[] = {"max_pool", "average_pool", "lp_pool"};
  neo_rng rng;
  neo_rng_init(&rng, 31);
  for (int trial = 0; trial < 90; trial++) {
    geometry g = random_geometry(&rng);
    const char *op = ops[trial % 3];
    bool ceil_mode = neo_rng_below(&rng, 2), include = neo_rng_below(&rng, 2);
    for (int d = 0; d < 2; d++) { /* a window never lies in the padding alone */
      g.begin[d] = neo_min_i64(g.begin[d], g.kernel[d] - 1);
      g.end[d] = neo_min_i64(g.end[d], g.kernel[d] - 1);
      g.dilation[d] = g.begin[d] || g.end[d] ? 1 : g.dilation[d];
    }
    op_run r;
    run_pool(&r, &g, op, ceil_mode, include);
    const int64_t *out = r.out[0].shape.dim + 2;
    for (int64_t i = 0; i < 6 * out[0] * out[1]; i++) {
      pooled p = pool_at(&g, &r.in[0], i / (out[0] * out[1]), i / out[1] % out[0], i % out[1]);
      double want = trial % 3 == 0   ? p.max
                    : trial % 3 == 1 ? p.sum / (double)(include ? p.padded : p.inside)
                                     : sqrt(p.squares);
      assert_close(get(&r.out[0], i), want, op, i);
    }
    op_end(&r);
  }
}

/* ---- resize -------------------------------------------------------------------------------------- */

static const char *const coordinates[] = {"half_pixel", "asymmetric", "align_corners",
                                          "pytorch_half_pixel"};
static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};

static double source(int mode, int64_t o, int64_t in, int64_t out) {
  double scale = (double)out / (double)in;
  switch (mode) {
  case 1:
    return (double)o / scale;
  case 2:
    return out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0;
  case 3:
    return out > 1 ? ((double)o + 0.5) / scale - 0.5 : 0;
  default:
    return ((double)o + 0.5) / scale - 0.5;
  }
}

static int64_t clamp(int64_t v, int64_t size) {
  return v < 0 ? 0 : v >= size ? size - 1 : v;
}

static int64_t nearest(double x, int rounding, int64_t size) {
  x = nearbyint(x * 1e6) / 1e6; /* ties are exact in the te */
  double v = rounding == 0   ? ceil(x - 0.5)
             : rounding == 1 ? floor(x + 0.5)
             : rounding == 2 ? floor(x)
                             : ceil(x);
  return clamp((int64_t)v, size);
}

static double cubic(double t) {
  double x = fabs(t), a = -0.75;
  if (x <= 1)
    return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

/* Taps of kind (1 linear, 2 cubic) around x of one dimension: weight of input position i. */
static double weight(int kind, double x, int64_t i) {
  double t = x - (double)i;
  return kind == 1 ? fmax(0, 1 - fabs(t)) : cubic(t);
}

static double interpolated(const neo_tensor *t, const int64_t *in, int kind, double y, double x) {
  double sum = 0;
  for (int64_t iy = (int64_t)floor(y) - 2; iy <= (int64_t)floor(y) + 3; iy++)
    for (int64_t ix = (int64_t)floor(x) - 2; ix <= (int64_t)floor(x) + 3; ix++)
      sum += weight(kind, y, iy) * weight(kind, x, ix) *
             get(t, clamp(iy, in[0]) * in[1] + clamp(ix, in[1]));
  return sum;
}

static void resizing_equals_the_formulas(void **state) {
  (void)state;
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  neo_rng rng;
  neo_rng_init(&rng, 41);
  for (int trial = 0; trial < 90; trial++) {
    int64_t in[2] = {pick(&rng, 1, 7), pick(&rng, 1, 7)},
            out[2] = {pick(&rng, 1, 11), pick(&rng, 1, 11)};
    int kind = trial % 3, mode = (int)neo_rng_below(&rng, 4),
        rounding = (int)neo_rng_below(&rng, 4);
    char call[256], x[64], sizes[64];
    snprintf(call, sizeof call,
             "resize(%%0, _, _, %%1) {coordinate_transformation_mode=\"%s\", mode=\"%s\", "
             "nearest_mode=\"%s\"}",
             coordinates[mode], modes[kind], roundings[rounding]);
    snprintf(x, sizeof x, "input f32 [1,1,%d,%d]", (int)in[0], (int)in[1]);
    snprintf(sizes, sizeof sizes, "const i64 [4] {1,1,%d,%d}", (int)out[0], (int)out[1]);
    op_run r;
    op_go(&r, &ctx, call, SPECS(x, sizes), 1);
    for (int64_t i = 0; i < out[0] * out[1]; i++) {
      double sy = source(mode, i / out[1], in[0], out[0]),
             sx = source(mode, i % out[1], in[1], out[1]);
      double want =
          kind ? interpolated(&r.in[0], in, kind, sy, sx)
               : get(&r.in[0], nearest(sy, rounding, in[0]) * in[1] + nearest(sx, rounding, in[1]));
      assert_close(get(&r.out[0], i), want, call, i);
    }
    op_end(&r);
  }
}

/* ---- matmul -------------------------------------------------------------------------------------- */

static void broadcast_products_equal_loops(void **state) {
  (void)state;
  op_run r;
  op_go(&r, &ctx, "matmul(%0, %1)", SPECS("input f32 [2,1,3,4]", "input f32 [5,4,2]"), 1);
  assert_int_equal(r.out[0].shape.rank, 4);
  for (int64_t i = 0; i < 2 * 5 * 3 * 2; i++) {
    int64_t n = i % 2, m = i / 2 % 3, b = i / 6 % 5, a = i / 30;
    double sum = 0;
    for (int64_t k = 0; k < 4; k++)
      sum += get(&r.in[0], (a * 3 + m) * 4 + k) * get(&r.in[1], (b * 4 + k) * 2 + n);
    assert_close(get(&r.out[0], i), sum, "matmul", i);
  }
  op_end(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(convolution_equals_loops, setup),
      cmocka_unit_test_setup(transposed_convolution_equals_scattering, setup),
      cmocka_unit_test_setup(pools_equal_loops, setup),
      cmocka_unit_test_setup(resizing_equals_the_formulas, setup),
      cmocka_unit_test_setup(broadcast_products_equal_loops, setup),
  };
  return cmocka_run_group_tests_name("operators", tests, NULL, NULL);
}
