/* frontends/onnx_ml.h: shared by the converters of ai.onnx.ml. */
#ifndef NEO_FRONTENDS_ONNX_ML_H
#define NEO_FRONTENDS_ONNX_ML_H

#include "frontends/onnx_import.h"
#include "ir/ops_tree.h"

typedef struct onnx_ml_labels {
  int n; /* classes; 0: not given */
  const int64_t *value;
  const char *const *text; /* instead, if they are strings */
} onnx_ml_labels;

neo_status onnx_ml_read_labels(onnx_import *im, onnx_node *node, const char *name,
                               onnx_ml_labels *out);
/* post_transform (a name or, in the newest operators, a number) of `value`, bound to output k. */
neo_status onnx_ml_post(onnx_import *im, onnx_node *node, int k, int value);
/* Outputs label and scores of a classifier from its scores [n, classes] before post_transform. */
neo_status onnx_ml_classify(onnx_import *im, onnx_node *node, const onnx_ml_labels *labels,
                            int scores);
/* Two classes by one score s [n, 1], as onnxruntime has them: the second if s > least; its scores
 * are both sigmoids with LOGISTIC, else, whatever the transform is, [1 - s, s] (one) or [-s, s]. */
neo_status onnx_ml_classify_one(onnx_import *im, onnx_node *node, const onnx_ml_labels *labels,
                                int s, double least, bool one);
int onnx_ml_above(onnx_import *im, onnx_node *node, int s, double least); /* s > least, i64 [n] */
int onnx_ml_best(onnx_import *im, onnx_node *node, int scores); /* [n, classes] -> i64 [n] */
/* The labels of these indices. */
int onnx_ml_label(onnx_import *im, onnx_node *node, const onnx_ml_labels *labels, int index);
int onnx_ml_column(onnx_import *im, onnx_node *node, int scores, int64_t k); /* [n, 1] */
/* s [n, 1] -> [1 - s, s] (one) or [-s, s]. */
int onnx_ml_two_columns(onnx_import *im, onnx_node *node, int s, bool one);

#endif
