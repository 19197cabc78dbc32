/* Random candidates of every te and rule as code for other processors: built here, loaded and run
 * by the real board program under emulation, outputs compared with the interpreter's.
 *
 * Why: schedule/test_space_kernels runs what this processor can run; everything specific to others
 * (lowering of vectors and masks, dot products, relocations, the board's own port) is seen by
 * nobody else. How: the frames of any board: blobs, a RUN job, the output's bytes back. Every
 * candidate runs on one thread and on two in turn. */
#include "codegen/codegen.h"
#include "schedule/intrinsic.h"
#include "tests/schedule/space_run.h"

#include "tests/measure/emulated_board.h"

enum { EACH = 12, FEW = 1, WAIT_MS = 60000 };

typedef struct emulated {
  neo_process board;
  neo_job *job;
  neo_job_result *result;
  int64_t runs, rule_runs[64], intrinsic_runs[64];
} emulated;

static neo_blob blob_of(const void *data, size_t size) {
  neo_blob blob = {.data = data, .size = size};
  neo_key_text(data, size, blob.key);
  return blob;
}

/* The job that runs the nest on the memory of r; blob[0] is the object. */
static int fill_job(const space_run *r, const neo_object *object, neo_job *job, neo_blob *blob) {
  int n = 0;
  blob[n++] = blob_of(object->bytes.data, object->bytes.size);
  neo_job_kernel *kernel = &job->kernel;
  memcpy(kernel->object, blob[0].key, sizeof(blob[0].key));
  snprintf(kernel->symbol, sizeof(kernel->symbol), "k");
  kernel->n_launches = (uint32_t)r->nest->n_launches;
  for (int k = 0; k < r->nest->n_launches; k++)
    kernel->grid[k] = r->nest->launch[k].grid;
  kernel->work_bytes = r->nest->work_bytes;
  kernel->scratch_bytes = r->nest->scratch_bytes;
  kernel->n_buffers = (uint32_t)r->n;
  for (int p = 0; p < r->n; p++) {
    const neo_nest_buffer *buffer = &r->nest->buffer[p];
    neo_te_role role = r->rewritten->buffer[r->of_param[p]].role;
    kernel->role[p] = role == NEO_TE_OUT ? 1 : role == NEO_TE_CONST ? 2 : 0;
    kernel->dtype[p] = (uint8_t)buffer->dtype;
    kernel->bytes[p] = buffer->elements * (int64_t)neo_dtype_size(buffer->dtype);
    if (role == NEO_TE_OUT)
      continue;
    blob[n] = blob_of(r->param[p], (size_t)kernel->bytes[p]);
    memcpy(kernel->data[0][p], blob[n].key, sizeof(blob[n].key));
    n++;
  }
  return n;
}

static void take_outputs(const fixture *f, const space_run *r, const neo_job_result *result) {
  uint32_t out = 0;
  for (int p = 0; p < r->n; p++)
    if (r->rewritten->buffer[r->of_param[p]].role == NEO_TE_OUT) {
      if (out >= result->n_outputs)
        fail_msg("%s: output %u did not come back", f->name, (unsigned)out);
      memcpy(r->param[p], result->output[out].data, result->output[out].size);
      out++;
    }
}

static void run_there(emulated *e, fixture *f, const neo_candidate *c) {
  space_run r;
  neo_object object = {0};
  neo_blob blob[NEO_NEST_MAX_BUFFERS + 1];
  uint32_t id = 0;
  space_run_init(f, c, &r);
  neo_nest_expand_math(r.nest);
  if (neo_codegen_find("llvm")->build(&f->ctx, r.nest, &f->target, "k", &object) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  *e->job = (neo_job){.kind = NEO_JOB_RUN, .timeout_ms = WAIT_MS, .n_cases = 1};
  e->job->threads = 1 + (uint32_t)(e->runs % 2);
  int n = fill_job(&r, &object, e->job, blob);
  if (neo_board_put(&f->ctx, e->board.fd, n, blob, WAIT_MS) != NEO_OK ||
      neo_board_submit(&f->ctx, e->board.fd, 1, e->job, WAIT_MS) != NEO_OK ||
      neo_board_result(&f->ctx, e->board.fd, &id, e->result, WAIT_MS) != NEO_OK)
    fail_msg("%s: %s", f->name, f->ctx.message);
  if (e->result->outcome != NEO_OUTCOME_OK) {
    neo_buf text = {0};
    neo_schedule_print(&text, &r.line);
    fail_msg("%s: in %s: %s: %s", f->name, e->result->phase, e->result->text, text.data);
  }
  take_outputs(f, &r, e->result);
  neo_job_result_fini(e->result);
  space_run_finish(f, &r);
  neo_object_fini(&object);
  e->runs++;
  for (int k = 0; k < neo_rule_count(); k++)
    e->rule_runs[k] += f->space->sketch[c->sketch]->rules >> k & 1;
  for (int k = 0; k < neo_intrinsic_count(); k++)
    e->intrinsic_runs[k] += f->space->sketch[c->sketch]->intrinsics >> k & 1;
}

static void run_target(const emulated_target *t, int each) {
  static emulated e;
  const char *target = t->target;
  bool scalar = false;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  if (!emulation_is_possible(&ctx, t))
    return;
  e = (emulated){.board = emulated_board_start(&ctx, t),
                 .job = neo_alloc(&ctx, sizeof(neo_job)),
                 .result = neo_alloc(&ctx, sizeof(neo_job_result))};
  assert_true(e.job && e.result);
  for (int k = 0; k < NEO_COUNT(space_cases); k++) {
    neo_space_options options = {
        .threads = 2, .accuracy = NEO_ACCURACY_FAST, .max_params_growth = 64};
    fixture f;
    neo_rng rng;
    set_up(&f, &space_cases[k], target, &options);
    neo_rng_init(&rng, (uint64_t)(1000 + k));
    for (int i = 0; i < each; i++) {
      neo_candidate c;
      neo_space_sample(f.space, &rng, &c);
      run_there(&e, &f, &c);
    }
    scalar = neo_target_lanes(&f.target, true, sizeof(float)) == 1;
    tear_down(&f);
  }
  neo_process_stop(&e.board);
  neo_free(&ctx, e.job);
  neo_free(&ctx, e.result);
  print_message("%s on %s: %lld kernels\n", target, t->cpu, (long long)e.runs);
  if (each < EACH || scalar) /* what needs vectors is in no kernel */
    return;
  for (int k = 0; k < neo_rule_count(); k++)
    if (e.rule_runs[k] == 0 && neo_rule_get(k)->device != NEO_RULE_GPU)
      fail_msg("rule %s was in no kernel", neo_rule_get(k)->name);
  for (int k = 0; k < neo_intrinsic_count(); k++)
    if (e.intrinsic_runs[k] == 0)
      fail_msg("intrinsic %s was in no kernel", neo_intrinsic_get(k)->name);
}

/* The first two are the ones that need most cases for every rule and intrinsic to be in some. */
static void every_target(void **state) {
  bool all = getenv("NEO_TEST_ALL") != NULL;
  (void)state;
  for (int k = 0; k < NEO_COUNT(emulated_targets); k++)
    run_target(&emulated_targets[k], all || k < 2 ? EACH : FEW);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_target)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
