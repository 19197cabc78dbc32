/* frontends/xgboost_doc.c: XGBoost's document, JSON or UBJSON, of 1.0 to 3.x -> xgb_model.
 *
 *   learner { learner_model_param { base_score num_feature num_class num_target }
 *             objective { name ... }
 *             gradient_booster { name
 *               model { gbtree_model_param, tree_info [], trees [ {} ] }    gbtree
 *               gbtree { model ... }, weight_drop []                        dart
 *               model { weights [] } } }                                    gblinear
 *   version [major, minor, patch]
 * Values of *_param are strings. base_score is one number or, from 3.1 on, "[a,b,...]". */
#include "frontends/xgboost.h"

#include <string.h>

bool xgb_put(double v, int64_t i, float *out_f32, int32_t *out_i32, uint8_t *out_u8) {
  if (out_i32 && !(v >= INT32_MIN && v <= INT32_MAX))
    return false;
  if (out_f32)
    out_f32[i] = (float)v;
  if (out_i32)
    out_i32[i] = (int32_t)v;
  if (out_u8)
    out_u8[i] = v != 0;
  return true;
}

typedef struct doc {
  xgb_model *model;
  neo_arena *arena; /* of the arrays being read */
  const xgb_syntax *syntax;
  char where[64]; /* for messages: "tree 12" */
} doc;

static neo_status bad(const doc *d, const char *key, const char *what) {
  return xgb_bad(d->model, "%s: %s: '%s' %s", d->syntax->name, d->where, key, what);
}

static xgb_span member(const xgb_object *object, const char *key) {
  size_t size = strlen(key);
  for (int i = 0; i < object->n; i++)
    if (object->member[i].key_size == size && memcmp(object->member[i].key, key, size) == 0)
      return object->member[i].value;
  return (xgb_span){NULL, NULL};
}

static neo_status open_object(const doc *d, const xgb_object *in, const char *key,
                              xgb_object *out) {
  xgb_span span = member(in, key);
  if (!span.at)
    return bad(d, key, "is not there");
  return d->syntax->object(span, out) ? NEO_OK : bad(d, key, "is not a sound object");
}

static neo_status read_text(const doc *d, const xgb_object *in, const char *key, char *out,
                            size_t size) {
  xgb_span span = member(in, key);
  if (!span.at)
    return bad(d, key, "is not there");
  return d->syntax->text(span, out, size) ? NEO_OK : bad(d, key, "is not a short text");
}

/* An integer that may be written as a string; `otherwise` if absent. */
static neo_status read_int(const doc *d, const xgb_object *in, const char *key, int64_t otherwise,
                           int64_t *out) {
  char text[64];
  neo_scan scan;
  *out = otherwise;
  if (!member(in, key).at)
    return NEO_OK;
  NEO_TRY(read_text(d, in, key, text, sizeof text));
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, out) || *scan.at || *out < 0 || *out > INT32_MAX)
    return bad(d, key, "is not a whole number below 2^31");
  return NEO_OK;
}

/* An array of n numbers (n < 0: any number of them, *out_n set) into arena memory. Only one of the
 * outputs is used. */
static neo_status read_array(const doc *d, const xgb_object *in, const char *key, char type,
                             int64_t *inout_n, void **out) {
  xgb_span span = member(in, key);
  int64_t n;
  if (!span.at)
    return bad(d, key, "is not there");
  if (!d->syntax->count(span, &n))
    return bad(d, key, "is not an array of numbers");
  if (*inout_n >= 0 && n != *inout_n)
    return xgb_bad(d->model, "%s: %s: '%s' has %lld values, %lld expected", d->syntax->name,
                   d->where, key, (long long)n, (long long)*inout_n);
  *out = neo_arena_alloc(d->arena, (size_t)n * (type == 'u' ? 1 : 4) + 1);
  if (!d->syntax->numbers(span, n, NULL, type == 'f' ? *out : NULL, type == 'i' ? *out : NULL,
                          type == 'u' ? *out : NULL))
    return bad(d, key, "has a value that does not fit");
  *inout_n = n;
  return NEO_OK;
}

