/* TIFF, its first picture, by libtiff's RGBA interface: whatever photometric interpretation and
 * compression that knows. Transparency is dropped.
 *
 * libtiff reads through functions, from memory here, and may take no block larger than what a
 * picture of the target's size can need. */
#include "image/codec.h"

#include <string.h>
#include <tiffio.h>

enum { SLACK = 1 << 20 }; /* strips and tables of small pictures */

typedef struct tiff_memory {
  neo_ctx *ctx;
  const neo_image_source *source;
  uint64_t at;
} tiff_memory;

static bool is_tiff(const neo_image_source *source) {
  return neo_image_begins(source, "II*\0", 4) || neo_image_begins(source, "MM\0*", 4);
}

static tmsize_t tiff_read(thandle_t self, void *to, tmsize_t size) {
  tiff_memory *m = self;
  uint64_t left = m->at < m->source->size ? m->source->size - m->at : 0;
  uint64_t n = size < 0 ? 0 : (uint64_t)size < left ? (uint64_t)size : left;
  if (n)
    memcpy(to, m->source->bytes + m->at, (size_t)n);
  m->at += n;
  return (tmsize_t)n;
}

static tmsize_t tiff_write(thandle_t self, void *from, tmsize_t size) {
  (void)self;
  (void)from;
  (void)size;
  return -1;
}

static toff_t tiff_seek(thandle_t self, toff_t offset, int whence) {
  tiff_memory *m = self;
  uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : m->source->size;
  m->at = base + offset; /* unsigned: a read outside finds nothing */
  return m->at;
}

static int tiff_close(thandle_t self) {
  (void)self;
  return 0;
}

static toff_t tiff_bytes(thandle_t self) {
  return ((tiff_memory *)self)->source->size;
}

/* The first message is kept: the last ones say only that something failed. */
static int tiff_error(TIFF *tiff, void *self, const char *module, const char *format,
                      va_list args) {
  char text[160];
  (void)tiff;
  (void)module;
  vsnprintf(text, sizeof text, format, args);
  neo_fail(((tiff_memory *)self)->ctx, NEO_BAD_INPUT, "%s", text);
  return 1;
}

static int tiff_warning(TIFF *tiff, void *self, const char *module, const char *format,
                        va_list args) {
  (void)tiff;
  (void)self;
  (void)module;
  (void)format;
  (void)args;
  return 1;
}

static neo_status tiff_open(tiff_memory *m, int64_t most, TIFF **out) {
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options)
    return neo_fail(m->ctx, NEO_NO_MEMORY, "out of memory");
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)most);
  TIFFOpenOptionsSetErrorHandlerExtR(options, tiff_error, m);
  TIFFOpenOptionsSetWarningHandlerExtR(options, tiff_warning, m);
  /* m: read only, not mapped */
  *out = TIFFClientOpenExt("picture", "rm", m, tiff_read, tiff_write, tiff_seek, tiff_close,
                           tiff_bytes, NULL, NULL, options);
  TIFFOpenOptionsFree(options);
  return *out ? NEO_OK : neo_fail(m->ctx, NEO_BAD_INPUT, "its header is damaged");
}

static neo_status tiff_header(neo_ctx *ctx, TIFF *tiff, int64_t *width, int64_t *height) {
  uint32_t w = 0, h = 0;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &w) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &h))
    return neo_fail(ctx, NEO_BAD_INPUT, "width or height is missing");
  *width = w;
  *height = h;
  return NEO_OK;
}

static neo_status tiff_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                            int64_t *height) {
  tiff_memory m = {ctx, source, 0};
  TIFF *tiff = NULL;
  NEO_TRY(tiff_open(&m, SLACK + (int64_t)source->size, &tiff));
  neo_status status = tiff_header(ctx, tiff, width, height);
  TIFFClose(tiff);
  return status;
}

/* Where colours are not multiplied by their opacity libtiff would do that: it is told that they
 * are. */
static void keep_colours(TIFF *tiff) {
  enum { MOST = 16 };
  uint16_t n = 0, kinds[MOST] = {EXTRASAMPLE_ASSOCALPHA};
  const uint16_t *given = NULL;
  if (!TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &n, &given) || n < 1 || n > MOST ||
      given[0] != EXTRASAMPLE_UNASSALPHA)
    return;
  for (int i = 1; i < n; i++)
    kinds[i] = given[i];
  TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, (int)n, kinds);
}

/* libtiff's pixels are words of 32 bits: red is in the lowest byte. */
static neo_status tiff_pixels(neo_ctx *ctx, TIFF *tiff, const neo_image_target *target) {
  int64_t width = 0, height = 0;
  NEO_TRY(tiff_header(ctx, tiff, &width, &height));
  NEO_TRY(neo_image_fits(ctx, target, width, height));
  keep_colours(tiff);
  uint32_t *pixels = neo_alloc(ctx, 4 * (size_t)(width * height));
  uint8_t *row = neo_alloc(ctx, 3 * (size_t)width);
  neo_status status = NEO_OK;
  if (!pixels || !row)
    status = neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  else if (!TIFFReadRGBAImageOriented(tiff, (uint32_t)width, (uint32_t)height, pixels,
                                      ORIENTATION_TOPLEFT, 1))
    status = neo_fail(ctx, NEO_BAD_INPUT, "its data is damaged or of an unknown kind");
  for (int64_t y = 0; status == NEO_OK && y < height; y++) {
    for (int64_t x = 0; x < width; x++) {
      uint32_t p = pixels[y * width + x];
      row[3 * x] = (uint8_t)TIFFGetR(p);
      row[3 * x + 1] = (uint8_t)TIFFGetG(p);
      row[3 * x + 2] = (uint8_t)TIFFGetB(p);
    }
    neo_image_put(target, y, &(neo_image_row){row, 3, 0, 1, 2});
  }
  neo_free(ctx, row);
  neo_free(ctx, pixels);
  return status;
}

static neo_status tiff_decode(neo_ctx *ctx, const neo_image_source *source,
                              const neo_image_target *target) {
  tiff_memory m = {ctx, source, 0};
  TIFF *tiff = NULL;
  NEO_TRY(
      tiff_open(&m, SLACK + (int64_t)source->size + 16 * target->width * target->height, &tiff));
  neo_status status = tiff_pixels(ctx, tiff, target);
  TIFFClose(tiff);
  return status;
}

const neo_codec neo_codec_tiff = {"tiff", is_tiff, tiff_size, tiff_decode};
