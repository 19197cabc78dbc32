/* ir/npy.c: NumPy's .npy files (numpy.lib.format), versions 1.0 to 3.0.
 *
 *   offset 0  6  "\x93NUMPY"
 *          6  1  major version, 7 1 minor version
 *          8  2  (version 1) or 4 (version 2, 3): little-endian length of the header text
 *             n  a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
 *             -  the elements, C order (or Fortran order: transposed on reading)
 *
 * Written: version 1.0, little-endian, C order, header padded with blanks so that data starts at a
 * multiple of 64. Big-endian files are swapped on reading. bfloat16 and narrow types have no descr:
 * they are written as <u2, |u1 or |i1 and a text file PATH.dtype beside it has numpy's name of the
 * type, "bfloat16" or "float8_e4m3fn". */
#include "ir/tensor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct header {
  neo_dtype dtype;
  int64_t units; /* of a string: characters of 4 bytes (U) or bytes (S); else 0 */
  bool wide;
  bool swap, fortran;
  neo_shape shape;
} header;

static const struct {
  const char *descr;
  neo_dtype dtype;
} descrs[] = {
    {"f4", NEO_F32}, {"f8", NEO_F64}, {"f2", NEO_F16}, {"i1", NEO_I8},
    {"i2", NEO_I16}, {"i4", NEO_I32}, {"i8", NEO_I64}, {"u1", NEO_U8},
    {"u2", NEO_U16}, {"u4", NEO_U32}, {"u8", NEO_U64}, {"b1", NEO_BOOL},
};

static neo_status bad(neo_ctx *ctx, const char *path, const char *what) {
  return neo_fail(ctx, NEO_BAD_INPUT, "npy: %s: %s", path, what);
}

/* After the key's colon, or NULL. */
static const char *find_key(const char *text, const char *key) {
  char quoted[32];
  snprintf(quoted, sizeof quoted, "'%s'", key);
  const char *p = strstr(text, quoted);
  if (!p)
    return NULL;
  p += strlen(quoted);
  while (*p == ' ' || *p == ':')
    p++;
  return p;
}

/* '<U12': strings of 12 characters at most. */
static neo_status parse_text_descr(neo_ctx *ctx, const char *path, const char *p, header *h) {
  neo_scan scan;
  neo_scan_init(&scan, p + 3);
  h->dtype = NEO_STR;
  h->wide = p[2] == 'U';
  h->swap = h->wide && p[1] == '>';
  if (!neo_scan_int(&scan, &h->units) || h->units < 0 || h->units > 1 << 24)
    return neo_fail(ctx, NEO_BAD_INPUT, "npy: %s: element type %.16s", path, p);
  return NEO_OK;
}

static neo_status parse_descr(neo_ctx *ctx, const char *path, const char *text, header *h) {
  const char *p = find_key(text, "descr");
  if (!p || *p != '\'')
    return bad(ctx, path, "the header has no plain 'descr' (structured types are not supported)");
  const char *end = strchr(p + 1, '\'');
  if (end && end - p > 3 && (p[2] == 'U' || p[2] == 'S'))
    return parse_text_descr(ctx, path, p, h);
  if (!end || end - p != 4)
    return neo_fail(ctx, NEO_UNSUPPORTED, "npy: %s: element type %.16s is not supported", path, p);
  h->swap = p[1] == '>';
  for (int k = 0; k < NEO_COUNT(descrs); k++) {
    if (memcmp(p + 2, descrs[k].descr, 2) == 0) {
      h->dtype = descrs[k].dtype;
      return NEO_OK;
    }
  }
  return neo_fail(ctx, NEO_UNSUPPORTED, "npy: %s: element type %.4s is not supported", path, p + 1);
}

