/* Growable bytes for text and binary formats, and the bounded reader that is their counterpart.
 *
 * Why: canonical texts and frames are written by many small appends; a sticky `failed` flag keeps
 * the error handling out of every one of them and in one place at the end.
 *
 * Invariants
 * 1. data == NULL or data[size] == '\0' with size < capacity.
 * 2. Numbers are printed with '.' whatever the process's locale is: texts are stored and sent. */
#include "base/core.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void neo_buf_fini(neo_buf *buf) {
  free(buf->data);
  memset(buf, 0, sizeof(*buf));
}

void neo_buf_clear(neo_buf *buf) {
  buf->size = 0;
  buf->failed = false;
  if (buf->data)
    buf->data[0] = '\0';
}

/* Room for `more` bytes and the NUL. */
static bool reserve(neo_buf *buf, size_t more) {
  if (buf->failed)
    return false;
  if (more > SIZE_MAX / 4 - buf->size) {
    buf->failed = true;
    return false;
  }
  size_t need = buf->size + more + 1;
  if (need <= buf->capacity)
    return true;
  size_t capacity = buf->capacity ? buf->capacity : 32;
  while (capacity < need)
    capacity *= 2;
  char *data = realloc(buf->data, capacity);
  if (!data) {
    buf->failed = true;
    return false;
  }
  buf->data = data;
  buf->capacity = capacity;
  return true;
}

void neo_buf_append(neo_buf *buf, const void *data, size_t size) {
  if (!reserve(buf, size))
    return;
  if (size)
    memcpy(buf->data + buf->size, data, size);
  buf->size += size;
  buf->data[buf->size] = '\0';
}

void neo_buf_text(neo_buf *buf, const char *text) {
  neo_buf_append(buf, text, strlen(text));
}

void neo_buf_vprintf(neo_buf *buf, const char *format, va_list args) {
  char small[256];
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(small, sizeof(small), format, args);
  if (length < 0) {
    buf->failed = true;
  } else if ((size_t)length < sizeof(small)) {
    neo_buf_append(buf, small, (size_t)length);
  } else if (reserve(buf, (size_t)length)) {
    vsnprintf(buf->data + buf->size, (size_t)length + 1, format, again);
    buf->size += (size_t)length;
  }
  va_end(again);
}

void neo_buf_printf(neo_buf *buf, const char *format, ...) {
  va_list args;
  va_start(args, format);
  neo_buf_vprintf(buf, format, args);
  va_end(args);
}

void neo_buf_u8(neo_buf *buf, uint8_t v) {
  neo_buf_append(buf, &v, 1);
}

static void append_le(neo_buf *buf, uint64_t v, size_t bytes) {
  uint8_t out[8];
  for (size_t i = 0; i < bytes; i++)
    out[i] = (uint8_t)(v >> (8 * i));
  neo_buf_append(buf, out, bytes);
}

void neo_buf_u32le(neo_buf *buf, uint32_t v) {
  append_le(buf, v, 4);
}

void neo_buf_u64le(neo_buf *buf, uint64_t v) {
  append_le(buf, v, 8);
}

static bool reads_back(const char *text, double v) {
  return strtod(text, NULL) == v;
}

/* The last digit of the mantissa plus one; false if that would carry. */
static bool nudge_up(char *text) {
  char *end = strchr(text, 'e');
  char *last = (end ? end : text + strlen(text)) - 1;
  if (*last < '0' || *last >= '9')
    return false;
  ++*last;
  return true;
}

/* Up to 15 digits survive decimal -> double -> decimal, so %.15g is the shortest whenever it reads
 * back (%g drops trailing zeros). Subnormals have fewer digits and are searched from 1. With 16
 * digits the nearest decimal can miss where the one above hits: below a power of two the doubles
 * are twice as dense as above it. */
static void shortest(double v, char *text, size_t size) {
  for (int digits = fabs(v) < 2.2250738585072014e-308 ? 1 : 15; digits <= 17; digits++) {
    snprintf(text, size, "%.*g", digits, v);
    if (reads_back(text, v))
      return;
    if (digits == 16 && nudge_up(text) && reads_back(text, v))
      return;
  }
}

void neo_buf_double(neo_buf *buf, double v) {
  if (isnan(v)) {
    neo_buf_text(buf, "nan");
  } else if (isinf(v)) {
    neo_buf_text(buf, v < 0 ? "-inf" : "inf");
  } else {
    char text[40];
    shortest(v, text, sizeof(text));
    char point = localeconv()->decimal_point[0];
    char *at = point != '.' ? strchr(text, point) : NULL;
    if (at)
      *at = '.';
    neo_buf_text(buf, text);
  }
}

const uint8_t *neo_read_bytes(neo_reader *reader, size_t size) {
  if (reader->failed || size > reader->size - reader->at) {
    reader->failed = true;
    return NULL;
  }
  const uint8_t *bytes = reader->data + reader->at;
  reader->at += size;
  return bytes;
}

static uint64_t read_le(neo_reader *reader, size_t bytes) {
  const uint8_t *data = neo_read_bytes(reader, bytes);
  uint64_t v = 0;
  for (size_t i = 0; data && i < bytes; i++)
    v |= (uint64_t)data[i] << (8 * i);
  return v;
}

uint8_t neo_read_u8(neo_reader *reader) {
  return (uint8_t)read_le(reader, 1);
}

uint32_t neo_read_u32le(neo_reader *reader) {
  return (uint32_t)read_le(reader, 4);
}

uint64_t neo_read_u64le(neo_reader *reader) {
  return read_le(reader, 8);
}
