/* A board that is not honest, for tests of the measurer: passes frames between its tuner and a real
 * neo-board, and spoils some, as $NEO_TAMPER says:
 *
 *   fast   a measured time comes back a million times shorter
 *   nan    a measured time comes back as no number
 *   wrong  a measured candidate comes back with another verdict
 *   dies   exits when it gets a job to measure
 *   mute   passes no result on
 *   orphan the reference of the first task crashes, whenever it is run
 *   liar   the reference of the first task comes back with other outputs, whenever it is run
 *   script the ratios of candidates to incumbents are those of $NEO_TAMPER_SCRIPT, one after the
 *          other; $NEO_TAMPER_LOG gets a line for each: candidate, incumbent (their objects' keys),
 *          data seeds
 *
 * With $NEO_TAMPER_FORGETS it says that it has none of the blobs it is asked for, and takes its
 * time for each result, so that the tuner is ahead of it.
 *
 * The job that measures the machine's FMA peak is passed on as it is.
 * usage: tampering-board (as neo-board); the real one is $NEO_TAMPER_BOARD */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/host.h"
#include "rpc/rpc.h"

enum { FORGETFUL_MS = 30 };

static bool last_measures, last_is_first_reference, last_has_incumbent;
static char first_reference[33]; /* its object */

static void log_job(const neo_job *job) {
  const char *path = getenv("NEO_TAMPER_LOG");
  FILE *log = path ? fopen(path, "a") : NULL;
  if (!log)
    exit(9);
  fprintf(log, "%s %s %u\n", job->kernel.object, job->incumbent.object, (unsigned)job->n_cases);
  fclose(log);
}

static double next_ratio(void) {
  static const char *at;
  if (!at)
    at = getenv("NEO_TAMPER_SCRIPT");
  char *end = NULL;
  double ratio = at ? strtod(at, &end) : 0;
  if (!at || end == at) /* more jobs than ratios */
    exit(9);
  at = end;
  return ratio;
}

static void spoil_outputs(neo_job_result *result) {
  for (uint32_t i = 0; i < result->n_outputs; i++) {
    float *data = (float *)(void *)result->output[i].data;
    for (size_t k = 0; k < result->output[i].size / sizeof *data; k++)
      data[k] += 1;
  }
}

static void on_job(neo_ctx *ctx, const neo_frame *frame, const char *mode) {
  static neo_job job;
  if (neo_job_decode(ctx, (const uint8_t *)frame->payload.data, frame->payload.size, &job))
    exit(9);
  if (job.kind == NEO_JOB_RUN && !first_reference[0])
    snprintf(first_reference, sizeof first_reference, "%s", job.kernel.object);
  last_is_first_reference =
      job.kind == NEO_JOB_RUN && strcmp(job.kernel.object, first_reference) == 0;
  last_measures = job.kind == NEO_JOB_MEASURE && job.rtol < 1; /* 1: the peak */
  last_has_incumbent = last_measures && job.has_incumbent;
  if (last_measures && strcmp(mode, "dies") == 0)
    exit(7);
  if (last_has_incumbent && strcmp(mode, "script") == 0)
    log_job(&job);
}

/* False: not to be passed on. */
static bool on_result(neo_ctx *ctx, neo_frame *frame, const char *mode) {
  static neo_job_result result;
  bool orphan = last_is_first_reference && strcmp(mode, "orphan") == 0;
  bool liar = last_is_first_reference && strcmp(mode, "liar") == 0;
  if (!last_measures && !orphan && !liar)
    return true;
  if (neo_job_result_decode(ctx, (const uint8_t *)frame->payload.data, frame->payload.size,
                            &result))
    exit(9);
  if (orphan) {
    result.outcome = NEO_OUTCOME_CRASH;
    result.signal = 11;
    snprintf(result.phase, sizeof result.phase, "run");
    snprintf(result.text, sizeof result.text, "made to crash");
  } else if (liar) {
    spoil_outputs(&result);
  } else if (strcmp(mode, "script") == 0 && last_has_incumbent) {
    result.timing.ratio = next_ratio();
    result.timing.raced = false;
  } else if (strcmp(mode, "fast") == 0) {
    result.timing.typical /= 1e6;
    for (int i = 0; i < result.timing.n; i++)
      result.timing.ns[i] /= 1e6;
  } else if (strcmp(mode, "nan") == 0) {
    result.timing.typical = NAN;
  } else if (strcmp(mode, "wrong") == 0) {
    result.outcome = NEO_OUTCOME_VERDICT;
    result.verify.verdict = NEO_VERDICT_REDZONE;
  } else if (strcmp(mode, "mute") == 0) {
    return false;
  }
  neo_buf_clear(&frame->payload);
  neo_job_result_encode(&frame->payload, &result);
  neo_job_result_fini(&result);
  return true;
}

static void pass(neo_ctx *ctx, int from, int to, const char *mode) {
  neo_frame frame = {0};
  bool keep = true;
  if (neo_frame_receive(ctx, from, &frame, 0) != NEO_OK)
    exit(0);
  bool forgets = to == STDIN_FILENO && getenv("NEO_TAMPER_FORGETS");
  if (forgets && frame.type == NEO_MESSAGE_BLOB_HAVE)
    memset(frame.payload.data, 0, frame.payload.size);
  if (frame.type == NEO_MESSAGE_JOB)
    on_job(ctx, &frame, mode);
  if (frame.type == NEO_MESSAGE_RESULT)
    keep = on_result(ctx, &frame, mode);
  if (forgets && frame.type == NEO_MESSAGE_RESULT)
    poll(NULL, 0, FORGETFUL_MS);
  if (keep && neo_frame_send(ctx, to, &frame, 0) != NEO_OK)
    exit(0);
  neo_buf_fini(&frame.payload);
}

int main(int argc, char **argv) {
  neo_ctx ctx;
  neo_process board;
  const char *mode = getenv("NEO_TAMPER");
  neo_ctx_init(&ctx, 1);
  (void)argc;
  argv[0] = getenv("NEO_TAMPER_BOARD");
  if (!mode || !argv[0] || neo_process_spawn(&ctx, (const char *const *)argv, false, &board))
    return 9;
  for (;;) {
    struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {board.fd, POLLIN, 0}};
    poll(fds, 2, -1);
    if (fds[0].revents)
      pass(&ctx, STDIN_FILENO, board.fd, mode);
    if (fds[1].revents)
      pass(&ctx, board.fd, STDIN_FILENO, mode);
  }
}
