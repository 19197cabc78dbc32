/* A session: the memory, workers and resolved steps with which one thread at a time runs a model.
 *
 * Design: everything that a run needs is made at creation: buffers, workers, and per step the array
 * of pointers that its kernels get. A run walks the steps, into those that branches and loops own,
 * and allocates nothing. Binding an input
 * to the caller's memory rewrites the pointers of the steps that read it.
 *
 * Invariants
 * 1. place[id] is where value id lives now, and every step's data[j] == place[arg[j]].
 * 2. The plan was checked by plan_decode.c: no range is checked again here. */
#include <sched.h>
#include <string.h>

#include "runtime/dtype.h"
#include "runtime/model.h"
#include "runtime/ops.h"

typedef struct session_step {
  const neo_plan_step *plan;
  void **data;                  /* by argument */
  const neo_plan_value **value; /* by argument, for operators of the runtime */
  neo_pool_call call;
  neo_op_call op;
} session_step;

struct neo_rt_session {
  neo_rt_model *model;
  neo_pool *pool;
  void **place; /* by value */
  void **own;   /* by input, then by output: the session's own buffers */
  bool *given;  /* by input: set or bound */
  session_step *step;
  void **data; /* storage of all steps' data, value, functions and grids */
  const neo_plan_value **value;
  neo_kernel_fn *function;
  int64_t *grid;
  char *arena, *scratch, *op_work;
  int caller_cpu; /* the thread that runs the session is pinned to it while it does; -1: not */
  bool profile;
  double *ns; /* by step */
};

/* ---- creation ------------------------------------------------------------------------------------ */

static neo_status create_pool(neo_ctx *ctx, neo_rt_session *s, const neo_rt_options *options) {
  int threads = options->threads ? options->threads : neo_rt_threads(s->model);
  if (threads < 1 || threads > 1024 || options->pool < 0 || options->pool > NEO_POOL_OPENMP)
    return neo_fail(ctx, NEO_USAGE,
                    "session: %d threads of pool %d: 1 to 1024 of 0, 1 or 2 expected", threads,
                    options->pool);
  int cpu[1024], n = 0;
  cpu_set_t set;
  if (options->pin && sched_getaffinity(0, sizeof(set), &set) == 0)
    for (int i = 0; i < CPU_SETSIZE && n < threads; i++)
      if (CPU_ISSET(i, &set))
        cpu[n++] = i;
  for (int i = n; n > 0 && i < threads; i++)
    cpu[i] = cpu[i % n];
  s->caller_cpu = n ? cpu[0] : -1;
  cpu[0] = -1; /* not the pool's: whoever runs the session is worker 0, for as long as it runs */
  return neo_pool_create(ctx, (neo_pool_kind)options->pool, threads, n ? cpu : NULL, &s->pool);
}

static neo_status allocate_tables(neo_ctx *ctx, neo_rt_session *s) {
  const neo_plan *p = s->model->plan;
  size_t args = 0, launches = 0;
  for (uint32_t i = 0; i < p->n_steps; i++) {
    args += p->step[i].n_args;
    launches += p->step[i].n_launches;
  }
  s->place = neo_alloc(ctx, p->n_values * sizeof(*s->place));
  s->own = neo_alloc(ctx, ((size_t)p->n_inputs + p->n_outputs) * sizeof(*s->own));
  s->given = neo_alloc(ctx, p->n_inputs * sizeof(*s->given));
  s->step = neo_alloc(ctx, p->n_steps * sizeof(*s->step));
  s->data = neo_alloc(ctx, args * sizeof(*s->data));
  s->value = neo_alloc(ctx, args * sizeof(*s->value));
  s->function = neo_alloc(ctx, launches * sizeof(*s->function));
  s->grid = neo_alloc(ctx, launches * sizeof(*s->grid));
  s->ns = neo_alloc(ctx, p->n_steps * sizeof(*s->ns));
  if (!s->place || !s->own || !s->given || !s->step || !s->data || !s->value || !s->function ||
      !s->grid || !s->ns)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  return NEO_OK;
}

static size_t scratch_stride(const neo_plan *plan) {
  return (size_t)(plan->scratch_bytes + 63) / 64 * 64;
}

