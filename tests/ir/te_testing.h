/* tests/ir/te_testing.h: what the tests of te and of operators share. Include after cmocka.h. */
#ifndef NEO_TESTS_IR_TE_TESTING_H
#define NEO_TESTS_IR_TE_TESTING_H

#include "ir/te.h"

#include <math.h>
#include <string.h>

static inline void testing_fill(neo_tensor *t, neo_rng *rng) {
  int64_t n;
  neo_shape_elements(&t->shape, &n);
  for (int64_t k = 0; k < n; k++) {
    if (neo_dtype_class(t->dtype) == 'f')
      neo_tensor_set_f64(t, k, neo_rng_normal(rng));
    else
      neo_tensor_set_i64(t, k, (int64_t)neo_rng_below(rng, 10));
  }
}

/* Tensors for every boundary buffer (TMPs stay NULL); inputs random. */
typedef struct testing_run {
  neo_ctx *ctx;
  neo_tensor tensor[NEO_TE_MAX_BUFFERS];
  neo_tensor *buffers[NEO_TE_MAX_BUFFERS];
  int n;
} testing_run;

static inline void testing_begin(testing_run *r, neo_ctx *ctx, const neo_te *te, uint64_t seed) {
  neo_rng rng;
  neo_rng_init(&rng, seed);
  *r = (testing_run){.ctx = ctx, .n = te->n_buffers};
  for (int k = 0; k < te->n_buffers; k++) {
    if (te->buffer[k].role == NEO_TE_TMP)
      continue;
    assert_int_equal(
        neo_tensor_create(ctx, te->buffer[k].dtype, &te->buffer[k].shape, &r->tensor[k]), NEO_OK);
    r->buffers[k] = &r->tensor[k];
    if (te->buffer[k].role != NEO_TE_OUT)
      testing_fill(&r->tensor[k], &rng);
  }
}

static inline void testing_end(testing_run *r) {
  for (int k = 0; k < r->n; k++) {
    if (r->buffers[k])
      neo_tensor_free(r->ctx, &r->tensor[k]);
  }
}

static inline void testing_interpret(testing_run *r, const neo_te *te) {
  neo_ctx_clear(r->ctx);
  if (neo_te_interpret(r->ctx, te, r->buffers) != NEO_OK)
    fail_msg("%s", r->ctx->message);
}

static inline void assert_tensors_close(const neo_tensor *a, const neo_tensor *b,
                                        double tolerance) {
  int64_t n;
  assert_true(neo_shape_equal(&a->shape, &b->shape));
  neo_shape_elements(&a->shape, &n);
  for (int64_t k = 0; k < n; k++) {
    double x = neo_tensor_get_f64(a, k), y = neo_tensor_get_f64(b, k);
    if (x == y || (isnan(x) && isnan(y)))
      continue;
    if (!(fabs(x - y) <= tolerance * (1 + fabs(y))))
      fail_msg("element %d is %.9g, %.9g expected", (int)k, x, y);
  }
}

/* A whole text file, freed by the caller. */
static inline char *testing_read(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file)
    fail_msg("%s: cannot open", path);
  neo_buf buf = {0};
  char chunk[4096];
  for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;)
    neo_buf_append(&buf, chunk, n);
  neo_buf_append(&buf, "", 0);
  fclose(file);
  return buf.data;
}

#endif
