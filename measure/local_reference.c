/* What candidates of a task are compared with: data of two seeds and the outputs of the widened
 * te on it, computed on the board, once per task: by its naive nest or, where that takes long, by a
 * quick one (reference_schedule.c), a sixteenth of whose outputs must be the naive one's.
 *
 * Memory: inputs and constants are functions of (key, buffer, seed), and are needed only when they
 * are packed in a form that the board has not seen yet. So those of the tasks that were not packed
 * for longest go when all together exceed DATA_BYTES, and are made again when needed. References
 * stay. Constants that an algorithm transforms (Winograd's) are packed in many layouts; the newest
 * are kept as they were before that. */
#include <math.h>
#include <string.h>

#include "measure/local.h"

enum { DATA_BYTES = 64 << 20, MADE_BYTES = 64 << 20 };
#define QUICK_FLOPS 1e7

/* ---- data ------------------------------------------------------------------------------------------ */

static size_t data_bytes(const neo_local_task *task) {
  size_t sum = 0;
  for (int c = 0; c < CASES; c++)
    sum += neo_data_input_bytes(&task->te, &task->data[c]);
  return sum;
}

/* The task whose data was not used for longest, `but` excepted; NULL if no other has any. */
static neo_local_task *least_used(const neo_local *self, const neo_local_task *but, size_t *total) {
  neo_local_task *oldest = NULL;
  *total = 0;
  for (int t = 0; t < self->n_tasks; t++) {
    neo_local_task *task = self->task[t];
    size_t bytes = task ? data_bytes(task) : 0;
    *total += bytes;
    if (bytes > 0 && task != but && (!oldest || task->data_used < oldest->data_used))
      oldest = task;
  }
  return oldest;
}

static void drop_old_data(neo_local *self, const neo_local_task *but) {
  size_t total = 0;
  for (;;) {
    neo_local_task *oldest = least_used(self, but, &total);
    if (!oldest || total <= DATA_BYTES)
      return;
    for (int c = 0; c < CASES; c++)
      neo_data_drop_inputs(&self->ctx, &oldest->te, &oldest->data[c]);
  }
}

static neo_status make_data(neo_ctx *ctx, const neo_local *self, neo_local_task *task) {
  for (int c = 0; c < CASES; c++)
    NEO_TRY(neo_data_create(ctx, &task->te, task->key, self->options.seed * CASES + (uint64_t)c,
                            &task->data[c]));
  return NEO_OK;
}

neo_status neo_local_need_data(neo_ctx *ctx, neo_local *self, neo_local_task *task) {
  task->data_used = ++self->data_uses;
  drop_old_data(self, task);
  return make_data(ctx, self, task);
}

/* ---- transformed constants --------------------------------------------------------------------------- */

static void drop_made(neo_local *self, neo_made *made) {
  neo_tensor_free(&self->ctx, &made->tensor);
  *made = (neo_made){0};
}

/* A free place; the oldest ones go until the rest leaves room for so many bytes. */
static neo_made *place_made(neo_local *self, size_t bytes) {
  for (;;) {
    neo_made *oldest = NULL, *free_one = NULL;
    size_t sum = 0;
    for (int i = 0; i < NEO_COUNT(self->made); i++) {
      neo_made *made = &self->made[i];
      if (!made->used)
        free_one = made;
      else if (!oldest || made->used < oldest->used)
        oldest = made;
      sum += made->tensor.size;
    }
    if (!oldest || (free_one && sum + bytes <= MADE_BYTES))
      return free_one;
    drop_made(self, oldest);
  }
}

neo_status neo_local_transform(neo_ctx *ctx, neo_local *self, const neo_pack *pack,
                               const neo_tensor *source, const char *name, neo_tensor **out) {
  for (int i = 0; i < NEO_COUNT(self->made); i++)
    if (self->made[i].used && strcmp(self->made[i].name, name) == 0) {
      self->made[i].used = ++self->data_uses;
      *out = &self->made[i].tensor;
      return NEO_OK;
    }
  neo_tensor tensor;
  NEO_TRY(neo_data_transform(ctx, pack, source, &tensor));
  neo_made *made = place_made(self, tensor.size);
  *made = (neo_made){.used = ++self->data_uses, .tensor = tensor};
  snprintf(made->name, sizeof made->name, "%s", name);
  *out = &made->tensor;
  return NEO_OK;
}

