/* frontends/onnx_template.c: operators written in onnx_ops.def as a short text over ours.
 *
 * The attribute column of such a row is a list of statements,
 *
 *   a=dequantize_linear($0,$1,$2); @0=gelu(a){approximate:s=tanh}
 *
 * or, for an operator of several outputs, q,scale,zero=dynamic_quantize_linear($0). $k is the
 * node's input k (absent inputs are passed on as absent), @k its output k, other names are values
 * made before. A statement whose arguments begin with ?$k is done only if input k is there; else
 * its result is its first remaining argument: b=?$2 add(a,$2). Braces hold attributes in the syntax
 * of the plain rows (copied from the node, or the default: a literal). `-` entries after the last
 * statement, in braces alone, are accepted and ignored: {-name}. */
#include "frontends/onnx_import.h"

#include <ctype.h>
#include <string.h>

#define MAX_NAMES 32
#define MAX_ARGUMENTS 10
#define MAX_RESULTS 4

typedef struct program {
  onnx_import *im;
  onnx_node *node;
  neo_scan scan;
  int n;
  struct {
    char name[24];
    int value;
  } names[MAX_NAMES];
} program;

static bool is_next(const program *p, char c) {
  neo_scan s = p->scan;
  return neo_scan_token(&s, (char[]){c, 0});
}

static int number(program *p) {
  int64_t k = 0;
  neo_scan_int(&p->scan, &k);
  return (int)k;
}

static int named(const program *p, const char *name) {
  for (int i = p->n - 1; i >= 0; i--)
    if (strcmp(p->names[i].name, name) == 0)
      return p->names[i].value;
  neo_assert(!"a name of a template in onnx_ops.def is not defined");
  return NEO_NO_VALUE;
}

static int argument(program *p) {
  char name[24];
  if (neo_scan_token(&p->scan, "$"))
    return onnx_input(p->node, number(p));
  if (!neo_scan_name(&p->scan, name, sizeof name))
    neo_assert(!"an argument of a template in onnx_ops.def");
  return named(p, name);
}

/* Attributes in braces, if there are any; made may be NULL (an operator we lack: skipped). */
static neo_status attributes(program *p, neo_node *made) {
  if (!neo_scan_token(&p->scan, "{"))
    return NEO_OK;
  const char *end = strchr(p->scan.at, '}');
  neo_assert(end != NULL);
  onnx_row row = *p->node->row;
  const onnx_row *kept = p->node->row;
  row.attrs = neo_arena_strndup(p->im->e.graph->arena, p->scan.at, (size_t)(end - p->scan.at));
  p->scan.at = end + 1;
  p->node->row = &row;
  neo_status status = made ? onnx_copy_attrs(p->im, p->node, made) : NEO_OK;
  p->node->row = kept;
  return status;
}

static neo_status call(program *p, int n_out, int *out) {
  char op[48];
  int arg[MAX_ARGUMENTS], n = 0;
  bool skip = false;
  while (neo_scan_token(&p->scan, "?$"))
    skip |= onnx_input(p->node, number(p)) == NEO_NO_VALUE;
  bool named_op = neo_scan_name(&p->scan, op, sizeof op) && neo_scan_token(&p->scan, "(");
  neo_assert(named_op);
  while (!neo_scan_token(&p->scan, ")")) {
    neo_assert(n < MAX_ARGUMENTS);
    arg[n++] = argument(p);
    neo_scan_token(&p->scan, ",");
  }
  if (skip) {
    neo_node ignored = {0};
    out[0] = n > 0 ? arg[0] : NEO_NO_VALUE;
    return attributes(p, &ignored);
  }
  neo_node *made = onnx_emit(p->im, p->node, op, n, arg, n_out);
  for (int k = 0; k < n_out; k++)
    out[k] = made ? made->output[k] : NEO_NO_VALUE;
  return attributes(p, made);
}

/* The left side: outputs @k, and names (output -1). */
static int results(program *p, char name[][24], int *output) {
  int n = 0;
  do {
    neo_assert(n < MAX_RESULTS);
    output[n] = neo_scan_token(&p->scan, "@") ? number(p) : -1;
    if (output[n] < 0 && !neo_scan_name(&p->scan, name[n], sizeof name[n]))
      neo_assert(!"a statement of a template in onnx_ops.def");
    n++;
  } while (neo_scan_token(&p->scan, ","));
  bool equals = neo_scan_token(&p->scan, "=");
  neo_assert(equals);
  return n;
}

static neo_status statement(program *p) {
  char name[MAX_RESULTS][24];
  int output[MAX_RESULTS], value[MAX_RESULTS], before = p->im->e.unsupported.n;
  int n = results(p, name, output);
  NEO_TRY(call(p, n, value));
  for (int k = 0; k < n && p->im->e.unsupported.n == before; k++) {
    if (value[k] == NEO_NO_VALUE)
      return onnx_bad(p->im, p->node, "a required input is absent");
    if (output[k] >= 0) {
      onnx_bind(p->im, p->node, output[k], value[k]);
      continue;
    }
    neo_assert(p->n < MAX_NAMES);
    memcpy(p->names[p->n].name, name[k], sizeof name[k]);
    p->names[p->n++].value = value[k];
  }
  neo_scan_token(&p->scan, ";");
  return NEO_OK;
}

neo_status onnx_template(onnx_import *im, onnx_node *node) {
  program p = {.im = im, .node = node};
  int before = im->e.unsupported.n;
  neo_scan_init(&p.scan, node->row->attrs);
  while (!neo_scan_end(&p.scan) && im->e.unsupported.n == before) {
    neo_node ignored = {0};
    if (is_next(&p, '{'))
      NEO_TRY(attributes(&p, &ignored));
    else
      NEO_TRY(statement(&p));
  }
  return NEO_OK;
}
