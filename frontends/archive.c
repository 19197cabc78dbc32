/* frontends/archive.c: zip archives as model containers (archive.h).
 *
 * The central directory is walked here (PKWARE APPNOTE 6.3, sections 4.3.12 to 4.3.16, with zip64),
 * since the offset of a stored member is needed to use its bytes in place and libzip does not tell
 * it. Expanding deflated members is libzip's work, on the same bytes in memory, opened only if
 * there is any.
 *
 * Invariants: (1) a member's bytes [data, data + packed) lie inside the file; (2) a stored member
 * has packed == size; (3) names are relative, without "..", backslash or control characters, and
 * unique; (4) nothing is expanded before its size was held against the caps, and a member that
 * expands to another size than the directory says is an error. */
#include "frontends/archive.h"

#include <string.h>
#include <zip.h>

enum { MAX_MEMBERS = 100000, END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30 };

struct neo_archive {
  neo_ctx *ctx;
  const neo_source *source;
  const uint8_t *data;
  size_t size;
  int64_t max_bytes, expanded;
  neo_arena arena;
  int count;
  neo_archive_member *member;
  neo_map names; /* name -> member */
  zip_t *zip;    /* opened at the first deflated member */
};

bool neo_archive_detect(const uint8_t *data, size_t size) {
  return size >= LOCAL_SIZE + END_SIZE && memcmp(data, "PK\003\004", 4) == 0;
}

static uint32_t u16(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8;
}

static uint64_t u32(const uint8_t *at) {
  return u16(at) | (uint64_t)u16(at + 2) << 16;
}

static uint64_t u64(const uint8_t *at) {
  return u32(at) | u32(at + 4) << 32;
}

static bool inside(const neo_archive *archive, uint64_t offset, uint64_t length) {
  return offset <= archive->size && length <= archive->size - offset;
}

static neo_status bad(neo_ctx *ctx, const neo_archive *archive, const char *what,
                      const char *name) {
  return neo_fail(ctx, NEO_BAD_INPUT, "%s: zip archive: %s%s%s", archive->source->path, what,
                  name ? ": " : "", name ? name : "");
}

/* ---- the directory ------------------------------------------------------------------------------- */

typedef struct directory {
  uint64_t offset, size, count;
} directory;

static neo_status zip64_end(neo_ctx *ctx, const neo_archive *archive, uint64_t end,
                            directory *dir) {
  if (end < 20 || memcmp(archive->data + end - 20, "PK\006\007", 4) != 0)
    return NEO_OK;
  uint64_t at = u64(archive->data + end - 20 + 8);
  if (!inside(archive, at, 56) || memcmp(archive->data + at, "PK\006\006", 4) != 0)
    return bad(ctx, archive, "zip64 end of directory not found", NULL);
  *dir = (directory){u64(archive->data + at + 48), u64(archive->data + at + 40),
                     u64(archive->data + at + 32)};
  return NEO_OK;
}

static neo_status find_directory(neo_ctx *ctx, const neo_archive *archive, directory *dir) {
  uint64_t lowest = archive->size > END_SIZE + 0xffff ? archive->size - END_SIZE - 0xffff : 0;
  if (archive->size < END_SIZE)
    return bad(ctx, archive, "shorter than an empty archive", NULL);
  for (uint64_t at = archive->size - END_SIZE;; at--) {
    const uint8_t *end = archive->data + at;
    if (memcmp(end, "PK\005\006", 4) == 0) {
      *dir = (directory){u32(end + 16), u32(end + 12), u16(end + 10)};
      NEO_TRY(zip64_end(ctx, archive, at, dir));
      break;
    }
    if (at == lowest)
      return bad(ctx, archive, "no end of directory: the file is truncated", NULL);
  }
  if (!inside(archive, dir->offset, dir->size))
    return bad(ctx, archive, "the directory lies outside the file", NULL);
  if (dir->count > MAX_MEMBERS || dir->count > dir->size / ENTRY_SIZE)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: zip archive: directory of %llu members in %llu bytes",
                    archive->source->path, (unsigned long long)dir->count,
                    (unsigned long long)dir->size);
  return NEO_OK;
}