void neo_local_drop_made(neo_local *self) {
  for (int i = 0; i < NEO_COUNT(self->made); i++)
    drop_made(self, &self->made[i]);
}

/* ---- references ------------------------------------------------------------------------------------ */

static neo_status keep_outputs(neo_ctx *ctx, neo_local_task *task, int c,
                               const neo_job_result *result) {
  uint32_t out = 0;
  if (result->outcome != NEO_OUTCOME_OK)
    return neo_fail(ctx, NEO_INTERNAL, "its reference failed in %s: %s", result->phase,
                    result->text);
  for (int b = 0; b < task->te.n_buffers; b++) {
    neo_tensor *tensor = &task->data[c].tensor[b];
    if (task->te.buffer[b].role != NEO_TE_OUT)
      continue;
    if (out >= result->n_outputs || result->output[out].size != tensor->size)
      return neo_fail(ctx, NEO_INTERNAL, "its reference came back without output %u", out);
    memcpy(tensor->data, result->output[out].data, tensor->size);
    task->magnitude = fmax(task->magnitude, neo_data_magnitude(tensor));
    out++;
  }
  return NEO_OK;
}

/* A nest of the widened te on the data of one case, of all its launches the first `part` indices
 * (0: all). */
typedef struct reference_run {
  neo_build *build;
  int c;
  int64_t part;
} reference_run;

/* On the board. The caller frees the result. */
static neo_status run_reference(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                const reference_run *what, neo_job_result *result) {
  neo_blob_set *set = neo_alloc(ctx, sizeof *set);
  neo_job *job = neo_alloc(ctx, sizeof *job);
  neo_status status =
      set && job ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "measuring: its reference");
  neo_data swapped = task->data[0];
  if (status == NEO_OK) {
    job->kind = NEO_JOB_RUN;
    job->threads = (uint32_t)self->options.threads;
    job->n_cases = 1;
    job->timeout_ms = (uint32_t)(60000 + fmin(task->flops / 1e4, 3e6));
    task->data[0] = task->data[what->c]; /* case 0 of this job is seed c */
    neo_map_fini(&task->blobs);
    status = neo_local_fill_kernel(ctx,
                                   &(neo_shipment){.local = self,
                                                   .task = task,
                                                   .build = what->build,
                                                   .n_cases = 1,
                                                   .all = true,
                                                   .set = set},
                                   &job->kernel);
    neo_map_fini(&task->blobs);
    task->data[0] = swapped;
    for (uint32_t l = 0; what->part > 0 && l < job->kernel.n_launches; l++)
      job->kernel.grid[l] = what->part;
  }
  if (status == NEO_OK)
    status = neo_local_call(ctx, self, set, job, result);
  if (set)
    neo_blob_release(ctx, set);
  neo_free(ctx, job);
  neo_free(ctx, set);
  return status;
}

static neo_status keep_reference(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                 neo_build *build, int c) {
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  if (!result)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: its reference");
  neo_status status = run_reference(ctx, self, task, &(reference_run){build, c, 0}, result);
  if (status == NEO_OK) {
    status = keep_outputs(ctx, task, c, result);
    neo_job_result_fini(result);
  }
  neo_free(ctx, result);
  return status;
}

/* ---- references: is the quick one right? ------------------------------------------------------------ */

static bool agree(const neo_tensor *a, const neo_tensor *b, int64_t n) {
  bool is_float = neo_dtype_class(a->dtype) == 'f', is_half = neo_dtype_size(a->dtype) == 2;
  for (int64_t i = 0; i < n; i++) {
    if (!is_float && neo_tensor_get_i64(a, i) != neo_tensor_get_i64(b, i))
      return false;
    double x = is_float ? neo_tensor_get_f64(a, i) : 0, y = is_float ? neo_tensor_get_f64(b, i) : 0;
    bool same = x == y || (isnan(x) && isnan(y));
    if (!same && !(fabs(x - y) <= (is_half ? 1e-2 : 1e-6) * fabs(x) + 1e-30))
      return false;
  }
  return true;
}

