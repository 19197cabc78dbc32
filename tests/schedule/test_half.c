/* Algorithms half and wide: what they make of a te; where spaces have them; the error of partial
 * sums in f16, against sums in f64; and candidates by the interpreter. */
#include "schedule/algorithm.h"
#include "tests/schedule/space_run.h"

#include "tests/arena_fixture.h"

enum { ROWS = 24, COLUMNS = 40, TERMS = 1152 };

static neo_te *parse(const char *text) {
  neo_te *te = neo_arena_alloc(&arena, sizeof(*te));
  if (neo_te_parse(&ctx, &arena, text, te) != NEO_OK)
    fail_msg("%s\n%s", ctx.message, text);
  return te;
}

static neo_te *rewritten(const neo_te *te, const char *alg) {
  neo_te *out = neo_arena_alloc(&arena, sizeof(*out));
  if (neo_algorithm_rewrite(&ctx, te, alg, &arena, out, NULL) != NEO_OK ||
      neo_te_check(&ctx, out) != NEO_OK)
    fail_msg("%s: %s", alg, ctx.message);
  return out;
}

/* ---- the te -------------------------------------------------------------------------------------- */

static const char conv[] = "te 1\nb0 in f16 [1,16,7,9]\nb1 const f16 [20,16,3,3]\n"
                           "b2 tmp f32 [1,20,7,9]\nb3 out f16 [1,20,7,9]\n"
                           "B0 b2[i0, i1, i2, i3] s[1,20,7,9] r[16,3,3] add f32:0\n"
                           "  mul(cast.f32(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<7, "
                           "0<=i3+i6-1<9 else 0]), cast.f32(b1[i1, i4, i5, i6]))\n"
                           "B1 b3[i0, i1, i2, i3] s[1,20,7,9]\n"
                           "  cast.f16(max(b2[0, i1, i2, i3], f32:0))\n";

static void expect(const char *alg, const char *want) {
  neo_buf text = {0};
  neo_te_print(&text, rewritten(parse(conv), alg));
  assert_string_equal(text.data, want);
  neo_buf_fini(&text);
}

/* 144 terms in two parts of 72, or all at once. */
static void sums_become_parts(void **state) {
  (void)state;
  expect("half terms=72",
         "te 1\nb0 in f16 [1,16,7,9]\nb1 const f16 [20,16,3,3]\nb2 tmp f32 [1,20,7,9]\n"
         "b3 out f16 [1,20,7,9]\nb4 tmp f16 [1,20,7,9,2]\n"
         "B0 b4[i0, i1, i2, i3, i4] s[1,20,7,9,2] r[8,3,3] add f16:0\n"
         "  mul(b0[0, i4*8+i5, i2+i6-1, i3+i7-1 | 0<=i2+i6-1<7, 0<=i3+i7-1<9 else 0], "
         "b1[i1, i4*8+i5, i6, i7])\n"
         "B1 b2[i0, i1, i2, i3] s[1,20,7,9] r[2] add f32:0\n"
         "  cast.f32(b4[i0, i1, i2, i3, i4])\n"
         "B2 b3[i0, i1, i2, i3] s[1,20,7,9]\n  cast.f16(max(b2[0, i1, i2, i3], f32:0))\n");
  expect("half terms=144",
         "te 1\nb0 in f16 [1,16,7,9]\nb1 const f16 [20,16,3,3]\nb2 tmp f16 [1,20,7,9]\n"
         "b3 out f16 [1,20,7,9]\nB0 b2[i0, i1, i2, i3] s[1,20,7,9] r[16,3,3] add f16:0\n"
         "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<7, 0<=i3+i6-1<9 else 0], "
         "b1[i1, i4, i5, i6])\n"
         "B1 b3[i0, i1, i2, i3] s[1,20,7,9]\n"
         "  cast.f16(max(cast.f32(b2[0, i1, i2, i3]), f32:0))\n");
}

