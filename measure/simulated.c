/* The simulated measurer: times without code, for tests of search strategies and of the tuner
 * itself.
 *
 * url "simulated:FILE" plays recorded trials back (JSON lines as `neo-tune export` writes them);
 * schedules that are not in the file, and all of them with an empty FILE, get a synthetic time: the
 * analytic prediction of the candidate, bent by a smooth and a rough factor that are functions of
 * the schedule's text alone. Everything is deterministic. */
#include <math.h>
#include <string.h>

#include "base/host.h"
#include "measure/parts.h"

typedef struct sim_task {
  neo_arena arena;
  neo_te te;
  char key[33];
  neo_space *space; /* under the layouts of the first schedule seen */
  double flops;
} sim_task;

typedef struct sim_record {
  double ns;
  neo_trial_kind kind;
} sim_record;

typedef struct simulated {
  neo_measurer base;
  neo_ctx ctx;
  neo_target target;
  int threads, n_tasks, n_results, cap_results;
  sim_task **task;
  neo_trial_result *results;
  neo_arena arena;
  neo_map recorded; /* "key schedule" -> sim_record */
} simulated;

static neo_status sim_task_add(neo_ctx *ctx, neo_measurer *base, int number, const neo_te *te,
                               const char *key) {
  simulated *self = (simulated *)base;
  if (number >= self->n_tasks) {
    sim_task **grown = neo_resize(&self->ctx, self->task, sizeof *grown * (size_t)(number + 16));
    if (!grown)
      return neo_fail(ctx, NEO_NO_MEMORY, "simulated measurer: task %d", number);
    memset(grown + self->n_tasks, 0, sizeof *grown * (size_t)(number + 16 - self->n_tasks));
    self->task = grown;
    self->n_tasks = number + 16;
  }
  sim_task *task = neo_alloc(&self->ctx, sizeof *task);
  if (!task)
    return neo_fail(ctx, NEO_NO_MEMORY, "simulated measurer: task %d", number);
  neo_arena_init(&task->arena);
  neo_te_copy(&task->te, &task->arena, te);
  snprintf(task->key, sizeof task->key, "%s", key);
  task->flops = neo_te_flops(te);
  base->ops->drop(base, number);
  self->task[number] = task;
  return NEO_OK;
}

static void sim_drop(neo_measurer *base, int number) {
  simulated *self = (simulated *)base;
  sim_task *task = number < self->n_tasks ? self->task[number] : NULL;
  if (!task)
    return;
  neo_space_destroy(task->space);
  neo_arena_fini(&task->arena);
  neo_free(&self->ctx, task);
  self->task[number] = NULL;
}

