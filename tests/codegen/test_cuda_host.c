/* tests/codegen/test_cuda_host.c: CUDA C of nests, run: compiled as C++ for this processor, a
 * thread for each work-item (tests/data/cuda/host.hpp), and compared with the interpreter. Of the
 * text nothing is changed but the inline assembly of matrix instructions: its operands, in its
 * order, go to a function that exchanges them between the threads of a warp as the PTX ISA says. So
 * the printer's map of work-items to rows, columns and k's is checked against that, as no device
 * has done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <string.h>

#include "base/host.h"
#include "schedule/matrix.h"
#include "schedule/schedule.h"
#include "tests/codegen/kernel_case.h"
#include "tests/codegen/matrix_product.h"

/* SUMS: ulps of float sums in another order, some of which nearly cancel; of other elements than
 * the right ones none agree. */
enum { ALIGN = 256, SUMS = 4096 };

/* ---- the text ----------------------------------------------------------------------------------------- */

/* Appends the expressions of `"+f"(x)` or `"r"(x)` between two places; how: what goes in front of
 * each. Returns how many. */
static int put_operands(neo_buf *out, const char *from, const char *end, const char *how) {
  int n = 0;
  for (const char *at = from; (at = strstr(at, "\"(")) && at < end; n++) {
    const char *close = strchr(at += 2, ')');
    assert_non_null(close);
    neo_buf_printf(out, "%s%s%.*s", n ? ", " : "", how, (int)(close - at), at);
  }
  return n;
}

/* {%0, %1}: the numbers from `first` on, `n` of them. */
static const char *expect_registers(const char *at, int first, int n) {
  for (int i = 0; i < n; i++) {
    char want[16];
    snprintf(want, sizeof want, "%s%%%d", i ? ", " : "{", first + i);
    assert_memory_equal(at, want, strlen(want));
    at += strlen(want);
  }
  assert_int_equal(*at, '}');
  return at + 1;
}

/* asm volatile("mma.sync.aligned.NAME {d}, {a}, {b}, {d};" : d : a, b); as a call of host::mma. */
static const char *put_mma(neo_buf *out, const char *at) {
  static const char head[] = "asm volatile(\"mma.sync.aligned.";
  const char *name = at + strlen(head), *space = strchr(name, ' '), *end = strstr(at, ");\n");
  const char *outs = strstr(at, ";\"\n"), *ins = strstr(outs + 20, ":");
  assert_true(space && end && outs < end && ins < end);
  neo_buf d = {0}, all = {0};
  const char *list = space + 1;
  int n_d = put_operands(&d, strchr(outs, ':'), ins, "&");
  int n_all = put_operands(&all, ins, end, "");
  list = expect_registers(list, 0, n_d);
  int n_a = 0;
  for (const char *c = list + 2; c < strchr(list, '}'); c++)
    n_a += *c == '%';
  list = expect_registers(list + 2, n_d, n_a);
  list = expect_registers(list + 2, n_d + n_a, n_all - n_a);
  list = expect_registers(list + 2, 0, n_d);
  assert_ptr_equal(list, outs);
  neo_buf_printf(out,
                 "void *d[] = {%s};\n  uint32_t all[] = {%s};\n  host::mma(\"%.*s\", d, %d, all, "
                 "%d, all + %d, %d",
                 d.data, all.data, (int)(space - name), name, n_d, n_a, n_a, n_all - n_a);
  neo_buf_fini(&d);
  neo_buf_fini(&all);
  return end;
}

static int put_text(neo_buf *out, const char *text) {
  int n = 0;
  for (const char *at; (at = strstr(text, "asm volatile(")); n++) {
    neo_buf_append(out, text, (size_t)(at - text));
    text = put_mma(out, at);
  }
  neo_buf_text(out, text);
  return n;
}

