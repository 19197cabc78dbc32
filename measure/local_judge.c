/* What a board's result means: verdicts as kinds of trials, times too good to be true, tolerances.
 */
#include <math.h>
#include <string.h>

#include "measure/local.h"
#include "schedule/algorithm.h"

neo_trial_result neo_local_result_of(const neo_build *build, neo_trial_kind kind) {
  neo_trial_result result = {.id = build->id, .kind = kind, .build_ns = build->build_ns};
  result.fmas = build->nest.fmas;
  result.bytes = build->nest.bytes;
  memcpy(result.code_hash, build->object.code_hash, sizeof result.code_hash);
  snprintf(result.phase, sizeof result.phase, "%s", build->phase);
  snprintf(result.text, sizeof result.text, "%s", build->text);
  return result;
}

/* What must come from memory when constants are cold; nothing where a constant may be a table of
 * which only some rows are read. */
static double constant_bytes(const neo_te *te) {
  double total = 0;
  for (int b = 0; b < te->n_buffers; b++) {
    const neo_te_buffer *buffer = &te->buffer[b];
    int64_t n;
    if (neo_dtype_class(buffer->dtype) != 'f' && buffer->role != NEO_TE_TMP)
      return 0;
    if (buffer->role == NEO_TE_CONST && neo_shape_elements(&buffer->shape, &n))
      total += (double)n * (double)neo_dtype_size(buffer->dtype);
  }
  return total;
}

/* No honest run is faster: what the nest itself executes (an algorithm may execute less than the
 * direct one's FLOPs) at the measured peak; with cold caches also what must come from memory. */
double neo_local_least_ns(const neo_local *self, const neo_local_task *task,
                          const neo_build *build) {
  const neo_machine_facts *facts = &self->base.facts;
  bool is_f32 = build->nest.n_params > 0 && build->nest.buffer[0].dtype == NEO_F32;
  double compute = is_f32 && facts->peak_gflops > 0 ? 2 * build->nest.fmas / facts->peak_gflops : 0;
  double memory = self->options.timing.cold && facts->bandwidth > 0
                      ? constant_bytes(&task->te) / facts->bandwidth
                      : 0;
  /* the bandwidth may have been measured beside other processes */
  return fmax(0.9 * compute, 0.5 * memory);
}

/* Numbers from a board may be anything: a wild kernel may have written them. */
static bool is_positive(double v) {
  return v > 0 && v < INFINITY;
}

neo_trial_result neo_local_judge(const neo_local *self, const neo_local_task *task,
                                 const neo_build *build, const neo_job_result *from) {
  static const neo_trial_kind verdicts[] = {NEO_TRIAL_OK, NEO_TRIAL_WRONG, NEO_TRIAL_REDZONE,
                                            NEO_TRIAL_STALE, NEO_TRIAL_CRASH};
  neo_trial_result out = neo_local_result_of(build, NEO_TRIAL_OK);
  snprintf(out.phase, sizeof out.phase, "%s", from->phase);
  snprintf(out.text, sizeof out.text, "%s", from->text);
  out.signal = from->signal;
  out.measure_ns = from->board_ns;
  out.max_error = from->verify.max_error;
  switch ((neo_job_outcome)from->outcome) {
  case NEO_OUTCOME_OK:
    break;
  case NEO_OUTCOME_LOAD:
    out.kind = NEO_TRIAL_LOAD;
    break;
  case NEO_OUTCOME_CRASH:
    out.kind = NEO_TRIAL_CRASH;
    break;
  case NEO_OUTCOME_HANG:
    out.kind = NEO_TRIAL_HANG;
    break;
  case NEO_OUTCOME_BOARD:
    out.kind = NEO_TRIAL_BOARD_LOST;
    break;
  case NEO_OUTCOME_VERDICT:
    out.kind = from->verify.verdict < NEO_COUNT(verdicts) ? verdicts[from->verify.verdict]
                                                          : NEO_TRIAL_WRONG;
    snprintf(out.text, sizeof out.text,
             "buffer %d element %lld: got %g, reference %g (%.3g x tolerance)", from->verify.buffer,
             (long long)from->verify.element, from->verify.got, from->verify.want,
             from->verify.max_error);
    break;
  }
  if (out.kind != NEO_TRIAL_OK)
    return out;
  out.n_repeats = from->timing.n;
  memcpy(out.repeats, from->timing.ns, sizeof(double) * (size_t)from->timing.n);
  out.ratio = is_positive(from->timing.ratio) ? from->timing.ratio : 0;
  out.ns = from->timing.typical;
  if (from->timing.raced)
    out.kind = NEO_TRIAL_SLOW;
  double bound = neo_local_least_ns(self, task, build);
  if (!is_positive(out.ns) || out.ns < bound) {
    out.kind = NEO_TRIAL_IMPLAUSIBLE;
    snprintf(out.text, sizeof out.text,
             "%.0f ns for %.0f FMAs and %.0f bytes; at the measured %.1f GFLOP/s and %.1f GB/s no "
             "kernel takes less than %.0f ns",
             out.ns, build->nest.fmas, constant_bytes(&task->te), self->base.facts.peak_gflops,
             self->base.facts.bandwidth, bound);
  }
  return out;
}

void neo_local_set_tolerance(const neo_local_task *task, const neo_build *build, neo_job *job) {
  bool half = false;
  for (int b = 0; b < task->te.n_buffers; b++)
    half = half || task->te.buffer[b].dtype == NEO_F16 || task->te.buffer[b].dtype == NEO_BF16;
  bool direct = build->schedule.n > 0 &&
                neo_algorithm_accuracy(build->schedule.instr[0].name) == NEO_ACCURACY_EXACT;
  job->rtol = half ? 2e-2 : direct ? 1e-4 : 1e-3;
  job->atol = job->rtol * (direct ? 0.1 : 0.2) * task->magnitude + 1e-30;
}

/* Times of one task are comparable whenever they were taken: ratio x the incumbent's, or the
 * anchor's where a claim was confirmed. A small gain
 * that was seen once is none; a ratio that would put the candidate below its bound was noise, then
 * the plain time stands. */
void neo_local_scale(const neo_local *self, bool confirmed, neo_trial_result *result) {
  const neo_local_task *task = self->task[self->flying->task];
  if (!task->incumbent || result->ratio <= 0 || !neo_trial_usable(result->kind))
    return;
  double ratio = result->ratio < 1 && !confirmed ? 1 : result->ratio;
  double ns = ratio * (confirmed ? task->anchor_ns : task->incumbent_ns);
  if (ns >= neo_local_least_ns(self, task, self->flying))
    result->ns = ns;
}
