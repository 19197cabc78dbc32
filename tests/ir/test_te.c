/* tests/ir/test_te.c: text, keys, checks, canonical form, composition, widening and the
 * interpreter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/ir/te_testing.h"

#include "tests/arena_fixture.h" /* after headers whose parameters have its names */

#include <stdlib.h>

static neo_te *parse(const char *text) {
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  neo_ctx_clear(&ctx);
  if (neo_te_parse(&ctx, &arena, text, te) != NEO_OK)
    fail_msg("%s\n%s", ctx.message, text);
  return te;
}

static neo_te *load(const char *name) {
  char path[512];
  snprintf(path, sizeof path, NEO_SOURCE_DIR "/tests/data/te/%s.te", name);
  char *text = testing_read(path);
  neo_te *te = parse(text);
  free(text);
  return te;
}

static void assert_prints(const neo_te *te, const char *expected) {
  neo_buf buf = {0};
  neo_te_print(&buf, te);
  assert_string_equal(buf.data, expected);
  neo_buf_fini(&buf);
}

/* ---- keys --------------------------------------------------------------------------------------
 */

/* The first 32 digits of sha256sum of the file. These never change: records in databases hang on
 * them. */
static const struct {
  const char *name, *key;
} golden[] = {
    {"conv_relu", "38892861556f0d933f833f72f5d6c740"},
    {"gather", "bc8c106ae464077b2303fededd6dbc84"},
    {"group_conv", "afa529f97e48df318878cd1e90eb189c"},
    {"phases", "30418a81a5e7f7e94e0e9124acc5bcc6"},
    {"scalar", "6fa63395de0b821bd26d0fcfb48b60d0"},
    {"softmax", "591e49d5a70d8dad38cc07500e7bc990"},
};

static void golden_texts_are_canonical_and_keep_their_keys(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(golden); k++) {
    char path[512], key[33];
    snprintf(path, sizeof path, NEO_SOURCE_DIR "/tests/data/te/%s.te", golden[k].name);
    char *text = testing_read(path);
    neo_te *te = parse(text);
    assert_prints(te, text);
    neo_te_key(te, key);
    assert_string_equal(key, golden[k].key);
    int order[NEO_TE_MAX_BUFFERS];
    assert_int_equal(neo_te_canonicalise(&ctx, te, order), NEO_OK);
    assert_prints(te, text);
    for (int b = 0; b < te->n_buffers; b++)
      assert_int_equal(order[b], b);
    neo_te copy;
    neo_arena other;
    neo_arena_init(&other);
    neo_te_copy(&copy, &other, te);
    neo_arena_reset(&arena);
    assert_prints(&copy, text);
    neo_arena_fini(&other);
    free(text);
  }
}

/* ---- what the checker refuses
 * -------------------------------------------------------------------- */

