/* A cost model that is trained on all records of a target, saved, shipped and loaded.
 *
 * Why: what the analytic model gets wrong on a device is the same for every model that is tuned
 * there. A search that starts from it need not learn it again from its own first measurements.
 *
 * Design
 * - The same residual learning, weights and parameters as cost_model.c's, but on all rows, at once.
 * - Training writes the file and loads it again: what is used is what is shipped.
 * - XGBoost writes the trees but does not read them here: its reader trusts child and feature
 * numbers, a file from elsewhere cannot be trusted. Trees are checked as they are read into one
 * array, and walked by a loop of our own.
 *
 * File: docs/formats/model.md.
 *
 * Invariants of a loaded model
 * 1. A child's number is higher than its parent's and lower than the end of its tree: every walk
 * ends.
 * 2. Every feature number that a walk meets is below NEO_FEATURES; every value is finite. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "search/booster.h"

enum {
  ROUNDS = 30, /* on 15 and 39 held-out tasks 20, 50 and 120 ranked alike; each walk costs time */
  VERSION = 1,
  MAX_LINE = 1024,
  MAX_TREES = 4096,
  MAX_NODES = 1 << 20,
  TARGET = 512
};

static const char MAGIC[] = "neo-cost-model ";

typedef struct node {
  int32_t left, right; /* in the node array; left < 0: a leaf */
  int32_t feature;
  float value; /* goes left if the feature is below it; of a leaf: its output */
} node;

struct neo_trained {
  neo_ctx memory;
  neo_buf file;
  char target[TARGET];
  int64_t rows;
  int n_trees;
  int32_t *tree; /* n_trees + 1: its first node; the last is the number of nodes */
  node *nodes;
};

/* ---- the header line ------------------------------------------------------------------------------- */

typedef struct header {
  int64_t bytes, features, feature_version, rows;
  char target[TARGET];
} header;

/* The line from behind the checksum on, with its newline. */
static void print_header(neo_buf *out, const header *h) {
  neo_buf_printf(out, "bytes=%lld features=%lld feature-version=%lld rows=%lld target=%s\n",
                 (long long)h->bytes, (long long)h->features, (long long)h->feature_version,
                 (long long)h->rows, h->target);
}

static bool scan_field(neo_scan *scan, const char *name, int64_t *out) {
  return neo_scan_token(scan, name) && neo_scan_int(scan, out) && *out >= 0;
}

/* text: the line from behind the checksum on, without its newline. */
static bool parse_header(const char *text, header *out) {
  neo_scan scan;
  neo_buf canonical = {0};
  memset(out, 0, sizeof(*out));
  neo_scan_init(&scan, text);
  if (!scan_field(&scan, "bytes=", &out->bytes) ||
      !scan_field(&scan, "features=", &out->features) ||
      !scan_field(&scan, "feature-version=", &out->feature_version) ||
      !scan_field(&scan, "rows=", &out->rows) || !neo_scan_token(&scan, "target=") ||
      strlen(scan.at) >= sizeof(out->target))
    return false;
  snprintf(out->target, sizeof(out->target), "%s", scan.at);
  print_header(&canonical, out);
  size_t length = strlen(text);
  bool same = !canonical.failed && canonical.size == length + 1 &&
              memcmp(canonical.data, text, length) == 0;
  neo_buf_fini(&canonical);
  return same;
}

/* ---- the trees --------------------------------------------------------------------------------------- */

static neo_status bad_trees(neo_ctx *ctx, const char *what) {
  return neo_fail(ctx, NEO_BAD_INPUT, "cost model: its trees are damaged: %s", what);
}

static const json_t *member(const json_t *json, const char *a, const char *b) {
  return json_object_get(json_object_get(json, a), b);
}

static bool is_text(const json_t *json, const char *text) {
  return json_is_string(json) && strcmp(json_string_value(json), text) == 0;
}

static bool is_zero(const json_t *json) {
  neo_scan scan;
  double v = 1;
  if (!json_is_string(json))
    return false;
  neo_scan_init(&scan, json_string_value(json));
  return neo_scan_double(&scan, &v) && v == 0;
}

/* What would make XGBoost's answer another than the sum of the leaves. */
static const char *odd_learner(const json_t *learner) {
  char features[16];
  snprintf(features, sizeof(features), "%d", NEO_FEATURES);
  if (!is_text(member(learner, "gradient_booster", "name"), "gbtree"))
    return "no gbtree";
  if (!is_text(member(learner, "objective", "name"), "reg:squarederror"))
    return "another objective";
  if (!is_text(member(learner, "learner_model_param", "num_feature"), features))
    return "another number of features";
  if (!is_zero(member(learner, "learner_model_param", "base_score")))
    return "a base score";
  return NULL;
}

