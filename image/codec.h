/* image/codec.h: what the decoders share. The rest of Neo sees base/image.h only.
 *
 * A codec is a row of codecs.def and a file codec_NAME.c. Its functions get bytes that its `is` has
 * accepted, and check everything else themselves. */
#ifndef NEO_IMAGE_CODEC_H
#define NEO_IMAGE_CODEC_H

#include "base/image.h"

typedef struct neo_codec {
  const char *name;
  bool (*is)(const neo_image_source *source); /* by its first bytes */
  neo_status (*size)(neo_ctx *ctx, const neo_image_source *source, int64_t *width, int64_t *height);
  neo_status (*decode)(neo_ctx *ctx, const neo_image_source *source,
                       const neo_image_target *target);
} neo_codec;

/* A picture of this size may be looked at: sides of 1 to NEO_IMAGE_MAX_SIDE, not too many pixels.
 */
neo_status neo_image_check(neo_ctx *ctx, int64_t width, int64_t height);
/* It has the target's size; to be asked before memory is taken for its pixels. */
neo_status neo_image_fits(neo_ctx *ctx, const neo_image_target *target, int64_t width,
                          int64_t height);

/* Decoded samples of one row: pixel x has its red at at[x * step + red] and so on. */
typedef struct neo_image_row {
  const uint8_t *at;
  int step, red, green, blue;
} neo_image_row;
void neo_image_put(const neo_image_target *target, int64_t y, const neo_image_row *row);

bool neo_image_begins(const neo_image_source *source, const char *text, size_t size);

/* For tests and the fuzz target: of codecs.def, one by one. */
const neo_codec *neo_image_codec_find(const neo_image_source *source); /* NULL: none */

/* The library's functions (base/image.h). */
extern const neo_image_decoder neo_rt_image_decoder;

#endif
