/* PNG, by libpng's simplified interface. Samples of 16 bits are rounded to 8, transparency is
 * dropped, palettes and grey become colours. */
#include "image/codec.h"

#include <png.h>
#include <string.h>

static bool is_png(const neo_image_source *source) {
  return neo_image_begins(source, "\x89PNG\r\n\x1a\n", 8);
}

static neo_status png_failed(neo_ctx *ctx, png_image *image) {
  neo_status status = neo_fail(ctx, NEO_BAD_INPUT, "%.63s", image->message);
  png_image_free(image);
  return status;
}

static neo_status begin(neo_ctx *ctx, const neo_image_source *source, png_image *image) {
  memset(image, 0, sizeof *image);
  image->version = PNG_IMAGE_VERSION;
  return png_image_begin_read_from_memory(image, source->bytes, source->size)
             ? NEO_OK
             : png_failed(ctx, image);
}

static neo_status png_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                           int64_t *height) {
  png_image image;
  NEO_TRY(begin(ctx, source, &image));
  *width = image.width;
  *height = image.height;
  png_image_free(&image);
  return NEO_OK;
}

static neo_status png_decode(neo_ctx *ctx, const neo_image_source *source,
                             const neo_image_target *target) {
  png_image image;
  NEO_TRY(begin(ctx, source, &image));
  neo_status status = neo_image_fits(ctx, target, image.width, image.height);
  uint8_t *pixels = NULL;
  if (status == NEO_OK) {
    image.format = PNG_FORMAT_RGBA;
    image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    pixels = neo_alloc(ctx, 4 * (size_t)image.width * image.height);
    if (!pixels)
      status = neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  }
  if (status != NEO_OK)
    png_image_free(&image);
  else if (!png_image_finish_read(&image, NULL, pixels, 0, NULL))
    status = png_failed(ctx, &image);
  for (int64_t y = 0; status == NEO_OK && y < target->height; y++)
    neo_image_put(target, y, &(neo_image_row){pixels + 4 * y * target->width, 4, 0, 1, 2});
  neo_free(ctx, pixels);
  return status;
}

const neo_codec neo_codec_png = {"png", is_png, png_size, png_decode};