/* One function that takes the blocks of memory, for each launch. */
static void put_launches(neo_buf *out, const neo_nest *nest) {
  int n = nest->n_params + (nest->work_bytes > 0);
  for (int k = 0; k < nest->n_launches; k++) {
    neo_buf_printf(out, "static void call_%d(void *const *m) {\n  sym_%d(", k, k);
    for (int b = 0; b < n; b++)
      neo_buf_printf(out, "%s(char *)m[%d], 0", b ? ", " : "", b);
    neo_buf_text(out, ");\n}\n");
  }
  neo_buf_text(out, "extern \"C\" void run_all(void *const *m) {\n");
  for (int k = 0; k < nest->n_launches; k++)
    neo_buf_printf(out, "  host::launch(call_%d, m, %lld, %d);\n", k,
                   (long long)nest->launch[k].grid, nest->launch[k].lanes);
  neo_buf_text(out, "}\n");
}

/* ---- running ------------------------------------------------------------------------------------------ */

static int instructions; /* mma.sync in all texts so far */
static int wide_moves;   /* vectors that are only moved, in all texts so far */

static neo_status nothing(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                          const char *symbol, neo_object *out) {
  (void)ctx, (void)target, (void)symbol;
  out->n_launches = nest->n_launches;
  return NEO_OK;
}

static const neo_codegen on_host = {.name = "cuda on the host", .build = nothing};

static void compile(neo_ctx *ctx, const char *dir, const neo_buf *source, const char *library) {
  char path[300];
  neo_process_result result = {0};
  snprintf(path, sizeof path, "%s/nest.cpp", dir);
  assert_int_equal(neo_file_write(ctx, path, source->data, source->size), NEO_OK);
  const char *argv[] = {"g++",
                        "-std=c++17",
                        "-O0",
                        "-w",
                        "-fPIC",
                        "-shared",
                        "-pthread",
                        "-fno-strict-aliasing",
                        "-ffp-contract=off",
                        "-fsanitize=alignment", /* of vectors' addresses; a signal tells */
                        "-fsanitize-undefined-trap-on-error",
                        "-o",
                        library,
                        path,
                        NULL};
  assert_int_equal(neo_process_run(ctx, argv, 120000, &result), NEO_OK);
  if (result.exit_code != 0)
    fail_msg("g++: %.3000s\n%s", result.output.data, source->data);
  neo_buf_fini(&result.output);
}

static void run(void *self, neo_ctx *ctx, const neo_nest *nest, const neo_object *object,
                void *const *data) {
  (void)self, (void)object;
  char dir[256], library[300];
  neo_buf source = {0}, text = {0};
  neo_target target = kernel_target("cuda-sm90");
  void *memory[NEO_NEST_MAX_BUFFERS] = {NULL}, *block[NEO_NEST_MAX_BUFFERS] = {NULL};
  if (neo_codegen_find("cuda")->text(ctx, nest, &target, "sym", &text) != NEO_OK)
    fail_msg("%s", ctx->message);
  for (const char *at = text.data; (at = strstr(at, "copy_wide<4>(&b")); at++)
    wide_moves++;
  neo_buf_text(&source, "#include \"" NEO_SOURCE_DIR "/tests/data/cuda/host.hpp\"\n");
  instructions += put_text(&source, text.data);
  put_launches(&source, nest);
  assert_int_equal(neo_dir_temp(ctx, NULL, dir), NEO_OK);
  snprintf(library, sizeof library, "%s/nest.so", dir);
  compile(ctx, dir, &source, library);
  void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!loaded)
    fail_msg("%s", dlerror());
  void (*all)(void *const *) = NULL;
  *(void **)&all = dlsym(loaded, "run_all");
  assert_non_null(all);
  for (int k = 0; k <= nest->n_params; k++) {
    size_t bytes = k < nest->n_params
                       ? (size_t)nest->buffer[k].elements * neo_dtype_size(nest->buffer[k].dtype)
                       : (size_t)nest->work_bytes;
    block[k] = neo_alloc(ctx, bytes + ALIGN);
    assert_non_null(block[k]);
    memory[k] = (char *)block[k] + (ALIGN - (uintptr_t)block[k] % ALIGN) % ALIGN;
    if (k < nest->n_params)
      memcpy(memory[k], data[k], bytes);
    assert_true(k == nest->n_params || nest->buffer[k].scope == NEO_SCOPE_PARAM);
  }
  all(memory);
  for (int k = 0; k < nest->n_params; k++)
    memcpy(data[k], memory[k],
           (size_t)nest->buffer[k].elements * neo_dtype_size(nest->buffer[k].dtype));
  for (int k = 0; k <= nest->n_params; k++)
    neo_free(ctx, block[k]);
  assert_int_equal(dlclose(loaded), 0);
  assert_int_equal(neo_dir_remove(ctx, dir), NEO_OK);
  neo_buf_fini(&source);
  neo_buf_fini(&text);
}

