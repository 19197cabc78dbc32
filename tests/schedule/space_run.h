/* tests/schedule/space_run.h: a te with its space and reference results, and one candidate with its
 * nest and memory, for tests that execute candidates. */
#ifndef NEO_TESTS_SPACE_RUN_H
#define NEO_TESTS_SPACE_RUN_H

#include "schedule/sketch.h"
#include "tests/schedule/space_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
  neo_ctx ctx;
  neo_arena arena;
  neo_te te;
  neo_target target;
  neo_space *space;
  const char *name;
  neo_tensor tensor[NEO_TE_MAX_BUFFERS]; /* IN, CONST: data; OUT: the reference result */
} fixture;

/* ---- set up ------------------------------------------------------------------------------------------- */

static void fill_tensor(neo_tensor *t, neo_rng *rng, int64_t limit) {
  int64_t n = (int64_t)(t->size / neo_dtype_size(t->dtype));
  for (int64_t i = 0; i < n; i++) {
    if (neo_dtype_class(t->dtype) == 'f')
      neo_tensor_set_f64(t, i, neo_rng_unit(rng) * 2 - 1);
    else if (neo_dtype_size(t->dtype) == 1 && t->dtype != NEO_BOOL)
      neo_tensor_set_i64(t, i, (int64_t)neo_rng_below(rng, 256) - (t->dtype == NEO_I8 ? 128 : 0));
    else
      neo_tensor_set_i64(t, i, (int64_t)neo_rng_below(rng, (uint64_t)limit));
  }
}

static void reference(fixture *f) {
  neo_rng rng;
  neo_rng_init(&rng, 3);
  neo_tensor *all[NEO_TE_MAX_BUFFERS];
  for (int b = 0; b < f->te.n_buffers; b++) {
    all[b] = &f->tensor[b];
    if (f->te.buffer[b].role == NEO_TE_TMP)
      continue;
    assert_int_equal(
        neo_tensor_create(&f->ctx, f->te.buffer[b].dtype, &f->te.buffer[b].shape, &f->tensor[b]),
        NEO_OK);
    fill_tensor(&f->tensor[b], &rng, 7);
  }
  if (neo_te_interpret(&f->ctx, &f->te, all) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
}

static void set_up(fixture *f, const space_case *c, const char *target,
                   const neo_space_options *options) {
  memset(f, 0, sizeof(*f));
  neo_ctx_init(&f->ctx, 1);
  neo_arena_init(&f->arena);
  f->name = c->name;
  if (neo_te_parse(&f->ctx, &f->arena, c->te, &f->te) != NEO_OK)
    fail_msg("%s: %s", c->name, f->ctx.message);
  assert_int_equal(neo_target_find(&f->ctx, target, &f->target), NEO_OK);
  if (neo_space_build(&f->ctx, &f->te, &f->target, options, &f->space) != NEO_OK)
    fail_msg("%s: %s", c->name, f->ctx.message);
  assert_true(neo_space_sketches(f->space) >= 1);
  assert_true(neo_space_size(f->space) >= 1);
  reference(f);
}

static void tear_down(fixture *f) {
  for (int b = 0; b < f->te.n_buffers; b++)
    if (f->te.buffer[b].role != NEO_TE_TMP)
      neo_tensor_free(&f->ctx, &f->tensor[b]);
  neo_space_destroy(f->space);
  neo_arena_fini(&f->arena);
}

/* ---- execution ---------------------------------------------------------------------------------------------- */

static void constant_value(fixture *f, const neo_pack *pack, neo_tensor *out) {
  const neo_tensor *source = &f->tensor[pack->source];
  if (!pack->has_te) {
    assert_int_equal(neo_tensor_create(&f->ctx, source->dtype, &source->shape, out), NEO_OK);
    memcpy(out->data, source->data, source->size);
    return;
  }
  neo_tensor *all[NEO_TE_MAX_BUFFERS] = {NULL}, none[NEO_TE_MAX_BUFFERS] = {{0}};
  for (int b = 0; b < pack->te.n_buffers; b++) {
    all[b] = &none[b];
    if (pack->te.buffer[b].role == NEO_TE_IN)
      none[b] = *source;
    if (pack->te.buffer[b].role == NEO_TE_OUT) {
      assert_int_equal(
          neo_tensor_create(&f->ctx, pack->te.buffer[b].dtype, &pack->te.buffer[b].shape, out),
          NEO_OK);
      all[b] = out;
    }
  }
  assert_int_equal(neo_te_interpret(&f->ctx, &pack->te, all), NEO_OK);
}

static neo_layout layout_of(const neo_schedule *line, int buffer) {
  const neo_layout *layout = neo_schedule_layout(line, buffer);
  return layout ? *layout : (neo_layout){0};
}

enum { UNTOUCHED = 0x5a };

/* What lies between the rows of a window is not the kernel's. */
static void check_gaps(fixture *f, const neo_layout *layout, const neo_shape *shape, size_t size,
                       const void *memory) {
  bool window = false;
  for (int i = 0; i < layout->n; i++)
    window = window || (layout->dim[i].part == ' ' && layout->dim[i].factor > 0);
  if (!window)
    return;
  neo_tensor ones;
  assert_int_equal(neo_tensor_create(&f->ctx, NEO_U8, shape, &ones), NEO_OK);
  memset(ones.data, 1, ones.size);
  size_t n = (size_t)neo_layout_elements(layout, shape);
  uint8_t *owned = malloc(n);
  neo_layout_pack(layout, &ones, owned);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < size && !owned[i]; k++)
      if (((const uint8_t *)memory)[i * size + k] != UNTOUCHED)
        fail_msg("%s: wrote element %zu, which is not its own", f->name, i);
  free(owned);
  neo_tensor_free(&f->ctx, &ones);
}