static bool get_int(const json_t *list, size_t i, int32_t lo, int32_t hi, int32_t *out) {
  const json_t *item = json_array_get(list, i);
  if (!json_is_integer(item) || json_integer_value(item) < lo || json_integer_value(item) > hi)
    return false;
  *out = (int32_t)json_integer_value(item);
  return true;
}

static bool get_float(const json_t *list, size_t i, float *out) {
  const json_t *item = json_array_get(list, i);
  double v = json_number_value(item);
  if (!json_is_number(item) || !(fabs(v) <= 1e30))
    return false;
  *out = (float)v;
  return true;
}

/* Node i of a tree of n nodes that starts at node `first` of all. Unreached ones are what pruning
 * left: they may hold anything. */
static bool read_node(const json_t *tree, int32_t i, int32_t n, int32_t first, bool *reached,
                      node *out) {
  size_t at = (size_t)i;
  int32_t left, right;
  if (!get_int(json_object_get(tree, "left_children"), at, -1, n - 1, &left) ||
      !get_float(json_object_get(tree, "split_conditions"), at, &out->value))
    return false;
  out->left = out->right = -1;
  if (left < 0)
    return true;
  if (left <= i || !get_int(json_object_get(tree, "right_children"), at, i + 1, n - 1, &right) ||
      !get_int(json_object_get(tree, "split_indices"), at, 0, NEO_FEATURES - 1, &out->feature))
    return false;
  out->left = first + left;
  out->right = first + right;
  reached[left] = reached[right] = true;
  return true;
}

/* Number of nodes; 0: none, or its lists differ in length. */
static size_t tree_size(const json_t *tree) {
  static const char *const lists[] = {"right_children", "split_indices", "split_conditions"};
  size_t n = json_array_size(json_object_get(tree, "left_children"));
  for (int i = 0; i < NEO_COUNT(lists); i++)
    if (json_array_size(json_object_get(tree, lists[i])) != n)
      return 0;
  return n;
}

static neo_status read_tree(neo_ctx *ctx, const json_t *tree, int32_t first, int32_t n, node *out) {
  bool *reached = neo_alloc(ctx, (size_t)n * sizeof(*reached));
  if (!reached)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  reached[0] = true;
  int32_t i = 0;
  while (i < n && (!reached[i] || read_node(tree, i, n, first, reached, &out[i])))
    i++;
  neo_free(ctx, reached);
  return i == n ? NEO_OK : bad_trees(ctx, "a node is out of range");
}

static neo_status read_trees(neo_ctx *ctx, const json_t *root, neo_trained *out) {
  const json_t *learner = json_object_get(root, "learner");
  const char *odd = odd_learner(learner);
  if (odd)
    return bad_trees(ctx, odd);
  const json_t *trees = json_object_get(member(learner, "gradient_booster", "model"), "trees");
  size_t n = json_array_size(trees), nodes = 0;
  if (!json_is_array(trees) || n > MAX_TREES)
    return bad_trees(ctx, "no list of trees, or too long a one");
  out->tree = neo_alloc(ctx, (n + 1) * sizeof(*out->tree));
  for (size_t t = 0; out->tree && t < n; t++) {
    size_t size = tree_size(json_array_get(trees, t));
    nodes += size;
    if (size == 0 || nodes > MAX_NODES)
      return bad_trees(ctx, "a tree without nodes or with uneven lists, or too many nodes");
    out->tree[t + 1] = (int32_t)nodes;
  }
  out->nodes = neo_alloc(ctx, (nodes + 1) * sizeof(*out->nodes));
  if (!out->tree || !out->nodes)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  out->n_trees = (int)n;
  for (size_t t = 0; t < n; t++) {
    int32_t first = out->tree[t];
    NEO_TRY(read_tree(ctx, json_array_get(trees, t), first, out->tree[t + 1] - first,
                      out->nodes + first));
  }
  return NEO_OK;
}

double neo_trained_residual(const neo_trained *trained, const float *features) {
  double sum = 0;
  for (int t = 0; t < trained->n_trees; t++) {
    const node *at = &trained->nodes[trained->tree[t]];
    while (at->left >= 0)
      at = &trained->nodes[features[at->feature] < at->value ? at->left : at->right];
    sum += at->value;
  }
  return sum;
}

/* ---- loading ------------------------------------------------------------------------------------------- */

