/* BMP: core (12 bytes) and info headers (40 and more), palettes of 1, 4 and 8 bits, 16, 24 and 32
 * bits with or without masks, run lengths of 4 and 8 bits, bottom-up and top-down.
 *
 * Layout, little endian:
 *   0 "BM"  2 u32 file size  10 u32 offset of the pixels
 *   14 u32 header size; 12: u16 width, height, planes, bits
 *      else i32 width, height (< 0: top-down), u16 planes, bits, u32 compression, u32 bytes of
 * pixels, 8 bytes resolution, u32 colours used, u32 important; u32 masks of red, green, blue: in
 * the header from 52 bytes on, else behind it the palette: 4 bytes blue, green, red, 0 each (core:
 * 3) rows of pixels, each filled up to 4 bytes Invariants: 1. every read goes through `bytes_at`,
 * which checks it. */
#include "image/codec.h"

#include <string.h>

enum { RGB = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, ALPHAFIELDS = 6 };

typedef struct bmp {
  neo_ctx *ctx;
  const neo_image_source *source;
  int64_t width, height;
  bool top_down;
  uint32_t header, bits, compression, pixels; /* header and pixels: places in the file */
  uint32_t mask[3];
  uint8_t palette[256][3]; /* red, green, blue */
} bmp;

static bool is_bmp(const neo_image_source *source) {
  return neo_image_begins(source, "BM", 2);
}

/* NULL, and the failure recorded, where the file is too short. */
static const uint8_t *bytes_at(const bmp *b, uint64_t at, uint64_t n) {
  if (at <= b->source->size && n <= b->source->size - at)
    return b->source->bytes + at;
  neo_fail(b->ctx, NEO_BAD_INPUT, "it ends early: %zu bytes, %llu expected", b->source->size,
           (unsigned long long)(at + n));
  return NULL;
}

static uint32_t u16(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p) {
  return u16(p) | u16(p + 2) << 16;
}

static neo_status read_core(bmp *b) {
  const uint8_t *p = bytes_at(b, 14, 12);
  if (!p)
    return NEO_BAD_INPUT;
  b->width = u16(p + 4);
  b->height = u16(p + 6);
  b->bits = u16(p + 10);
  return NEO_OK;
}

static neo_status read_info(bmp *b) {
  const uint8_t *p = bytes_at(b, 14, 40);
  if (!p)
    return NEO_BAD_INPUT;
  int64_t height = (int32_t)u32(p + 8);
  b->width = (int32_t)u32(p + 4);
  b->top_down = height < 0;
  b->height = height < 0 ? -height : height;
  b->bits = u16(p + 14);
  b->compression = u32(p + 16);
  return NEO_OK;
}

static neo_status read_header(neo_ctx *ctx, const neo_image_source *source, bmp *b) {
  *b = (bmp){.ctx = ctx, .source = source};
  const uint8_t *p = bytes_at(b, 0, 18);
  if (!p)
    return NEO_BAD_INPUT;
  b->pixels = u32(p + 10);
  b->header = u32(p + 14);
  if (b->header != 12 && (b->header < 40 || b->header > 1024))
    return neo_fail(ctx, NEO_UNSUPPORTED, "a header of %u bytes", (unsigned)b->header);
  NEO_TRY(b->header == 12 ? read_core(b) : read_info(b));
  return neo_image_check(ctx, b->width, b->height);
}

static neo_status bmp_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                           int64_t *height) {
  bmp b;
  NEO_TRY(read_header(ctx, source, &b));
  *width = b.width;
  *height = b.height;
  return NEO_OK;
}

static bool known_kind(const bmp *b) {
  switch (b->compression) {
  case RGB:
    return b->bits == 1 || b->bits == 4 || b->bits == 8 || b->bits == 16 || b->bits == 24 ||
           b->bits == 32;
  case RLE8:
    return b->bits == 8 && !b->top_down;
  case RLE4:
    return b->bits == 4 && !b->top_down;
  case BITFIELDS:
  case ALPHAFIELDS:
    return b->bits == 16 || b->bits == 32;
  default:
    return false;
  }
}

/* The palette begins behind the header and the masks; what is not there stays black. */
static neo_status read_palette(bmp *b) {
  uint64_t entry = b->header == 12 ? 3 : 4, at = 14 + (uint64_t)b->header;
  uint64_t most = (uint64_t)1 << b->bits, end = b->pixels > at ? b->pixels : b->source->size;
  uint64_t n = end > at ? (end - at) / entry : 0;
  n = n < most ? n : most;
  const uint8_t *p = bytes_at(b, at, n * entry);
  if (!p)
    return NEO_BAD_INPUT;
  for (uint64_t i = 0; i < n; i++)
    for (int c = 0; c < 3; c++)
      b->palette[i][c] = p[i * entry + 2 - (uint64_t)c];
  return NEO_OK;
}

static neo_status read_masks(bmp *b) {
  static const uint32_t usual[2][3] = {{0x7c00, 0x03e0, 0x001f}, {0xff0000, 0x00ff00, 0x0000ff}};
  memcpy(b->mask, usual[b->bits == 32], sizeof b->mask);
  if (b->compression != BITFIELDS && b->compression != ALPHAFIELDS)
    return NEO_OK;
  const uint8_t *p = bytes_at(b, 54, 12);
  if (!p)
    return NEO_BAD_INPUT;
  for (int c = 0; c < 3; c++)
    b->mask[c] = u32(p + 4 * c);
  return NEO_OK;
}

/* The bits of a mask as a sample of eight bits, rounded down as Pillow does. */
static uint8_t masked(uint32_t pixel, uint32_t mask) {
  if (!mask)
    return 0;
  int shift = 0;
  while (!(mask >> shift & 1))
    shift++;
  uint64_t most = mask >> shift, v = (pixel & mask) >> shift;
  return (uint8_t)(v * 255 / most);
}