static const kernel_runner runner = {run, NULL};

static kernel_case case_of(uint64_t seed, double ulps) {
  return (kernel_case){.codegen = &on_host,
                       .target = kernel_target("cuda-sm90"),
                       .seed = seed,
                       .ulps = ulps,
                       .runner = &runner};
}

/* ---- nests -------------------------------------------------------------------------------------------- */

static void ordinary_kernels(void **state) {
  (void)state;
  static const char *const names[] = {"matmul_group", "softmax_group", "integers",
                                      "gather",       "vector_tail",   "two_launches",
                                      "wide_group",   "move_overlap"};
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int n = 0; n < NEO_COUNT(names); n++) {
    char path[512];
    neo_buf text = {0};
    kernel_case c = case_of((uint64_t)n, 2);
    snprintf(path, sizeof path, "%s/tests/data/nest/%s.nest", NEO_SOURCE_DIR, names[n]);
    assert_int_equal(neo_file_read(&ctx, path, 0, &text), NEO_OK);
    kernel_case_run_text(&ctx, &c, text.data);
    neo_buf_fini(&text);
  }
}

static void matrix_rows(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int r = 0; r < neo_matrix_count(); r++) {
    int tall = neo_matrix_rows(r);
    const matrix_product rows[] = {
        {r, 2 * tall, 4, 2, 1, 8, 8, true, true}, /* whole */
        {r, tall, 2, 1, 2, 3, 5, true, false},    /* one by one */
        {r, tall, 6, 1, 1, 4, 4, true, true},     /* words of 4 bytes; of f16, whole */
        {r, tall, 2, 1, 1, 0, 0, false, true},    /* parameters */
    };
    for (int i = 0; i < (r % 4 == 0 ? NEO_COUNT(rows) : 2); i++) {
      neo_buf text = {0};
      int before = instructions;
      kernel_case c = case_of((uint64_t)(r * 8 + i), SUMS);
      matrix_product_print(&rows[i], &text);
      kernel_case_run_text(&ctx, &c, text.data);
      assert_int_equal(instructions, before + 1);
      neo_buf_fini(&text);
    }
  }
}

/* ---- schedules ---------------------------------------------------------------------------------------- */

static const char gemm[] =
    "te 1\nb0 in f16 [64,64]\nb1 const f16 [64,48]\nb2 const f32 [48]\nb3 tmp f32 [64,48]\n"
    "b4 out f32 [64,48]\nB0 b3[i0, i1] s[64,48] r[64] add f32:0\n"
    "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i2, i1]))\nB1 b4[i0, i1] s[64,48]\n"
    "  max(add(b3[i0, i1], b2[i1]), f32:0)\n";
static const char gemm_line[] =
    "s1; alg stage; lay b5 0,1~40; lay b6 1,0~40; split B3.0 2 8 2; split B3.1 2 4 2; "
    "order B3 0.0 1.0 0.1 1.1 0.2 1.2 0.3 1.3; parallel B3 2; group B3 4; vector B3.1.3; "
    "at B2 B3 6 reg; split B2.1 2; vector B2.1.1; split B2.2 2 16; "
    "order B2 2.0 2.1 2.2 0 1.0 1.1; tensorize B2.2.2 m16n8k16_f16; at B0 B2 1 shared; "
    "at B1 B2 1 shared";