static neo_status parse_header(neo_ctx *ctx, const char *path, const char *text, header *h) {
  NEO_TRY(parse_descr(ctx, path, text, h));
  const char *p = find_key(text, "fortran_order");
  if (!p)
    return bad(ctx, path, "the header has no 'fortran_order'");
  h->fortran = strncmp(p, "True", 4) == 0;
  p = find_key(text, "shape");
  if (!p || *p != '(')
    return bad(ctx, path, "the header has no 'shape'");
  neo_scan scan;
  neo_scan_init(&scan, p + 1);
  h->shape = (neo_shape){0};
  while (!neo_scan_token(&scan, ")")) {
    int64_t dim;
    if (!neo_scan_int(&scan, &dim) || dim < 0)
      return bad(ctx, path, "the shape is not a tuple of sizes");
    if (h->shape.rank == NEO_MAX_RANK)
      return bad(ctx, path, "more than 8 dimensions");
    h->shape.dim[h->shape.rank++] = dim;
    neo_scan_token(&scan, "L");
    neo_scan_token(&scan, ",");
  }
  return NEO_OK;
}

static void swap_bytes(neo_tensor *t) {
  size_t size = neo_dtype_size(t->dtype);
  uint8_t *p = t->data;
  for (size_t at = 0; at + size <= t->size; at += size) {
    for (size_t k = 0; k < size / 2; k++) {
      uint8_t x = p[at + k];
      p[at + k] = p[at + size - 1 - k];
      p[at + size - 1 - k] = x;
    }
  }
}

static neo_status from_fortran(neo_ctx *ctx, neo_tensor *t) {
  neo_tensor c;
  NEO_TRY(neo_tensor_create(ctx, t->dtype, &t->shape, &c));
  size_t size = neo_dtype_size(t->dtype), n = t->size / size;
  int64_t index[NEO_MAX_RANK] = {0};
  for (size_t at = 0; at < n; at++) {
    size_t from = 0;
    for (int d = t->shape.rank - 1; d >= 0; d--)
      from = from * (size_t)t->shape.dim[d] + (size_t)index[d];
    memcpy((char *)c.data + at * size, (char *)t->data + from * size, size);
    for (int d = t->shape.rank - 1; d >= 0 && ++index[d] == t->shape.dim[d]; d--)
      index[d] = 0;
  }
  neo_tensor_free(ctx, t);
  *t = c;
  return NEO_OK;
}

static neo_status read_header(neo_ctx *ctx, const char *path, FILE *file, header *h) {
  uint8_t fixed[12];
  if (fread(fixed, 1, 10, file) != 10 || memcmp(fixed, "\x93NUMPY", 6) != 0)
    return bad(ctx, path, "not an .npy file");
  size_t length = (size_t)(fixed[8] | fixed[9] << 8);
  if (fixed[6] < 1 || fixed[6] > 3)
    return neo_fail(ctx, NEO_UNSUPPORTED, "npy: %s: format version %d, 1 to 3 supported", path,
                    fixed[6]);
  if (fixed[6] > 1) {
    if (fread(fixed + 10, 1, 2, file) != 2)
      return bad(ctx, path, "truncated header");
    length |= (size_t)fixed[10] << 16 | (size_t)fixed[11] << 24;
  }
  if (length > 1 << 16)
    return bad(ctx, path, "the header is longer than 65536 bytes");
  char *text = neo_alloc(ctx, length + 1);
  if (!text)
    return neo_fail(ctx, NEO_NO_MEMORY, "npy: %s: no memory for the header", path);
  neo_status s = fread(text, 1, length, file) == length ? parse_header(ctx, path, text, h)
                                                        : bad(ctx, path, "truncated header");
  neo_free(ctx, text);
  return s;
}

