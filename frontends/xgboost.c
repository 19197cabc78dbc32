/* frontends/xgboost.c: XGBoost models: recognising the three forms, and model -> graph.
 *
 * Input `features` f32 [n, num_feature], NaN is missing; outputs `prediction` and `margin`, of
 * shape [n] for one target and [n, targets] otherwise, as XGBoost's predict gives them. The margin
 * is one tree_ensemble (or one gemm, gblinear); the objective's transform follows as plain
 * operators. */
#include "frontends/xgboost.h"

#include <math.h>
#include <string.h>

enum { IDENTITY, LOGIT, LOG, SIGMOID, EXP, HINGE, ARGMAX, SOFTMAX };

typedef struct objective_row {
  const char *name;
  int base, transform;
} objective_row;

static const objective_row objectives[] = {
#define X(name, base, transform) {name, base, transform},
#include "frontends/xgboost_objectives.def"
#undef X
};

static const objective_row *objective_find(const char *name) {
  for (int i = 0; i < NEO_COUNT(objectives); i++)
    if (strcmp(objectives[i].name, name) == 0)
      return &objectives[i];
  return NULL;
}

/* ---- recognising ------------------------------------------------------------------------------------ */

/* The document's first key, if the file starts like an object in JSON or UBJSON. */
static const xgb_syntax *find_syntax(const neo_mapping *file) {
  static const char *const keys[] = {"learner", "version"};
  const uint8_t *at = file->data, *end = file->data + file->size;
  char head[64] = {0};
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
    at++;
  if (end - at < 12 || *at != '{')
    return NULL;
  size_t n = end - at < (int64_t)sizeof head ? (size_t)(end - at) : sizeof head;
  memcpy(head, at, n);
  for (int i = 0; i < NEO_COUNT(keys); i++) {
    size_t size = strlen(keys[i]), from = 1 + strspn(head + 1, " \n\t\r");
    if (head[from] == '"' && strncmp(head + from + 1, keys[i], size) == 0 &&
        head[from + 1 + size] == '"')
      return &xgb_json;
    if (head[1] == 'L' && memcmp(head + 2, "\0\0\0\0\0\0\0\7", 8) == 0 &&
        memcmp(head + 10, keys[i], size) == 0)
      return &xgb_ubj;
    if ((head[1] == 'i' || head[1] == 'U') && head[2] == 7 && memcmp(head + 3, keys[i], size) == 0)
      return &xgb_ubj;
  }
  return NULL;
}

static bool is_binary(const neo_mapping *file) {
  neo_reader r = {.data = file->data, .size = file->size};
  char name[64] = {0};
  if (file->size >= 4 && memcmp(file->data, "binf", 4) == 0)
    r.at = 4;
  neo_read_bytes(&r, 136);
  uint64_t n = neo_read_u64le(&r);
  const uint8_t *text = r.failed || n >= sizeof name ? NULL : neo_read_bytes(&r, (size_t)n);
  if (!text)
    return false;
  memcpy(name, text, (size_t)n);
  return objective_find(name) != NULL;
}

/* A first key "version" is not enough: the document must have a learner. */
bool xgboost_detect(const neo_source *source) {
  xgb_object top;
  const xgb_syntax *syntax = source->folder ? NULL : find_syntax(&source->file);
  if (!syntax)
    return !source->folder && is_binary(&source->file);
  if (!syntax->object((xgb_span){source->file.data, source->file.data + source->file.size}, &top))
    return true; /* damaged: the reader says so */
  for (int i = 0; i < top.n; i++)
    if (top.member[i].key_size == 7 && memcmp(top.member[i].key, "learner", 7) == 0)
      return true;
  return false;
}

/* ---- graph -------------------------------------------------------------------------------------------- */

static float base_margin(const objective_row *objective, bool is_margin, float base) {
  if (is_margin || objective->base == IDENTITY)
    return base;
  return objective->base == LOG ? logf(base) : -logf(1.0f / base - 1.0f);
}

static neo_status fill_base(const xgb_model *m, const objective_row *objective, float *out) {
  int64_t n = (int64_t)(m->base.size / sizeof(float)), groups = xgb_groups(m);
  const float *base = (const float *)(const void *)m->base.data;
  if (m->base.failed || n < 1 || (n != 1 && n != groups))
    return xgb_bad(m, "base_score has %lld values, %lld targets", (long long)n, (long long)groups);
  for (int64_t k = 0; k < groups; k++)
    out[k] = base_margin(objective, m->base_is_margin, base[n == 1 ? 0 : k]);
  return NEO_OK;
}

