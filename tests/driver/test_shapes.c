/* tests/driver/test_shapes.c: models compiled for a range of batches give for every batch in it
 * what they give for one row at a time; kernels and parameters are shared; what cannot be is
 * refused by name. */
#include "tests/driver/model_case.h"

enum { MOST = 6 };

typedef struct row {
  const char *name;
  int shapes; /* for 1..6: 1, 2, 4 and 6, or all */
} row;

static const row rows[] = {
    {"mnist_cnn_op13", 4}, {"mobilenet_v1_025_tf1_tf2onnx", 4},
    {"lstm_text_op13", 6}, {"skl_forest", 4},
    {"unet_op13", 4},
};

typedef struct fixture {
  neo_ctx ctx;
  char scratch[256], dir[300];
  model_case c;
} fixture;

static void set_up(fixture *f, const char *name) {
  memset(f, 0, sizeof *f);
  neo_ctx_init(&f->ctx, 1);
  case_load(&f->ctx, name, &f->c);
  scratch_create(&f->ctx, f->scratch);
  snprintf(f->dir, sizeof f->dir, "%s/artifact", f->scratch);
}

static void tear_down(fixture *f) {
  scratch_remove(&f->ctx, f->scratch);
  case_release(&f->ctx, &f->c);
}

static neo_status open_range(fixture *f, const neo_vary *vary, int n_vary, int max_shapes,
                             neo_family *out) {
  neo_binding binding = {.name = f->c.input_name, .shape = f->c.input.shape};
  neo_project_options options = {.model = f->c.model,
                                 .n_bindings = 1,
                                 .bindings = &binding,
                                 .n_vary = n_vary,
                                 .vary = vary,
                                 .max_shapes = max_shapes,
                                 .threads = 1};
  for (int k = 0; k < n_vary; k++)
    binding.shape.dim[vary[k].dim] = -1;
  return neo_family_open(&f->ctx, &options, out);
}

/* Row k of a batch: the case's first one, rotated by k elements. */
static uint8_t *batch_of(const model_case *c, int n, size_t *bytes) {
  size_t one = c->input.size / (size_t)c->input.shape.dim[0], size = neo_dtype_size(c->input.dtype);
  uint8_t *out = malloc(one * (size_t)n);
  assert_non_null(out);
  for (int k = 0; k < n; k++) {
    size_t turn = (size_t)k * size % one;
    memcpy(out + (size_t)k * one, (uint8_t *)c->input.data + turn, one - turn);
    memcpy(out + (size_t)k * one + one - turn, c->input.data, turn);
  }
  *bytes = one * (size_t)n;
  return out;
}

/* Runs the batch; the first output as doubles. */
static double *run_batch(const fixture *f, neo_rt_session *session, int n, int64_t *elements) {
  neo_rt_error error = {0};
  neo_rt_tensor_info info;
  size_t bytes = 0;
  const void *data = NULL;
  uint8_t *x = batch_of(&f->c, n, &bytes);
  rt_must(neo_rt_set_input(session, f->c.input_name, x, bytes, &error), &error);
  rt_must(neo_rt_run(session, &error), &error);
  rt_must(neo_rt_output(session, 0, &data, &error), &error);
  assert_int_equal(neo_rt_output_shape(session, 0, &info), 0);
  assert_int_equal(info.dim[0], n);
  neo_tensor tensor = {.data = (void *)(uintptr_t)data, .size = info.bytes};
  assert_true(neo_dtype_find(info.dtype, &tensor.dtype));
  *elements = (int64_t)(info.bytes / neo_dtype_size(tensor.dtype));
  double *out = malloc(sizeof *out * (size_t)(*elements + 1));
  assert_non_null(out);
  for (int64_t i = 0; i < *elements; i++)
    out[i] = neo_tensor_get_f64(&tensor, i);
  free(x);
  return out;
}