/* The line without magic, version and checksum; *body: what the checksum is of. */
static neo_status split_line(neo_ctx *ctx, const char *data, size_t size, char line[MAX_LINE],
                             size_t *body) {
  const char *end = memchr(data, '\n', size < MAX_LINE ? size : MAX_LINE);
  size_t magic = strlen(MAGIC), length = end ? (size_t)(end - data) : 0;
  if (!end || length <= magic || memcmp(data, MAGIC, magic) != 0 || memchr(data, 0, length))
    return neo_fail(ctx, NEO_BAD_INPUT, "this is no cost model: no line '%s...' at its start",
                    MAGIC);
  memcpy(line, data, length);
  line[length] = '\0';
  neo_scan scan;
  int64_t version = 0;
  neo_scan_init(&scan, line + magic);
  if (!neo_scan_int(&scan, &version))
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: no version in its first line");
  if (version != VERSION)
    return neo_fail(ctx, NEO_UNSUPPORTED, "cost model: its format is version %lld, %d is known",
                    (long long)version, (int)VERSION);
  char checksum[32];
  snprintf(checksum, sizeof(checksum), "%d crc32=", (int)VERSION);
  size_t at = magic + strlen(checksum) + 8;
  if (length <= at || memcmp(line + magic, checksum, strlen(checksum)) != 0 || line[at] != ' ')
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: no checksum in its first line");
  *body = at + 1;
  snprintf(checksum, sizeof(checksum), "%08x", neo_crc32(0, data + *body, size - *body));
  if (memcmp(line + at - 8, checksum, 8) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: the checksum does not match: it is damaged");
  return NEO_OK;
}

static neo_status check_header(neo_ctx *ctx, const header *h, size_t rest) {
  if (h->features != NEO_FEATURES || h->feature_version != NEO_FEATURE_VERSION)
    return neo_fail(
        ctx, NEO_UNSUPPORTED,
        "cost model: it knows %lld features of version %lld, this Neo has %d of version "
        "%d: train it anew with `neo-tune train`",
        (long long)h->features, (long long)h->feature_version, NEO_FEATURES, NEO_FEATURE_VERSION);
  if ((uint64_t)h->bytes != rest)
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: %zu bytes of trees, %lld expected", rest,
                    (long long)h->bytes);
  return NEO_OK;
}

static neo_status load(neo_ctx *ctx, const char *data, size_t size, neo_trained *out) {
  char line[MAX_LINE];
  size_t body = 0;
  header h;
  json_t *root = NULL;
  NEO_TRY(split_line(ctx, data, size, line, &body));
  if (!parse_header(line + body, &h))
    return neo_fail(ctx, NEO_BAD_INPUT, "cost model: its first line is damaged: %.200s", line);
  size_t trees = strlen(line) + 1;
  NEO_TRY(check_header(ctx, &h, size - trees));
  NEO_TRY(neo_json_parse(ctx, "cost model", data + trees, size - trees, &root));
  neo_status status = read_trees(ctx, root, out);
  json_decref(root);
  NEO_TRY(status);
  out->rows = h.rows;
  snprintf(out->target, sizeof(out->target), "%s", h.target);
  neo_buf_append(&out->file, data, size);
  return out->file.failed ? neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory") : NEO_OK;
}

neo_status neo_trained_load(neo_ctx *ctx, const void *data, size_t size, neo_trained **out) {
  neo_trained *trained = neo_alloc(ctx, sizeof(*trained));
  if (!trained)
    return neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  neo_ctx_init(&trained->memory, 0);
  trained->memory.allocator = ctx->allocator;
  neo_status status = load(ctx, data, size, trained);
  if (status == NEO_OK)
    *out = trained;
  else
    neo_trained_destroy(trained);
  return status;
}

void neo_trained_destroy(neo_trained *trained) {
  if (!trained)
    return;
  neo_ctx memory = trained->memory;
  neo_buf_fini(&trained->file);
  neo_free(&memory, trained->tree);
  neo_free(&memory, trained->nodes);
  neo_free(&memory, trained);
}

const char *neo_trained_file(const neo_trained *trained, size_t *size) {
  *size = trained->file.size;
  return trained->file.data;
}

const char *neo_trained_target(const neo_trained *trained) {
  return trained->target;
}

int64_t neo_trained_rows(const neo_trained *trained) {
  return trained->rows;
}

/* ---- training ------------------------------------------------------------------------------------------ */

/* As cost_model.c's: label log(ns / prediction), weight by the distance from the group's best. */
static void fill_rows(const neo_samples *s, double *best, float *label, float *weight) {
  for (int g = 0; g < s->groups; g++)
    best[g] = INFINITY;
  for (int i = 0; i < s->n; i++)
    best[s->group[i]] = fmin(best[s->group[i]], s->ns[i]);
  for (int i = 0; i < s->n; i++) {
    label[i] = (float)log(s->ns[i] / s->predicted_ns[i]);
    weight[i] = (float)fmax(best[s->group[i]] / s->ns[i], 0.05);
  }
}

