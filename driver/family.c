/* A model of several shapes: which extents get code of their own, and the projects of all of them.
 *
 * How. Dimensions that take several values are grouped into symbols; the shapes are all
 * combinations of the symbols' values. A symbol with a range gets code at breakpoints only if the
 * values between can be served by the next higher one: for each of them the model is bound and
 * partitioned, and compared with that of the breakpoint (ir/rows.h). At most one symbol is served
 * so, the first that has more values than breakpoints; where the proof fails, and for other
 * symbols, every value gets code. Shapes are in falling order, the largest first.
 *
 * One row is never filled up: a dimension of 1 means broadcasting, and such a model is another one.
 * So the least value of a range has always code of its own.
 *
 * Invariant: what opens here depends on the model and the options alone, as neo_project_open does.
 */
#include <stdlib.h>
#include <string.h>

#include "driver/stages.h"
#include "ir/rows.h"

enum { MAX_SYMBOLS = 8, MAX_VALUES = 4096, FEW = 4, DEFAULT_SHAPES = 32 };

typedef struct symbol {
  const char *name; /* NULL: of one dimension alone */
  bool range;
  int64_t lo, hi;       /* of a range */
  int n;                /* values that get code, falling */
  const int64_t *value; /* in arena */
} symbol;

typedef struct opening {
  neo_ctx *ctx;
  const neo_project_options *options;
  neo_family *family;
  neo_arena *arena; /* the family's */
  int n_symbols;
  symbol symbol[MAX_SYMBOLS];
  int vary_symbol[NEO_MAX_VARY];
  int filled;    /* the symbol whose breakpoints serve the values between; -1: none */
  char why[400]; /* the one that was to be is not */
} opening;

static const char *input_of(const opening *o, int vary) {
  return o->options->bindings[o->options->vary[vary].binding].name;
}

/* ---- symbols ---------------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

/* Sorted, each once. */
static void set_values(symbol *s, int64_t *value, int n) {
  qsort(value, (size_t)n, sizeof *value, falling);
  s->n = 0;
  for (int i = 0; i < n; i++)
    if (s->n == 0 || value[s->n - 1] != value[i])
      value[s->n++] = value[i];
  s->value = value;
}

static void all_values(neo_arena *arena, symbol *s) {
  int n = (int)(s->hi - s->lo + 1);
  int64_t *value = neo_arena_alloc(arena, sizeof *value * (size_t)n);
  for (int i = 0; i < n; i++)
    value[i] = s->lo + i;
  set_values(s, value, n);
}

static bool has_gaps(const symbol *s) {
  return s->range && s->n < s->hi - s->lo + 1;
}

static void break_points(const opening *o, symbol *s) {
  const neo_project_options *options = o->options;
  int64_t *value = neo_arena_alloc(o->arena, sizeof *value * (size_t)(options->n_breakpoints + 64));
  int n = 0;
  value[n++] = s->lo;
  value[n++] = s->hi;
  for (int i = 0; i < options->n_breakpoints; i++)
    if (options->breakpoints[i] > s->lo && options->breakpoints[i] < s->hi)
      value[n++] = options->breakpoints[i];
  for (int64_t v = 1; options->n_breakpoints == 0 && v < s->hi; v *= 2)
    if (v > s->lo)
      value[n++] = v;
  set_values(s, value, n);
}

static neo_status bad_values(const opening *o, int vary) {
  return neo_fail(o->ctx, NEO_USAGE,
                  "--input %s: dimension %d: values from 1 up are expected, at most %d of them",
                  input_of(o, vary), o->options->vary[vary].dim, MAX_VALUES);
}

static neo_status read_values(const opening *o, int vary, symbol *s) {
  const neo_vary *v = &o->options->vary[vary];
  for (int i = 0; i < v->n; i++)
    if (v->value[i] < 1)
      return bad_values(o, vary);
  s->range = v->range;
  if (!v->range) {
    if (v->n > MAX_VALUES)
      return bad_values(o, vary);
    set_values(s, neo_arena_copy(o->arena, v->value, sizeof *v->value * (size_t)v->n), v->n);
    return NEO_OK;
  }
  s->lo = v->value[0];
  s->hi = v->value[1];
  if (s->hi < s->lo || s->hi - s->lo >= MAX_VALUES)
    return bad_values(o, vary);
  if (o->options->every_value || s->hi - s->lo < FEW)
    all_values(o->arena, s);
  else
    break_points(o, s);
  return NEO_OK;
}

static bool same_values(const symbol *a, const symbol *b) {
  return a->range == b->range && a->n == b->n && a->lo == b->lo && a->hi == b->hi &&
         memcmp(a->value, b->value, sizeof *a->value * (size_t)a->n) == 0;
}

