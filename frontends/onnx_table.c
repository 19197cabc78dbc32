/* frontends/onnx_table.c: the rows of onnx_ops.def: which converter reads an operator at an opset.
 */
#include "frontends/onnx_import.h"

#include <string.h>

#define X(name, since, until, op, convert, attrs)                                                  \
  neo_status convert(onnx_import *im, onnx_node *node);
#include "frontends/onnx_ops.def"
#undef X

static const onnx_row rows[] = {
#define X(name, since, until, op, convert, attrs) {name, since, until, op, convert, attrs},
#include "frontends/onnx_ops.def"
#undef X
};

/* "Conv" is of the default domain, "com.microsoft:Gelu" of that. */
static bool row_names(const onnx_row *row, const char *domain, const char *op_type) {
  const char *colon = strchr(row->name, ':');
  size_t length = colon ? (size_t)(colon - row->name) : 0;
  return strlen(domain) == length && strncmp(row->name, domain, length) == 0 &&
         strcmp(colon ? colon + 1 : row->name, op_type) == 0;
}

const onnx_row *onnx_row_find(const char *domain, const char *op_type, int opset) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (row_names(&rows[i], domain, op_type) && opset >= rows[i].since &&
        (rows[i].until == 0 || opset < rows[i].until))
      return &rows[i];
  return NULL;
}

bool onnx_row_any(const char *domain, const char *op_type) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (row_names(&rows[i], domain, op_type))
      return true;
  return false;
}
