/* Inputs of a session, and which of the artifact's shapes they ask for.
 *
 * Design: set and bind only note where an input's data are and which shape they have; a run looks
 * for the shape of the artifact that has all of them. The exact one is taken if there is one, else
 * one that serves fewer rows than it was compiled for: then the inputs that have rows are copied,
 * every run (bound memory may change), and the missing rows repeat the last one: whatever kernels
 * compute of them is in bounds, and no NaN comes from there that a kernel which adds rows up in
 * passing (Strassen's products) could spread. */
#include <string.h>

#include "runtime/dtype.h"
#include "runtime/session.h"

/* ---- texts ----------------------------------------------------------------------------------- */

static void print_tensor(neo_buf *out, const neo_rt_tensor_info *info) {
  neo_buf_printf(out, "'%s' %s[", info->name ? info->name : "?", info->dtype ? info->dtype : "?");
  for (int i = 0; i < info->rank && i < NEO_RT_MAX_RANK; i++)
    neo_buf_printf(out, i ? ",%lld" : "%lld", (long long)info->dim[i]);
  neo_buf_text(out, "]");
}

/* "[3..4,3]": 3 and 4 rows. */
static void print_shape(neo_buf *out, const neo_rt_model *model, int shape, int i) {
  const neo_rt_tensor_info *info = neo_rt_shape_input(model, shape, i);
  int64_t least = 0;
  int rows = neo_rt_shape_rows(model, shape, i, &least);
  for (int d = 0; d < info->rank; d++) {
    neo_buf_text(out, d ? "," : "[");
    if (d == rows - 1 && least < info->dim[d])
      neo_buf_printf(out, "%lld..", (long long)least);
    neo_buf_printf(out, "%lld", (long long)info->dim[d]);
  }
  neo_buf_text(out, info->rank ? "]" : "[]");
}

static bool same_shape(const neo_rt_model *model, int a, int b, int i) {
  const neo_rt_tensor_info *x = neo_rt_shape_input(model, a, i),
                           *y = neo_rt_shape_input(model, b, i);
  int64_t least_x = 0, least_y = 0;
  return memcmp(x->dim, y->dim, sizeof(x->dim)) == 0 &&
         neo_rt_shape_rows(model, a, i, &least_x) == neo_rt_shape_rows(model, b, i, &least_y) &&
         least_x == least_y;
}

/* "'x' f32[1,3] [2,3]": every shape of input i once. */
static void print_shapes(neo_buf *out, const neo_rt_model *model, int i) {
  neo_buf_printf(out, "'%s' %s", model->input[i].name, model->input[i].dtype);
  for (int k = 0; k < model->n_shapes; k++) {
    bool known = false;
    for (int other = 0; other < k && !known; other++)
      known = same_shape(model, other, k, i);
    if (known)
      continue;
    neo_buf_text(out, k ? " " : "");
    print_shape(out, model, k, i);
  }
}