/* Compares the first `part` of `grid` parts of every output with what is kept for case 0. */
static bool same_part(const neo_local_task *task, const neo_job_result *result, int64_t part,
                      int64_t grid) {
  uint32_t out = 0;
  if (result->outcome != NEO_OUTCOME_OK)
    return false;
  for (int b = 0; b < task->te.n_buffers; b++) {
    const neo_tensor *kept = &task->data[0].tensor[b];
    neo_tensor plain = *kept;
    if (task->te.buffer[b].role != NEO_TE_OUT)
      continue;
    if (out >= result->n_outputs || result->output[out].size != kept->size)
      return false;
    plain.data = result->output[out++].data;
    if (!agree(&plain, kept, (int64_t)(kept->size / neo_dtype_size(kept->dtype)) / grid * part))
      return false;
  }
  return true;
}

/* A sixteenth of the outputs computed in the naive way. */
static neo_status check_quick(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                              const neo_references *from, bool *right) {
  enum { SHARE = 16 };
  int64_t part = from->grid / SHARE > 0 ? from->grid / SHARE : 1;
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  if (!result)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: its reference");
  neo_status status =
      run_reference(ctx, self, task, &(reference_run){from->naive, 0, part}, result);
  if (status == NEO_OK) {
    *right = same_part(task, result, part, from->grid);
    neo_job_result_fini(result);
  }
  neo_free(ctx, result);
  return status;
}

/* ---- references: making them ------------------------------------------------------------------------ */

static neo_build *build_one(neo_ctx *ctx, neo_local *self, const neo_te *wide,
                            const neo_schedule *schedule) {
  neo_build *build = neo_build_create(ctx, 0, 0, wide, schedule);
  if (build)
    build->for_processor = true;
  return build ? neo_builder_run(self->builder, build) : NULL;
}

/* False: there is no quick one, only the naive one. */
static bool prepare_quick(neo_ctx *ctx, neo_local *self, const neo_te *wide, neo_references *out) {
  neo_schedule quick, naive;
  int lanes = neo_target_lanes(&self->target, true, sizeof(double));
  bool has = lanes > 1 && neo_reference_quick(ctx, wide, lanes, wide->arena, &quick) == NEO_OK &&
             neo_reference_naive(ctx, wide, &naive, &out->grid) == NEO_OK;
  neo_ctx_clear(ctx);
  if (!has)
    return false;
  out->quick = build_one(ctx, self, wide, &quick);
  out->naive = build_one(ctx, self, wide, &naive);
  if (out->quick && out->naive && out->quick->status == NEO_OK && out->naive->status == NEO_OK)
    return true;
  neo_references_fini(out);
  return false;
}

neo_status neo_local_prepare_references(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                        neo_references *out) {
  neo_te wide;
  neo_schedule naive;
  NEO_TRY(make_data(ctx, self, task));
  NEO_TRY(neo_te_widen(ctx, &task->te, &task->arena, &wide));
  if (task->flops >= QUICK_FLOPS && prepare_quick(ctx, self, &wide, out))
    return NEO_OK;
  neo_schedule_naive(&naive);
  out->naive = build_one(ctx, self, &wide, &naive);
  if (!out->naive)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: its reference");
  return out->naive->status == NEO_OK
             ? NEO_OK
             : neo_fail(ctx, out->naive->status, "its reference failed in %s: %s",
                        out->naive->phase, out->naive->text);
}

void neo_references_fini(neo_references *references) {
  neo_build_destroy(references->quick);
  neo_build_destroy(references->naive);
  *references = (neo_references){0};
}

neo_status neo_local_make_references(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                     const neo_references *from) {
  bool right = false;
  NEO_TRY(neo_local_need_data(ctx, self, task));
  for (int c = 0; from->quick && c < CASES; c++)
    NEO_TRY(keep_reference(ctx, self, task, from->quick, c));
  if (from->quick)
    NEO_TRY(check_quick(ctx, self, task, from, &right));
  if (from->quick && !right)
    neo_log(ctx, NEO_LOG_WARN, "%s: the quick reference is not the naive one; taking that",
            task->key);
  for (int c = 0; !right && c < CASES; c++)
    NEO_TRY(keep_reference(ctx, self, task, from->naive, c));
  return NEO_OK;
}

void neo_local_task_destroy(neo_local *self, neo_local_task *task) {
  if (!task)
    return;
  for (int c = 0; c < CASES; c++)
    neo_data_destroy(&self->ctx, &task->te, &task->data[c]);
  if (task->anchor != task->incumbent)
    neo_build_destroy(task->anchor);
  neo_build_destroy(task->incumbent);
  neo_map_fini(&task->blobs);
  neo_map_fini(&task->codes);
  neo_arena_fini(&task->arena);
  neo_free(&self->ctx, task);
}
