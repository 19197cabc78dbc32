/* The plan's binary form: round trip, a golden prefix, every damaged byte, every refused field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ir/tensor.h"
#include "runtime/plan.h"
#include "tests/fail_alloc.h"
#include "tests/runtime/sample_plan.h"

enum { FUNCTIONS = 2, HEADER = 24 };

static void encode(const neo_plan *plan, neo_buf *out) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_plan_encode(&ctx, plan, out), NEO_OK);
}

static void round_trip(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf first = {0}, second = {0};
  encode(sample_plan(), &first);
  neo_plan *plan;
  assert_int_equal(neo_plan_decode(&ctx, (const uint8_t *)first.data, first.size, FUNCTIONS, &plan),
                   NEO_OK);
  assert_int_equal(plan->n_values, 9);
  assert_int_equal(plan->step[3].first, 2);
  assert_int_equal(plan->step[4].first, 1);
  assert_string_equal(plan->value[0].name, "x");
  assert_string_equal(plan->output_name[0], "y:0");
  assert_string_equal(plan->step[2].attributes, "axis=1 last=0");
  assert_int_equal(plan->step[0].launch[1].grid, 6);
  assert_int_equal(plan->step[0].work_offset, 64);
  encode(plan, &second);
  assert_int_equal(first.size, second.size);
  assert_memory_equal(first.data, second.data, first.size);
  neo_plan_free(&ctx, plan);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
}

/* The first bytes as docs/formats/plan.md gives them. */
static void golden_bytes(void **state) {
  (void)state;
  neo_buf b = {0};
  encode(sample_plan(), &b);
  static const uint8_t start[] = {'N', 'E', 'O', 'P', 'L', 'A', 'N', '1', 3, 0, 0, 0};
  static const uint8_t body[] = {2, 0, 0, 0, 0, 0, 0, 0,   0, 1,   0,   0,   0,   0,   0,  0, 64,
                                 0, 0, 0, 0, 0, 0, 0, 128, 0, 0,   0,   0,   0,   0,   0,  6, 0,
                                 0, 0, 0, 0, 0, 0, 9, 0,   0, 0,   2,   0,   0,   0,   2,  0, 0,
                                 0, 6, 0, 0, 0, 6, 0, 0,   0, 'x', '8', '6', '_', '6', '4'};
  assert_memory_equal(b.data, start, sizeof(start));
  assert_memory_equal(b.data + HEADER, body, sizeof(body));
  neo_buf_fini(&b);
}

static void fix_crc(uint8_t *data, size_t size) {
  uint32_t crc = neo_crc32(0, data + HEADER, size - HEADER);
  for (int i = 0; i < 4; i++)
    data[12 + i] = (uint8_t)(crc >> (8 * i));
}

static neo_status decode_copy(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_plan *plan = NULL;
  uint8_t *exact = malloc(size ? size : 1); /* exact size: a read beyond is seen by the sanitizer */
  memcpy(exact, data, size);
  neo_status status = neo_plan_decode(&ctx, exact, size, FUNCTIONS, &plan);
  free(exact);
  assert_true((status == NEO_OK) == (plan != NULL));
  assert_true(status == NEO_OK || ctx.message[0]);
  neo_plan_free(&ctx, plan);
  return status;
}

static void flip_every_byte(const neo_plan *plan) {
  neo_buf b = {0};
  encode(plan, &b);
  uint8_t *data = (uint8_t *)b.data;
  static const uint8_t masks[] = {0x01, 0x80, 0xff};
  int refused = 0;
  for (size_t i = 0; i < b.size; i++)
    for (int m = 0; m < NEO_COUNT(masks); m++) {
      data[i] ^= masks[m];
      assert_int_not_equal(decode_copy(data, b.size), NEO_OK); /* the checksum */
      uint8_t crc[4];
      memcpy(crc, data + 12, 4);
      fix_crc(data, b.size);
      refused += decode_copy(data, b.size) != NEO_OK; /* the checks behind it */
      memcpy(data + 12, crc, 4);
      data[i] ^= masks[m];
    }
  assert_true(refused > (int)b.size);
  assert_int_equal(decode_copy(data, b.size), NEO_OK);
  neo_buf_fini(&b);
}

