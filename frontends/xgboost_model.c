/* frontends/xgboost_model.c: the model in memory: trees appended to tree_ensemble's arrays exactly
 * as they are stored. Deleted nodes stay, unreachable; nothing is renumbered, so node k of tree t
 * is the one XGBoost's own dump calls so.
 *
 * Meaning of a categorical node: a category of its set goes right, any other and what is no
 * category left; so it becomes "is a member?" with the children exchanged. */
#include "frontends/xgboost.h"

#include "ir/ops_tree.h"

#define MAX_TARGETS 1000000
#define MAX_CATEGORY 16777216 /* 2^24: thresholds and categories are floats */

int64_t xgb_groups(const xgb_model *model) {
  int64_t n = model->n_targets > 1 ? model->n_targets : model->n_classes;
  return n > 1 ? n : 1;
}

neo_status xgb_bad(const xgb_model *model, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return neo_fail(model->ctx, NEO_BAD_INPUT, "xgboost: %s: %s", model->path, text);
}

void xgb_model_fini(xgb_model *model) {
  neo_buf *const all[] = {&model->base,        &model->drop,       &model->linear, &model->feature,
                          &model->threshold,   &model->child,      &model->flags,  &model->root,
                          &model->leaf_target, &model->leaf_value, &model->sets};
  for (int i = 0; i < NEO_COUNT(all); i++)
    neo_buf_fini(all[i]);
}

static void put_i32(neo_buf *buf, int64_t v) {
  int32_t word = (int32_t)v;
  neo_buf_append(buf, &word, sizeof word);
}

static void put_f32(neo_buf *buf, float v) {
  neo_buf_append(buf, &v, sizeof v);
}

static int64_t words(const neo_buf *buf) {
  return (int64_t)(buf->size / 4);
}

/* The set's first word in sets, or -1 with a failure recorded. */
static neo_status add_set(xgb_model *m, const xgb_tree *t, int64_t k, int64_t *start) {
  int64_t begin = t->set_begin[k], n = t->set_size[k], largest = 0;
  if (begin < 0 || n < 0 || begin > t->n_categories || n > t->n_categories - begin)
    return xgb_bad(m, "tree %lld: set %lld is outside of the categories", (long long)m->n_trees,
                   (long long)k);
  for (int64_t i = 0; i < n; i++) {
    int64_t category = t->category[begin + i];
    if (category < 0 || category >= MAX_CATEGORY)
      return xgb_bad(m, "tree %lld: category %lld, 0 to 2^24 - 1 expected", (long long)m->n_trees,
                     (long long)category);
    largest = neo_max_i64(largest, category);
  }
  /* a few large categories in many nodes would make a file grow beyond measure */
  int64_t length = largest / 32 + 1;
  *start = words(&m->sets);
  if (*start + length >= MAX_CATEGORY)
    return neo_fail(m->ctx, NEO_UNSUPPORTED, "xgboost: %s: more than 64 MB of category sets",
                    m->path);
  put_i32(&m->sets, length);
  size_t first = m->sets.size;
  for (int64_t i = 0; i < length; i++)
    put_i32(&m->sets, 0);
  for (int64_t i = 0; i < n && !m->sets.failed; i++) {
    int64_t category = t->category[begin + i];
    m->sets.data[first + (size_t)category / 8] |= (char)(1 << category % 8);
  }
  return NEO_OK;
}

static neo_status add_leaf(xgb_model *m, const xgb_tree *t, int64_t i, int64_t group) {
  int64_t row = t->leaf_by_node ? i : t->right[i];
  put_i32(&m->leaf_target, t->width > 1 ? 0 : group);
  if (t->width == 1) {
    float drop = 1;
    if (words(&m->drop) > m->n_trees)
      drop = ((const float *)(const void *)m->drop.data)[m->n_trees];
    put_f32(&m->leaf_value, words(&m->drop) > 0 ? t->condition[i] * drop : t->condition[i]);
    return NEO_OK;
  }
  if (row < 0 || row >= t->n_leaf_rows)
    return xgb_bad(m, "tree %lld: node %lld has leaf row %lld of %lld", (long long)m->n_trees,
                   (long long)i, (long long)row, (long long)t->n_leaf_rows);
  neo_buf_append(&m->leaf_value, t->leaf + row * t->width, sizeof(float) * (size_t)t->width);
  return NEO_OK;
}

