/* frontends/xgboost_binary.c: XGBoost's old binary format (to 3.0) -> xgb_model. Little-endian:
 *
 *   [ "binf" ]                        from 1.3 or so on
 *   136 bytes  f32 base_score, u32 num_feature, i32 num_class, i32 contain_extra_attrs,
 *              i32 contain_eval_metrics, u32 major_version, u32 minor_version, u32 num_target,
 *              zeros. major 0: base_score is a margin
 *   u64 n, n bytes   objective
 *   u64 n, n bytes   booster
 *   gbtree, dart: 160 bytes  i32 num_trees, ..., (36:) i32 size_leaf_vector
 *     per tree  148 bytes  i32, i32 num_nodes, i32 num_deleted, ..., (20:) i32 size_leaf_vector
 *               num_nodes x 20  i32 parent, i32 left, i32 right, u32 feature | default_left << 31,
 *                               f32 threshold or leaf value
 *               num_nodes x 16  statistics
 *     num_trees x i32  target of each tree
 *     dart: u64 n, n x f32  weights of the trees
 *   gblinear: 136 bytes, u64 n, n x f32 weights
 * What follows (attributes) is not needed. Categorical splits and vector leaves cannot be written.
 */
#include "frontends/xgboost.h"

#include <string.h>

static uint32_t word_at(const uint8_t *block, int offset) {
  return (uint32_t)block[offset] | (uint32_t)block[offset + 1] << 8 |
         (uint32_t)block[offset + 2] << 16 | (uint32_t)block[offset + 3] << 24;
}

static float float_at(const uint8_t *block, int offset) {
  uint32_t bits = word_at(block, offset);
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static neo_status cut(const xgb_model *m, const char *what) {
  return xgb_bad(m, "the file ends in %s", what);
}

static neo_status read_name(const xgb_model *m, neo_reader *r, char *out, size_t size) {
  uint64_t n = neo_read_u64le(r);
  const uint8_t *text = r->failed || n >= size ? NULL : neo_read_bytes(r, (size_t)n);
  if (!text)
    return xgb_bad(m, "no sound name of objective or booster");
  memcpy(out, text, (size_t)n);
  out[n] = '\0';
  return NEO_OK;
}

static neo_status read_floats(const xgb_model *m, neo_reader *r, const char *what, neo_buf *out) {
  uint64_t n = neo_read_u64le(r);
  const uint8_t *data =
      r->failed || n > (r->size - r->at) / 4 ? NULL : neo_read_bytes(r, (size_t)n * 4);
  if (!data)
    return cut(m, what);
  neo_buf_append(out, data, (size_t)n * 4);
  return NEO_OK;
}

static neo_status read_tree(xgb_model *m, neo_reader *r, neo_arena *arena, int64_t group) {
  const uint8_t *param = neo_read_bytes(r, 148);
  if (!param)
    return cut(m, "a tree's parameters");
  uint32_t n = word_at(param, 4);
  if (word_at(param, 20) > 1)
    return neo_fail(m->ctx, NEO_UNSUPPORTED, "xgboost: %s: vector leaves in a binary model",
                    m->path);
  if (n > (r->size - r->at) / 36)
    return xgb_bad(m, "tree %lld: %u nodes do not fit into the file", (long long)m->n_trees, n);
  const uint8_t *nodes = neo_read_bytes(r, (size_t)n * 20);
  neo_read_bytes(r, (size_t)n * 16);
  int32_t *left = neo_arena_alloc(arena, sizeof *left * (n + 1u));
  int32_t *right = neo_arena_alloc(arena, sizeof *right * (n + 1u));
  int32_t *feature = neo_arena_alloc(arena, sizeof *feature * (n + 1u));
  float *condition = neo_arena_alloc(arena, sizeof *condition * (n + 1u));
  uint8_t *default_left = neo_arena_alloc(arena, n + 1u);
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *node = nodes + (size_t)i * 20;
    left[i] = (int32_t)word_at(node, 4);
    right[i] = (int32_t)word_at(node, 8);
    feature[i] = (int32_t)(word_at(node, 12) & 0x7fffffff);
    default_left[i] = word_at(node, 12) >> 31 != 0;
    condition[i] = float_at(node, 16);
  }
  xgb_tree tree = {.n = n,
                   .width = 1,
                   .left = left,
                   .right = right,
                   .feature = feature,
                   .condition = condition,
                   .default_left = default_left};
  return xgb_add_tree(m, &tree, group);
}