static bool name_is_sane(const char *name, size_t length) {
  if (length == 0 || name[0] == '/' || strlen(name) != length)
    return false;
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < 32 || name[i] == '\\')
      return false;
  for (const char *at = name; at; at = strchr(at, '/')) {
    at += *at == '/';
    if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == 0))
      return false;
  }
  return true;
}

/* The 64-bit values of fields that are all ones in the entry. */
static bool zip64_fields(const uint8_t *extra, size_t length, uint64_t *size, uint64_t *packed,
                         uint64_t *offset) {
  uint64_t *field[3] = {size, packed, offset};
  while (length >= 4) {
    size_t n = u16(extra + 2), at = 4;
    if (n + 4 > length)
      return false;
    for (int i = 0; i < 3 && u16(extra) == 1; i++)
      if (*field[i] == 0xffffffff) {
        if (at + 8 > n + 4)
          return false;
        *field[i] = u64(extra + at);
        at += 8;
      }
    extra += n + 4;
    length -= n + 4;
  }
  return true;
}

static neo_status locate(neo_ctx *ctx, const neo_archive *archive, uint64_t offset,
                         neo_archive_member *member) {
  const uint8_t *local = archive->data + offset;
  if (!inside(archive, offset, LOCAL_SIZE) || memcmp(local, "PK\003\004", 4) != 0)
    return bad(ctx, archive, "member without a header", member->name);
  uint64_t start = offset + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
  if (!inside(archive, start, member->packed))
    return bad(ctx, archive, "member outside the file", member->name);
  if (member->stored && member->size != member->packed)
    return bad(ctx, archive, "stored member of two sizes", member->name);
  if (member->stored)
    member->data = archive->data + start;
  return NEO_OK;
}

/* Reads the entry at *at and moves behind it. */
static neo_status read_entry(neo_ctx *ctx, neo_archive *archive, uint64_t *at, uint64_t end) {
  const uint8_t *entry = archive->data + *at;
  if (end - *at < ENTRY_SIZE || memcmp(entry, "PK\001\002", 4) != 0)
    return bad(ctx, archive, "damaged directory", NULL);
  size_t n_name = u16(entry + 28), n_extra = u16(entry + 30), n_comment = u16(entry + 32);
  if (end - *at - ENTRY_SIZE < n_name + n_extra + n_comment)
    return bad(ctx, archive, "damaged directory", NULL);
  const char *name = neo_arena_strndup(&archive->arena, (const char *)entry + ENTRY_SIZE, n_name);
  uint64_t packed = u32(entry + 20), size = u32(entry + 24), offset = u32(entry + 42);
  uint32_t flags = u16(entry + 8), method = u16(entry + 10);
  if (!name_is_sane(name, n_name))
    return bad(ctx, archive, "member name that leaves the archive", name);
  if (!zip64_fields(entry + ENTRY_SIZE + n_name, n_extra, &size, &packed, &offset))
    return bad(ctx, archive, "damaged extra field", name);
  if (flags & 1)
    return bad(ctx, archive, "encrypted member", name);
  if (method != 0 && method != 8)
    return bad(ctx, archive, "compression that is neither stored nor deflated", name);
  neo_archive_member *member = &archive->member[archive->count];
  *member = (neo_archive_member){name, size, method == 0, NULL, packed};
  NEO_TRY(locate(ctx, archive, offset, member));
  if (neo_map_get(&archive->names, name))
    return bad(ctx, archive, "two members of one name", name);
  if (!neo_map_put(&archive->names, name, member))
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: zip directory", archive->source->path);
  archive->count++;
  *at += ENTRY_SIZE + n_name + n_extra + n_comment;
  return NEO_OK;
}

static neo_status read_directory(neo_ctx *ctx, neo_archive *archive) {
  directory dir = {0};
  NEO_TRY(find_directory(ctx, archive, &dir));
  archive->member = neo_arena_alloc(&archive->arena, sizeof *archive->member * (dir.count + 1));
  uint64_t at = dir.offset;
  for (uint64_t i = 0; i < dir.count; i++)
    NEO_TRY(read_entry(ctx, archive, &at, dir.offset + dir.size));
  return NEO_OK;
}

