/* The local measurer's board: the process, the blobs it is sent, jobs that are waited for.
 *
 * Blobs are content-keyed bytes that the board caches: a task remembers the key of each buffer in
 * each layout that it sent, so data is packed once. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "measure/local.h"

/* ---- the board process ----------------------------------------------------------------------------- */

enum { SLOW_HELLO_MS = 120000 }; /* wine may have to make its folder first */

/* The plugin lies beside the board's program. */
static neo_status start_emulated(neo_ctx *ctx, neo_local *self) {
  const neo_emulation *e = &self->emulation;
  const char *name = strrchr(self->board_program, '/');
  int dir = name ? (int)(name - self->board_program) + 1 : 0;
  char plugin[1000], counters[300];
  snprintf(counters, sizeof counters, "%s/counters", e->dir);
  snprintf(plugin, sizeof plugin, "%.*sneo-count.so,counters=%s,l1=%lld,miss=%lld", dir,
           self->board_program, counters, (long long)self->target.l1d, (long long)e->miss_cost);
  const char *argv[] = {e->emulator,         "-cpu",    e->cpu,       "-plugin", plugin,
                        self->board_program, "--stdio", "--counters", counters,  NULL};
  return neo_process_spawn(ctx, argv, false, &self->board);
}

/* The board that was had before, if it is free: it has our blobs. */
static neo_status lease_board(neo_ctx *ctx, neo_local *self) {
  neo_hub_lease lease;
  NEO_TRY(neo_hub_take(ctx, self->remote.hub, self->home, self->remote.wait_ms, &lease));
  if (self->home[0] && strcmp(self->home, lease.board.name) != 0)
    neo_log(ctx, NEO_LOG_WARN, "going on on board '%s' instead of '%s'", lease.board.name,
            self->home);
  snprintf(self->home, sizeof self->home, "%s", lease.board.name);
  self->board = (neo_process){.fd = lease.fd};
  self->board_up = true;
  return NEO_OK;
}

/* Times are of one GPU, the target's: any other is refused, also one that took its place. */
static neo_status check_gpu(neo_ctx *ctx, neo_local *self, const neo_hello *hello) {
  const neo_target *target = &self->target;
  if (!neo_target_is_gpu(target))
    return NEO_OK;
  const char *device = neo_hello_device(hello, target->gpu.api);
  char *known = self->base.facts.gpu;
  if (!device[0])
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "the board has no %s device: `clinfo` or `nvidia-smi` there says what its "
                    "drivers see",
                    target->gpu.api);
  if (!neo_target_fits_device(target, device))
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "the board's GPU is %s, the target is for %s: name the target that it is "
                    "(`neo targets`)",
                    device, target->gpu.device[0] ? target->gpu.device : target->gpu.model);
  if (known[0] && strcmp(known, device) != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "the board's GPU is now %s, times are of %s and would not compare", device,
                    known);
  snprintf(known, sizeof self->base.facts.gpu, "%s", device);
  return NEO_OK;
}

static neo_status say_hello(neo_ctx *ctx, neo_local *self, int timeout_ms, neo_hello *hello) {
  enum { GPU_MS = 70000 };
  const char *gpu = neo_target_is_gpu(&self->target) ? self->target.gpu.api : NULL;
  if (gpu && timeout_ms < GPU_MS)
    timeout_ms = GPU_MS;
  NEO_TRY(neo_board_hello(ctx, self->board.fd, gpu, hello, timeout_ms));
  return check_gpu(ctx, self, hello);
}