/* Trees come before the numbers of their targets, and dart's weights after both; so the file is
 * walked to its end first. */
static neo_status find_ends(xgb_model *m, neo_reader r, uint32_t n_trees, const uint8_t **groups) {
  for (uint32_t k = 0; k < n_trees; k++) {
    const uint8_t *param = neo_read_bytes(&r, 148);
    uint32_t n = param ? word_at(param, 4) : 0;
    if (!param || n > (r.size - r.at) / 36 || !neo_read_bytes(&r, (size_t)n * 36))
      return xgb_bad(m, "tree %u does not fit into the file", k);
  }
  *groups = neo_read_bytes(&r, (size_t)n_trees * 4);
  if (!*groups)
    return cut(m, "the targets of the trees");
  if (strcmp(m->booster, "dart") == 0 && n_trees > 0)
    return read_floats(m, &r, "the weights of dropped trees", &m->drop);
  return NEO_OK;
}

static neo_status read_trees(xgb_model *m, neo_reader *r) {
  const uint8_t *param = neo_read_bytes(r, 160), *groups = NULL;
  neo_arena arena;
  if (!param)
    return cut(m, "the booster's parameters");
  uint32_t n_trees = word_at(param, 0);
  if (n_trees > (r->size - r->at) / 148)
    return xgb_bad(m, "%u trees do not fit into the file", n_trees);
  NEO_TRY(find_ends(m, *r, n_trees, &groups));
  neo_arena_init(&arena);
  neo_status status = NEO_OK;
  for (uint32_t k = 0; status == NEO_OK && k < n_trees; k++) {
    status = read_tree(m, r, &arena, (int32_t)word_at(groups, (int)0 + 4 * (int)k));
    neo_arena_reset(&arena);
  }
  neo_arena_fini(&arena);
  return status;
}

neo_status xgb_read_binary(xgb_model *m, const neo_mapping *file) {
  neo_reader r = {.data = file->data, .size = file->size};
  if (file->size >= 4 && memcmp(file->data, "binf", 4) == 0)
    r.at = 4;
  const uint8_t *param = neo_read_bytes(&r, 136);
  if (!param)
    return cut(m, "the learner's parameters");
  float base = float_at(param, 0);
  neo_buf_append(&m->base, &base, sizeof base);
  m->n_features = word_at(param, 4);
  m->n_classes = (int32_t)word_at(param, 8);
  uint32_t targets = word_at(param, 28); /* 0 before there were several */
  m->n_targets = targets > 0 ? targets : 1;
  m->base_is_margin = word_at(param, 20) == 0;
  NEO_TRY(read_name(m, &r, m->objective, sizeof m->objective));
  NEO_TRY(read_name(m, &r, m->booster, sizeof m->booster));
  if (strcmp(m->booster, "gblinear") == 0) {
    if (!neo_read_bytes(&r, 136))
      return cut(m, "the booster's parameters");
    return read_floats(m, &r, "the weights", &m->linear);
  }
  if (strcmp(m->booster, "gbtree") != 0 && strcmp(m->booster, "dart") != 0)
    return neo_fail(m->ctx, NEO_UNSUPPORTED,
                    "xgboost: %s: booster '%s'; gbtree, dart and gblinear are known", m->path,
                    m->booster);
  return read_trees(m, &r);
}