/* A constant with a copy of the buffer. */
static neo_status constant(neo_emitter *e, const char *name, neo_dtype dtype, neo_shape shape,
                           const neo_buf *data, int *out) {
  neo_tensor tensor;
  NEO_TRY(neo_tensor_create(e->ctx, dtype, &shape, &tensor));
  neo_assert(tensor.size == data->size);
  if (tensor.size)
    memcpy(tensor.data, data->data, tensor.size);
  neo_graph_adopt(e->graph, tensor.data);
  *out = neo_emit_tensor(e, name, &tensor);
  return NEO_OK;
}

static neo_status emit_trees(neo_emitter *e, const xgb_model *m, int x, int base, int *margin) {
  int64_t nodes = (int64_t)(m->feature.size / 4), leaves = (int64_t)(m->leaf_target.size / 4);
  int64_t width = m->width > 0 ? m->width : 1;
  const struct {
    const char *name;
    const neo_buf *data;
    neo_dtype dtype;
    neo_shape shape;
  } part[] = {{"feature", &m->feature, NEO_I32, {1, {nodes}}},
              {"threshold", &m->threshold, NEO_F32, {1, {nodes}}},
              {"child", &m->child, NEO_I32, {2, {nodes, 2}}},
              {"flags", &m->flags, NEO_U8, {1, {nodes}}},
              {"root", &m->root, NEO_I32, {1, {m->n_trees}}},
              {"leaf_target", &m->leaf_target, NEO_I32, {1, {leaves}}},
              {"leaf_value", &m->leaf_value, NEO_F32, {2, {leaves, width}}},
              {"base", NULL, NEO_F32, {0}},
              {"sets", &m->sets, NEO_I32, {1, {(int64_t)(m->sets.size / 4)}}}};
  int input[10] = {x};
  for (int i = 0; i < NEO_COUNT(part); i++) {
    input[i + 1] = i == 7 ? base : NEO_NO_VALUE;
    if (part[i].data && (i != 8 || m->sets.size > 0))
      NEO_TRY(constant(e, part[i].name, part[i].dtype, part[i].shape, part[i].data, &input[i + 1]));
  }
  *margin = neo_emit_node(e, "tree_ensemble", 10, input, 1)->output[0];
  return NEO_OK;
}

/* Missing features count nothing: they are set to zero. Whatever the groups, xgboost's own linear
 * predictor starts each from the first one's base score. */
static neo_status emit_linear(neo_emitter *e, const xgb_model *m, int x, int base, int *margin) {
  int64_t groups = xgb_groups(m), n = (int64_t)(m->linear.size / sizeof(float));
  int weights, bias;
  if (m->linear.failed || n != (m->n_features + 1) * groups)
    return xgb_bad(m, "%lld weights, %lld expected", (long long)n,
                   (long long)((m->n_features + 1) * groups));
  neo_buf row = {.data = m->linear.data + m->linear.size - sizeof(float) * (size_t)groups,
                 .size = sizeof(float) * (size_t)groups};
  neo_buf rest = {.data = m->linear.data, .size = m->linear.size - row.size};
  NEO_TRY(
      constant(e, "weights", NEO_F32, (neo_shape){2, {m->n_features, groups}}, &rest, &weights));
  NEO_TRY(constant(e, "bias", NEO_F32, (neo_shape){1, {groups}}, &row, &bias));
  int missing = neo_emit_unary(e, "isnan", x), zero = neo_emit_scalar(e, NEO_F32, 0);
  int filled = neo_emit_node(e, "where", 3, (int[]){missing, zero, x}, 1)->output[0];
  int first = neo_emit_ints(e, 1, (int64_t[]){0});
  int score = neo_emit_binary(e, "gather", base, first);
  int all = neo_emit_binary(e, "add", bias, score);
  *margin = neo_emit_node(e, "gemm", 3, (int[]){filled, weights, all}, 1)->output[0];
  return NEO_OK;
}

static int emit_transform(neo_emitter *e, int transform, int margin) {
  neo_node *node;
  int test;
  switch (transform) {
  case SIGMOID:
    return neo_emit_unary(e, "sigmoid", margin);
  case EXP:
    return neo_emit_unary(e, "exp", margin);
  case HINGE:
    test = neo_emit_binary(e, "greater", margin, neo_emit_scalar(e, NEO_F32, 0));
    return neo_emit_cast(e, test, NEO_F32);
  case SOFTMAX:
    node = neo_emit_node(e, "softmax", 1, &margin, 1);
    neo_node_set_int(e->graph, node, "axis", 1);
    return node->output[0];
  case ARGMAX:
    node = neo_emit_node(e, "arg_max", 1, &margin, 1);
    neo_node_set_int(e->graph, node, "axis", 1);
    neo_node_set_int(e->graph, node, "keepdims", 0);
    return neo_emit_cast(e, node->output[0], NEO_F32);
  default:
    return margin;
  }
}

