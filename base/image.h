/* base/image.h: pictures out of encoded bytes (JPEG, JPEG 2000, PNG, TIFF, WebP, BMP, PNM).
 *
 * The decoders live in a shared library of their own, libneo_rt_image.so (folder image/), so that
 * libneo_rt needs no image library: it is loaded when an operator first wants a picture. Both sides
 * of that line include this file. Decoding allocates; every thread may decode at the same time. */
#ifndef NEO_BASE_IMAGE_H
#define NEO_BASE_IMAGE_H

#include "base/core.h"

/* Order of a pixel's bytes; grey is (19595 r + 38470 g + 7471 b + 32768) / 65536, rounded down. */
enum { NEO_IMAGE_RGB, NEO_IMAGE_BGR, NEO_IMAGE_GREY, NEO_IMAGE_FORMATS };

/* A larger picture is refused before anything is allocated for it. */
#define NEO_IMAGE_MAX_SIDE 65535
#define NEO_IMAGE_MAX_PIXELS ((int64_t)1 << 28)

enum { NEO_IMAGE_ERROR_BYTES = 256 };

/* Encoded bytes: what may lie behind the picture (a buffer filled up with zeros) is ignored. */
typedef struct neo_image_source {
  const uint8_t *bytes;
  size_t size;
} neo_image_source;

typedef struct neo_image_target {
  int format;
  int64_t width, height; /* of the memory; a picture of another size is an error */
  uint8_t *pixels;       /* height rows of width pixels of 3 bytes (grey: 1), dense */
} neo_image_target;

/* What libneo_rt_image.so exports, as NEO_IMAGE_SYMBOL. Functions return 0, or another number and
 * a text without a newline in error[NEO_IMAGE_ERROR_BYTES]. */
#define NEO_IMAGE_SYMBOL "neo_rt_image_decoder"
#define NEO_IMAGE_VERSION 1
typedef struct neo_image_decoder {
  uint32_t version;
  /* Of the picture, from its header alone. */
  int (*size)(const neo_image_source *source, int64_t *width, int64_t *height, char *error);
  /* pixels are undefined after a failure. */
  int (*decode)(const neo_image_source *source, const neo_image_target *target, char *error);
} neo_image_decoder;

/* The loaded library. */
typedef struct neo_image_library {
  void *handle;
  const neo_image_decoder *decoder;
} neo_image_library;

/* Looks beside the program or library that contains Neo, in ../lib of that, then where the dynamic
 * linker looks. NEO_UNSUPPORTED, with what was tried, if it is nowhere. */
neo_status neo_image_open(neo_ctx *ctx, neo_image_library *out);
void neo_image_close(neo_image_library *library); /* zero: nothing */

#endif
