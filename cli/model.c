/* Options that name a model, its inputs and the store. */
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "cli/commands.h"

static neo_status parse_shape(neo_ctx *ctx, const char *text, const char *whole, neo_shape *out) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  out->rank = 0;
  bool more = !neo_scan_end(&scan);
  while (more) {
    int64_t dim = 0;
    bool good = out->rank < NEO_MAX_RANK && neo_scan_int(&scan, &dim) && dim >= 0;
    more = good && (neo_scan_token(&scan, ",") || neo_scan_token(&scan, "x"));
    if (!good || (!more && !neo_scan_end(&scan)))
      return neo_fail(ctx, NEO_USAGE,
                      "--input %s: '%s' is no shape; write sizes with commas, e.g. 1,3,224,224",
                      whole, text);
    out->dim[out->rank++] = dim;
  }
  return NEO_OK;
}

neo_status cli_binding(neo_ctx *ctx, neo_arena *arena, const char *text, neo_binding *out) {
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
  return parse_shape(ctx, value, text, &out->shape);
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

neo_status cli_project(neo_ctx *ctx, const cli_args *args, const char *model, neo_arena *arena,
                       neo_project *out) {
  neo_project_options options = {.model = model, .target = cli_value(args, "--target", NULL)};
  neo_binding *binding = neo_arena_alloc(arena, sizeof *binding * CLI_MAX_VALUES);
  const char *text;
  int64_t threads = 0;
  while ((text = cli_value_at(args, "--input", options.n_bindings)))
    NEO_TRY(cli_binding(ctx, arena, text, &binding[options.n_bindings++]));
  options.bindings = binding;
  NEO_TRY(cli_int(ctx, args, "--threads", 1, 256, &threads));
  options.threads = (int)threads;
  NEO_TRY(parse_accuracy(ctx, args, &options.accuracy));
  const char *growth = cli_value(args, "--max-params-growth", NULL);
  if (growth) {
    neo_scan scan;
    neo_scan_init(&scan, growth);
    if (!neo_scan_double(&scan, &options.max_params_growth) || options.max_params_growth < 1)
      return neo_fail(ctx, NEO_USAGE, "--max-params-growth %s: a number from 1 is expected",
                      growth);
  }
  NEO_TRY(
      cli_int(ctx, args, "--max-model-bytes", 1 << 20, INT64_MAX / 2, &options.max_model_bytes));
  return neo_project_open(ctx, &options, out);
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
                    "neither HOME nor XDG_DATA_HOME is set: name the database with --db PATH");
  if (create)
    NEO_TRY(neo_dir_create(ctx, dir));
  snprintf(out, size, "%s/tuning.db", dir);
  return NEO_OK;
}

neo_status cli_database(neo_ctx *ctx, const cli_args *args, bool read_only, neo_db **out) {
  const char *url = cli_value(args, "--db", NULL), *environment = getenv("NEO_DB");
  char path[512];
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
  return neo_db_open(ctx, url, read_only, out);
}

void cli_file_name(const char *name, char *out, size_t size) {
  snprintf(out, size, "%s", name);
  for (char *at = out; *at; at++)
    if (*at == '/' || *at == ':')
      *at = '_';
}