static int drop_target_axis(neo_emitter *e, int value) {
  neo_node *node = neo_emit_node(e, "squeeze", 1, &value, 1);
  neo_node_set_ints(e->graph, node, "axes", 1, (int64_t[]){1});
  return node->output[0];
}

/* An ensemble without trees, as a tree with nothing in its only leaf. */
static neo_status add_empty_tree(xgb_model *m) {
  static const int32_t left[1] = {-1}, zero[1] = {0};
  static const float value[1] = {0};
  static const uint8_t no[1] = {0};
  xgb_tree tree = {.n = 1,
                   .width = 1,
                   .left = left,
                   .right = zero,
                   .feature = zero,
                   .condition = value,
                   .default_left = no};
  return xgb_add_tree(m, &tree, 0);
}

static neo_status emit_model(neo_emitter *e, const xgb_model *m, const objective_row *objective) {
  int64_t groups = xgb_groups(m);
  neo_shape shape = {.rank = 2, .dim = {-1, m->n_features}};
  int x = neo_emit_input(e, "features", NEO_F32, &shape), base, margin = x;
  neo_tensor tensor;
  if (!e->graph->value[x].dim_name[0])
    e->graph->value[x].dim_name[0] = "rows";
  e->scope = m->booster;
  NEO_TRY(neo_tensor_create(e->ctx, NEO_F32, &(neo_shape){1, {groups}}, &tensor));
  neo_graph_adopt(e->graph, tensor.data);
  NEO_TRY(fill_base(m, objective, tensor.data));
  base = neo_emit_tensor(e, "base", &tensor);
  if (strcmp(m->booster, "gblinear") == 0)
    NEO_TRY(emit_linear(e, m, x, base, &margin));
  else
    NEO_TRY(emit_trees(e, m, x, base, &margin));
  e->scope = objective->name;
  if (groups == 1)
    margin = drop_target_axis(e, margin);
  bool several = objective->transform == ARGMAX || objective->transform == SOFTMAX;
  if (several && groups == 1)
    return xgb_bad(m, "objective %s with one class", m->objective);
  neo_graph_add_output(e->graph, emit_transform(e, objective->transform, margin), "prediction");
  neo_graph_add_output(e->graph, margin, "margin");
  return NEO_OK;
}

static neo_status read_model(xgb_model *m, const neo_source *source,
                             const objective_row **objective) {
  const xgb_syntax *syntax = find_syntax(&source->file);
  NEO_TRY(syntax ? xgb_read_document(m, syntax, &source->file) : xgb_read_binary(m, &source->file));
  if (m->n_features > INT32_MAX || m->n_classes < 0 || xgb_groups(m) > 1000000)
    return xgb_bad(m, "%lld features, %lld classes, %lld targets", (long long)m->n_features,
                   (long long)m->n_classes, (long long)m->n_targets);
  if (m->drop.size > 0 && (int64_t)(m->drop.size / 4) != m->n_trees)
    return xgb_bad(m, "%lld weights of dropped trees, %lld trees", (long long)(m->drop.size / 4),
                   (long long)m->n_trees);
  if (m->n_trees == 0 && m->linear.size == 0)
    NEO_TRY(add_empty_tree(m));
  *objective = objective_find(m->objective);
  if (!*objective)
    return neo_fail(m->ctx, NEO_UNSUPPORTED, "xgboost: %s: objective '%s' is not known", m->path,
                    m->objective);
  return NEO_OK;
}

neo_status xgboost_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  xgb_model m = {.ctx = ctx, .path = source->path};
  neo_emitter e = {0};
  const objective_row *objective = NULL;
  neo_status status = read_model(&m, source, &objective);
  if (status == NEO_OK)
    status = neo_emitter_init(&e, ctx, source, "xgboost");
  if (status == NEO_OK)
    status = emit_model(&e, &m, objective);
  if (status == NEO_OK)
    status = neo_emitter_end(&e, out);
  if (status == NEO_OK) {
    neo_mapping file = source->file; /* nothing in the graph points into it */
    neo_file_unmap(&file);
  }
  if (status != NEO_OK && e.graph)
    neo_emitter_drop(&e);
  xgb_model_fini(&m);
  return status;
}