static neo_status append_floats(const doc *d, const xgb_object *in, const char *key, neo_buf *out) {
  neo_arena arena;
  void *data = NULL;
  int64_t n = -1;
  neo_arena_init(&arena);
  doc own = *d;
  own.arena = &arena;
  neo_status status = read_array(&own, in, key, 'f', &n, &data);
  if (status == NEO_OK)
    neo_buf_append(out, data, sizeof(float) * (size_t)n);
  neo_arena_fini(&arena);
  return status;
}

/* ---- one tree ------------------------------------------------------------------------------------- */

static neo_status read_sets(const doc *d, const xgb_object *in, xgb_tree *tree) {
  void *data;
  int64_t any = -1;
  if (!member(in, "categories_nodes").at)
    return NEO_OK;
  NEO_TRY(read_array(d, in, "categories_nodes", 'i', &any, &data));
  tree->n_sets = any;
  tree->set_node = data;
  NEO_TRY(read_array(d, in, "categories_segments", 'i', &any, &data));
  tree->set_begin = data;
  NEO_TRY(read_array(d, in, "categories_sizes", 'i', &any, &data));
  tree->set_size = data;
  any = -1;
  NEO_TRY(read_array(d, in, "categories", 'i', &any, &data));
  tree->n_categories = any;
  tree->category = data;
  any = tree->n;
  NEO_TRY(read_array(d, in, "split_type", 'u', &any, &data));
  tree->categorical = data;
  return NEO_OK;
}

/* Rows of leaf values: leaf_weights numbered by right_children (3.1 on), or base_weights by node.
 */
static neo_status read_leaf_rows(const doc *d, const xgb_object *in, xgb_tree *tree) {
  void *data;
  int64_t n = -1;
  tree->leaf_by_node = !member(in, "leaf_weights").at;
  NEO_TRY(read_array(d, in, tree->leaf_by_node ? "base_weights" : "leaf_weights", 'f', &n, &data));
  tree->leaf = data;
  tree->n_leaf_rows = n / tree->width;
  return NEO_OK;
}

static neo_status read_tree(const doc *d, const xgb_object *in, int64_t group) {
  xgb_object param;
  xgb_tree tree = {0};
  void *data;
  NEO_TRY(open_object(d, in, "tree_param", &param));
  NEO_TRY(read_int(d, &param, "num_nodes", 0, &tree.n));
  NEO_TRY(read_int(d, &param, "size_leaf_vector", 1, &tree.width));
  tree.width = tree.width < 1 ? 1 : tree.width;
  NEO_TRY(read_array(d, in, "left_children", 'i', &tree.n, &data));
  tree.left = data;
  NEO_TRY(read_array(d, in, "right_children", 'i', &tree.n, &data));
  tree.right = data;
  NEO_TRY(read_array(d, in, "split_indices", 'i', &tree.n, &data));
  tree.feature = data;
  NEO_TRY(read_array(d, in, "split_conditions", 'f', &tree.n, &data));
  tree.condition = data;
  NEO_TRY(read_array(d, in, "default_left", 'u', &tree.n, &data));
  tree.default_left = data;
  NEO_TRY(read_sets(d, in, &tree));
  if (tree.width > 1)
    NEO_TRY(read_leaf_rows(d, in, &tree));
  return xgb_add_tree(d->model, &tree, group);
}

/* ---- boosters --------------------------------------------------------------------------------------- */

static neo_status read_trees(doc *d, const xgb_object *model) {
  neo_arena arena, kept;
  xgb_span at, span = member(model, "trees"), one;
  int64_t left, n_info = -1;
  bool done = false;
  void *info = NULL;
  neo_arena_init(&arena);
  neo_arena_init(&kept);
  doc own = *d;
  own.arena = &kept;
  d->arena = &arena;
  neo_status status = read_array(&own, model, "tree_info", 'i', &n_info, &info);
  if (status == NEO_OK && (!span.at || !d->syntax->begin(span, &at, &left)))
    status = bad(d, "trees", "is not an array");
  for (int64_t k = 0; status == NEO_OK; k++) {
    xgb_object tree;
    snprintf(d->where, sizeof d->where, "tree %lld", (long long)k);
    if (!d->syntax->next(&at, &left, &one, &done) || (!done && !d->syntax->object(one, &tree)))
      status = bad(d, "trees", "is damaged");
    if (status != NEO_OK || done)
      break;
    if (k >= n_info)
      status = bad(d, "tree_info", "has no entry for it");
    else
      status = read_tree(d, &tree, ((const int32_t *)info)[k]);
    neo_arena_reset(&arena);
  }
  neo_arena_fini(&arena);
  neo_arena_fini(&kept);
  if (status == NEO_OK && d->model->n_trees != n_info)
    status = bad(d, "tree_info", "has entries without a tree");
  return status;
}

