/* tests/schedule/test_space_gpu.c: candidates for GPUs of every te: by the interpreter, which
 * catches races, and on OpenCL's device where there is one. */
#include "codegen/codegen.h"
#include "runtime/device.h"
#include "runtime/runtime.h"
#include "schedule/analytic.h"
#include "schedule/matrix.h"
#include "tests/foreign_driver.h"
#include "tests/schedule/matrix_cases.h"
#include "tests/schedule/space_run.h"

enum { INTERPRETED = 12 };

static int64_t rule_runs[64];
static int64_t staged, grouped, vector_copies, wide_copies;

/* Vectors that are stored into SHARED memory; of more than 4 lanes: of small elements. */
static void count_copies(const neo_nest *nest, const neo_stmt *s) {
  for (; s; s = s->next)
    switch (s->kind) {
    case NEO_STMT_FOR:
      count_copies(nest, s->u.loop.body);
      break;
    case NEO_STMT_LET:
      count_copies(nest, s->u.let.body);
      break;
    case NEO_STMT_IF:
      count_copies(nest, s->u.branch.then);
      count_copies(nest, s->u.branch.otherwise);
      break;
    case NEO_STMT_STORE:
      if (nest->buffer[s->u.store.buffer].scope == NEO_SCOPE_SHARED) {
        vector_copies += s->u.store.value->lanes > 1;
        wide_copies += s->u.store.value->lanes > 4;
      }
      break;
    default:
      break;
    }
}

static bool has_matrix(const neo_stmt *s) {
  bool found = false;
  for (; s && !found; s = s->next)
    found = s->kind == NEO_STMT_MATRIX || (s->kind == NEO_STMT_FOR && has_matrix(s->u.loop.body)) ||
            (s->kind == NEO_STMT_LET && has_matrix(s->u.let.body)) ||
            (s->kind == NEO_STMT_IF &&
             (has_matrix(s->u.branch.then) || has_matrix(s->u.branch.otherwise)));
  return found;
}

static void count(const fixture *f, const neo_candidate *c, const neo_nest *nest) {
  for (int r = 0; r < neo_rule_count(); r++)
    rule_runs[r] += f->space->sketch[c->sketch]->rules >> r & 1;
  for (int b = 0; b < nest->n_buffers; b++)
    staged += nest->buffer[b].scope == NEO_SCOPE_SHARED;
  grouped += neo_nest_is_grouped(nest);
  for (int k = 0; k < nest->n_launches; k++)
    count_copies(nest, nest->launch[k].body);
}

static void interpret(fixture *f, const neo_candidate *c) {
  space_run r;
  space_run_init(f, c, &r);
  if (neo_nest_interpret(&f->ctx, r.nest, r.param) != NEO_OK) {
    neo_buf text = {0};
    neo_schedule_print(&text, &r.line);
    fail_msg("%s: %s: %s", f->name, f->ctx.message, text.data);
  }
  count(f, c, r.nest);
  space_run_finish(f, &r);
}

static bool options_of(fixture *f, int k) {
  neo_space_options options = {
      .threads = 1, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
  set_up(f, &space_cases[k], "opencl", &options);
  return true;
}

static void set_up_matrix(fixture *f, int k) {
  neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_FAST};
  set_up(f, &matrix_cases[k].c, matrix_cases[k].target, &options);
}

/* A candidate of the k-th case by matrix instructions; false if this sample is none. */
static bool sample_matrix(const fixture *f, neo_rng *rng, neo_candidate *out) {
  neo_space_sample(f->space, rng, out);
  return f->space->sketch[out->sketch]->matrices != 0;
}

static void check_candidate(fixture *f, const neo_candidate *c) {
  space_run r;
  neo_candidate found;
  neo_schedule line, again;
  interpret(f, c);
  neo_space_schedule(f->space, c, &line);
  assert_true(neo_space_find(f->space, &line, &found));
  neo_space_schedule(f->space, &found, &again);
  assert_memory_equal(&line, &again, sizeof(line));
  assert_true(neo_space_transfer(f->space, &line, &found));
  space_run_init(f, c, &r);
  assert_true(has_matrix(r.nest->launch[r.nest->n_launches - 1].body));
  if (neo_nest_interpret(&f->ctx, r.nest, r.param) != NEO_OK)
    fail_msg("%s", f->ctx.message);
  space_run_finish(f, &r);
}

