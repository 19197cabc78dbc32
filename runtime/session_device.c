/* A session whose kernels run on a GPU: what is where, and when it is copied.
 *
 * Design: the device has one block each for activations and for parameters, and one per input and
 * output; a value lies at the same offset there as in the host's memory. The device's memory is the
 * truth: a run copies its inputs there first and its outputs back last, and kernels and copies
 * touch nothing of the host's. A step of the host (an operator of the runtime, the condition of a
 * branch) first fetches what it reads, and what it wrote is put back; for values that only the host
 * has (parameters, inputs) nothing is fetched. So a model without such steps copies nothing between
 * its first and its last kernel.
 *
 * Every kernel is compiled when the session is created. */
#include <string.h>

#include "runtime/device.h"
#include "runtime/session.h"

/* Of one shape, by value and by step. */
typedef struct device_shape {
  neo_device_place *place;       /* by value */
  neo_device_place *arg;         /* of all steps, each with its work memory last */
  const neo_device_place **args; /* by step */
} device_shape;

struct neo_session_device {
  neo_ctx ctx; /* of the last error */
  neo_device *device;
  neo_device_memory *arena, *params;
  neo_device_memory **own;        /* by input, then by output */
  neo_device_function **function; /* by number in the plan */
  uint32_t n_functions;
  device_shape *shape;
};

static bool on_device(const neo_plan_step *step) {
  return step->kind == NEO_PLAN_LAUNCH && step->device > 0;
}

bool neo_session_device_leaves(const neo_plan *p) {
  for (uint32_t i = 0; i < p->n_steps; i++)
    if (!on_device(&p->step[i]))
      return true;
  for (uint32_t i = 0; i < p->n_outputs; i++)
    if (p->value[p->output[i]].storage == NEO_STORE_ARENA || p->output_bounded[i])
      return true;
  return false;
}

/* The kernel that stands where a function would. */
static const neo_device_kernel *kernel_of(const neo_rt_session *s, const neo_plan_launch *launch) {
  return (const neo_device_kernel *)(uintptr_t)s->model->functions[launch->function];
}

static const neo_plan_step *first_on_device(const neo_rt_session *s) {
  for (int k = 0; k < s->model->n_shapes; k++) {
    const neo_plan *p = neo_rt_plan(s->model, k);
    for (uint32_t i = 0; i < p->n_steps; i++)
      if (on_device(&p->step[i]))
        return &p->step[i];
  }
  return NULL;
}

/* ---- creation ---------------------------------------------------------------------------------- */

static neo_status allocate_own(neo_ctx *ctx, neo_rt_session *s, neo_session_device *d) {
  const neo_rt_model *model = s->model;
  int n_inputs = neo_rt_inputs(model), n_outputs = neo_rt_outputs(model);
  d->own = neo_alloc(ctx, (size_t)(n_inputs + n_outputs) * sizeof(*d->own));
  if (!d->own)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  for (int i = 0; i < n_inputs + n_outputs; i++) {
    size_t bytes = 0;
    for (int k = 0; k < model->n_shapes; k++) {
      size_t own = i < n_inputs ? neo_rt_shape_input(model, k, i)->bytes
                                : neo_rt_shape_output(model, k, i - n_inputs)->bytes;
      bytes = own > bytes ? own : bytes;
    }
    NEO_TRY(neo_device_alloc(ctx, d->device, bytes, &d->own[i]));
  }
  return NEO_OK;
}

static neo_status allocate_blocks(neo_ctx *ctx, neo_rt_session *s, neo_session_device *d) {
  const neo_plan *p = s->model->plan;
  int64_t arena = 0;
  for (int k = 0; k < s->model->n_shapes; k++) {
    int64_t own = neo_rt_plan(s->model, k)->arena_bytes;
    arena = own > arena ? own : arena;
  }
  NEO_TRY(neo_device_alloc(ctx, d->device, (size_t)arena, &d->arena));
  NEO_TRY(neo_device_alloc(ctx, d->device, (size_t)p->params_bytes, &d->params));
  const neo_device_place start = {d->params, 0};
  NEO_TRY(neo_device_write(ctx, d->device, &start, s->model->params, (size_t)p->params_bytes));
  return allocate_own(ctx, s, d);
}

static neo_device_place device_place(const neo_rt_session *s, const neo_session_device *d,
                                     const neo_plan_value *value) {
  switch (value->storage) {
  case NEO_STORE_INPUT:
    return (neo_device_place){d->own[value->slot], 0};
  case NEO_STORE_OUTPUT:
    return (neo_device_place){d->own[s->model->plan->n_inputs + (uint32_t)value->slot], 0};
  case NEO_STORE_ARENA:
    return (neo_device_place){d->arena, (uint64_t)value->slot};
  case NEO_STORE_PARAM:
    break;
  }
  return (neo_device_place){d->params, (uint64_t)value->slot};
}