static void every_byte_flipped(void **state) {
  (void)state;
  flip_every_byte(sample_plan());
  flip_every_byte(sample_shapes_plan());
}

static void truncate_everywhere(const neo_plan *plan) {
  neo_buf b = {0};
  encode(plan, &b);
  for (size_t size = 0; size < b.size; size++)
    assert_int_not_equal(decode_copy((const uint8_t *)b.data, size), NEO_OK);
  neo_buf_fini(&b);
}

static void every_truncation(void **state) {
  (void)state;
  truncate_everywhere(sample_plan());
  truncate_everywhere(sample_shapes_plan());
}

static void shapes_round_trip(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf first = {0}, second = {0};
  encode(sample_shapes_plan(), &first);
  assert_int_equal(first.data[8], NEO_PLAN_VERSION);
  neo_plan *plan;
  assert_int_equal(neo_plan_decode(&ctx, (const uint8_t *)first.data, first.size, FUNCTIONS, &plan),
                   NEO_OK);
  assert_int_equal(plan->rows, 2);
  assert_int_equal(plan->rows_least, 1);
  assert_int_equal(plan->output_rows[0], 1);
  assert_int_equal(plan->n_more, 1);
  assert_int_equal(plan->more[0].rows, 0);
  assert_int_equal(plan->more[0].threads, 2);
  assert_string_equal(plan->more[0].arch, "x86_64");
  assert_string_equal(plan->more[0].step[2].name, "best");
  encode(plan, &second);
  assert_int_equal(first.size, second.size);
  assert_memory_equal(first.data, second.data, first.size);
  neo_plan_free(&ctx, plan);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
}

typedef struct copy {
  neo_plan plan;
  neo_plan_value value[9];
  neo_plan_step step[6];
  uint32_t input[2], output[2], bounded[2], count[2];
  neo_plan_launch launch[2];
  uint32_t arg[3];
  uint32_t input_rows[2], output_rows[2];
  neo_plan more[1];
} copy;

static void copy_plan(copy *c, const neo_plan *p) {
  c->plan = *p;
  memcpy(c->value, p->value, sizeof(c->value));
  memcpy(c->step, p->step, sizeof(c->step));
  memcpy(c->input, p->input, sizeof(c->input));
  memcpy(c->output, p->output, sizeof(c->output));
  memcpy(c->launch, p->step[0].launch, sizeof(c->launch));
  memcpy(c->arg, p->step[0].arg, sizeof(c->arg));
  c->plan.value = c->value;
  c->plan.step = c->step;
  c->plan.input = c->input;
  c->plan.output = c->output;
  memcpy(c->bounded, p->output_bounded, sizeof(c->bounded));
  memcpy(c->count, p->output_count, sizeof(c->count));
  c->plan.output_bounded = c->bounded;
  c->plan.output_count = c->count;
  c->step[0].launch = c->launch;
  c->step[0].arg = c->arg;
  if (!p->n_more)
    return;
  memcpy(c->input_rows, p->input_rows, sizeof(c->input_rows));
  memcpy(c->output_rows, p->output_rows, sizeof(c->output_rows));
  c->more[0] = p->more[0];
  c->plan.input_rows = c->input_rows;
  c->plan.output_rows = c->output_rows;
  c->plan.more = c->more;
}

static void expect_refused(const copy *c, const char *word) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf b = {0};
  encode(&c->plan, &b);
  neo_plan *plan;
  assert_int_not_equal(neo_plan_decode(&ctx, (const uint8_t *)b.data, b.size, FUNCTIONS, &plan),
                       NEO_OK);
  if (!strstr(ctx.message, word))
    fail_msg("'%s' does not say '%s'", ctx.message, word);
  neo_buf_fini(&b);
}

#define REFUSED(change, word) REFUSED_OF(sample_plan(), change, word)
#define REFUSED_OF(what, change, word)                                                             \
  do {                                                                                             \
    copy c;                                                                                        \
    copy_plan(&c, what);                                                                           \
    change;                                                                                        \
    expect_refused(&c, word);                                                                      \
  } while (0)