static int find_symbol(const opening *o, const char *name) {
  for (int s = 0; name && s < o->n_symbols; s++)
    if (o->symbol[s].name && strcmp(o->symbol[s].name, name) == 0)
      return s;
  return -1;
}

static neo_status add_symbol(opening *o, int vary, const char *name) {
  symbol fresh = {.name = name};
  int known = find_symbol(o, name);
  NEO_TRY(read_values(o, vary, &fresh));
  if (known >= 0 && !same_values(&o->symbol[known], &fresh))
    return neo_fail(o->ctx, NEO_USAGE,
                    "--input %s: dimension %d is '%s', which has other values elsewhere",
                    input_of(o, vary), o->options->vary[vary].dim, name);
  if (known < 0) {
    if (o->n_symbols == MAX_SYMBOLS)
      return neo_fail(o->ctx, NEO_USAGE, "--input: more than %d dimensions vary", MAX_SYMBOLS);
    known = o->n_symbols++;
    o->symbol[known] = fresh;
  }
  o->vary_symbol[vary] = known;
  return NEO_OK;
}

/* What the model calls a dimension; NULL: nothing. */
static const char *model_name(const neo_graph *graph, const char *input, int dim) {
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *v = &graph->value[graph->input[i]];
    if (strcmp(v->name, input) == 0 && dim < v->shape.rank)
      return v->dim_name[dim];
  }
  return NULL;
}

/* graph: the model as read with any of the values; NULL: only what the options name. */
static neo_status find_symbols(opening *o, const neo_graph *graph) {
  const neo_project_options *options = o->options;
  o->n_symbols = 0;
  for (int k = 0; k < options->n_vary; k++) {
    const neo_vary *v = &options->vary[k];
    const char *name = v->symbol;
    if (!name && graph)
      name = model_name(graph, input_of(o, k), v->dim);
    if (v->n > 0)
      NEO_TRY(add_symbol(o, k, name));
  }
  for (int k = 0; k < options->n_vary; k++) {
    if (options->vary[k].n > 0)
      continue;
    o->vary_symbol[k] = find_symbol(o, options->vary[k].symbol);
    if (o->vary_symbol[k] < 0)
      return neo_fail(o->ctx, NEO_USAGE,
                      "--input %s: '%s' is no number; name it once with its values: %s=1..8",
                      input_of(o, k), options->vary[k].symbol, options->vary[k].symbol);
  }
  return NEO_OK;
}

/* ---- shapes ------------------------------------------------------------------------------------ */

/* The model's own error comes with the shapes that it is about. */
static neo_status name_shapes(const opening *o, neo_status status, const neo_binding *binding) {
  char own[400];
  neo_buf text = {0};
  snprintf(own, sizeof own, "%.399s", o->ctx->message);
  neo_ctx_clear(o->ctx);
  for (int b = 0; b < o->options->n_bindings; b++) {
    neo_buf_printf(&text, "%s%s=", b ? " " : "", binding[b].name);
    for (int d = 0; d < binding[b].shape.rank; d++)
      neo_buf_printf(&text, "%s%lld", d ? "," : "", (long long)binding[b].shape.dim[d]);
  }
  neo_fail(o->ctx, status, "%s: %s", text.data ? text.data : "", own);
  neo_buf_fini(&text);
  return status;
}

/* value: by symbol. */
static neo_status load(const opening *o, const int64_t *value, neo_project *out) {
  neo_project_options options = *o->options;
  size_t bytes = sizeof(neo_binding) * (size_t)(options.n_bindings + 1);
  neo_binding *binding = neo_alloc(o->ctx, bytes);
  if (!binding)
    return neo_fail(o->ctx, NEO_NO_MEMORY, "shapes");
  if (options.n_bindings)
    memcpy(binding, options.bindings, sizeof *binding * (size_t)options.n_bindings);
  for (int k = 0; k < options.n_vary; k++)
    binding[options.vary[k].binding].shape.dim[options.vary[k].dim] = value[o->vary_symbol[k]];
  options.bindings = binding;
  neo_status status = neo_project_load(o->ctx, &options, out);
  if (status != NEO_OK && options.n_vary > 0)
    name_shapes(o, status, binding);
  neo_free(o->ctx, binding);
  return status;
}

/* Shape number k in falling order: the last symbol turns fastest. */
static void shape_values(const opening *o, int k, int64_t *value) {
  for (int s = o->n_symbols - 1; s >= 0; s--) {
    value[s] = o->symbol[s].value[k % o->symbol[s].n];
    k /= o->symbol[s].n;
  }
}

