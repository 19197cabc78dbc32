/* tests/codegen/test_kernel_nests.c: whole nests through every code generator: the hand-written
 * ones of tests/data/nest, tails of every width, sub-ranges of the grid, and random nests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/host.h"
#include "schedule/intrinsic.h"
#include "tests/codegen/kernel_case.h"

static void visit(void (*fn)(void *self, kernel_case *c)) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  kernel_case_visit(fn, &ctx);
}

/* ---- files --------------------------------------------------------------------------------------- */

static bool fuses(const kernel_case *c) {
  return neo_target_fuses(&c->target) || neo_target_is_gpu(&c->target);
}

static void run_file(neo_ctx *ctx, kernel_case *c, const char *name, double ulps) {
  char path[512];
  neo_buf text = {0};
  snprintf(path, sizeof path, "%s/tests/data/nest/%s.nest", NEO_SOURCE_DIR, name);
  assert_int_equal(neo_file_read(ctx, path, 0, &text), NEO_OK);
  c->ulps = fuses(c) ? ulps : 1e6; /* sums that cancel differ more without FMA */
  for (c->chunk = 0; c->chunk <= (c->runner ? 0 : 3); c->chunk += 3)
    kernel_case_run_text(ctx, c, text.data);
  neo_buf_fini(&text);
}

static void run_files(void *state, kernel_case *c) {
  c->warnings = true;
  run_file(state, c, "scale", 0);
  run_file(state, c, "gather", 0);
  run_file(state, c, "gather_row", 0);
  run_file(state, c, "integers", 0);
  run_file(state, c, "math", 0);
  run_file(state, c, "matmul_reg", 0);
  run_file(state, c, "two_launches", 0);
  run_file(state, c, "vector_tail", 0);
  run_file(state, c, "wide_index", 0);
  run_file(state, c, "woven", 0);
  run_file(state, c, "sum_of_stored", 0);
  run_file(state, c, "matmul_group", 0);
  run_file(state, c, "softmax_group", 0);
  run_file(state, c, "matrix_f16", 0);
  run_file(state, c, "wide_group", 0);
  c->ulps = 0;
  run_file(state, c, "divide", 0);
  run_file(state, c, "to_half", 0);
}

static void test_files(void **state) {
  (void)state;
  visit(run_files);
}

/* As many buffers as a te has: every OpenCL has room for so many arguments, but no more. */
static void run_many(void *state, kernel_case *c) {
  enum { MOST = 64, N = 4 };
  neo_buf text = {0};
  neo_buf_printf(&text, "nest 1\n");
  for (int k = 0; k < MOST; k++)
    neo_buf_printf(&text, "b%d param %sf32 %d\n", k, k == MOST - 1 ? "out " : "",
                   k == MOST - 1 ? N * (MOST - 1) : N);
  neo_buf_printf(&text, "launch i0 %d\n", N);
  for (int k = 0; k < MOST - 1; k++)
    neo_buf_printf(&text, "  b%d[i0+%d] = b%d[i0]\n", MOST - 1, k * N, k);
  c->ulps = 0;
  kernel_case_run_text(state, c, text.data);
  neo_buf_fini(&text);
}

static void test_many_buffers(void **state) {
  (void)state;
  visit(run_many);
}

/* ---- dot products -------------------------------------------------------------------------------- */

/* Row `row` with both operands in memory order, one shared, one guarded, and with a tail of
 * groups. */
static void run_row(neo_ctx *ctx, kernel_case *c, int row, int lanes) {
  const neo_intrinsic *r = neo_intrinsic_get(row);
  const char *acc = neo_dtype_name(r->acc);
  int g = r->group, n = g * lanes, tail = n - g + 1;
  neo_buf text = {0};
  neo_buf_printf(&text, "nest 1\nb0 param %s %d\nb1 param %s %d\nb2 param out %s %d\nlaunch i0 3\n",
                 neo_dtype_name(r->a), 3 * n, neo_dtype_name(r->b), 3 * n, acc, 12 * lanes);
  char vector[32] = "", load[32], operand[32];
  if (lanes > 1)
    snprintf(vector, sizeof vector, ".x%d", lanes);
  snprintf(load, sizeof load, "b2%s", vector);
  snprintf(operand, sizeof operand, "intrinsic.%d.%s.x%d", row, acc, lanes);
  for (int form = 0; form < 4; form++) {
    int at = form * 3 * lanes;
    neo_buf_printf(&text, "  b2%s[i0*%d+%d] = %s(%s[i0*%d+%d], ", vector, lanes, at, operand, load,
                   lanes, at);
    if (form == 0)
      neo_buf_printf(&text, "b0.x%d[i0*%d], b1.x%d[i0*%d])\n", n, n, n, n);
    else if (form == 1)
      neo_buf_printf(&text, "b0.x%d[i0*%d], b1.x%d[i0*%d])\n", g, g, n, n);
    else if (form == 2)
      neo_buf_printf(&text, "b0.x%da%d[i0*%d], b1.x%d[i0*%d])\n", n, tail, n, g, g);
    else
      neo_buf_printf(
          &text, "select(bcast.x%d(lt(i0, 2)), b0.x%d[i0*%d], bcast.x%d(%s:3)), b1.x%d[i0*%d])\n",
          g, g, g, g, neo_dtype_name(r->a), n, n);
  }
  kernel_case_run_text(ctx, c, text.data);
  neo_buf_fini(&text);
}

