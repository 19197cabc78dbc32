/* Random candidates of every te and rule as C text, compiled by the compilers that are installed,
 * for the processors that they are for, without a warning; outputs compared with the interpreter's.
 *
 * Why: the text is for compilers that nobody here has seen. So it must not lean on one compiler, on
 * 64-bit pointers, on one byte order of registers or on x86's memory model. How: one program a
 * compiler with all cases in it (c_cases/c_cases_main.c), static, run here or by qemu-user. */
#include "base/host.h"
#include "codegen/codegen.h"
#include "tests/schedule/space_run.h"

enum { CASES = 64, RUN_MS = 120000 };

typedef struct compiler {
  const char *name, *emulator; /* NULL: runs here */
  const char *flag[4];
} compiler;

/* gcc's own i686 compiler would compute in x87's registers, with excess precision. */
static const compiler compilers[] = {
    {"gcc", NULL, {NULL}},
    {"clang-19", NULL, {"-Wno-implicit-int-float-conversion"}},
    {"i686-linux-gnu-gcc", NULL, {"-msse2", "-mfpmath=sse"}},
    {"arm-linux-gnueabihf-gcc", "qemu-arm", {"-mfpu=neon-vfpv4", "-march=armv7-a"}},
    {"aarch64-linux-gnu-gcc", "qemu-aarch64", {NULL}},
    {"riscv64-linux-gnu-gcc", "qemu-riscv64", {NULL}},
};

typedef struct sources {
  neo_ctx ctx;
  char dir[256], path[320];
  fixture fixture[CASES];
  space_run run[CASES];
  int n;
  neo_buf table, data; /* c_cases.h; what the program reads */
} sources;

static const char *in_dir(sources *s, const char *name) {
  snprintf(s->path, sizeof s->path, "%s/%s", s->dir, name);
  return s->path;
}

static bool installed(neo_ctx *ctx, const char *program) {
  const char *argv[] = {program, "--version", NULL};
  neo_process_result result = {0};
  neo_ctx attempt;
  neo_ctx_fork(&attempt, ctx);
  bool found = neo_process_run(&attempt, argv, RUN_MS, &result) == NEO_OK && result.exit_code == 0;
  neo_buf_fini(&result.output);
  return found;
}

/* Memory of the case as the program reads it: sizes, then of each parameter whether it is an
 * output, its bytes and what is in it. */
static void add_data(sources *s, const space_run *r) {
  const neo_nest *nest = r->nest;
  neo_buf_u64le(&s->data, (uint64_t)nest->work_bytes);
  neo_buf_u64le(&s->data, (uint64_t)nest->scratch_bytes);
  neo_buf_u64le(&s->data, (uint64_t)r->n);
  for (int p = 0; p < r->n; p++) {
    size_t bytes = (size_t)nest->buffer[p].elements * neo_dtype_size(nest->buffer[p].dtype);
    neo_buf_u64le(&s->data, nest->buffer[p].writable);
    neo_buf_u64le(&s->data, bytes);
    neo_buf_append(&s->data, r->param[p], bytes);
  }
}

static void add_source(sources *s, const space_run *r) {
  char symbol[16], name[24];
  neo_buf text = {0};
  snprintf(symbol, sizeof symbol, "c%d", s->n);
  snprintf(name, sizeof name, "c%d.c", s->n);
  if (neo_codegen_find("c")->text(&s->ctx, r->nest, &s->fixture[s->n].target, symbol, &text) !=
          NEO_OK ||
      neo_file_write(&s->ctx, in_dir(s, name), text.data, text.size) != NEO_OK)
    fail_msg("%s: %s", s->fixture[s->n].name, s->ctx.message);
  neo_buf_fini(&text);
  for (int k = 0; k < r->nest->n_launches; k++)
    neo_buf_printf(&s->table, "LAUNCH(%d, c%d_%d, %lld)\n", s->n, s->n, k,
                   (long long)r->nest->launch[k].grid);
}