static int64_t count_shapes(const opening *o) {
  int64_t n = 1;
  for (int s = 0; s < o->n_symbols && n <= NEO_MAX_SHAPES; s++)
    n *= o->symbol[s].n;
  return n;
}

static neo_status check_count(const opening *o) {
  int limit = o->options->max_shapes > 0 ? o->options->max_shapes : DEFAULT_SHAPES;
  limit = limit > NEO_MAX_SHAPES ? NEO_MAX_SHAPES : limit;
  if (count_shapes(o) <= limit)
    return NEO_OK;
  return neo_fail(
      o->ctx, NEO_USAGE,
      "--input: more than %d shapes would get code of their own%s%s; give fewer values, "
      "or raise --max-shapes (to %d at most)",
      limit, o->why[0] ? ": " : "", o->why, NEO_MAX_SHAPES);
}

/* ---- values between breakpoints -------------------------------------------------------------- */

/* May the shape of these values serve every extent of the filled symbol down to `least`? */
static neo_status check_between(const opening *o, const neo_project *wide, const int64_t *value,
                                int64_t least, neo_member *out) {
  int64_t rows = value[o->filled], narrow_value[MAX_SYMBOLS];
  const neo_graph *graph = wide->graph;
  memcpy(narrow_value, value, sizeof narrow_value);
  out->input_rows = neo_arena_alloc(o->arena, sizeof(int) * (size_t)(graph->n_inputs + 1));
  out->output_rows = neo_arena_alloc(o->arena, sizeof(int) * (size_t)(graph->n_outputs + 1));
  for (int64_t n = least; n < rows; n++) {
    neo_project narrow;
    narrow_value[o->filled] = n;
    NEO_TRY(load(o, narrow_value, &narrow));
    const neo_rows_of a = {&wide->partition, rows}, b = {&narrow.partition, n};
    neo_status status = neo_rows_check(o->ctx, &a, &b, out->input_rows, out->output_rows);
    neo_project_close(&narrow);
    NEO_TRY(status);
  }
  out->rows = least < rows ? rows : 0;
  out->rows_least = least;
  return NEO_OK;
}

/* The least extent that the filled symbol's value number `at` has to serve. */
static int64_t least_served(const symbol *s, int64_t value) {
  for (int i = 0; i + 1 < s->n; i++)
    if (s->value[i] == value)
      return s->value[i + 1] + 1;
  return value;
}

/* Loads all shapes, with what they serve. */
static neo_status load_all(opening *o) {
  neo_family *family = o->family;
  int n = (int)count_shapes(o);
  family->member = neo_arena_alloc(o->arena, sizeof *family->member * (size_t)n);
  for (int k = 0; k < n; k++) {
    int64_t value[MAX_SYMBOLS] = {0};
    neo_member *member = &family->member[k];
    shape_values(o, k, value);
    NEO_TRY(load(o, value, &member->project));
    family->n = k + 1;
    if (o->filled < 0)
      continue;
    int64_t least = least_served(&o->symbol[o->filled], value[o->filled]);
    NEO_TRY(check_between(o, &member->project, value, least, member));
  }
  return NEO_OK;
}

static void close_members(neo_family *family) {
  for (int k = 0; k < family->n; k++)
    neo_project_close(&family->member[k].project);
  family->n = 0;
}

/* Only the first symbol that has values between its breakpoints is filled up. */
static neo_status choose_filled(opening *o) {
  o->filled = -1;
  for (int s = 0; s < o->n_symbols; s++) {
    if (!has_gaps(&o->symbol[s]))
      continue;
    if (o->filled < 0)
      o->filled = s;
    else
      all_values(o->arena, &o->symbol[s]);
  }
  return check_count(o);
}

static neo_status load_shapes(opening *o) {
  NEO_TRY(choose_filled(o));
  neo_status status = load_all(o);
  if (status != NEO_UNSUPPORTED || o->filled < 0)
    return status;
  const symbol *filled = &o->symbol[o->filled];
  snprintf(o->why, sizeof o->why, "%lld..%lld%s%s: %.300s", (long long)filled->lo,
           (long long)filled->hi, filled->name ? " of " : "", filled->name ? filled->name : "",
           o->ctx->message);
  neo_log(o->ctx, NEO_LOG_INFO, "every extent gets code of its own: %s", o->why);
  neo_ctx_clear(o->ctx);
  close_members(o->family);
  all_values(o->arena, &o->symbol[o->filled]);
  o->filled = -1;
  NEO_TRY(check_count(o));
  return load_all(o);
}

/* ---- what they share ---------------------------------------------------------------------------- */