/* Every row that fits is offered, and what the analytic model picks uses the one that it should. */
static void matrix_candidates_compute(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(matrix_cases); k++) {
    fixture f;
    neo_rng rng;
    neo_candidate c;
    int n = 0;
    set_up_matrix(&f, k);
    assert_int_equal(f.space->n_left_out, 0);
    neo_rng_init(&rng, (uint64_t)k);
    for (int tries = 0; n < INTERPRETED && tries < 4000; tries++)
      if (sample_matrix(&f, &rng, &c)) {
        check_candidate(&f, &c);
        n++;
      }
    assert_int_equal(n, INTERPRETED);
    assert_int_equal(neo_space_analytic(f.space, 1, &c), 1);
    uint64_t picked = f.space->sketch[c.sketch]->matrices;
    if (picked == 0 ||
        (matrix_cases[k].row && picked != UINT64_C(1) << neo_matrix_find(matrix_cases[k].row)))
      fail_msg("%s: picks rows %llx", f.name, (unsigned long long)picked);
    tear_down(&f);
  }
}

/* Of architectures without them, and of f32. */
static void no_matrices_elsewhere(void **state) {
  (void)state;
  static const char *const targets[] = {"cuda-sm70", "jetson-nano-gpu", "opencl"};
  for (int i = 0; i < NEO_COUNT(targets); i++) {
    fixture f;
    neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_FAST};
    set_up(&f, &matrix_cases[0].c, targets[i], &options);
    for (int s = 0; s < f.space->n_sketches; s++)
      assert_true(f.space->sketch[s]->matrices == 0);
    tear_down(&f);
  }
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    fixture f;
    neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_FAST};
    if (!strstr(space_cases[k].te, "f32") || strstr(space_cases[k].te, "bf16"))
      continue;
    set_up(&f, &space_cases[k], "cuda-sm90", &options);
    for (int s = 0; s < f.space->n_sketches; s++)
      assert_true(f.space->sketch[s]->matrices == 0);
    tear_down(&f);
    k += 5; /* some of them */
  }
}

static void every_candidate_computes(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    fixture f;
    neo_rng rng;
    options_of(&f, k);
    neo_rng_init(&rng, (uint64_t)k);
    for (int i = 0; i < INTERPRETED; i++) {
      neo_candidate c;
      neo_space_sample(f.space, &rng, &c);
      interpret(&f, &c);
    }
    tear_down(&f);
  }
  for (int r = 0; r < neo_rule_count(); r++)
    if ((rule_runs[r] > 0) != (neo_rule_get(r)->device != NEO_RULE_CPU))
      fail_msg("rule %s: %lld kernels", neo_rule_get(r)->name, (long long)rule_runs[r]);
  print_message("%lld shared buffers, %lld grouped kernels, %lld copies in vectors, %lld wide\n",
                (long long)staged, (long long)grouped, (long long)vector_copies,
                (long long)wide_copies);
  assert_true(staged > 100 && grouped > 200 && vector_copies > 40 && wide_copies > 10);
}

/* ---- the analytic model ------------------------------------------------------------------------------- */

static double cycles_of(const char *te_text, const char *line) {
  neo_ctx ctx;
  neo_arena arena;
  neo_target target;
  neo_space *space = NULL;
  neo_schedule schedule;
  neo_cost cost = {0};
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  assert_int_equal(neo_te_parse(&ctx, &arena, te_text, te), NEO_OK);
  assert_int_equal(neo_target_find(&ctx, "opencl", &target), NEO_OK);
  neo_space_options options = {.threads = 1, .max_params_growth = 4};
  assert_int_equal(neo_space_build(&ctx, te, &target, &options, &space), NEO_OK);
  assert_int_equal(neo_schedule_parse(&ctx, line, &schedule), NEO_OK);
  assert_string_equal(space->variant[0]->alg, "direct");
  neo_cost_find(space->variant[0], &schedule, &(neo_cost_options){.target = &target, .threads = 1},
                &cost);
  neo_space_destroy(space);
  neo_arena_fini(&arena);
  return cost.compute;
}

/* A vector is one access where it lies side by side: not across a guard, nor of other rows. */
static void vectors_are_one_access(void **state) {
  (void)state;
#define MAP "s1; alg direct; split B0.1 8 4; order B0 0 1.0 1.1 1.2; parallel B0 2; group B0 1"
#define TE(dtype, load)                                                                            \
  "te 1\nb0 in " dtype " [64,64]\nb1 out " dtype " [64,64]\nB0 b1[i0, i1] s[64,64]\n  " load "\n"
  static const struct {
    const char *te;
    double least, most; /* with vectors, of without */
  } rows[] = {{TE("f32", "b0[i0, i1]"), 0.2, 0.6},
              {TE("f32", "b0[i0, i1-1 | 0<=i1-1<64 else 0]"), 0.6, 0.9},
              {TE("f32", "b0[i1, i0]"), 0.75, 0.95},
              {TE("f32", "b0[i0, 0]"), 0.2, 0.6}};
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    double ratio = cycles_of(rows[k].te, MAP "; vector B0.1.2") / cycles_of(rows[k].te, MAP);
    if (ratio < rows[k].least || ratio > rows[k].most)
      fail_msg("%s: %g", rows[k].te, ratio);
  }
  /* 16 bytes at a time: eight halves in one, eight floats in two */