static void every_batch_is_right(const fixture *f, neo_rt_session *session) {
  int64_t each = 0, all = 0;
  /* row k alone: the batch of k + 1 has it last, in an order of its own */
  double *most = run_batch(f, session, MOST, &all);
  each = all / MOST;
  for (int turn = 0; turn < 2; turn++)
    for (int n = turn ? 1 : MOST - 1; turn ? n < MOST : n > 0; n += turn ? 1 : -1) {
      double *got = run_batch(f, session, n, &all);
      assert_int_equal(all, n * each);
      for (int64_t i = 0; i < all; i++)
        if (!(fabs(got[i] - most[i]) <= f->c.atol + f->c.rtol * fabs(most[i])))
          fail_msg("batch %d, element %d: %g, %g expected", n, (int)i, got[i], most[i]);
      free(got);
    }
  free(most);
}

static void range_of_batches(void **state) {
  const row *what = *state;
  fixture f;
  neo_family family;
  neo_compile_result result;
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  static const int64_t range[] = {1, MOST};
  const neo_vary vary = {.range = true, .n = 2, .value = range};
  set_up(&f, what->name);
  must(&f.ctx, open_range(&f, &vary, 1, 0, &family));
  if (what->shapes)
    assert_int_equal(family.n, what->shapes);
  neo_compile_options options = {.output = f.dir};
  must(&f.ctx, neo_compile_family(&f.ctx, &family, NULL, &options, &result));
  assert_true((double)result.params_bytes <= 4.0 * (double)result.weights_bytes + 65536);
  assert_int_equal(result.analytic, result.n_tasks);
  rt_must(neo_rt_load(f.dir, &model, &error), &error);
  assert_int_equal(neo_rt_shapes(model), family.n);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  every_batch_is_right(&f, session);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  neo_family_close(&family);
  tear_down(&f);
}

/* Against the framework's own output. */
static void the_case_is_right(void **state) {
  (void)state;
  fixture f;
  neo_family family;
  neo_compile_result result;
  set_up(&f, "mnist_cnn_op13");
  int64_t list[] = {0, 3, 9};
  list[0] = f.c.input.shape.dim[0];
  const neo_vary vary = {.n = 3, .value = list};
  must(&f.ctx, open_range(&f, &vary, 1, 0, &family));
  neo_compile_options options = {.output = f.dir};
  must(&f.ctx, neo_compile_family(&f.ctx, &family, NULL, &options, &result));
  const neo_graph *largest = family.member[0].project.graph;
  assert_int_equal(largest->value[largest->input[0]].shape.dim[0], 64);
  neo_rt_error error = {0};
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  const void *data = NULL;
  neo_rt_tensor_info info;
  rt_must(neo_rt_load(f.dir, &model, &error), &error);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  rt_must(neo_rt_set_input(session, f.c.input_name, f.c.input.data, f.c.input.size, &error),
          &error);
  rt_must(neo_rt_run(session, &error), &error);
  rt_must(neo_rt_output(session, 0, &data, &error), &error);
  assert_int_equal(neo_rt_output_shape(session, 0, &info), 0);
  assert_int_equal(info.bytes, f.c.want.size);
  for (int64_t i = 0; i < (int64_t)(info.bytes / 4); i++) {
    double want = neo_tensor_get_f64(&f.c.want, i), got = (double)((const float *)data)[i];
    assert_true(fabs(got - want) <= f.c.atol + f.c.rtol * fabs(want));
  }
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  neo_family_close(&family);
  tear_down(&f);
}