static const struct {
  const char *why, *text;
} refused[] = {
    {"expected te", ""},
    {"no blocks", "te 1\nb0 in f32 [3]\n"},
    {"expected the next number", "te 1\nb1 in f32 [3]\n"},
    {"expected an extent", "te 1\nb0 in f32 [0]\n"},
    {"2^40", "te 1\nb0 in f32 [1048576,1048576,2]\nb1 out f32 [1]\nB0 b1[i0] s[1]\n  f32:0\n"},
    {"type", "te 1\nb0 out f32 [3]\nB0 b0[i0] s[3]\n  i32:1\n"},
    {"may leave", "te 1\nb0 in f32 [3]\nb1 out f32 [3]\nB0 b1[i0] s[3]\n  b0[i0+1]\n"},
    {"may leave",
     "te 1\nb0 in f32 [3]\nb1 out f32 [3]\nB0 b1[i0] s[3]\n  b0[i0+1 | 0<=i0+1<4 else 0]\n"},
    {"may leave", "te 1\nb0 in i32 [3]\nb1 in f32 [3]\nb2 out f32 [3]\nB0 b2[i0] s[3]\n  "
                  "b1[cast.i64(b0[i0])]\n"},
    {"before it is complete", "te 1\nb0 tmp f32 [3]\nb1 out f32 [3]\nB0 b1[i0] s[3]\n  b0[i0]\n"
                              "B1 b0[i0] s[3]\n  f32:1\n"},
    {"before it is complete", "te 1\nb0 out f32 [3]\nB0 b0[i0] s[3]\n  b0[i0]\n"},
    {"not injective", "te 1\nb0 out f32 [3]\nB0 b0[i0] s[3,2]\n  f32:1\n"},
    {"not injective", "te 1\nb0 out f32 [5]\nB0 b0[i0+i1] s[3,3]\n  f32:1\n"},
    {"not affine", "te 1\nb0 out f32 [5]\nB0 b0[floormod(i0+1, 5)] s[5]\n  f32:1\n"},
    {"identity", "te 1\nb0 tmp f32 [6]\nb1 out f32 [6]\nB0 b0[i0*3+i1] s[2,3]\n  f32:1\n"
                 "B1 b1[i0] s[6]\n  b0[i0]\n"},
    {"both write", "te 1\nb0 out f32 [6]\nB0 b0[i0] s[3]\n  f32:1\nB1 b0[i0+2] s[3]\n  f32:1\n"},
    {"are written", "te 1\nb0 out f32 [6]\nB0 b0[i0] s[3]\n  f32:1\n"},
    {"writes an input", "te 1\nb0 in f32 [6]\nB0 b0[i0] s[6]\n  f32:1\n"},
    {"unknown axis", "te 1\nb0 out i64 [6]\nB0 b0[i0] s[6]\n  i1\n"},
    {"not spatial", "te 1\nb0 out f32 [6]\nB0 b0[i1] s[1] r[6] add f32:0\n  f32:1\n"},
    {"constant of the buffer", "te 1\nb0 out f32 [6]\nB0 b0[i0] s[6] r[2] add 0\n  f32:1\n"},
    {"vectors", "te 1\nb0 in f32 [8]\nb1 out f32 [6]\nB0 b1[i0] s[6]\n  b0.x2[i0]\n"},
    {"type or rank", "te 1\nb0 in f32 [8,2]\nb1 out f32 [6]\nB0 b1[i0] s[6]\n  b0[i0]\n"},
    {"quasi-affine", "te 1\nb0 in f32 [8]\nb1 out f32 [2]\nB0 b1[i0] s[2]\n  b0[mul(i0, i0)]\n"},
    {"more than one indirect", "te 1\nb0 in i64 [8]\nb1 out i64 [2]\nB0 b1[i0] s[2]\n"
                               "  b0[floormod(b0[i0]+b0[i0+1], 8)]\n"},
    {"known buffer", "te 1\nb0 out f32 [6]\nB0 b0[i0] s[6]\n  b7[i0]\n"},
};

static void each_invariant_is_checked(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(refused); k++) {
    neo_te te;
    neo_ctx_clear(&ctx);
    neo_status s = neo_te_parse(&ctx, &arena, refused[k].text, &te);
    if (s != NEO_BAD_INPUT || !strstr(ctx.message, refused[k].why))
      fail_msg("row %d: status %d, '%s'; '%s' expected", k, s, ctx.message, refused[k].why);
  }
}

/* ---- the interpreter ----------------------------------------------------------------------------
 */

static double at4(const neo_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t *n = t->shape.dim;
  return neo_tensor_get_f64(t, ((a * n[1] + b) * n[2] + c) * n[3] + d);
}

static void padded_convolution_is_interpreted(void **state) {
  (void)state;
  neo_te *te = load("conv_relu");
  testing_run r;
  testing_begin(&r, &ctx, te, 3);
  testing_interpret(&r, te);
  for (int64_t k = 0; k < 16; k++) {
    for (int64_t p = 0; p < 14 * 14; p++) {
      int64_t y = p / 14, x = p % 14;
      float sum = 0;
      for (int64_t c = 0; c < 8; c++) {
        for (int64_t q = 0; q < 9; q++) {
          int64_t iy = y + q / 3 - 1, ix = x + q % 3 - 1;
          bool in = iy >= 0 && iy < 14 && ix >= 0 && ix < 14;
          float v = in ? (float)at4(&r.tensor[0], 0, c, iy, ix) : 0;
          sum += v * (float)at4(&r.tensor[1], k, c, q / 3, q % 3);
        }
      }
      assert_true((float)at4(&r.tensor[3], 0, k, y, x) == (sum > 0 ? sum : 0));
    }
  }
  testing_end(&r);
}

