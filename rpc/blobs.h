/* rpc/blobs.h: the board's cache of bytes by content key. Between blobs.c and board.c. */
#ifndef NEO_RPC_BLOBS_H
#define NEO_RPC_BLOBS_H

#include "base/core.h"

typedef struct neo_blobs neo_blobs;

neo_status neo_blobs_create(neo_ctx *ctx, size_t capacity, neo_blobs **out);
void neo_blobs_destroy(neo_blobs *blobs);
/* Copies the bytes in, throwing out what was used longest ago. A key that is there already is only
 * touched. */
neo_status neo_blobs_put(neo_ctx *ctx, neo_blobs *blobs, const char *key, const void *data,
                         size_t size);
/* Borrowed until the next put. Marks it as used. */
bool neo_blobs_get(neo_blobs *blobs, const char *key, const void **data, size_t *size);
/* In a child process after fork: nothing of the cache can be written any more. */
void neo_blobs_protect(neo_blobs *blobs);

#endif
