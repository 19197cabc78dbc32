/* ir/windows.h: values that are parts of other values, in the same memory.
 *
 * A concatenation whose parts are written where they belong needs no code, nor does a slice that is
 * read where it lies. Which they are is a property of the graph alone; where a window then lies
 * follows from the layout of the whole. */
#ifndef NEO_IR_WINDOWS_H
#define NEO_IR_WINDOWS_H

#include "ir/graph.h"

/* A value that is the box of `base` that starts at `start` and has the value's own shape. */
typedef struct neo_window {
  int base; /* -1: it is no window */
  int64_t start[NEO_MAX_RANK];
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

#endif