/* The weights are packed as f32, the input's padded copy is f32. */
static void factors_are_cast_once(void **state) {
  (void)state;
  neo_packing packing = {0, NULL};
  neo_buf text = {0};
  neo_te *out = neo_arena_alloc(&arena, sizeof(*out));
  assert_int_equal(neo_algorithm_rewrite(&ctx, parse(conv), "wide pad=1", &arena, out, &packing),
                   NEO_OK);
  assert_int_equal(neo_te_check(&ctx, out), NEO_OK);
  neo_te_print(&text, out);
  assert_string_equal(
      text.data, "te 1\nb0 in f16 [1,16,7,9]\nb1 const f32 [20,16,3,3]\nb2 tmp f32 [1,20,7,9]\n"
                 "b3 out f16 [1,20,7,9]\nb4 tmp f32 [1,16,9,11]\n"
                 "B0 b4[i0, i1, i2, i3] s[1,16,9,11]\n"
                 "  cast.f32(b0[i0, i1, i2-1, i3-1 | 0<=i2-1<7, 0<=i3-1<9 else 0])\n"
                 "B1 b2[i0, i1, i2, i3] s[1,20,7,9] r[16,3,3] add f32:0\n"
                 "  mul(b4[0, i4, i2+i5, i3+i6], b1[i1, i4, i5, i6])\n"
                 "B2 b3[i0, i1, i2, i3] s[1,20,7,9]\n  cast.f16(max(b2[0, i1, i2, i3], f32:0))\n");
  neo_buf_fini(&text);
  assert_int_equal(packing.n, 1);
  assert_true(packing.pack[0].has_te && packing.pack[0].buffer == 1);
  neo_te_print(&text, &packing.pack[0].te);
  assert_string_equal(text.data, "te 1\nb0 in f16 [20,16,3,3]\nb1 out f32 [20,16,3,3]\n"
                                 "B0 b1[i0, i1, i2, i3] s[20,16,3,3]\n"
                                 "  cast.f32(b0[i0, i1, i2, i3])\n");
  neo_buf_fini(&text);
  assert_int_equal(neo_algorithm_accuracy("wide"), NEO_ACCURACY_EXACT);
}

static void others_are_refused(void **state) {
  (void)state;
  neo_te out, *f32 = parse("te 1\nb0 in f32 [4,8]\nb1 const f32 [8,4]\nb2 out f32 [4,4]\n"
                           "B0 b2[i0, i1] s[4,4] r[8] add f32:0\n  mul(b0[i0, i2], b1[i2, i1])\n");
  assert_int_equal(neo_algorithm_rewrite(&ctx, f32, "half terms=64", &arena, &out, NULL),
                   NEO_BAD_INPUT);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_algorithm_rewrite(&ctx, parse(conv), "half terms=2", &arena, &out, NULL),
                   NEO_BAD_INPUT);
  neo_ctx_clear(&ctx);
}

/* ---- spaces -------------------------------------------------------------------------------------- */

static bool has(const char *alg, const char *target_name, neo_accuracy accuracy) {
  neo_target target;
  neo_space *space;
  neo_space_options options = {.threads = 1, .accuracy = accuracy};
  assert_int_equal(neo_target_find(&ctx, target_name, &target), NEO_OK);
  assert_int_equal(neo_space_build(&ctx, parse(conv), &target, &options, &space), NEO_OK);
  bool found = false;
  for (int v = 0; v < space->n_variants; v++)
    found = found || strncmp(space->variant[v]->alg, alg, 4) == 0;
  neo_space_destroy(space);
  return found;
}

static void only_where_f16_is_fast_and_asked_for(void **state) {
  (void)state;
  assert_true(has("half", "rasp5", NEO_ACCURACY_FAST));
  assert_true(has("half", "graviton3", NEO_ACCURACY_FAST));
  assert_false(has("half", "rasp5", NEO_ACCURACY_DEFAULT));
  assert_false(has("half", "rasp4b", NEO_ACCURACY_FAST));
  assert_false(has("half", "znver4", NEO_ACCURACY_FAST));
  assert_true(has("wide", "rasp4b", NEO_ACCURACY_EXACT));
  assert_false(has("wide", "znver4", NEO_ACCURACY_FAST));
}

/* ---- errors -------------------------------------------------------------------------------------- */

typedef enum data_kind { CENTRED, RECTIFIED, POSITIVE } data_kind; /* activations, weights */

static double normal(neo_rng *rng) {
  double sum = -6;
  for (int i = 0; i < 12; i++)
    sum += neo_rng_unit(rng);
  return sum;
}

static void fill(neo_tensor *x, neo_tensor *w, data_kind kind) {
  neo_rng rng;
  neo_rng_init(&rng, 7);
  for (int64_t i = 0; i < ROWS * TERMS; i++) {
    double v = normal(&rng);
    neo_tensor_set_f64(x, i, kind == CENTRED ? v : fmax(v, 0));
  }
  for (int64_t i = 0; i < COLUMNS * TERMS; i++) {
    double v = normal(&rng) / sqrt(TERMS);
    neo_tensor_set_f64(w, i, kind == POSITIVE ? fabs(v) : v);
  }
}

