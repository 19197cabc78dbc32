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
 *
 * Saved form: docs/formats/model.md. */
#include <math.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "search/search.h"

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
  VICTIMS = 4,
  MAGIC = 0x4d4f454e, /* "NEOM" */
  VERSION = 1
};

typedef struct row {
  int group;
  bool failed;
  double predicted, ns;
} row;

struct neo_model {
  neo_ctx memory;
  neo_rng rng;
  BoosterHandle booster; /* NULL: nothing fitted */
  int trees;
  int n, full_n;                   /* rows now, rows at the last full training */
  int64_t new_full, new_fit;       /* rows added since the last full, since the last training */
  row *rows;                       /* MAX_ROWS */
  float (*features)[NEO_FEATURES]; /* of each row: what XGBoost reads, without a copy */
  int group_rows[MAX_GROUPS];
  double best[MAX_GROUPS], worst[MAX_GROUPS]; /* of the rows kept; scratch of fit */
};

static neo_status xgb_fail(neo_ctx *ctx) {
  return neo_fail(ctx, NEO_INTERNAL, "cost model: xgboost: %s", XGBGetLastError());
}

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
  if (model->booster)
    XGBoosterFree(model->booster);
  neo_ctx memory = model->memory;
  neo_free(&memory, model->rows);
  neo_free(&memory, model->features);
  neo_free(&memory, model);
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

static float finite_feature(float v) {
  return isnan(v) ? 0.0f : v > 1e30f ? 1e30f : v < -1e30f ? -1e30f : v;
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
    model->features[at][i] = finite_feature(features[i]);
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
    data->label[i] = (float)log(ns / r->predicted);
    double best = isfinite(model->best[r->group]) ? model->best[r->group] : ns;
    data->weight[i] = (float)fmax(best / ns, 0.05);
  }
}

static neo_status new_booster(neo_ctx *ctx, BoosterHandle *out) {
  static const char *const parameters[][2] = {
      {"verbosity", "0"},          {"nthread", "1"},   {"objective", "reg:squarederror"},
      {"tree_method", "hist"},     {"max_depth", "6"}, {"eta", "0.2"},
      {"min_child_weight", "0.5"}, {"lambda", "1"},    {"gamma", "0.001"},
      {"base_score", "0"},         {"max_bin", "64"},  {"seed", "0"},
  };
  char features[16];
  snprintf(features, sizeof(features), "%d", NEO_FEATURES);
  BoosterHandle booster = NULL;
  if (XGBoosterCreate(NULL, 0, &booster) != 0)
    return xgb_fail(ctx);
  neo_status status =
      XGBoosterSetParam(booster, "num_feature", features) == 0 ? NEO_OK : xgb_fail(ctx);
  for (int i = 0; status == NEO_OK && i < NEO_COUNT(parameters); i++)
    if (XGBoosterSetParam(booster, parameters[i][0], parameters[i][1]) != 0)
      status = xgb_fail(ctx);
  if (status != NEO_OK) {
    XGBoosterFree(booster);
    return status;
  }
  *out = booster;
  return NEO_OK;
}

static void array_interface(char *out, size_t size, const float *data, int rows, int columns) {
  snprintf(out, size, "{\"data\":[%llu,true],\"shape\":[%d,%d],\"typestr\":\"<f4\",\"version\":3}",
           (unsigned long long)(uintptr_t)data, rows, columns);
}

static neo_status make_matrix(neo_ctx *ctx, const neo_model *model, const training *data,
                              DMatrixHandle *out) {
  int n = model->n;
  char array[160];
  array_interface(array, sizeof(array), &model->features[0][0], n, NEO_FEATURES);
  if (XGDMatrixCreateFromDense(array, "{\"missing\":NaN,\"nthread\":1}", out) != 0)
    return xgb_fail(ctx);
  if (XGDMatrixSetFloatInfo(*out, "label", data->label, (bst_ulong)n) != 0 ||
      XGDMatrixSetFloatInfo(*out, "weight", data->weight, (bst_ulong)n) != 0) {
    neo_status status = xgb_fail(ctx);
    XGDMatrixFree(*out);
    return status;
  }
  return NEO_OK;
}

