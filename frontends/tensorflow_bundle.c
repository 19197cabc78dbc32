/* frontends/tensorflow_bundle.c: reads tensor bundles (tensorflow_bundle.h).
 *
 * The index file is LevelDB's table format: a 48-byte footer (handles of the metaindex and index
 * blocks as varint pairs, padding, magic), blocks of entries whose keys share prefixes with the key
 * before, each block followed by a compression byte and the masked crc32c of both. TensorFlow
 * writes them uncompressed. The index block's values are handles of data blocks; entry "" is the
 * BundleHeader.
 *
 * Everything read is checked against its surroundings: handles against the file, entries against
 * their block, tensors against their shard. Names longer than MAX_KEY and more than MAX_ENTRIES are
 * refused. */
#include "frontends/tensorflow_bundle.h"

#include <string.h>

#include "frontends/wire.h"
#include "tensorflow.pb-c.h"

#define FOOTER 48
#define TRAILER 5
#define MAX_KEY 4096
#define MAX_ENTRIES 1000000
#define MAX_SHARDS 4096

struct tf_bundle {
  neo_arena arena;
  const char *prefix;
  neo_mapping index;
  neo_map entries; /* tf_bundle_tensor */
  int n_entries, n_shards;
  neo_mapping *shard;
  uint32_t table[8][256]; /* crc32c, eight bytes a step */
};

static neo_status damaged(neo_ctx *ctx, const tf_bundle *b, const char *what) {
  return neo_fail(ctx, NEO_BAD_INPUT, "tensorflow: %s.index: %s", b->prefix, what);
}

/* ---- crc32c (Castagnoli, reflected 0x82f63b78) --------------------------------------------------- */

static void make_table(tf_bundle *b) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int k = 0; k < 8; k++)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    b->table[0][i] = crc;
  }
  for (int k = 1; k < 8; k++)
    for (int i = 0; i < 256; i++)
      b->table[k][i] = b->table[k - 1][i] >> 8 ^ b->table[0][b->table[k - 1][i] & 255];
}