/* Largest difference from the sums in f64, relative to the largest of those. */
static double error_of(const neo_te *te, neo_tensor *x, neo_tensor *w) {
  neo_tensor out, none[NEO_TE_MAX_BUFFERS] = {{0}}, *all[NEO_TE_MAX_BUFFERS];
  for (int b = 0; b < te->n_buffers; b++)
    all[b] = &none[b];
  assert_int_equal(neo_tensor_create(&ctx, NEO_F16, &te->buffer[3].shape, &out), NEO_OK);
  all[0] = x;
  all[1] = w;
  all[3] = &out;
  if (neo_te_interpret(&ctx, te, all) != NEO_OK)
    fail_msg("%s", ctx.message);
  double most = 0, largest = 0;
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < COLUMNS; c++) {
      double sum = 0;
      for (int k = 0; k < TERMS; k++)
        sum += neo_tensor_get_f64(x, r * TERMS + k) * neo_tensor_get_f64(w, c * TERMS + k);
      most = fmax(most, fabs(neo_tensor_get_f64(&out, r * COLUMNS + c) - sum));
      largest = fmax(largest, fabs(sum));
    }
  neo_tensor_free(&ctx, &out);
  return most / largest;
}

/* Of a result's 11 bits the last may be wrong, but no more: the spaces' limit of 72 terms keeps
 * below 2^-9 of the largest result. */
static void partial_sums_are_good_enough(void **state) {
  (void)state;
  static const char *const kinds[] = {"centred", "rectified", "positive"};
  static const int terms[] = {0, 16, 36, 72, 144, 288, TERMS};
  char text[400];
  snprintf(text, sizeof text,
           "te 1\nb0 in f16 [%d,%d]\nb1 const f16 [%d,%d]\nb2 tmp f32 [%d,%d]\nb3 out f16 [%d,%d]\n"
           "B0 b2[i0, i1] s[%d,%d] r[%d] add f32:0\n"
           "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i1, i2]))\n"
           "B1 b3[i0, i1] s[%d,%d]\n  cast.f16(b2[i0, i1])\n",
           ROWS, TERMS, COLUMNS, TERMS, ROWS, COLUMNS, ROWS, COLUMNS, ROWS, COLUMNS, TERMS, ROWS,
           COLUMNS);
  const neo_te *te = parse(text);
  neo_tensor x, w;
  assert_int_equal(neo_tensor_create(&ctx, NEO_F16, &te->buffer[0].shape, &x), NEO_OK);
  assert_int_equal(neo_tensor_create(&ctx, NEO_F16, &te->buffer[1].shape, &w), NEO_OK);
  for (int kind = CENTRED; kind <= POSITIVE; kind++) {
    fill(&x, &w, (data_kind)kind);
    for (int i = 0; i < NEO_COUNT(terms); i++) {
      char alg[32] = "direct";
      if (terms[i])
        snprintf(alg, sizeof alg, "half terms=%d", terms[i]);
      double error = error_of(rewritten(te, alg), &x, &w);
      print_message("%s, %s: %.2e\n", kinds[kind], alg, error);
      if (terms[i] <= 72 && error > 2e-3)
        fail_msg("%s, %s: an error of %g", kinds[kind], alg, error);
    }
  }
  neo_tensor_free(&ctx, &x);
  neo_tensor_free(&ctx, &w);
}

/* ---- candidates ---------------------------------------------------------------------------------- */

static void candidates_compute_the_te(void **state) {
  (void)state;
  neo_space_options options = {.threads = 2, .accuracy = NEO_ACCURACY_FAST};
  int halves = 0, cases = 0;
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    fixture f;
    neo_rng rng;
    if (!strstr(space_cases[k].te, " f16"))
      continue;
    cases++;
    set_up(&f, &space_cases[k], "rasp5", &options);
    neo_rng_init(&rng, 11);
    for (int i = 0; i < 24; i++) {
      neo_candidate c;
      space_run r;
      neo_space_sample(f.space, &rng, &c);
      space_run_init(&f, &c, &r);
      neo_nest_expand_math(r.nest);
      if (neo_nest_check(&f.ctx, r.nest) != NEO_OK ||
          neo_nest_interpret(&f.ctx, r.nest, r.param) != NEO_OK)
        fail_msg("%s: %s", f.name, f.ctx.message);
      halves += strncmp(r.line.instr[0].name, "half", 4) == 0;
      space_run_finish(&f, &r);
    }
    tear_down(&f);
  }
  print_message("%d candidates of %d cases sum in f16\n", halves, cases);
  assert_true(cases >= 3);
  assert_true(halves >= 3 * cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(sums_become_parts, setup, teardown),
      cmocka_unit_test_setup_teardown(factors_are_cast_once, setup, teardown),
      cmocka_unit_test_setup_teardown(others_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(only_where_f16_is_fast_and_asked_for, setup, teardown),
      cmocka_unit_test_setup_teardown(partial_sums_are_good_enough, setup, teardown),
      cmocka_unit_test_setup_teardown(candidates_compute_the_te, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
