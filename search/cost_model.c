/* The cost model: XGBoost regression of log time on candidate features.
 *
 * Why: a draft model that ranks thousands of candidates per millisecond decides which few are
 * measured.
 *
 * Design (Ansor and AutoTVM's cost models; "base margin" after AutoTVM):
 * - Residual learning. The label is log(ns / analytic prediction), the output is that plus
 * log(prediction): the same as giving XGBoost the prediction as base margin. A model without trees
 * ranks like the analytic model, and what it learns on one task (how wrong is the cache term?)
 * carries over to others.
 * - Rows near their group's best weigh more (best / ns): the order among the fast ones matters.
 * - Incremental: ten more trees on what is known now, and from scratch when the rows grew by half.
 * - Bounded: at most MAX_ROWS rows, MAX_GROUP_ROWS of one group. A row that must go is the slowest,
 * in terms of its group's best, of a few drawn at random. Memory is taken once, at creation.
 * - Deterministic: one thread, no sampling, own generator: the same calls give the same bytes,
 * which replay needs.
 * - It may start from a trained model (trained_model.c), which stays as it is: what is learned here
 * is then the rest that the trained model leaves, residual on residual. Few measurements are enough
 * to mend it, and none of what it knows is lost when trees are made anew. */
#include <math.h>
#include <string.h>

#include "search/booster.h"

enum {
  MAX_ROWS = 2048,
  MAX_GROUP_ROWS = 1024,
  MAX_GROUPS = 4096,
  FIRST_ROWS = 16, /* before that the analytic model is better */
  FULL_ROUNDS = 60,
  MORE_ROUNDS = 10,
  MAX_TREES = 200,
  MIN_NEW = 8,
  MAX_NEW = 64,
  VICTIMS = 4
};

typedef struct row {
  int group;
  bool failed;
  double predicted, ns;
} row;

struct neo_model {
  neo_ctx memory;
  neo_rng rng;
  const neo_trained *start;        /* NULL: from nothing */
  neo_booster *booster;            /* NULL: nothing fitted */
  int n, full_n;                   /* rows now, rows at the last full training */
  int64_t new_full, new_fit;       /* rows added since the last full, since the last training */
  row *rows;                       /* MAX_ROWS */
  float (*features)[NEO_FEATURES]; /* of each row: what XGBoost reads, without a copy */
  int group_rows[MAX_GROUPS];
  double best[MAX_GROUPS], worst[MAX_GROUPS]; /* of the rows kept; scratch of fit */
};

neo_status neo_model_create(neo_ctx *ctx, neo_model **out) {
  neo_model *model = neo_alloc(ctx, sizeof(*model));
  row *rows = neo_alloc(ctx, MAX_ROWS * sizeof(*rows));
  float(*features)[NEO_FEATURES] = neo_alloc(ctx, MAX_ROWS * sizeof(*features));
  if (!model || !rows || !features) {
    neo_free(ctx, model);
    neo_free(ctx, rows);
    neo_free(ctx, features);
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: no memory for %d rows", (int)MAX_ROWS);
  }
  memset(rows, 0, MAX_ROWS * sizeof(*rows)); /* touched now: the process does not grow later */
  memset(features, 0, MAX_ROWS * sizeof(*features));
  neo_ctx_init(&model->memory, 0);
  model->memory.allocator = ctx->allocator;
  neo_rng_init(&model->rng, 0x6d6f64656c); /* not ctx's: other draws must not change the model */
  model->rows = rows;
  model->features = features;
  *out = model;
  return NEO_OK;
}

void neo_model_destroy(neo_model *model) {
  if (!model)
    return;
  neo_booster_destroy(model->booster);
  neo_ctx memory = model->memory;
  neo_free(&memory, model->rows);
  neo_free(&memory, model->features);
  neo_free(&memory, model);
}

void neo_model_start(neo_model *model, const neo_trained *trained) {
  neo_assert(model->n == 0);
  model->start = trained;
}

