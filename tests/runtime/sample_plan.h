/* A small plan that uses every field: two inputs, a parameter, arena values, two outputs, steps of
 * each kind: a loop whose body is a branch that stores a row or does nothing. */
#ifndef NEO_TESTS_SAMPLE_PLAN_H
#define NEO_TESTS_SAMPLE_PLAN_H

#include "runtime/dtype.h"
#include "runtime/plan.h"

static inline const neo_plan *sample_plan(void) {
  static neo_plan_value value[] = {
      {"x", NEO_RT_F32, 2, {2, 3}, NEO_STORE_INPUT, 0, 24},
      {"flag", NEO_RT_BOOL, 0, {0}, NEO_STORE_INPUT, 1, 1},
      {"", NEO_RT_F32, 1, {3}, NEO_STORE_PARAM, 64, 12},
      {"", NEO_RT_F32, 2, {2, 3}, NEO_STORE_ARENA, 128, 64},
      {"y", NEO_RT_F32, 2, {2, 3}, NEO_STORE_OUTPUT, 0, 24},
      {"best", NEO_RT_I64, 2, {2, 1}, NEO_STORE_OUTPUT, 1, 16},
      {"", NEO_RT_F32, 2, {2, 3}, NEO_STORE_ARENA, 0, 24},
      {"", NEO_RT_I64, 0, {0}, NEO_STORE_PARAM, 0, 8},
      {"", NEO_RT_I64, 0, {0}, NEO_STORE_ARENA, 24, 8},
  };
  static uint32_t input[] = {0, 1}, output[] = {4, 5}, bounded[] = {0, 1}, count[] = {0, 8},
                  args0[] = {0, 2, 6}, args1[] = {6, 4}, args2[] = {6, 5}, args3[] = {7, 1, 8},
                  args4[] = {1}, args5[] = {2, 4, 8};
  static const char *names[] = {"y:0", "best"};
  static neo_plan_launch launch[] = {{0, 2}, {1, 6}};
  static neo_plan_step step[] = {
      {.kind = NEO_PLAN_LAUNCH,
       .name = "add",
       .n_args = 3,
       .arg = args0,
       .n_launches = 2,
       .launch = launch,
       .work_offset = 64,
       .work_bytes = 32,
       .scratch_bytes = 48,
       .runtime = "",
       .attributes = ""},
      {.kind = NEO_PLAN_COPY,
       .name = "out",
       .n_args = 2,
       .arg = args1,
       .work_offset = -1,
       .runtime = "",
       .attributes = ""},
      {.kind = NEO_PLAN_RUNTIME,
       .name = "best",
       .n_args = 2,
       .arg = args2,
       .work_offset = -1,
       .runtime = "arg_max",
       .attributes = "axis=1 last=0"},
      {.kind = NEO_PLAN_LOOP,
       .name = "loop",
       .n_args = 3,
       .arg = args3,
       .work_offset = -1,
       .runtime = "",
       .attributes = "",
       .first = 2},
      {.kind = NEO_PLAN_BRANCH,
       .name = "if",
       .n_args = 1,
       .arg = args4,
       .work_offset = -1,
       .runtime = "",
       .attributes = "",
       .first = 1,
       .second = 0},
      {.kind = NEO_PLAN_COPY,
       .name = "row",
       .n_args = 3,
       .arg = args5,
       .work_offset = -1,
       .runtime = "",
       .attributes = ""},
  };
  static const neo_plan plan = {.threads = 2,
                                .arena_bytes = 256,
                                .scratch_bytes = 64,
                                .params_bytes = 128,
                                .isa = 6,
                                .arch = "x86_64",
                                .target = "x86_64 avx2,fma",
                                .n_values = 9,
                                .n_inputs = 2,
                                .n_outputs = 2,
                                .n_steps = 6,
                                .value = value,
                                .input = input,
                                .output = output,
                                .output_name = names,
                                .output_bounded = bounded,
                                .output_count = count,
                                .step = step};
  return &plan;
}

/* The same for one or two rows of x, and once more as another shape of the artifact. */
static inline const neo_plan *sample_shapes_plan(void) {
  static uint32_t input_rows[] = {1, 0}, output_rows[] = {1, 0};
  static neo_plan plan, more;
  more = plan = *sample_plan();
  plan.rows = 2;
  plan.rows_least = 1;
  plan.input_rows = input_rows;
  plan.output_rows = output_rows;
  plan.n_more = 1;
  plan.more = &more;
  return &plan;
}

#endif
