/* frontends/archive.h: read-only access to the zip archives that models come in (.pt, .pt2,
 * .keras).
 *
 * The archive lies in memory (the mapped model file). Stored members are pointers into it,
 * compressed ones are expanded once, at the first read, and belong to the archive. */
#ifndef NEO_FRONTENDS_ARCHIVE_H
#define NEO_FRONTENDS_ARCHIVE_H

#include "frontends/readers.h"

typedef struct neo_archive neo_archive;

typedef struct neo_archive_member {
  const char *name;    /* relative, no "..", unique in the archive */
  uint64_t size;       /* expanded */
  bool stored;         /* its bytes lie in the file as they are */
  const uint8_t *data; /* stored: in the mapping; else NULL until read */
  uint64_t packed;     /* bytes in the file */
} neo_archive_member;

/* Do these bytes look like a zip archive? (Its first member's header is at the start.) */
bool neo_archive_detect(const uint8_t *data, size_t size);

/* The directory of the archive in source->file, checked: every member lies inside the file, names
 * are sane, none is encrypted, and stored members expand to themselves. At most 100,000 members. */
neo_status neo_archive_open(neo_ctx *ctx, const neo_source *source, neo_archive **out);
void neo_archive_close(neo_archive *archive);

int neo_archive_count(const neo_archive *archive);
const neo_archive_member *neo_archive_at(const neo_archive *archive, int i);
const neo_archive_member *neo_archive_find(const neo_archive *archive, const char *name);

/* The member's bytes (member->size of them), valid until the archive is closed; stored ones as long
 * as the mapping is. NEO_BAD_INPUT before any allocation if it is larger than `limit` (0: none) or
 * if all expanded members together would exceed max_model_bytes. */
neo_status neo_archive_read(neo_ctx *ctx, neo_archive *archive, const neo_archive_member *member,
                            uint64_t limit, const uint8_t **out);

#endif