/* Scalar code and vectors in turn. */
static void add_case(sources *s, const space_case *c, uint64_t seed) {
  neo_space_options options = {
      .threads = 2, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
  neo_candidate candidate;
  neo_rng rng;
  assert_true(s->n < CASES);
  set_up(&s->fixture[s->n], c, seed % 2 ? "aarch64" : "generic-c", &options);
  neo_rng_init(&rng, seed);
  neo_space_sample(s->fixture[s->n].space, &rng, &candidate);
  space_run_init(&s->fixture[s->n], &candidate, &s->run[s->n]);
  neo_nest_expand_math(s->run[s->n].nest);
  add_source(s, &s->run[s->n]);
  add_data(s, &s->run[s->n]);
  s->n++;
}

static int set_up_sources(void **state) {
  sources *s = test_calloc(1, sizeof *s);
  neo_ctx_init(&s->ctx, 1);
  assert_int_equal(neo_dir_temp(&s->ctx, NULL, s->dir), NEO_OK);
  for (int k = 0; k < NEO_COUNT(space_cases); k++)
    add_case(s, &space_cases[k], (uint64_t)(500 + k));
  assert_int_equal(neo_file_write(&s->ctx, in_dir(s, "c_cases.def"), s->table.data, s->table.size),
                   NEO_OK);
  assert_int_equal(neo_file_write(&s->ctx, in_dir(s, "data"), s->data.data, s->data.size), NEO_OK);
  *state = s;
  return 0;
}

static int tear_down_sources(void **state) {
  sources *s = *state;
  for (int k = 0; k < s->n; k++) {
    space_run_finish(&s->fixture[k], &s->run[k]);
    tear_down(&s->fixture[k]);
  }
  neo_buf_fini(&s->table);
  neo_buf_fini(&s->data);
  assert_int_equal(neo_dir_remove(&s->ctx, s->dir), NEO_OK);
  test_free(s);
  return 0;
}

static void run_program(sources *s, const char *const *argv, const char *name) {
  neo_process_result result = {0};
  if (neo_process_run(&s->ctx, argv, RUN_MS, &result) != NEO_OK)
    fail_msg("%s: %s", name, s->ctx.message);
  if (result.exit_code != 0 || result.output.size)
    fail_msg("%s: %.3000s", name, result.output.size ? result.output.data : "failed");
  neo_buf_fini(&result.output);
}

static void build(sources *s, const compiler *c) {
  char include[300], main_c[400], path[CASES][320];
  const char *argv[CASES + 32] = {
      c->name,      "-std=c11", "-O2",          "-Wall",   "-Wextra", "-Werror",
      "-Wpedantic", "-Wshadow", "-Wconversion", "-static", include,   "-DC_CASES=\"c_cases.def\"",
      "-o"};
  int n = 13;
  argv[n++] = in_dir(s, "program");
  snprintf(include, sizeof include, "-I%s", s->dir);
  snprintf(main_c, sizeof main_c, "%s/tests/measure/c_cases/c_cases_main.c", NEO_SOURCE_DIR);
  for (int k = 0; k < NEO_COUNT(c->flag) && c->flag[k]; k++)
    argv[n++] = c->flag[k];
  for (int k = 0; k < s->n; k++) {
    snprintf(path[k], sizeof path[k], "%s/c%d.c", s->dir, k);
    argv[n++] = path[k];
  }
  argv[n++] = main_c;
  argv[n] = "-lm";
  run_program(s, argv, c->name);
}

/* The outputs follow each other in the program's file, in the order of cases and parameters. */
static void check_outputs(sources *s, const char *name) {
  neo_buf out = {0};
  size_t at = 0;
  assert_int_equal(neo_file_read(&s->ctx, in_dir(s, "out"), 0, &out), NEO_OK);
  for (int k = 0; k < s->n; k++) {
    const space_run *r = &s->run[k];
    for (int p = 0; p < r->n; p++) {
      const neo_nest_buffer *buffer = &r->nest->buffer[p];
      size_t bytes = (size_t)buffer->elements * neo_dtype_size(buffer->dtype);
      if (!buffer->writable)
        continue;
      if (bytes > out.size - at)
        fail_msg("%s: its file is too short", name);
      memcpy(r->param[p], out.data + at, bytes);
      at += bytes;
      compare(&s->fixture[k], &r->line, r->of_param[p], r->param[p], r->tolerance);
    }
  }
  assert_int_equal(at, out.size);
  neo_buf_fini(&out);
}

static void test_compilers(void **state) {
  sources *s = *state;
  int used = 0;
  for (int k = 0; k < NEO_COUNT(compilers); k++) {
    const compiler *c = &compilers[k];
    if (!installed(&s->ctx, c->name) || (c->emulator && !installed(&s->ctx, c->emulator))) {
      print_message("left out, not installed: %s\n", c->name);
      continue;
    }
    char program[320], data[320], out[320];
    snprintf(program, sizeof program, "%s/program", s->dir);
    snprintf(data, sizeof data, "%s/data", s->dir);
    snprintf(out, sizeof out, "%s/out", s->dir);
    build(s, c);
    const char *argv[] = {c->emulator, program, data, out, NULL};
    run_program(s, c->emulator ? argv : argv + 1, c->name);
    check_outputs(s, c->name);
    used++;
  }
  assert_true(used > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_compilers, set_up_sources, tear_down_sources),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
