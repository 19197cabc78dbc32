/* A session: the memory, workers and resolved steps with which one thread at a time runs a model.
 *
 * Design: everything that a run needs is made at creation: buffers, workers, and per step the array
 * of pointers that its kernels get, for every shape of the artifact; all shapes share the buffers,
 * which are as large as the largest. A run takes the shape that its inputs have (session_input.c),
 * walks the steps, into those that branches and loops own, and allocates nothing. Binding an input
 * to the caller's memory rewrites the pointers of the steps that read it.
 *
 * Invariants
 * 1. Of every shape: place[id] is where value id lives now, and every step's data[j] ==
 *    place[arg[j]].
 * 2. The plan was checked by plan_decode.c: no range is checked again here. */
#include <string.h>

#include "runtime/dtype.h"
#include "runtime/os.h"
#include "runtime/session.h"

/* ---- creation ------------------------------------------------------------------------------------ */

static neo_status create_pool(neo_ctx *ctx, neo_rt_session *s, const neo_rt_options *options) {
  int threads = options->threads ? options->threads : neo_rt_threads(s->model);
  if (threads < 1 || threads > 1024 || options->pool < 0 || options->pool > NEO_POOL_OPENMP)
    return neo_fail(ctx, NEO_USAGE,
                    "session: %d threads of pool %d: 1 to 1024 of 0, 1 or 2 expected", threads,
                    options->pool);
  int cpu[1024];
  int n = options->pin ? neo_os_cpus(cpu, threads) : 0;
  for (int i = n; n > 0 && i < threads; i++)
    cpu[i] = cpu[i % n];
  s->caller_cpu = n && threads > 1 ? cpu[0] : -1; /* alone it is in nobody's way */
  cpu[0] = -1; /* not the pool's: whoever runs the session is worker 0, for as long as it runs */
  return neo_pool_create(ctx, (neo_pool_kind)options->pool, threads, n ? cpu : NULL, &s->pool);
}

static neo_status allocate_shape(neo_ctx *ctx, session_shape *s) {
  const neo_plan *p = s->plan;
  size_t args = 0, launches = 0;
  for (uint32_t i = 0; i < p->n_steps; i++) {
    args += p->step[i].n_args;
    launches += p->step[i].n_launches;
  }
  s->place = neo_alloc(ctx, p->n_values * sizeof(*s->place));
  s->step = neo_alloc(ctx, p->n_steps * sizeof(*s->step));
  s->data = neo_alloc(ctx, args * sizeof(*s->data));
  s->value = neo_alloc(ctx, args * sizeof(*s->value));
  s->function = neo_alloc(ctx, launches * sizeof(*s->function));
  s->grid = neo_alloc(ctx, launches * sizeof(*s->grid));
  if (!s->place || !s->step || !s->data || !s->value || !s->function || !s->grid)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  return NEO_OK;
}

static neo_status allocate_tables(neo_ctx *ctx, neo_rt_session *s) {
  const neo_plan *p = s->model->plan;
  size_t n = (size_t)s->model->n_shapes, steps = 0;
  s->shape = neo_alloc(ctx, n * sizeof(*s->shape));
  s->input = neo_alloc(ctx, p->n_inputs * sizeof(*s->input));
  s->own = neo_alloc(ctx, ((size_t)p->n_inputs + p->n_outputs) * sizeof(*s->own));
  s->wide = neo_alloc(ctx, p->n_inputs * sizeof(*s->wide));
  if (!s->shape || !s->input || !s->own || !s->wide)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  for (uint32_t i = 0; i < p->n_inputs; i++)
    memcpy(s->input[i].dim, s->model->input[i].dim, sizeof(s->input[i].dim));
  for (size_t k = 0; k < n; k++) {
    s->shape[k].plan = neo_rt_plan(s->model, (int)k);
    s->shape[k].first_step = (uint32_t)steps;
    steps += s->shape[k].plan->n_steps;
    NEO_TRY(allocate_shape(ctx, &s->shape[k]));
  }
  s->now = &s->shape[0];
  s->rows = p->rows;
  s->ns = neo_alloc(ctx, steps * sizeof(*s->ns));
  return s->ns ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
}

static size_t scratch_stride(const neo_plan *plan) {
  return (size_t)(plan->scratch_bytes + 63) / 64 * 64;
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static neo_status allocate_buffer(neo_ctx *ctx, const char *name, size_t bytes, void **out) {
  *out = neo_aligned_alloc(ctx, bytes);
  return *out ? NEO_OK
              : neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory for '%.128s' (%zu bytes)",
                         name, bytes);
}

