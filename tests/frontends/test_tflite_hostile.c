/* tests/frontends/test_tflite_hostile.c: damaged and hostile TFLite files: each is a status with a
 * message that names the thing. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "frontends/flatbuffer.h"
#include "tests/frontends/hostile_file.h"

#define DATA "tests/data/tflite/"
#define SMALL "mnist_seq_int8/model.tflite"

static uint32_t u32(const neo_buf *file, size_t at) {
  uint32_t v;
  memcpy(&v, file->data + at, sizeof v);
  return v;
}

static void set(neo_buf *file, size_t at, uint32_t v) {
  memcpy(file->data + at, &v, sizeof v);
}

static size_t vtable_of(const neo_buf *file, size_t at) {
  return (size_t)((int64_t)at - (int32_t)u32(file, at));
}

/* Place of field `field` of the table at `at`. */
static size_t field(const neo_buf *file, size_t at, int field_number) {
  size_t vtable = vtable_of(file, at);
  uint16_t offset;
  memcpy(&offset, file->data + vtable + 4 + 2 * (size_t)field_number, sizeof offset);
  assert_true(offset != 0);
  return at + offset;
}

static size_t follow(const neo_buf *file, size_t at) {
  return at + u32(file, at);
}

static void the_root_leads_outside(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, SMALL, &file);
  set(&file, 0, 0x7fffffff);
  hostile_expect(file.data, file.size, NEO_BAD_INPUT, "leads outside");
  neo_buf_fini(&file);
}

static void a_vector_that_is_too_long(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, SMALL, &file);
  size_t subgraphs = follow(&file, field(&file, follow(&file, 0), 2));
  set(&file, subgraphs, 0x7fffffff);
  hostile_expect(file.data, file.size, NEO_BAD_INPUT, "beyond the end");
  neo_buf_fini(&file);
}

static size_t subgraph(const neo_buf *file) {
  return follow(file, follow(file, field(file, follow(file, 0), 2)) + 4);
}

static void an_operator_reads_a_tensor_that_is_not_there(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, SMALL, &file);
  size_t op = follow(&file, follow(&file, field(&file, subgraph(&file), 3)) + 4);
  set(&file, follow(&file, field(&file, op, 1)) + 4, 100000);
  hostile_expect(file.data, file.size, NEO_BAD_INPUT, "tensor 100000 of");
  neo_buf_fini(&file);
}

static void an_operator_reads_its_own_output(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, SMALL, &file);
  size_t op = follow(&file, follow(&file, field(&file, subgraph(&file), 3)) + 4);
  uint32_t own = u32(&file, follow(&file, field(&file, op, 2)) + 4);
  set(&file, follow(&file, field(&file, op, 1)) + 4, own);
  hostile_expect(file.data, file.size, NEO_BAD_INPUT, "before anything writes it");
  neo_buf_fini(&file);
}

static void an_operator_we_lack_is_named(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, SMALL, &file);
  size_t codes = follow(&file, field(&file, follow(&file, 0), 1)), first = follow(&file, codes + 4);
  file.data[field(&file, first, 0)] = 30; /* SKIP_GRAM */
  size_t vtable = vtable_of(&file, first);
  uint16_t size;
  memcpy(&size, file.data + vtable, sizeof size);
  if (size >= 12 && file.data[vtable + 10])
    set(&file, field(&file, first, 3), 30);
  hostile_expect(file.data, file.size, NEO_UNSUPPORTED, "code 30");
  neo_buf_fini(&file);
}

static void another_schema(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, SMALL, &file);
  set(&file, field(&file, follow(&file, 0), 0), 4);
  hostile_expect(file.data, file.size, NEO_UNSUPPORTED, "schema version 4");
  neo_buf_fini(&file);
}

