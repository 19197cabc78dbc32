/* Properties of schedule spaces over many tes: round trips, moves, and the values that schedules
 * compute.
 *
 * 100,000 random schedules: parse(print) is the identity, find gets the candidate back, mutate,
 * cross and neighbours stay canonical. A sample of them is lowered and executed by the nest
 * interpreter on small shapes, and compared with the te's own interpreter. At the end every row of
 * rules.def and algorithms.def must have been used. */
#include "schedule/algorithm.h"
#include "schedule/intrinsic.h"
#include "tests/schedule/matrix_cases.h"
#include "tests/schedule/space_run.h"

#define N_SCHEDULES 100000
#define N_EXECUTED 2400
#define NEO_ALGORITHMS_MAX 64

static const char *const target_names[] = {"x86-64-v3", "x86-64-v4", "znver4",
                                           "rasp5",     "generic-c", "opencl"};

typedef struct coverage {
  int64_t schedules, executed;
  int64_t rule[64], rule_run[64];
  int64_t intrinsic[64], intrinsic_run[64];
  int64_t alg[NEO_ALGORITHMS_MAX], alg_run[NEO_ALGORITHMS_MAX];
} coverage;

static coverage covered;

static void count(const fixture *f, const neo_candidate *c, bool executed) {
  const neo_sketch *sketch = f->space->sketch[c->sketch];
  const char *alg = f->space->variant[sketch->variant]->alg;
  for (int r = 0; r < neo_rule_count(); r++) {
    covered.rule[r] += sketch->rules >> r & 1;
    covered.rule_run[r] += executed && (sketch->rules >> r & 1);
  }
  for (int r = 0; r < neo_intrinsic_count(); r++) {
    covered.intrinsic[r] += sketch->intrinsics >> r & 1;
    covered.intrinsic_run[r] += executed && (sketch->intrinsics >> r & 1);
  }
  for (int a = 0; a < neo_algorithm_count(); a++)
    if (neo_algorithm_get(a) == neo_algorithm_find(alg)) {
      covered.alg[a]++;
      covered.alg_run[a] += executed;
    }
}

/* ---- text and moves --------------------------------------------------------------------------------------- */

static bool same(const neo_candidate *a, const neo_candidate *b) {
  return a->sketch == b->sketch && a->n == b->n &&
         memcmp(a->decision, b->decision, sizeof(a->decision[0]) * (size_t)a->n) == 0;
}

static void check_canonical(const fixture *f, const neo_candidate *c) {
  const neo_sketch *sketch = f->space->sketch[c->sketch];
  assert_int_equal(c->n, sketch->n_decisions);
  for (int d = 0; d < c->n; d++)
    assert_true(c->decision[d] >= 0 && c->decision[d] < sketch->decision[d].n);
  for (int k = 0; k < sketch->n_limits; k++)
    assert_true(neo_limit_holds(&sketch->limit[k], sketch, c));
}

static void check_line(fixture *f, const neo_candidate *c) {
  neo_schedule line, read;
  neo_candidate found;
  neo_buf text = {0}, again = {0};
  neo_space_schedule(f->space, c, &line);
  neo_schedule_print(&text, &line);
  if (neo_schedule_parse(&f->ctx, text.data, &read) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  neo_schedule_print(&again, &read);
  assert_string_equal(text.data, again.data);
  if (!neo_space_find(f->space, &read, &found) || !same(&found, c))
    fail_msg("%s: not found back: %s", f->name, text.data);
  neo_buf_fini(&text);
  neo_buf_fini(&again);
  covered.schedules++;
  count(f, c, false);
}

static void check_moves(fixture *f, neo_rng *rng, const neo_candidate *a, const neo_candidate *b) {
  neo_candidate made, near;
  neo_space_mutate(f->space, rng, a, &made);
  check_canonical(f, &made);
  neo_space_cross(f->space, rng, a, b, &made);
  check_canonical(f, &made);
  int k = (int)neo_rng_below(rng, 12);
  if (neo_space_neighbour(f->space, a, k, &near)) {
    check_canonical(f, &near);
    assert_false(same(&near, a));
    assert_int_equal(near.sketch, a->sketch);
  }
}

static void execute(fixture *f, const neo_candidate *c) {
  space_run r;
  space_run_init(f, c, &r);
  if (neo_nest_interpret(&f->ctx, r.nest, r.param) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  space_run_finish(f, &r);
  covered.executed++;
  count(f, c, true);
}

/* ---- tests -------------------------------------------------------------------------------------------------- */

static void run_case(const space_case *c, const char *target, const neo_space_options *options,
                     int schedules, int executed, uint64_t seed) {
  fixture f;
  set_up(&f, c, target, options);
  neo_rng rng;
  neo_rng_init(&rng, seed);
  assert_int_equal(f.space->n_left_out, 0);
  neo_candidate previous;
  neo_space_sample(f.space, &rng, &previous);
  for (int i = 0; i < schedules; i++) {
    neo_candidate candidate;
    if (i % 2)
      neo_space_mutate(f.space, &rng, &previous, &candidate);
    else
      neo_space_sample(f.space, &rng, &candidate);
    check_canonical(&f, &candidate);
    check_line(&f, &candidate);
    check_moves(&f, &rng, &candidate, &previous);
    if (i < executed)
      execute(&f, &candidate);
    previous = candidate;
  }
  tear_down(&f);
}

static void test_matrix_instructions(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(matrix_cases); k++) {
    neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_FAST};
    run_case(&matrix_cases[k].c, matrix_cases[k].target, &options, 40, 4, (uint64_t)k);
  }
}

