/* frontends/frontends.h: model files -> graphs. One reader per framework format, one row each in
 * frontends/frontends.def. */
#ifndef NEO_FRONTENDS_FRONTENDS_H
#define NEO_FRONTENDS_FRONTENDS_H

#include "ir/graph.h"

/* What a reader may know besides the file; NULL: nothing. Bindings are applied to the inputs as
 * they are read, so that readers whose conversion depends on shapes see them; neo_pass_bind still
 * checks them. */
typedef struct neo_import_options {
  int n_bindings;
  const neo_binding *binding;
  int64_t max_model_bytes; /* expanded archives and constants together; 0: 8 GB */
  /* To look at a model only; NULL: as below. What is unsupported is appended here, a line each with
   * the node's name, and the graph is given all the same, with stand-ins in its place: no graph to
   * go on with. */
  neo_buf *unsupported;
} neo_import_options;

/* Reads the model at `path`, a file, a SavedModel's folder, a folder with one model in it, or a
 * .tar.gz of any; the format is recognised by content. The graph may hold on to the mapped file
 * (large weights are not copied), so the file must not change while the graph lives. NEO_BAD_INPUT:
 * damaged or hostile file, the thing named. NEO_UNSUPPORTED: one error that lists every unsupported
 * operator and attribute; a list too long for the message is logged line by line at NEO_LOG_ERROR.
 * NEO_IO: cannot be read. The graph is as the file says: nothing bound, inferred or optimised. */
neo_status neo_import(neo_ctx *ctx, const char *path, const neo_import_options *options,
                      neo_graph **out);

/* Name of the format that `path` would be read as, or NULL; for `neo inspect`. */
const char *neo_import_format(neo_ctx *ctx, const char *path);

#endif