static neo_status load_functions(neo_ctx *ctx, neo_rt_session *s, neo_session_device *d,
                                 const neo_plan *p) {
  for (uint32_t i = 0; i < p->n_steps; i++) {
    const neo_plan_step *step = &p->step[i];
    for (uint32_t l = 0; on_device(step) && l < step->n_launches; l++) {
      const neo_device_kernel *kernel = kernel_of(s, &step->launch[l]);
      neo_device_function **function = &d->function[step->launch[l].function];
      if (!*function)
        NEO_TRY(neo_device_load(ctx, d->device, kernel, function));
      if (kernel->n_args != step->n_args && kernel->n_args != step->n_args + 1)
        return neo_fail(ctx, NEO_BAD_INPUT, "step '%.128s': a kernel of %u blocks for %u buffers",
                        step->name, (unsigned)kernel->n_args, (unsigned)step->n_args);
    }
  }
  return NEO_OK;
}

static neo_status resolve_shape(neo_ctx *ctx, neo_rt_session *s, neo_session_device *d, int k) {
  const neo_plan *p = neo_rt_plan(s->model, k);
  device_shape *shape = &d->shape[k];
  size_t args = 0;
  for (uint32_t i = 0; i < p->n_steps; i++)
    args += p->step[i].n_args + 1;
  shape->place = neo_alloc(ctx, p->n_values * sizeof(*shape->place));
  shape->arg = neo_alloc(ctx, args * sizeof(*shape->arg));
  shape->args = neo_alloc(ctx, p->n_steps * sizeof(*shape->args));
  if (!shape->place || !shape->arg || !shape->args)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  for (uint32_t v = 0; v < p->n_values; v++)
    shape->place[v] = device_place(s, d, &p->value[v]);
  neo_device_place *at = shape->arg;
  for (uint32_t i = 0; i < p->n_steps; i++) {
    const neo_plan_step *step = &p->step[i];
    shape->args[i] = at;
    for (uint32_t j = 0; j < step->n_args; j++)
      *at++ = shape->place[step->arg[j]];
    *at++ = (neo_device_place){d->arena, step->work_offset > 0 ? (uint64_t)step->work_offset : 0};
  }
  return load_functions(ctx, s, d, p);
}

static neo_status fill(neo_ctx *ctx, neo_rt_session *s, neo_session_device *d, const char *api) {
  for (int k = 0; k < s->model->n_shapes; k++) {
    const neo_plan *p = neo_rt_plan(s->model, k);
    for (uint32_t i = 0; i < p->n_steps; i++)
      for (uint32_t l = 0; l < p->step[i].n_launches; l++)
        if (p->step[i].launch[l].function >= d->n_functions)
          d->n_functions = p->step[i].launch[l].function + 1;
  }
  d->function = neo_alloc(ctx, (d->n_functions + 1) * sizeof(*d->function));
  d->shape = neo_alloc(ctx, (size_t)s->model->n_shapes * sizeof(*d->shape));
  if (!d->function || !d->shape)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  NEO_TRY(neo_device_open(ctx, api, &d->device));
  NEO_TRY(allocate_blocks(ctx, s, d));
  for (int k = 0; k < s->model->n_shapes; k++)
    NEO_TRY(resolve_shape(ctx, s, d, k));
  return NEO_OK;
}

neo_status neo_session_device_open(neo_ctx *ctx, neo_rt_session *s) {
  const neo_plan_step *first = first_on_device(s);
  if (!first)
    return NEO_OK;
  const neo_device_kernel *kernel = kernel_of(s, &first->launch[0]);
  if (kernel->magic != NEO_DEVICE_MAGIC)
    return neo_fail(ctx, NEO_BAD_INPUT, "step '%.128s': not a kernel for a GPU", first->name);
  char api[sizeof(kernel->api) + 1] = "";
  memcpy(api, kernel->api, sizeof(kernel->api));
  s->device = neo_alloc(ctx, sizeof(*s->device));
  if (!s->device)
    return neo_fail(ctx, NEO_NO_MEMORY, "session: out of memory");
  neo_ctx_init(&s->device->ctx, 0);
  return fill(ctx, s, s->device, api);
}

void neo_session_device_close(neo_ctx *ctx, neo_rt_session *s) {
  neo_session_device *d = s->device;
  if (!d)
    return;
  if (d->device) {
    uint32_t n = s->model->plan->n_inputs + s->model->plan->n_outputs;
    for (uint32_t i = 0; d->own && i < n; i++)
      neo_device_free(d->device, d->own[i]);
    neo_device_free(d->device, d->arena);
    neo_device_free(d->device, d->params);
  }
  neo_device_close(d->device);
  for (int k = 0; d->shape && k < s->model->n_shapes; k++) {
    neo_free(ctx, d->shape[k].place);
    neo_free(ctx, d->shape[k].arg);
    neo_free(ctx, (void *)d->shape[k].args);
  }
  neo_free(ctx, d->shape);
  neo_free(ctx, (void *)d->function);
  neo_free(ctx, (void *)d->own);
  neo_free(ctx, d);
}