static void softmax_gather_phases_and_scalars_are_interpreted(void **state) {
  (void)state;
  testing_run r;
  neo_te *te = load("softmax");
  testing_begin(&r, &ctx, te, 4);
  testing_interpret(&r, te);
  for (int row = 0; row < 5; row++) {
    double sum = 0;
    for (int k = 0; k < 37; k++)
      sum += exp(neo_tensor_get_f64(&r.tensor[0], row * 37 + k));
    for (int k = 0; k < 37; k++)
      assert_true(fabs(neo_tensor_get_f64(&r.tensor[4], row * 37 + k) -
                       exp(neo_tensor_get_f64(&r.tensor[0], row * 37 + k)) / sum) < 1e-6);
  }
  testing_end(&r);
  te = load("gather");
  testing_begin(&r, &ctx, te, 4);
  neo_tensor_set_i64(&r.tensor[0], 2, -1);
  testing_interpret(&r, te);
  assert_true(neo_tensor_get_f64(&r.tensor[2], 7) == neo_tensor_get_f64(&r.tensor[1], 28));
  testing_end(&r);
  te = load("phases");
  testing_begin(&r, &ctx, te, 4);
  testing_interpret(&r, te);
  for (int k = 0; k < 12; k++)
    assert_true(neo_tensor_get_f64(&r.tensor[1], k) ==
                neo_tensor_get_f64(&r.tensor[0], k / 2) * (k % 2 ? 0.5 : 1));
  testing_end(&r);
  te = load("scalar");
  testing_begin(&r, &ctx, te, 4);
  neo_tensor_set_i64(&r.tensor[0], 0, 5);
  testing_interpret(&r, te);
  assert_int_equal(neo_tensor_get_i64(&r.tensor[1], 0), 14);
  testing_end(&r);
}

static void long_reductions_sum_in_order(void **state) {
  (void)state;
  neo_te *te = parse(
      "te 1\nb0 in f32 [3,1000]\nb1 out f32 [3]\nB0 b1[i0] s[3] r[1000] add f32:0\n  b0[i0, i1]\n");
  testing_run r;
  testing_begin(&r, &ctx, te, 5);
  testing_interpret(&r, te);
  for (int row = 0; row < 3; row++) {
    float sum = 0;
    for (int k = 0; k < 1000; k++)
      sum += (float)neo_tensor_get_f64(&r.tensor[0], row * 1000 + k);
    assert_true((double)sum == neo_tensor_get_f64(&r.tensor[1], row));
  }
  testing_end(&r);
}

static void wrong_tensors_are_refused(void **state) {
  (void)state;
  neo_te *te = load("scalar");
  neo_tensor *none[2] = {NULL, NULL};
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_te_interpret(&ctx, te, none), NEO_USAGE);
}

/* ---- canonical form
 * ------------------------------------------------------------------------------ */