/* Adds rounds to the booster; a fresh one replaces it if full. */
static neo_status train(neo_ctx *ctx, neo_model *model, DMatrixHandle matrix, bool full) {
  if (full) {
    BoosterHandle fresh;
    NEO_TRY(new_booster(ctx, &fresh));
    if (model->booster)
      XGBoosterFree(model->booster);
    model->booster = fresh;
    model->trees = 0;
  }
  for (int i = 0; i < (full ? FULL_ROUNDS : MORE_ROUNDS); i++, model->trees++)
    if (XGBoosterUpdateOneIter(model->booster, model->trees, matrix) != 0)
      return xgb_fail(ctx);
  return NEO_OK;
}

static neo_status fit_rows(neo_ctx *ctx, neo_model *model, bool full) {
  training *data = neo_alloc(ctx, sizeof(*data));
  if (!data)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  DMatrixHandle matrix = NULL;
  fill_training(model, data);
  neo_status status = make_matrix(ctx, model, data, &matrix);
  if (status == NEO_OK) {
    status = train(ctx, model, matrix, full);
    XGDMatrixFree(matrix);
  }
  neo_free(ctx, data);
  return status;
}

neo_status neo_model_fit(neo_ctx *ctx, neo_model *model) {
  int64_t enough = neo_min_i64(MAX_NEW, neo_max_i64(MIN_NEW, model->n / 8));
  bool first = !model->booster && model->n >= FIRST_ROWS;
  bool due = model->booster && model->new_fit >= enough;
  if (!first && !due)
    return NEO_OK;
  bool full =
      first || 2 * model->new_full >= model->full_n || model->trees + MORE_ROUNDS > MAX_TREES;
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
  while (i < count && finite_feature(features[i]) == features[i])
    i++;
  if (i == count)
    return features;
  *copy = neo_alloc(ctx, count * sizeof(float));
  for (i = 0; *copy && i < count; i++)
    (*copy)[i] = finite_feature(features[i]);
  return *copy;
}

neo_status neo_model_predict(neo_ctx *ctx, neo_model *model, int n, const float *features,
                             const double *predicted_ns, double *out) {
  float *copy = NULL;
  const float *residual = NULL;
  neo_status status = NEO_OK;
  if (model->booster && n > 0) {
    static const char config[] = "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
                                 "\"iteration_end\":0,\"strict_shape\":false,\"cache_id\":0,"
                                 "\"missing\":NaN}";
    const float *input = finite_features(ctx, n, features, &copy);
    if (!input)
      return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
    char array[160];
    bst_ulong const *shape = NULL;
    bst_ulong dims = 0;
    array_interface(array, sizeof(array), input, n, NEO_FEATURES);
    if (XGBoosterPredictFromDense(model->booster, array, config, NULL, &shape, &dims, &residual) !=
        0)
      status = xgb_fail(ctx);
  }
  for (int i = 0; status == NEO_OK && i < n; i++)
    out[i] = log(predicted_ns[i]) + (residual ? (double)residual[i] : 0.0);
  neo_free(ctx, copy);
  return status;
}

/* ---- saving ------------------------------------------------------------------------------------------ */

static void put_double(neo_buf *out, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof(bits));
  neo_buf_u64le(out, bits);
}

static double take_double(neo_reader *reader) {
  uint64_t bits = neo_read_u64le(reader);
  double v;
  memcpy(&v, &bits, sizeof(v));
  return v;
}

static void save_row(neo_buf *out, const row *r, const float *features) {
  neo_buf_u32le(out, (uint32_t)r->group);
  neo_buf_u32le(out, r->failed);
  put_double(out, r->predicted);
  put_double(out, r->ns);
  for (int i = 0; i < NEO_FEATURES; i++) {
    uint32_t bits;
    memcpy(&bits, &features[i], sizeof(bits));
    neo_buf_u32le(out, bits);
  }
}

static void load_row(neo_reader *reader, row *r, float *features) {
  r->group = (int)neo_read_u32le(reader);
  r->failed = neo_read_u32le(reader) != 0;
  r->predicted = take_double(reader);
  r->ns = take_double(reader);
  for (int i = 0; i < NEO_FEATURES; i++) {
    uint32_t bits = neo_read_u32le(reader);
    memcpy(&features[i], &bits, sizeof(bits));
  }
}

