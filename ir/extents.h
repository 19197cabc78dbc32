/* ir/extents.h: what is known of the elements of integer lists that stand for shapes, counts and
 * positions, when they are not constants. Private to ir/. */
#ifndef NEO_IR_EXTENTS_H
#define NEO_IR_EXTENTS_H

#include "ir/graph_edit.h"

/* One element: a number, or element `element` of value `value`, somewhere between lo and hi. */
typedef struct neo_extent {
  bool known;
  int64_t n;          /* known */
  int value, element; /* else */
  int64_t lo, hi;     /* known: n both; INT64_MIN and INT64_MAX: no bound */
} neo_extent;

neo_extent neo_extent_number(int64_t n);
/* Element i of value v, followed back through what only moves it. */
neo_extent neo_extent_at(const neo_graph *graph, int v, int64_t i);
/* Surely equal, whatever the data: the same element, or computed alike from the same. */
bool neo_extent_same(const neo_graph *graph, const neo_extent *a, const neo_extent *b);
/* Surely the same tensors. */
bool neo_values_same(const neo_graph *graph, int a, int b);
/* No element is negative. */
bool neo_value_counts(const neo_graph *graph, int v);

#endif