static neo_status read_booster(doc *d, const xgb_object *learner) {
  xgb_model *m = d->model;
  xgb_object booster, inner, model;
  NEO_TRY(open_object(d, learner, "gradient_booster", &booster));
  NEO_TRY(read_text(d, &booster, "name", m->booster, sizeof m->booster));
  if (strcmp(m->booster, "gblinear") == 0) {
    NEO_TRY(open_object(d, &booster, "model", &model));
    return append_floats(d, &model, "weights", &m->linear);
  }
  if (strcmp(m->booster, "dart") == 0) {
    NEO_TRY(append_floats(d, &booster, "weight_drop", &m->drop));
    NEO_TRY(open_object(d, &booster, "gbtree", &inner));
    booster = inner;
  } else if (strcmp(m->booster, "gbtree") != 0) {
    return neo_fail(m->ctx, NEO_UNSUPPORTED,
                    "xgboost: %s: booster '%s'; gbtree, dart and gblinear are known", m->path,
                    m->booster);
  }
  NEO_TRY(open_object(d, &booster, "model", &model));
  return read_trees(d, &model);
}

/* "0.5", "5E-1" or "[1.5E2,...]". */
static neo_status read_base(const doc *d, const xgb_object *param) {
  neo_buf *base = &d->model->base;
  xgb_span span = member(param, "base_score");
  size_t room = span.at ? (size_t)(span.end - span.at) + 1 : 0;
  char *text = neo_alloc(d->model->ctx, room + 64);
  neo_scan scan;
  if (!text)
    return neo_fail(d->model->ctx, NEO_NO_MEMORY, "xgboost: out of memory");
  neo_status status = read_text(d, param, "base_score", text, room + 64);
  neo_scan_init(&scan, text);
  bool list = status == NEO_OK && neo_scan_token(&scan, "[");
  while (status == NEO_OK) {
    double v;
    if (!neo_scan_double(&scan, &v)) {
      status = bad(d, "base_score", "is not a number or a list of numbers");
      break;
    }
    float f = (float)v;
    neo_buf_append(base, &f, sizeof f);
    if (!list || !neo_scan_token(&scan, ","))
      break;
  }
  if (status == NEO_OK && ((list && !neo_scan_token(&scan, "]")) || *scan.at))
    status = bad(d, "base_score", "is not a number or a list of numbers");
  neo_free(d->model->ctx, text);
  return status;
}

neo_status xgb_read_document(xgb_model *model, const xgb_syntax *syntax, const neo_mapping *file) {
  doc d = {.model = model, .syntax = syntax, .where = "the document"};
  xgb_object top, learner, param, objective;
  if (!syntax->object((xgb_span){file->data, file->data + file->size}, &top))
    return xgb_bad(model, "not a sound %s object", syntax->name);
  NEO_TRY(open_object(&d, &top, "learner", &learner));
  snprintf(d.where, sizeof d.where, "learner");
  NEO_TRY(open_object(&d, &learner, "learner_model_param", &param));
  NEO_TRY(open_object(&d, &learner, "objective", &objective));
  NEO_TRY(read_text(&d, &objective, "name", model->objective, sizeof model->objective));
  NEO_TRY(read_base(&d, &param));
  NEO_TRY(read_int(&d, &param, "num_feature", 0, &model->n_features));
  NEO_TRY(read_int(&d, &param, "num_class", 0, &model->n_classes));
  NEO_TRY(read_int(&d, &param, "num_target", 1, &model->n_targets));
  return read_booster(&d, &learner);
}
