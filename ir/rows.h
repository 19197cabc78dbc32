/* ir/rows.h: may a model compiled for many rows (a batch) serve fewer? Rows are the slices of
 * values along one dimension each; it may if no row of an output depends on another row of an
 * input. */
#ifndef NEO_IR_ROWS_H
#define NEO_IR_ROWS_H

#include "ir/graph.h"

/* A model bound and partitioned for so many rows. */
typedef struct neo_rows_of {
  const neo_partition *partition;
  int64_t rows;
} neo_rows_of;

/* The same model for many rows and for fewer, at least 2. NEO_OK if it is proven that filling the
 * inputs of the wide one up with anything and cutting its outputs gives what the narrow one gives.
 * Else NEO_UNSUPPORTED naming the node that mixes rows. input_dim, output_dim receive, by graph
 * input and output, 1 + the dimension that has the rows, or 0; room for all of them. Inputs' row
 * dimensions have as many elements as there are rows, outputs' a multiple. */
neo_status neo_rows_check(neo_ctx *ctx, const neo_rows_of *wide, const neo_rows_of *narrow,
                          int *input_dim, int *output_dim);

#endif