static void run_rows(void *state, kernel_case *c) {
  static const int lanes[] = {1, 4, 8, 16, 5, 32}; /* 32: Hexagon's registers */
  bool wide = neo_target_has(&c->target, NEO_ISA_HVX);
  c->warnings = strcmp(c->codegen->name, "c") == 0;
  for (int row = 0; row < neo_intrinsic_count(); row++)
    for (int k = 0; k < NEO_COUNT(lanes); k++) {
      bool is_float = neo_dtype_class(neo_intrinsic_get(row)->acc) == 'f';
      if (lanes[k] > 16 && (!wide || is_float))
        continue;
      c->special = !is_float; /* all bytes */
      c->ulps = is_float && !fuses(c) ? 1e6 : 0;
      run_row(state, c, row, lanes[k]);
    }
}

static void test_rows(void **state) {
  (void)state;
  visit(run_rows);
}

/* ---- tails --------------------------------------------------------------------------------------- */

/* One tail of `active` lanes after a whole vector, loaded and stored. */
static void run_tail(neo_ctx *ctx, kernel_case *c, const char *dtype, int lanes, int active) {
  char text[512];
  snprintf(
      text, sizeof text,
      "nest 1\nb0 param %s %d\nb1 param out %s %d\nb2 param out %s %d\nlaunch i0 1\n"
      "  b1.x%d[0] = b0.x%d[%d]\n  b1.x%da%d[%d] = b0.x%da%d[%d]\n  b2.x%d[0] = b0.x%da%d[%d]\n",
      dtype, lanes + active, dtype, lanes + active, dtype, lanes, lanes, lanes, active, lanes,
      active, lanes, lanes, active, lanes, lanes, lanes, active, lanes);
  kernel_case_run_text(ctx, c, text);
}

static void run_tails(void *state, kernel_case *c) {
  static const struct {
    const char *dtype;
    int lanes;
  } rows[] = {{"f32", 16}, {"f16", 8}, {"bf16", 8}, {"i8", 8}, {"f64", 4}, {"bool", 8}, {"f32", 6}};
  bool fast = strcmp(c->codegen->name, "llvm") == 0;
  for (int k = 0; k < NEO_COUNT(rows); k++)
    for (int active = 1; active < rows[k].lanes; active += c->runner ? 3 : fast ? 1 : 5)
      run_tail(state, c, rows[k].dtype, rows[k].lanes, active);
  for (int active = 1; neo_target_has(&c->target, NEO_ISA_HVX) && active < 128; active += 21) {
    run_tail(state, c, "u8", 128, active);
    run_tail(state, c, "i32", 32, active / 5 + 1);
  }
}

static void test_tails(void **state) {
  (void)state;
  visit(run_tails);
}

/* ---- random nests -------------------------------------------------------------------------------- */

/* A tile of `rows` x `vectors` registers, accumulated over reduce loops that read b0 by scalars and
 * b1 by vectors at random strides, then a random chain of operations, stored row by row; sometimes
 * through a stack row, a scratch buffer, under a condition, or with a dynamic extent. */
typedef struct plan {
  neo_rng rng;
  neo_buf text;
  int lanes, rows, vectors, reduce[3], n_reduce, grid;
  bool through_stack, conditional, dynamic, let, through_scratch;
} plan;

static int below(plan *p, int n) {
  return (int)neo_rng_below(&p->rng, (uint64_t)n);
}

static void choose(plan *p) {
  static const int lanes[] = {1, 4, 8, 16};
  p->lanes = lanes[below(p, 4)];
  p->rows = 1 + below(p, 4);
  p->vectors = 1 + below(p, 2);
  p->n_reduce = below(p, 4);
  for (int k = 0; k < 3; k++)
    p->reduce[k] = 1 + below(p, 5);
  p->grid = 1 + below(p, 6);
  p->through_stack = below(p, 2);
  p->conditional = below(p, 2);
  p->dynamic = below(p, 2);
  p->let = below(p, 2);
  p->through_scratch = below(p, 2);
}

static void line(plan *p, int depth, const char *format, ...) NEO_PRINTF(3, 4);
static void line(plan *p, int depth, const char *format, ...) {
  va_list args;
  neo_buf_printf(&p->text, "%*s", 2 * depth, "");
  va_start(args, format);
  neo_buf_vprintf(&p->text, format, args);
  va_end(args);
  neo_buf_text(&p->text, "\n");
}

static const char *x(plan *p) {
  static const char *const names[] = {"", "", ".x4", ".x8", ".x16"};
  return p->lanes == 1 ? names[0] : p->lanes == 4 ? names[2] : p->lanes == 8 ? names[3] : names[4];
}