/* The parameters of four shapes are not four times those of one; kernels of equal tasks are one. */
static void what_is_equal_is_stored_once(void **state) {
  (void)state;
  fixture f;
  neo_family family, single;
  neo_compile_result many, one;
  set_up(&f, "mnist_cnn_op13");
  static const int64_t values[] = {1, 2, 4, 8}, last[] = {8};
  const neo_vary list = {.n = 4, .value = values}, just = {.n = 1, .value = last};
  neo_compile_options options = {.output = f.dir};
  must(&f.ctx, open_range(&f, &list, 1, 0, &family));
  must(&f.ctx, neo_compile_family(&f.ctx, &family, NULL, &options, &many));
  must(&f.ctx, open_range(&f, &just, 1, 0, &single));
  must(&f.ctx, neo_compile_family(&f.ctx, &single, NULL, &options, &one));
  assert_int_equal(many.weights_bytes, one.weights_bytes);
  assert_true((double)many.params_bytes <= 1.5 * (double)one.params_bytes);
  for (int k = 0; k < family.n; k++) {
    assert_ptr_equal(family.member[k].project.task, family.member[0].project.task);
    for (int v = 0; v < family.member[k].project.graph->n_values; v++) {
      const neo_tensor *a = family.member[0].project.graph->value[v].constant,
                       *b = family.member[k].project.graph->value[v].constant;
      if (a && b && a->size == b->size && memcmp(a->data, b->data, a->size) == 0)
        assert_ptr_equal(a->data, b->data);
    }
  }
  neo_family_close(&single);
  neo_family_close(&family);
  tear_down(&f);
}

static void expect_refused(fixture *f, const neo_vary *vary, int n, int max_shapes,
                           const char *words) {
  neo_family family;
  assert_int_equal(open_range(f, vary, n, max_shapes, &family), NEO_USAGE);
  if (!strstr(f->ctx.message, words))
    fail_msg("'%s' does not say '%s'", f->ctx.message, words);
  neo_ctx_clear(&f->ctx);
}

static void what_cannot_be_is_refused(void **state) {
  (void)state;
  fixture f;
  set_up(&f, "mobilenet_v1_025_tf1_tf2onnx");
  static const int64_t sizes[] = {90, 96}, none[] = {0, 4}, many[] = {1, 100000}, few[] = {1, 2};
  neo_vary size = {.dim = 1, .range = true, .n = 2, .value = sizes};
  expect_refused(&f, &size, 1, 6, "90..96: node 'conv2d/Conv2D' (conv)");
  expect_refused(&f, &size, 1, 6, "does not keep its slices apart");
  size.value = none;
  expect_refused(&f, &size, 1, 0, "values from 1 up");
  size.value = many;
  expect_refused(&f, &size, 1, 0, "values from 1 up");
  const neo_vary same[] = {{.symbol = "n", .range = true, .n = 2, .value = few},
                           {.dim = 1, .symbol = "n", .range = true, .n = 2, .value = sizes}};
  expect_refused(&f, same, 2, 0, "'n', which has other values elsewhere");
  const neo_vary unknown = {.symbol = "m"};
  expect_refused(&f, &unknown, 1, 0, "'m' is no number");
  const neo_vary two = {.n = 2, .value = few};
  expect_refused(&f, &two, 1, 1, "more than 1 shapes");
  tear_down(&f);
  set_up(&f, "unet_op13"); /* its two ways join at multiples of 8 only */
  neo_family family;
  const neo_vary odd = {.dim = 2, .range = true, .n = 2, .value = sizes};
  assert_int_equal(open_range(&f, &odd, 1, 0, &family), NEO_BAD_INPUT);
  assert_non_null(strstr(f.ctx.message, "x=1,3,91,48: "));
  tear_down(&f);
}

int main(void) {
  struct CMUnitTest tests[NEO_COUNT(rows) + 3] = {
      cmocka_unit_test(the_case_is_right),
      cmocka_unit_test(what_is_equal_is_stored_once),
      cmocka_unit_test(what_cannot_be_is_refused),
  };
  for (int i = 0; i < NEO_COUNT(rows); i++)
    tests[3 + i] = (struct CMUnitTest){
        .name = rows[i].name, .test_func = range_of_batches, .initial_state = (void *)&rows[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
