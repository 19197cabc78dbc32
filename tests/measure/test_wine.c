/* Random candidates of every te and rule as code for Windows, loaded and run by neo-board.exe under
 * wine, outputs compared with the interpreter's; and what a candidate may do there without the
 * agent coming to harm. Wine's folder is the test's own and is removed; without wine the test is
 * skipped. */
#include "base/host.h"
#include "codegen/codegen.h"
#include "rpc/rpc.h"
#include "tests/schedule/space_run.h"

#define BOARD NEO_BINARY_DIR "/bin/windows/neo-board.exe"

enum { WAIT_MS = 120000, HANG_MS = 1000 };

typedef struct windows_board {
  neo_ctx ctx;
  char prefix[256];
  neo_process board;
  neo_job *job;
  neo_job_result *result;
  int runs;
} windows_board;

static int start(void **state) {
  const char *const argv[] = {NEO_WINE, BOARD, "--stdio", NULL};
  neo_hello hello;
  if (!neo_file_exists(NEO_WINE) || !neo_file_exists(BOARD)) {
    print_message("SKIPPED: wine or mingw is missing: scripts/install-deps.sh installs them\n");
    exit(77);
  }
  windows_board *w = test_calloc(1, sizeof *w);
  neo_ctx_init(&w->ctx, 1);
  assert_int_equal(neo_dir_temp(&w->ctx, NULL, w->prefix), NEO_OK);
  setenv("WINEPREFIX", w->prefix, 1);
  setenv("WINEDEBUG", "-all", 1);
  setenv("WINEDLLOVERRIDES", "mscoree,mshtml=", 1);
  w->job = neo_alloc(&w->ctx, sizeof(neo_job));
  w->result = neo_alloc(&w->ctx, sizeof(neo_job_result));
  assert_true(w->job && w->result);
  if (neo_process_spawn(&w->ctx, argv, true, &w->board) != NEO_OK ||
      neo_board_hello(&w->ctx, w->board.fd, NULL, &hello, WAIT_MS) != NEO_OK)
    fail_msg("%s", w->ctx.message);
  assert_true(hello.bandwidth > 0 && hello.threads > 0);
  *state = w;
  return 0;
}

static int stop(void **state) {
  windows_board *w = *state;
  const char *const end[] = {NEO_WINESERVER, "-k", NULL};
  neo_process_result result = {0};
  neo_process_stop(&w->board);
  (void)neo_process_run(&w->ctx, end, WAIT_MS, &result);
  neo_buf_fini(&result.output);
  neo_free(&w->ctx, w->job);
  neo_free(&w->ctx, w->result);
  neo_ctx_clear(&w->ctx);
  assert_int_equal(neo_dir_remove(&w->ctx, w->prefix), NEO_OK);
  test_free(w);
  return 0;
}

static neo_blob blob_of(const void *data, size_t size) {
  neo_blob blob = {.data = data, .size = size};
  neo_key_text(data, size, blob.key);
  return blob;
}

static void run_job(windows_board *w, int n, const neo_blob *blob) {
  uint32_t id = 0;
  if (neo_board_put(&w->ctx, w->board.fd, n, blob, WAIT_MS) != NEO_OK ||
      neo_board_submit(&w->ctx, w->board.fd, 1, w->job, WAIT_MS) != NEO_OK ||
      neo_board_result(&w->ctx, w->board.fd, &id, w->result, WAIT_MS) != NEO_OK)
    fail_msg("%s", w->ctx.message);
}

/* ---- candidates ------------------------------------------------------------------------------------ */

static int fill_job(const space_run *r, const neo_object *object, neo_job *job, neo_blob *blob) {
  int n = 0;
  neo_job_kernel *kernel = &job->kernel;
  blob[n++] = blob_of(object->bytes.data, object->bytes.size);
  memcpy(kernel->object, blob[0].key, sizeof blob[0].key);
  snprintf(kernel->symbol, sizeof kernel->symbol, "k");
  kernel->n_launches = (uint32_t)r->nest->n_launches;
  for (int k = 0; k < r->nest->n_launches; k++)
    kernel->grid[k] = r->nest->launch[k].grid;
  kernel->work_bytes = r->nest->work_bytes;
  kernel->scratch_bytes = r->nest->scratch_bytes;
  kernel->n_buffers = (uint32_t)r->n;
  for (int p = 0; p < r->n; p++) {
    const neo_nest_buffer *buffer = &r->nest->buffer[p];
    kernel->role[p] = buffer->writable ? 1 : buffer->constant ? 2 : 0;
    kernel->dtype[p] = (uint8_t)buffer->dtype;
    kernel->bytes[p] = buffer->elements * (int64_t)neo_dtype_size(buffer->dtype);
    if (buffer->writable)
      continue;
    blob[n] = blob_of(r->param[p], (size_t)kernel->bytes[p]);
    memcpy(kernel->data[0][p], blob[n].key, sizeof blob[n].key);
    n++;
  }
  return n;
}