static void unpack(const bmp *b, const uint8_t *from, uint8_t *rgb) {
  for (int64_t x = 0; x < b->width; x++, rgb += 3) {
    if (b->bits == 24) {
      for (int c = 0; c < 3; c++)
        rgb[c] = from[3 * x + 2 - c];
    } else if (b->bits >= 16) {
      uint32_t pixel = b->bits == 16 ? u16(from + 2 * x) : u32(from + 4 * x);
      for (int c = 0; c < 3; c++)
        rgb[c] = masked(pixel, b->mask[c]);
    } else {
      int64_t bit = x * b->bits;
      int shift = 8 - (int)b->bits - (int)(bit % 8);
      memcpy(rgb, b->palette[from[bit / 8] >> shift & ((1 << b->bits) - 1)], 3);
    }
  }
}

static neo_status plain_rows(const bmp *b, const neo_image_target *target, uint8_t *rgb) {
  uint64_t stride = ((uint64_t)b->width * b->bits + 31) / 32 * 4;
  const uint8_t *from = bytes_at(b, b->pixels, stride * (uint64_t)b->height);
  if (!from)
    return NEO_BAD_INPUT;
  for (int64_t y = 0; y < b->height; y++) {
    unpack(b, from + stride * (uint64_t)y, rgb);
    neo_image_put(target, b->top_down ? y : b->height - 1 - y, &(neo_image_row){rgb, 3, 0, 1, 2});
  }
  return NEO_OK;
}

/* ---- run lengths ------------------------------------------------------------------------------
 *
 * Pairs of bytes: n > 0, v: n pixels of v (4 bits: of its halves in turn); 0, 0: end of the row;
 * 0, 1: end of the picture; 0, 2, dx, dy: move on; 0, n: n pixels as they are, filled up to two
 * bytes. Pixels that nothing writes have colour 0. Pixels outside are dropped. */

typedef struct bmp_runs {
  const bmp *b;
  uint8_t *index; /* by pixel, the lowest row first */
  uint64_t at;
  int64_t x, y;
} bmp_runs;

static void run_pixel(bmp_runs *r, const uint8_t *from, int k) {
  uint8_t v = r->b->bits == 8 ? from[0] : k % 2 ? from[0] & 15 : from[0] >> 4;
  if (r->x < r->b->width && r->y < r->b->height)
    r->index[r->y * r->b->width + r->x] = v;
  r->x++;
}

static neo_status run_literal(bmp_runs *r, int n) {
  uint64_t bytes = ((uint64_t)n * r->b->bits + 7) / 8;
  const uint8_t *from = bytes_at(r->b, r->at, bytes);
  if (!from)
    return NEO_BAD_INPUT;
  for (int k = 0; k < n; k++)
    run_pixel(r, from + (r->b->bits == 8 ? k : k / 2), k);
  r->at += (bytes + 1) / 2 * 2;
  return NEO_OK;
}

static neo_status run_escape(bmp_runs *r, int code, bool *end) {
  if (code > 2)
    return run_literal(r, code);
  if (code == 2) {
    const uint8_t *by = bytes_at(r->b, r->at, 2);
    if (!by)
      return NEO_BAD_INPUT;
    r->x += by[0];
    r->y += by[1];
    r->at += 2;
  } else {
    *end = code == 1;
    r->x = 0;
    r->y++;
  }
  return NEO_OK;
}

static neo_status read_runs(bmp_runs *r) {
  for (bool end = false; !end && r->y < r->b->height;) {
    const uint8_t *pair = bytes_at(r->b, r->at, 2);
    if (!pair)
      return NEO_BAD_INPUT;
    r->at += 2;
    if (pair[0] == 0)
      NEO_TRY(run_escape(r, pair[1], &end));
    for (int k = 0; k < pair[0]; k++)
      run_pixel(r, pair + 1, k);
  }
  return NEO_OK;
}

static neo_status run_rows(const bmp *b, const neo_image_target *target, uint8_t *rgb) {
  bmp_runs r = {.b = b, .at = b->pixels};
  r.index = neo_alloc(b->ctx, (size_t)(b->width * b->height));
  if (!r.index)
    return neo_fail(b->ctx, NEO_NO_MEMORY, "out of memory");
  neo_status status = read_runs(&r);
  for (int64_t y = 0; status == NEO_OK && y < b->height; y++) {
    for (int64_t x = 0; x < b->width; x++)
      memcpy(rgb + 3 * x, b->palette[r.index[y * b->width + x]], 3);
    neo_image_put(target, b->height - 1 - y, &(neo_image_row){rgb, 3, 0, 1, 2});
  }
  neo_free(b->ctx, r.index);
  return status;
}

static neo_status bmp_decode(neo_ctx *ctx, const neo_image_source *source,
                             const neo_image_target *target) {
  bmp b;
  NEO_TRY(read_header(ctx, source, &b));
  NEO_TRY(neo_image_fits(ctx, target, b.width, b.height));
  if (!known_kind(&b))
    return neo_fail(ctx, NEO_UNSUPPORTED, "compression %u of %u bits", (unsigned)b.compression,
                    (unsigned)b.bits);
  NEO_TRY(b.bits <= 8 ? read_palette(&b) : read_masks(&b));
  uint8_t *rgb = neo_alloc(ctx, 3 * (size_t)b.width);
  if (!rgb)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  bool runs = b.compression == RLE8 || b.compression == RLE4;
  neo_status status = runs ? run_rows(&b, target, rgb) : plain_rows(&b, target, rgb);
  neo_free(ctx, rgb);
  return status;
}

const neo_codec neo_codec_bmp = {"bmp", is_bmp, bmp_size, bmp_decode};
