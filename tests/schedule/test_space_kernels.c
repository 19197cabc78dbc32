/* Random candidates of every te and rule, built by every code generator, run here and compared.
 *
 * Why: spaces promise that each candidate computes the te; the interpreter shows that for nests,
 * this shows it for machine code. How: LLVM builds and the runtime's loader loads one kernel at a
 * time. The C generator's texts are put together, many kernels a file (equal helpers once), since a
 * compiler start per kernel would take minutes; the file becomes a shared object that is opened
 * here. */
#include "base/host.h"
#include "codegen/codegen.h"
#include "runtime/runtime.h"
#include "schedule/algorithm.h"
#include "schedule/intrinsic.h"
#include "tests/schedule/space_run.h"

#include <dlfcn.h>

#define N_EACH 2000
#define BATCH 200

static int64_t rule_runs[64], intrinsic_runs[64];

/* ---- running -------------------------------------------------------------------------------------------- */

static void run_kernel(fixture *f, space_run *r, neo_kernel_fn const *fn) {
  void *work = neo_aligned_alloc(&f->ctx, (size_t)r->nest->work_bytes + 64);
  void *scratch = neo_aligned_alloc(&f->ctx, (size_t)r->nest->scratch_bytes + 64);
  for (int k = 0; k < r->nest->n_launches; k++) {
    int64_t grid = r->nest->launch[k].grid, half = (grid + 1) / 2;
    neo_kernel_env first = {0, half, work, scratch, NULL},
                   second = {half, grid, work, scratch, NULL};
    assert_int_equal(fn[k](&second, r->param, NULL), 0);
    assert_int_equal(fn[k](&first, r->param, NULL), 0);
  }
  neo_aligned_free(&f->ctx, work);
  neo_aligned_free(&f->ctx, scratch);
}

static void count_rules(const fixture *f, const neo_candidate *c) {
  for (int r = 0; r < neo_rule_count(); r++)
    rule_runs[r] += f->space->sketch[c->sketch]->rules >> r & 1;
  for (int r = 0; r < neo_intrinsic_count(); r++)
    intrinsic_runs[r] += f->space->sketch[c->sketch]->intrinsics >> r & 1;
}

