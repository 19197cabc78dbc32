/* Options that name a model, its inputs and the store. */
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "cli/commands.h"

/* ---- --input NAME=SHAPE[:DTYPE] --------------------------------------------------------------------
 *
 * SHAPE is dimensions with commas (or x between numbers); a dimension is N, or of several values:
 * A..B, A/B/C, SYMBOL=A..B, SYMBOL=A/B/C, or a SYMBOL that is given elsewhere. */

typedef struct shape_parse {
  neo_ctx *ctx;
  neo_arena *arena;
  const char *whole;
  cli_inputs *inputs;
  neo_shape *shape;
} shape_parse;

static neo_status bad_shape(const shape_parse *p, const char *text) {
  return neo_fail(p->ctx, NEO_USAGE,
                  "--input %s: '%s' is no shape; write sizes with commas, e.g. 1,3,224,224; a size "
                  "of several values as 1..8 or 1/4/8, with a name as n=1..8",
                  p->whole, text);
}

/* "A..B" or "A/B/C"; one number is a list of one. */
static bool parse_values(const shape_parse *p, neo_scan *scan, neo_vary *out) {
  int64_t value[CLI_MAX_VALUES];
  out->n = 0;
  do {
    if (out->n == CLI_MAX_VALUES || !neo_scan_int(scan, &value[out->n]) || value[out->n] < 0)
      return false;
    out->n++;
    out->range = out->range || (out->n == 1 && neo_scan_token(scan, ".."));
  } while ((out->range && out->n == 1) || (!out->range && neo_scan_token(scan, "/")));
  out->value = neo_arena_copy(p->arena, value, sizeof *value * (size_t)out->n);
  return !out->range || value[0] <= value[1];
}

/* One dimension, or several with x between them. */
static bool parse_dimension(shape_parse *p, neo_scan *scan) {
  char symbol[64] = "";
  neo_vary vary = {.dim = p->shape->rank};
  bool named = neo_scan_name(scan, symbol, sizeof symbol);
  bool valued = !named || neo_scan_token(scan, "=");
  do {
    if (p->shape->rank == NEO_MAX_RANK)
      return false;
    if (valued && !parse_values(p, scan, &vary))
      return false;
    p->shape->dim[p->shape->rank++] = vary.n == 1 ? vary.value[0] : -1;
  } while (!named && vary.n == 1 && neo_scan_token(scan, "x"));
  if (!named && vary.n == 1)
    return true;
  if (p->inputs == NULL || p->inputs->n_vary == NEO_MAX_VARY || vary.dim + 1 != p->shape->rank)
    return false;
  vary.binding = p->inputs->n_bindings;
  vary.symbol = named ? neo_arena_strdup(p->arena, symbol) : NULL;
  p->inputs->vary[p->inputs->n_vary++] = vary;
  return true;
}

static neo_status parse_shape(shape_parse *p, const char *text) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  p->shape->rank = 0;
  bool more = !neo_scan_end(&scan);
  while (more) {
    if (!parse_dimension(p, &scan))
      return bad_shape(p, text);
    more = neo_scan_token(&scan, ",");
    if (!more && !neo_scan_end(&scan))
      return bad_shape(p, text);
  }
  return NEO_OK;
}

neo_status cli_binding(neo_ctx *ctx, neo_arena *arena, const char *text, cli_inputs *inputs,
                       neo_binding *out) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return neo_fail(ctx, NEO_USAGE, "--input %s: write NAME=SHAPE or NAME=SHAPE:DTYPE", text);
  memset(out, 0, sizeof *out);
  out->name = neo_arena_strndup(arena, text, (size_t)(equals - text));
  char *value = neo_arena_strdup(arena, equals + 1);
  char *colon = strrchr(value, ':');
  if (colon) {
    out->has_dtype = true;
    if (!neo_dtype_find(colon + 1, &out->dtype))
      return neo_fail(ctx, NEO_USAGE, "--input %s: '%s' is no dtype; use f32, i64, u8, ...", text,
                      colon + 1);
    *colon = '\0';
  }
  shape_parse p = {
      .ctx = ctx, .arena = arena, .whole = text, .inputs = inputs, .shape = &out->shape};
  return parse_shape(&p, value);
}

neo_status cli_read_inputs(neo_ctx *ctx, const cli_args *args, neo_arena *arena, cli_inputs *out) {
  const char *text;
  memset(out, 0, sizeof *out);
  NEO_TRY(cli_names_once(ctx, args, "--input"));
  while ((text = cli_value_at(args, "--input", out->n_bindings))) {
    NEO_TRY(cli_binding(ctx, arena, text, out, &out->binding[out->n_bindings]));
    out->n_bindings++;
  }
  return NEO_OK;
}

static const neo_vary *values_of(const cli_inputs *inputs, const neo_vary *vary) {
  for (int k = 0; vary->n == 0 && k < inputs->n_vary; k++)
    if (inputs->vary[k].n > 0 && inputs->vary[k].symbol &&
        strcmp(inputs->vary[k].symbol, vary->symbol) == 0)
      return &inputs->vary[k];
  return vary;
}

void cli_largest_inputs(cli_inputs *inputs) {
  for (int k = 0; k < inputs->n_vary; k++) {
    const neo_vary *vary = &inputs->vary[k], *values = values_of(inputs, vary);
    int64_t *dim = &inputs->binding[vary->binding].shape.dim[vary->dim];
    for (int i = 0; i < values->n; i++)
      *dim = values->value[i] > *dim ? values->value[i] : *dim;
  }
}

