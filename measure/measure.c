/* Measurers by url, and the names of trial kinds. The work is in the rows of measurers.def. */
#include <string.h>

#include "measure/parts.h"

static const neo_measurer_ops *const rows[] = {
#define X(ops) &ops,
#include "measure/measurers.def"
#undef X
};

const char *neo_trial_kind_name(neo_trial_kind kind) {
  static const char *const names[] = {
#define X(name, text) text,
      NEO_TRIAL_KINDS(X)
#undef X
  };
  return (unsigned)kind < NEO_TRIAL_KIND_COUNT ? names[kind] : "?";
}

bool neo_trial_usable(neo_trial_kind kind) {
  return kind == NEO_TRIAL_OK || kind == NEO_TRIAL_SLOW || kind == NEO_TRIAL_DUPLICATE;
}

neo_status neo_measurer_open(neo_ctx *ctx, const char *url, const neo_target *target,
                             const neo_measure_options *options, neo_measurer **out) {
  size_t name = strcspn(url, ":");
  for (int r = 0; r < NEO_COUNT(rows); r++)
    if (strlen(rows[r]->name) == name && memcmp(rows[r]->name, url, name) == 0)
      return rows[r]->open(ctx, url[name] ? url + name + 1 : "", target, options, out);
  return neo_fail(ctx, NEO_USAGE,
                  "measurer '%s' is not known; use local, rpc://HOST:PORT?key-file=FILE, "
                  "emulated:ARCH, wine or simulated:FILE",
                  url);
}

void neo_measurer_close(neo_measurer *measurer) {
  if (measurer)
    measurer->ops->close(measurer);
}

neo_status neo_measurer_task(neo_ctx *ctx, neo_measurer *measurer, int task, const neo_te *te,
                             const char *key) {
  return measurer->ops->task(ctx, measurer, task, te, key);
}

void neo_measurer_drop(neo_measurer *measurer, int task) {
  measurer->ops->drop(measurer, task);
}

neo_status neo_measurer_submit(neo_ctx *ctx, neo_measurer *measurer, uint64_t id, int task,
                               const neo_schedule *schedule) {
  return measurer->ops->submit(ctx, measurer, id, task, schedule);
}

neo_status neo_measurer_poll(neo_ctx *ctx, neo_measurer *measurer, int timeout_ms,
                             neo_trial_result *out, bool *got) {
  return measurer->ops->poll(ctx, measurer, timeout_ms, out, got);
}

int neo_measurer_pending(const neo_measurer *measurer) {
  return measurer->ops->pending(measurer);
}

int neo_measurer_capacity(const neo_measurer *measurer) {
  return measurer->ops->capacity(measurer);
}

void neo_measurer_cancel(neo_measurer *measurer) {
  measurer->ops->cancel(measurer);
}

neo_status neo_measurer_incumbent(neo_ctx *ctx, neo_measurer *measurer, int task,
                                  const neo_schedule *schedule, double ns) {
  return measurer->ops->incumbent(ctx, measurer, task, schedule, ns);
}

void neo_measurer_quiet(neo_measurer *measurer, bool quiet) {
  if (measurer->ops->quiet)
    measurer->ops->quiet(measurer, quiet);
}

bool neo_measurer_is_simulated(const neo_measurer *measurer) {
  return measurer->ops->simulated || measurer->counting.on;
}

neo_counting neo_measurer_counting(const neo_measurer *measurer) {
  return measurer->counting;
}

const char *neo_measurer_record_prefix(const neo_measurer *measurer) {
  if (measurer->record_prefix[0])
    return measurer->record_prefix;
  return neo_measurer_is_simulated(measurer) ? "simulated " : "";
}

bool neo_measurer_is_remote(const neo_measurer *measurer) {
  return measurer->is_remote;
}

int neo_measurer_given_up(const neo_measurer *measurer) {
  return measurer->ops->given_up ? measurer->ops->given_up(measurer) : 0;
}

const neo_machine_facts *neo_measurer_facts(const neo_measurer *measurer) {
  return &measurer->facts;
}
