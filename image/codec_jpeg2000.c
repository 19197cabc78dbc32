/* JPEG 2000, files (JP2) and bare code streams, by OpenJPEG. One component (grey) or three and more
 * (red, green, blue; the rest is dropped) of one size and up to 16 bits. */
#include "image/codec.h"

#include <openjpeg.h>
#include <string.h>

typedef struct jp2_memory {
  neo_ctx *ctx;
  const neo_image_source *source;
  uint64_t at;
} jp2_memory;

static bool is_file(const neo_image_source *source) {
  return neo_image_begins(source, "\0\0\0\x0cjP  \r\n\x87\n", 12);
}

static bool is_jpeg2000(const neo_image_source *source) {
  return is_file(source) || neo_image_begins(source, "\xff\x4f\xff\x51", 4);
}

static OPJ_SIZE_T jp2_read(void *to, OPJ_SIZE_T size, void *self) {
  jp2_memory *m = self;
  size_t left = m->source->size - (size_t)m->at, n = size < left ? size : left;
  if (!left)
    return (OPJ_SIZE_T)-1;
  memcpy(to, m->source->bytes + m->at, n);
  m->at += n;
  return n;
}

static OPJ_OFF_T jp2_skip(OPJ_OFF_T size, void *self) {
  jp2_memory *m = self;
  uint64_t left = m->source->size - m->at;
  if (size < 0 || left == 0)
    return -1;
  uint64_t n = (uint64_t)size < left ? (uint64_t)size : left;
  m->at += n;
  return (OPJ_OFF_T)n;
}

static OPJ_BOOL jp2_seek(OPJ_OFF_T to, void *self) {
  jp2_memory *m = self;
  if (to < 0 || (uint64_t)to > m->source->size)
    return OPJ_FALSE;
  m->at = (uint64_t)to;
  return OPJ_TRUE;
}

static uint64_t big_endian(const uint8_t *at, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++)
    v = v << 8 | at[i];
  return v;
}

/* The code stream: all of the source, or what is in a file's box jp2c. NULL: there is none. */
static const uint8_t *code_stream(const neo_image_source *source, size_t *size) {
  size_t at = 0;
  *size = source->size;
  if (!is_file(source))
    return source->bytes;
  while (source->size - at >= 8) {
    const uint8_t *box = source->bytes + at;
    uint64_t length = big_endian(box, 4), head = 8;
    if (length == 1 && source->size - at >= 16) {
      length = big_endian(box + 8, 8);
      head = 16;
    }
    if (memcmp(box + 4, "jp2c", 4) == 0) {
      *size = source->size - at - (size_t)head;
      return box + head;
    }
    if (length < head || length > source->size - at)
      break;
    at += (size_t)length;
  }
  return NULL;
}

/* OpenJPEG takes some 10 KB for every tile that the header speaks of, and 1 KB for each of its
 * components, before anybody is asked. Of the segment SIZ: 8 u32 width, height, 24 of a tile, 32
 * where tiles begin, 40 u16 components. */
static neo_status check_tiles(neo_ctx *ctx, const neo_image_source *source) {
  enum { MAX_TILES = 4096, END = 42 };
  size_t size = 0;
  const uint8_t *at = code_stream(source, &size);
  uint64_t tiles = 1;
  if (!at || size < END || memcmp(at, "\xff\x4f\xff\x51", 4) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "its header is damaged");
  for (int d = 0; d < 2; d++) {
    uint64_t extent = big_endian(at + 8 + 4 * d, 4), tile = big_endian(at + 24 + 4 * d, 4),
             first = big_endian(at + 32 + 4 * d, 4);
    if (tile == 0 || first >= extent)
      return neo_fail(ctx, NEO_BAD_INPUT, "its header is damaged");
    tiles *= (extent - first + tile - 1) / tile;
    if (tiles > MAX_TILES)
      return neo_fail(ctx, NEO_UNSUPPORTED, "more than %d tiles", MAX_TILES);
  }
  if (big_endian(at + 40, 2) > 4)
    return neo_fail(ctx, NEO_UNSUPPORTED, "%u components, up to 4 expected",
                    (unsigned)big_endian(at + 40, 2));
  return NEO_OK;
}

static void jp2_error(const char *text, void *self) {
  size_t length = strcspn(text, "\n");
  neo_fail(((jp2_memory *)self)->ctx, NEO_BAD_INPUT, "%.*s", length < 160 ? (int)length : 160,
           text);
}

typedef struct jp2_reader {
  jp2_memory memory;
  opj_stream_t *stream;
  opj_codec_t *codec;
  opj_image_t *image;
} jp2_reader;

static void jp2_close(jp2_reader *r) {
  if (r->image)
    opj_image_destroy(r->image);
  if (r->codec)
    opj_destroy_codec(r->codec);
  if (r->stream)
    opj_stream_destroy(r->stream);
}