static neo_status allocate_buffers(neo_ctx *ctx, neo_rt_session *s) {
  const neo_plan *p = s->model->plan;
  size_t scratch;
  if (!neo_mul_size(scratch_stride(p), (size_t)neo_pool_threads(s->pool), &scratch))
    return neo_fail(ctx, NEO_NO_MEMORY, "session: scratch memory overflows");
  s->arena = neo_aligned_alloc(ctx, (size_t)p->arena_bytes);
  s->scratch = neo_aligned_alloc(ctx, scratch);
  if (!s->arena || !s->scratch)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory for %lld bytes of activations",
                    (long long)p->arena_bytes);
  for (uint32_t i = 0; i < p->n_inputs + p->n_outputs; i++) {
    uint32_t id = i < p->n_inputs ? p->input[i] : p->output[i - p->n_inputs];
    if (i >= p->n_inputs && p->value[id].storage != NEO_STORE_OUTPUT)
      continue;
    s->own[i] = neo_aligned_alloc(ctx, (size_t)p->value[id].bytes);
    if (!s->own[i])
      return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory for '%.128s' (%lld bytes)",
                      p->value[id].name, (long long)p->value[id].bytes);
  }
  return NEO_OK;
}

static void *place_of(const neo_rt_session *s, const neo_plan_value *value) {
  switch (value->storage) {
  case NEO_STORE_INPUT:
    return s->own[value->slot];
  case NEO_STORE_OUTPUT:
    return s->own[s->model->plan->n_inputs + value->slot];
  case NEO_STORE_ARENA:
    return s->arena + value->slot;
  case NEO_STORE_PARAM:
    return (void *)(uintptr_t)(s->model->params + value->slot);
  }
  return NULL;
}

static void resolve_launches(neo_rt_session *s, session_step *step, neo_kernel_fn *function,
                             int64_t *grid) {
  const neo_plan_step *plan = step->plan;
  for (uint32_t i = 0; i < plan->n_launches; i++) {
    function[i] = s->model->functions[plan->launch[i].function];
    grid[i] = plan->launch[i].grid;
  }
  step->call = (neo_pool_call){.n_launches = (int)plan->n_launches,
                               .fn = function,
                               .grid = grid,
                               .buf = step->data,
                               .work = plan->work_offset >= 0 ? s->arena + plan->work_offset : NULL,
                               .scratch = plan->scratch_bytes ? s->scratch : NULL,
                               .scratch_bytes = (int64_t)scratch_stride(s->model->plan)};
}

static neo_status resolve_steps(neo_ctx *ctx, neo_rt_session *s, size_t *op_work) {
  const neo_plan *p = s->model->plan;
  void **data = s->data;
  const neo_plan_value **value = s->value;
  neo_kernel_fn *function = s->function;
  int64_t *grid = s->grid;
  for (uint32_t id = 0; id < p->n_values; id++)
    s->place[id] = place_of(s, &p->value[id]);
  for (uint32_t i = 0; i < p->n_steps; i++) {
    session_step *step = &s->step[i];
    *step = (session_step){.plan = &p->step[i], .data = data, .value = value};
    for (uint32_t j = 0; j < p->step[i].n_args; j++) {
      *data++ = s->place[p->step[i].arg[j]];
      *value++ = &p->value[p->step[i].arg[j]];
    }
    resolve_launches(s, step, function, grid);
    function += p->step[i].n_launches;
    grid += p->step[i].n_launches;
    if (p->step[i].kind != NEO_PLAN_RUNTIME)
      continue;
    NEO_TRY(neo_op_prepare(ctx, step->plan, step->value, &step->op));
    step->op.data = step->data;
    step->op.pool = s->pool;
    step->op.work_bytes = (step->op.work_bytes + 63) / 64 * 64;
    *op_work = step->op.work_bytes > *op_work ? step->op.work_bytes : *op_work;
  }
  return NEO_OK;
}