/* A while whose body is the main graph again: it calls itself. */
static void a_loop_that_calls_itself(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load(DATA, "lstm_text/model.tflite", &file);
  size_t operators = follow(&file, field(&file, subgraph(&file), 3));
  for (uint32_t i = 0; i < u32(&file, operators); i++) {
    size_t op = follow(&file, operators + 4 + 4 * (size_t)i);
    size_t vtable = vtable_of(&file, op);
    uint16_t size, offset = 0;
    memcpy(&size, file.data + vtable, sizeof size);
    if (size >= 14)
      memcpy(&offset, file.data + vtable + 10, sizeof offset);
    if (offset == 0 || file.data[op + offset] != 93) /* WhileOptions */
      continue;
    set(&file, field(&file, follow(&file, field(&file, op, 4)), 1), 0);
  }
  neo_status status = hostile_import(file.data, file.size);
  assert_int_equal(status, NEO_BAD_INPUT);
  neo_buf_fini(&file);
}

/* One scale, many zero points, along a dimension that does not exist: weights that are centred
 * would be told a rank of 104. */
static void zero_points_without_scales(void **state) {
  (void)state;
  neo_buf file = {0};
  int changed = 0;
  hostile_load(DATA, SMALL, &file);
  size_t subgraphs = follow(&file, field(&file, follow(&file, 0), 2));
  size_t tensors = follow(&file, field(&file, follow(&file, subgraphs + 4), 0));
  for (uint32_t i = 0; i < u32(&file, tensors); i++) {
    size_t tensor = follow(&file, tensors + 4 + 4 * (size_t)i);
    size_t quant = follow(&file, field(&file, tensor, 4)), vtable = vtable_of(&file, quant);
    uint16_t size, axis = 0;
    memcpy(&size, file.data + vtable, sizeof size);
    if (size >= 4 + 2 * 7)
      memcpy(&axis, file.data + vtable + 4 + 2 * 6, sizeof axis);
    if (!axis || u32(&file, follow(&file, field(&file, quant, 2))) < 2)
      continue;
    set(&file, follow(&file, field(&file, quant, 2)), 1);
    set(&file, follow(&file, field(&file, quant, 3)) + 4, 5);
    set(&file, quant + axis, (uint32_t)-100);
    changed++;
  }
  assert_true(changed > 0);
  hostile_expect(file.data, file.size, NEO_BAD_INPUT, "12 zero points for 1 scales");
  neo_buf_fini(&file);
}

static void every_offset_is_checked(void **state) {
  (void)state;
  static const uint8_t bytes[] = {16, 0, 0, 0, 'T', 'E', 'S', 'T', 6, 0, 8, 0,
                                  4,  0, 0, 0, 8,   0,   0,   0,   7, 0, 0, 0};
  neo_fb fb;
  neo_fb_table root = neo_fb_root(&fb, &hostile_ctx, "x", bytes, sizeof bytes);
  assert_int_equal(neo_fb_int(&root, 0, NEO_FB_I32, 1), 7);
  assert_int_equal(neo_fb_int(&root, 1, NEO_FB_I32, 1), 1);
  assert_int_equal(fb.status, NEO_OK);
  neo_fb_child(&root, 0);
  assert_int_equal(fb.status, NEO_BAD_INPUT);
  neo_ctx_clear(&hostile_ctx);
  root = neo_fb_root(&fb, &hostile_ctx, "x", bytes, sizeof bytes - 1);
  assert_int_equal(fb.status, NEO_BAD_INPUT);
  neo_ctx_clear(&hostile_ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_root_leads_outside),
      cmocka_unit_test(a_vector_that_is_too_long),
      cmocka_unit_test(an_operator_reads_a_tensor_that_is_not_there),
      cmocka_unit_test(an_operator_reads_its_own_output),
      cmocka_unit_test(an_operator_we_lack_is_named),
      cmocka_unit_test(another_schema),
      cmocka_unit_test(a_loop_that_calls_itself),
      cmocka_unit_test(zero_points_without_scales),
      cmocka_unit_test(every_offset_is_checked),
  };
  return cmocka_run_group_tests(tests, hostile_start, hostile_stop);
}
