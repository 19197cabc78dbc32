/* tests/codegen/test_kernel_ops.c: every operation on every element type, scalar and in vectors, as
 * each code generator prints it, against neo_expr_apply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/codegen/kernel_case.h"

enum { N = 128, LANES = 8 };

typedef struct builder {
  neo_arena arena;
  neo_nest *nest;
  neo_dtype dtype;
  int lanes;
  const neo_expr *arg[3], *offset;
  neo_stmt *first, **last;
} builder;

static neo_nest_buffer param(neo_dtype dtype, bool writable) {
  return (neo_nest_buffer){
      .scope = NEO_SCOPE_PARAM, .dtype = dtype, .elements = N, .lanes = 1, .writable = writable};
}

/* b0, b1, b2 of the dtype; one output for each operation. */
static void builder_init(builder *b, neo_dtype dtype, int lanes) {
  *b = (builder){.dtype = dtype, .lanes = lanes};
  neo_arena_init(&b->arena);
  b->nest = neo_arena_alloc(&b->arena, sizeof *b->nest);
  b->nest->arena = &b->arena;
  b->nest->n_vars = 1;
  b->last = &b->first;
  b->offset = neo_expr_binary(&b->arena, NEO_EXPR_MUL, neo_expr_var(&b->arena, 0),
                              neo_expr_index(&b->arena, lanes));
  for (int k = 0; k < 3; k++) {
    b->nest->buffer[b->nest->n_buffers++] = param(dtype, false);
    b->arg[k] = lanes == 1 ? neo_expr_load(&b->arena, dtype, k, 1, &b->offset)
                           : neo_expr_load_vector(&b->arena, dtype, k, b->offset, lanes, lanes);
  }
}

static void add_output(builder *b, const neo_expr *value) {
  int k = b->nest->n_buffers++;
  b->nest->buffer[k] = param(value->dtype, true);
  *b->last = neo_nest_store(&b->arena, k, b->offset, value, b->lanes);
  b->last = &(*b->last)->next;
}

static void builder_run(builder *b, neo_ctx *ctx, const kernel_case *c) {
  b->nest->n_params = b->nest->n_buffers;
  b->nest->n_launches = 1;
  b->nest->launch[0] = (neo_launch){.grid = N / b->lanes, .body = b->first, .lanes = 1};
  if (neo_nest_check(ctx, b->nest) != NEO_OK)
    fail_msg("%s", ctx->message);
  kernel_case_run(ctx, c, b->nest);
  neo_arena_fini(&b->arena);
}

static void float_ops(builder *b) {
  static const neo_expr_op unary[] = {NEO_EXPR_NEG,   NEO_EXPR_ABS,  NEO_EXPR_SQRT,
                                      NEO_EXPR_FLOOR, NEO_EXPR_CEIL, NEO_EXPR_ROUND,
                                      NEO_EXPR_TRUNC, NEO_EXPR_ISNAN};
  static const neo_expr_op binary[] = {NEO_EXPR_ADD,      NEO_EXPR_SUB, NEO_EXPR_MUL, NEO_EXPR_DIV,
                                       NEO_EXPR_FLOORDIV, NEO_EXPR_MIN, NEO_EXPR_MAX};
  for (int k = 0; k < NEO_COUNT(unary); k++)
    add_output(b, neo_expr_unary(&b->arena, unary[k], b->arg[0]));
  for (int k = 0; k < NEO_COUNT(binary); k++)
    add_output(b, neo_expr_binary(&b->arena, binary[k], b->arg[0], b->arg[1]));
}

/* Remainders are exact for quotients of up to 29 bits, so the divisor is 1/8 or more. */
static void float_remainders(builder *b) {
  neo_arena *arena = &b->arena;
  const neo_expr *least =
      neo_expr_broadcast(arena, neo_expr_const_f(arena, b->dtype, 0.125), b->lanes);
  const neo_expr *most =
      neo_expr_broadcast(arena, neo_expr_const_f(arena, b->dtype, 50000), b->lanes);
  const neo_expr *divisor = neo_expr_unary(arena, NEO_EXPR_ABS, b->arg[1]);
  divisor = neo_expr_binary(arena, NEO_EXPR_MAX, divisor, least);
  const neo_expr *negative = neo_expr_unary(arena, NEO_EXPR_NEG, divisor);
  divisor = neo_expr_select(arena, neo_expr_binary(arena, NEO_EXPR_LT, b->arg[2], least), negative,
                            divisor);
  const neo_expr *dividend = neo_expr_binary(arena, NEO_EXPR_MIN, b->arg[0], most);
  dividend =
      neo_expr_binary(arena, NEO_EXPR_MAX, dividend, neo_expr_unary(arena, NEO_EXPR_NEG, most));
  add_output(b, neo_expr_binary(arena, NEO_EXPR_MOD, dividend, divisor));
  add_output(b, neo_expr_binary(arena, NEO_EXPR_FLOORMOD, dividend, divisor));
}