static neo_status create(neo_ctx *ctx, neo_rt_session *s, const neo_rt_options *options) {
  size_t op_work = 0;
  NEO_TRY(create_pool(ctx, s, options));
  NEO_TRY(allocate_tables(ctx, s));
  NEO_TRY(allocate_buffers(ctx, s));
  NEO_TRY(resolve_steps(ctx, s, &op_work));
  if (!neo_mul_size(op_work, (size_t)neo_pool_threads(s->pool), &op_work))
    return neo_fail(ctx, NEO_NO_MEMORY, "session: operators' memory overflows");
  s->op_work = neo_aligned_alloc(ctx, op_work);
  if (!s->op_work)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory for operators (%zu bytes)",
                    op_work);
  for (uint32_t i = 0; i < s->model->plan->n_steps; i++)
    s->step[i].op.work = s->op_work;
  return NEO_OK;
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

void neo_rt_session_destroy(neo_rt_session *session) {
  if (!session)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  const neo_plan *p = session->model->plan;
  neo_pool_destroy(session->pool);
  for (uint32_t i = 0; session->own && i < p->n_inputs + p->n_outputs; i++)
    neo_aligned_free(&ctx, session->own[i]);
  neo_aligned_free(&ctx, session->arena);
  neo_aligned_free(&ctx, session->scratch);
  neo_aligned_free(&ctx, session->op_work);
  void *const tables[] = {session->place,
                          session->own,
                          session->given,
                          session->step,
                          session->data,
                          (void *)session->value,
                          (void *)session->function,
                          session->grid,
                          session->ns};
  for (int i = 0; i < NEO_COUNT(tables); i++)
    neo_free(&ctx, tables[i]);
  neo_free(&ctx, session);
}

/* ---- inputs ---------------------------------------------------------------------------------------- */

static void print_tensor(neo_buf *out, const neo_rt_tensor_info *info) {
  neo_buf_printf(out, "'%s' %s[", info->name ? info->name : "?", info->dtype ? info->dtype : "?");
  for (int i = 0; i < info->rank && i < NEO_RT_MAX_RANK; i++)
    neo_buf_printf(out, i ? ",%lld" : "%lld", (long long)info->dim[i]);
  neo_buf_text(out, "]");
}

/* "set_input: `what`; the model's inputs are 'x' f32[1,3] (12 bytes), ..." */
static neo_status wrong_input(neo_ctx *ctx, const neo_rt_model *model, const char *what) {
  neo_buf list = {0};
  for (int i = 0; i < neo_rt_inputs(model); i++) {
    neo_buf_text(&list, i ? ", " : "");
    print_tensor(&list, &model->input[i]);
    neo_buf_printf(&list, " (%zu bytes)", model->input[i].bytes);
  }
  neo_fail(ctx, NEO_USAGE, "%s; the model's inputs are: %s", what,
           list.data && !list.failed ? list.data : "(none)");
  neo_buf_fini(&list);
  return NEO_USAGE;
}

static int input_find(const neo_rt_model *model, const char *name) {
  for (int i = 0; name && i < neo_rt_inputs(model); i++)
    if (strcmp(model->input[i].name, name) == 0)
      return i;
  return -1;
}

static void input_place(neo_rt_session *s, int i, void *place) {
  const neo_plan *p = s->model->plan;
  uint32_t id = p->input[i];
  s->given[i] = true;
  if (s->place[id] == place)
    return;
  for (uint32_t v = 0; v < p->n_values; v++)
    if (p->value[v].storage == NEO_STORE_INPUT && p->value[v].slot == i)
      s->place[v] = place;
  for (uint32_t k = 0; k < p->n_steps; k++)
    for (uint32_t j = 0; j < p->step[k].n_args; j++)
      s->step[k].data[j] = s->place[p->step[k].arg[j]];
}

static void input_copy(neo_rt_session *s, int i, const void *data) {
  if (s->model->input[i].bytes)
    memcpy(s->own[i], data, s->model->input[i].bytes);
  input_place(s, i, s->own[i]);
}

int neo_rt_set_input(neo_rt_session *session, const char *name, const void *data, size_t bytes,
                     neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  char what[320];
  const neo_rt_model *model = session->model;
  int i = input_find(model, name);
  if (i < 0) {
    snprintf(what, sizeof(what), "no input '%.200s'", name ? name : "(null)");
    return neo_rt_report(error, wrong_input(&ctx, model, what), &ctx);
  }
  if (bytes != model->input[i].bytes || (!data && bytes)) {
    snprintf(what, sizeof(what), "input '%.200s': %zu bytes given, %zu expected", name,
             data ? bytes : 0, model->input[i].bytes);
    return neo_rt_report(error, wrong_input(&ctx, model, what), &ctx);
  }
  input_copy(session, i, data);
  return neo_rt_report(error, NEO_OK, &ctx);
}