static const char conv[] =
    "te 1\nb0 in u8 [1,16,8,16]\nb1 const i8 [32,16,3,3]\nb2 tmp i32 [1,32,8,16]\n"
    "b3 out i32 [1,32,8,16]\nB0 b2[i0, i1, i2, i3] s[1,32,8,16] r[16,3,3] add i32:0\n"
    "  mul(cast.i32(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<8, 0<=i3+i6-1<16 else 0]), "
    "cast.i32(b1[i1, i4, i5, i6]))\nB1 b3[i0, i1, i2, i3] s[1,32,8,16]\n"
    "  max(b2[0, i1, i2, i3], i32:0)\n";
static const char conv_line[] =
    "s1; alg stage; lay b4 0,2,3,1~24; lay b5 0,2,3,1~24; split B3.1 8 2; split B3.3 4 4; "
    "order B3 0 2 1.0 3.0 1.1 3.1 1.2 3.2; parallel B3 4; group B3 2; vector B3.3.2; "
    "at B2 B3 6 reg; split B2.3 4; split B2.4 16; order B2 4.0 5 6 4.1 0 2 1 3.0 3.1; "
    "vector B2.3.1; tensorize B2.4.1 m8n8k16_s8u8; at B0 B2 1 shared; at B1 B2 1 shared";

/* Copies in vectors, both of them and, of a matrix of odd rows, only what is aligned. */
#define GEMM32(k)                                                                                  \
  "te 1\nb0 in f32 [64," k "]\nb1 const f32 [" k ",48]\nb2 tmp f32 [64,48]\n"                      \
  "b3 out f32 [64,48]\nB0 b2[i0, i1] s[64,48] r[" k "] add f32:0\n"                                \
  "  mul(b0[i0, i2], b1[i2, i1])\nB1 b3[i0, i1] s[64,48]\n  max(b2[i0, i1], f32:0)\n"
#define GEMM32_LINE(block)                                                                         \
  "s1; alg stage; split B3.0 4 2; split B3.1 4 4; order B3 0.0 1.0 0.1 1.1 0.2 1.2; "              \
  "parallel B3 2; group B3 2; vector B3.1.2; at B2 B3 4 reg; split B2.1 4; split B2.2 " block "; " \
  "order B2 2.0 2.1 0 1.0 1.1; vector B2.1.1; split B0.1 4; order B0 0 1.0 1.1; vector B0.1.1; "   \
  "at B0 B2 1 shared; split B1.1 4; order B1 0 1.0 1.1; vector B1.1.1; at B1 B2 1 shared"

static void schedules(void **state) {
  (void)state;
  static const struct {
    const char *te, *line;
    int wide_moves;
  } rows[] = {{gemm, gemm_line, 0},
              {conv, conv_line, 0},
              {GEMM32("32"), GEMM32_LINE("8"), 2},
              {GEMM32("35"), GEMM32_LINE("7"), 1}};
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_arena arena;
    neo_arena_init(&arena);
    neo_te *te = neo_arena_alloc(&arena, sizeof *te);
    neo_schedule *line = neo_arena_alloc(&arena, sizeof *line);
    neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
    kernel_case c = case_of((uint64_t)i, SUMS);
    if (neo_te_parse(&ctx, &arena, rows[i].te, te) != NEO_OK ||
        neo_schedule_parse(&ctx, rows[i].line, line) != NEO_OK ||
        neo_schedule_lower(&ctx, te, line, &c.target, &arena, nest) != NEO_OK)
      fail_msg("%s", ctx.message);
    neo_nest_expand_math(nest);
    int before = wide_moves;
    kernel_case_run(&ctx, &c, nest);
    assert_int_equal(wide_moves - before, rows[i].wide_moves);
    neo_arena_fini(&arena);
  }
}

int main(void) {
  neo_ctx ctx, attempt;
  neo_ctx_init(&ctx, 1);
  neo_ctx_fork(&attempt, &ctx);
  attempt.log = NULL;
  neo_process_result result = {0};
  const char *argv[] = {"g++", "--version", NULL};
  if (neo_process_run(&attempt, argv, 60000, &result) != NEO_OK) {
    print_message("skipped: no g++\n");
    return 77;
  }
  neo_buf_fini(&result.output);
  const struct CMUnitTest tests[] = {cmocka_unit_test(ordinary_kernels),
                                     cmocka_unit_test(matrix_rows), cmocka_unit_test(schedules)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
