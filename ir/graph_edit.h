/* ir/graph_edit.h: what passes are written with. Private to ir/.
 *
 * Passes never remove array entries: they mark nodes dead and redirect uses. A pass that adds nodes
 * appends them and calls neo_edit_sort, which restores topological order (node ids change). */
#ifndef NEO_IR_GRAPH_EDIT_H
#define NEO_IR_GRAPH_EDIT_H

#include "ir/graph.h"

/* graph destroys sub with itself. */
void neo_graph_own(neo_graph *graph, neo_graph *sub);
/* to, a node of graph, gets from's attributes; graphs among them are cloned. */
neo_status neo_node_copy_attrs(neo_ctx *ctx, neo_graph *graph, neo_node *to, const neo_node *from);

/* Uses of every value by live nodes and graph outputs. Rebuilt by neo_uses_update. */
typedef struct neo_uses {
  neo_arena arena;
  int n_values;
  int *count;     /* per value; an output counts one */
  int *only_node; /* the consumer when count is 1 and it is a node; else -1 */
  bool *is_output;
} neo_uses;

void neo_uses_init(neo_uses *uses);
void neo_uses_fini(neo_uses *uses);
void neo_uses_update(neo_uses *uses, const neo_graph *graph);

/* Every use of `from` (nodes, outputs) becomes a use of `to`. */
void neo_edit_replace(neo_graph *graph, int from, int to);
/* Many replacements in one walk: alias[v] is v's successor, or v. Resolves a node's inputs; alias
 * covers the first n values. At the end of the walk neo_edit_resolve_outputs. */
void neo_edit_resolve_inputs(neo_node *node, const int *alias, int n);
void neo_edit_resolve_outputs(neo_graph *graph, const int *alias, int n);
/* Live producer of a value, or NULL. */
neo_node *neo_edit_producer(const neo_graph *graph, int value);
bool neo_edit_is(const neo_node *node, const char *op); /* NULL is no operator */
/* Stable topological order of live nodes; dead ones are dropped from the array. */
neo_status neo_edit_sort(neo_ctx *ctx, neo_graph *graph);
/* A constant with its own heap data (adopted by the graph), zeroed, to be filled in. */
neo_status neo_edit_constant(neo_ctx *ctx, neo_graph *graph, const char *name, neo_dtype dtype,
                             const neo_shape *shape, int *out_value);
int neo_edit_scalar(neo_graph *graph, const char *name, neo_dtype dtype, double v);
/* The value of a constant with exactly one element (float or integer). */
bool neo_edit_scalar_value(const neo_graph *graph, int value, double *out);
/* Turns the node into another operator with these inputs, keeping its outputs and name; attributes
 * are dropped. */
void neo_edit_become(neo_graph *graph, neo_node *node, const char *op, int n_inputs,
                     const int *inputs);
/* The same for a reshape of x to this shape. */
void neo_edit_become_reshape(neo_graph *graph, neo_node *node, int x, const neo_shape *shape);

#endif
