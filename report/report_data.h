/* report/report_data.h: inside report/ only: a run's facts, read from the store. */
#ifndef NEO_REPORT_REPORT_DATA_H
#define NEO_REPORT_REPORT_DATA_H

#include "base/host.h"
#include "report/report.h"

typedef struct report_trial {
  int64_t id, attempt;
  int task, kind; /* numbers in report_data */
  double ns, predicted_ns;
  bool usable;
} report_trial;

typedef struct report_kind {
  const char *name;
  bool usable;
  int n;
  int first_task;
  const char *phase, *text, *schedule; /* of the first */
} report_kind;

/* A fused operator under one layout: what driver/ calls a task. */
typedef struct report_task {
  const char *workload, *layout, *name, *op;
  double weight, flops, bytes;
  double before_ns, after_ns, baseline_ns, bound_ns; /* 0: unknown */
  int trials, failed;
  const char *schedule; /* of the best trial of this run; "" if none */
} report_task;

typedef struct report_data {
  neo_arena arena;
  neo_db_run run; /* texts in the arena; id 0: all records */
  const char *board, *tool;
  double peak_gflops, bandwidth; /* GFLOP/s; bytes per ns; 0: unknown */
  double model_before_ns, model_after_ns, seconds;
  int64_t first_ms, last_ms;
  double build_ns, measure_ns;
  int n_tasks, cap_tasks, n_trials, cap_trials, n_kinds, cap_kinds;
  report_task *task;   /* costliest before tuning first */
  report_trial *trial; /* in attempt order */
  report_kind *kind;
} report_data;

/* Release with neo_arena_fini(&out->arena), also after a failure. */
neo_status report_data_read(neo_ctx *ctx, neo_db *db, int64_t run, report_data *out);
/* GFLOP/s of flops in ns; 0 if unknown. */
static inline double report_gflops(double flops, double ns) {
  return ns > 0 ? flops / ns : 0;
}

#endif