static neo_status grow(neo_ctx *ctx, const neo_samples *s, neo_booster *booster) {
  float *label = neo_alloc(ctx, (size_t)s->n * sizeof(*label));
  float *weight = neo_alloc(ctx, (size_t)s->n * sizeof(*weight));
  double *best = neo_alloc(ctx, (size_t)(s->groups + 1) * sizeof(*best));
  neo_status status = NEO_OK;
  if (label && weight && best) {
    fill_rows(s, best, label, weight);
    neo_booster_rows rows = {s->n, s->features, label, weight};
    status = neo_booster_grow(ctx, booster, &rows, ROUNDS);
  } else {
    status = neo_fail(ctx, NEO_NO_MEMORY, "cost model: no memory for %d rows", s->n);
  }
  neo_free(ctx, label);
  neo_free(ctx, weight);
  neo_free(ctx, best);
  return status;
}

static neo_status print_file(neo_ctx *ctx, const char *target, int n, const neo_buf *trees,
                             neo_buf *out) {
  header h = {.bytes = (int64_t)trees->size,
              .features = NEO_FEATURES,
              .feature_version = NEO_FEATURE_VERSION,
              .rows = n};
  neo_buf body = {0};
  snprintf(h.target, sizeof(h.target), "%s", target);
  print_header(&body, &h);
  neo_buf_append(&body, trees->data, trees->size);
  if (!body.failed) {
    neo_buf_printf(out, "%s%d crc32=%08x ", MAGIC, (int)VERSION,
                   neo_crc32(0, body.data, body.size));
    neo_buf_append(out, body.data, body.size);
  }
  bool failed = body.failed || out->failed;
  neo_buf_fini(&body);
  return failed ? neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory") : NEO_OK;
}

neo_status neo_trained_fit(neo_ctx *ctx, const char *target, const neo_samples *samples,
                           neo_trained **out) {
  neo_booster *booster = NULL;
  neo_buf trees = {0}, file = {0};
  neo_assert(strlen(target) < TARGET && !strchr(target, '\n'));
  if (samples->n < NEO_TRAINED_LEAST)
    return neo_fail(ctx, NEO_USAGE,
                    "cost model: %d usable records of target %s are too few: %d are needed",
                    samples->n, target, (int)NEO_TRAINED_LEAST);
  neo_status status = neo_booster_create(ctx, &booster);
  if (status == NEO_OK)
    status = grow(ctx, samples, booster);
  if (status == NEO_OK)
    status = neo_booster_print(ctx, booster, &trees);
  neo_booster_destroy(booster);
  if (status == NEO_OK)
    status = print_file(ctx, target, samples->n, &trees, &file);
  if (status == NEO_OK)
    status = neo_trained_load(ctx, file.data, file.size, out);
  neo_buf_fini(&trees);
  neo_buf_fini(&file);
  return status;
}

/* ---- ranks ----------------------------------------------------------------------------------------------- */

typedef struct ranked {
  double value;
  int at;
} ranked;

static int compare_ranked(const void *a, const void *b) {
  double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
  return x < y ? -1 : x > y;
}

static void find_ranks(int n, const double *value, ranked *scratch, double *out) {
  for (int i = 0; i < n; i++)
    scratch[i] = (ranked){value[i], i};
  qsort(scratch, (size_t)n, sizeof(*scratch), compare_ranked);
  for (int i = 0, end; i < n; i = end) {
    for (end = i + 1; end < n && scratch[end].value == scratch[i].value;)
      end++;
    for (int k = i; k < end; k++)
      out[scratch[k].at] = (i + end - 1) / 2.0;
  }
}

neo_status neo_rank_correlation(neo_ctx *ctx, int n, const double *a, const double *b,
                                double *out) {
  size_t count = (size_t)n + 1;
  ranked *scratch = neo_alloc(ctx, count * sizeof(*scratch));
  double *x = neo_alloc(ctx, count * sizeof(*x)), *y = neo_alloc(ctx, count * sizeof(*y));
  neo_status status = NEO_OK;
  if (scratch && x && y) {
    double mean = (n - 1) / 2.0, xy = 0, xx = 0, yy = 0;
    find_ranks(n, a, scratch, x);
    find_ranks(n, b, scratch, y);
    for (int i = 0; i < n; i++) {
      xy += (x[i] - mean) * (y[i] - mean);
      xx += (x[i] - mean) * (x[i] - mean);
      yy += (y[i] - mean) * (y[i] - mean);
    }
    *out = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
  } else {
    status = neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory");
  }
  neo_free(ctx, scratch);
  neo_free(ctx, x);
  neo_free(ctx, y);
  return status;
}
