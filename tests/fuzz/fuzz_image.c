/* Fuzz target: pictures in the formats that Neo reads itself, BMP and PNM. Whatever size the header
 * claims, at most 4 MB of pixels are made; a failure has a text. */
#include "image/codec.h"
#include "tests/fuzz/fuzz_target.h"

enum { MOST = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *exact = malloc(size + 1), *pixels = NULL;
  int64_t width = 0, height = 0;
  char error[NEO_IMAGE_ERROR_BYTES] = "";
  neo_assert(exact);
  if (size)
    memcpy(exact, data, size);
  neo_image_source source = {exact, size};
  const neo_codec *codec = neo_image_codec_find(&source);
  bool ours = codec && (strcmp(codec->name, "bmp") == 0 || strcmp(codec->name, "pnm") == 0);
  if (ours && neo_rt_image_decoder.size(&source, &width, &height, error) == 0 &&
      width * height * 3 <= MOST) {
    pixels = malloc((size_t)(width * height * 3));
    neo_assert(pixels);
    neo_image_target target = {(int)(size % NEO_IMAGE_FORMATS), width, height, pixels};
    if (neo_rt_image_decoder.decode(&source, &target, error))
      neo_assert(error[0] != '\0');
  } else if (ours && width == 0) {
    neo_assert(error[0] != '\0');
  }
  free(pixels);
  free(exact);
  return 0;
}
