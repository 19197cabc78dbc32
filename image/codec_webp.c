/* WebP, lossy and lossless, by libwebp. Transparency is dropped; animations are refused. */
#include "image/codec.h"

#include <string.h>
#include <webp/decode.h>

static bool is_webp(const neo_image_source *source) {
  return source->size >= 16 && neo_image_begins(source, "RIFF", 4) &&
         memcmp(source->bytes + 8, "WEBPVP8", 7) == 0;
}

static neo_status webp_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                            int64_t *height) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(source->bytes, source->size, &features) != VP8_STATUS_OK)
    return neo_fail(ctx, NEO_BAD_INPUT, "its header is damaged");
  if (features.has_animation)
    return neo_fail(ctx, NEO_UNSUPPORTED, "it is an animation");
  *width = features.width;
  *height = features.height;
  return NEO_OK;
}

static neo_status webp_decode(neo_ctx *ctx, const neo_image_source *source,
                              const neo_image_target *target) {
  int64_t width = 0, height = 0;
  NEO_TRY(webp_size(ctx, source, &width, &height));
  NEO_TRY(neo_image_fits(ctx, target, width, height));
  size_t bytes = 3 * (size_t)(width * height);
  uint8_t *rgb = neo_alloc(ctx, bytes);
  if (!rgb)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  neo_status status = NEO_OK;
  if (!WebPDecodeRGBInto(source->bytes, source->size, rgb, bytes, 3 * (int)width))
    status = neo_fail(ctx, NEO_BAD_INPUT, "its data is damaged or ends early");
  for (int64_t y = 0; status == NEO_OK && y < height; y++)
    neo_image_put(target, y, &(neo_image_row){rgb + 3 * y * width, 3, 0, 1, 2});
  neo_free(ctx, rgb);
  return status;
}

const neo_codec neo_codec_webp = {"webp", is_webp, webp_size, webp_decode};