static void refuses_what_is_out_of_range(void **state) {
  (void)state;
  REFUSED(c.plan.threads = 0, "threads");
  REFUSED(c.plan.arena_bytes = -1, "arena");
  REFUSED(c.plan.params_bytes = 70, "place");
  REFUSED(c.plan.arena_bytes = 100, "place");
  REFUSED(c.value[0].dtype = NEO_RT_DTYPE_COUNT, "dtype");
  REFUSED(c.value[0].dim[0] = 3, "bytes");
  REFUSED(c.value[0].dim[0] = INT64_MAX, "dim");
  REFUSED((c.value[3].dim[0] = (int64_t)1 << 40, c.value[3].dim[1] = (int64_t)1 << 40), "size");
  REFUSED(c.value[0].slot = 2, "slot");
  REFUSED(c.value[0].slot = -1, "slot");
  REFUSED(c.value[3].slot = INT64_MAX, "place");
  REFUSED(c.value[3].slot = 130, "alignment");
  REFUSED(c.value[3].bytes = INT64_MAX, "bytes");
  REFUSED(c.value[2].storage = (neo_storage)4, "storage");
  REFUSED(c.input[0] = 1, "input");
  REFUSED(c.input[0] = 7, "input");
  REFUSED(c.output[1] = 4, "bounded");
  REFUSED((c.value[3].storage = NEO_STORE_OUTPUT, c.value[3].slot = 1), "bytes");
  REFUSED(c.output[1] = 99, "output");
  REFUSED(c.arg[1] = 9, "argument");
  REFUSED(c.bounded[1] = 3, "bounded");
  REFUSED(c.count[1] = 3, "bounded");
  REFUSED(c.count[1] = 9, "count");
  REFUSED(c.count[0] = 8, "bounded");
  REFUSED(c.launch[1].function = FUNCTIONS, "function");
  REFUSED(c.launch[1].grid = -1, "grid");
  REFUSED(c.step[0].n_launches = 0, "launches");
  REFUSED(c.step[0].device = 2, "device");
  REFUSED(c.step[0].kind = (neo_plan_step_kind)6, "kind");
  REFUSED(c.step[0].kind = NEO_PLAN_LOOP, "launches");
  REFUSED(c.step[3].first = 3, "owned");
  REFUSED(c.step[3].first = UINT32_MAX, "owned");
  REFUSED(c.step[4].second = 1, "owned");
  REFUSED((c.step[4].first = 0, c.step[4].second = UINT32_MAX), "owned");
  REFUSED(c.step[3].n_args = 2, "loop");
  REFUSED(c.value[8].storage = NEO_STORE_PARAM, "loop");
  REFUSED(c.value[7].dtype = NEO_RT_F64, "loop");
  REFUSED((c.value[8].bytes = 0), "bounded");
  REFUSED(c.step[4].n_args = 0, "branch");
  REFUSED(c.value[2].bytes = 16, "copy");
  REFUSED(c.step[0].work_offset = 1, "workspace");
  REFUSED(c.step[0].work_bytes = 200, "workspace");
  REFUSED(c.step[0].scratch_bytes = 65, "scratch");
  REFUSED(c.step[1].n_args = 1, "copy");
  REFUSED(c.value[6].bytes = 28, "copy");
  REFUSED(c.step[2].runtime = "", "runtime");
}

#define SHAPES(change, word) REFUSED_OF(sample_shapes_plan(), change, word)

