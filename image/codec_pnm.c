/* PNM: PBM (P1, P4), PGM (P2, P5) and PPM (P3, P6), samples up to 65535.
 *
 * Layout: "P" and a digit; width, height and (not PBM) the largest sample as decimal text between
 * blanks and comments (# to the end of the line); one blank; then samples: P1 to P3 as text, P4
 * bits (1 is black), rows filled up to bytes, P5 and P6 bytes, two of them (big endian) above 255.
 */
#include "image/codec.h"

#include <string.h>

typedef struct pnm {
  neo_ctx *ctx;
  const uint8_t *at, *end;
  int kind; /* 1 to 6 */
  int64_t width, height, most;
} pnm;

static bool is_pnm(const neo_image_source *source) {
  return source->size >= 3 && source->bytes[0] == 'P' && source->bytes[1] >= '1' &&
         source->bytes[1] <= '6';
}

static bool is_blank(uint8_t c) {
  return c == ' ' || (c >= 9 && c <= 13);
}

static void skip_blanks(pnm *p) {
  while (p->at < p->end && (is_blank(*p->at) || *p->at == '#')) {
    if (*p->at == '#')
      while (p->at < p->end && *p->at != '\n' && *p->at != '\r')
        p->at++;
    else
      p->at++;
  }
}

static neo_status read_number(pnm *p, const char *what, int64_t most, int64_t *out) {
  skip_blanks(p);
  const uint8_t *first = p->at;
  int64_t v = 0;
  while (p->at < p->end && *p->at >= '0' && *p->at <= '9' && v <= most)
    v = v * 10 + (*p->at++ - '0');
  if (p->at == first || v > most)
    return neo_fail(p->ctx, NEO_BAD_INPUT, "%s is not a number up to %lld", what, (long long)most);
  *out = v;
  return NEO_OK;
}

/* Bits of P1 need no blanks between them. */
static neo_status read_bit(pnm *p, int64_t *out) {
  skip_blanks(p);
  if (p->at == p->end || (*p->at != '0' && *p->at != '1'))
    return neo_fail(p->ctx, NEO_BAD_INPUT, "a pixel is not 0 or 1");
  *out = *p->at++ - '0';
  return NEO_OK;
}

static neo_status read_header(neo_ctx *ctx, const neo_image_source *source, pnm *p) {
  *p = (pnm){ctx, source->bytes + 2, source->bytes + source->size, source->bytes[1] - '0', 0, 0, 1};
  NEO_TRY(read_number(p, "its width", NEO_IMAGE_MAX_SIDE, &p->width));
  NEO_TRY(read_number(p, "its height", NEO_IMAGE_MAX_SIDE, &p->height));
  if (p->kind != 1 && p->kind != 4)
    NEO_TRY(read_number(p, "its largest sample", 65535, &p->most));
  if (p->most < 1 || p->at == p->end || !is_blank(*p->at++))
    return neo_fail(ctx, NEO_BAD_INPUT, "its header is damaged");
  return neo_image_check(ctx, p->width, p->height);
}

static neo_status pnm_size(neo_ctx *ctx, const neo_image_source *source, int64_t *width,
                           int64_t *height) {
  pnm p;
  NEO_TRY(read_header(ctx, source, &p));
  *width = p.width;
  *height = p.height;
  return NEO_OK;
}

static uint8_t scaled(const pnm *p, int64_t v) {
  v = v > p->most ? p->most : v;
  return (uint8_t)(p->most == 255 ? v : (v * 255 + p->most / 2) / p->most);
}

static neo_status text_row(pnm *p, int64_t n, uint8_t *out) {
  for (int64_t i = 0; i < n; i++) {
    int64_t v = 0;
    NEO_TRY(p->kind == 1 ? read_bit(p, &v) : read_number(p, "a sample", 65535, &v));
    out[i] = p->kind == 1 ? (v ? 0 : 255) : scaled(p, v);
  }
  return NEO_OK;
}

static neo_status binary_row(pnm *p, int64_t n, uint8_t *out) {
  int64_t wide = p->most > 255 ? 2 : 1, bytes = p->kind == 4 ? (n + 7) / 8 : n * wide;
  if (p->end - p->at < bytes)
    return neo_fail(p->ctx, NEO_BAD_INPUT, "it ends early");
  for (int64_t i = 0; i < n; i++) {
    if (p->kind == 4)
      out[i] = p->at[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
    else
      out[i] = scaled(p, wide == 1 ? p->at[i] : p->at[2 * i] << 8 | p->at[2 * i + 1]);
  }
  p->at += bytes;
  return NEO_OK;
}

static neo_status pnm_decode(neo_ctx *ctx, const neo_image_source *source,
                             const neo_image_target *target) {
  pnm p;
  NEO_TRY(read_header(ctx, source, &p));
  NEO_TRY(neo_image_fits(ctx, target, p.width, p.height));
  bool colour = p.kind == 3 || p.kind == 6;
  int64_t n = p.width * (colour ? 3 : 1);
  uint8_t *row = neo_alloc(ctx, (size_t)n);
  if (!row)
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  neo_status status = NEO_OK;
  for (int64_t y = 0; status == NEO_OK && y < p.height; y++) {
    status = p.kind <= 3 ? text_row(&p, n, row) : binary_row(&p, n, row);
    if (status == NEO_OK)
      neo_image_put(target, y,
                    &(neo_image_row){row, colour ? 3 : 1, 0, colour ? 1 : 0, colour ? 2 : 0});
  }
  neo_free(ctx, row);
  return status;
}

const neo_codec neo_codec_pnm = {"pnm", is_pnm, pnm_size, pnm_decode};
