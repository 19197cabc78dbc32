/* tests/frontends/hostile_file.h: what tests of damaged model files share: a scratch folder,
 * importing bytes. Truncations and flipped bits are the replays of the fuzz targets (tests/fuzz).
 * Include cmocka first. */
#ifndef NEO_TESTS_HOSTILE_FILE_H
#define NEO_TESTS_HOSTILE_FILE_H

#include "base/host.h"
#include "frontends/frontends.h"

static neo_ctx hostile_ctx;
static char hostile_folder[256];

static int hostile_start(void **state) {
  (void)state;
  neo_ctx_init(&hostile_ctx, 1);
  return neo_dir_temp(&hostile_ctx, NULL, hostile_folder) == NEO_OK ? 0 : -1;
}

static int hostile_stop(void **state) {
  (void)state;
  return neo_dir_remove(&hostile_ctx, hostile_folder) == NEO_OK ? 0 : -1;
}

static inline void hostile_load(const char *folder, const char *name, neo_buf *out) {
  char path[600];
  snprintf(path, sizeof path, "%s/%s%s", NEO_SOURCE_DIR, folder, name);
  assert_int_equal(neo_file_read(&hostile_ctx, path, 0, out), NEO_OK);
}

/* Imports the bytes, binds free dims to 2 and infers; the first failure. */
static inline neo_status hostile_import(const void *data, size_t size) {
  char path[300];
  neo_graph *graph = NULL;
  neo_import_options options = {.max_model_bytes = 64 << 20};
  snprintf(path, sizeof path, "%s/model", hostile_folder);
  neo_ctx_clear(&hostile_ctx);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
  neo_status status = neo_import(&hostile_ctx, path, &options, &graph);
  if (status != NEO_OK)
    return status;
  for (int i = 0; i < graph->n_inputs; i++) {
    neo_shape *shape = &graph->value[graph->input[i]].shape;
    for (int d = 0; d < shape->rank; d++)
      if (shape->dim[d] < 0 || shape->dim[d] > 64)
        shape->dim[d] = 2;
  }
  status = neo_pass_bind(&hostile_ctx, graph, 0, NULL);
  if (status == NEO_OK)
    status = neo_pass_infer(&hostile_ctx, graph);
  neo_graph_destroy(graph);
  return status;
}

static inline void hostile_expect(const void *data, size_t size, neo_status want,
                                  const char *part) {
  neo_status status = hostile_import(data, size);
  if (status != want || !strstr(hostile_ctx.message, part))
    print_message("status %s, message: %s\n", neo_status_name(status), hostile_ctx.message);
  assert_int_equal(status, want);
  assert_non_null(strstr(hostile_ctx.message, part));
}

#endif
