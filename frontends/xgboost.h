/* frontends/xgboost.h: what the files of the XGBoost reader share.
 *
 * xgboost.c         recognising the file; model -> graph
 * xgboost_model.c   the model in memory: trees appended as they are stored
 * xgboost_doc.c     the document (JSON or UBJSON) -> model
 * xgboost_json.c, xgboost_ubj.c   the two syntaxes of the document
 * xgboost_binary.c  the old binary -> model
 * xgboost_objectives.def one row per objective
 *
 * The document is never built in memory: an object is opened into spans of the file, one level at a
 * time, and number arrays are decoded straight to where they are wanted; so the reader needs little
 * more than the model itself, whatever the file says. */
#ifndef NEO_FRONTENDS_XGBOOST_H
#define NEO_FRONTENDS_XGBOOST_H

#include "frontends/emit.h"

/* ---- the model ------------------------------------------------------------------------------------ */

typedef struct xgb_model {
  neo_ctx *ctx;
  const char *path;
  char objective[64], booster[32];
  bool base_is_margin; /* files from before 1.0 */
  int64_t n_features, n_classes, n_targets;
  int64_t width; /* of a leaf: 1 or the number of targets; 0 until the first tree */
  int64_t n_trees;
  neo_buf base;   /* f32: base score, one or one a target */
  neo_buf drop;   /* f32, DART: weight of each tree */
  neo_buf linear; /* f32, gblinear: [features + 1][targets] */
  /* tree_ensemble's inputs, element by element (ir/ops_tree.c) */
  neo_buf feature, threshold, child, flags, root, leaf_target, leaf_value, sets;
} xgb_model;

/* One tree as stored; arrays of n elements. */
typedef struct xgb_tree {
  int64_t n, width;
  const int32_t *left, *right, *feature;
  const float *condition;      /* threshold; of a leaf its value when width is 1 */
  const uint8_t *default_left; /* where NaN goes */
  const uint8_t *categorical;  /* NULL: none */
  /* categories of node set_node[k]: category[set_begin[k] .. + set_size[k]] */
  int64_t n_sets, n_categories;
  const int32_t *set_node, *set_begin, *set_size, *category;
  const float *leaf; /* width > 1: rows of width */
  int64_t n_leaf_rows;
  bool leaf_by_node; /* the row is the node's number; else it stands in `right` */
} xgb_tree;

int64_t xgb_groups(const xgb_model *model); /* outputs: targets or classes, at least 1 */
neo_status xgb_bad(const xgb_model *model, const char *format, ...) NEO_PRINTF(2, 3);
/* group: the target that the tree adds to. */
neo_status xgb_add_tree(xgb_model *model, const xgb_tree *tree, int64_t group);
void xgb_model_fini(xgb_model *model);

/* ---- documents -------------------------------------------------------------------------------------- */

typedef struct xgb_span {
  const uint8_t *at, *end; /* NULL: absent */
} xgb_span;

#define XGB_MAX_MEMBERS 64

typedef struct xgb_object {
  int n;
  struct {
    const uint8_t *key;
    size_t key_size;
    xgb_span value;
  } member[XGB_MAX_MEMBERS];
} xgb_object;

/* A syntax. Values are spans that begin with the value and may reach beyond it. All of these are
 * false on malformed text, on another kind of value and on numbers out of range. */
typedef struct xgb_syntax {
  const char *name;
  bool (*object)(xgb_span value, xgb_object *out);
  /* Elements of an array; next: *at from begin's, moved; done: all were taken. */
  bool (*begin)(xgb_span value, xgb_span *at, int64_t *left);
  bool (*next)(xgb_span *at, int64_t *left, xgb_span *out, bool *done);
  bool (*count)(xgb_span value, int64_t *n); /* of an array of numbers */
  bool (*numbers)(xgb_span value, int64_t n, double *out_one, float *out_f32, int32_t *out_i32,
                  uint8_t *out_u8);
  bool (*text)(xgb_span value, char *out, size_t size); /* a string, or a number as text */
} xgb_syntax;

extern const xgb_syntax xgb_json, xgb_ubj;

/* Number i into the arrays that are there; false: no 32-bit integer where one is wanted. */
bool xgb_put(double v, int64_t i, float *out_f32, int32_t *out_i32, uint8_t *out_u8);

neo_status xgb_read_document(xgb_model *model, const xgb_syntax *syntax, const neo_mapping *file);
neo_status xgb_read_binary(xgb_model *model, const neo_mapping *file);

#endif