static const struct {
  const char *before, *after;
} canonical[] = {
    /* buffers by role and first use, unread inputs dropped, unit axes 0 */
    {"te 1\nb0 out f32 [1,4]\nb1 in f32 [9]\nb2 in f32 [1,4]\nb3 in f32 [4]\n"
     "B0 b0[i0, i1] s[1,4]\n  add(b3[i1], b2[i0, i1])\n",
     "te 1\nb0 in f32 [4]\nb1 in f32 [1,4]\nb2 out f32 [1,4]\n"
     "B0 b2[i0, i1] s[1,4]\n  add(b0[i1], b1[0, i1])\n"},
    /* a chain of elementwise blocks becomes one, a dead one disappears */
    {"te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 tmp f32 [8]\nb3 out f32 [8]\n"
     "B0 b1[i0] s[8]\n  max(b0[i0], f32:0)\nB1 b2[i0] s[8]\n  exp(b0[i0])\n"
     "B2 b3[i0] s[8]\n  mul(b1[i0], f32:2)\n",
     "te 1\nb0 in f32 [8]\nb1 out f32 [8]\nB0 b1[i0] s[8]\n  mul(max(b0[i0], f32:0), f32:2)\n"},
    /* a reshape dissolves into its reader's index */
    {"te 1\nb0 in f32 [2,3,4]\nb1 tmp f32 [2,12]\nb2 out f32 [12,2]\n"
     "B0 b1[i0, i1] s[2,12]\n  b0[i0, floordiv(i1, 4), floormod(i1, 4)]\n"
     "B1 b2[i0, i1] s[12,2]\n  b1[i1, i0]\n",
     "te 1\nb0 in f32 [2,3,4]\nb1 out f32 [12,2]\n"
     "B0 b1[i0, i1] s[12,2]\n  b0[i1, floordiv(i0, 4), floormod(i0, 4)]\n"},
    /* an expensive body is not repeated for every reduce step */
    {"te 1\nb0 in f32 [8]\nb1 const f32 [8,8]\nb2 tmp f32 [8]\nb3 out f32 [8]\n"
     "B0 b2[i0] s[8]\n  exp(b0[i0])\nB1 b3[i0] s[8] r[8] add f32:0\n  mul(b2[i1], b1[i0, i1])\n",
     "te 1\nb0 in f32 [8]\nb1 const f32 [8,8]\nb2 tmp f32 [8]\nb3 out f32 [8]\n"
     "B0 b2[i0] s[8]\n  exp(b0[i0])\nB1 b3[i0] s[8] r[8] add f32:0\n  mul(b2[i1], b1[i0, i1])\n"},
    /* a cheap body read twice at one element, as in x * sigmoid(x), is computed in its reader */
    {"te 1\nb0 in f32 [8]\nb1 in f32 [8]\nb2 tmp f32 [8]\nb3 out f32 [8]\n"
     "B0 b2[i0] s[8]\n  add(b0[i0], b1[i0])\nB1 b3[i0] s[8]\n  mul(b2[i0], exp(b2[i0]))\n",
     "te 1\nb0 in f32 [8]\nb1 in f32 [8]\nb2 out f32 [8]\n"
     "B0 b2[i0] s[8]\n  mul(add(b0[i0], b1[i0]), exp(add(b0[i0], b1[i0])))\n"},
    /* an expensive one is not, nor one that is read at two elements */
    {"te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [8]\n"
     "B0 b1[i0] s[8]\n  exp(b0[i0])\nB1 b2[i0] s[8]\n  mul(b1[i0], b1[i0])\n",
     "te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [8]\n"
     "B0 b1[i0] s[8]\n  exp(b0[i0])\nB1 b2[i0] s[8]\n  mul(b1[i0], b1[i0])\n"},
    {"te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [8]\n"
     "B0 b1[i0] s[8]\n  max(b0[i0], f32:0)\nB1 b2[i0] s[8]\n  mul(b1[i0], b1[-i0+7])\n",
     "te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [8]\n"
     "B0 b1[i0] s[8]\n  max(b0[i0], f32:0)\nB1 b2[i0] s[8]\n  mul(b1[i0], b1[-i0+7])\n"},
    /* padding moves through relu onto the load, not through exp */
    {"te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [10]\nB0 b1[i0] s[8]\n  max(b0[i0], f32:0)\n"
     "B1 b2[i0] s[10]\n  b1[i0-1 | 0<=i0-1<8 else 0]\n",
     "te 1\nb0 in f32 [8]\nb1 out f32 [10]\n"
     "B0 b1[i0] s[10]\n  max(b0[i0-1 | 0<=i0-1<8 else 0], f32:0)\n"},
    {"te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [10]\nB0 b1[i0] s[8]\n  exp(b0[i0])\n"
     "B1 b2[i0] s[10]\n  b1[i0-1 | 0<=i0-1<8 else 0]\n",
     "te 1\nb0 in f32 [8]\nb1 tmp f32 [8]\nb2 out f32 [10]\nB0 b1[i0] s[8]\n  exp(b0[i0])\n"
     "B1 b2[i0] s[10]\n  b1[i0-1 | 0<=i0-1<8 else 0]\n"},
    /* guards that the ranges decide */
    {"te 1\nb0 in f32 [8]\nb1 out f32 [8]\nB0 b1[i0] s[8]\n  b0[i0 | 0<=i0<8, 0<=i0<9 else 0]\n",
     "te 1\nb0 in f32 [8]\nb1 out f32 [8]\nB0 b1[i0] s[8]\n  b0[i0]\n"},
};

