/* In the place of base/core/image_library.c where the decoders of pictures are not built. */
#include "base/image.h"

neo_status neo_image_open(neo_ctx *ctx, neo_image_library *out) {
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED, "pictures are not decoded on this system");
}

void neo_image_close(neo_image_library *library) {
  (void)library;
}