/* Memory of parameter p, which is the rewritten te's buffer b. */
static void *make_param(fixture *f, const neo_schedule *line, const neo_nest *nest,
                        const neo_packing *packing, int p, int b) {
  const neo_nest_buffer *buffer = &nest->buffer[p];
  void *memory =
      neo_aligned_alloc(&f->ctx, (size_t)buffer->elements * neo_dtype_size(buffer->dtype));
  assert_non_null(memory);
  neo_layout layout = layout_of(line, b);
  memset(memory, UNTOUCHED, (size_t)buffer->elements * neo_dtype_size(buffer->dtype));
  if (f->te.n_buffers > b && f->te.buffer[b].role == NEO_TE_IN)
    neo_layout_pack(&layout, &f->tensor[b], memory);
  for (int i = 0; i < packing->n; i++) {
    if (packing->pack[i].buffer != b)
      continue;
    neo_tensor value;
    constant_value(f, &packing->pack[i], &value);
    neo_layout_pack(&packing->pack[i].layout, &value, memory);
    neo_tensor_free(&f->ctx, &value);
  }
  return memory;
}

static void compare(fixture *f, const neo_schedule *line, int b, const void *memory,
                    double tolerance) {
  neo_tensor got;
  neo_layout layout = layout_of(line, b);
  const neo_tensor *want = &f->tensor[b];
  assert_int_equal(neo_tensor_create(&f->ctx, want->dtype, &want->shape, &got), NEO_OK);
  neo_layout_unpack(&layout, memory, &got);
  check_gaps(f, &layout, &want->shape, neo_dtype_size(want->dtype), memory);
  int64_t n = (int64_t)(want->size / neo_dtype_size(want->dtype));
  double most = 0, largest = 1e-6;
  for (int64_t i = 0; i < n; i++) {
    double w = neo_tensor_get_f64(want, i), g = neo_tensor_get_f64(&got, i);
    largest = fmax(largest, fabs(w));
    if (!(w == g))
      most = fmax(most, isnan(g) ? INFINITY : fabs(w - g));
  }
  if (neo_dtype_class(want->dtype) != 'f')
    tolerance = 0;
  else if (neo_dtype_size(want->dtype) == 2)
    tolerance = 1e-2;
  if (most > tolerance * largest) {
    neo_buf text = {0};
    neo_schedule_print(&text, line);
    fail_msg("%s: b%d differs by %g of %g: %s", f->name, b, most, largest, text.data);
  }
  neo_tensor_free(&f->ctx, &got);
}

/* A candidate lowered, with memory for its parameters. */
typedef struct space_run {
  neo_arena arena;
  neo_schedule line;
  neo_te *rewritten;
  neo_nest *nest;
  int n, of_param[NEO_NEST_MAX_BUFFERS];
  void *param[NEO_NEST_MAX_BUFFERS];
  double tolerance;
} space_run;

static void space_run_init(fixture *f, const neo_candidate *c, space_run *r) {
  neo_packing packing;
  memset(r, 0, sizeof(*r));
  neo_arena_init(&r->arena);
  r->rewritten = neo_arena_alloc(&r->arena, sizeof(*r->rewritten));
  r->nest = neo_arena_alloc(&r->arena, sizeof(*r->nest));
  neo_space_schedule(f->space, c, &r->line);
  if (neo_schedule_lower(&f->ctx, &f->te, &r->line, &f->target, &r->arena, r->nest) != NEO_OK ||
      neo_schedule_rewrite(&f->ctx, &f->te, &r->line, &r->arena, r->rewritten) != NEO_OK ||
      neo_schedule_packing(&f->ctx, &f->te, &r->line, &r->arena, &packing) != NEO_OK) {
    neo_buf text = {0};
    neo_schedule_print(&text, &r->line);
    fail_msg("%s: %s: %s", f->name, f->ctx.message, text.data);
  }
  for (int b = 0; b < r->rewritten->n_buffers; b++)
    if (r->rewritten->buffer[b].role != NEO_TE_TMP) {
      r->of_param[r->n] = b;
      r->param[r->n] = make_param(f, &r->line, r->nest, &packing, r->n, b);
      r->n++;
    }
  assert_int_equal(r->n, r->nest->n_params);
  r->tolerance = f->space->sketch[c->sketch]->variant > 0 ? 2e-4 : 2e-5;
}

/* Compares the outputs and releases everything. */
static void space_run_finish(fixture *f, space_run *r) {
  for (int p = 0; p < r->n; p++) {
    if (r->rewritten->buffer[r->of_param[p]].role == NEO_TE_OUT)
      compare(f, &r->line, r->of_param[p], r->param[p], r->tolerance);
    neo_aligned_free(&f->ctx, r->param[p]);
  }
  neo_arena_fini(&r->arena);
}

#endif
