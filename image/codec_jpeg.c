/* JPEG, by libjpeg-turbo's TurboJPEG interface: the accurate inverse transform and the smooth
 * upsampling of chroma that ONNX's ImageDecoder asks for. */
#include "image/codec.h"

#include <string.h>
#include <turbojpeg.h>

static bool is_jpeg(const neo_image_source *source) {
  return neo_image_begins(source, "\xff\xd8\xff", 3);
}

static neo_status jpeg_fail(neo_ctx *ctx, tjhandle handle) {
  return neo_fail(ctx, NEO_BAD_INPUT, "%.180s", tjGetErrorStr2(handle));
}

static neo_status header(neo_ctx *ctx, tjhandle handle, const neo_image_source *source,
                         int64_t *width, int64_t *height) {
  int w = 0, h = 0, sampling = 0, space = 0;
  if (tjDecompressHeader3(handle, source->bytes, (unsigned long)source->size, &w, &h, &sampling,
                          &space))
    return jpeg_fail(ctx, handle);
  if (space == TJCS_CMYK || space == TJCS_YCCK)
    return neo_fail(ctx, NEO_UNSUPPORTED, "its colours are CMYK, not RGB");
  *width = w;
  *height = h;
  return NEO_OK;
}

static neo_status jpeg_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                            int64_t *height) {
  tjhandle handle = tjInitDecompress();
  if (!handle)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  neo_status status = header(ctx, handle, source, width, height);
  tjDestroy(handle);
  return status;
}

/* A picture that ends early is an error; stray bytes between its parts are not. */
static neo_status decompress(neo_ctx *ctx, tjhandle handle, const neo_image_source *source,
                             const neo_image_target *target, uint8_t *rgb) {
  int w = (int)target->width, h = (int)target->height;
  int flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;
  int failed = tjDecompress2(handle, source->bytes, (unsigned long)source->size, rgb, w, 3 * w, h,
                             TJPF_RGB, flags);
  bool harmless = tjGetErrorCode(handle) == TJERR_WARNING &&
                  strstr(tjGetErrorStr2(handle), "extraneous bytes") != NULL;
  if (failed && !harmless)
    return jpeg_fail(ctx, handle);
  for (int64_t y = 0; y < h; y++)
    neo_image_put(target, y, &(neo_image_row){rgb + 3 * y * w, 3, 0, 1, 2});
  return NEO_OK;
}

static neo_status jpeg_decode(neo_ctx *ctx, const neo_image_source *source,
                              const neo_image_target *target) {
  int64_t width = 0, height = 0;
  uint8_t *rgb = NULL;
  tjhandle handle = tjInitDecompress();
  if (!handle)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  neo_status status = header(ctx, handle, source, &width, &height);
  if (status == NEO_OK)
    status = neo_image_fits(ctx, target, width, height);
  if (status == NEO_OK) {
    rgb = neo_alloc(ctx, 3 * (size_t)(width * height));
    status = rgb ? decompress(ctx, handle, source, target, rgb)
                 : neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  }
  neo_free(ctx, rgb);
  tjDestroy(handle);
  return status;
}

const neo_codec neo_codec_jpeg = {"jpeg", is_jpeg, jpeg_size, jpeg_decode};
