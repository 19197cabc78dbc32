/* Writes the plan (as the bytes of a C array) and compiled.params of a tiny model, by hand: what
 * driver/ does for real ones. make_tiny VARIANT DIR; the compiler then makes DIR/compiled.so from
 * tiny.c. See docs/formats/plan.md.
 *
 *   y = (x + bias) * factor   x f32[2,3], bias [1,2,3] (a parameter), factor f32[] (an input)
 *   best = arg_max(y, axis 1)
 *
 * variants: good; foreign (another architecture); isa (a feature that no processor has); nan_op (an
 * unknown runtime op); shapes (x f32[4,3], also for 3 rows, and x f32[2,3]); device (both steps are
 * launches of one GPU's kernel, which is made for the first one's buffers). */
#include <stdio.h>
#include <string.h>

#include "runtime/dtype.h"
#include "runtime/plan.h"

enum { X, FACTOR, BIAS, SUM, Y, BEST };

static neo_plan_value values[] = {
    [X] = {"x", NEO_RT_F32, 2, {2, 3}, NEO_STORE_INPUT, 0, 24},
    [FACTOR] = {"factor", NEO_RT_F32, 0, {0}, NEO_STORE_INPUT, 1, 4},
    [BIAS] = {"", NEO_RT_F32, 1, {3}, NEO_STORE_PARAM, 64, 12},
    [SUM] = {"", NEO_RT_F32, 2, {2, 3}, NEO_STORE_ARENA, 0, 24},
    [Y] = {"y", NEO_RT_F32, 2, {2, 3}, NEO_STORE_OUTPUT, 0, 24},
    [BEST] = {"best", NEO_RT_I64, 2, {2, 1}, NEO_STORE_OUTPUT, 1, 16},
};
static uint32_t inputs[] = {X, FACTOR}, outputs[] = {Y, BEST};
static const char *names[] = {"y:0", "best"};
static uint32_t add_args[] = {X, BIAS, FACTOR, SUM}, copy_args[] = {SUM, Y},
                best_args[] = {Y, BEST};
static neo_plan_launch add_launches[] = {{0, 2}, {1, 6}};
static neo_plan_step steps[] = {
    {.kind = NEO_PLAN_LAUNCH,
     .name = "add+mul",
     .n_args = 4,
     .arg = add_args,
     .n_launches = 2,
     .launch = add_launches,
     .work_offset = 64,
     .work_bytes = 24,
     .scratch_bytes = 8},
    {.kind = NEO_PLAN_COPY, .name = "y", .n_args = 2, .arg = copy_args, .work_offset = -1},
    {.kind = NEO_PLAN_RUNTIME,
     .name = "best",
     .n_args = 2,
     .arg = best_args,
     .work_offset = -1,
     .runtime = "arg_max",
     .attributes = "axis=1"},
};

/* The same for x f32[rows,3]. */
static void with_rows(neo_plan *plan, uint32_t rows) {
  static neo_plan_value value[2][6];
  static neo_plan_launch launch[2][2];
  static neo_plan_step step[2][3];
  static uint32_t input_rows[] = {1, 0}, output_rows[] = {1, 1};
  int k = rows == 4;
  memcpy(value[k], values, sizeof(values));
  memcpy(step[k], steps, sizeof(steps));
  static const int with[] = {X, SUM, Y, BEST};
  for (int i = 0; i < 4; i++) {
    value[k][with[i]].dim[0] = rows;
    value[k][with[i]].bytes = (int64_t)rows * (with[i] == BEST ? 8 : 12);
  }
  launch[k][0] = (neo_plan_launch){0, rows};
  launch[k][1] = (neo_plan_launch){1, 3 * (int64_t)rows};
  step[k][0].launch = launch[k];
  step[k][0].work_bytes = 12 * (int64_t)rows;
  plan->value = value[k];
  plan->step = step[k];
  plan->input_rows = input_rows;
  plan->output_rows = output_rows;
}

static int write_plan(const char *dir, const neo_buf *bytes) {
  char path[1024];
  snprintf(path, sizeof(path), "%s/tiny_plan.inc", dir);
  FILE *file = fopen(path, "w");
  if (!file)
    return 1;
  for (size_t i = 0; i < bytes->size; i++)
    fprintf(file, "%u,%s", (unsigned)(uint8_t)bytes->data[i], i % 16 == 15 ? "\n" : "");
  return fclose(file);
}

static int write_params(const char *dir) {
  char path[1024];
  snprintf(path, sizeof(path), "%s/compiled.params", dir);
  neo_buf data = {0}, all = {0};
  static const uint8_t zeros[64];
  static const float bias[3] = {1, 2, 3};
  neo_buf_append(&data, zeros, 64);
  neo_buf_append(&data, bias, sizeof(bias));
  neo_buf_append(&data, zeros, 52);
  neo_buf_text(&all, NEO_PARAMS_MAGIC);
  neo_buf_u32le(&all, 1);
  neo_buf_u32le(&all, 0);
  neo_buf_u64le(&all, data.size);
  neo_buf_u32le(&all, neo_crc32(0, data.data, data.size));
  neo_buf_append(&all, zeros, NEO_PARAMS_HEADER - all.size);
  neo_buf_append(&all, data.data, data.size);
  FILE *file = fopen(path, "wb");
  size_t written = file ? fwrite(all.data, 1, all.size, file) : 0;
  int failed = !file || written != all.size || fclose(file);
  neo_buf_fini(&data);
  neo_buf_fini(&all);
  return failed;
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  const char *variant = argv[1], *dir = argv[2];
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_plan plan = {.threads = 2,
                   .arena_bytes = 128,
                   .scratch_bytes = 8,
                   .params_bytes = 128,
                   .arch = "c",
                   .target = "c vec=4",
                   .n_values = 6,
                   .n_inputs = 2,
                   .n_outputs = 2,
                   .n_steps = 3,
                   .value = values,
                   .input = inputs,
                   .output = outputs,
                   .output_name = names,
                   .step = steps};
  if (strcmp(variant, "foreign") == 0)
    plan.arch = "pdp11";
  if (strcmp(variant, "isa") == 0)
    plan.isa = (uint64_t)1 << 40;
  if (strcmp(variant, "nan_op") == 0)
    steps[2].runtime = "no_such_op";
  static neo_plan_launch device_launches[] = {{0, 2}, {0, 2}};
  if (strcmp(variant, "device") == 0)
    for (int i = 0; i < 2; i++) {
      steps[i].kind = NEO_PLAN_LAUNCH;
      steps[i].device = 1;
      steps[i].n_launches = 1;
      steps[i].launch = &device_launches[i];
    }
  neo_plan more = plan;
  if (strcmp(variant, "shapes") == 0) {
    with_rows(&plan, 4);
    with_rows(&more, 2);
    plan.rows = 4;
    plan.rows_least = 3;
    plan.n_more = 1;
    plan.more = &more;
  }
  neo_buf bytes = {0};
  int failed = neo_plan_encode(&ctx, &plan, &bytes) != NEO_OK || write_plan(dir, &bytes) ||
               write_params(dir);
  neo_buf_fini(&bytes);
  return failed;
}
