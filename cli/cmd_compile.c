/* neo compile: a model file becomes an artifact directory. */
#include <string.h>
#include <unistd.h>

#include "base/host.h"
#include "cli/commands.h"

static void summarise(FILE *out, const neo_family *family, const char *dir,
                      const neo_compile_result *result, double seconds) {
  const neo_project *project = &family->member[0].project;
  fprintf(out, "%s: %d tasks (%d hits, %d near, %d analytic), %d threads, %s\n", dir,
          result->n_tasks, result->hits, result->near, result->analytic, project->threads,
          project->target_text);
  fprintf(out,
          "parameters %.2f MB (the model's own %.2f MB), expected kernel time %.3f ms, compiled in "
          "%.1f s\n",
          (double)result->params_bytes / 1e6, (double)result->weights_bytes / 1e6,
          result->predicted_ns / 1e6, seconds);
  if (family->n > 1)
    fprintf(out, "%d shapes; kernel time is that of the largest\n", family->n);
}

neo_status cli_compile(neo_ctx *ctx, const cli_args *args) {
  const char *dir = cli_value(args, "-o", cli_value(args, "--output", NULL));
  if (!dir)
    return neo_fail(ctx, NEO_USAGE, "say where the artifact goes: --output DIR");
  neo_arena arena;
  neo_arena_init(&arena);
  neo_family family = {0};
  neo_db *db = NULL;
  int64_t jobs = 0;
  uint64_t start = neo_now_ns(ctx);
  neo_status status = cli_int(ctx, args, "--jobs", 1, 256, &jobs);
  if (status == NEO_OK)
    status = cli_database(ctx, args, true, &db);
  if (status == NEO_OK)
    status = cli_family(ctx, args, &arena, &family);
  if (status == NEO_OK) {
    neo_compile_options options = {.output = dir,
                                   .codegen = cli_value(args, "--codegen", NULL),
                                   .sources = cli_has(args, "--sources"),
                                   .jobs = (int)jobs,
                                   .table = cli_has(args, "--quiet") ? NULL : stdout};
    neo_compile_result result;
    status = neo_compile_family(ctx, &family, db, &options, &result);
    if (status == NEO_OK && options.table)
      summarise(stdout, &family, dir, &result, (double)(neo_now_ns(ctx) - start) / 1e9);
    neo_family_close(&family);
  }
  neo_db_close(db);
  neo_arena_fini(&arena);
  return status;
}

static void print_target(void *self, const char *name, const char *about,
                         const neo_target *target) {
  FILE *out = self;
  neo_buf text = {0};
  neo_target_print(&text, target);
  fprintf(out, "%-16s %s\n%-16s %s\n", name, about, "", text.data);
  neo_buf_fini(&text);
}

static void collect_feature(void *self, const char *name) {
  json_array_append_new(self, json_string(name));
}

/* Its parts, for programs; the text is what the rest of Neo goes by. */
static void describe_target(json_t *row, const char *name, const neo_target *target) {
  json_t *features = json_array();
  bool gpu = neo_target_is_gpu(target);
  neo_target_visit_features(target, collect_feature, features);
  json_object_set_new(row, "arch", json_string(target->arch));
  json_object_set_new(row, "triple", json_string(target->triple));
  json_object_set_new(row, "cpu", json_string(target->cpu));
  json_object_set_new(row, "features", features);
  json_object_set_new(row, "vector",
                      json_pack("{s:i, s:i}", "bytes", target->vector_bytes, "registers",
                                target->vector_registers));
  json_object_set_new(row, "caches",
                      json_pack("{s:I, s:I, s:I}", "l1d", (json_int_t)target->l1d, "l2",
                                (json_int_t)target->l2, "l3", (json_int_t)target->l3));
  json_object_set_new(row, "used", json_string(gpu ? target->gpu.api : "cpu"));
  json_object_set_new(row, "accelerators", json_string(neo_target_accelerators(name)));
}

static void collect_target(void *self, const char *name, const char *about,
                           const neo_target *target) {
  neo_buf text = {0};
  neo_target_print(&text, target);
  json_t *row = json_pack("{s:s, s:s, s:s, s:b}", "name", name, "about", about, "target", text.data,
                          "runs_here", neo_target_runs_here(target));
  describe_target(row, name, target);
  json_array_append_new(self, row);
  neo_buf_fini(&text);
}

neo_status cli_targets(neo_ctx *ctx, const cli_args *args) {
  neo_target host;
  NEO_TRY(neo_target_find(ctx, NULL, &host));
  if (!cli_has(args, "--json")) {
    print_target(stdout, "host", "this machine, as detected", &host);
    neo_target_visit(print_target, stdout);
    return NEO_OK;
  }
  json_t *rows = json_array();
  collect_target(rows, "host", "this machine, as detected", &host);
  neo_target_visit(collect_target, rows);
  neo_buf text = {0};
  neo_json_print(&text, rows, true);
  puts(text.data);
  neo_buf_fini(&text);
  json_decref(rows);
  return NEO_OK;
}