static void test_every_case_on_every_target(void **state) {
  (void)state;
  int cases = NEO_COUNT(space_cases), targets = NEO_COUNT(target_names);
  int schedules = N_SCHEDULES / (cases * targets) + 1,
      executed = N_EXECUTED / (cases * targets) + 1;
  for (int t = 0; t < targets; t++)
    for (int k = 0; k < cases; k++) {
      neo_space_options options = {
          .threads = t + 1, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
      run_case(&space_cases[k], target_names[t], &options, schedules, executed,
               (uint64_t)(k * 16 + t));
    }
}

/* Fixed layouts: every combination of three layouts on the first input and the output. */
static void test_fixed_layouts(void **state) {
  (void)state;
  static const char *const layouts[] = {"0,1,2,3", "0,2,3,1",     "0,1/8,2,3,1%8",
                                        "3,2,1,0", "0,2,3,1~300", "0,1~290,2,3~70"};
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    neo_ctx ctx;
    neo_arena arena;
    neo_te te;
    neo_ctx_init(&ctx, 1);
    neo_arena_init(&arena);
    assert_int_equal(neo_te_parse(&ctx, &arena, space_cases[k].te, &te), NEO_OK);
    int out = te.n_buffers - 1;
    bool images = te.buffer[0].shape.rank == 4 && te.buffer[out].shape.rank == 4;
    neo_arena_fini(&arena);
    for (int i = 0; images && i < 20; i++) { /* windows: both, and with one that is none */
      neo_layout in, last;
      int from = i < 16 ? i / 4 : i % 2 ? 4 : 5, to = i < 16 ? i % 4 : i < 18 ? from : 1;
      assert_int_equal(neo_layout_parse(&ctx, layouts[from], 4, &in), NEO_OK);
      assert_int_equal(neo_layout_parse(&ctx, layouts[to], 4, &last), NEO_OK);
      neo_space_options options = {.threads = 2, .accuracy = NEO_ACCURACY_DEFAULT};
      options.fixed[0] = &in;
      options.fixed[out] = &last;
      run_case(&space_cases[k], "x86-64-v3", &options, 12, 4, (uint64_t)i);
    }
  }
}

/* The analytic list is sorted, canonical, deterministic, and no worse than random samples. */
static void test_analytic(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    fixture f;
    neo_space_options options = {.threads = 2, .accuracy = NEO_ACCURACY_DEFAULT};
    set_up(&f, &space_cases[k], "x86-64-v3", &options);
    neo_candidate best[8], again[8], sample;
    int n = neo_space_analytic(f.space, 8, best);
    assert_true(n >= 1);
    assert_int_equal(neo_space_analytic(f.space, 8, again), n);
    for (int i = 0; i < n; i++) {
      check_canonical(&f, &best[i]);
      assert_true(same(&best[i], &again[i]));
      double ns = neo_space_predict(f.space, &best[i]);
      assert_true(isfinite(ns) && ns > 0);
      assert_true(i == 0 || neo_space_predict(f.space, &best[i - 1]) <= ns);
      float features[NEO_FEATURES];
      neo_space_features(f.space, &best[i], features);
      for (int j = 0; j < NEO_FEATURES; j++)
        assert_true(isfinite(features[j]));
    }
    neo_rng rng;
    neo_rng_init(&rng, 5);
    int beaten = 0;
    for (int i = 0; i < 200; i++) {
      neo_space_sample(f.space, &rng, &sample);
      beaten += neo_space_predict(f.space, &sample) < neo_space_predict(f.space, &best[0]) * 0.98;
    }
    assert_int_equal(beaten, 0);
    execute(&f, &best[0]);
    tear_down(&f);
  }
}