/* Types that npy cannot say, and numpy's names of them. */
static const struct {
  const char *name;
  neo_dtype dtype, stored;
} side[] = {
    {"bfloat16", NEO_BF16, NEO_U16},
    {"float8_e4m3fn", NEO_F8E4M3FN, NEO_U8},
    {"float8_e4m3fnuz", NEO_F8E4M3FNUZ, NEO_U8},
    {"float8_e5m2", NEO_F8E5M2, NEO_U8},
    {"float8_e5m2fnuz", NEO_F8E5M2FNUZ, NEO_U8},
    {"float8_e8m0fnu", NEO_F8E8M0, NEO_U8},
    {"float4_e2m1fn", NEO_F4E2M1, NEO_U8},
    {"int4", NEO_I4, NEO_I8},
    {"uint4", NEO_U4, NEO_U8},
    {"int2", NEO_I2, NEO_I8},
    {"uint2", NEO_U2, NEO_U8},
};

/* The text of PATH.dtype beside the data, if any. */
static void read_side_dtype(const char *path, neo_tensor *t) {
  neo_buf name = {0};
  neo_buf_printf(&name, "%s.dtype", path);
  bool may = t->dtype == NEO_U16 || t->dtype == NEO_U8 || t->dtype == NEO_I8;
  FILE *file = may && !name.failed ? fopen(name.data, "r") : NULL;
  neo_buf_fini(&name);
  if (!file)
    return;
  char text[32] = {0};
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  text[strcspn(text, "\r\n ")] = 0;
  for (int k = 0; k < NEO_COUNT(side); k++)
    if (side[k].stored == t->dtype && strcmp(side[k].name, text) == 0) {
      t->dtype = side[k].dtype;
      return;
    }
}

static size_t stored_size(const header *h) {
  return h->dtype == NEO_STR ? (size_t)h->units * (h->wide ? 4 : 1) : neo_dtype_size(h->dtype);
}

enum { MOST_EMPTY = 1 << 20 }; /* strings of no characters, which take no bytes in the file */

/* Guards against a small file that claims a huge shape, before anything is allocated. */
static neo_status check_file_size(neo_ctx *ctx, const char *path, FILE *file, const header *h) {
  int64_t n;
  size_t size;
  if (!neo_shape_elements(&h->shape, &n) || !neo_mul_size((size_t)n, stored_size(h), &size) ||
      (stored_size(h) == 0 && n > MOST_EMPTY))
    return bad(ctx, path, "the shape is too large");
  long at = ftell(file);
  if (at < 0 || fseek(file, 0, SEEK_END) != 0)
    return NEO_OK; /* a pipe: the read itself will tell */
  long end = ftell(file);
  fseek(file, at, SEEK_SET);
  if ((uint64_t)(end - at) < size)
    return neo_fail(ctx, NEO_BAD_INPUT, "npy: %s: %ld bytes of data, %zu expected", path, end - at,
                    size);
  return NEO_OK;
}

/* One character as UTF-8. */
static size_t put_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t k = n - 1; k > 0; k--, c >>= 6)
    out[k] = (char)(0x80 | (c & 63));
  out[0] = (char)((0xf00 >> n & 0xff) | c);
  return n;
}