neo_status neo_local_start_board(neo_ctx *ctx, neo_local *self, neo_hello *hello) {
  neo_cores cores;
  if (self->remote.hub) {
    NEO_TRY(lease_board(ctx, self));
    return say_hello(ctx, self, HELLO_MS, hello);
  }
  NEO_TRY(neo_cores_detect(ctx, NULL, &cores));
  neo_buf cpus = {0};
  for (int c = 0; c < cores.n && c < self->options.threads; c++)
    neo_buf_printf(&cpus, "%s%d", c ? "," : "", cores.cpu[c]);
  const char *emulator = self->emulation.emulator;
  const char *argv[] = {emulator, self->board_program, "--stdio", "--cpus", cpus.data, NULL};
  neo_status status = self->base.counting.on
                          ? start_emulated(ctx, self)
                          : neo_process_spawn(ctx, argv + !emulator, false, &self->board);
  neo_buf_fini(&cpus);
  if (status != NEO_OK)
    return status;
  self->board_up = true;
  return say_hello(ctx, self, emulator ? SLOW_HELLO_MS : HELLO_MS, hello);
}

void neo_local_stop_board(neo_local *self) {
  if (self->board_up && self->remote.hub)
    close(self->board.fd);
  else if (self->board_up)
    neo_process_stop(&self->board);
  self->board_up = false;
}

neo_status neo_local_need_board(neo_ctx *ctx, neo_local *self) {
  neo_hello hello;
  return self->board_up ? NEO_OK : neo_local_start_board(ctx, self, &hello);
}

int neo_local_grace_ms(const neo_local *self) {
  enum { REMOTE_MS = 120000 };
  int64_t remote = neo_min_i64((int64_t)REMOTE_MS + self->remote.away_ms, INT32_MAX / 2);
  return self->remote.hub ? (int)remote : GRACE_MS;
}

/* ---- blobs: content-keyed bytes that the board caches ---------------------------------------------------- */

const char *neo_blob_add(neo_blob_set *set, const void *data, size_t size, void *owned) {
  neo_assert(set->n < NEO_COUNT(set->blob));
  neo_blob *blob = &set->blob[set->n];
  neo_key_text(data, size, blob->key);
  blob->data = data;
  blob->size = size;
  set->owned[set->n++] = owned;
  return blob->key;
}

void neo_blob_release(neo_ctx *ctx, neo_blob_set *set) {
  for (int b = 0; b < set->n; b++)
    neo_aligned_free(ctx, set->owned[b]);
  set->n = 0;
}

static const neo_layout *layout_of(const neo_build *build, int buffer) {
  static const neo_layout row_major = {0};
  const neo_layout *layout = neo_schedule_layout(&build->schedule, buffer);
  return layout ? layout : &row_major;
}

static char *blob_name(neo_arena *arena, const neo_build *build, int c, int buffer,
                       const neo_pack *pack) {
  neo_buf buf = {0};
  neo_buf_printf(&buf, "%d %d ", c, buffer);
  neo_layout_print(&buf, pack ? &pack->layout : layout_of(build, buffer),
                   build->rewritten.buffer[buffer].shape.rank);
  if (pack && pack->has_te) {
    char key[33];
    neo_te_key(&pack->te, key);
    neo_buf_printf(&buf, " %s", key);
  }
  char *name = neo_arena_strdup(arena, buf.data);
  neo_buf_fini(&buf);
  return name;
}

static neo_status packed_constant(neo_ctx *ctx, const neo_shipment *to, int c, const neo_pack *pack,
                                  void **out, size_t *size) {
  char name[80], te[33];
  neo_tensor *made;
  const neo_tensor *source = &to->task->data[c].tensor[pack->source];
  if (!pack->has_te)
    return neo_data_input(ctx, source, &pack->layout, out, size);
  neo_te_key(&pack->te, te);
  snprintf(name, sizeof name, "%s %d %s", to->task->key, c, te);
  NEO_TRY(neo_local_transform(ctx, to->local, pack, source, name, &made));
  return neo_data_input(ctx, made, &pack->layout, out, size);
}

/* Key of the bytes of one buffer for one case; makes and adds them to the set when not known before
 * or when all must be sent. */