/* "`what`; the model's inputs are: 'x' f32[1,3] (12 bytes), ..." */
static neo_status wrong_input(neo_ctx *ctx, const neo_rt_model *model, const char *what) {
  neo_buf list = {0};
  bool one = model->n_shapes == 1 && model->plan->rows == 0;
  for (int i = 0; i < neo_rt_inputs(model); i++) {
    neo_buf_text(&list, i ? ", " : "");
    print_shapes(&list, model, i);
    if (one)
      neo_buf_printf(&list, " (%zu bytes)", model->input[i].bytes);
  }
  neo_fail(ctx, NEO_USAGE, "%s; the model's inputs are: %s", what,
           list.data && !list.failed ? list.data : "(none)");
  neo_buf_fini(&list);
  return NEO_USAGE;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static int input_find(const neo_rt_model *model, const char *name) {
  for (int i = 0; name && i < neo_rt_inputs(model); i++)
    if (strcmp(model->input[i].name, name) == 0)
      return i;
  return -1;
}

/* Does this shape of the artifact take input i with these dimensions? *rows, -1 at first, is what
 * all inputs that have rows must agree in. */
static bool fits(const neo_rt_model *model, int shape, int i, const int64_t *dim, int64_t *rows) {
  const neo_rt_tensor_info *info = neo_rt_shape_input(model, shape, i);
  int64_t least = 0;
  int row_dim = neo_rt_shape_rows(model, shape, i, &least) - 1;
  for (int d = 0; d < info->rank; d++) {
    if (d == row_dim) {
      if (dim[d] < least || dim[d] > info->dim[d] || (*rows >= 0 && *rows != dim[d]))
        return false;
      *rows = dim[d];
    } else if (dim[d] != info->dim[d]) {
      return false;
    }
  }
  return true;
}

/* The dimensions of input i in this shape if it has so many bytes. */
static bool dims_of_bytes(const neo_rt_model *model, int shape, int i, size_t bytes, int64_t *dim) {
  const neo_rt_tensor_info *info = neo_rt_shape_input(model, shape, i);
  int64_t least = 0;
  int row_dim = neo_rt_shape_rows(model, shape, i, &least) - 1;
  memcpy(dim, info->dim, sizeof(info->dim));
  if (row_dim < 0)
    return bytes == info->bytes;
  size_t row = info->bytes / (size_t)info->dim[row_dim];
  if (row == 0 || bytes % row != 0)
    return bytes == info->bytes;
  dim[row_dim] = (int64_t)(bytes / row);
  return dim[row_dim] >= least && dim[row_dim] <= info->dim[row_dim];
}

/* How many different shapes of input i have so many bytes; dim: the first. */
static int count_of_bytes(const neo_rt_model *model, int i, size_t bytes, int64_t *dim) {
  int n = 0;
  for (int k = 0; k < model->n_shapes; k++) {
    int64_t other[NEO_RT_MAX_RANK];
    if (!dims_of_bytes(model, k, i, bytes, other))
      continue;
    if (n == 0)
      memcpy(dim, other, sizeof(other));
    n += n == 0 || memcmp(dim, other, sizeof(other)) != 0;
  }
  return n;
}

/* ---- set and bind ---------------------------------------------------------------------------- */

static void input_take(neo_rt_session *s, int i, const void *data, const int64_t *dim) {
  session_input *input = &s->input[i];
  input->given = true;
  input->data = data;
  if (dim != input->dim)
    memcpy(input->dim, dim, sizeof(input->dim));
}

static void input_copy(neo_rt_session *s, int i, const void *data, const int64_t *dim) {
  size_t bytes = neo_rt_dtype_size(s->model->plan->value[s->model->plan->input[i]].dtype);
  for (int d = 0; d < s->model->input[i].rank; d++)
    bytes *= (size_t)dim[d];
  if (bytes)
    memcpy(s->own[i], data, bytes);
  input_take(s, i, s->own[i], dim);
}

static neo_status set_bytes(neo_ctx *ctx, neo_rt_session *s, const char *name, const void *data,
                            size_t bytes) {
  char what[320];
  const neo_rt_model *model = s->model;
  int64_t dim[NEO_RT_MAX_RANK];
  int i = input_find(model, name);
  if (i < 0) {
    snprintf(what, sizeof(what), "no input '%.200s'", name ? name : "(null)");
    return wrong_input(ctx, model, what);
  }
  int n = data || !bytes ? count_of_bytes(model, i, bytes, dim) : 0;
  if (n == 1) {
    input_copy(s, i, data, dim);
    return NEO_OK;
  }
  if (n > 1)
    snprintf(what, sizeof(what),
             "input '%.200s': %zu bytes are more than one shape: use neo_rt_set_tensor", name,
             bytes);
  else if (model->n_shapes == 1 && model->plan->rows == 0)
    snprintf(what, sizeof(what), "input '%.200s': %zu bytes given, %zu expected", name,
             data ? bytes : 0, model->input[i].bytes);
  else
    snprintf(what, sizeof(what), "input '%.200s': %zu bytes given, as no shape of it has", name,
             data ? bytes : 0);
  return wrong_input(ctx, model, what);
}

int neo_rt_set_input(neo_rt_session *session, const char *name, const void *data, size_t bytes,
                     neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  return neo_rt_report(error, set_bytes(&ctx, session, name, data, bytes), &ctx);
}

/* *out: the input that this tensor may be. */
static neo_status check_tensor(neo_ctx *ctx, const neo_rt_model *model,
                               const neo_rt_tensor_info *tensor, const void *data, int *out) {
  int i = tensor ? input_find(model, tensor->name) : -1;
  const neo_rt_tensor_info *want = i >= 0 ? &model->input[i] : NULL;
  bool same = want && tensor->dtype && strcmp(tensor->dtype, want->dtype) == 0 &&
              tensor->rank == want->rank;
  bool good = false, empty = false;
  for (int k = 0; same && k < model->n_shapes && !good; k++) {
    int64_t rows = -1;
    good = fits(model, k, i, tensor->dim, &rows);
  }
  for (int d = 0; good && d < tensor->rank; d++)
    empty = empty || tensor->dim[d] == 0;
  if (good && (data || empty)) {
    *out = i;
    return NEO_OK;
  }
  neo_buf what = {0};
  neo_buf_text(&what, want ? "input does not fit: " : "no such input: ");
  if (tensor)
    print_tensor(&what, tensor);
  neo_status status =
      wrong_input(ctx, model, what.data && !what.failed ? what.data : "input does not fit");
  neo_buf_fini(&what);
  return status;
}

int neo_rt_set_tensor(neo_rt_session *session, const neo_rt_tensor_info *tensor, const void *data,
                      neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  int i = -1;
  neo_status status = check_tensor(&ctx, session->model, tensor, data, &i);
  if (status == NEO_OK)
    input_copy(session, i, data, tensor->dim);
  return neo_rt_report(error, status, &ctx);
}

static neo_status check_address(neo_ctx *ctx, const neo_rt_model *model, int i, const void *data) {
  size_t size = neo_rt_dtype_size(model->plan->value[model->plan->input[i]].dtype);
  if (data && (uintptr_t)data % size == 0)
    return NEO_OK;
  return neo_fail(ctx, NEO_USAGE,
                  "bind: input '%.128s': address %p is not aligned to its elements (%zu bytes)",
                  model->input[i].name, data, size);
}

int neo_rt_bind_input(neo_rt_session *session, int i, const void *data, neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = NEO_OK;
  if (i < 0 || i >= neo_rt_inputs(session->model))
    status = neo_fail(&ctx, NEO_USAGE, "bind: input %d of %d", i, neo_rt_inputs(session->model));
  else
    status = check_address(&ctx, session->model, i, data);
  if (status == NEO_OK)
    input_take(session, i, data, session->input[i].dim);
  return neo_rt_report(error, status, &ctx);
}

int neo_rt_bind_tensor(neo_rt_session *session, const neo_rt_tensor_info *tensor, const void *data,
                       neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  int i = -1;
  neo_status status = check_tensor(&ctx, session->model, tensor, data, &i);
  if (status == NEO_OK)
    status = check_address(&ctx, session->model, i, data);
  if (status == NEO_OK)
    input_take(session, i, data, tensor->dim);
  return neo_rt_report(error, status, &ctx);
}

/* ---- before a run ---------------------------------------------------------------------------- */

static void input_place(session_shape *s, int i, const void *data) {
  const neo_plan *p = s->plan;
  void *place = (void *)(uintptr_t)data;
  if (s->place[p->input[i]] == place)
    return;
  for (uint32_t v = 0; v < p->n_values; v++)
    if (p->value[v].storage == NEO_STORE_INPUT && p->value[v].slot == i)
      s->place[v] = place;
  for (uint32_t k = 0; k < p->n_steps; k++)
    for (uint32_t j = 0; j < p->step[k].n_args; j++)
      s->step[k].data[j] = s->place[p->step[k].arg[j]];
}

/* Copies input i into memory of the plan's rows, its last one again and again behind its own. */
static const void *widen(neo_rt_session *s, const neo_plan *plan, int i) {
  const neo_plan_value *v = &plan->value[plan->input[i]];
  const char *from = s->input[i].data;
  char *to = s->wide[i];
  int d = (int)plan->input_rows[i] - 1;
  size_t outer = 1, inner = neo_rt_dtype_size(v->dtype);
  for (int k = 0; k < v->rank; k++)
    *(k < d ? &outer : &inner) *= k == d ? 1 : (size_t)v->dim[k];
  size_t given = inner * (size_t)s->rows, whole = inner * (size_t)plan->rows;
  for (size_t k = 0; k < outer && whole; k++) {
    memcpy(to + k * whole, from + k * given, given);
    for (size_t at = given; at < whole; at += inner)
      memcpy(to + k * whole + at, from + (k + 1) * given - inner, inner);
  }
  return to;
}

static bool all_fit(const neo_rt_session *s, int shape, int64_t *rows) {
  *rows = -1;
  for (int i = 0; i < neo_rt_inputs(s->model); i++)
    if (!fits(s->model, shape, i, s->input[i].dim, rows))
      return false;
  return true;
}

/* An exact shape, else the one with the fewest rows to fill up; -1: none. */
static int choose(neo_rt_session *s) {
  int best = -1;
  int64_t spare = 0;
  for (int k = 0; k < s->model->n_shapes; k++) {
    int64_t rows;
    if (!all_fit(s, k, &rows))
      continue;
    int64_t more = rows >= 0 ? neo_rt_plan(s->model, k)->rows - rows : 0;
    if (best < 0 || more < spare) {
      best = k;
      spare = more;
      s->rows = rows;
    }
  }
  return best;
}

static neo_status no_shape(neo_ctx *ctx, const neo_rt_session *s) {
  neo_buf what = {0};
  neo_buf_text(&what, "run: no shape of this artifact has these inputs together: ");
  for (int i = 0; i < neo_rt_inputs(s->model); i++) {
    neo_rt_tensor_info info = s->model->input[i];
    memcpy(info.dim, s->input[i].dim, sizeof(info.dim));
    neo_buf_text(&what, i ? ", " : "");
    print_tensor(&what, &info);
  }
  neo_status status = wrong_input(
      ctx, s->model, what.data && !what.failed ? what.data : "run: no shape has these inputs");
  neo_buf_fini(&what);
  return status;
}

neo_status neo_session_take_inputs(neo_ctx *ctx, neo_rt_session *s) {
  for (int i = 0; i < neo_rt_inputs(s->model); i++)
    if (!s->input[i].given)
      return neo_fail(ctx, NEO_USAGE, "run: input '%.200s' has not been set (input %d)",
                      s->model->input[i].name, i);
  int k = choose(s);
  if (k < 0)
    return no_shape(ctx, s);
  s->now = &s->shape[k];
  const neo_plan *plan = s->now->plan;
  for (int i = 0; i < neo_rt_inputs(s->model); i++) {
    bool few = plan->rows && plan->input_rows[i] && s->rows < plan->rows;
    input_place(s->now, i, few ? widen(s, plan, i) : s->input[i].data);
  }
  return NEO_OK;
}