int neo_rt_set_tensor(neo_rt_session *session, const neo_rt_tensor_info *tensor, const void *data,
                      neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  const neo_rt_model *model = session->model;
  int i = tensor ? input_find(model, tensor->name) : -1;
  const neo_rt_tensor_info *want = i >= 0 ? &model->input[i] : NULL;
  bool same = want && (data || !want->bytes) && tensor->dtype &&
              strcmp(tensor->dtype, want->dtype) == 0 && tensor->rank == want->rank &&
              memcmp(tensor->dim, want->dim, (size_t)want->rank * sizeof(want->dim[0])) == 0;
  if (!same) {
    neo_buf what = {0};
    neo_buf_text(&what, want ? "input does not fit: " : "no such input: ");
    if (tensor)
      print_tensor(&what, tensor);
    neo_status status =
        wrong_input(&ctx, model, what.data && !what.failed ? what.data : "input does not fit");
    neo_buf_fini(&what);
    return neo_rt_report(error, status, &ctx);
  }
  input_copy(session, i, data);
  return neo_rt_report(error, NEO_OK, &ctx);
}

int neo_rt_bind_input(neo_rt_session *session, int i, const void *data, neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = NEO_OK;
  const neo_plan *p = session->model->plan;
  if (i < 0 || i >= neo_rt_inputs(session->model)) {
    status = neo_fail(&ctx, NEO_USAGE, "bind: input %d of %d", i, neo_rt_inputs(session->model));
  } else {
    size_t size = neo_rt_dtype_size(p->value[p->input[i]].dtype);
    if (!data || (uintptr_t)data % size != 0)
      status =
          neo_fail(&ctx, NEO_USAGE,
                   "bind: input '%.128s': address %p is not aligned to its elements (%zu bytes)",
                   session->model->input[i].name, data, size);
    else
      input_place(session, i, (void *)(uintptr_t)data);
  }
  return neo_rt_report(error, status, &ctx);
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

/* Not control flow. */
static int32_t run_step(neo_rt_session *s, session_step *step) {
  switch (step->plan->kind) {
  case NEO_PLAN_LAUNCH:
    return neo_pool_launch(s->pool, &step->call);
  case NEO_PLAN_COPY:
    return run_copy(step);
  case NEO_PLAN_RUNTIME:
    step->op.op->run(&step->op);
    return 0;
  case NEO_PLAN_BRANCH:
  case NEO_PLAN_LOOP:
    return 0;
  }
  return 0;
}

static int failed_run(neo_rt_error *error, int code, const char *format, const char *name,
                      int result) {
  if (error) {
    error->code = code;
    snprintf(error->text, sizeof(error->text), format, name, result);
  }
  return code;
}

/* A run: where it failed, and its clock when profiling. */
typedef struct run {
  neo_rt_session *session;
  uint32_t failed_step;
  int32_t result;
  uint64_t before;
  neo_ctx clock; /* only for its clock */
} run;

static void profile_step(run *r, uint32_t i) {
  uint64_t now = neo_now_ns(&r->clock);
  r->session->ns[i] += (double)(now - r->before);
  r->before = now;
}

static bool run_range(run *r, uint32_t at, uint32_t end);

static bool run_loop(run *r, uint32_t at) {
  const session_step *step = &r->session->step[at];
  int64_t trips = *(const int64_t *)step->data[0];
  const uint8_t *cond = step->data[1];
  for (int64_t i = 0; i < trips && *cond; i++) {
    *(int64_t *)step->data[2] = i;
    if (!run_range(r, at + 1, at + 1 + step->plan->first))
      return false;
  }
  return true;
}

/* Recursion is as deep as control flow nests: plan_decode.c bounds it. */
static bool run_range(run *r, uint32_t at, uint32_t end) {
  neo_rt_session *s = r->session;
  while (at < end) {
    session_step *step = &s->step[at];
    const neo_plan_step *plan = step->plan;
    bool ok = true;
    if (plan->kind == NEO_PLAN_LOOP) {
      ok = run_loop(r, at);
    } else if (plan->kind == NEO_PLAN_BRANCH) {
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

/* The real extent of output i's bounded dimension. */
static int64_t real_extent(const neo_rt_session *s, uint32_t i) {
  const neo_plan *p = s->model->plan;
  int64_t most = p->value[p->output[i]].dim[p->output_bounded[i] - 1];
  int64_t n = *(const int64_t *)s->place[p->output_count[i]];
  return n < 0 ? 0 : n > most ? most : n;
}

/* Moves the real part of output i to the front, so that it is dense. */
static void cut_output(neo_rt_session *s, uint32_t i) {
  const neo_plan *p = s->model->plan;
  const neo_plan_value *v = &p->value[p->output[i]];
  uint32_t d = p->output_bounded[i] - 1;
  size_t outer = 1, inner = neo_rt_dtype_size(v->dtype);
  for (uint32_t k = 0; k < v->rank; k++)
    *(k < d ? &outer : &inner) *= k == d ? 1 : (size_t)v->dim[k];
  size_t row = inner * (size_t)real_extent(s, i), stride = inner * (size_t)v->dim[d];
  char *data = s->place[p->output[i]];
  for (size_t k = 1; row && row < stride && k < outer; k++)
    memmove(data + k * row, data + k * stride, row);
}

static int run_steps(neo_rt_session *session, neo_rt_error *error) {
  const neo_plan *p = session->model->plan;
  for (uint32_t i = 0; i < p->n_inputs; i++)
    if (!session->given[i])
      return failed_run(error, NEO_RT_USAGE, "run: input '%.200s' has not been set (input %d)",
                        session->model->input[i].name, (int)i);
  run r = {.session = session};
  if (session->profile) {
    memset(session->ns, 0, p->n_steps * sizeof(*session->ns));
    r.before = neo_now_ns(&r.clock);
  }
  if (!run_range(&r, 0, p->n_steps))
    return failed_run(error, NEO_RT_KERNEL, "run: step '%.200s' failed with %d",
                      p->step[r.failed_step].name, (int)r.result);
  for (uint32_t i = 0; i < p->n_outputs; i++)
    if (p->output_bounded[i])
      cut_output(session, i);
  if (error) {
    error->code = NEO_RT_OK;
    error->text[0] = '\0';
  }
  return NEO_RT_OK;
}

int neo_rt_run(neo_rt_session *session, neo_rt_error *error) {
  cpu_set_t before;
  bool pinned = session->caller_cpu >= 0 && sched_getaffinity(0, sizeof(before), &before) == 0;
  if (pinned) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(session->caller_cpu, &only);
    sched_setaffinity(0, sizeof(only), &only);
  }
  int code = run_steps(session, error);
  if (pinned)
    sched_setaffinity(0, sizeof(before), &before);
  return code;
}

int neo_rt_output_shape(neo_rt_session *session, int i, neo_rt_tensor_info *out) {
  const neo_plan *p = session->model->plan;
  const neo_rt_tensor_info *info = neo_rt_output_info(session->model, i);
  if (!info || !out)
    return NEO_RT_USAGE;
  *out = *info;
  if (p->output_bounded[i]) {
    int64_t most = info->dim[p->output_bounded[i] - 1], real = real_extent(session, (uint32_t)i);
    out->dim[p->output_bounded[i] - 1] = real;
    out->bytes = most ? info->bytes / (size_t)most * (size_t)real : 0;
  }
  return NEO_RT_OK;
}

int neo_rt_output(neo_rt_session *session, int i, const void **data, neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = NEO_OK;
  if (i < 0 || i >= neo_rt_outputs(session->model) || !data)
    status = neo_fail(&ctx, NEO_USAGE, "output %d of %d", i, neo_rt_outputs(session->model));
  else
    *data = session->place[session->model->plan->output[i]];
  return neo_rt_report(error, status, &ctx);
}

int neo_rt_profile(neo_rt_session *session, int enable, const double **ns, int *n_steps) {
  session->profile = enable != 0;
  if (ns)
    *ns = session->ns;
  if (n_steps)
    *n_steps = (int)session->model->plan->n_steps;
  return (int)session->model->plan->n_steps;
}