static neo_status buffer_blob(neo_ctx *ctx, const neo_shipment *to, int c, int buffer,
                              const neo_pack *pack, char out[33]) {
  const neo_build *build = to->build;
  neo_local_task *task = to->task;
  neo_arena scratch;
  neo_arena_init(&scratch);
  const char *name = blob_name(&scratch, build, c, buffer, pack);
  const char *known = neo_map_get(&task->blobs, name);
  neo_status status = NEO_OK;
  if (!known || to->all) {
    void *bytes = NULL;
    size_t size = 0;
    neo_local_step_aside(to->local);
    status = neo_local_need_data(ctx, to->local, task);
    const neo_tensor *tensor = &task->data[c].tensor[buffer];
    if (status != NEO_OK)
      ;
    else if (pack)
      status = packed_constant(ctx, to, c, pack, &bytes, &size);
    else if (build->rewritten.buffer[buffer].role == NEO_TE_OUT)
      status = neo_data_reference(ctx, tensor, layout_of(build, buffer), &bytes, &size);
    else
      status = neo_data_input(ctx, tensor, layout_of(build, buffer), &bytes, &size);
    if (status == NEO_OK) {
      known = neo_arena_strdup(&task->arena, neo_blob_add(to->set, bytes, size, bytes));
      neo_map_put(&task->blobs, name, (void *)known);
    }
  }
  if (status == NEO_OK)
    memcpy(out, known, 33);
  neo_arena_fini(&scratch);
  return status;
}

neo_status neo_local_fill_kernel(neo_ctx *ctx, const neo_shipment *to, neo_job_kernel *out) {
  const neo_build *build = to->build;
  memset(out, 0, sizeof *out);
  snprintf(out->symbol, sizeof out->symbol, "k");
  memcpy(out->object,
         neo_blob_add(to->set, build->object.bytes.data, build->object.bytes.size, NULL), 33);
  out->n_launches = (uint32_t)build->nest.n_launches;
  for (int l = 0; l < build->nest.n_launches; l++)
    out->grid[l] = build->nest.launch[l].grid;
  out->work_bytes = build->nest.work_bytes;
  out->scratch_bytes = build->nest.scratch_bytes;
  int n = 0, pack = 0;
  for (int b = 0; b < build->rewritten.n_buffers; b++) {
    neo_te_role role = build->rewritten.buffer[b].role;
    if (role == NEO_TE_TMP)
      continue;
    const neo_nest_buffer *buffer = &build->nest.buffer[n];
    out->role[n] = role == NEO_TE_OUT ? 1 : role == NEO_TE_CONST ? 2 : 0;
    out->dtype[n] = (uint8_t)buffer->dtype;
    out->bytes[n] = buffer->elements * (int64_t)neo_dtype_size(buffer->dtype);
    const neo_pack *how = role == NEO_TE_CONST ? &build->packing.pack[pack++] : NULL;
    for (int c = 0; c < to->n_cases; c++)
      if (role != NEO_TE_OUT || to->outputs)
        NEO_TRY(buffer_blob(ctx, to, c, b, how, out->data[c][n]));
    n++;
  }
  out->n_buffers = (uint32_t)n;
  return NEO_OK;
}

/* ---- jobs that are waited for -------------------------------------------------------------------- */

