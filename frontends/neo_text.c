/* frontends/neo_text.c: Neo's own text form of a graph (ir/graph.h) as a model file: what tests and
 * bug reports are written in. The parser checks it; the text itself is the only memory it claims.
 */
#include <string.h>

#include "frontends/readers.h"

static const char start[] = "graph 1 \"";

bool neo_text_detect(const neo_source *source) {
  return source->file.size > sizeof start &&
         memcmp(source->file.data, start, sizeof start - 1) == 0;
}

neo_status neo_text_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  neo_buf text = {0};
  neo_graph *graph = NULL;
  neo_buf_append(&text, source->file.data, source->file.size);
  neo_status status = text.failed ? neo_fail(ctx, NEO_NO_MEMORY, "%s: out of memory", source->path)
                      : memchr(text.data, 0, text.size)
                          ? neo_fail(ctx, NEO_BAD_INPUT, "%s: a NUL in a graph text", source->path)
                          : neo_graph_parse(ctx, text.data, &graph);
  neo_buf_fini(&text);
  if (status != NEO_OK)
    return status;
  neo_mapping file = source->file;
  neo_file_unmap(&file);
  *out = graph;
  return NEO_OK;
}
