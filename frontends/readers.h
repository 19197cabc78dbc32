/* frontends/readers.h: the functions that the rows of frontends.def name. */
#ifndef NEO_FRONTENDS_READERS_H
#define NEO_FRONTENDS_READERS_H

#include "base/host.h"
#include "frontends/frontends.h"

/* The model as found: a mapped file, or a folder (then `file` is empty). */
typedef struct neo_source {
  const char *path;
  bool folder;
  neo_mapping file;
  neo_import_options options; /* max_model_bytes is set */
} neo_source;

/* Does it look like this format? Reads what is mapped (or looks into the folder), never fails. */
typedef bool (*neo_detect_fn)(const neo_source *source);
/* Takes the mapping over: on success the graph's keep owns it, on failure it is still the caller's.
 */
typedef neo_status (*neo_read_fn)(neo_ctx *ctx, const neo_source *source, neo_graph **out);

#define X(format, detect, read)                                                                    \
  bool detect(const neo_source *source);                                                           \
  neo_status read(neo_ctx *ctx, const neo_source *source, neo_graph **out);
#include "frontends/frontends.def"
#undef X

#endif