/* Inputs and outputs, of the largest shape. */
static neo_status allocate_interface(neo_ctx *ctx, neo_rt_session *s) {
  const neo_rt_model *model = s->model;
  int n_inputs = neo_rt_inputs(model);
  for (int i = 0; i < n_inputs; i++) {
    size_t bytes = 0, wide = 0;
    for (int k = 0; k < model->n_shapes; k++) {
      size_t own = neo_rt_shape_input(model, k, i)->bytes;
      int64_t least = 0;
      int dim = neo_rt_shape_rows(model, k, i, &least);
      bytes = larger(bytes, own);
      if (dim && least < neo_rt_plan(model, k)->rows)
        wide = larger(wide, own);
    }
    NEO_TRY(allocate_buffer(ctx, model->input[i].name, bytes, &s->own[i]));
    if (wide)
      NEO_TRY(allocate_buffer(ctx, model->input[i].name, wide, &s->wide[i]));
  }
  for (int i = 0; i < neo_rt_outputs(model); i++) {
    size_t bytes = 0;
    for (int k = 0; k < model->n_shapes; k++)
      bytes = larger(bytes, neo_rt_shape_output(model, k, i)->bytes);
    NEO_TRY(allocate_buffer(ctx, model->output[i].name, bytes, &s->own[n_inputs + i]));
  }
  return NEO_OK;
}

static neo_status allocate_buffers(neo_ctx *ctx, neo_rt_session *s) {
  size_t scratch = 0, arena = 0;
  for (int k = 0; k < s->model->n_shapes; k++) {
    scratch = larger(scratch, scratch_stride(s->shape[k].plan));
    if (neo_session_device_leaves(s->shape[k].plan))
      arena = larger(arena, (size_t)s->shape[k].plan->arena_bytes);
  }
  if (!neo_mul_size(scratch, (size_t)neo_pool_threads(s->pool), &scratch))
    return neo_fail(ctx, NEO_NO_MEMORY, "session: scratch memory overflows");
  if (arena > 0)
    s->arena = neo_aligned_alloc(ctx, arena);
  s->scratch = neo_aligned_alloc(ctx, scratch);
  if ((arena > 0 && !s->arena) || !s->scratch)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory for %zu bytes of activations",
                    arena);
  return allocate_interface(ctx, s);
}

static void *place_of(const neo_rt_session *s, const neo_plan_value *value) {
  switch (value->storage) {
  case NEO_STORE_INPUT:
    return s->own[value->slot];
  case NEO_STORE_OUTPUT:
    return s->own[s->model->plan->n_inputs + value->slot];
  case NEO_STORE_ARENA:
    return s->arena ? s->arena + value->slot : NULL;
  case NEO_STORE_PARAM:
    return (void *)(uintptr_t)(s->model->params + value->slot);
  }
  return NULL;
}

static void resolve_launches(const neo_rt_session *s, const session_shape *shape,
                             session_step *step, neo_kernel_fn *function, int64_t *grid) {
  const neo_plan_step *plan = step->plan;
  for (uint32_t i = 0; i < plan->n_launches; i++) {
    function[i] = s->model->functions[plan->launch[i].function];
    grid[i] = plan->launch[i].grid;
  }
  step->call = (neo_pool_call){
      .n_launches = (int)plan->n_launches,
      .fn = function,
      .grid = grid,
      .buf = step->data,
      .work = s->arena && plan->work_offset >= 0 ? s->arena + plan->work_offset : NULL,
      .scratch = plan->scratch_bytes ? s->scratch : NULL,
      .scratch_bytes = (int64_t)scratch_stride(shape->plan)};
}

static neo_status resolve_steps(neo_ctx *ctx, neo_rt_session *s, session_shape *shape,
                                size_t *op_work) {
  const neo_plan *p = shape->plan;
  void **data = shape->data;
  const neo_plan_value **value = shape->value;
  neo_kernel_fn *function = shape->function;
  int64_t *grid = shape->grid;
  for (uint32_t id = 0; id < p->n_values; id++)
    shape->place[id] = place_of(s, &p->value[id]);
  for (uint32_t i = 0; i < p->n_steps; i++) {
    session_step *step = &shape->step[i];
    *step = (session_step){.plan = &p->step[i], .data = data, .value = value};
    for (uint32_t j = 0; j < p->step[i].n_args; j++) {
      *data++ = shape->place[p->step[i].arg[j]];
      *value++ = &p->value[p->step[i].arg[j]];
    }
    resolve_launches(s, shape, step, function, grid);
    function += p->step[i].n_launches;
    grid += p->step[i].n_launches;
    if (p->step[i].kind != NEO_PLAN_RUNTIME)
      continue;
    NEO_TRY(neo_op_prepare(ctx, step->plan, step->value, &step->op));
    step->op.data = step->data;
    step->op.pool = s->pool;
    step->op.texts = &s->texts;
    step->op.message = s->op_message;
    step->op.work_bytes = (step->op.work_bytes + 63) / 64 * 64;
    *op_work = larger(*op_work, step->op.work_bytes);
  }
  return NEO_OK;
}

