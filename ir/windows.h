/* ir/windows.h: values that are other values' memory, or parts of it.
 *
 * A concatenation whose parts are written where they belong needs no code, nor does a slice that is
 * read where it lies, or a transpose whose reader walks the memory in another order. Which they
 * may be is a property of the graph alone; where a window then lies follows from the layout of the
 * whole. */
#ifndef NEO_IR_WINDOWS_H
#define NEO_IR_WINDOWS_H

#include "ir/graph.h"

/* How a value lies in another one. Either it has the same elements in row-major order under another
 * shape, or it is a box of it, whose dims may come in another order. */
typedef struct neo_window {
  int base; /* -1: it is no window */
  bool reshaped;
  int64_t start[NEO_MAX_RANK]; /* by dim of the base */
  int8_t dim[NEO_MAX_RANK];    /* by own dim: the base's; -1: none, its extent is 1 */
  int copy; /* the group that makes the value if it had better have memory of its own; -1: none */
} neo_window;

typedef struct neo_windows {
  neo_window *of;  /* by value */
  bool *needless;  /* by group: all that it would copy is in its place */
  bool *untouched; /* by value: only te groups read and write it, so that it may have any layout */
} neo_windows;

/* Everything in arena. */
void neo_windows_find(const neo_partition *partition, neo_arena *arena, neo_windows *out);
/* The value whose memory v is part of: v itself if it is no window. */
int neo_windows_whole(const neo_windows *windows, int v);
/* Is it a box with the base's own dims? Then any layout of the base will do. */
bool neo_window_is_box(const neo_window *window, int rank);
/* Elements from one index to the next, by dim (0 where the extent is 1), of a window whose base has
 * such strides. False if no strides say where a reshaped value's elements are. */
bool neo_window_strides(const neo_window *window, const neo_shape *base, const int64_t *of_base,
                        const neo_shape *shape, int64_t *out);
/* Strides as a nest of dims: which dim is the k-th, outermost first, and how many places it has.
 * False if they are none, the innermost stride not being 1 or rows overlapping. */
bool neo_strides_nest(const neo_shape *shape, const int64_t *stride, int *order, int64_t *places);

#endif