bool neo_model_is_started(const neo_model *model) {
  return model->start != NULL;
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* Best and worst usable time of each group that has rows. */
static void group_extremes(neo_model *model) {
  for (int g = 0; g < MAX_GROUPS; g++) {
    model->best[g] = INFINITY;
    model->worst[g] = 0;
  }
  for (int i = 0; i < model->n; i++) {
    const row *r = &model->rows[i];
    if (r->failed)
      continue;
    model->best[r->group] = fmin(model->best[r->group], r->ns);
    model->worst[r->group] = fmax(model->worst[r->group], r->ns);
  }
}

/* How little a row is worth: its time over the prediction of its group's scale; failures most of
 * all. */
static double badness(const row *r, double group_best) {
  return r->failed ? INFINITY : r->ns / group_best;
}

/* The slowest of VICTIMS rows drawn at random from the group (-1: all). */
static int choose_victim(neo_model *model, int group) {
  int at = (int)neo_rng_below(&model->rng, (uint64_t)model->n);
  int victim = -1, seen = 0;
  group_extremes(model);
  for (int i = 0; i < model->n && seen < VICTIMS; i++, at = at + 1 < model->n ? at + 1 : 0) {
    const row *r = &model->rows[at];
    if (group >= 0 && r->group != group)
      continue;
    seen++;
    if (victim < 0 || badness(r, model->best[r->group]) >
                          badness(&model->rows[victim], model->best[model->rows[victim].group]))
      victim = at;
  }
  return victim;
}

/* Number of the row to fill. */
static int take_row(neo_model *model, int group) {
  if (model->group_rows[group] < MAX_GROUP_ROWS && model->n < MAX_ROWS)
    return model->n++;
  int victim = choose_victim(model, model->group_rows[group] >= MAX_GROUP_ROWS ? group : -1);
  model->group_rows[model->rows[victim].group]--;
  return victim;
}

void neo_model_add(neo_model *model, int group, const float *features, double predicted_ns,
                   double ns, bool failed) {
  neo_assert(group >= 0 && group < MAX_GROUPS);
  if (!(predicted_ns > 0) || !isfinite(predicted_ns) || (!failed && (!(ns > 0) || !isfinite(ns))))
    return;
  int at = take_row(model, group);
  row *r = &model->rows[at];
  r->group = group;
  r->failed = failed;
  r->predicted = predicted_ns;
  r->ns = failed ? 0 : ns;
  for (int i = 0; i < NEO_FEATURES; i++)
    model->features[at][i] = neo_finite_feature(features[i]);
  model->group_rows[group]++;
  model->new_full++;
  model->new_fit++;
}

/* ---- training ------------------------------------------------------------------------------------ */

typedef struct training {
  float label[MAX_ROWS], weight[MAX_ROWS];
} training;

/* A failure is four times slower than the slowest success of its group. */
static void fill_training(neo_model *model, training *data) {
  group_extremes(model);
  for (int i = 0; i < model->n; i++) {
    const row *r = &model->rows[i];
    double worst = model->worst[r->group] > 0 ? model->worst[r->group] : r->predicted;
    double ns = r->failed ? 4 * worst : r->ns;
    double label = log(ns / r->predicted);
    if (model->start)
      label -= neo_trained_residual(model->start, model->features[i]);
    data->label[i] = (float)label;
    double best = isfinite(model->best[r->group]) ? model->best[r->group] : ns;
    data->weight[i] = (float)fmax(best / ns, 0.05);
  }
}

/* Adds rounds to the booster; a fresh one replaces it if full. */
static neo_status train(neo_ctx *ctx, neo_model *model, const training *data, bool full) {
  neo_booster_rows rows = {model->n, &model->features[0][0], data->label, data->weight};
  if (full) {
    neo_booster *fresh;
    NEO_TRY(neo_booster_create(ctx, &fresh));
    neo_booster_destroy(model->booster);
    model->booster = fresh;
  }
  return neo_booster_grow(ctx, model->booster, &rows, full ? FULL_ROUNDS : MORE_ROUNDS);
}

static neo_status fit_rows(neo_ctx *ctx, neo_model *model, bool full) {
  training *data = neo_alloc(ctx, sizeof(*data));
  if (!data)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  fill_training(model, data);
  neo_status status = train(ctx, model, data, full);
  neo_free(ctx, data);
  return status;
}

neo_status neo_model_fit(neo_ctx *ctx, neo_model *model) {
  int64_t enough = neo_min_i64(MAX_NEW, neo_max_i64(MIN_NEW, model->n / 8));
  bool first = !model->booster && model->n >= FIRST_ROWS;
  bool due = model->booster && model->new_fit >= enough;
  if (!first && !due)
    return NEO_OK;
  bool full = first || 2 * model->new_full >= model->full_n ||
              neo_booster_trees(model->booster) + MORE_ROUNDS > MAX_TREES;
  NEO_TRY(fit_rows(ctx, model, full));
  model->new_fit = 0;
  if (full) {
    model->new_full = 0;
    model->full_n = model->n;
  }
  return NEO_OK;
}

/* ---- prediction ------------------------------------------------------------------------------------ */

/* Features with everything finite, as add() stores them: the caller's, or a copy to free. */
static const float *finite_features(neo_ctx *ctx, int n, const float *features, float **copy) {
  size_t count = (size_t)n * NEO_FEATURES;
  size_t i = 0;
  while (i < count && neo_finite_feature(features[i]) == features[i])
    i++;
  if (i == count)
    return features;
  *copy = neo_alloc(ctx, count * sizeof(float));
  for (i = 0; *copy && i < count; i++)
    (*copy)[i] = neo_finite_feature(features[i]);
  return *copy;
}

neo_status neo_model_predict(neo_ctx *ctx, neo_model *model, int n, const float *features,
                             const double *predicted_ns, double *out) {
  float *copy = NULL;
  const float *input = features, *residual = NULL;
  neo_status status = NEO_OK;
  if ((model->booster || model->start) && n > 0)
    input = finite_features(ctx, n, features, &copy);
  if (n > 0 && !input)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  if (model->booster && n > 0)
    status = neo_booster_predict(ctx, model->booster, n, input, &residual);
  for (int i = 0; status == NEO_OK && i < n; i++) {
    out[i] = log(predicted_ns[i]) + (residual ? (double)residual[i] : 0.0);
    if (model->start)
      out[i] += neo_trained_residual(model->start, input + (size_t)i * NEO_FEATURES);
  }
  neo_free(ctx, copy);
  return status;
}
