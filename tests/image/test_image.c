/* tests/image/test_image.c: pictures of 13 x 10 pixels that Pillow wrote, or that were put together
 * by hand, against the pixels that Pillow reads (tests/data/image/NAME and NAME.rgb). */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

enum { W = 13, H = 10, MAX_FILE = 4096 };

typedef struct picture {
  uint8_t bytes[MAX_FILE];
  size_t size;
  uint8_t rgb[3 * W * H];
} picture;

static size_t read_file(const char *name, const char *suffix, uint8_t *out, size_t most) {
  char path[512];
  snprintf(path, sizeof path, NEO_SOURCE_DIR "/tests/data/image/%s%s", name, suffix);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t n = fread(out, 1, most, file);
  fclose(file);
  return n;
}

static void load(const char *name, picture *p) {
  p->size = read_file(name, "", p->bytes, sizeof p->bytes);
  assert_true(p->size > 0 && p->size < MAX_FILE);
  assert_int_equal(read_file(name, ".rgb", p->rgb, sizeof p->rgb), sizeof p->rgb);
}

static const char *const every[] = {"baseline_420.jpg",
                                    "progressive_444.jpg",
                                    "grey.jpg",
                                    "plain.png",
                                    "palette.png",
                                    "alpha.png",
                                    "bits1.png",
                                    "bits16.png",
                                    "lossy.webp",
                                    "lossless.webp",
                                    "raw.tif",
                                    "lzw.tif",
                                    "grey.tif",
                                    "lossless.jp2",
                                    "grey.j2k",
                                    "bits24.bmp",
                                    "palette8.bmp",
                                    "bits1.bmp",
                                    "topdown32.bmp",
                                    "mask565.bmp",
                                    "rle8.bmp",
                                    "rle4.bmp",
                                    "core.bmp",
                                    "colour.ppm",
                                    "grey.pgm",
                                    "bits.pbm",
                                    "text.pgm",
                                    "text.ppm",
                                    "text.pbm",
                                    "wide.pgm",
                                    "deflate_palette.tif",
                                    "alpha.tif"};

static void equal_within(const char *name, const uint8_t *got, const uint8_t *want, size_t n) {
  bool lossy = strstr(name, ".jpg") || strcmp(name, "lossy.webp") == 0;
  int most = lossy ? 2 : strcmp(name, "text.pgm") == 0;
  for (size_t i = 0; i < n; i++)
    if (abs(got[i] - want[i]) > most)
      fail_msg("%s: byte %zu is %d, %d expected", name, i, got[i], want[i]);
}

static void decode_one(const char *name) {
  picture p;
  int64_t width = 0, height = 0;
  char error[NEO_IMAGE_ERROR_BYTES] = "";
  uint8_t got[3 * W * H], swapped[3 * W * H];
  load(name, &p);
  neo_image_source source = {p.bytes, p.size};
  if (neo_rt_image_decoder.size(&source, &width, &height, error))
    fail_msg("%s: %s", name, error);
  assert_true(width == W && height == H);
  for (int format = 0; format < NEO_IMAGE_FORMATS; format++) {
    neo_image_target target = {format, W, H, format == NEO_IMAGE_BGR ? swapped : got};
    memset(target.pixels, 0xaa, 3 * W * H);
    if (neo_rt_image_decoder.decode(&source, &target, error))
      fail_msg("%s: %s", name, error);
    if (format == NEO_IMAGE_RGB)
      equal_within(name, got, p.rgb, sizeof got);
    for (int i = 0; format == NEO_IMAGE_BGR && i < 3 * W * H; i++)
      assert_int_equal(swapped[i / 3 * 3 + 2 - i % 3], got[i]);
    for (int i = 0; format == NEO_IMAGE_GREY && i < W * H; i++) {
      const uint8_t *bgr = swapped + 3 * i;
      double grey = 0.299 * bgr[2] + 0.587 * bgr[1] + 0.114 * bgr[0];
      assert_true(got[i] >= grey - 0.51 && got[i] <= grey + 0.51);
    }
  }
}

static void formats_decode(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(every); i++)
    decode_one(every[i]);
}

/* A buffer that is larger than the file. */
static void zeros_behind_are_ignored(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(every); i++) {
    picture p;
    char error[NEO_IMAGE_ERROR_BYTES] = "";
    uint8_t got[3 * W * H];
    load(every[i], &p);
    memset(p.bytes + p.size, 0, MAX_FILE - p.size);
    neo_image_source source = {p.bytes, MAX_FILE};
    neo_image_target target = {NEO_IMAGE_RGB, W, H, got};
    if (neo_rt_image_decoder.decode(&source, &target, error))
      fail_msg("%s: %s", every[i], error);
    equal_within(every[i], got, p.rgb, sizeof got);
  }
}