static void canonical_form_is_reached_and_stays(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(canonical); k++) {
    neo_te *te = parse(canonical[k].before);
    assert_int_equal(neo_te_canonicalise(&ctx, te, NULL), NEO_OK);
    assert_prints(te, canonical[k].after);
    assert_int_equal(neo_te_canonicalise(&ctx, te, NULL), NEO_OK);
    assert_prints(te, canonical[k].after);
  }
}

/* ---- composition
 * --------------------------------------------------------------------------------- */

/* Interprets `first`, hands its output to `second`, and compares with the appended, canonical te.
 */
static neo_te *assert_append_is_sequence(const neo_te *first, int out, const neo_te *second, int in,
                                         bool keep) {
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  int map[NEO_TE_MAX_BUFFERS], order[NEO_TE_MAX_BUFFERS];
  neo_te_copy(te, &arena, first);
  assert_int_equal(neo_te_append(&ctx, te, out, second, in,
                                 &(neo_te_append_options){.keep = keep, .buffer_map = map}),
                   NEO_OK);
  assert_int_equal(neo_te_check(&ctx, te), NEO_OK);
  testing_run a, b, c;
  testing_begin(&a, &ctx, first, 11);
  testing_interpret(&a, first);
  testing_begin(&b, &ctx, second, 12);
  memcpy(b.tensor[in].data, a.tensor[out].data, a.tensor[out].size);
  testing_interpret(&b, second);
  assert_int_equal(neo_te_canonicalise(&ctx, te, order), NEO_OK);
  testing_begin(&c, &ctx, te, 13);
  for (int k = 0; k < te->n_buffers; k++) {
    const neo_tensor *from = order[k] < first->n_buffers ? &a.tensor[order[k]] : NULL;
    for (int j = 0; !from && j < second->n_buffers; j++)
      from = map[j] == order[k] ? &b.tensor[j] : NULL;
    if (te->buffer[k].role == NEO_TE_IN || te->buffer[k].role == NEO_TE_CONST)
      memcpy(c.tensor[k].data, from->data, from->size);
  }
  testing_interpret(&c, te);
  for (int k = 0; k < te->n_buffers; k++) {
    if (te->buffer[k].role != NEO_TE_OUT)
      continue;
    const neo_tensor *from = order[k] == out ? &a.tensor[out] : NULL;
    for (int j = 0; !from && j < second->n_buffers; j++)
      from = map[j] == order[k] ? &b.tensor[j] : NULL;
    assert_tensors_close(&c.tensor[k], from, 0);
  }
  testing_end(&a);
  testing_end(&b);
  testing_end(&c);
  return te;
}

static const char bias_relu[] =
    "te 1\nb0 in f32 [1,12,4,4]\nb1 const f32 [12]\nb2 tmp f32 [1,12,4,4]\n"
    "b3 out f32 [1,12,4,4]\n"
    "B0 b2[i0, i1, i2, i3] s[1,12,4,4]\n  add(b0[i0, i1, i2, i3], b1[i1])\n"
    "B1 b3[i0, i1, i2, i3] s[1,12,4,4]\n  mul(b2[i0, i1, i2, i3], b2[0, i1, i2, i3])\n";

static void epilogue_of_a_grouped_convolution_follows_its_axes(void **state) {
  (void)state;
  neo_te *te = assert_append_is_sequence(load("group_conv"), 2, parse(bias_relu), 0, false);
  assert_prints(te, "te 1\nb0 in f32 [1,8,6,6]\nb1 const f32 [12,4,3,3]\nb2 const f32 [12]\n"
                    "b3 tmp f32 [1,2,6,4,4]\nb4 out f32 [1,12,4,4]\n"
                    "B0 b3[i0, i1, i2, i3, i4] s[1,2,6,4,4] r[4,3,3] add f32:0\n"
                    "  mul(b0[0, i1*4+i5, i3+i6, i4+i7], b1[i1*6+i2, i5, i6, i7])\n"
                    "B1 b4[0, i1*6+i2, i3, i4] s[1,2,6,4,4]\n"
                    "  mul(add(b3[0, i1, i2, i3, i4], b2[i1*6+i2]), "
                    "add(b3[0, i1, i2, i3, i4], b2[i1*6+i2]))\n");
  assert_append_is_sequence(load("group_conv"), 2, parse(bias_relu), 0, true);
}