static void int_ops(builder *b) {
  static const neo_expr_op unary[] = {NEO_EXPR_NEG, NEO_EXPR_ABS, NEO_EXPR_BITNOT};
  static const neo_expr_op binary[] = {
      NEO_EXPR_ADD,      NEO_EXPR_SUB,      NEO_EXPR_MUL, NEO_EXPR_DIV, NEO_EXPR_MOD,
      NEO_EXPR_FLOORDIV, NEO_EXPR_FLOORMOD, NEO_EXPR_MIN, NEO_EXPR_MAX, NEO_EXPR_BITAND,
      NEO_EXPR_BITOR,    NEO_EXPR_BITXOR,   NEO_EXPR_SHL, NEO_EXPR_SHR};
  for (int k = 0; k < NEO_COUNT(unary); k++)
    add_output(b, neo_expr_unary(&b->arena, unary[k], b->arg[0]));
  for (int k = 0; k < NEO_COUNT(binary); k++)
    add_output(b, neo_expr_binary(&b->arena, binary[k], b->arg[0], b->arg[1]));
  for (int64_t d = 1; d <= 8; d += d == 1 ? 2 : 5) {
    const neo_expr *c =
        neo_expr_broadcast(&b->arena, neo_expr_const_i(&b->arena, b->dtype, d), b->lanes);
    add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_FLOORDIV, b->arg[0], c));
    add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_FLOORMOD, b->arg[0], c));
    add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_SHR, b->arg[0], c));
  }
}

static void bool_ops(builder *b) {
  add_output(b, neo_expr_unary(&b->arena, NEO_EXPR_NOT, b->arg[0]));
  add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_AND, b->arg[0], b->arg[1]));
  add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_OR, b->arg[0], b->arg[1]));
  add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_EQ, b->arg[0], b->arg[1]));
  add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_NE, b->arg[0], b->arg[1]));
  add_output(b, neo_expr_select(&b->arena, b->arg[0], b->arg[1], b->arg[2]));
}

static void number_ops(builder *b) {
  static const neo_expr_op compare[] = {NEO_EXPR_LT, NEO_EXPR_LE, NEO_EXPR_EQ, NEO_EXPR_NE};
  for (int k = 0; k < NEO_COUNT(compare); k++)
    add_output(b, neo_expr_binary(&b->arena, compare[k], b->arg[0], b->arg[1]));
  const neo_expr *less = neo_expr_binary(&b->arena, NEO_EXPR_LT, b->arg[0], b->arg[1]);
  add_output(b, neo_expr_select(&b->arena, less, b->arg[2], b->arg[0]));
  const neo_expr *seven = neo_expr_const_i(&b->arena, b->dtype, 7);
  add_output(b, neo_expr_binary(&b->arena, NEO_EXPR_SUB, b->arg[0],
                                neo_expr_broadcast(&b->arena, seven, b->lanes)));
}

static void casts(builder *b) {
  for (int to = 0; to < NEO_F8E4M3FN; to++) {
    add_output(b, neo_expr_cast(&b->arena, (neo_dtype)to, b->arg[0]));
    if (neo_dtype_size((neo_dtype)to) == neo_dtype_size(b->dtype) && to != NEO_BOOL &&
        b->dtype != NEO_BOOL)
      add_output(b, neo_expr_bitcast(&b->arena, (neo_dtype)to, b->arg[0]));
  }
}

