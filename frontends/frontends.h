/* frontends/frontends.h: model files -> graphs. One reader per framework format, one row each in
 * frontends/frontends.def. */
#ifndef NEO_FRONTENDS_FRONTENDS_H
#define NEO_FRONTENDS_FRONTENDS_H

#include "ir/graph.h"

/* Reads the model at `path`; the format is recognised by content. The graph may hold on to the
 * mapped file (large weights are not copied), so the file must not change while the graph lives.
 * NEO_BAD_INPUT: damaged or hostile file, the thing named. NEO_UNSUPPORTED: one error that lists
 * every unsupported operator and attribute; a list too long for the message is logged line by line
 * at NEO_LOG_ERROR. NEO_IO: cannot be read. The graph is as the file says: nothing bound, inferred
 * or optimised. */
neo_status neo_import(neo_ctx *ctx, const char *path, neo_graph **out);

/* Name of the format that `path` would be read as, or NULL; for `neo inspect`. */
const char *neo_import_format(neo_ctx *ctx, const char *path);

#endif