/* Ninety bytes of 255 x 257 tiles of one pixel took 800 MB, and those of many components more. */
static void tiles_are_counted_first(void **state) {
  (void)state;
  static const uint8_t box[] = {0,    0,    0, 12, 'j', 'P', ' ', ' ', '\r', '\n',
                                0x87, '\n', 0, 0,  0,   0,   'j', 'p', '2',  'c'};
  static const uint8_t start[] = {0xff, 0x4f, 0xff, 0x51, 0, 41};
  uint8_t bytes[128] = {0};
  for (int many = 0; many < 2; many++)
    for (int file = 0; file < 2; file++) {
      char error[NEO_IMAGE_ERROR_BYTES] = "";
      int64_t width, height;
      size_t head = file ? sizeof box : 0;
      uint8_t *at = bytes + head;
      memcpy(bytes, box, head);
      memcpy(at, start, sizeof start);
      at[11] = 255;
      at[14] = 1;
      at[15] = 1;
      at[27] = at[31] = many ? 128 : 1;
      at[40] = many ? 7 : 0;
      at[41] = many ? 208 : 1;
      neo_image_source source = {bytes, head + 90};
      assert_int_equal(neo_rt_image_decoder.size(&source, &width, &height, error), NEO_UNSUPPORTED);
      assert_string_equal(error, many ? "jpeg 2000: 2000 components, up to 4 expected"
                                      : "jpeg 2000: more than 4096 tiles");
    }
}

/* Cut anywhere it is an error, or (a cut behind the last pixel) the same picture. */
static void cut_files_are_refused(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(every); i++) {
    picture p;
    uint8_t got[3 * W * H];
    int refused = 0;
    load(every[i], &p);
    for (size_t size = 0; size < p.size; size++) {
      char error[NEO_IMAGE_ERROR_BYTES] = "";
      uint8_t *exact = malloc(size + 1);
      assert_non_null(exact);
      memcpy(exact, p.bytes, size);
      neo_image_source source = {exact, size};
      neo_image_target target = {NEO_IMAGE_RGB, W, H, got};
      if (neo_rt_image_decoder.decode(&source, &target, error)) {
        assert_true(error[0] != 0 && !strchr(error, '\n'));
        refused++;
      }
      free(exact);
    }
    assert_true(refused > (int)p.size / 2 || strstr(every[i], ".tif") || strstr(every[i], ".j"));
  }
}

static void other_sizes_are_refused(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(every); i++) {
    picture p;
    char error[NEO_IMAGE_ERROR_BYTES] = "";
    uint8_t got[3 * W * H];
    load(every[i], &p);
    neo_image_source source = {p.bytes, p.size};
    neo_image_target target = {NEO_IMAGE_RGB, W - 1, H, got};
    assert_int_not_equal(neo_rt_image_decoder.decode(&source, &target, error), 0);
    assert_non_null(strstr(error, "13 wide and 10 high, 12 and 10 expected"));
  }
}

static void refused(const void *bytes, size_t size, const char *why) {
  char error[NEO_IMAGE_ERROR_BYTES] = "";
  int64_t width = 0, height = 0;
  neo_image_source source = {bytes, size};
  assert_int_not_equal(neo_rt_image_decoder.size(&source, &width, &height, error), 0);
  if (!strstr(error, why))
    fail_msg("'%s', not '%s'", error, why);
}

/* What is huge, or not a picture, is refused by its header. */
static void bombs_and_strangers_are_refused(void **state) {
  (void)state;
  picture p;
  refused("P5 60000 60000 255\n", 19, "pnm: a picture of 60000 x 60000 pixels");
  refused("P5 4294967297 1 255\n", 20, "pnm: its width is not a number up to 65535");
  refused("P5 0 1 255\n", 11, "pnm: a picture of 0 x 1");
  refused("GIF89a", 6, "6 bytes that are no JPEG");
  refused("", 0, "0 bytes");
  load("plain.png", &p);
  memcpy(p.bytes + 16, "\x7f\xff\xff\xff\x7f\xff\xff\xff", 8);
  refused(p.bytes, p.size, "png: ");
  load("bits24.bmp", &p);
  memcpy(p.bytes + 18, "\x00\x00\x00\x80\x00\x00\x00\x80", 8);
  refused(p.bytes, p.size, "bmp: a picture of -2147483648 x 2147483648");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formats_decode),          cmocka_unit_test(zeros_behind_are_ignored),
      cmocka_unit_test(tiles_are_counted_first), cmocka_unit_test(cut_files_are_refused),
      cmocka_unit_test(other_sizes_are_refused), cmocka_unit_test(bombs_and_strangers_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