/* ---- runs --------------------------------------------------------------------------------------- */

const char *neo_session_device_error(const neo_rt_session *s) {
  return s->device ? s->device->ctx.message : "";
}

static const device_shape *shape_of(const neo_rt_session *s) {
  return &s->device->shape[s->now - s->shape];
}

/* What the device may have changed since the host last had it. */
static bool is_foreign(const neo_plan_value *value) {
  return value->storage == NEO_STORE_ARENA || value->storage == NEO_STORE_OUTPUT;
}

static neo_status move_value(neo_rt_session *s, uint32_t id, bool to_device) {
  neo_session_device *d = s->device;
  const neo_plan_value *value = &s->now->plan->value[id];
  const neo_device_place *place = &shape_of(s)->place[id];
  return to_device
             ? neo_device_write(&d->ctx, d->device, place, s->now->place[id], (size_t)value->bytes)
             : neo_device_read(&d->ctx, d->device, place, s->now->place[id], (size_t)value->bytes);
}

/* The step's arguments from `from` up to `end`. */
static neo_status move_args(neo_rt_session *s, const session_step *step, uint32_t from,
                            uint32_t end, bool to_device) {
  for (uint32_t j = from; s->device && j < end; j++)
    if (is_foreign(&s->now->plan->value[step->plan->arg[j]]))
      NEO_TRY(move_value(s, step->plan->arg[j], to_device));
  return NEO_OK;
}

/* The first argument that the host may write: an operator's first output, a loop's counter. */
static uint32_t first_written(const session_step *step) {
  return step->plan->kind == NEO_PLAN_RUNTIME ? (uint32_t)step->op.n_inputs : 2;
}

neo_status neo_session_device_fetch(neo_rt_session *s, const session_step *step) {
  bool runtime = step->plan->kind == NEO_PLAN_RUNTIME;
  return move_args(s, step, 0, runtime ? first_written(step) : step->plan->n_args, false);
}

neo_status neo_session_device_put(neo_rt_session *s, const session_step *step) {
  return move_args(s, step, first_written(step), step->plan->n_args, true);
}

neo_status neo_session_device_begin(neo_rt_session *s) {
  neo_ctx_clear(&s->device->ctx);
  for (uint32_t i = 0; i < s->now->plan->n_inputs; i++)
    NEO_TRY(move_value(s, s->now->plan->input[i], true));
  return NEO_OK;
}

neo_status neo_session_device_end(neo_rt_session *s) {
  const neo_plan *p = s->now->plan;
  for (uint32_t i = 0; i < p->n_outputs; i++) {
    if (is_foreign(&p->value[p->output[i]]))
      NEO_TRY(move_value(s, p->output[i], false));
    if (p->output_bounded[i] && is_foreign(&p->value[p->output_count[i]]))
      NEO_TRY(move_value(s, p->output_count[i], false));
  }
  return NEO_OK;
}

neo_status neo_session_device_launch(neo_rt_session *s, const session_step *step) {
  neo_session_device *d = s->device;
  const neo_device_place *args = shape_of(s)->args[step->plan - s->now->plan->step];
  for (uint32_t l = 0; l < step->plan->n_launches; l++) {
    const neo_plan_launch *launch = &step->plan->launch[l];
    NEO_TRY(
        neo_device_launch(&d->ctx, d->device, d->function[launch->function], launch->grid, args));
  }
  return s->profile ? neo_device_finish(&d->ctx, d->device) : NEO_OK;
}

neo_status neo_session_device_copy(neo_rt_session *s, const session_step *step) {
  neo_session_device *d = s->device;
  const neo_device_place *args = shape_of(s)->args[step->plan - s->now->plan->step];
  neo_device_place to = args[1];
  uint64_t bytes = (uint64_t)step->value[0]->bytes;
  if (step->plan->n_args == 3) {
    int64_t row = *(const int64_t *)step->data[2];
    if (is_foreign(step->value[2]))
      NEO_TRY(neo_device_read(&d->ctx, d->device, &args[2], &row, sizeof(row)));
    if (row < 0 || (bytes && row >= step->value[1]->bytes / step->value[0]->bytes))
      return neo_fail(&d->ctx, NEO_BAD_INPUT, "step '%.128s': row %lld is outside",
                      step->plan->name, (long long)row);
    to.offset += (uint64_t)row * bytes;
  }
  if (to.memory == args[0].memory && to.offset == args[0].offset)
    return NEO_OK;
  return neo_device_copy(&d->ctx, d->device, &args[0], &to, (size_t)bytes);
}
