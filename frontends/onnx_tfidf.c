/* frontends/onnx_tfidf.c: TfIdfVectorizer as comparisons and sums.
 *
 * For each length L of n-grams and each skip s, the windows x[p], x[p + s + 1], ... of all
 * positions p are compared with all n-grams of that length at once; a sum over the positions
 * counts. Counts of all n-grams are then gathered into the order of the outputs. */
#include "frontends/onnx_import.h"

#include <string.h>

typedef struct tfidf {
  int x; /* [b, n] */
  int64_t n;
  int n_counts, n_indexes, n_pool;
  const int64_t *counts, *indexes;
  int pool; /* the constant, i64 [n_pool] */
  int64_t least, most, skips;
} tfidf;

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int emit2(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  return emit(im, node, op, 2, (int[]){a, b});
}

static neo_node *node_of(onnx_import *im, int value) {
  return &im->e.graph->node[im->e.graph->value[value].node];
}

static int to_float(onnx_import *im, onnx_node *node, int value) {
  int y = emit(im, node, "cast", 1, &value);
  neo_node_set_string(im->e.graph, node_of(im, y), "to", "f32");
  return y;
}

/* Words become numbers: of the first word of the pool that is equal; -1, others. */
static void number_words(onnx_import *im, onnx_node *node, tfidf *t, int n,
                         const char *const *words) {
  int64_t *number = neo_arena_alloc(im->e.graph->arena, sizeof *number * (size_t)n);
  neo_map seen = {0};
  for (int i = 0; i < n; i++) {
    uintptr_t at = (uintptr_t)neo_map_get(&seen, words[i]);
    number[i] = at ? (int64_t)at - 1 : i;
    if (!at)
      neo_map_put(&seen, words[i], (void *)(uintptr_t)(i + 1));
  }
  neo_map_fini(&seen);
  t->n_pool = n;
  t->pool = onnx_make_ints(im, node, "pool", n, number);
  t->x = emit2(im, node, "text_find", t->x, onnx_make_texts(im, node, "words", n, words));
}

static neo_status read_lists(onnx_import *im, onnx_node *node, tfidf *t) {
  const int64_t *pool;
  const char *const *words;
  int n_words;
  NEO_TRY(onnx_attr_ints(im, node, "ngram_counts", &t->n_counts, &t->counts));
  NEO_TRY(onnx_attr_ints(im, node, "ngram_indexes", &t->n_indexes, &t->indexes));
  NEO_TRY(onnx_attr_ints(im, node, "pool_int64s", &t->n_pool, &pool));
  NEO_TRY(onnx_attr_int(im, node, "min_gram_length", &t->least));
  NEO_TRY(onnx_attr_int(im, node, "max_gram_length", &t->most));
  NEO_TRY(onnx_attr_int(im, node, "max_skip_count", &t->skips));
  NEO_TRY(onnx_attr_texts(im, node, "pool_strings", &n_words, &words));
  if (n_words > 0)
    number_words(im, node, t, n_words, words);
  else if (t->n_pool > 0)
    t->pool = onnx_make_ints(im, node, "pool", t->n_pool, pool);
  bool fits = t->n_counts > 0 && t->n_indexes > 0 && t->n_pool > 0 && t->least >= 1 &&
              t->least <= t->most && t->most <= t->n_counts && t->skips >= 0 && t->skips <= 1000;
  int64_t grams = 0;
  for (int k = 0; fits && k < t->n_counts; k++) {
    int64_t end = k + 1 < t->n_counts ? t->counts[k + 1] : t->n_pool;
    fits = t->counts[k] >= 0 && t->counts[k] <= end && end <= t->n_pool &&
           (end - t->counts[k]) % (k + 1) == 0;
    grams += fits ? (end - t->counts[k]) / (k + 1) : 0;
  }
  for (int k = 0; fits && k < t->n_indexes; k++)
    fits = t->indexes[k] >= 0 && t->indexes[k] < 1 << 24;
  return fits && grams == t->n_indexes
             ? NEO_OK
             : onnx_bad(im, node, "its pool, counts, indexes and lengths do not fit one another");
}

/* Elements from, from + step, ... before `to` of an axis. */
typedef struct part_of {
  int64_t axis, from, to, step;
} part_of;

static int range(onnx_import *im, onnx_node *node, int value, part_of r) {
  int y = emit(im, node, "slice", 1, &value);
  neo_node_set_ints(im->e.graph, node_of(im, y), "axes", 1, &r.axis);
  neo_node_set_ints(im->e.graph, node_of(im, y), "starts", 1, &r.from);
  neo_node_set_ints(im->e.graph, node_of(im, y), "ends", 1, &r.to);
  neo_node_set_ints(im->e.graph, node_of(im, y), "steps", 1, &r.step);
  return y;
}