/* *out 0: the space does not hold the schedule. */
static neo_status predict(neo_ctx *ctx, simulated *self, sim_task *task,
                          const neo_schedule *schedule, double *out) {
  static const neo_layout row_major = {0};
  neo_candidate candidate;
  if (!task->space) {
    neo_space_options options = {
        .threads = self->threads, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
    for (int b = 0; b < task->te.n_buffers; b++) {
      const neo_layout *layout = neo_schedule_layout(schedule, b);
      options.fixed[b] = layout ? layout : &row_major;
    }
    NEO_TRY(neo_space_build(ctx, &task->te, &self->target, &options, &task->space));
  }
  *out = neo_space_find(task->space, schedule, &candidate)
             ? neo_space_predict(task->space, &candidate)
             : 0;
  return NEO_OK;
}

static double unit_hash(const void *data, size_t size, uint64_t salt) {
  uint64_t h = neo_hash64(data, size) ^ salt;
  h *= 0xff51afd7ed558ccdu;
  h ^= h >> 33;
  return (double)(h >> 11) / 9007199254740992.0;
}

static neo_status synthesise(neo_ctx *ctx, simulated *self, sim_task *task,
                             const neo_schedule *schedule, const neo_buf *line,
                             neo_trial_result *out) {
  double ns = 0;
  NEO_TRY(predict(ctx, self, task, schedule, &ns));
  if (ns <= 0)
    ns = fmax(task->flops, 1000.0);
  const char *tail = strchr(line->data, ';');
  size_t head = tail ? (size_t)(tail - line->data) : line->size;
  double rough = unit_hash(line->data, line->size, 1), smooth = unit_hash(line->data, head, 2);
  out->ns = ns * (0.8 + 0.5 * smooth) * (0.9 + 0.4 * rough * rough);
  return NEO_OK;
}

static neo_status sim_submit(neo_ctx *ctx, neo_measurer *base, uint64_t id, int number,
                             const neo_schedule *schedule) {
  simulated *self = (simulated *)base;
  sim_task *task = self->task[number];
  if (self->n_results == self->cap_results) {
    int cap = self->cap_results ? self->cap_results * 2 : 32;
    neo_trial_result *grown = neo_resize(&self->ctx, self->results, sizeof *grown * (size_t)cap);
    if (!grown)
      return neo_fail(ctx, NEO_NO_MEMORY, "simulated measurer");
    self->results = grown;
    self->cap_results = cap;
  }
  neo_buf line = {0}, name = {0};
  neo_schedule_print(&line, schedule);
  neo_buf_printf(&name, "%s %s", task->key, line.data);
  neo_trial_result result = {.id = id, .kind = NEO_TRIAL_OK, .n_repeats = 1};
  const sim_record *known = neo_map_get(&self->recorded, name.data);
  neo_status status = NEO_OK;
  if (known) {
    result.kind = known->kind;
    result.ns = known->ns;
  } else {
    status = synthesise(ctx, self, task, schedule, &line, &result);
  }
  result.repeats[0] = result.ns;
  result.measure_ns = result.ns;
  neo_key_text(line.data, line.size, result.code_hash);
  if (status == NEO_OK)
    self->results[self->n_results++] = result;
  neo_buf_fini(&line);
  neo_buf_fini(&name);
  return status;
}

static neo_status sim_poll(neo_ctx *ctx, neo_measurer *base, int timeout_ms, neo_trial_result *out,
                           bool *got) {
  simulated *self = (simulated *)base;
  (void)ctx;
  (void)timeout_ms;
  *got = self->n_results > 0;
  if (*got) {
    *out = self->results[0];
    memmove(self->results, self->results + 1, sizeof *out * (size_t)--self->n_results);
  }
  return NEO_OK;
}

static int sim_pending(const neo_measurer *base) {
  return ((const simulated *)base)->n_results;
}

static int sim_capacity(const neo_measurer *base) {
  (void)base;
  return 8;
}

static void sim_cancel(neo_measurer *base) {
  ((simulated *)base)->n_results = 0;
}

static neo_status sim_incumbent(neo_ctx *ctx, neo_measurer *base, int number,
                                const neo_schedule *schedule, double ns) {
  (void)ctx, (void)base, (void)number, (void)schedule, (void)ns;
  return NEO_OK;
}

static void sim_close(neo_measurer *base) {
  simulated *self = (simulated *)base;
  for (int t = 0; t < self->n_tasks; t++)
    sim_drop(base, t);
  neo_free(&self->ctx, self->task);
  neo_free(&self->ctx, self->results);
  neo_map_fini(&self->recorded);
  neo_arena_fini(&self->arena);
  neo_ctx *ctx = &(neo_ctx){.allocator = self->ctx.allocator};
  neo_free(ctx, self);
}

static void remember(simulated *self, const json_t *row) {
  const char *key = json_string_value(json_object_get(row, "workload"));
  const char *schedule = json_string_value(json_object_get(row, "schedule"));
  const char *kind = json_string_value(json_object_get(row, "kind"));
  if (!key || !schedule || !kind)
    return;
  sim_record *record = neo_arena_alloc(&self->arena, sizeof *record);
  record->ns = json_number_value(json_object_get(row, "ns"));
  for (int k = 0; k < NEO_TRIAL_KIND_COUNT; k++)
    if (strcmp(neo_trial_kind_name((neo_trial_kind)k), kind) == 0)
      record->kind = (neo_trial_kind)k;
  neo_map_put(&self->recorded, neo_arena_printf(&self->arena, "%s %s", key, schedule), record);
}

static neo_status load_records(neo_ctx *ctx, simulated *self, const char *path) {
  neo_buf file = {0};
  NEO_TRY(neo_file_read(ctx, path, 0, &file));
  neo_status status = NEO_OK;
  for (char *at = file.data; at && *at && status == NEO_OK;) {
    size_t length = strcspn(at, "\n");
    json_t *row = NULL;
    status = neo_json_parse(ctx, path, at, length, &row);
    if (status == NEO_OK)
      remember(self, row);
    json_decref(row);
    at += length + (at[length] == '\n');
  }
  neo_buf_fini(&file);
  return status;
}

static neo_status sim_open(neo_ctx *ctx, const char *rest, const neo_target *target,
                           const neo_measure_options *options, neo_measurer **out) {
  simulated *self = neo_alloc(ctx, sizeof *self);
  if (!self)
    return neo_fail(ctx, NEO_NO_MEMORY, "simulated measurer");
  neo_ctx_fork(&self->ctx, ctx);
  neo_arena_init(&self->arena);
  self->base.ops = &neo_measurer_simulated;
  self->target = *target;
  self->threads = options->threads;
  snprintf(self->base.facts.cpu_model, sizeof self->base.facts.cpu_model, "simulated");
  neo_status status = rest[0] ? load_records(ctx, self, rest) : NEO_OK;
  if (status == NEO_OK)
    *out = &self->base;
  else
    sim_close(&self->base);
  return status;
}

const neo_measurer_ops neo_measurer_simulated = {
    .name = "simulated",
    .open = sim_open,
    .close = sim_close,
    .task = sim_task_add,
    .drop = sim_drop,
    .submit = sim_submit,
    .poll = sim_poll,
    .pending = sim_pending,
    .capacity = sim_capacity,
    .cancel = sim_cancel,
    .incumbent = sim_incumbent,
    .simulated = true,
};
