/* Narrowing f32 operations between casts of f16 to f16 ones: the same bits, by the interpreter, for
 * operands of every kind; and what would change a bit stays as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/nest.h"

#include "tests/arena_fixture.h" /* after headers whose parameters have its names */

#include <string.h>

enum { POINTS = 1 << 16 };

typedef struct half_case {
  const char *body;
  bool narrows; /* nothing of f32 is left */
} half_case;

#define A "cast.f32(b0[i0])"
#define B "cast.f32(b1[i0])"

static const half_case cases[] = {
    {"cast.f16(add(" A ", " B "))", true},
    {"cast.f16(sub(" A ", " B "))", true},
    {"cast.f16(mul(" A ", " B "))", true},
    {"cast.f16(div(" A ", " B "))", true},
    {"cast.f16(sqrt(" A "))", true},
    {"cast.f16(neg(" A "))", true},
    {"cast.f16(floor(abs(" A ")))", true},
    {"cast.f16(max(" A ", f32:0))", true},
    {"cast.f16(min(max(" A ", " B "), f32:6))", true},
    {"cast.f16(select(lt(" A ", " B "), mul(" A ", " B "), " B "))", false},
    {"cast.f16(select(lt(" A ", " B "), neg(" A "), " B "))", true},
    {"cast.f16(select(isnan(" A "), f32:0.5, " B "))", true},
    {"cast.f16(mul(cast.f32(cast.f16(max(cast.f32(cast.f16(add(" A ", " B "))), f32:0))), " B "))",
     true},
    /* 0.2 is no f16, a sum of products is rounded once, and functions are of f32 */
    {"cast.f16(mul(" A ", f32:0.2))", false},
    {"cast.f16(add(mul(" A ", " B "), " B "))", false},
    {"cast.f16(fma(" A ", " B ", " A "))", false},
    {"cast.f16(exp(" A "))", false},
    {"cast.f16(floormod(" A ", " B "))", false},
};

/* Every bit pattern once as a; the first quarter of b is near a, for cancellation and ties. */
static void fill(uint16_t *a, uint16_t *b) {
  neo_rng rng;
  neo_rng_init(&rng, 5);
  for (int i = 0; i < POINTS; i++) {
    a[i] = (uint16_t)i;
    b[i] = (uint16_t)(i % 4 ? (int)neo_rng_below(&rng, 65536) : i + (int)neo_rng_below(&rng, 64));
  }
}

static bool is_nan(uint16_t v) {
  return (v & 0x7fff) > 0x7c00;
}

static void check_case(const half_case *c) {
  static uint16_t a[POINTS], b[POINTS], want[POINTS], got[POINTS];
  char text[512];
  neo_buf printed = {0};
  fill(a, b);
  snprintf(text, sizeof text,
           "nest 1\nb0 param f16 %d\nb1 param f16 %d\nb2 param out f16 %d\nlaunch i0 %d\n"
           "  b2[i0] = %s\n",
           POINTS, POINTS, POINTS, POINTS, c->body);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK)
    fail_msg("%s\n%s", ctx.message, text);
  const neo_nest *narrow = neo_nest_narrow_halves(&arena, nest);
  neo_nest_print(&printed, narrow);
  if ((strstr(printed.data, "f32") == NULL) != c->narrows)
    fail_msg("%s became\n%s", c->body, printed.data);
  neo_buf_fini(&printed);
  if (neo_nest_check(&ctx, narrow) != NEO_OK ||
      neo_nest_interpret(&ctx, nest, (void *[]){a, b, want}) != NEO_OK ||
      neo_nest_interpret(&ctx, narrow, (void *[]){a, b, got}) != NEO_OK)
    fail_msg("%s", ctx.message);
  for (int i = 0; i < POINTS; i++)
    if (got[i] != want[i] && !(is_nan(got[i]) && is_nan(want[i])))
      fail_msg("%s of %04x and %04x: %04x, %04x expected", c->body, a[i], b[i], got[i], want[i]);
}

static void bits_are_the_same(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(cases); k++)
    check_case(&cases[k]);
}

/* A nest without f16 is handed back, not copied. */
static void others_are_left_alone(void **state) {
  (void)state;
  const char *text = "nest 1\nb0 param f32 4\nb1 param out f32 4\nlaunch i0 4\n"
                     "  b1[i0] = max(b0[i0], f32:0)\n";
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  assert_ptr_equal(neo_nest_narrow_halves(&arena, nest), nest);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(bits_are_the_same, setup, teardown),
      cmocka_unit_test_setup_teardown(others_are_left_alone, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
