/* The context: error text, log, clock.
 *
 * Why: every fallible function needs the same four things, and tests replace all of them (a fake
 * clock, a log that is read back, an allocator that fails), so they travel together as a value.
 *
 * Invariants
 * 1. status != NEO_OK exactly when a failure is recorded; message then holds its text.
 * 2. The first failure since neo_ctx_clear wins: callers further up add nothing by failing again.
 */
#include "base/core.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MS = 1000000 };

void neo_ctx_init(neo_ctx *ctx, uint64_t seed) {
  memset(ctx, 0, sizeof(*ctx));
  neo_rng_init(&ctx->rng, seed);
}

void neo_ctx_fork(neo_ctx *ctx, neo_ctx *parent) {
  neo_ctx_init(ctx, neo_rng_next(&parent->rng));
  ctx->allocator = parent->allocator;
  ctx->log = parent->log;
  ctx->log_self = parent->log_self;
  ctx->now_ns = parent->now_ns;
  ctx->now_self = parent->now_self;
}

void neo_ctx_clear(neo_ctx *ctx) {
  ctx->status = NEO_OK;
  ctx->message[0] = '\0';
}

neo_status neo_fail(neo_ctx *ctx, neo_status status, const char *format, ...) {
  neo_assert(status != NEO_OK);
  if (ctx->status == NEO_OK) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->message, sizeof(ctx->message), format, args);
    va_end(args);
    ctx->status = status;
  }
  return status;
}

void neo_log(neo_ctx *ctx, neo_log_level level, const char *format, ...) {
  if (!ctx->log)
    return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  ctx->log(ctx->log_self, level, text);
}

uint64_t neo_now_ns(neo_ctx *ctx) {
  if (ctx->now_ns)
    return ctx->now_ns(ctx->now_self);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t neo_deadline(neo_ctx *ctx, int64_t ms) {
  return neo_now_ns(ctx) + (uint64_t)(ms > 0 ? ms : 0) * MS;
}

int neo_deadline_left(neo_ctx *ctx, uint64_t deadline) {
  uint64_t now = neo_now_ns(ctx);
  return now < deadline ? (int)neo_min_i64((int64_t)((deadline - now - 1) / MS) + 1, 1 << 30) : 0;
}

const char *neo_status_name(neo_status status) {
  switch (status) {
  case NEO_OK:
    return "ok";
  case NEO_INTERNAL:
    return "internal error";
  case NEO_USAGE:
    return "usage";
  case NEO_BAD_INPUT:
    return "bad input";
  case NEO_UNSUPPORTED:
    return "unsupported";
  case NEO_NOTHING_MEASURED:
    return "nothing measured";
  case NEO_UNREACHABLE:
    return "unreachable";
  case NEO_NO_MEMORY:
    return "out of memory";
  case NEO_IO:
    return "input/output";
  case NEO_INTERRUPTED:
    return "interrupted";
  }
  return "unknown status";
}

void neo_assert_failed(const char *cond, const char *file, int line) {
  fprintf(stderr, "neo: bug: %s:%d: assertion failed: %s\n", file, line, cond);
  fflush(stderr);
  abort();
}