static void run_llvm(fixture *f, const neo_candidate *c) {
  space_run r;
  neo_object object = {0};
  neo_loaded *loaded = NULL;
  neo_kernel_fn fn[NEO_NEST_MAX_LAUNCHES];
  space_run_init(f, c, &r);
  neo_nest_expand_math(r.nest);
  if (neo_codegen_find("llvm")->build(&f->ctx, r.nest, &f->target, "k", &object) != NEO_OK ||
      neo_object_load(&f->ctx, (const uint8_t *)object.bytes.data, object.bytes.size, &loaded) !=
          NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  for (int k = 0; k < r.nest->n_launches; k++) {
    char name[32];
    snprintf(name, sizeof(name), "k_%d", k);
    fn[k] = neo_object_symbol(loaded, name);
    assert_non_null(fn[k]);
  }
  run_kernel(f, &r, fn);
  space_run_finish(f, &r);
  neo_object_unload(loaded);
  neo_object_fini(&object);
  count_rules(f, c);
}

/* ---- many C kernels in one file ------------------------------------------------------------------------- */

typedef struct c_batch {
  neo_ctx ctx;
  neo_buf source;
  neo_map seen; /* top-level items other than kernels */
  int n;
  fixture *of[BATCH];
  space_run run[BATCH];
} c_batch;

/* Adds a file's items (separated by blank lines), shared ones once. */
static void add_text(c_batch *b, const char *text) {
  while (*text) {
    const char *end = strstr(text, "\n\n");
    size_t size = end ? (size_t)(end - text) + 2 : strlen(text);
    bool shared = *text == '#' || *text == '/' || strncmp(text, "static", 6) == 0 ||
                  strncmp(text, "typedef", 7) == 0;
    char key[33];
    neo_key_text(text, size, key);
    if (!shared || !neo_map_get(&b->seen, key))
      neo_buf_append(&b->source, text, size);
    if (shared)
      assert_true(neo_map_put(&b->seen, key, b));
    text += size;
  }
}

static void *compile(c_batch *b, char *dir) {
  char source[300], object[300];
  neo_process_result result = {0};
  assert_int_equal(neo_dir_temp(&b->ctx, NULL, dir), NEO_OK);
  snprintf(source, sizeof(source), "%s/all.c", dir);
  snprintf(object, sizeof(object), "%s/all.so", dir);
  assert_int_equal(neo_file_write(&b->ctx, source, b->source.data, b->source.size), NEO_OK);
  const char *argv[] = {"gcc", "-std=c11", "-O0",   "-mavx2", "-mfma", "-ffp-contract=off",
                        "-w",  "-shared",  "-fPIC", "-o",     object,  source,
                        "-lm", NULL};
  assert_int_equal(neo_process_run(&b->ctx, argv, 300000, &result), NEO_OK);
  if (result.exit_code != 0)
    fail_msg("gcc: %.2000s", result.output.data);
  neo_buf_fini(&result.output);
  void *library = dlopen(object, RTLD_NOW | RTLD_LOCAL);
  assert_non_null(library);
  return library;
}

static void flush(c_batch *b) {
  char dir[256] = "";
  if (b->n == 0)
    return;
  void *library = compile(b, dir);
  for (int i = 0; i < b->n; i++) {
    neo_kernel_fn fn[NEO_NEST_MAX_LAUNCHES];
    for (int k = 0; k < b->run[i].nest->n_launches; k++) {
      char name[32];
      snprintf(name, sizeof(name), "k%d_%d", i, k);
      void *symbol = dlsym(library, name);
      assert_non_null(symbol);
      memcpy(&fn[k], &symbol, sizeof(symbol));
    }
    run_kernel(b->of[i], &b->run[i], fn);
    space_run_finish(b->of[i], &b->run[i]);
  }
  dlclose(library);
  neo_dir_remove(&b->ctx, dir);
  neo_buf_fini(&b->source);
  neo_map_fini(&b->seen);
  memset(&b->source, 0, sizeof(b->source));
  memset(&b->seen, 0, sizeof(b->seen));
  b->n = 0;
}

static void add_c(c_batch *b, fixture *f, const neo_candidate *c) {
  space_run *r = &b->run[b->n];
  char symbol[32];
  neo_buf text = {0};
  space_run_init(f, c, r);
  neo_nest_expand_math(r->nest);
  snprintf(symbol, sizeof(symbol), "k%d", b->n);
  if (neo_codegen_find("c")->text(&f->ctx, r->nest, &f->target, symbol, &text) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  add_text(b, text.data);
  neo_buf_text(&b->source, "\n\n");
  neo_buf_fini(&text);
  b->of[b->n++] = f;
  count_rules(f, c);
  if (b->n == BATCH)
    flush(b);
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void check_rules(void) {
  bool all = true;
  for (int r = 0; r < neo_rule_count(); r++) {
    if (neo_rule_get(r)->device == NEO_RULE_GPU)
      continue; /* test_space_gpu.c */
    print_message("rule %-10s %6lld kernels\n", neo_rule_get(r)->name, (long long)rule_runs[r]);
    all = all && rule_runs[r] > 0;
  }
  for (int r = 0; r < neo_intrinsic_count(); r++) {
    print_message("intrinsic %-10s %6lld kernels\n", neo_intrinsic_get(r)->name,
                  (long long)intrinsic_runs[r]);
    all = all && intrinsic_runs[r] > 0;
  }
  memset(rule_runs, 0, sizeof(rule_runs));
  memset(intrinsic_runs, 0, sizeof(intrinsic_runs));
  assert_true(all);
}

static bool set_up_case(fixture *f, int k, const char *target) {
  neo_space_options options = {
      .threads = 2, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
  set_up(f, &space_cases[k], target, &options);
  if (neo_target_runs_here(&f->target))
    return true;
  tear_down(f);
  return false;
}

static void test_llvm(void **state) {
  (void)state;
  static const char *const targets[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "znver4"};
  int each = N_EACH / NEO_COUNT(space_cases) / 2 + 1, runs = 0;
  for (int t = 0; t < NEO_COUNT(targets); t++)
    for (int k = 0; k < NEO_COUNT(space_cases); k++) {
      fixture f;
      if (!set_up_case(&f, k, targets[t]))
        continue;
      neo_rng rng;
      neo_rng_init(&rng, (uint64_t)(k + 100 * t));
      for (int i = 0; i < each; i++, runs++) {
        neo_candidate c;
        neo_space_sample(f.space, &rng, &c);
        run_llvm(&f, &c);
      }
      tear_down(&f);
    }
  print_message("llvm: %d kernels\n", runs);
  if (runs == 0)
    skip();
  check_rules();
}

static void test_c(void **state) {
  (void)state;
  static fixture f[NEO_COUNT(space_cases)];
  c_batch *b = calloc(1, sizeof(*b));
  assert_non_null(b);
  neo_ctx_init(&b->ctx, 1);
  int each = N_EACH / NEO_COUNT(space_cases) + 1, runs = 0, n = 0;
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    if (!set_up_case(&f[n], k, "x86-64-v3"))
      continue;
    neo_rng rng;
    neo_rng_init(&rng, (uint64_t)(7 * k));
    for (int i = 0; i < each; i++, runs++) {
      neo_candidate c;
      neo_space_sample(f[n].space, &rng, &c);
      add_c(b, &f[n], &c);
    }
    n++;
  }
  flush(b);
  for (int k = 0; k < n; k++)
    tear_down(&f[k]);
  free(b);
  print_message("c: %d kernels\n", runs);
  if (runs == 0)
    skip();
  check_rules();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_llvm), cmocka_unit_test(test_c)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
