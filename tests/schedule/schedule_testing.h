/* tests/schedule/schedule_testing.h: lower a schedule of a te, run the nest in the interpreter,
 * compare with the te's interpreter. Include after cmocka.h. */
#ifndef NEO_TESTS_SCHEDULE_SCHEDULE_TESTING_H
#define NEO_TESTS_SCHEDULE_SCHEDULE_TESTING_H

#include "schedule/schedule.h"
#include "tests/ir/te_testing.h"

#include <stdlib.h>

typedef struct schedule_testing {
  neo_ctx ctx;
  neo_arena arena;
  neo_te *te;
  testing_run run;  /* inputs and expected outputs */
  const char *line; /* being checked, for messages */
} schedule_testing;

static inline void schedule_testing_begin(schedule_testing *t, const char *te_text, uint64_t seed) {
  neo_ctx_init(&t->ctx, 1);
  neo_arena_init(&t->arena);
  t->te = neo_arena_alloc(&t->arena, sizeof(*t->te));
  if (neo_te_parse(&t->ctx, &t->arena, te_text, t->te) != NEO_OK)
    fail_msg("%s\n%s", t->ctx.message, te_text);
  testing_begin(&t->run, &t->ctx, t->te, seed);
  testing_interpret(&t->run, t->te);
}

static inline void schedule_testing_end(schedule_testing *t) {
  testing_end(&t->run);
  neo_arena_fini(&t->arena);
}

static inline void schedule_testing_show(const neo_nest *nest) {
  neo_buf buf = {0};
  neo_nest_print(&buf, nest);
  fputs(buf.data, stderr);
  neo_buf_fini(&buf);
}

/* The values of a constant as the kernel wants them, row-major (made by the pack te where there is
 * one). */
static inline void schedule_testing_constant(schedule_testing *t, const neo_pack *pack,
                                             neo_tensor *out) {
  const neo_tensor *source = &t->run.tensor[pack->source];
  if (!pack->has_te) {
    assert_int_equal(neo_tensor_create(&t->ctx, source->dtype, &source->shape, out), NEO_OK);
    memcpy(out->data, source->data, source->size);
    return;
  }
  neo_tensor *buffers[NEO_TE_MAX_BUFFERS] = {NULL};
  neo_tensor input = *source;
  for (int b = 0; b < pack->te.n_buffers; b++)
    if (pack->te.buffer[b].role == NEO_TE_OUT) {
      assert_int_equal(
          neo_tensor_create(&t->ctx, pack->te.buffer[b].dtype, &pack->te.buffer[b].shape, out),
          NEO_OK);
      buffers[b] = out;
    } else if (pack->te.buffer[b].role != NEO_TE_TMP) {
      buffers[b] = &input;
    }
  if (neo_te_interpret(&t->ctx, &pack->te, buffers) != NEO_OK)
    fail_msg("%s", t->ctx.message);
}

/* Memory of one kernel buffer: packed input or constant, or an output full of NaN. */
static inline void *schedule_testing_memory(schedule_testing *t, const neo_te *te, int b,
                                            const neo_schedule *schedule,
                                            const neo_packing *packing) {
  neo_layout plain = {0};
  const neo_layout *layout = neo_schedule_layout(schedule, b);
  layout = layout ? layout : &plain;
  int64_t elements = neo_layout_elements(layout, &te->buffer[b].shape);
  size_t size = (size_t)elements * neo_dtype_size(te->buffer[b].dtype);
  void *memory = malloc(size);
  memset(memory, 0xff, size);
  if (te->buffer[b].role == NEO_TE_IN)
    neo_layout_pack(layout, &t->run.tensor[b], memory);
  for (int k = 0; k < packing->n && te->buffer[b].role == NEO_TE_CONST; k++) {
    if (packing->pack[k].buffer != b)
      continue;
    neo_tensor values;
    schedule_testing_constant(t, &packing->pack[k], &values);
    neo_layout_pack(layout, &values, memory);
    neo_tensor_free(&t->ctx, &values);
  }
  return memory;
}

static inline void schedule_testing_compare(schedule_testing *t, int b, const neo_layout *layout,
                                            const void *memory, double tolerance,
                                            const neo_nest *nest) {
  const neo_tensor *expected = &t->run.tensor[b];
  neo_layout plain = {0};
  neo_tensor got;
  int64_t n;
  assert_int_equal(neo_tensor_create(&t->ctx, expected->dtype, &expected->shape, &got), NEO_OK);
  neo_layout_unpack(layout ? layout : &plain, memory, &got);
  neo_shape_elements(&expected->shape, &n);
  for (int64_t i = 0; i < n; i++) {
    double x = neo_tensor_get_f64(&got, i), y = neo_tensor_get_f64(expected, i);
    if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * (1 + fabs(y)))
      continue;
    schedule_testing_show(nest);
    fail_msg("%s\nb%d: element %d is %.9g, %.9g expected", t->line, b, (int)i, x, y);
  }
  neo_tensor_free(&t->ctx, &got);
}

/* Runs one schedule line; fails the test unless the nest computes what the te does. */
static inline void schedule_testing_check(schedule_testing *t, const char *line, double tolerance) {
  neo_arena arena;
  t->line = line;
  neo_arena_init(&arena);
  neo_ctx_clear(&t->ctx);
  neo_schedule *schedule = neo_arena_alloc(&arena, sizeof(*schedule));
  neo_te *te = neo_arena_alloc(&arena, sizeof(*te));
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  neo_packing packing;
  void *params[NEO_TE_MAX_BUFFERS];
  int n = 0;
  if (neo_schedule_parse(&t->ctx, line, schedule) != NEO_OK ||
      neo_schedule_rewrite(&t->ctx, t->te, schedule, &arena, te) != NEO_OK ||
      neo_schedule_packing(&t->ctx, t->te, schedule, &arena, &packing) != NEO_OK ||
      neo_schedule_lower(&t->ctx, t->te, schedule, NULL, &arena, nest) != NEO_OK)
    fail_msg("%s\n%s", line, t->ctx.message);
  for (int b = 0; b < te->n_buffers; b++)
    if (te->buffer[b].role != NEO_TE_TMP)
      params[n++] = schedule_testing_memory(t, te, b, schedule, &packing);
  assert_int_equal(n, nest->n_params);
  if (neo_nest_interpret(&t->ctx, nest, params) != NEO_OK) {
    schedule_testing_show(nest);
    fail_msg("%s\n%s", line, t->ctx.message);
  }
  n = 0;
  for (int b = 0; b < te->n_buffers; b++) {
    if (te->buffer[b].role == NEO_TE_OUT)
      schedule_testing_compare(t, b, neo_schedule_layout(schedule, b), params[n], tolerance, nest);
    if (te->buffer[b].role != NEO_TE_TMP)
      free(params[n++]);
  }
  neo_arena_fini(&arena);
}

#endif