/* How often each n-gram of length L occurs with this skip: [b, grams]; or NO_VALUE: no room. */
static int occurrences(onnx_import *im, onnx_node *node, const tfidf *t, int64_t length,
                       int64_t skip) {
  int64_t from = t->counts[length - 1];
  int64_t end = length < t->n_counts ? t->counts[length] : t->n_pool;
  int64_t windows = t->n - (length - 1) * (skip + 1);
  int hit = NEO_NO_VALUE;
  if (windows < 1)
    return NEO_NO_VALUE;
  for (int64_t j = 0; j < length; j++) {
    int part = range(im, node, t->x, (part_of){1, j * (skip + 1), j * (skip + 1) + windows, 1});
    part = emit2(im, node, "unsqueeze", part, onnx_make_ints(im, node, "axes", 1, &(int64_t){1}));
    int gram = range(im, node, t->pool, (part_of){0, from + j, end, length});
    gram = emit2(im, node, "unsqueeze", gram, onnx_make_ints(im, node, "axes", 1, &(int64_t){1}));
    int same = emit2(im, node, "equal", part, gram);
    hit = hit == NEO_NO_VALUE ? same : emit2(im, node, "and", hit, same);
  }
  int sum = to_float(im, node, hit);
  sum = emit(im, node, "reduce_sum", 1, &sum);
  neo_node_set_ints(im->e.graph, node_of(im, sum), "axes", 1, &(int64_t){2});
  neo_node_set_int(im->e.graph, node_of(im, sum), "keepdims", 0);
  return sum;
}

/* [b, n-grams of the pool], those of lengths that do not count as zeros. */
static int all_counts(onnx_import *im, onnx_node *node, const tfidf *t, int64_t batch) {
  int *part = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (size_t)t->n_counts);
  int n = 0;
  for (int64_t length = 1; length <= t->n_counts; length++) {
    int64_t end = length < t->n_counts ? t->counts[length] : t->n_pool;
    const int64_t shape[2] = {batch, (end - t->counts[length - 1]) / length};
    int sum = NEO_NO_VALUE;
    if (shape[1] == 0)
      continue;
    for (int64_t s = 0; s <= (length == 1 ? 0 : t->skips); s++) {
      int one = length < t->least || length > t->most ? NEO_NO_VALUE
                                                      : occurrences(im, node, t, length, s);
      if (one != NEO_NO_VALUE)
        sum = sum == NEO_NO_VALUE ? one : emit2(im, node, "add", sum, one);
    }
    if (sum == NEO_NO_VALUE) {
      int target = onnx_make_ints(im, node, "shape", 2, shape);
      sum = emit(im, node, "constant_of_shape", 1, &target);
    }
    part[n++] = sum;
  }
  int all = emit(im, node, "concat", n, part);
  neo_node_set_int(im->e.graph, node_of(im, all), "axis", 1);
  return all;
}

/* Column k of the result is n-gram of[k]; columns that none has are zero. */
static int in_order(onnx_import *im, onnx_node *node, const tfidf *t, int counts, int64_t batch) {
  int64_t width = 0;
  for (int k = 0; k < t->n_indexes; k++)
    width = neo_max_i64(width, t->indexes[k] + 1);
  int64_t *of = neo_arena_alloc(im->e.graph->arena, sizeof *of * (size_t)width);
  for (int64_t k = 0; k < width; k++)
    of[k] = t->n_indexes; /* the zeros behind */
  for (int k = 0; k < t->n_indexes; k++)
    of[t->indexes[k]] = k;
  int target = onnx_make_ints(im, node, "shape", 2, (int64_t[]){batch, 1});
  int both = emit2(im, node, "concat", counts, emit(im, node, "constant_of_shape", 1, &target));
  neo_node_set_int(im->e.graph, node_of(im, both), "axis", 1);
  int y = emit2(im, node, "gather", both, onnx_make_ints(im, node, "order", (int)width, of));
  neo_node_set_int(im->e.graph, node_of(im, y), "axis", 1);
  return y;
}

neo_status onnx_tfidf(onnx_import *im, onnx_node *node) {
  tfidf t = {.x = onnx_input(node, 0), .least = 1, .most = 1};
  const char *mode = "TF";
  const double *weights;
  int n_weights;
  const neo_shape *known = neo_emit_shape(&im->e, t.x);
  if (!known || known->rank < 1 || known->rank > 2)
    return onnx_unsupported(im, node, "the shape of its input is not known, or not of rank 1 or 2");
  neo_shape shape = *known;
  int before = im->e.unsupported.n;
  NEO_TRY(read_lists(im, node, &t));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  NEO_TRY(onnx_attr_string(im, node, "mode", &mode));
  NEO_TRY(onnx_attr_floats(im, node, "weights", &n_weights, &weights));
  if (n_weights >= 0 && n_weights != t.n_indexes)
    return onnx_bad(im, node, "%d weights of %d n-grams", n_weights, t.n_indexes);
  t.n = shape.dim[shape.rank - 1];
  int64_t batch = shape.rank == 2 ? shape.dim[0] : 1;
  if (im->e.graph->value[t.x].dtype == NEO_I32) {
    t.x = emit(im, node, "cast", 1, &t.x);
    neo_node_set_string(im->e.graph, node_of(im, t.x), "to", "i64");
  }
  if (shape.rank == 1)
    t.x = emit2(im, node, "unsqueeze", t.x, onnx_make_ints(im, node, "axes", 1, &(int64_t){0}));
  int counts = all_counts(im, node, &t, batch);
  if (strcmp(mode, "IDF") == 0) {
    int zero = onnx_make_scalar_like(im, node, "zero", NEO_F32, 0);
    counts = to_float(im, node, emit2(im, node, "greater", counts, zero));
  }
  if (strcmp(mode, "TF") != 0 && n_weights > 0)
    counts =
        emit2(im, node, "mul", counts, onnx_make_floats(im, node, "weights", n_weights, weights));
  int y = in_order(im, node, &t, counts, batch);
  if (shape.rank == 1)
    y = emit2(im, node, "squeeze", y, onnx_make_ints(im, node, "axes", 1, &(int64_t){0}));
  onnx_bind(im, node, 0, y);
  return NEO_OK;
}