static neo_status parse_accuracy(neo_ctx *ctx, const cli_args *args, neo_accuracy *out) {
  const char *text = cli_value(args, "--accuracy", "default");
  for (int a = NEO_ACCURACY_EXACT; a <= NEO_ACCURACY_FAST; a++)
    if (strcmp(neo_accuracy_name((neo_accuracy)a), text) == 0) {
      *out = (neo_accuracy)a;
      return NEO_OK;
    }
  return neo_fail(ctx, NEO_USAGE, "--accuracy %s: use exact, default or fast", text);
}

/* --breakpoints all or A/B/C. */
static neo_status parse_breakpoints(neo_ctx *ctx, const cli_args *args, neo_arena *arena,
                                    neo_project_options *out) {
  const char *text = cli_value(args, "--breakpoints", NULL);
  neo_vary values = {0};
  shape_parse p = {.ctx = ctx, .arena = arena};
  neo_scan scan;
  if (!text)
    return NEO_OK;
  out->every_value = strcmp(text, "all") == 0;
  neo_scan_init(&scan, text);
  if (!out->every_value &&
      (!parse_values(&p, &scan, &values) || values.range || !neo_scan_end(&scan)))
    return neo_fail(ctx, NEO_USAGE, "--breakpoints %s: write values as 2/6/12, or all", text);
  out->n_breakpoints = values.n;
  out->breakpoints = values.value;
  return NEO_OK;
}

static neo_status parse_growth(neo_ctx *ctx, const cli_args *args, double *out) {
  const char *growth = cli_value(args, "--max-params-growth", NULL);
  neo_scan scan;
  if (!growth)
    return NEO_OK;
  neo_scan_init(&scan, growth);
  if (!neo_scan_double(&scan, out) || *out < 1)
    return neo_fail(ctx, NEO_USAGE, "--max-params-growth %s: a number from 1 is expected", growth);
  return NEO_OK;
}

neo_status cli_family(neo_ctx *ctx, const cli_args *args, neo_arena *arena, neo_family *out) {
  neo_project_options options = {.model = args->argument[0],
                                 .target = cli_value(args, "--target", NULL)};
  cli_inputs *inputs = neo_arena_alloc(arena, sizeof *inputs);
  int64_t threads = 0, shapes = 0;
  NEO_TRY(cli_read_inputs(ctx, args, arena, inputs));
  options.n_bindings = inputs->n_bindings;
  options.bindings = inputs->binding;
  options.n_vary = inputs->n_vary;
  options.vary = inputs->vary;
  NEO_TRY(parse_breakpoints(ctx, args, arena, &options));
  NEO_TRY(cli_int(ctx, args, "--max-shapes", 1, NEO_MAX_SHAPES, &shapes));
  options.max_shapes = (int)shapes;
  NEO_TRY(cli_int(ctx, args, "--threads", 1, 256, &threads));
  options.threads = (int)threads;
  NEO_TRY(parse_accuracy(ctx, args, &options.accuracy));
  NEO_TRY(parse_growth(ctx, args, &options.max_params_growth));
  NEO_TRY(
      cli_int(ctx, args, "--max-model-bytes", 1 << 20, INT64_MAX / 2, &options.max_model_bytes));
  return neo_family_open(ctx, &options, out);
}

static neo_status default_path(neo_ctx *ctx, char *out, size_t size, bool create) {
  const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
  char dir[480];
  if (base && base[0])
    snprintf(dir, sizeof dir, "%s/neo", base);
  else if (home && home[0])
    snprintf(dir, sizeof dir, "%s/.local/share/neo", home);
  else
    return neo_fail(ctx, NEO_USAGE,
                    "neither HOME nor XDG_DATA_HOME is set: name the database with --db PATH (for "
                    "`neo compile` without records: --db none)");
  if (create)
    NEO_TRY(neo_dir_create(ctx, dir));
  snprintf(out, size, "%s/tuning.db", dir);
  return NEO_OK;
}

neo_status cli_database(neo_ctx *ctx, const cli_args *args, bool read_only, neo_db **out) {
  const char *url = cli_value(args, "--db", NULL), *environment = getenv("NEO_DB");
  char path[512];
  bool given = url != NULL;
  *out = NULL;
  if (!url && environment && environment[0])
    url = environment;
  if (url && strcmp(url, "none") == 0)
    return NEO_OK;
  if (!url) {
    NEO_TRY(default_path(ctx, path, sizeof path, !read_only));
    if (read_only && !neo_file_exists(path))
      return NEO_OK;
    url = path;
  }
  const char *file = strncmp(url, "sqlite:", 7) == 0 ? url + 7 : url;
  if (read_only && !strstr(file, "://") && !neo_file_exists(file))
    return neo_fail(ctx, NEO_UNREACHABLE,
                    "database %s: there is no such file%s; neo-tune makes it, --db none does "
                    "without records",
                    file, given ? "" : " ($NEO_DB names it)");
  return neo_db_open(ctx, url, read_only, out);
}

void cli_file_name(const char *name, char *out, size_t size) {
  snprintf(out, size, "%s", name);
  for (char *at = out; *at; at++)
    if (*at == '/' || *at == ':')
      *at = '_';
}
