/* Pictures out of encoded bytes: finds the codec, checks sizes, writes pixels.
 *
 * What protects against small files with huge pictures: the caller says what size it has memory
 * for, and a codec compares that with the header before it takes memory; so the memory of a
 * decoding is a small multiple of the caller's own. */
#include "image/codec.h"

#include <inttypes.h>
#include <string.h>

#define X(row) extern const neo_codec neo_codec_##row;
#include "image/codecs.def"
#undef X

static const neo_codec *const rows[] = {
#define X(row) &neo_codec_##row,
#include "image/codecs.def"
#undef X
};

bool neo_image_begins(const neo_image_source *source, const char *text, size_t size) {
  return source->size >= size && memcmp(source->bytes, text, size) == 0;
}

const neo_codec *neo_image_codec_find(const neo_image_source *source) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (rows[i]->is(source))
      return rows[i];
  return NULL;
}

neo_status neo_image_check(neo_ctx *ctx, int64_t width, int64_t height) {
  if (width < 1 || height < 1 || width > NEO_IMAGE_MAX_SIDE || height > NEO_IMAGE_MAX_SIDE ||
      width * height > NEO_IMAGE_MAX_PIXELS)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "a picture of %" PRId64 " x %" PRId64 " pixels (sides up to %d, %" PRId64
                    " pixels)",
                    width, height, NEO_IMAGE_MAX_SIDE, NEO_IMAGE_MAX_PIXELS);
  return NEO_OK;
}

neo_status neo_image_fits(neo_ctx *ctx, const neo_image_target *target, int64_t width,
                          int64_t height) {
  NEO_TRY(neo_image_check(ctx, width, height));
  if (width != target->width || height != target->height)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "the picture is %" PRId64 " wide and %" PRId64 " high, %" PRId64 " and %" PRId64
                    " expected",
                    width, height, target->width, target->height);
  return NEO_OK;
}

void neo_image_put(const neo_image_target *target, int64_t y, const neo_image_row *row) {
  bool grey = target->format == NEO_IMAGE_GREY, bgr = target->format == NEO_IMAGE_BGR;
  uint8_t *to = target->pixels + y * target->width * (grey ? 1 : 3);
  const uint8_t *from = row->at;
  for (int64_t x = 0; x < target->width; x++, from += row->step) {
    uint32_t red = from[row->red], green = from[row->green], blue = from[row->blue];
    if (grey) {
      *to++ = (uint8_t)((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16);
      continue;
    }
    to[0] = (uint8_t)(bgr ? blue : red);
    to[1] = (uint8_t)green;
    to[2] = (uint8_t)(bgr ? red : blue);
    to += 3;
  }
}

static neo_status find(neo_ctx *ctx, const neo_image_source *source, const neo_codec **out) {
  *out = neo_image_codec_find(source);
  if (*out)
    return NEO_OK;
  return neo_fail(ctx, NEO_UNSUPPORTED,
                  "%zu bytes that are no JPEG, JPEG 2000, PNG, TIFF, WebP, BMP or PNM",
                  source->size);
}

/* Says which format complains. */
static int finish(const neo_ctx *ctx, neo_status status, const neo_codec *codec, char *error) {
  if (status != NEO_OK)
    snprintf(error, NEO_IMAGE_ERROR_BYTES, "%s%s%.200s", codec ? codec->name : "",
             codec ? ": " : "", ctx->message);
  return (int)status;
}

static int image_size(const neo_image_source *source, int64_t *width, int64_t *height,
                      char *error) {
  neo_ctx ctx;
  const neo_codec *codec = NULL;
  int64_t w = 0, h = 0;
  neo_ctx_init(&ctx, 0);
  neo_status status = find(&ctx, source, &codec);
  if (status == NEO_OK)
    status = codec->size(&ctx, source, &w, &h);
  if (status == NEO_OK)
    status = neo_image_check(&ctx, w, h);
  if (status == NEO_OK) {
    *width = w;
    *height = h;
  }
  return finish(&ctx, status, codec, error);
}

static int image_decode(const neo_image_source *source, const neo_image_target *target,
                        char *error) {
  neo_ctx ctx;
  const neo_codec *codec = NULL;
  neo_ctx_init(&ctx, 0);
  neo_status status = find(&ctx, source, &codec);
  if (status == NEO_OK)
    status = codec->decode(&ctx, source, target);
  return finish(&ctx, status, codec, error);
}

const neo_image_decoder neo_rt_image_decoder = {NEO_IMAGE_VERSION, image_size, image_decode};