static void refuses_shapes_that_do_not_fit(void **state) {
  (void)state;
  static uint32_t y_only[] = {4}, of_y[] = {0};
  static neo_plan_value other[9];
  memcpy(other, sample_plan()->value, sizeof(other));
  other[0].name = "z";
  SHAPES(c.plan.rows = -1, "rows");
  SHAPES(c.plan.rows = 3, "rows of input");
  SHAPES(c.plan.rows_least = 0, "least rows");
  SHAPES(c.plan.rows_least = 3, "least rows");
  SHAPES(c.input_rows[0] = 3, "rows of input");
  SHAPES(c.input_rows[1] = 1, "rows of input");
  SHAPES(c.input_rows[0] = 0, "rows of entry");
  SHAPES(c.output_rows[0] = 2, "rows of output"); /* 3 is no multiple of 2 */
  SHAPES(c.output_rows[1] = 1, "rows of output"); /* bounded by a count already */
  SHAPES(c.output_rows[1] = 4, "rows of output");
  SHAPES((c.more[0].n_outputs = 1, c.more[0].output = y_only, c.more[0].output_bounded = of_y,
          c.more[0].output_count = of_y),
         "slot");
  SHAPES(c.more[0].value = other, "another shape's input");
  SHAPES(c.more[0].arena_bytes = 100, "place");
  neo_buf b = {0};
  encode(sample_shapes_plan(), &b);
  b.data[HEADER + 5] = 1; /* 257 further shapes */
  fix_crc((uint8_t *)b.data, b.size);
  assert_int_not_equal(decode_copy((const uint8_t *)b.data, b.size), NEO_OK);
  neo_buf_fini(&b);
}

static void survives_failed_allocations(void **state) {
  (void)state;
  neo_buf b = {0};
  encode(sample_plan(), &b);
  for (int n = 1;; n++) {
    neo_ctx ctx;
    neo_fail_alloc alloc;
    neo_ctx_init(&ctx, 1);
    neo_fail_alloc_init(&alloc, n);
    ctx.allocator = &alloc.allocator;
    neo_plan *plan = NULL;
    neo_status status = neo_plan_decode(&ctx, (const uint8_t *)b.data, b.size, FUNCTIONS, &plan);
    neo_plan_free(&ctx, plan);
    assert_int_equal(alloc.live, 0);
    if (status == NEO_OK)
      break;
    assert_int_equal(status, NEO_NO_MEMORY);
    assert_true(n < 10);
  }
  neo_buf_fini(&b);
}

/* The numbers of element types are the same in ir/ and in the file. */
static void dtype_numbers(void **state) {
  (void)state;
  assert_int_equal((int)NEO_RT_DTYPE_COUNT, (int)NEO_DTYPE_COUNT);
#define X(name, text, bytes, cls)                                                                  \
  assert_int_equal((int)NEO_RT_##name, (int)NEO_##name);                                           \
  assert_int_equal(neo_rt_dtype_size(NEO_RT_##name), bytes);                                       \
  assert_string_equal(neo_rt_dtype_name(NEO_RT_##name), text);
  NEO_DTYPES(X)
#undef X
  assert_int_equal(neo_rt_dtype_size(NEO_RT_DTYPE_COUNT), 0);
  assert_int_equal(neo_rt_dtype_size(-1), 0);
}

static void elements_as_doubles(void **state) {
  (void)state;
  const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555};
  assert_true(neo_rt_element(half, NEO_RT_F16, 0) == 1.0);
  assert_true(neo_rt_element(half, NEO_RT_F16, 1) == -2.0);
  assert_true(neo_rt_element(half, NEO_RT_F16, 2) == 0x1p-24);
  assert_true(neo_rt_element(half, NEO_RT_F16, 3) > 1e300);
  assert_true(neo_rt_element(half, NEO_RT_F16, 4) == 0x1.554p-2);
  const uint16_t brain[] = {0x3f80, 0xc049};
  assert_true(neo_rt_element(brain, NEO_RT_BF16, 0) == 1.0);
  assert_true(neo_rt_element(brain, NEO_RT_BF16, 1) == -3.140625);
  const int8_t small[] = {-128, 127};
  assert_true(neo_rt_element(small, NEO_RT_I8, 0) == -128.0);
  assert_true(neo_rt_element(small, NEO_RT_U8, 0) == 128.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),
      cmocka_unit_test(golden_bytes),
      cmocka_unit_test(every_byte_flipped),
      cmocka_unit_test(every_truncation),
      cmocka_unit_test(refuses_what_is_out_of_range),
      cmocka_unit_test(shapes_round_trip),
      cmocka_unit_test(refuses_shapes_that_do_not_fit),
      cmocka_unit_test(survives_failed_allocations),
      cmocka_unit_test(dtype_numbers),
      cmocka_unit_test(elements_as_doubles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