static void constant_key(const neo_tensor *tensor, neo_buf *out) {
  out->size = 0;
  neo_shape_print(out, &tensor->shape);
  neo_buf_printf(out, " %d %08x", (int)tensor->dtype,
                 (unsigned)neo_crc32(0, tensor->data, tensor->size));
}

void neo_constants_share(neo_project *first, neo_project *other) {
  neo_map known = {0};
  neo_buf key = {0};
  for (int v = 0; v < first->graph->n_values; v++) {
    const neo_tensor *tensor = first->graph->value[v].constant;
    if (!tensor || tensor->size == 0)
      continue;
    constant_key(tensor, &key);
    if (!neo_map_get(&known, key.data))
      neo_map_put(&known, key.data, (void *)(uintptr_t)tensor);
  }
  for (int v = 0; v < other->graph->n_values; v++) {
    neo_tensor *tensor = other->graph->value[v].constant;
    if (!tensor || tensor->size == 0)
      continue;
    constant_key(tensor, &key);
    const neo_tensor *same = neo_map_get(&known, key.data);
    if (same && same->size == tensor->size && memcmp(same->data, tensor->data, same->size) == 0)
      tensor->data = same->data;
  }
  neo_buf_fini(&key);
  neo_map_fini(&known);
  neo_graph_drop_unused(other->graph);
}

/* One task array for all. */
static void unite_tasks(neo_family *family) {
  int total = 0, n = 0;
  neo_map seen = {0};
  for (int k = 0; k < family->n; k++)
    total += family->member[k].project.n_tasks;
  neo_task *all = neo_arena_alloc(&family->arena, sizeof *all * (size_t)(total + 1));
  for (int k = 0; k < family->n; k++) {
    neo_project *project = &family->member[k].project;
    int *number = neo_arena_alloc(&family->arena, sizeof(int) * (size_t)(project->n_tasks + 1));
    for (int t = 0; t < project->n_tasks; t++) {
      const neo_task *task = &project->task[t];
      char *name = neo_arena_printf(&family->arena, "%s %s", task->group->key, task->signature);
      neo_task *known = neo_map_get(&seen, name);
      if (known) {
        known->weight += task->weight;
      } else {
        known = &all[n++];
        *known = *task;
        neo_map_put(&seen, name, known);
      }
      number[t] = (int)(known - all);
    }
    for (int g = 0; g < project->partition.n_groups; g++)
      if (project->group_task[g] >= 0)
        project->group_task[g] = number[project->group_task[g]];
  }
  for (int k = 0; k < family->n; k++) {
    family->member[k].project.task = all;
    family->member[k].project.n_tasks = n;
    family->member[k].project.n_shapes = family->n;
  }
  neo_map_fini(&seen);
}

/* ---- open ------------------------------------------------------------------------------------------ */

static neo_status open_members(opening *o) {
  neo_family *family = o->family;
  neo_project probe;
  int64_t value[MAX_SYMBOLS] = {0};
  NEO_TRY(find_symbols(o, NULL));
  shape_values(o, 0, value);
  if (o->options->n_vary > 0) {
    NEO_TRY(load(o, value, &probe));
    neo_status status = find_symbols(o, probe.graph);
    for (int s = 0; s < o->n_symbols; s++)
      if (o->symbol[s].name) /* the model's own is gone with it */
        o->symbol[s].name = neo_arena_strdup(o->arena, o->symbol[s].name);
    neo_project_close(&probe);
    NEO_TRY(status);
  }
  NEO_TRY(load_shapes(o));
  for (int k = 0; k < family->n; k++) {
    if (k > 0)
      neo_constants_share(&family->member[0].project, &family->member[k].project);
    NEO_TRY(neo_project_finish(o->ctx, &family->member[k].project));
  }
  unite_tasks(family);
  return NEO_OK;
}

neo_status neo_family_open(neo_ctx *ctx, const neo_project_options *options, neo_family *out) {
  if (options->n_vary > NEO_MAX_VARY)
    return neo_fail(ctx, NEO_USAGE, "--input: more than %d dimensions vary", NEO_MAX_VARY);
  memset(out, 0, sizeof *out);
  neo_arena_init(&out->arena);
  opening *o = neo_alloc(ctx, sizeof *o);
  neo_status status = NEO_NO_MEMORY;
  if (o) {
    o->ctx = ctx;
    o->options = options;
    o->family = out;
    o->arena = &out->arena;
    status = open_members(o);
    neo_free(ctx, o);
  } else {
    neo_fail(ctx, status, "shapes");
  }
  if (status != NEO_OK)
    neo_family_close(out);
  return status;
}

void neo_family_close(neo_family *family) {
  close_members(family);
  neo_arena_fini(&family->arena);
  memset(family, 0, sizeof *family);
}
