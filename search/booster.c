/* XGBoost's C interface as the cost models need it.
 *
 * Why apart: two models train with it, the one that learns while a run goes on (cost_model.c) and
 * the one that is trained on all records (trained_model.c); both with the same parameters, one
 * thread and no sampling, so that the same rows give the same trees. */
#include "search/booster.h"

#include <math.h>
#include <xgboost/c_api.h>

struct neo_booster {
  neo_ctx memory;
  BoosterHandle handle;
  int trees;
};

static neo_status xgb_fail(neo_ctx *ctx) {
  return neo_fail(ctx, NEO_INTERNAL, "cost model: xgboost: %s", XGBGetLastError());
}

static neo_status set_parameters(neo_ctx *ctx, BoosterHandle handle) {
  static const char *const parameters[][2] = {
      {"verbosity", "0"},          {"nthread", "1"},   {"objective", "reg:squarederror"},
      {"tree_method", "hist"},     {"max_depth", "6"}, {"eta", "0.2"},
      {"min_child_weight", "0.5"}, {"lambda", "1"},    {"gamma", "0.001"},
      {"base_score", "0"},         {"max_bin", "64"},  {"seed", "0"},
  };
  char features[16];
  snprintf(features, sizeof(features), "%d", NEO_FEATURES);
  if (XGBoosterSetParam(handle, "num_feature", features) != 0)
    return xgb_fail(ctx);
  for (int i = 0; i < NEO_COUNT(parameters); i++)
    if (XGBoosterSetParam(handle, parameters[i][0], parameters[i][1]) != 0)
      return xgb_fail(ctx);
  return NEO_OK;
}

neo_status neo_booster_create(neo_ctx *ctx, neo_booster **out) {
  neo_booster *booster = neo_alloc(ctx, sizeof(*booster));
  if (!booster)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  neo_ctx_init(&booster->memory, 0);
  booster->memory.allocator = ctx->allocator;
  neo_status status = XGBoosterCreate(NULL, 0, &booster->handle) == 0 ? NEO_OK : xgb_fail(ctx);
  if (status == NEO_OK)
    status = set_parameters(ctx, booster->handle);
  if (status == NEO_OK)
    *out = booster;
  else
    neo_booster_destroy(booster);
  return status;
}

void neo_booster_destroy(neo_booster *booster) {
  if (!booster)
    return;
  if (booster->handle)
    XGBoosterFree(booster->handle);
  neo_ctx memory = booster->memory;
  neo_free(&memory, booster);
}

int neo_booster_trees(const neo_booster *booster) {
  return booster->trees;
}

static void array_interface(char *out, size_t size, const float *data, int rows, int columns) {
  snprintf(out, size, "{\"data\":[%llu,true],\"shape\":[%d,%d],\"typestr\":\"<f4\",\"version\":3}",
           (unsigned long long)(uintptr_t)data, rows, columns);
}

static neo_status make_matrix(neo_ctx *ctx, const neo_booster_rows *rows, DMatrixHandle *out) {
  char array[160];
  array_interface(array, sizeof(array), rows->features, rows->n, NEO_FEATURES);
  if (XGDMatrixCreateFromDense(array, "{\"missing\":NaN,\"nthread\":1}", out) != 0)
    return xgb_fail(ctx);
  if (XGDMatrixSetFloatInfo(*out, "label", rows->label, (bst_ulong)rows->n) != 0 ||
      XGDMatrixSetFloatInfo(*out, "weight", rows->weight, (bst_ulong)rows->n) != 0) {
    neo_status status = xgb_fail(ctx);
    XGDMatrixFree(*out);
    return status;
  }
  return NEO_OK;
}

neo_status neo_booster_grow(neo_ctx *ctx, neo_booster *booster, const neo_booster_rows *rows,
                            int rounds) {
  DMatrixHandle matrix = NULL;
  NEO_TRY(make_matrix(ctx, rows, &matrix));
  neo_status status = NEO_OK;
  for (int i = 0; status == NEO_OK && i < rounds; i++, booster->trees++)
    if (XGBoosterUpdateOneIter(booster->handle, booster->trees, matrix) != 0)
      status = xgb_fail(ctx);
  XGDMatrixFree(matrix);
  return status;
}

neo_status neo_booster_predict(neo_ctx *ctx, neo_booster *booster, int n, const float *features,
                               const float **out) {
  static const char config[] = "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
                               "\"iteration_end\":0,\"strict_shape\":false,\"cache_id\":0,"
                               "\"missing\":NaN}";
  char array[160];
  bst_ulong const *shape = NULL;
  bst_ulong dims = 0;
  array_interface(array, sizeof(array), features, n, NEO_FEATURES);
  if (XGBoosterPredictFromDense(booster->handle, array, config, NULL, &shape, &dims, out) != 0)
    return xgb_fail(ctx);
  return NEO_OK;
}

neo_status neo_booster_print(neo_ctx *ctx, neo_booster *booster, neo_buf *out) {
  const char *trees = NULL;
  bst_ulong size = 0;
  if (XGBoosterSaveModelToBuffer(booster->handle, "{\"format\":\"json\"}", &size, &trees) != 0)
    return xgb_fail(ctx);
  neo_buf_append(out, trees, size);
  return out->failed ? neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory") : NEO_OK;
}

float neo_finite_feature(float v) {
  return isnan(v) ? 0.0f : v > 1e30f ? 1e30f : v < -1e30f ? -1e30f : v;
}