static void run_candidate(windows_board *w, fixture *f, const neo_candidate *c) {
  space_run r;
  neo_object object = {0};
  neo_blob blob[NEO_NEST_MAX_BUFFERS + 1];
  space_run_init(f, c, &r);
  neo_nest_expand_math(r.nest);
  if (neo_codegen_find("llvm")->build(&f->ctx, r.nest, &f->target, "k", &object) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  *w->job = (neo_job){.kind = NEO_JOB_RUN, .timeout_ms = WAIT_MS, .n_cases = 1};
  w->job->threads = 1 + (uint32_t)(w->runs++ % 2);
  run_job(w, fill_job(&r, &object, w->job, blob), blob);
  if (w->result->outcome != NEO_OUTCOME_OK)
    fail_msg("%s: in %s: %s", f->name, w->result->phase, w->result->text);
  uint32_t out = 0;
  for (int p = 0; p < r.n; p++)
    if (r.nest->buffer[p].writable) {
      if (out >= w->result->n_outputs)
        fail_msg("%s: output %u did not come back", f->name, (unsigned)out);
      memcpy(r.param[p], w->result->output[out].data, w->result->output[out].size);
      out++;
    }
  neo_job_result_fini(w->result);
  space_run_finish(f, &r);
  neo_object_fini(&object);
}

static void candidates_are_right(void **state) {
  static const char *const targets[] = {"x86-64-v2-windows", "x86-64-v3-windows",
                                        "x86-64-v4-windows"};
  const neo_space_options options = {
      .threads = 2, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    neo_candidate c;
    fixture f;
    neo_rng rng;
    neo_target here;
    set_up(&f, &space_cases[k], targets[k % NEO_COUNT(targets)], &options);
    here = f.target;
    here.os[0] = '\0';
    neo_rng_init(&rng, (uint64_t)(700 + k));
    neo_space_sample(f.space, &rng, &c);
    if (neo_target_runs_here(&here))
      run_candidate(*state, &f, &c);
    tear_down(&f);
  }
  assert_true(((windows_board *)*state)->runs >= NEO_COUNT(space_cases) / 3);
}

/* ---- what a candidate may do ----------------------------------------------------------------------- */

/* A kernel of one output of 64 floats; code: from mingw's compiler, in BAD_KERNELS. */
static void run_bad(windows_board *w, const char *symbol, uint32_t timeout_ms) {
  neo_buf object = {0};
  neo_blob blob;
  if (neo_file_read(&w->ctx, NEO_BAD_KERNELS, 0, &object) != NEO_OK)
    fail_msg("%s", w->ctx.message);
  blob = blob_of(object.data, object.size);
  *w->job = (neo_job){.kind = NEO_JOB_RUN, .timeout_ms = timeout_ms, .n_cases = 1, .threads = 1};
  neo_job_kernel *kernel = &w->job->kernel;
  memcpy(kernel->object, blob.key, sizeof blob.key);
  snprintf(kernel->symbol, sizeof kernel->symbol, "%s", symbol);
  kernel->n_launches = 1;
  kernel->grid[0] = 1;
  kernel->n_buffers = 1;
  kernel->role[0] = 1;
  kernel->dtype[0] = NEO_F32;
  kernel->bytes[0] = 64 * 4;
  run_job(w, 1, &blob);
  neo_buf_fini(&object);
}

static void expect(windows_board *w, const char *symbol, neo_job_outcome outcome,
                   const char *says) {
  run_bad(w, symbol, HANG_MS);
  if (w->result->outcome != outcome || !strstr(w->result->text, says))
    fail_msg("%s: outcome %u in %s: '%s'", symbol, w->result->outcome, w->result->phase,
             w->result->text);
  neo_job_result_fini(w->result);
}

static void bad_candidates_do_no_harm(void **state) {
  windows_board *w = *state;
  expect(w, "good", NEO_OUTCOME_OK, "");
  expect(w, "far", NEO_OUTCOME_CRASH, "access violation");
  assert_string_equal(w->result->phase, "run");
  expect(w, "illegal", NEO_OUTCOME_CRASH, "illegal instruction");
  expect(w, "hang", NEO_OUTCOME_HANG, "no answer within 1000 ms");
  expect(w, "near", NEO_OUTCOME_VERDICT, "wrote outside its memory");
  expect(w, "absent", NEO_OUTCOME_LOAD, "no function 'absent_0'");
  expect(w, "good", NEO_OUTCOME_OK, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(candidates_are_right),
      cmocka_unit_test(bad_candidates_do_no_harm),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