/* A record of one convolution seeds the space of another one. */
static void test_transfer(void **state) {
  (void)state;
  static const space_case other = {
      "other conv",
      "te 1\nb0 in f32 [1,16,14,14]\nb1 const f32 [32,16,3,3]\nb2 const f32 [32]\nb3 tmp f32 "
      "[1,32,14,14]\n"
      "b4 out f32 [1,32,14,14]\n"
      "B0 b3[i0, i1, i2, i3] s[1,32,14,14] r[16,3,3] add f32:0\n"
      "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<14, 0<=i3+i6-1<14 else 0], b1[i1, i4, i5, "
      "i6])\n"
      "B1 b4[i0, i1, i2, i3] s[1,32,14,14]\n  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n"};
  fixture from, to;
  neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_DEFAULT};
  set_up(&from, &other, "x86-64-v3", &options);
  set_up(&to, &space_cases[0], "x86-64-v3", &options);
  neo_candidate best, moved, same_space;
  neo_schedule line;
  assert_int_equal(neo_space_analytic(from.space, 1, &best), 1);
  neo_space_schedule(from.space, &best, &line);
  assert_true(neo_space_transfer(from.space, &line, &same_space));
  assert_true(same(&same_space, &best));
  assert_true(neo_space_transfer(to.space, &line, &moved));
  check_canonical(&to, &moved);
  execute(&to, &moved);
  neo_schedule naive;
  neo_schedule_naive(&naive);
  naive.instr[0].name[0] = 'x';
  assert_false(neo_space_transfer(to.space, &naive, &moved));
  assert_false(neo_space_find(to.space, &naive, &moved));
  tear_down(&from);
  tear_down(&to);
}

static void test_coverage(void **state) {
  (void)state;
  print_message("%lld schedules, %lld executed\n", (long long)covered.schedules,
                (long long)covered.executed);
  assert_true(covered.schedules >= N_SCHEDULES);
  assert_true(covered.executed >= 2000);
  bool all = true;
  for (int r = 0; r < neo_rule_count(); r++) {
    print_message("rule %-10s %8lld schedules %6lld executed\n", neo_rule_get(r)->name,
                  (long long)covered.rule[r], (long long)covered.rule_run[r]);
    all = all && covered.rule_run[r] > 0;
  }
  for (int a = 0; a < neo_algorithm_count(); a++) {
    print_message("algorithm %-10s %8lld schedules %6lld executed\n", neo_algorithm_get(a)->name,
                  (long long)covered.alg[a], (long long)covered.alg_run[a]);
    all = all && covered.alg_run[a] > 0;
  }
  for (int r = 0; r < neo_intrinsic_count(); r++) {
    print_message("intrinsic %-10s %8lld schedules %6lld executed\n", neo_intrinsic_get(r)->name,
                  (long long)covered.intrinsic[r], (long long)covered.intrinsic_run[r]);
    all = all && covered.intrinsic_run[r] > 0;
  }
  assert_true(all);
}

/* F(6x6) is for --accuracy fast only, also when it comes from a record. */
static void accuracy_of_algorithms(void **state) {
  (void)state;
  assert_int_equal(neo_algorithm_accuracy("direct"), NEO_ACCURACY_EXACT);
  assert_int_equal(neo_algorithm_accuracy("winograd m=4 n=4 fine=1"), NEO_ACCURACY_DEFAULT);
  assert_int_equal(neo_algorithm_accuracy("winograd m=6 n=6"), NEO_ACCURACY_FAST);
  assert_int_equal(neo_algorithm_accuracy("strassen g=32"), NEO_ACCURACY_DEFAULT);
  assert_int_equal(neo_algorithm_accuracy("half terms=72"), NEO_ACCURACY_FAST);
  assert_int_equal(neo_algorithm_accuracy("never heard of"), NEO_ACCURACY_FAST);
}