/* A node that is no leaf. first: number of the tree's root. */
static neo_status add_inner(xgb_model *m, const xgb_tree *t, int64_t i, int64_t first) {
  int64_t left = t->left[i], right = t->right[i];
  if (left < 0 || left >= t->n || right < 0 || right >= t->n)
    return xgb_bad(m, "tree %lld: node %lld has children %lld and %lld of %lld nodes",
                   (long long)m->n_trees, (long long)i, (long long)left, (long long)right,
                   (long long)t->n);
  put_i32(&m->child, first + left);
  put_i32(&m->child, first + right);
  return NEO_OK;
}

static neo_status add_node(xgb_model *m, const xgb_tree *t, int64_t i, int64_t first,
                           int64_t group) {
  bool leaf = t->left[i] == -1;
  put_i32(&m->feature, t->feature[i]);
  put_f32(&m->threshold, t->condition[i]);
  neo_buf_u8(&m->flags, t->default_left[i] ? NEO_TREE_LESS | NEO_TREE_MISSING : NEO_TREE_LESS);
  if (!leaf)
    return add_inner(m, t, i, first);
  put_i32(&m->child, -1);
  put_i32(&m->child, words(&m->leaf_target));
  return add_leaf(m, t, i, group);
}

static neo_status add_sets(xgb_model *m, const xgb_tree *t, int64_t first) {
  for (int64_t k = 0; k < t->n_sets; k++) {
    int64_t node = t->set_node[k], start = 0;
    if (node < 0 || node >= t->n)
      return xgb_bad(m, "tree %lld: a set of node %lld, which is not there", (long long)m->n_trees,
                     (long long)node);
    if (t->left[node] == -1 || !t->categorical || !t->categorical[node])
      continue;
    NEO_TRY(add_set(m, t, k, &start));
    if (m->sets.failed || m->child.failed || m->flags.failed || m->threshold.failed)
      break; /* said at the end of the tree */
    int32_t *child = (int32_t *)(void *)m->child.data + 2 * (first + node);
    int32_t right = child[1];
    child[1] = child[0];
    child[0] = right;
    m->flags.data[first + node] =
        t->default_left[node] ? NEO_TREE_MEMBER : NEO_TREE_MEMBER | NEO_TREE_MISSING;
    ((float *)(void *)m->threshold.data)[first + node] = (float)start;
  }
  return NEO_OK;
}

static bool out_of_memory(const xgb_model *m) {
  return m->feature.failed || m->threshold.failed || m->child.failed || m->flags.failed ||
         m->root.failed || m->leaf_target.failed || m->leaf_value.failed || m->sets.failed;
}

neo_status xgb_add_tree(xgb_model *m, const xgb_tree *t, int64_t group) {
  int64_t first = words(&m->feature), groups = xgb_groups(m);
  if (m->width == 0)
    m->width = t->width;
  if (t->n < 1 || first + t->n > INT32_MAX / 2)
    return xgb_bad(m, "tree %lld: %lld nodes", (long long)m->n_trees, (long long)t->n);
  if (t->width != m->width || (t->width > 1 && t->width != groups))
    return xgb_bad(m, "tree %lld: leaves of %lld values, %lld expected", (long long)m->n_trees,
                   (long long)t->width, (long long)groups);
  if (group < 0 || group >= groups || groups > MAX_TARGETS)
    return xgb_bad(m, "tree %lld adds to target %lld of %lld", (long long)m->n_trees,
                   (long long)group, (long long)groups);
  put_i32(&m->root, first);
  for (int64_t i = 0; i < t->n; i++)
    NEO_TRY(add_node(m, t, i, first, group));
  NEO_TRY(add_sets(m, t, first));
  m->n_trees++;
  return out_of_memory(m) ? neo_fail(m->ctx, NEO_NO_MEMORY, "xgboost: out of memory") : NEO_OK;
}
