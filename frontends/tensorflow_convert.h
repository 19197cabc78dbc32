/* frontends/tensorflow_convert.h: the functions that rows of tensorflow_ops.def name, and what
 * they share. */
#ifndef NEO_FRONTENDS_TENSORFLOW_CONVERT_H
#define NEO_FRONTENDS_TENSORFLOW_CONVERT_H

#include "frontends/tensorflow_import.h"

/* Concatenates any number of values. */
int tf_emit_concat(tf_import *im, int n, const int *part, int64_t axis);
/* The value, or a copy if it is an input or a constant: what a graph can give out. */
int tf_emit_written(tf_import *im, int value);

/* Does a node take complex numbers (or cast to them)? Then it is converted by tf_complex_convert.
 */
bool tf_has_complex(const tf_import *im, const tf_node *node);
neo_status tf_complex_convert(tf_import *im, tf_node *node);
bool tf_complex_number(int number); /* TensorFlow's numbers of such types */
/* A constant of such a type. */
neo_status tf_complex_const(tf_import *im, tf_node *node, const Tf__Tensor *pb);

/* MirrorPad with the border itself mirrored, too. */
neo_status tf_pad_symmetric(tf_import *im, tf_node *node);

#define TF(op, inputs, outputs, convert, arg) neo_status tf_##convert(tf_import *im, tf_node *node);
#define TF_RAW(op, inputs, outputs, convert, arg)                                                  \
  neo_status tf_##convert(tf_import *im, tf_node *node);
#include "frontends/tensorflow_ops.def"

#endif
