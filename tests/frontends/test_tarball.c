/* tests/frontends/test_tarball.c: models in .tar.gz files, made here by libarchive; hostile ones
 * are refused and leave nothing behind. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

static neo_ctx ctx;
static char folder[256], path[300];
static neo_buf model;

static int setup(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_dir_temp(&ctx, NULL, folder), NEO_OK);
  setenv("TMPDIR", folder, 1);
  snprintf(path, sizeof path, "%s/model.tar.gz", folder);
  return neo_file_read(&ctx, NEO_SOURCE_DIR "/tests/data/onnx/mnist_cnn_op13/model.onnx", 0,
                       &model);
}

static int teardown(void **state) {
  (void)state;
  neo_buf_fini(&model);
  return neo_dir_remove(&ctx, folder);
}

typedef struct member {
  const char *name;
  const void *data;
  size_t size;
  int type;
} member;

static void pack(int n, const member *members) {
  struct archive *out = archive_write_new();
  archive_write_add_filter_gzip(out);
  archive_write_set_format_pax_restricted(out);
  assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
  for (int i = 0; i < n; i++) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, members[i].name);
    archive_entry_set_filetype(entry, (unsigned)members[i].type);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (int64_t)members[i].size);
    if (members[i].type == AE_IFLNK)
      archive_entry_set_symlink(entry, "/etc/passwd");
    assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
    if (members[i].size)
      archive_write_data(out, members[i].data, members[i].size);
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
}

/* Nothing but the archive itself is left in TMPDIR. */
static void nothing_left(void) {
  DIR *dir = opendir(folder);
  for (struct dirent *entry; (entry = readdir(dir));)
    if (entry->d_name[0] != '.')
      assert_string_equal(entry->d_name, "model.tar.gz");
  closedir(dir);
}

static void expect(neo_status wanted, const char *words, const neo_import_options *options) {
  neo_graph *graph = NULL;
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_import(&ctx, path, options, &graph), wanted);
  if (wanted == NEO_OK) {
    neo_shape shape = {4, {1, 1, 28, 28}};
    neo_binding binding = {graph->value[graph->input[0]].name, shape, false, NEO_F32};
    assert_int_equal(neo_pass_bind(&ctx, graph, 1, &binding), NEO_OK);
    assert_int_equal(neo_graph_optimise(&ctx, graph), NEO_OK); /* reads the weights */
    neo_graph_destroy(graph);
  } else if (!strstr(ctx.message, words)) {
    fail_msg("'%s' is not in: %s", words, ctx.message);
  }
  nothing_left();
}

static void a_model_in_a_tarball(void **state) {
  (void)state;
  const member members[] = {{"export", NULL, 0, AE_IFDIR},
                            {"export/README.txt", "hello", 5, AE_IFREG},
                            {"export/a/model.onnx", model.data, model.size, AE_IFREG}};
  pack(3, members);
  assert_string_equal(neo_import_format(&ctx, path), "tar");
  expect(NEO_OK, NULL, NULL);
}

static void none_or_two_models(void **state) {
  (void)state;
  const member members[] = {{"README.txt", "hello", 5, AE_IFREG},
                            {"a.onnx", model.data, model.size, AE_IFREG},
                            {"b.onnx", model.data, model.size, AE_IFREG}};
  pack(1, members);
  expect(NEO_BAD_INPUT, "no model", NULL);
  pack(3, members);
  expect(NEO_BAD_INPUT, "it): a.onnx, b.onnx", NULL);
}

static void hostile_archives(void **state) {
  (void)state;
  const member out[] = {{"../../evil.onnx", model.data, model.size, AE_IFREG}};
  const member link[] = {{"model.onnx", NULL, 0, AE_IFLNK}};
  const member good[] = {{"model.onnx", model.data, model.size, AE_IFREG}};
  pack(1, out);
  expect(NEO_BAD_INPUT, "leaves the archive", NULL);
  pack(1, link);
  expect(NEO_UNSUPPORTED, "neither a file nor a folder", NULL);
  pack(1, good);
  neo_import_options options = {.max_model_bytes = 100000};
  expect(NEO_BAD_INPUT, "--max-model-bytes", &options);
}

static void truncated_and_flipped(void **state) {
  (void)state;
  const member good[] = {{"model.onnx", model.data, model.size, AE_IFREG}};
  neo_buf whole = {0};
  pack(1, good);
  assert_int_equal(neo_file_read(&ctx, path, 0, &whole), NEO_OK);
  for (size_t k = 0; k < 64; k++) {
    neo_graph *graph = NULL;
    assert_int_equal(neo_file_write(&ctx, path, whole.data, whole.size * k / 64), NEO_OK);
    assert_int_not_equal(neo_import(&ctx, path, NULL, &graph), NEO_OK);
    ((uint8_t *)whole.data)[whole.size * k / 64] ^= 0x10;
    assert_int_equal(neo_file_write(&ctx, path, whole.data, whole.size), NEO_OK);
    if (neo_import(&ctx, path, NULL, &graph) == NEO_OK)
      neo_graph_destroy(graph);
    ((uint8_t *)whole.data)[whole.size * k / 64] ^= 0x10;
    nothing_left();
  }
  neo_buf_fini(&whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_in_a_tarball),
      cmocka_unit_test(none_or_two_models),
      cmocka_unit_test(hostile_archives),
      cmocka_unit_test(truncated_and_flipped),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
