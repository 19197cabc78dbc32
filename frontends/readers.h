/* frontends/readers.h: the functions that the rows of frontends.def name. */
#ifndef NEO_FRONTENDS_READERS_H
#define NEO_FRONTENDS_READERS_H

#include "base/host.h"
#include "frontends/frontends.h"

/* Does the file's beginning look like this format? Reads what is mapped, never fails. */
typedef bool (*neo_detect_fn)(const char *path, const neo_mapping *file);
/* Takes the mapping over: on success the graph's keep owns it, on failure it is still the caller's.
 */
typedef neo_status (*neo_read_fn)(neo_ctx *ctx, const char *path, const neo_mapping *file,
                                  neo_graph **out);

#define X(format, detect, read)                                                                    \
  bool detect(const char *path, const neo_mapping *file);                                          \
  neo_status read(neo_ctx *ctx, const char *path, const neo_mapping *file, neo_graph **out);
#include "frontends/frontends.def"
#undef X

#endif