static neo_status create(neo_ctx *ctx, neo_rt_session *s, const neo_rt_options *options) {
  size_t op_work = 0;
  NEO_TRY(create_pool(ctx, s, options));
  NEO_TRY(allocate_tables(ctx, s));
  NEO_TRY(allocate_buffers(ctx, s));
  for (int k = 0; k < s->model->n_shapes; k++)
    NEO_TRY(resolve_steps(ctx, s, &s->shape[k], &op_work));
  if (!neo_mul_size(op_work, (size_t)neo_pool_threads(s->pool), &op_work))
    return neo_fail(ctx, NEO_NO_MEMORY, "session: operators' memory overflows");
  s->op_work = neo_aligned_alloc(ctx, op_work);
  if (!s->op_work)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory for operators (%zu bytes)",
                    op_work);
  for (int k = 0; k < s->model->n_shapes; k++)
    for (uint32_t i = 0; i < s->shape[k].plan->n_steps; i++)
      s->shape[k].step[i].op.work = s->op_work;
  return neo_session_device_open(ctx, s);
}

int neo_rt_session_create(neo_rt_model *model, const neo_rt_options *options, neo_rt_session **out,
                          neo_rt_error *error) {
  static const neo_rt_options defaults = {0};
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  if (!model || !out)
    return neo_rt_report(error, neo_fail(&ctx, NEO_USAGE, "neo_rt_session_create: NULL argument"),
                         &ctx);
  neo_rt_session *session = neo_alloc(&ctx, sizeof(*session));
  neo_status status = NEO_NO_MEMORY;
  if (session) {
    session->model = model;
    status = create(&ctx, session, options ? options : &defaults);
  } else {
    neo_fail(&ctx, status, "session: out of memory");
  }
  if (status == NEO_OK)
    *out = session;
  else
    neo_rt_session_destroy(session);
  return neo_rt_report(error, status, &ctx);
}

static void free_shape(neo_ctx *ctx, session_shape *s) {
  for (uint32_t i = 0; s->step && i < s->plan->n_steps; i++)
    if (s->step[i].op.state)
      s->step[i].op.op->release(&s->step[i].op);
  void *const tables[] = {s->place, s->step, s->data, (void *)s->value, (void *)s->function,
                          s->grid};
  for (int i = 0; i < NEO_COUNT(tables); i++)
    neo_free(ctx, tables[i]);
}

void neo_rt_session_destroy(neo_rt_session *session) {
  if (!session)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  const neo_plan *p = session->model->plan;
  neo_session_device_close(&ctx, session);
  neo_pool_destroy(session->pool);
  for (uint32_t i = 0; session->own && i < p->n_inputs + p->n_outputs; i++)
    neo_aligned_free(&ctx, session->own[i]);
  for (uint32_t i = 0; session->wide && i < p->n_inputs; i++)
    neo_aligned_free(&ctx, session->wide[i]);
  for (int k = 0; session->shape && k < session->model->n_shapes; k++)
    free_shape(&ctx, &session->shape[k]);
  neo_aligned_free(&ctx, session->arena);
  neo_aligned_free(&ctx, session->scratch);
  neo_aligned_free(&ctx, session->op_work);
  neo_op_texts_reset(&session->texts, true);
  void *const tables[] = {session->shape, session->input, session->own, session->wide, session->ns};
  for (int i = 0; i < NEO_COUNT(tables); i++)
    neo_free(&ctx, tables[i]);
  neo_free(&ctx, session);
}

/* ---- runs ------------------------------------------------------------------------------------------- */

/* The whole destination, or the row of it that the third argument numbers. */
static int32_t run_copy(const session_step *step) {
  size_t bytes = (size_t)step->value[0]->bytes;
  char *to = step->data[1];
  if (step->plan->n_args == 3) {
    int64_t row = *(const int64_t *)step->data[2];
    if (row < 0 || (bytes && row >= step->value[1]->bytes / step->value[0]->bytes))
      return 1;
    to += (size_t)row * bytes;
  }
  if (bytes)
    memmove(to, step->data[0], bytes);
  return 0;
}

