/* tests/driver/graph_case.h: graphs written as text, compiled and run against the interpreter. */
#ifndef NEO_TESTS_GRAPH_CASE_H
#define NEO_TESTS_GRAPH_CASE_H

#include "tests/driver/model_case.h"

enum { MAX_IO = 4 };

static inline void graph_fill(neo_tensor *t, uint64_t seed) {
  neo_rng rng;
  int64_t n = 0;
  neo_rng_init(&rng, seed);
  neo_shape_elements(&t->shape, &n);
  for (int64_t i = 0; i < n; i++)
    if (t->dtype == NEO_F32)
      neo_tensor_set_f64(t, i, neo_rng_normal(&rng) * 0.25);
    else
      neo_tensor_set_i64(t, i,
                         t->dtype == NEO_BOOL ? (int64_t)(neo_rng_next(&rng) & 1)
                                              : (int64_t)neo_rng_below(&rng, 12));
}

/* One run on data of this seed; every output as the interpreter has it. */
static inline void graph_runs(neo_ctx *ctx, const neo_graph *graph, neo_rt_session *session,
                              const neo_rt_model *model, uint64_t seed) {
  neo_tensor in[MAX_IO], want[MAX_IO];
  neo_rt_error error = {0};
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *value = &graph->value[graph->input[i]];
    must(ctx, neo_tensor_create(ctx, value->dtype, &value->shape, &in[i]));
    graph_fill(&in[i], seed + (uint64_t)i);
    rt_must(neo_rt_set_input(session, value->name, in[i].data, in[i].size, &error), &error);
  }
  must(ctx, neo_graph_interpret(ctx, graph, in, want));
  rt_must(neo_rt_run(session, &error), &error);
  for (int o = 0; o < graph->n_outputs; o++) {
    const void *data;
    rt_must(neo_rt_output(session, o, &data, &error), &error);
    neo_rt_tensor_info info;
    rt_must(neo_rt_output_shape(session, o, &info), &error);
    assert_int_equal(info.bytes, want[o].size);
    assert_memory_equal(info.dim, want[o].shape.dim, sizeof(int64_t) * (size_t)info.rank);
    assert_true(info.bytes <= neo_rt_output_info(model, o)->bytes);
    for (size_t i = 0; i < want[o].size / sizeof(float); i++) {
      double got = (double)((const float *)data)[i], to = neo_tensor_get_f64(&want[o], (int64_t)i);
      if (!(fabs(got - to) <= 1e-4 + 1e-4 * fabs(to)))
        fail_msg("seed %d, output %d, element %zu: %g, %g expected", (int)seed, o, i, got, to);
    }
    neo_tensor_free(ctx, &want[o]);
  }
  for (int i = 0; i < graph->n_inputs; i++)
    neo_tensor_free(ctx, &in[i]);
}

#endif
