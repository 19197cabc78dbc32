/* The FMA peak of the target as a nest: what no kernel can beat.
 *
 * How: independent accumulators, enough to cover ports x latency (and no more than the registers),
 * each fed by register operands only. One grid index per thread. */
#include "measure/parts.h"

static int lanes_of(const neo_target *target) {
  return neo_target_lanes(target, true, sizeof(float));
}

static int accumulators(const neo_target *target) {
  int want = target->fma_ports * target->fma_latency;
  int most = target->vector_registers - 4;
  want = want < 10 ? 10 : want;
  return want > most ? (most < 1 ? 1 : most) : want;
}

void neo_peak_nest(neo_buf *out, const neo_target *target, int threads, int64_t iterations) {
  int lanes = lanes_of(target), n = accumulators(target), width = n * lanes;
  char x[16] = "";
  if (lanes > 1)
    snprintf(x, sizeof x, ".x%d", lanes);
  neo_buf_printf(out, "nest 1\nb0 param f32 %d\nb1 param out f32 %d\nb2 reg f32 %d x%d\n", lanes,
                 width * threads, width, lanes);
  neo_buf_printf(out, "launch i0 %d\n  for i1 %d unroll\n    b2%s[i1*%d] = b0%s[0]\n", threads, n,
                 x, lanes, x);
  neo_buf_printf(out, "  for i2 %lld\n    for i3 %d unroll\n", (long long)iterations, n);
  neo_buf_printf(out, "      b2%s[i3*%d] = fma(b2%s[i3*%d], b0%s[0], b0%s[0])\n", x, lanes, x,
                 lanes, x, x);
  neo_buf_printf(out, "  for i4 %d unroll\n    b1%s[i0*%d+i4*%d] = b2%s[i4*%d]\n", n, x, width,
                 lanes, x, lanes);
}

double neo_peak_fmas(const neo_target *target, int threads, int64_t iterations) {
  return (double)iterations * accumulators(target) * lanes_of(target) * threads;
}