static uint32_t unit_at(const header *h, const uint8_t *raw, int64_t i) {
  const uint8_t *p = raw + (h->wide ? 4 * i : i);
  if (!h->wide)
    return p[0];
  return h->swap
             ? (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24
             : (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Element i's text to `to`; S holds UTF-8 already. Returns its bytes with the zero. */
static size_t put_text(const header *h, const uint8_t *raw, int64_t i, char *to) {
  int64_t length = h->units;
  size_t n = 0;
  while (length > 0 && unit_at(h, raw, i * h->units + length - 1) == 0)
    length--;
  for (int64_t k = 0; k < length; k++) {
    uint32_t c = unit_at(h, raw, i * h->units + k);
    if (h->wide)
      n += put_utf8(to + n, c > 0x10ffff ? 0xfffd : c);
    else
      to[n++] = (char)c;
  }
  to[n] = 0;
  return n + 1;
}

/* Elements in front, their texts behind, in one block. */
static neo_status read_texts(neo_ctx *ctx, const char *path, FILE *file, const header *h,
                             neo_tensor *out) {
  int64_t n = 0;
  size_t bytes = stored_size(h), room;
  neo_shape_elements(&h->shape, &n); /* checked with the file's size */
  uint8_t *raw = neo_alloc(ctx, bytes * (size_t)n + 1);
  bool fits = neo_mul_size((size_t)n, (size_t)h->units * 4 + 1 + sizeof(char *), &room);
  char *data = fits && raw ? neo_aligned_alloc(ctx, room + 1) : NULL;
  neo_status s = NEO_OK;
  if (!data)
    s = neo_fail(ctx, NEO_NO_MEMORY, "npy: %s: no memory for %" PRId64 " strings", path, n);
  else if (fread(raw, 1, bytes * (size_t)n, file) != bytes * (size_t)n)
    s = bad(ctx, path, "truncated data");
  char *at = data ? data + (size_t)n * sizeof(char *) : NULL;
  for (int64_t i = 0; s == NEO_OK && i < n; i++) {
    ((const char **)(void *)data)[i] = at;
    at += put_text(h, raw, i, at);
  }
  neo_free(ctx, raw);
  if (s == NEO_OK)
    *out = (neo_tensor){NEO_STR, h->shape, data, (size_t)n * sizeof(char *)};
  else
    neo_aligned_free(ctx, data);
  return s;
}

neo_status neo_npy_read(neo_ctx *ctx, const char *path, neo_tensor *out) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return neo_fail(ctx, NEO_IO, "npy: %s: %s", path, strerror(errno));
  header h = {0};
  neo_tensor t = {0};
  neo_status s = read_header(ctx, path, file, &h);
  if (s == NEO_OK)
    s = check_file_size(ctx, path, file, &h);
  bool texts = h.dtype == NEO_STR;
  if (s == NEO_OK)
    s = texts ? read_texts(ctx, path, file, &h, &t) : neo_tensor_create(ctx, h.dtype, &h.shape, &t);
  if (s == NEO_OK && !texts && fread(t.data, 1, t.size, file) != t.size)
    s = bad(ctx, path, "truncated data");
  fclose(file);
  if (s == NEO_OK && h.swap && !texts)
    swap_bytes(&t);
  if (s == NEO_OK && h.fortran && texts)
    s = neo_fail(ctx, NEO_UNSUPPORTED, "npy: %s: strings in Fortran order", path);
  else if (s == NEO_OK && h.fortran)
    s = from_fortran(ctx, &t);
  if (s != NEO_OK) {
    neo_tensor_free(ctx, &t);
    return s;
  }
  read_side_dtype(path, &t);
  *out = t;
  return NEO_OK;
}

/* PATH.dtype says what npy cannot; one left from an earlier file is removed. */
static neo_status write_side_dtype(neo_ctx *ctx, const char *path, neo_dtype dtype) {
  neo_buf name = {0};
  const char *text = NULL;
  for (int k = 0; k < NEO_COUNT(side); k++)
    text = side[k].dtype == dtype ? side[k].name : text;
  neo_buf_printf(&name, "%s.dtype", path);
  if (!text) {
    if (!name.failed)
      remove(name.data);
    neo_buf_fini(&name);
    return NEO_OK;
  }
  FILE *file = name.failed ? NULL : fopen(name.data, "w");
  bool ok = file && fprintf(file, "%s\n", text) >= 0;
  if (file && fclose(file) != 0)
    ok = false;
  neo_buf_fini(&name);
  return ok ? NEO_OK
            : neo_fail(ctx, NEO_IO, "npy: %s.dtype: cannot write: %s", path, strerror(errno));
}

static neo_dtype stored_as(neo_dtype dtype) {
  for (int k = 0; k < NEO_COUNT(side); k++)
    if (side[k].dtype == dtype)
      return side[k].stored;
  return dtype;
}

static neo_status write_file(neo_ctx *ctx, const char *path, const char *descr,
                             const neo_tensor *tensor) {
  neo_buf text = {0};
  neo_buf_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int d = 0; d < tensor->shape.rank; d++)
    neo_buf_printf(&text, "%s%" PRId64 "%s", d ? ", " : "", tensor->shape.dim[d],
                   tensor->shape.rank == 1 ? "," : "");
  neo_buf_text(&text, "), }");
  while ((text.size + 11) % 64 != 0 && !text.failed)
    neo_buf_text(&text, " ");
  neo_buf_text(&text, "\n");
  neo_buf head = {0};
  neo_buf_append(&head, "\x93NUMPY\x01\x00", 8);
  neo_buf_u8(&head, (uint8_t)(text.size & 255));
  neo_buf_u8(&head, (uint8_t)(text.size >> 8));
  neo_buf_append(&head, text.data, text.size);
  bool memory = !text.failed && !head.failed;
  FILE *file = memory ? fopen(path, "wb") : NULL;
  bool ok = file && fwrite(head.data, 1, head.size, file) == head.size &&
            fwrite(tensor->data, 1, tensor->size, file) == tensor->size;
  if (file && fclose(file) != 0)
    ok = false;
  neo_buf_fini(&text);
  neo_buf_fini(&head);
  if (!memory)
    return neo_fail(ctx, NEO_NO_MEMORY, "npy: %s: no memory for the header", path);
  if (!ok)
    return neo_fail(ctx, NEO_IO, "npy: %s: cannot write: %s", path, strerror(errno));
  return NEO_OK;
}

/* The next character of UTF-8 and its bytes. */
static uint32_t take_utf8(const char **text) {
  const uint8_t *p = (const uint8_t *)*text;
  int more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
  uint32_t c = more ? p[0] & (63u >> more) : p[0];
  (*text)++;
  for (; more > 0 && (*(const uint8_t *)*text & 0xc0) == 0x80; more--, (*text)++)
    c = c << 6 | (*(const uint8_t *)*text & 63);
  return c;
}

static const char *text_at(const neo_tensor *t, size_t i) {
  const char *text = ((const char *const *)t->data)[i];
  return text ? text : "";
}

/* Strings as <U of the longest one's characters. */
static bool texts_to_units(const neo_tensor *t, neo_buf *out, int64_t *units) {
  size_t n = t->size / sizeof(char *);
  *units = 1;
  for (size_t i = 0; i < n; i++) {
    int64_t length = 0;
    for (const char *at = text_at(t, i); *at; length++)
      take_utf8(&at);
    *units = length > *units ? length : *units;
  }
  for (size_t i = 0; i < n; i++) {
    const char *at = text_at(t, i);
    for (int64_t k = 0; k < *units; k++)
      neo_buf_u32le(out, *at ? take_utf8(&at) : 0);
  }
  return !out->failed;
}

neo_status neo_npy_write(neo_ctx *ctx, const char *path, const neo_tensor *tensor) {
  if (tensor->dtype == NEO_STR) {
    neo_buf units = {0};
    int64_t width = 1;
    char name[32];
    neo_status status = texts_to_units(tensor, &units, &width)
                            ? NEO_OK
                            : neo_fail(ctx, NEO_NO_MEMORY, "npy: %s: no memory", path);
    snprintf(name, sizeof name, "<U%" PRId64, width);
    if (status == NEO_OK)
      status = write_file(ctx, path, name,
                          &(neo_tensor){NEO_STR, tensor->shape, units.data, units.size});
    neo_buf_fini(&units);
    return status == NEO_OK ? write_side_dtype(ctx, path, NEO_STR) : status;
  }
  neo_dtype dtype = stored_as(tensor->dtype);
  const char *descr = "";
  for (int k = 0; k < NEO_COUNT(descrs); k++) {
    if (descrs[k].dtype == dtype)
      descr = descrs[k].descr;
  }
  char name[8];
  snprintf(name, sizeof name, "%c%s", neo_dtype_size(dtype) == 1 ? '|' : '<', descr);
  NEO_TRY(write_file(ctx, path, name, tensor));
  return write_side_dtype(ctx, path, tensor->dtype);
}
