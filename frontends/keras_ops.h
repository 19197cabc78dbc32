/* frontends/keras_ops.h: what the converters of keras.ops share (keras_ops.c, keras_ops_arrange.c).
 */
#ifndef NEO_FRONTENDS_KERAS_OPS_H
#define NEO_FRONTENDS_KERAS_OPS_H

#include "frontends/keras.h"

int keras_scalar(keras_call *c, double v);
int keras_binary(keras_call *c, const char *op, int a, int b);
/* The type that operands are brought to: that of the first tensor, a real one if any is. */
neo_dtype keras_common_type(const keras_call *c, bool with_first);
int keras_operand(keras_call *c, int i, neo_dtype dtype);
int keras_highest_rank(const keras_call *c);
int keras_as_asked(keras_call *c, int x);   /* x as the type that 'dtype' asks for, if it does */
int keras_classes(keras_call *c, int axis); /* one_hot of the first input */
bool keras_need(keras_call *c, int n);      /* inputs; records the failure */
/* The input that is positional argument k or this keyword, none before it a list of tensors; -1: it
 * was not given. */
int keras_given(const keras_call *c, int k, const char *name);
/* axis: null for all, a number, or a list; -1 (recorded) if it is none of these or outside. */
int keras_axes(keras_call *c, int rank, int64_t *axes);
int keras_reduce(keras_call *c, const char *op, int x, int n, const int64_t *axes, bool keep);
/* Elements [from, to) of an axis. */
int keras_part(keras_call *c, int x, int64_t axis, int64_t from, int64_t to, int64_t step);

/* The converters: one declaration for each name that the table has (several rows may share one). */
#define X(name, convert, op) void convert(keras_call *c, const char *operator_name);
#include "frontends/keras_ops.def"
#undef X

#endif