neo_status neo_model_save(neo_ctx *ctx, const neo_model *model, neo_buf *out) {
  size_t start = out->size;
  const char *trees = NULL;
  bst_ulong size = 0;
  if (model->booster &&
      XGBoosterSaveModelToBuffer(model->booster, "{\"format\":\"ubj\"}", &size, &trees) != 0)
    return xgb_fail(ctx);
  neo_buf_u32le(out, MAGIC);
  neo_buf_u32le(out, VERSION);
  neo_buf_u32le(out, NEO_FEATURES);
  neo_buf_u32le(out, (uint32_t)model->n);
  neo_buf_u32le(out, (uint32_t)model->full_n);
  neo_buf_u32le(out, (uint32_t)model->trees);
  neo_buf_u64le(out, (uint64_t)model->new_full);
  neo_buf_u64le(out, (uint64_t)model->new_fit);
  for (int i = 0; i < 4; i++)
    neo_buf_u64le(out, model->rng.s[i]);
  for (int i = 0; i < model->n; i++)
    save_row(out, &model->rows[i], model->features[i]);
  neo_buf_u64le(out, size);
  neo_buf_append(out, trees, size);
  if (!out->failed)
    neo_buf_u32le(out, neo_crc32(0, out->data + start, out->size - start));
  return out->failed ? neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory") : NEO_OK;
}

static neo_status load_trees(neo_ctx *ctx, neo_reader *reader, neo_model *model) {
  uint64_t size = neo_read_u64le(reader);
  if (size == 0)
    return NEO_OK;
  const uint8_t *trees = size <= reader->size ? neo_read_bytes(reader, (size_t)size) : NULL;
  if (!trees)
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: the trees are cut off");
  NEO_TRY(new_booster(ctx, &model->booster));
  if (XGBoosterLoadModelFromBuffer(model->booster, trees, size) != 0 ||
      XGBoosterSetParam(model->booster, "nthread", "1") != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: xgboost refuses the trees");
  return NEO_OK;
}

static neo_status load_body(neo_ctx *ctx, neo_reader *reader, neo_model *model) {
  uint32_t features = neo_read_u32le(reader);
  uint32_t n = neo_read_u32le(reader);
  if (features != NEO_FEATURES || n > MAX_ROWS)
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: %u features, %d expected; %u rows, at most %d",
                    features, NEO_FEATURES, n, (int)MAX_ROWS);
  model->n = (int)n;
  model->full_n = (int)neo_read_u32le(reader);
  model->trees = (int)neo_read_u32le(reader);
  model->new_full = (int64_t)neo_read_u64le(reader);
  model->new_fit = (int64_t)neo_read_u64le(reader);
  for (int i = 0; i < 4; i++)
    model->rng.s[i] = neo_read_u64le(reader);
  for (int i = 0; i < model->n; i++) {
    load_row(reader, &model->rows[i], model->features[i]);
    int group = model->rows[i].group;
    if (group < 0 || group >= MAX_GROUPS)
      return neo_fail(ctx, NEO_BAD_INPUT, "cost model: row %d is of group %d", i, group);
    model->group_rows[group]++;
  }
  return load_trees(ctx, reader, model);
}

neo_status neo_model_load(neo_ctx *ctx, const void *data, size_t size, neo_model **out) {
  neo_reader reader = {.data = data, .size = size < 4 ? 0 : size - 4};
  neo_reader tail = {.data = data, .size = size, .at = reader.size};
  if (neo_read_u32le(&reader) != MAGIC || neo_read_u32le(&reader) != VERSION)
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: not a model of version %d", (int)VERSION);
  if (neo_read_u32le(&tail) != neo_crc32(0, data, reader.size))
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: the checksum does not match");
  neo_model *model;
  NEO_TRY(neo_model_create(ctx, &model));
  neo_status status = load_body(ctx, &reader, model);
  if (status == NEO_OK && (reader.failed || reader.at != reader.size))
    status =
        neo_fail(ctx, NEO_BAD_INPUT, "cost model: %zu bytes, %zu expected", size, reader.at + 4);
  if (status == NEO_OK)
    *out = model;
  else
    neo_model_destroy(model);
  return status;
}
