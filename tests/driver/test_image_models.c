/* tests/driver/test_image_models.c: models that decode pictures, by the interpreter and compiled.
 * What the codecs do is tests/image/test_image.c's. */
#include "tests/driver/model_case.h"

static neo_ctx ctx;

/* The picture itself, its mean, and the mean of a constant one. */
static const char *const text =
    "graph 1 \"g\"\n"
    "%%0 input \"bytes\" u8 [1024]\n"
    "%%1 \"picture\" ? ? = image_decode(%%0) {format=1%s} \"decode\"\n"
    "%%2 \"real\" ? ? = cast(%%1) {to=\"f32\"} \"real\"\n"
    "%%3 \"mean\" ? ? = reduce_mean(%%2) {axes=[0,1]} \"mean\"\n"
    "%%4 const \"stored\" u8 [13] {80,53,32,50,32,49,32,50,53,53,10,7,200}\n"
    "%%5 \"other\" ? ? = image_decode(%%4) {format=2} \"fixed\"\n"
    "output %%1 \"picture\"\n"
    "output %%3 \"mean\"\n"
    "output %%5 \"other\"\n";

static void write_model(const char *folder, const char *size, char *path, size_t room) {
  char model[2048];
  snprintf(path, room, "%s/image.graph", folder);
  snprintf(model, sizeof model, text, size);
  must(&ctx, neo_file_write(&ctx, path, model, strlen(model)));
}

static const void *output(neo_rt_session *session, int o) {
  neo_rt_error error = {0};
  const void *data = NULL;
  rt_must(neo_rt_output(session, o, &data, &error), &error);
  return data;
}

static void check_run(neo_rt_session *session, const neo_buf *rgb) {
  neo_rt_error error = {0};
  double sum[3] = {0};
  rt_must(neo_rt_run(session, &error), &error);
  const uint8_t *picture = output(session, 0), *other = output(session, 2);
  const float *mean = output(session, 1);
  for (size_t i = 0; i < rgb->size; i++) {
    assert_int_equal(picture[i / 3 * 3 + 2 - i % 3], (uint8_t)rgb->data[i]);
    sum[2 - i % 3] += (uint8_t)rgb->data[i];
  }
  for (int c = 0; c < 3; c++)
    assert_true(fabs((double)mean[c] - sum[c] / 130) < 1e-3);
  assert_true(other[0] == 7 && other[1] == 200);
}

static void pictures_decode_in_artifacts(void **state) {
  char scratch[256], dir[300], path[300];
  uint8_t bytes[1024] = {0};
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  neo_project project;
  neo_compile_result result;
  neo_buf file = {0}, rgb = {0}; /* of 13 x 10 pixels */
  (void)state;
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  write_model(scratch, ",height=10,width=13", path, sizeof path);
  must(&ctx, neo_file_read(&ctx, NEO_SOURCE_DIR "/tests/data/image/plain.png", 0, &file));
  must(&ctx, neo_file_read(&ctx, NEO_SOURCE_DIR "/tests/data/image/plain.png.rgb", 0, &rgb));
  neo_project_options options = {.model = path, .threads = 1};
  must(&ctx, neo_project_open(&ctx, &options, &project));
  must(&ctx, neo_compile(&ctx, &project, NULL, &(neo_compile_options){.output = dir}, &result));
  neo_project_close(&project);
  rt_must(neo_rt_load(dir, &model, &error), &error);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  memcpy(bytes, file.data, file.size);
  for (int k = 0; k < 2; k++) {
    rt_must(neo_rt_set_input(session, "bytes", bytes, sizeof bytes, &error), &error);
    check_run(session, &rgb);
    static const char wrong[1024] = "P5 3 1 255\nabc";
    rt_must(neo_rt_set_input(session, "bytes", wrong, sizeof wrong, &error), &error);
    assert_int_equal(neo_rt_run(session, &error), NEO_RT_KERNEL);
    assert_string_equal(
        error.text, "run: step 'decode (image_decode)' failed with 3: pnm: the picture is 3 wide "
                    "and 1 high, 13 and 10 expected");
  }
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  neo_buf_fini(&rgb);
  neo_buf_fini(&file);
  scratch_remove(&ctx, scratch);
}

static void a_size_must_come_from_somewhere(void **state) {
  char scratch[256], path[300];
  neo_project project;
  (void)state;
  scratch_create(&ctx, scratch);
  write_model(scratch, "", path, sizeof path);
  neo_project_options options = {.model = path, .threads = 1};
  assert_int_equal(neo_project_open(&ctx, &options, &project), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "give it as --input NAME=HEIGHT,WIDTH"));
  neo_ctx_clear(&ctx);
  scratch_remove(&ctx, scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pictures_decode_in_artifacts),
                                     cmocka_unit_test(a_size_must_come_from_somewhere)};
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