/* Which tiles minimal filtering takes for a kernel: eight points along both dimensions only with
 * --accuracy fast, one tap is not transformed, fine points are for six. */
static void tiles_of_kernels(void **state) {
  (void)state;
  static const struct {
    const char *name, *alg;
    bool fits;
  } rows[] = {
      {"conv3x3 relu", "winograd m=4 n=4 fine=1", true},
      {"conv3x3 relu", "winograd m=6 n=6", true},
      {"conv3x3 relu", "winograd m=1 n=2", false},
      {"conv3x3 relu", "winograd m=2 n=2 fine=1", false},
      {"conv5x5", "winograd m=2 n=2 fine=1", true},
      {"conv5x5", "winograd m=4 n=4 fine=1", false},
      {"conv5x5", "winograd m=4 n=2 fine=1", false},
      {"conv1x7", "winograd m=1 n=2", true},
      {"conv1x7", "winograd m=2 n=2", false},
      {"conv1x7", "winograd m=1 n=4", false},
      {"conv7x1", "winograd m=2 n=1", true},
      {"conv1x3", "winograd m=1 n=4 fine=1", true},
  };
  neo_ctx ctx;
  neo_arena arena;
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    const space_case *c = space_cases;
    while (strcmp(c->name, rows[i].name) != 0)
      c++;
    neo_te te, out;
    neo_schedule line;
    neo_buf text = {0};
    neo_buf_printf(&text, "s1; alg %s", rows[i].alg);
    assert_int_equal(neo_te_parse(&ctx, &arena, c->te, &te), NEO_OK);
    assert_int_equal(neo_schedule_parse(&ctx, text.data, &line), NEO_OK);
    neo_ctx_clear(&ctx);
    if ((neo_schedule_rewrite(&ctx, &te, &line, &arena, &out) == NEO_OK) != rows[i].fits)
      fail_msg("%s, %s: %s", rows[i].name, rows[i].alg, ctx.message);
    neo_buf_fini(&text);
  }
  neo_arena_fini(&arena);
}

/* The best schedule of a depthwise 3x3 convolution, channels innermost. */
static void depthwise_pick(int channels, int size, int threads, neo_schedule *line) {
  neo_ctx ctx;
  neo_arena arena;
  neo_te te;
  neo_target target;
  neo_layout last;
  neo_space *space = NULL;
  neo_candidate best;
  neo_buf text = {0};
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  neo_buf_printf(&text,
                 "te 1\nb0 in f32 [1,%d,%d,%d]\nb1 const f32 [%d,1,3,3]\nb2 const f32 [%d]\n"
                 "b3 tmp f32 [1,%d,%d,%d]\nb4 out f32 [1,%d,%d,%d]\n",
                 channels, size, size, channels, channels, channels, size, size, channels, size,
                 size);
  neo_buf_printf(&text,
                 "B0 b3[i0, i1, i2, i3] s[1,%d,%d,%d] r[3,3] add f32:0\n"
                 "  mul(b0[0, i1, i2+i4-1, i3+i5-1 | 0<=i2+i4-1<%d, 0<=i3+i5-1<%d else "
                 "0], b1[i1, 0, i4, i5])\n"
                 "B1 b4[i0, i1, i2, i3] s[1,%d,%d,%d]\n"
                 "  min(max(add(b3[0, i1, i2, i3], b2[i1]), f32:0), f32:6)\n",
                 channels, size, size, size, size, channels, size, size);
  assert_int_equal(neo_te_parse(&ctx, &arena, text.data, &te), NEO_OK);
  assert_int_equal(neo_target_find(&ctx, "znver4", &target), NEO_OK);
  assert_int_equal(neo_layout_parse(&ctx, "0,2,3,1", 4, &last), NEO_OK);
  neo_space_options options = {.threads = threads, .fixed = {[0] = &last, [4] = &last}};
  assert_int_equal(neo_space_build(&ctx, &te, &target, &options, &space), NEO_OK);
  assert_int_equal(neo_space_analytic(space, 1, &best), 1);
  neo_space_schedule(space, &best, line);
  neo_space_destroy(space);
  neo_arena_fini(&arena);
  neo_buf_fini(&text);
}