static const char *bcast(plan *p) {
  return p->lanes == 1   ? "abs"
         : p->lanes == 4 ? "bcast.x4"
         : p->lanes == 8 ? "bcast.x8"
                         : "bcast.x16";
}

/* Lines of the tile's two unrolled loops; variables a and b count rows and vectors. */
static int tile(plan *p, int depth, int a, int b) {
  line(p, depth, "for i%d %d unroll", a, p->rows);
  line(p, depth + 1, "for i%d %d unroll", b, p->vectors);
  return depth + 2;
}

static int emit_reduce(plan *p, int depth) {
  for (int k = 0; k < p->n_reduce; k++) {
    bool last = p->dynamic && k == p->n_reduce - 1;
    line(p, depth + k, last ? "for i%d min(%d, max(i0, 1))" : "for i%d %d", 10 + k, p->reduce[k]);
  }
  depth += p->n_reduce;
  if (p->conditional) {
    line(p, depth, "if lt(floormod(i0+%s, 3), 2)", p->n_reduce ? "i10" : "1");
    depth++;
  }
  return depth;
}

static void emit_random_nest(plan *p) {
  int width = p->lanes * p->vectors, tile_size = p->rows * width, d = 1;
  const char *i10 = p->n_reduce > 0 ? "+i10*3" : "", *i11 = p->n_reduce > 1 ? "+i11*16" : "",
             *i12 = p->n_reduce > 2 ? "+i12" : "";
  line(p, 0, "nest 1\nb0 param f32 200\nb1 param const f32 400\nb2 param out f32 %d",
       p->grid * tile_size);
  line(p, 0, "b3 reg f32 %d x%d\nb4 stack f32 %d\nb5 scratch f32 %d @0\nlaunch i0 %d", tile_size,
       p->lanes, tile_size, tile_size, p->grid);
  if (p->let)
    line(p, d++, "let i1 = floordiv(i0*7+3, 2)");
  int t = tile(p, d, 2, 3);
  line(p, t, "b3%s[i2*%d+i3*%d] = %s(f32:0)", x(p), width, p->lanes, bcast(p));
  int r = emit_reduce(p, d);
  t = tile(p, r, 4, 5);
  line(p, t,
       "b3%s[i4*%d+i5*%d] = fma(%s(b0[i4*9+%s*4%s%s]), b1%s[i0*8+i5*%d%s%s], b3%s[i4*%d+i5*%d])",
       x(p), width, p->lanes, bcast(p), p->let ? "i1" : "i0", i10, i12, x(p), p->lanes, i11, i12,
       x(p), width, p->lanes);
  const char *from = "b3";
  if (p->through_stack || p->through_scratch) {
    const char *to = p->through_stack ? "b4" : "b5";
    t = tile(p, d, 6, 7);
    line(p, t, "%s%s[i6*%d+i7*%d] = max(b3%s[i6*%d+i7*%d], %s(f32:0.125))", to, x(p), width,
         p->lanes, x(p), width, p->lanes, bcast(p));
    from = to;
  }
  t = tile(p, d, 8, 9);
  line(p, t,
       "b2%s[i0*%d+i8*%d+i9*%d] = select(lt(%s%s[i8*%d+i9*%d], b1%s[i9*%d]), b1%s[3], "
       "%s%s[i8*%d+i9*%d])",
       x(p), tile_size, width, p->lanes, from, x(p), width, p->lanes, x(p), p->lanes, x(p), from,
       x(p), width, p->lanes);
}

/* The parser wants variables numbered as they appear. */
static void renumber(const char *text, neo_buf *out) {
  int map[16], n = 0;
  memset(map, -1, sizeof map);
  for (const char *at = text; *at;) {
    if (*at == 'i' && at[1] >= '0' && at[1] <= '9') {
      int v = 0;
      for (at++; *at >= '0' && *at <= '9'; at++)
        v = 10 * v + (*at - '0');
      if (map[v] < 0)
        map[v] = n++;
      neo_buf_printf(out, "i%d", map[v]);
    } else {
      neo_buf_append(out, at++, 1);
    }
  }
}

static void run_random(void *state, kernel_case *c) {
  bool fast = strcmp(c->codegen->name, "llvm") == 0;
  c->ulps = fuses(c) ? 0 : 1e6;
  uint64_t seeds = c->runner ? 12 : fast ? 150 : 8;
  for (uint64_t seed = 0; seed < seeds; seed++) {
    plan p = {.lanes = 1};
    neo_buf text = {0};
    neo_rng_init(&p.rng, seed);
    choose(&p);
    emit_random_nest(&p);
    renumber(p.text.data, &text);
    c->seed = seed;
    c->chunk = below(&p, 3);
    kernel_case_run_text(state, c, text.data);
    neo_buf_fini(&text);
    neo_buf_fini(&p.text);
  }
}

static void test_random(void **state) {
  (void)state;
  visit(run_random);
}

int main(void) {
  if (kernel_case_missing())
    return 77;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_files), cmocka_unit_test(test_many_buffers),
      cmocka_unit_test(test_rows), cmocka_unit_test(test_tails), cmocka_unit_test(test_random)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
