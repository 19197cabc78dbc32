/* JSON glue over jansson: errors with a place, canonical printing.
 *
 * Why our own printer: jansson prints 0.1 as 0.10000000000000001; ours prints the shortest text
 * that reads back, with sorted keys, so that equal documents are equal bytes. */
#include "base/host.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 100, ALWAYS = 64 << 20 }; /* a value and its place in an array or object */

/* Values and keys, at most: every one but the first follows a bracket, a comma or a colon. */
static size_t count_values(const char *text, size_t size) {
  size_t n = 1;
  bool quoted = false;
  for (size_t i = 0; i < size; i++) {
    char c = text[i];
    if (c == '"')
      quoted = !quoted;
    else if (quoted)
      i += c == '\\';
    else
      n += c == '[' || c == '{' || c == ',' || c == ':';
  }
  return n;
}

neo_status neo_json_parse(neo_ctx *ctx, const char *what, const char *text, size_t size,
                          json_t **out) {
  json_error_t error;
  size_t values = count_values(text, size);
  if (values > (4 * size + ALWAYS) / VALUE_BYTES)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "%s: %zu values in %zu bytes: they take more than 4 times the file and 64 MB",
                    what, values, size);
  json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!json)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: line %d column %d: %s", what, error.line, error.column,
                    error.text);
  *out = json;
  return NEO_OK;
}

/* The length of the UTF-8 sequence at s (1 to 4), 0 if it is not well-formed (Unicode table 3-7).
 */
static size_t utf8_length(const unsigned char *s, size_t left) {
  size_t length = s[0] < 0x80   ? 1
                  : s[0] < 0xc2 ? 0
                  : s[0] < 0xe0 ? 2
                  : s[0] < 0xf0 ? 3
                  : s[0] < 0xf5 ? 4
                                : 0;
  if (length == 0 || length > left)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
  bool beyond = (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf4 && s[1] >= 0x90);
  return overlong || beyond ? 0 : length;
}

static void quote_ascii(neo_buf *buf, unsigned char c) {
  if (c == '"' || c == '\\')
    neo_buf_printf(buf, "\\%c", c);
  else if (c == '\n')
    neo_buf_text(buf, "\\n");
  else if (c == '\t')
    neo_buf_text(buf, "\\t");
  else if (c < 0x20 || c == 0x7f)
    neo_buf_printf(buf, "\\u%04x", c);
  else
    neo_buf_u8(buf, c);
}

static void quote(neo_buf *buf, const char *text, size_t size) {
  const unsigned char *bytes = (const unsigned char *)text;
  neo_buf_u8(buf, '"');
  for (size_t i = 0; i < size;) {
    size_t length = utf8_length(bytes + i, size - i);
    if (length == 1)
      quote_ascii(buf, bytes[i]);
    else if (length > 1)
      neo_buf_append(buf, bytes + i, length);
    else
      neo_buf_text(buf, "\xef\xbf\xbd");
    i += length ? length : 1;
  }
  neo_buf_u8(buf, '"');
}

void neo_json_quote(neo_buf *buf, const char *text) {
  quote(buf, text, strlen(text));
}

static void print_value(neo_buf *buf, const json_t *json, int indent);

/* indent < 0: everything on one line. */
static void line_break(neo_buf *buf, int indent) {
  if (indent >= 0)
    neo_buf_printf(buf, "\n%*s", 2 * indent, "");
}

static int deeper(int indent) {
  return indent < 0 ? indent : indent + 1;
}

static int compare_keys(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_object(neo_buf *buf, const json_t *json, int indent) {
  size_t n = json_object_size(json);
  const char **keys = malloc((n ? n : 1) * sizeof(*keys));
  if (!keys) {
    buf->failed = true;
    return;
  }
  size_t i = 0;
  json_t *object = (json_t *)(uintptr_t)json;
  for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
    keys[i++] = json_object_iter_key(at);
  qsort(keys, n, sizeof(*keys), compare_keys);
  neo_buf_text(buf, "{");
  for (i = 0; i < n; i++) {
    neo_buf_text(buf, i ? "," : "");
    line_break(buf, deeper(indent));
    neo_json_quote(buf, keys[i]);
    neo_buf_text(buf, indent < 0 ? ":" : ": ");
    print_value(buf, json_object_get(json, keys[i]), deeper(indent));
  }
  if (n)
    line_break(buf, indent);
  neo_buf_text(buf, "}");
  free(keys);
}

static void print_array(neo_buf *buf, const json_t *json, int indent) {
  size_t n = json_array_size(json);
  neo_buf_text(buf, "[");
  for (size_t i = 0; i < n; i++) {
    neo_buf_text(buf, i ? "," : "");
    line_break(buf, deeper(indent));
    print_value(buf, json_array_get(json, i), deeper(indent));
  }
  if (n)
    line_break(buf, indent);
  neo_buf_text(buf, "]");
}

/* A real keeps a '.' or an exponent, so that it reads back as a real and not as an integer. */
static void print_real(neo_buf *buf, double value) {
  size_t start = buf->size;
  neo_buf_double(buf, value);
  if (!buf->failed && !strpbrk(buf->data + start, ".en"))
    neo_buf_text(buf, ".0");
}

static void print_value(neo_buf *buf, const json_t *json, int indent) {
  switch (json_typeof(json)) {
  case JSON_OBJECT:
    print_object(buf, json, indent);
    break;
  case JSON_ARRAY:
    print_array(buf, json, indent);
    break;
  case JSON_STRING:
    quote(buf, json_string_value(json), json_string_length(json));
    break;
  case JSON_INTEGER:
    neo_buf_printf(buf, "%lld", (long long)json_integer_value(json));
    break;
  case JSON_REAL:
    print_real(buf, json_real_value(json));
    break;
  case JSON_TRUE:
    neo_buf_text(buf, "true");
    break;
  case JSON_FALSE:
    neo_buf_text(buf, "false");
    break;
  case JSON_NULL:
    neo_buf_text(buf, "null");
    break;
  }
}

json_t *neo_json_name(const char *name) {
  json_t *out = json_string(name ? name : "");
  if (out)
    return out;
  neo_buf text = {0};
  for (const char *c = name; *c; c++)
    neo_buf_u8(&text, (uint8_t)((unsigned char)*c < 128 ? *c : '?'));
  neo_buf_u8(&text, 0);
  out = json_string(text.failed ? "" : text.data);
  neo_buf_fini(&text);
  return out;
}

void neo_json_print(neo_buf *buf, const json_t *json, bool pretty) {
  print_value(buf, json, pretty ? 0 : -1);
  if (pretty)
    neo_buf_text(buf, "\n");
}