static void epilogue_of_phases_is_repeated_per_phase(void **state) {
  (void)state;
  neo_te *relu = parse("te 1\nb0 in f32 [12]\nb1 in f32 [12]\nb2 out f32 [12]\n"
                       "B0 b2[i0] s[12]\n  add(max(b0[i0], f32:0), b1[i0])\n");
  neo_te *te = assert_append_is_sequence(load("phases"), 1, relu, 0, false);
  assert_prints(te, "te 1\nb0 in f32 [6]\nb1 in f32 [12]\nb2 out f32 [12]\n"
                    "B0 b2[i0*2] s[6]\n  add(max(b0[i0], f32:0), b1[i0*2])\n"
                    "B1 b2[i0*2+1] s[6]\n  add(max(mul(b0[i0], f32:0.5), f32:0), b1[i0*2+1])\n");
}

static void outputs_hide_after_the_fact(void **state) {
  (void)state;
  neo_te *te = load("group_conv"), *direct = load("group_conv");
  int map[NEO_TE_MAX_BUFFERS];
  assert_int_equal(
      neo_te_append(&ctx, te, 2, parse(bias_relu), 0, &(neo_te_append_options){true, NULL, map}),
      NEO_OK);
  assert_int_equal(neo_te_hide(&ctx, te, 2), NEO_OK);
  assert_int_equal(te->buffer[map[3]].role, NEO_TE_OUT);
  assert_int_equal(neo_te_append(&ctx, direct, 2, parse(bias_relu), 0, NULL), NEO_OK);
  assert_int_equal(neo_te_canonicalise(&ctx, te, NULL), NEO_OK);
  assert_int_equal(neo_te_canonicalise(&ctx, direct, NULL), NEO_OK);
  neo_buf buf = {0};
  neo_te_print(&buf, direct);
  assert_prints(te, buf.data);
  neo_buf_fini(&buf);
}

static void shared_inputs_join(void **state) {
  (void)state;
  neo_te *te = parse("te 1\nb0 in f32 [4]\nb1 out f32 [4]\nB0 b1[i0] s[4]\n  exp(b0[i0])\n");
  neo_te *mul = parse("te 1\nb0 in f32 [4]\nb1 in f32 [4]\nb2 out f32 [4]\nB0 b2[i0] s[4]\n  "
                      "mul(b0[i0], b1[i0])\n");
  int shared[NEO_TE_MAX_BUFFERS] = {-1, 0, -1};
  assert_int_equal(neo_te_append(&ctx, te, 1, mul, 0, &(neo_te_append_options){.shared = shared}),
                   NEO_OK);
  assert_int_equal(neo_te_canonicalise(&ctx, te, NULL), NEO_OK);
  assert_prints(
      te, "te 1\nb0 in f32 [4]\nb1 out f32 [4]\nB0 b1[i0] s[4]\n  mul(exp(b0[i0]), b0[i0])\n");
}

static void impossible_appends_leave_everything_alone(void **state) {
  (void)state;
  neo_te *te = load("group_conv");
  neo_te *pool = parse("te 1\nb0 in f32 [1,12,4,4]\nb1 out f32 [1,12]\n"
                       "B0 b1[i0, i1] s[1,12] r[4,4] add f32:0\n  b0[i0, i1, i2, i3]\n");
  neo_te *other = parse("te 1\nb0 in f32 [5]\nb1 out f32 [5]\nB0 b1[i0] s[5]\n  b0[i0]\n");
  neo_buf before = {0};
  neo_te_print(&before, te);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_te_append(&ctx, te, 2, pool, 0, NULL), NEO_UNSUPPORTED);
  assert_int_equal(neo_te_append(&ctx, te, 2, other, 0, NULL), NEO_UNSUPPORTED);
  assert_int_equal(ctx.status, NEO_OK);
  assert_prints(te, before.data);
  neo_buf_fini(&before);
}