static uint32_t masked_crc(const tf_bundle *b, const uint8_t *data, size_t size) {
  uint32_t crc = ~0u;
  for (; size >= 8; data += 8, size -= 8) {
    crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
    crc = b->table[7][crc & 255] ^ b->table[6][crc >> 8 & 255] ^ b->table[5][crc >> 16 & 255] ^
          b->table[4][crc >> 24] ^ b->table[3][data[4]] ^ b->table[2][data[5]] ^
          b->table[1][data[6]] ^ b->table[0][data[7]];
  }
  for (; size > 0; data++, size--)
    crc = crc >> 8 ^ b->table[0][(crc ^ *data) & 255];
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static uint32_t read_u32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- blocks ---------------------------------------------------------------------------------------- */

typedef neo_status (*entry_fn)(neo_ctx *ctx, tf_bundle *b, const char *key, const uint8_t *value,
                               size_t size);

static bool read_handle(const uint8_t **at, const uint8_t *end, uint64_t *offset, uint64_t *size) {
  return neo_wire_varint(at, end, offset) && neo_wire_varint(at, end, size);
}

/* One entry: its key grows from the one before, which is in `key`. */
static const uint8_t *read_entry(const uint8_t *at, const uint8_t *end, char *key, size_t *length,
                                 size_t *value_size) {
  uint64_t shared, fresh, size;
  if (!neo_wire_varint(&at, end, &shared) || !neo_wire_varint(&at, end, &fresh) ||
      !neo_wire_varint(&at, end, &size) || shared > *length || fresh > MAX_KEY - shared ||
      fresh > (uint64_t)(end - at) || size > (uint64_t)(end - at) - fresh)
    return NULL;
  memcpy(key + shared, at, (size_t)fresh);
  *length = (size_t)(shared + fresh);
  key[*length] = 0;
  *value_size = (size_t)size;
  return at + fresh;
}

static neo_status read_block(neo_ctx *ctx, tf_bundle *b, uint64_t offset, uint64_t size,
                             entry_fn fn) {
  char key[MAX_KEY + 1] = "";
  size_t length = 0, value_size, room = b->index.size - FOOTER;
  if (offset > room || size > room - offset || room - offset - size < TRAILER || size < 4)
    return damaged(ctx, b, "a block lies outside of the file");
  const uint8_t *at = b->index.data + offset, *end = at + size;
  if (*end != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "tensorflow: %s.index: a block is compressed (type %d)",
                    b->prefix, *end);
  if (read_u32(end + 1) != masked_crc(b, at, (size_t)size + 1))
    return damaged(ctx, b, "the checksum of a block is wrong");
  uint64_t restarts = read_u32(end - 4);
  if (restarts > (size - 4) / 4)
    return damaged(ctx, b, "a block has too many restart points");
  end -= 4 * restarts + 4;
  while (at < end) {
    at = read_entry(at, end, key, &length, &value_size);
    if (!at)
      return damaged(ctx, b, "a damaged entry");
    NEO_TRY(fn(ctx, b, key, at, value_size));
    at += value_size;
  }
  return NEO_OK;
}

/* ---- entries --------------------------------------------------------------------------------------- */

static neo_status read_header(neo_ctx *ctx, tf_bundle *b, const uint8_t *value, size_t size) {
  Tf__BundleHeader *pb = tf__bundle_header__unpack(NULL, size, value);
  if (!pb)
    return damaged(ctx, b, "a damaged header");
  int64_t shards = pb->has_num_shards ? pb->num_shards : 0;
  bool little = pb->endianness == 0;
  tf__bundle_header__free_unpacked(pb, NULL);
  if (!little)
    return neo_fail(ctx, NEO_UNSUPPORTED, "tensorflow: %s.index: big-endian tensors", b->prefix);
  if (shards < 1 || shards > MAX_SHARDS)
    return damaged(ctx, b, "the number of shards is not 1 to 4096");
  b->n_shards = (int)shards;
  return NEO_OK;
}

static neo_status keep_entry(neo_ctx *ctx, tf_bundle *b, const char *key,
                             const Tf__BundleEntry *pb) {
  tf_bundle_tensor *t = neo_arena_alloc(&b->arena, sizeof *t);
  size_t rank = pb->shape ? pb->shape->n_dim : 0;
  if (rank > NEO_COUNT(t->dim) || pb->offset < 0 || pb->size < 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "tensorflow: %s.index: entry '%s' is damaged", b->prefix,
                    key);
  *t = (tf_bundle_tensor){.dtype = pb->dtype,
                          .rank = (int)rank,
                          .shard = pb->shard_id,
                          .offset = pb->offset,
                          .size = pb->size,
                          .crc = pb->crc32c,
                          .sliced = pb->n_slices > 0};
  for (size_t d = 0; d < rank; d++)
    t->dim[d] = pb->shape->dim[d]->size;
  if (!neo_map_put(&b->entries, key, t))
    return neo_fail(ctx, NEO_NO_MEMORY, "tensorflow: out of memory");
  return NEO_OK;
}

static neo_status tensor_entry(neo_ctx *ctx, tf_bundle *b, const char *key, const uint8_t *value,
                               size_t size) {
  if (++b->n_entries > MAX_ENTRIES)
    return damaged(ctx, b, "more than a million entries");
  if (!*key)
    return read_header(ctx, b, value, size);
  Tf__BundleEntry *pb = size > 65536 ? NULL : tf__bundle_entry__unpack(NULL, size, value);
  if (!pb)
    return damaged(ctx, b, "a damaged entry");
  neo_status status = keep_entry(ctx, b, key, pb);
  tf__bundle_entry__free_unpacked(pb, NULL);
  return status;
}

static neo_status index_entry(neo_ctx *ctx, tf_bundle *b, const char *key, const uint8_t *value,
                              size_t size) {
  uint64_t offset, length;
  const uint8_t *at = value;
  (void)key;
  if (!read_handle(&at, value + size, &offset, &length))
    return damaged(ctx, b, "a damaged block handle");
  return read_block(ctx, b, offset, length, tensor_entry);
}

static neo_status read_index(neo_ctx *ctx, tf_bundle *b) {
  static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
  uint64_t offset, size;
  if (b->index.size < FOOTER)
    return damaged(ctx, b, "too short");
  const uint8_t *footer = b->index.data + b->index.size - FOOTER, *end = footer + FOOTER - 8;
  if (memcmp(end, magic, sizeof magic) != 0)
    return damaged(ctx, b, "not a table (magic number)");
  if (!read_handle(&footer, end, &offset, &size) || !read_handle(&footer, end, &offset, &size))
    return damaged(ctx, b, "a damaged footer");
  NEO_TRY(read_block(ctx, b, offset, size, index_entry));
  return b->n_shards ? NEO_OK : damaged(ctx, b, "no header");
}

/* ---- the bundle ------------------------------------------------------------------------------------ */

static neo_status open_all(neo_ctx *ctx, tf_bundle *b) {
  char *path = neo_arena_printf(&b->arena, "%s.index", b->prefix);
  NEO_TRY(neo_file_map(ctx, path, &b->index));
  NEO_TRY(read_index(ctx, b));
  b->shard = neo_arena_alloc(&b->arena, sizeof *b->shard * (size_t)b->n_shards);
  return NEO_OK;
}

neo_status tf_bundle_open(neo_ctx *ctx, const char *prefix, tf_bundle **out) {
  tf_bundle *b = neo_alloc(ctx, sizeof *b);
  if (!b)
    return neo_fail(ctx, NEO_NO_MEMORY, "tensorflow: out of memory");
  neo_arena_init(&b->arena);
  b->prefix = neo_arena_strdup(&b->arena, prefix);
  make_table(b);
  neo_status status = open_all(ctx, b);
  if (status == NEO_OK)
    *out = b;
  else
    tf_bundle_close(b);
  return status;
}

void tf_bundle_close(tf_bundle *b) {
  if (!b)
    return;
  neo_file_unmap(&b->index);
  for (int i = 0; b->shard && i < b->n_shards; i++)
    neo_file_unmap(&b->shard[i]);
  neo_map_fini(&b->entries);
  neo_arena_fini(&b->arena);
  neo_ctx plain;
  neo_ctx_init(&plain, 0);
  neo_free(&plain, b);
}

tf_bundle_tensor *tf_bundle_find(const tf_bundle *b, const char *name) {
  return neo_map_get(&b->entries, name);
}

neo_status tf_bundle_data(neo_ctx *ctx, tf_bundle *b, const char *name, const uint8_t **out,
                          size_t *size) {
  tf_bundle_tensor *t = tf_bundle_find(b, name);
  if (!t)
    return neo_fail(ctx, NEO_BAD_INPUT, "tensorflow: %s: no tensor '%s'", b->prefix, name);
  if (t->shard < 0 || t->shard >= b->n_shards)
    return neo_fail(ctx, NEO_BAD_INPUT, "tensorflow: %s: tensor '%s' is in shard %d of %d",
                    b->prefix, name, t->shard, b->n_shards);
  neo_mapping *shard = &b->shard[t->shard];
  if (!shard->data)
    NEO_TRY(neo_file_map(
        ctx, neo_arena_printf(&b->arena, "%s.data-%05d-of-%05d", b->prefix, t->shard, b->n_shards),
        shard));
  if ((uint64_t)t->offset > shard->size || (uint64_t)t->size > shard->size - (uint64_t)t->offset)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "tensorflow: %s: tensor '%s' lies outside of its shard (%zu bytes)", b->prefix,
                    name, shard->size);
  *out = shard->data + t->offset;
  *size = (size_t)t->size;
  if (!t->checked && masked_crc(b, *out, *size) != t->crc)
    return neo_fail(ctx, NEO_BAD_INPUT, "tensorflow: %s: the checksum of tensor '%s' is wrong",
                    b->prefix, name);
  t->checked = true;
  return NEO_OK;
}
