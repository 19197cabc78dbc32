/* frontends/mxnet_attr.c: attributes of MXNet nodes. All are text as Python prints it: "(3, 3)",
 * "[1, 2]", "(1,)", "3", "3L" (Python 2), "1e-05", "True", "None", "relu". */
#include "frontends/mxnet_import.h"

#include <string.h>

const char *mx_text(const mx_node *node, const char *name, const char *otherwise) {
  const json_t *value = json_object_get(node->attrs, name);
  const char *text = value ? json_string_value(value) : NULL;
  return !text || strcmp(text, "None") == 0 ? otherwise : text;
}

bool mx_is(const mx_node *node, const char *name, const char *value, bool otherwise) {
  const char *text = mx_text(node, name, NULL);
  return text ? strcmp(text, value) == 0 : otherwise;
}

static void bad(mx_node *node, const char *name, const char *text) {
  mx_import *im = node->im;
  if (im->status == NEO_OK)
    im->status =
        neo_fail(im->e.ctx, NEO_BAD_INPUT, "mxnet: node '%s' (%s): attribute %s is \"%.60s\"",
                 node->name, node->op, name, text);
}

/* One number; integers may end in L; None among integers is MX_NONE. */
static bool scan_number(neo_scan *scan, double *f, int64_t *i) {
  if (i && neo_scan_token(scan, "None")) {
    *i = MX_NONE;
    return true;
  }
  if (!i)
    return neo_scan_double(scan, f);
  neo_scan start = *scan;
  if (neo_scan_int(scan, i) && *scan->at != '.' && *scan->at != 'e') {
    if (*scan->at == 'L')
      scan->at++;
    return true;
  }
  double v;
  *scan = start;
  if (!neo_scan_double(scan, &v) || !(v >= -1e15 && v <= 1e15) || v != (double)(int64_t)v)
    return false;
  *i = (int64_t)v;
  return true;
}

/* A list, or a number. -1: it is neither, or too long. */
static int scan_list(const char *text, double *f, int64_t *i, int cap) {
  neo_scan scan;
  int n = 0;
  neo_scan_init(&scan, text);
  const char *close = neo_scan_token(&scan, "(") ? ")" : neo_scan_token(&scan, "[") ? "]" : NULL;
  if (!close)
    return cap > 0 && scan_number(&scan, f, i) && neo_scan_end(&scan) ? 1 : -1;
  while (!neo_scan_token(&scan, close)) {
    if (n == cap || !scan_number(&scan, f ? f + n : NULL, i ? i + n : NULL))
      return -1;
    n++;
    if (!neo_scan_token(&scan, ",")) {
      if (!neo_scan_token(&scan, close))
        return -1;
      break;
    }
  }
  return neo_scan_end(&scan) ? n : -1;
}

int mx_ints(mx_node *node, const char *name, int64_t *out, int cap) {
  const char *text = mx_text(node, name, NULL);
  int n = text ? scan_list(text, NULL, out, cap) : -1;
  if (text && n < 0)
    bad(node, name, text);
  return n;
}

int mx_floats(mx_node *node, const char *name, double *out, int cap) {
  const char *text = mx_text(node, name, NULL);
  int n = text ? scan_list(text, out, NULL, cap) : -1;
  if (text && n < 0)
    bad(node, name, text);
  return n;
}

int64_t mx_int(mx_node *node, const char *name, int64_t otherwise) {
  int64_t v;
  if (mx_text(node, name, NULL) && mx_is(node, name, "True", false))
    return 1;
  if (mx_text(node, name, NULL) && mx_is(node, name, "False", false))
    return 0;
  return mx_ints(node, name, &v, 1) == 1 && v != MX_NONE ? v : otherwise;
}

double mx_float(mx_node *node, const char *name, double otherwise) {
  double v;
  return mx_floats(node, name, &v, 1) == 1 ? v : otherwise;
}

bool mx_bool(mx_node *node, const char *name, bool otherwise) {
  const char *text = mx_text(node, name, NULL);
  if (!text)
    return otherwise;
  if (strcmp(text, "True") == 0 || strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
    return true;
  if (strcmp(text, "False") != 0 && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
    bad(node, name, text);
  return false;
}

neo_dtype mx_dtype_flag(int64_t flag) {
  static const neo_dtype dtypes[] = {NEO_F32, NEO_F64, NEO_F16, NEO_U8,
                                     NEO_I32, NEO_I8,  NEO_I64, NEO_BOOL};
  if (flag == 12)
    return NEO_BF16;
  return flag >= 0 && flag < NEO_COUNT(dtypes) ? dtypes[flag] : NEO_DTYPE_COUNT;
}

neo_dtype mx_dtype(mx_node *node, const char *name, neo_dtype otherwise) {
  const char *text = mx_text(node, name, NULL);
  neo_dtype dtype;
  if (!text)
    return otherwise;
  if (*text >= '0' && *text <= '9')
    return mx_dtype_flag(mx_int(node, name, -1));
  return neo_dtype_find(text, &dtype) ? dtype : NEO_DTYPE_COUNT;
}