/* ---- widening and counting
 * ------------------------------------------------------------------------ */

static void widened_reductions_accumulate_in_f64(void **state) {
  (void)state;
  neo_te *te =
      parse("te 1\nb0 in f32 [4096]\nb1 out f32 []\nB0 b1[] s[] r[4096] add f32:0\n  b0[i0]\n");
  neo_te wide;
  assert_int_equal(neo_te_widen(&ctx, te, &arena, &wide), NEO_OK);
  assert_prints(
      &wide, "te 1\nb0 in f32 [4096]\nb1 out f32 []\nb2 tmp f64 []\n"
             "B0 b2[] s[] r[4096] add f64:0\n  cast.f64(b0[i0])\nB1 b1[] s[]\n  cast.f32(b2[])\n");
  testing_run r;
  testing_begin(&r, &ctx, te, 1);
  for (int k = 0; k < 4096; k++)
    neo_tensor_set_f64(&r.tensor[0], k, k == 0 ? 16777216 : 1);
  testing_interpret(&r, te);
  assert_true(neo_tensor_get_f64(&r.tensor[1], 0) == 16777216);
  testing_end(&r);
  testing_begin(&r, &ctx, &wide, 1);
  for (int k = 0; k < 4096; k++)
    neo_tensor_set_f64(&r.tensor[0], k, k == 0 ? 16777216 : 1);
  testing_interpret(&r, &wide);
  assert_true(neo_tensor_get_f64(&r.tensor[1], 0) == 16777216 + 4096);
  testing_end(&r);
}

static void widened_golden_texts_agree(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(golden); k++) {
    neo_te *te = load(golden[k].name), wide;
    assert_int_equal(neo_te_widen(&ctx, te, &arena, &wide), NEO_OK);
    testing_run a, b;
    testing_begin(&a, &ctx, te, 21);
    testing_begin(&b, &ctx, &wide, 21);
    testing_interpret(&a, te);
    testing_interpret(&b, &wide);
    for (int j = 0; j < te->n_buffers; j++) {
      if (te->buffer[j].role == NEO_TE_OUT)
        assert_tensors_close(&a.tensor[j], &b.tensor[j], 1e-5);
    }
    testing_end(&a);
    testing_end(&b);
  }
}

static void flops_and_bytes_are_counted(void **state) {
  (void)state;
  neo_te *te = load("conv_relu");
  assert_true(neo_te_flops(te) == 2.0 * 16 * 14 * 14 * 8 * 9 + 16 * 14 * 14);
  assert_true(neo_te_bytes(te) == 4.0 * (8 * 14 * 14 + 16 * 8 * 9 + 16 * 14 * 14));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(golden_texts_are_canonical_and_keep_their_keys, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(each_invariant_is_checked, setup, teardown),
      cmocka_unit_test_setup_teardown(padded_convolution_is_interpreted, setup, teardown),
      cmocka_unit_test_setup_teardown(softmax_gather_phases_and_scalars_are_interpreted, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(long_reductions_sum_in_order, setup, teardown),
      cmocka_unit_test_setup_teardown(wrong_tensors_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(canonical_form_is_reached_and_stays, setup, teardown),
      cmocka_unit_test_setup_teardown(epilogue_of_a_grouped_convolution_follows_its_axes, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(epilogue_of_phases_is_repeated_per_phase, setup, teardown),
      cmocka_unit_test_setup_teardown(outputs_hide_after_the_fact, setup, teardown),
      cmocka_unit_test_setup_teardown(shared_inputs_join, setup, teardown),
      cmocka_unit_test_setup_teardown(impossible_appends_leave_everything_alone, setup, teardown),
      cmocka_unit_test_setup_teardown(widened_reductions_accumulate_in_f64, setup, teardown),
      cmocka_unit_test_setup_teardown(widened_golden_texts_agree, setup, teardown),
      cmocka_unit_test_setup_teardown(flops_and_bytes_are_counted, setup, teardown),
  };
  return cmocka_run_group_tests_name("te", tests, NULL, NULL);
}