neo_status neo_archive_open(neo_ctx *ctx, const neo_source *source, neo_archive **out) {
  neo_archive *archive = neo_alloc(ctx, sizeof *archive);
  if (!archive)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: zip archive", source->path);
  neo_arena_init(&archive->arena);
  archive->ctx = ctx;
  archive->source = source;
  archive->data = source->file.data;
  archive->size = source->file.size;
  archive->max_bytes = source->options.max_model_bytes;
  neo_status status = read_directory(ctx, archive);
  if (status == NEO_OK)
    *out = archive;
  else
    neo_archive_close(archive);
  return status;
}

void neo_archive_close(neo_archive *archive) {
  if (!archive)
    return;
  for (int i = 0; i < archive->count; i++)
    if (!archive->member[i].stored)
      neo_aligned_free(archive->ctx, (void *)archive->member[i].data);
  if (archive->zip)
    zip_discard(archive->zip);
  neo_map_fini(&archive->names);
  neo_arena_fini(&archive->arena);
  neo_free(archive->ctx, archive);
}

int neo_archive_count(const neo_archive *archive) {
  return archive->count;
}

const neo_archive_member *neo_archive_at(const neo_archive *archive, int i) {
  return &archive->member[i];
}

const neo_archive_member *neo_archive_find(const neo_archive *archive, const char *name) {
  return neo_map_get(&archive->names, name);
}

/* ---- expansion ----------------------------------------------------------------------------------- */

static neo_status open_zip(neo_ctx *ctx, neo_archive *archive) {
  zip_error_t error;
  if (archive->zip)
    return NEO_OK;
  zip_error_init(&error);
  zip_source_t *bytes = zip_source_buffer_create(archive->data, archive->size, 0, &error);
  if (bytes)
    archive->zip = zip_open_from_source(bytes, ZIP_RDONLY, &error);
  if (bytes && !archive->zip)
    zip_source_free(bytes);
  neo_status status = archive->zip ? NEO_OK : bad(ctx, archive, zip_error_strerror(&error), NULL);
  zip_error_fini(&error);
  return status;
}

static neo_status inflate(neo_ctx *ctx, neo_archive *archive, const neo_archive_member *member,
                          uint8_t *into) {
  zip_file_t *file = zip_fopen(archive->zip, member->name, 0);
  uint64_t got = 0;
  zip_int64_t n = 0;
  uint8_t more;
  if (!file)
    return bad(ctx, archive, zip_strerror(archive->zip), member->name);
  while (got < member->size && (n = zip_fread(file, into + got, member->size - got)) > 0)
    got += (uint64_t)n;
  bool whole = got == member->size && zip_fread(file, &more, 1) == 0;
  zip_fclose(file);
  return whole ? NEO_OK : bad(ctx, archive, "member does not expand to its size", member->name);
}

static neo_status expand(neo_ctx *ctx, neo_archive *archive, neo_archive_member *member) {
  if (member->size > (uint64_t)(archive->max_bytes - archive->expanded))
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "%s: zip archive: %s expands to %llu bytes: more than --max-model-bytes %lld "
                    "allows",
                    archive->source->path, member->name, (unsigned long long)member->size,
                    (long long)archive->max_bytes);
  if (member->size / 1100 > member->packed)
    return bad(ctx, archive, "member that claims to expand beyond what deflate can", member->name);
  NEO_TRY(open_zip(ctx, archive));
  uint8_t *data = neo_aligned_alloc(ctx, (size_t)member->size + 1);
  if (!data)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: %llu bytes for %s", archive->source->path,
                    (unsigned long long)member->size, member->name);
  neo_status status = inflate(ctx, archive, member, data);
  if (status != NEO_OK) {
    neo_aligned_free(ctx, data);
    return status;
  }
  archive->expanded += (int64_t)member->size;
  member->data = data;
  return NEO_OK;
}

neo_status neo_archive_read(neo_ctx *ctx, neo_archive *archive, const neo_archive_member *member,
                            uint64_t limit, const uint8_t **out) {
  neo_archive_member *mine = &archive->member[member - archive->member];
  if (limit && member->size > limit)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: zip archive: %s has %llu bytes, at most %llu expected",
                    archive->source->path, member->name, (unsigned long long)member->size,
                    (unsigned long long)limit);
  if (!mine->data)
    NEO_TRY(expand(ctx, archive, mine));
  *out = mine->data;
  return NEO_OK;
}