static void run_ops(void *state, kernel_case *c) {
  neo_ctx *ctx = state;
  bool c_text = strcmp(c->codegen->name, "c") == 0, portable = strcmp(c->target.arch, "c") == 0;
  c->special = true;
  c->warnings = true;
  for (int dtype = 0; dtype < NEO_F8E4M3FN; dtype++)
    for (int lanes = 1; lanes <= LANES; lanes += LANES - 1) {
      if (lanes == 1 && (neo_target_is_gpu(&c->target) || neo_target_has(&c->target, NEO_ISA_HVX)))
        continue;
      if (c_text &&
          portable !=
              (lanes == 1)) /* compilers are slow: scalars for one target, vectors for the other */
        continue;
      builder b;
      builder_init(&b, (neo_dtype)dtype, lanes);
      char class = neo_dtype_class((neo_dtype)dtype);
      if (class == 'f')
        float_ops(&b);
      if (class == 'f' && (dtype != NEO_F64 || neo_target_fuses(&c->target)))
        float_remainders(&b); /* of f64 they need a fused multiply-add to be exact */
      if (class == 'b')
        bool_ops(&b);
      if (class == 'i' || class == 'u')
        int_ops(&b);
      if (class != 'b')
        number_ops(&b);
      casts(&b);
      builder_run(&b, ctx, c);
    }
}

static void vector_ops(builder *b) {
  static const neo_expr_op binary[] = {
      NEO_EXPR_ADD,    NEO_EXPR_SUB,   NEO_EXPR_MUL,    NEO_EXPR_MIN, NEO_EXPR_MAX,
      NEO_EXPR_BITAND, NEO_EXPR_BITOR, NEO_EXPR_BITXOR, NEO_EXPR_SHL, NEO_EXPR_SHR};
  static const neo_dtype to[] = {NEO_I8, NEO_I16, NEO_I32, NEO_U8, NEO_U16, NEO_U32};
  for (int k = 0; k < NEO_COUNT(binary); k++)
    add_output(b, neo_expr_binary(&b->arena, binary[k], b->arg[0], b->arg[1]));
  add_output(b, neo_expr_fma(&b->arena, b->arg[0], b->arg[1], b->arg[2]));
  number_ops(b);
  for (int k = 0; k < NEO_COUNT(to); k++)
    add_output(b, neo_expr_cast(&b->arena, to[k], b->arg[0]));
}

/* Registers of 128 bytes, which have integers of up to 32 bits only. */
static void run_whole_vectors(void *state, kernel_case *c) {
  static const neo_dtype dtypes[] = {NEO_I8, NEO_I16, NEO_I32, NEO_U8, NEO_U16, NEO_U32};
  for (int k = 0; k < NEO_COUNT(dtypes) && neo_target_has(&c->target, NEO_ISA_HVX); k++) {
    builder b;
    builder_init(&b, dtypes[k], c->target.vector_bytes / (int)neo_dtype_size(dtypes[k]));
    vector_ops(&b);
    builder_run(&b, state, c);
  }
}

/* A fused multiply-add may be a multiplication and an addition where the target has no instruction,
 * and 16-bit types may round twice: so well-conditioned data and a few ulp there, exact elsewhere.
 */
static void run_fma(void *state, kernel_case *c) {
  for (int dtype = 0; dtype < NEO_F8E4M3FN; dtype++) {
    builder b;
    if (dtype == NEO_BOOL)
      continue;
    builder_init(&b, (neo_dtype)dtype, LANES);
    bool native = dtype == NEO_F16 && neo_target_has(&c->target, NEO_ISA_FP16) &&
                  strcmp(c->codegen->name, "llvm") == 0;
    bool fused = neo_target_fuses(&c->target) && (dtype == NEO_F32 || dtype == NEO_F64 || native);
    c->ulps = fused ? 0 : 2;
    c->special = neo_dtype_class((neo_dtype)dtype) != 'f';
    const neo_expr *a = b.arg[0], *y = b.arg[1], *z = b.arg[2];
    if (neo_dtype_class((neo_dtype)dtype) == 'f' && !fused) {
      a = neo_expr_unary(&b.arena, NEO_EXPR_ABS, a);
      y = neo_expr_unary(&b.arena, NEO_EXPR_ABS, y);
      z = neo_expr_unary(&b.arena, NEO_EXPR_ABS, z);
    }
    add_output(&b, neo_expr_fma(&b.arena, a, y, z));
    builder_run(&b, state, c);
  }
}

static void test_operations(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  kernel_case_visit(run_ops, &ctx);
}

static void test_whole_vectors(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  kernel_case_visit(run_whole_vectors, &ctx);
}

static void test_fma(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  kernel_case_visit(run_fma, &ctx);
}

int main(void) {
  if (kernel_case_missing())
    return 77;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_operations),
                                     cmocka_unit_test(test_whole_vectors),
                                     cmocka_unit_test(test_fma)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