static int32_t run_op(session_step *step) {
  if (step->op.op->attempt)
    return step->op.op->attempt(&step->op);
  step->op.op->run(&step->op);
  return 0;
}

/* Not control flow. */
static int32_t run_step(neo_rt_session *s, session_step *step) {
  switch (step->plan->kind) {
  case NEO_PLAN_LAUNCH:
    if (step->plan->device > 0)
      return (int32_t)neo_session_device_launch(s, step);
    return neo_pool_launch(s->pool, &step->call);
  case NEO_PLAN_COPY:
    return s->device ? (int32_t)neo_session_device_copy(s, step) : run_copy(step);
  case NEO_PLAN_RUNTIME: {
    int32_t result = (int32_t)neo_session_device_fetch(s, step);
    result = result ? result : run_op(step);
    return result ? result : (int32_t)neo_session_device_put(s, step);
  }
  case NEO_PLAN_BRANCH:
  case NEO_PLAN_LOOP:
    return 0;
  }
  return 0;
}

/* A run: where it failed, and its clock when profiling. */
typedef struct run {
  neo_rt_session *session;
  session_shape *shape;
  uint32_t failed_step;
  int32_t result;
  uint64_t before;
  neo_ctx clock; /* only for its clock */
} run;

static void profile_step(run *r, uint32_t i) {
  uint64_t now = neo_now_ns(&r->clock);
  r->session->ns[r->shape->first_step + i] += (double)(now - r->before);
  r->before = now;
}

static bool run_range(run *r, uint32_t at, uint32_t end);

/* What a GPU's memory did for a step. */
static bool succeeds(run *r, uint32_t at, neo_status status) {
  r->result = (int32_t)status;
  r->failed_step = at;
  return status == NEO_OK;
}

static bool run_loop(run *r, uint32_t at) {
  neo_rt_session *s = r->session;
  const session_step *step = &r->shape->step[at];
  const uint8_t *cond = step->data[1];
  if (!succeeds(r, at, neo_session_device_fetch(s, step)))
    return false;
  int64_t trips = *(const int64_t *)step->data[0];
  for (int64_t i = 0; i < trips && *cond; i++) {
    *(int64_t *)step->data[2] = i;
    if (!succeeds(r, at, neo_session_device_put(s, step)) ||
        !run_range(r, at + 1, at + 1 + step->plan->first) ||
        !succeeds(r, at, neo_session_device_fetch(s, step)))
      return false;
  }
  return true;
}

/* Recursion is as deep as control flow nests: plan_decode.c bounds it. */
static bool run_range(run *r, uint32_t at, uint32_t end) {
  neo_rt_session *s = r->session;
  while (at < end) {
    session_step *step = &r->shape->step[at];
    const neo_plan_step *plan = step->plan;
    bool ok = true;
    if (plan->kind == NEO_PLAN_LOOP) {
      ok = run_loop(r, at);
    } else if (plan->kind == NEO_PLAN_BRANCH) {
      if (!succeeds(r, at, neo_session_device_fetch(s, step)))
        return false;
      bool yes = *(const uint8_t *)step->data[0] != 0;
      uint32_t from = at + 1 + (yes ? 0 : plan->first);
      ok = run_range(r, from, from + (yes ? plan->first : plan->second));
    } else if ((r->result = run_step(s, step))) {
      r->failed_step = at;
      ok = false;
    }
    if (!ok)
      return false;
    if (s->profile)
      profile_step(r, at);
    at += 1 + plan->first + plan->second;
  }
  return true;
}

/* The dimensions that output i really has: fewer rows, a bounded extent. */
static void real_dims(const neo_rt_session *s, uint32_t i, int64_t *dim) {
  const neo_plan *p = s->now->plan;
  const neo_plan_value *v = &p->value[p->output[i]];
  memcpy(dim, v->dim, sizeof(v->dim));
  if (p->rows && p->output_rows[i])
    dim[p->output_rows[i] - 1] = dim[p->output_rows[i] - 1] / p->rows * s->rows;
  if (p->output_bounded[i]) {
    int64_t most = v->dim[p->output_bounded[i] - 1];
    int64_t n = *(const int64_t *)s->now->place[p->output_count[i]];
    dim[p->output_bounded[i] - 1] = n < 0 ? 0 : n > most ? most : n;
  }
}