/* A depthwise tile whose taps are not unrolled tests every load at a border: half the speed. */
static void depthwise_picks_unroll_their_window(void **state) {
  (void)state;
  neo_schedule line;
  int unrolled = 0;
  depthwise_pick(144, 56, 1, &line);
  for (int i = 0; i < line.n; i++)
    unrolled += line.instr[i].kind == NEO_INSTR_SPLIT && line.instr[i].axis >= 4 &&
                line.instr[i].arg[0] == 3;
  assert_int_equal(unrolled, 1);
}

/* Extent of the output block's axis over which level `level` of its split loops. */
static int64_t trip_of(const neo_schedule *line, int axis, int level, int64_t extent) {
  for (int i = 0; i < line->n; i++) {
    const neo_instr *split = &line->instr[i];
    if (split->kind != NEO_INSTR_SPLIT || split->block != 1 || split->axis != axis)
      continue;
    if (level > 0)
      return split->arg[level - 1];
    for (int k = 0; k < split->n_args; k++)
      extent = neo_ceil_div(extent, split->arg[k]);
  }
  return extent;
}

/* Each worker has one contiguous part of a tensor: what another one wrote or read costs more than
 * the arithmetic of a depthwise convolution. */
static void workers_share_out_rows(void **state) {
  (void)state;
  static const int cases[][2] = {{32, 112}, {192, 28}, {384, 14}, {576, 14}};
  for (int k = 0; k < NEO_COUNT(cases); k++) {
    int64_t extent[] = {1, cases[k][0], cases[k][1], cases[k][1]};
    neo_schedule line;
    int first = -1;
    depthwise_pick(cases[k][0], cases[k][1], 2, &line);
    for (int i = 0; i < line.n; i++)
      for (int l = 0; line.instr[i].kind == NEO_INSTR_ORDER && line.instr[i].block == 1 &&
                      first < 0 && l < line.instr[i].n_args;
           l++) {
        int axis = line.instr[i].arg[l] / 16, level = line.instr[i].arg[l] % 16;
        first = trip_of(&line, axis, level, extent[axis]) > 1 ? axis : -1;
      }
    assert_int_equal(first, 2);
  }
}

/* The best schedule of a convolution with padding that keeps the size, in this layout. */
static void convolution_pick(const char *target_name, const int *shape, const char *layout,
                             neo_schedule *line) {
  int in = shape[0], out = shape[1], size = shape[2], taps = shape[3], pad = taps / 2;
  neo_ctx ctx;
  neo_arena arena;
  neo_te te;
  neo_target target;
  neo_layout lay;
  neo_space *space = NULL;
  neo_candidate best;
  neo_buf text = {0};
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  neo_buf_printf(&text,
                 "te 1\nb0 in f32 [1,%d,%d,%d]\nb1 const f32 [%d,%d,%d,%d]\n"
                 "b2 out f32 [1,%d,%d,%d]\n"
                 "B0 b2[i0, i1, i2, i3] s[1,%d,%d,%d] r[%d,%d,%d] add f32:0\n  mul(b0[0, i4, ",
                 in, size, size, out, in, taps, taps, out, size, size, out, size, size, in, taps,
                 taps);
  if (pad > 0)
    neo_buf_printf(&text,
                   "i2+i5-%d, i3+i6-%d | 0<=i2+i5-%d<%d, 0<=i3+i6-%d<%d else 0], b1[i1, i4, i5, "
                   "i6])\n",
                   pad, pad, pad, size, pad, size);
  else
    neo_buf_text(&text, "i2, i3], b1[i1, i4, 0, 0])\n");
  assert_int_equal(neo_te_parse(&ctx, &arena, text.data, &te), NEO_OK);
  assert_int_equal(neo_target_find(&ctx, target_name, &target), NEO_OK);
  assert_int_equal(neo_layout_parse(&ctx, layout, 4, &lay), NEO_OK);
  neo_space_options options = {
      .threads = 1, .accuracy = NEO_ACCURACY_DEFAULT, .fixed = {[0] = &lay, [2] = &lay}};
  assert_int_equal(neo_space_build(&ctx, &te, &target, &options, &space), NEO_OK);
  assert_int_equal(neo_space_analytic(space, 1, &best), 1);
  neo_space_schedule(space, &best, line);
  neo_space_destroy(space);
  neo_arena_fini(&arena);
  neo_buf_fini(&text);
}

