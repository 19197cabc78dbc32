/* Files and JSON of base/host: atomic writes, limits, errors that name the path, canonical JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/host.h"

static neo_ctx ctx;
static char dir[256];

static int make_dir(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return neo_dir_temp(&ctx, NULL, dir) == NEO_OK ? 0 : -1;
}

static int remove_dir(void **state) {
  (void)state;
  return neo_dir_remove(&ctx, dir) == NEO_OK && !neo_file_exists(dir) ? 0 : -1;
}

static const char *in_dir(const char *name) {
  static char path[512];
  snprintf(path, sizeof(path), "%s/%s", dir, name);
  return path;
}

static int count_entries(void) {
  DIR *handle = opendir(dir);
  int n = 0;
  while (readdir(handle))
    n++;
  closedir(handle);
  return n - 2;
}

static void expect_content(const char *path, const char *content) {
  neo_buf buf = {0};
  assert_int_equal(neo_file_read(&ctx, path, 0, &buf), NEO_OK);
  assert_string_equal(buf.data, content);
  neo_buf_fini(&buf);
}

static void test_write_then_read(void **state) {
  (void)state;
  assert_int_equal(neo_file_write(&ctx, in_dir("a"), "first", 5), NEO_OK);
  assert_int_equal(neo_file_write(&ctx, in_dir("a"), "2nd", 3), NEO_OK);
  expect_content(in_dir("a"), "2nd");
  assert_int_equal(neo_file_write(&ctx, in_dir("empty"), NULL, 0), NEO_OK);
  expect_content(in_dir("empty"), "");
  assert_int_equal(count_entries(), 2);
}

static void test_failed_write_leaves_the_old_file(void **state) {
  (void)state;
  assert_int_equal(neo_file_write(&ctx, in_dir("a"), "old", 3), NEO_OK);
  static char big[100000];
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {5000, 5000};
    setrlimit(RLIMIT_FSIZE, &limit);
    neo_status status = neo_file_write(&ctx, in_dir("a"), big, sizeof(big));
    _exit(status == NEO_IO && strstr(ctx.message, "/a") ? 0 : 1);
  }
  int status;
  waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
  expect_content(in_dir("a"), "old");
  assert_int_equal(count_entries(), 1);
}

/* A pipe, behind a link, as /dev/stdout is: written into; a file that took its name would harm. */
static void test_what_is_no_file_is_written_into(void **state) {
  (void)state;
  char pipe_path[512], got[8] = "";
  struct stat info;
  snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", dir);
  assert_int_equal(mkfifo(pipe_path, 0600), 0);
  assert_int_equal(symlink(pipe_path, in_dir("link")), 0);
  int fd = open(pipe_path, O_RDONLY | O_NONBLOCK);
  assert_true(fd >= 0);
  assert_int_equal(neo_file_write(&ctx, in_dir("link"), "text", 4), NEO_OK);
  assert_int_equal(read(fd, got, sizeof(got)), 4);
  assert_string_equal(got, "text");
  close(fd);
  assert_int_equal(lstat(pipe_path, &info), 0);
  assert_true(S_ISFIFO(info.st_mode));
  assert_int_equal(lstat(in_dir("link"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_int_equal(symlink("/dev/full", in_dir("full")), 0);
  assert_int_equal(neo_file_write(&ctx, in_dir("full"), "text", 4), NEO_IO);
  assert_non_null(strstr(ctx.message, "/full: cannot write: No space"));
  assert_int_equal(lstat(in_dir("full"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_int_equal(count_entries(), 3);
  neo_ctx_clear(&ctx);
}

static void expect_failure(neo_status got, neo_status wanted, const char *named) {
  assert_int_equal(got, wanted);
  assert_int_equal(ctx.status, wanted);
  assert_non_null(strstr(ctx.message, named));
  neo_ctx_clear(&ctx);
}

static void test_errors_name_the_path(void **state) {
  (void)state;
  neo_buf buf = {0};
  neo_mapping map;
  expect_failure(neo_file_read(&ctx, in_dir("none"), 0, &buf), NEO_IO,
                 "/none: cannot open: No such");
  expect_failure(neo_file_read(&ctx, dir, 0, &buf), NEO_IO, "Is a directory");
  expect_failure(neo_file_map(&ctx, in_dir("none"), &map), NEO_IO, "/none");
  expect_failure(neo_file_write(&ctx, in_dir("no/such"), "x", 1), NEO_IO, "/no/such");
  assert_int_equal(neo_file_write(&ctx, in_dir("ten"), "0123456789", 10), NEO_OK);
  expect_failure(neo_file_read(&ctx, in_dir("ten"), 9, &buf), NEO_BAD_INPUT, "limit is 9");
  expect_failure(neo_file_read(&ctx, "/dev/zero", 100000, &buf), NEO_BAD_INPUT, "100000");
  assert_null(buf.data);
  expect_failure(neo_dir_create(&ctx, in_dir("ten/below")), NEO_IO, "/ten");
  expect_failure(neo_dir_create(&ctx, ""), NEO_IO, "''");
}

static void test_directories(void **state) {
  (void)state;
  assert_int_equal(neo_dir_create(&ctx, in_dir("x/y//z/")), NEO_OK);
  assert_int_equal(neo_dir_create(&ctx, in_dir("x/y/z")), NEO_OK);
  assert_int_equal(neo_file_write(&ctx, in_dir("x/y/f"), "1", 1), NEO_OK);
  assert_int_equal(neo_file_write(&ctx, in_dir("kept"), "1", 1), NEO_OK);
  char target[512];
  snprintf(target, sizeof(target), "%s/kept", dir);
  assert_int_equal(symlink(target, in_dir("x/link")), 0);
  assert_int_equal(neo_dir_remove(&ctx, in_dir("x")), NEO_OK);
  assert_false(neo_file_exists(in_dir("x")));
  assert_true(neo_file_exists(in_dir("kept")));
  assert_int_equal(neo_dir_remove(&ctx, in_dir("x")), NEO_OK);
}

static void test_map_a_file(void **state) {
  (void)state;
  neo_mapping map;
  assert_int_equal(neo_file_write(&ctx, in_dir("m"), "mapped", 6), NEO_OK);
  assert_int_equal(neo_file_map(&ctx, in_dir("m"), &map), NEO_OK);
  assert_int_equal(map.size, 6);
  assert_memory_equal(map.data, "mapped", 6);
  neo_file_unmap(&map);
  assert_null(map.data);
  assert_int_equal(neo_file_write(&ctx, in_dir("e"), "", 0), NEO_OK);
  assert_int_equal(neo_file_map(&ctx, in_dir("e"), &map), NEO_OK);
  assert_int_equal(map.size, 0);
  neo_file_unmap(&map);
}

static void check_json(const char *text, bool pretty, const char *expected) {
  json_t *json = NULL;
  assert_int_equal(neo_json_parse(&ctx, "test", text, strlen(text), &json), NEO_OK);
  neo_buf buf = {0};
  neo_json_print(&buf, json, pretty);
  assert_string_equal(buf.data, expected);
  json_decref(json);
  neo_buf_fini(&buf);
}

static void test_json_is_canonical(void **state) {
  (void)state;
  check_json("{\"b\":[1,2.0,0.1,1e300,true,null],\"a\":{}, \"c\":[]}", false,
             "{\"a\":{},\"b\":[1,2.0,0.1,1e+300,true,null],\"c\":[]}");
  check_json("{\"k\":[1,{\"x\":\"\\u00e9\\n\"}]}", true,
             "{\n  \"k\": [\n    1,\n    {\n      \"x\": \"\xc3\xa9\\n\"\n    }\n  ]\n}\n");
}

/* Names that were no UTF-8, or were cut within a character, left nothing to print. */
static void test_json_names_are_strings(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"n\u00e9", "n\u00e9"}, {"n\xe9", "n?"}, {"n\u00e9\xc3", "n???"}, {"", ""}, {NULL, ""}};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    json_t *name = neo_json_name(rows[i][0]);
    assert_non_null(name);
    assert_string_equal(json_string_value(name), rows[i][1]);
    json_decref(name);
  }
}

static void test_json_errors_have_a_place(void **state) {
  (void)state;
  json_t *json = NULL;
  const char *text = "{\n \"a\": }";
  expect_failure(neo_json_parse(&ctx, "meta.json", text, strlen(text), &json), NEO_BAD_INPUT,
                 "meta.json: line 2 column");
  expect_failure(neo_json_parse(&ctx, "x", "{\"a\":1,\"a\":2}", 13, &json), NEO_BAD_INPUT, "x:");
  expect_failure(neo_json_parse(&ctx, "x", "", 0, &json), NEO_BAD_INPUT, "x:");
  assert_null(json);
}

static void test_json_quote_is_always_valid(void **state) {
  (void)state;
  neo_buf buf = {0};
  neo_json_quote(&buf, "a\"\\\n\t\x01\x7f/");
  assert_string_equal(buf.data, "\"a\\\"\\\\\\n\\t\\u0001\\u007f/\"");
  neo_rng rng;
  neo_rng_init(&rng, 9);
  for (int round = 0; round < 5000; round++) {
    char bytes[12];
    for (size_t i = 0; i + 1 < sizeof(bytes); i++)
      bytes[i] = (char)(0x60 + neo_rng_below(&rng, 0xa0));
    bytes[sizeof(bytes) - 1] = '\0';
    neo_buf_clear(&buf);
    neo_buf_text(&buf, "[");
    neo_json_quote(&buf, bytes);
    neo_buf_text(&buf, "]");
    json_t *json = NULL;
    assert_int_equal(neo_json_parse(&ctx, "quoted", buf.data, buf.size, &json), NEO_OK);
    json_decref(json);
  }
  neo_buf_fini(&buf);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_DIR(test_write_then_read),
      WITH_DIR(test_what_is_no_file_is_written_into),
      WITH_DIR(test_failed_write_leaves_the_old_file),
      WITH_DIR(test_errors_name_the_path),
      WITH_DIR(test_directories),
      WITH_DIR(test_map_a_file),
      cmocka_unit_test(test_json_is_canonical),
      cmocka_unit_test(test_json_names_are_strings),
      cmocka_unit_test(test_json_errors_have_a_place),
      cmocka_unit_test(test_json_quote_is_always_valid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