/* Moves the first `extent` of dimension d to the front, so that they are dense. */
static void cut(char *data, size_t size, int rank, int64_t *dim, int d, int64_t extent) {
  size_t outer = 1, inner = size;
  for (int k = 0; k < rank; k++)
    *(k < d ? &outer : &inner) *= k == d ? 1 : (size_t)dim[k];
  size_t row = inner * (size_t)extent, stride = inner * (size_t)dim[d];
  for (size_t k = 1; row && row < stride && k < outer; k++)
    memmove(data + k * row, data + k * stride, row);
  dim[d] = extent;
}

static void cut_output(neo_rt_session *s, uint32_t i) {
  const neo_plan *p = s->now->plan;
  const neo_plan_value *v = &p->value[p->output[i]];
  int64_t dim[NEO_RT_MAX_RANK], real[NEO_RT_MAX_RANK];
  memcpy(dim, v->dim, sizeof(dim));
  real_dims(s, i, real);
  for (int d = 0; d < v->rank; d++)
    if (real[d] < dim[d])
      cut(s->now->place[p->output[i]], neo_rt_dtype_size(v->dtype), v->rank, dim, d, real[d]);
}

static int failed_run(const run *r, neo_rt_error *error) {
  const char *name = r->shape->plan->step[r->failed_step].name, *why = r->session->op_message;
  if (!why[0])
    why = neo_session_device_error(r->session);
  if (error) {
    error->code = NEO_RT_KERNEL;
    snprintf(error->text, sizeof(error->text), "run: step '%.200s' failed with %d%s%s", name,
             (int)r->result, why[0] ? ": " : "", why);
  }
  return NEO_RT_KERNEL;
}

static int take_inputs(neo_rt_session *session, neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  return neo_rt_report(error, neo_session_take_inputs(&ctx, session), &ctx);
}

static int run_steps(neo_rt_session *session, neo_rt_error *error) {
  int code = take_inputs(session, error);
  if (code)
    return code;
  const neo_plan *p = session->now->plan;
  neo_op_texts_reset(&session->texts, false);
  session->op_message[0] = 0;
  run r = {.session = session, .shape = session->now};
  if (session->profile) {
    int all = 0;
    neo_rt_profile(session, 1, NULL, &all);
    memset(session->ns, 0, (size_t)all * sizeof(*session->ns));
    r.before = neo_now_ns(&r.clock);
  }
  bool ok = !session->device || succeeds(&r, 0, neo_session_device_begin(session));
  ok = ok && run_range(&r, 0, p->n_steps);
  ok = ok && (!session->device || succeeds(&r, p->n_steps - 1, neo_session_device_end(session)));
  if (!ok)
    return failed_run(&r, error);
  for (uint32_t i = 0; i < p->n_outputs; i++)
    if (p->output_bounded[i] || (p->rows && p->output_rows[i]))
      cut_output(session, i);
  return NEO_RT_OK;
}

int neo_rt_run(neo_rt_session *session, neo_rt_error *error) {
  neo_os_affinity before = {.known = false};
  if (session->caller_cpu >= 0)
    neo_os_affinity_get(&before);
  if (before.known)
    neo_os_pin(session->caller_cpu);
  int code = run_steps(session, error);
  neo_os_affinity_set(&before);
  return code;
}

int neo_rt_output_shape(neo_rt_session *session, int i, neo_rt_tensor_info *out) {
  const neo_rt_tensor_info *info =
      neo_rt_shape_output(session->model, (int)(session->now - session->shape), i);
  if (!info || !out)
    return NEO_RT_USAGE;
  *out = *info;
  real_dims(session, (uint32_t)i, out->dim);
  out->bytes = neo_rt_dtype_size(session->now->plan->value[session->now->plan->output[i]].dtype);
  for (int d = 0; d < out->rank; d++)
    out->bytes *= (size_t)out->dim[d];
  return NEO_RT_OK;
}

int neo_rt_output(neo_rt_session *session, int i, const void **data, neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = NEO_OK;
  if (i < 0 || i >= neo_rt_outputs(session->model) || !data)
    status = neo_fail(&ctx, NEO_USAGE, "output %d of %d", i, neo_rt_outputs(session->model));
  else
    *data = session->now->place[session->now->plan->output[i]];
  return neo_rt_report(error, status, &ctx);
}

int neo_rt_profile(neo_rt_session *session, int enable, const double **ns, int *n_steps) {
  const session_shape *last = &session->shape[session->model->n_shapes - 1];
  int n = (int)(last->first_step + last->plan->n_steps);
  session->profile = enable != 0;
  if (ns)
    *ns = session->ns;
  if (n_steps)
    *n_steps = n;
  return n;
}
