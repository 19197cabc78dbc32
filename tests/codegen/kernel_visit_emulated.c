/* tests/codegen/kernel_visit_emulated.c: the same kernels as LLVM code for other processors, loaded
 * and run by the real board program under emulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/codegen/kernel_case.h"
#include "tests/measure/emulated_board.h"

enum { WAIT_MS = 60000 };

typedef struct board {
  neo_process process;
  neo_job job;
  neo_job_result result;
} board;

static neo_blob blob_of(const void *data, size_t size) {
  neo_blob blob = {.data = data, .size = size};
  neo_key_text(data, size, blob.key);
  return blob;
}

static int fill_job(const neo_nest *nest, const neo_object *object, void *const *data, neo_job *job,
                    neo_blob *blob) {
  int n = 0;
  neo_job_kernel *kernel = &job->kernel;
  *job = (neo_job){.kind = NEO_JOB_RUN, .threads = 1, .timeout_ms = WAIT_MS, .n_cases = 1};
  blob[n++] = blob_of(object->bytes.data, object->bytes.size);
  memcpy(kernel->object, blob[0].key, sizeof kernel->object);
  snprintf(kernel->symbol, sizeof kernel->symbol, "sym");
  kernel->n_launches = (uint32_t)nest->n_launches;
  for (int k = 0; k < nest->n_launches; k++)
    kernel->grid[k] = nest->launch[k].grid;
  kernel->work_bytes = nest->work_bytes;
  kernel->scratch_bytes = nest->scratch_bytes;
  kernel->n_buffers = (uint32_t)nest->n_params;
  for (int k = 0; k < nest->n_params; k++) {
    const neo_nest_buffer *b = &nest->buffer[k];
    kernel->role[k] = b->writable;
    kernel->dtype[k] = (uint8_t)b->dtype;
    kernel->bytes[k] = b->elements * (int64_t)neo_dtype_size(b->dtype);
    if (b->writable)
      continue;
    blob[n] = blob_of(data[k], (size_t)kernel->bytes[k]);
    memcpy(kernel->data[0][k], blob[n++].key, 33);
  }
  return n;
}

static void run_there(void *self, neo_ctx *ctx, const neo_nest *nest, const neo_object *object,
                      void *const *data) {
  board *b = self;
  neo_blob blob[NEO_NEST_MAX_BUFFERS + 1];
  uint32_t id = 0, out = 0;
  int n = fill_job(nest, object, data, &b->job, blob);
  if (neo_board_put(ctx, b->process.fd, n, blob, WAIT_MS) != NEO_OK ||
      neo_board_submit(ctx, b->process.fd, 1, &b->job, WAIT_MS) != NEO_OK ||
      neo_board_result(ctx, b->process.fd, &id, &b->result, WAIT_MS) != NEO_OK)
    fail_msg("%s", ctx->message);
  if (b->result.outcome != NEO_OUTCOME_OK) {
    neo_buf text = {0};
    neo_nest_print(&text, nest);
    fail_msg("in %s: %s\n%s", b->result.phase, b->result.text, text.data);
  }
  for (int k = 0; k < nest->n_params; k++)
    if (nest->buffer[k].writable) {
      assert_true(out < b->result.n_outputs);
      memcpy(data[k], b->result.output[out].data, b->result.output[out].size);
      out++;
    }
  neo_job_result_fini(&b->result);
}

void kernel_case_visit(void (*fn)(void *self, kernel_case *c), void *self) {
  neo_ctx ctx;
  int n = 0;
  neo_ctx_init(&ctx, 1);
  board *b = neo_alloc(&ctx, sizeof *b);
  assert_non_null(b);
  const kernel_runner runner = {run_there, b};
  for (int k = 0; k < NEO_COUNT(emulated_targets); k++) {
    const emulated_target *t = &emulated_targets[k];
    if (!emulation_is_possible(&ctx, t))
      continue;
    kernel_case c = {.codegen = neo_codegen_find("llvm"),
                     .target = kernel_target(t->target),
                     .seed = 1,
                     .runner = &runner};
    print_message("%s under %s -cpu %s\n", t->target, t->emulator, t->cpu);
    b->process = emulated_board_start(&ctx, t);
    fn(self, &c);
    neo_process_stop(&b->process);
    n++;
  }
  neo_free(&ctx, b);
  if (n == 0)
    skip();
}
