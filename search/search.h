/* search/search.h: which candidates to try next. Sees spaces, features and costs; never code,
 * boards or the store. Everything is deterministic in (seed, order and values of told results):
 * `neo-tune replay` depends on it. */
#ifndef NEO_SEARCH_SEARCH_H
#define NEO_SEARCH_SEARCH_H

#include "schedule/schedule.h"

/* ---- cost model: XGBoost on features, base margin = the analytic prediction: it learns the residual  */

typedef struct neo_model neo_model;
typedef struct neo_trained neo_trained;

neo_status neo_model_create(neo_ctx *ctx, neo_model **out);
void neo_model_destroy(neo_model *model);
/* Starts from what trained knows instead of from nothing: before any row is added. trained:
 * borrowed for the model's life. */
void neo_model_start(neo_model *model, const neo_trained *trained);
bool neo_model_is_started(const neo_model *model);
/* One measured candidate. group: the task (times compare only inside one). failed: counts as slower
 * than everything. */
void neo_model_add(neo_model *model, int group, const float *features, double predicted_ns,
                   double ns, bool failed);
/* Retrains when enough is new (policy inside); cheap to call often. */
neo_status neo_model_fit(neo_ctx *ctx, neo_model *model);
/* log(ns) estimates; falls back to log(predicted) while nothing was fitted. features: n x
 * NEO_FEATURES. */
neo_status neo_model_predict(neo_ctx *ctx, neo_model *model, int n, const float *features,
                             const double *predicted_ns, double *out);

/* ---- a trained model: what the records of a target teach, as a file that can be shipped ----------
 *
 * Immutable: any thread may read it. The file is docs/formats/model.md. */

/* A feature as the models take it: NaN becomes 0, infinities and huge values +-1e30. */
float neo_finite_feature(float v);

/* Measured candidates, of any number of tasks. */
typedef struct neo_samples {
  int n, groups;
  const float *features;           /* n x NEO_FEATURES, finite */
  const double *predicted_ns, *ns; /* both > 0 and finite */
  const int *group;                /* 0..groups: times compare only inside one */
} neo_samples;

enum { NEO_TRAINED_LEAST = 16 }; /* rows; with fewer the analytic model is better */

/* Trains on all samples (NEO_USAGE if they are fewer than NEO_TRAINED_LEAST). target: the canonical
 * text of the device that measured them, one line. */
neo_status neo_trained_fit(neo_ctx *ctx, const char *target, const neo_samples *samples,
                           neo_trained **out);
/* Any bytes: what is no such file is NEO_BAD_INPUT; another version, also of the features,
 * NEO_UNSUPPORTED. */
neo_status neo_trained_load(neo_ctx *ctx, const void *data, size_t size, neo_trained **out);
void neo_trained_destroy(neo_trained *trained);
/* The file: loading it gives the same model and the same file. */
const char *neo_trained_file(const neo_trained *trained, size_t *size);
const char *neo_trained_target(const neo_trained *trained);
int64_t neo_trained_rows(const neo_trained *trained);
/* The estimate of log(ns / predicted_ns). features: NEO_FEATURES, finite. */
double neo_trained_residual(const neo_trained *trained, const float *features);
/* Spearman's: of the ranks, ties share theirs. 0 if n < 2 or all of one side are equal; ctx for
 * scratch. */
neo_status neo_rank_correlation(neo_ctx *ctx, int n, const double *a, const double *b, double *out);

/* ---- one task -------------------------------------------------------------------------------- */

typedef struct neo_search neo_search;

/* Raised whenever spaces, the analytic model or the search propose other candidates than before:
 * a recorded run then says why it does not replay. */
enum { NEO_SEARCH_VERSION = 2 };

typedef struct neo_search_options {
  uint64_t seed;
  const char *strategy; /* row of search/strategies.def: "evolve" (default), "descent", "random" */
  neo_model *model;     /* shared by tasks; borrowed; may be NULL */
  int group;            /* this task's number in the model */
  bool counts;          /* the space predicts counts, and those told are exact */
} neo_search_options;

/* Whether there is a strategy of that name; NULL is the default. */
neo_status neo_search_check_strategy(neo_ctx *ctx, const char *name);
neo_status neo_search_create(neo_ctx *ctx, const neo_space *space,
                             const neo_search_options *options, neo_search **out);
void neo_search_destroy(neo_search *search);
/* A schedule worth trying early (database, neighbour workload), or with ns > 0 already measured
 * here. */
void neo_search_seed(neo_search *search, const neo_candidate *candidate, double ns);
/* Up to n fresh candidates (never one proposed or seeded as measured before), best bets first;
 * fewer when the space runs out. The first proposals of a new task are the analytic ones. */
int neo_search_propose(neo_search *search, int n, neo_candidate *out);
/* failed: no usable time. Seeds with a time and told results also go to options.model
 * (neo_model_add): the caller adds only what no search hears of. propose trains it (neo_model_fit).
 */
void neo_search_tell(neo_search *search, const neo_candidate *candidate, double ns, bool failed);
/* False while nothing usable was told. */
bool neo_search_best(const neo_search *search, neo_candidate *out, double *ns);
/* What the next proposal should be faster than the best told, in ns; < 0: not known. Only where
 * counts are told. */
double neo_search_promise(neo_search *search);
/* Candidates proposed but not yet told, told, failed. */
void neo_search_counts(const neo_search *search, int *open, int *told, int *failed);
bool neo_search_exhausted(const neo_search *search);

/* ---- budget across tasks --------------------------------------------------------------------- */

typedef struct neo_budget_task {
  double weight;   /* occurrences in the model */
  double best_ns;  /* now; INFINITY before the first */
  double bound_ns; /* roofline: cannot be faster */
  int trials;
  double spent_ns;   /* board time */
  double promise_ns; /* what the next round should gain, if counted; else 0 */
  bool counted;
  int n_history; /* best_ns after each of the last rounds, newest last */
  double history[16];
  bool exhausted;
} neo_budget_task;

/* The task whose next round is expected to gain most model latency per second of board time; -1
 * when all are exhausted or within `stop` (relative, 0.02) of their roofline. Every task gets its
 * first round first. */
int neo_budget_next(const neo_budget_task *task, int n, double stop);
/* Expected gain in ns of the model's latency from one more round of that task. */
double neo_budget_gain(const neo_budget_task *task);

#endif
