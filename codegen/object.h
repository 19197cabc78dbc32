/* codegen/object.h: a look into relocatable objects that a generator made. */
#ifndef NEO_CODEGEN_OBJECT_H
#define NEO_CODEGEN_OBJECT_H

#include "codegen/codegen.h"

/* Takes the bytes over, checks that the object imports nothing (NEO_INTERNAL naming the symbol),
 * and fills code_hash. On failure the bytes are freed. */
neo_status neo_object_adopt(neo_ctx *ctx, neo_buf *bytes, int n_launches, neo_object *out);

/* ---- object_coff.c: objects for Windows ---- */
bool neo_object_is_coff(const neo_buf *bytes);
/* Refuses imports, appends the bytes of code and constants to `code`. */
neo_status neo_object_scan_coff(neo_ctx *ctx, const neo_buf *bytes, neo_buf *code);

#endif