neo_status neo_local_call(neo_ctx *ctx, neo_local *self, const neo_blob_set *set,
                          const neo_job *job, neo_job_result *result) {
  for (int tries = 0;; tries++) {
    uint32_t id = 0;
    neo_status status = neo_local_need_board(ctx, self);
    if (status == NEO_OK)
      status = neo_board_put(ctx, self->board.fd, set->n, set->blob, PUT_MS);
    if (status == NEO_OK)
      status = neo_board_submit(ctx, self->board.fd, 1, job, PUT_MS);
    if (status == NEO_OK)
      status = neo_board_result(ctx, self->board.fd, &id, result,
                                (int)job->timeout_ms + neo_local_grace_ms(self));
    if (status == NEO_OK)
      self->restarts = 0;
    if ((status != NEO_UNREACHABLE && status != NEO_BAD_INPUT) ||
        tries >= (self->remote.hub ? 3 : 1))
      return status;
    NEO_TRY(neo_local_revive(ctx, self));
  }
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

/* *out_ns: what a run took at least; untouched if none was honest. */
static neo_status time_peak(neo_ctx *ctx, neo_local *self, int64_t iterations, double *out_ns) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_buf text = {0};
  neo_peak_nest(&text, &self->target, self->options.threads, iterations);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_object object = {0};
  neo_blob_set *set = neo_arena_alloc(&arena, sizeof *set);
  neo_job *job = neo_arena_alloc(&arena, sizeof *job);
  neo_job_result *result = neo_arena_alloc(&arena, sizeof *result);
  uint32_t id = 0;
  neo_status status = neo_nest_parse(ctx, &arena, text.data, nest);
  if (status == NEO_OK)
    status = self->codegen->build(ctx, nest, &self->target, "k", &object);
  if (status == NEO_OK) {
    *job = (neo_job){.kind = NEO_JOB_MEASURE,
                     .threads = (uint32_t)self->options.threads,
                     .pin = 1,
                     .timeout_ms = 20000,
                     .n_cases = 1,
                     .rtol = 1,
                     .atol = 1,
                     .timing = {.min_batches = 16, .max_batches = 32, .confidence = 1e-4}};
    neo_job_kernel *kernel = &job->kernel;
    snprintf(kernel->symbol, sizeof kernel->symbol, "k");
    memcpy(kernel->object, neo_blob_add(set, object.bytes.data, object.bytes.size, NULL), 33);
    kernel->n_launches = 1;
    kernel->grid[0] = nest->launch[0].grid;
    kernel->n_buffers = (uint32_t)nest->n_params;
    for (int p = 0; p < nest->n_params; p++) {
      size_t bytes = (size_t)nest->buffer[p].elements * sizeof(float);
      float *data = neo_arena_alloc(&arena, bytes);
      for (size_t i = 0; i < bytes / sizeof(float); i++)
        data[i] = p ? NAN : 0;
      kernel->role[p] = p > 0;
      kernel->dtype[p] = NEO_F32;
      kernel->bytes[p] = (int64_t)bytes;
      memcpy(kernel->data[0][p], neo_blob_add(set, data, bytes, NULL), 33);
    }
    status = neo_local_need_board(ctx, self);
  }
  if (status == NEO_OK)
    status = neo_board_put(ctx, self->board.fd, set->n, set->blob, PUT_MS);
  if (status == NEO_OK)
    status = neo_board_submit(ctx, self->board.fd, 1, job, PUT_MS);
  if (status == NEO_OK)
    status = neo_board_result(ctx, self->board.fd, &id, result, 30000);
  if (status == NEO_OK) {
    double best = result->timing.n > 0 ? result->timing.ns[0] : 0;
    for (int i = 0; i < result->timing.n; i++)
      best = fmin(best, result->timing.ns[i]);
    if (result->outcome == NEO_OUTCOME_OK && best > 0) {
      *out_ns = best;
      self->base.facts.peak_gflops =
          fmax(self->base.facts.peak_gflops,
               2 * neo_peak_fmas(&self->target, self->options.threads, iterations) / best);
    } else {
      neo_log(ctx, NEO_LOG_WARN,
              "the FMA peak could not be measured (%s: %s): plausibility is not checked",
              result->phase, result->text);
    }
    neo_job_result_fini(result);
  }
  neo_object_fini(&object);
  neo_buf_fini(&text);
  neo_arena_fini(&arena);
  return status;
}

/* A run of half a millisecond is rarely interrupted by what else runs there (a board that needs
 * longer, an emulated one, gets less to do); but waking a worker takes up to a quarter of one on a
 * virtual machine. A peak that is too low refuses honest kernels. */
neo_status neo_local_measure_peak(neo_ctx *ctx, neo_local *self) {
  enum { SHORT = 100000, LONG = 4000000 };
  const double wanted_ns = 5e5;
  double ns = wanted_ns;
  neo_status status = time_peak(ctx, self, SHORT, &ns);
  if (status == NEO_OK && ns > 4 * wanted_ns)
    status = time_peak(ctx, self, (int64_t)fmax(100, SHORT * wanted_ns / ns), &ns);
  else if (status == NEO_OK && self->options.threads > 1)
    status = time_peak(ctx, self, LONG, &ns);
  return status;
}