static neo_status jp2_open(neo_ctx *ctx, const neo_image_source *source, jp2_reader *r) {
  *r = (jp2_reader){.memory = {ctx, source, 0}};
  NEO_TRY(check_tiles(ctx, source));
  r->stream = opj_stream_default_create(OPJ_TRUE);
  r->codec = opj_create_decompress(is_file(source) ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
  if (!r->stream || !r->codec)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  opj_stream_set_user_data(r->stream, &r->memory, NULL);
  opj_stream_set_user_data_length(r->stream, source->size);
  opj_stream_set_read_function(r->stream, jp2_read);
  opj_stream_set_skip_function(r->stream, jp2_skip);
  opj_stream_set_seek_function(r->stream, jp2_seek);
  opj_set_error_handler(r->codec, jp2_error, &r->memory);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  if (!opj_setup_decoder(r->codec, &parameters) ||
      !opj_read_header(r->stream, r->codec, &r->image) || !r->image)
    return neo_fail(ctx, NEO_BAD_INPUT, "its header is damaged");
  return NEO_OK;
}

/* What we can make pixels of. */
static neo_status jp2_components(neo_ctx *ctx, const opj_image_t *image, int64_t *width,
                                 int64_t *height) {
  if (image->numcomps < 1 || image->numcomps > 4)
    return neo_fail(ctx, NEO_UNSUPPORTED, "%u components, up to 4 expected",
                    (unsigned)image->numcomps);
  for (OPJ_UINT32 i = 0; i < image->numcomps; i++) {
    const opj_image_comp_t *c = &image->comps[i];
    if (c->w != image->comps[0].w || c->h != image->comps[0].h || c->dx != 1 || c->dy != 1)
      return neo_fail(ctx, NEO_UNSUPPORTED, "its components are of different sizes");
    if (c->prec < 1 || c->prec > 16)
      return neo_fail(ctx, NEO_UNSUPPORTED, "samples of %u bits, up to 16 expected",
                      (unsigned)c->prec);
  }
  if (image->color_space == OPJ_CLRSPC_SYCC || image->color_space == OPJ_CLRSPC_EYCC ||
      image->color_space == OPJ_CLRSPC_CMYK)
    return neo_fail(ctx, NEO_UNSUPPORTED, "its colours are YCC or CMYK, not RGB");
  *width = image->comps[0].w;
  *height = image->comps[0].h;
  return NEO_OK;
}

static neo_status jp2_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                           int64_t *height) {
  jp2_reader r;
  neo_status status = jp2_open(ctx, source, &r);
  if (status == NEO_OK)
    status = jp2_components(ctx, r.image, width, height);
  jp2_close(&r);
  return status;
}

/* As eight bits; samples may leave their range when compression is lossy. */
static uint8_t jp2_sample(const opj_image_comp_t *c, int64_t i) {
  int64_t v = c->data[i] + (c->sgnd ? (int64_t)1 << (c->prec - 1) : 0);
  int64_t most = ((int64_t)1 << c->prec) - 1;
  v = v < 0 ? 0 : v > most ? most : v;
  return (uint8_t)(c->prec > 8 ? v >> (c->prec - 8) : c->prec < 8 ? v * 255 / most : v);
}

static neo_status jp2_pixels(neo_ctx *ctx, jp2_reader *r, const neo_image_target *target) {
  int64_t width = 0, height = 0;
  NEO_TRY(jp2_components(ctx, r->image, &width, &height));
  NEO_TRY(neo_image_fits(ctx, target, width, height));
  if (!opj_decode(r->codec, r->stream, r->image))
    return neo_fail(ctx, NEO_BAD_INPUT, "its data is damaged or ends early");
  NEO_TRY(jp2_components(ctx, r->image, &width, &height));
  NEO_TRY(neo_image_fits(ctx, target, width, height));
  int n = r->image->numcomps < 3 ? 1 : 3;
  for (int c = 0; c < n; c++)
    if (!r->image->comps[c].data)
      return neo_fail(ctx, NEO_BAD_INPUT, "component %d has no data", c);
  uint8_t *row = neo_alloc(ctx, (size_t)(n * width));
  if (!row)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  for (int64_t y = 0; y < height; y++) {
    for (int64_t x = 0; x < n * width; x++)
      row[x] = jp2_sample(&r->image->comps[x % n], y * width + x / n);
    neo_image_put(target, y, &(neo_image_row){row, n, 0, n > 1 ? 1 : 0, n > 1 ? 2 : 0});
  }
  neo_free(ctx, row);
  return NEO_OK;
}

static neo_status jp2_decode(neo_ctx *ctx, const neo_image_source *source,
                             const neo_image_target *target) {
  jp2_reader r;
  neo_status status = jp2_open(ctx, source, &r);
  if (status == NEO_OK)
    status = jp2_pixels(ctx, &r, target);
  jp2_close(&r);
  return status;
}

const neo_codec neo_codec_jpeg2000 = {"jpeg 2000", is_jpeg2000, jp2_size, jp2_decode};