#define LONG                                                                                       \
  "s1; alg direct; split B0.1 4 8; order B0 0 1.0 1.1 1.2; parallel B0 2; group B0 1; vector "     \
  "B0.1.2"
  assert_true(cycles_of(TE("f16", "b0[i0, i1]"), LONG) <
              0.8 * cycles_of(TE("f32", "b0[i0, i1]"), LONG));
}

/* ---- on the device ------------------------------------------------------------------------------------ */

static void must(fixture *f, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
}

static void run_kernels(fixture *f, neo_device *device, const space_run *r,
                        const neo_loaded *loaded) {
  neo_device_place place[NEO_NEST_MAX_BUFFERS] = {{0}};
  size_t bytes[NEO_NEST_MAX_BUFFERS];
  for (int p = 0; p < r->n; p++) {
    const neo_nest_buffer *b = &r->nest->buffer[p];
    bytes[p] = (size_t)b->elements * neo_dtype_size(b->dtype);
    must(f, neo_device_alloc(&f->ctx, device, bytes[p], &place[p].memory));
    must(f, neo_device_write(&f->ctx, device, &place[p], r->param[p], bytes[p]));
  }
  must(f, neo_device_alloc(&f->ctx, device, (size_t)r->nest->work_bytes, &place[r->n].memory));
  for (int k = 0; k < r->nest->n_launches; k++) {
    char name[32];
    neo_device_function *function;
    snprintf(name, sizeof(name), "k_%d", k);
    const neo_device_kernel *kernel = neo_object_device_kernel(loaded, name);
    assert_non_null(kernel);
    must(f, neo_device_load(&f->ctx, device, kernel, &function));
    must(f, neo_device_launch(&f->ctx, device, function, r->nest->launch[k].grid, place));
  }
  for (int p = 0; p < r->n; p++)
    must(f, neo_device_read(&f->ctx, device, &place[p], r->param[p], bytes[p]));
  for (int p = 0; p <= r->n; p++)
    neo_device_free(device, place[p].memory);
}

static void run_on_device(fixture *f, neo_device *device, const neo_candidate *c) {
  space_run r;
  neo_object object = {0};
  neo_loaded *loaded = NULL;
  space_run_init(f, c, &r);
  neo_nest_expand_math(r.nest);
  neo_target target; /* what a kernel computes does not depend on for whom it was scheduled */
  must(f, neo_target_find(&f->ctx, "opencl", &target));
  must(f, neo_codegen_find("opencl")->build(&f->ctx, r.nest, &target, "k", &object));
  must(f, neo_object_load(&f->ctx, (const uint8_t *)object.bytes.data, object.bytes.size, &loaded));
  run_kernels(f, device, &r, loaded);
  space_run_finish(f, &r);
  neo_object_unload(loaded);
  neo_object_fini(&object);
}

static void candidates_on_a_device(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device *device = NULL;
  neo_ctx_init(&ctx, 1);
  const char *refused = foreign_driver_refused();
  if (refused || neo_device_open(&ctx, "opencl", &device) != NEO_OK) {
    print_message("%s\n", refused ? refused : ctx.message);
    skip();
  }
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    fixture f;
    neo_rng rng;
    neo_candidate c;
    options_of(&f, k);
    neo_rng_init(&rng, (uint64_t)k + 99);
    neo_space_analytic(f.space, 1, &c);
    run_on_device(&f, device, &c);
    neo_space_sample(f.space, &rng, &c);
    if (k % 4 == 0) /* compiling takes its time */
      run_on_device(&f, device, &c);
    tear_down(&f);
  }
  for (int k = 0; k < NEO_COUNT(matrix_cases); k++) {
    fixture f;
    neo_rng rng;
    neo_candidate c;
    set_up_matrix(&f, k);
    neo_rng_init(&rng, (uint64_t)k + 99);
    while (!sample_matrix(&f, &rng, &c))
      ;
    run_on_device(&f, device, &c);
    neo_space_analytic(f.space, 1, &c);
    run_on_device(&f, device, &c);
    tear_down(&f);
  }
  neo_device_close(device);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matrix_candidates_compute), cmocka_unit_test(no_matrices_elsewhere),
      cmocka_unit_test(vectors_are_one_access), cmocka_unit_test(every_candidate_computes),
      cmocka_unit_test(candidates_on_a_device)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