/* Innermost factor of the split of the last block's axis. */
static int64_t last_factor(const neo_schedule *line, int axis) {
  int64_t factor = 0;
  int block = -1;
  for (int i = 0; i < line->n; i++) {
    const neo_instr *split = &line->instr[i];
    if (split->kind == NEO_INSTR_SPLIT && split->axis == axis && split->block >= block) {
      factor = split->arg[split->n_args - 1];
      block = split->block;
    }
  }
  return factor;
}

/* Lanes of the best schedule of a 1x1 convolution, channels innermost. */
static int64_t lanes_of_pick(const char *target, int channels) {
  const int shape[] = {96, channels, 28, 1};
  neo_schedule line;
  convolution_pick(target, shape, "0,2,3,1", &line);
  return last_factor(&line, 1);
}

/* Planes of channels are pages apart: a tile of seven rows, which would read 96 pages for each sum,
 * loses to one of fewer rows. */
static void tiles_stay_in_few_pages(void **state) {
  (void)state;
  static const int shape[] = {256, 64, 56, 1};
  neo_schedule line;
  convolution_pick("znver4", shape, "0,1/16,2,3,1%16", &line);
  assert_in_range(last_factor(&line, 2), 1, 4);
}

/* Sums of 16 products end before a large tile's stores are through: tiles of few accumulators, of
 * which the processor has several in flight. */
static void short_sums_have_small_tiles(void **state) {
  (void)state;
  static const int few[] = {16, 96, 112, 1}, many[] = {512, 256, 28, 1};
  neo_schedule line;
  convolution_pick("znver4", few, "0,1/16,2,3,1%16", &line);
  assert_in_range(last_factor(&line, 2) * last_factor(&line, 3), 1, 8);
  convolution_pick("znver4", many, "0,1/16,2,3,1%16", &line);
  assert_in_range(last_factor(&line, 2) * last_factor(&line, 3), 9, 32);
}

/* Weights that the last level cannot hold are counted once: F(4x2) streams half as much again as
 * F(2x2), has a quarter fewer products, and is faster, cold and warm. */
static void streamed_weights_count_once(void **state) {
  (void)state;
  static const int shape[] = {512, 512, 7, 3};
  neo_schedule line;
  convolution_pick("znver4", shape, "0,2,3,1", &line);
  assert_string_equal(line.instr[0].name, "winograd m=4 n=2 fine=1");
}

/* Vectors of half the width where the channels fill them and the processor starts two at once. */
static void narrow_vectors_where_they_fill(void **state) {
  (void)state;
  assert_int_equal(lanes_of_pick("znver4", 24), 8);
  assert_int_equal(lanes_of_pick("znver4", 40), 8);
  assert_int_equal(lanes_of_pick("znver4", 32), 16);
  assert_int_equal(lanes_of_pick("skylake-avx512", 24), 16);
  assert_int_equal(lanes_of_pick("znver3", 20), 8);
}

/* Weights of seven products pass for every block of rows, while one core computes: they cost
 * little, and an eighth of the products is saved. */
static void strassen_where_weights_stream(void **state) {
  (void)state;
  static const int shapes[][4] = {{1024, 256, 14, 1}, {256, 1024, 14, 1}};
  for (int i = 0; i < NEO_COUNT(shapes); i++) {
    neo_schedule line;
    convolution_pick("znver4", shapes[i], "0,2,3,1", &line);
    assert_string_equal(line.instr[0].name, "strassen g=32");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiles_of_kernels),
      cmocka_unit_test(test_matrix_instructions),
      cmocka_unit_test(test_every_case_on_every_target),
      cmocka_unit_test(test_fixed_layouts),
      cmocka_unit_test(test_analytic),
      cmocka_unit_test(test_transfer),
      cmocka_unit_test(accuracy_of_algorithms),
      cmocka_unit_test(test_coverage),
      cmocka_unit_test(depthwise_picks_unroll_their_window),
      cmocka_unit_test(short_sums_have_small_tiles),
      cmocka_unit_test(narrow_vectors_where_they_fill),
      cmocka_unit_test(workers_share_out_rows),
      cmocka_unit_test(tiles_stay_in_few_pages),
      cmocka_unit_test(streamed_weights_count_once),
      cmocka_unit_test(strassen_where_weights_stream),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
