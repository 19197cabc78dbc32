/* The canary: after a crash or a hang, is the board still what it was?
 *
 * A chain of integer mixing and of multiplications and additions in double precision, each step
 * needing the one before, so that neither answer nor time depends on vector width or cache. The
 * answers are known; the time is compared by the caller with what it was when the board started. */
#include "rpc/board.h"

enum { STEPS = 200000 };
#define INTEGER_ANSWER UINT64_C(0xe69cd07a6f2d17be)
#define DOUBLE_ANSWER 966324641729.0

bool neo_canary(neo_ctx *ctx, double *out_ns) {
  uint64_t before = neo_now_ns(ctx), x = 0x9e3779b97f4a7c15u;
  double y = 1.0;
  for (int i = 0; i < STEPS; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    y = y * 5.0 + 12345.0; /* below 2^43: exact, with or without fused multiply-add */
    y -= (double)(int64_t)(y * 0x1p-40) * 0x1p40;
  }
  *out_ns = (double)(neo_now_ns(ctx) - before);
  return x == INTEGER_ANSWER && y == DOUBLE_ANSWER;
}
