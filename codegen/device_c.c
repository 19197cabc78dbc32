/* codegen/device_c.c: a launch as a kernel of a GPU's C.
 *
 * Statements and expressions are those of the C generator. A group is a work-group (block) of one
 * dimension; SHARED buffers are the group's, STACK and REG buffers a work-item's arrays. A kernel's
 * arguments are blocks of memory with offsets (neo/abi.h), that of work only where there is any: 64
 * buffers, as many as a te has, are then what every OpenCL has room for (1024 bytes); a result that
 * may have an input's memory is not `restrict`, nor is the input. */
#include "codegen/device_c.h"

static const device_dialect *dialect_of(const c_printer *p) {
  return (const device_dialect *)(const void *)p->dialect;
}

static void print_buffer(c_printer *p, neo_buf *out, int k) {
  const device_dialect *d = dialect_of(p);
  const neo_nest_buffer *b = &p->nest->buffer[k];
  const char *type = c_memory_type(b->dtype);
  const char *constant = b->scope == NEO_SCOPE_PARAM && !b->writable ? "const " : "";
  switch (b->scope) {
  case NEO_SCOPE_PARAM:
    neo_buf_printf(out, "  %s%s%s *%sb%d = (%s%s%s *)(m%d + o%d);\n", d->global, constant, type,
                   p->shares[k] ? "" : d->restricted, k, d->global, constant, type, k, k);
    break;
  case NEO_SCOPE_WORK:
    neo_buf_printf(out, "  %s%s *b%d = (%s%s *)(m%d + o%d + %lld);\n", d->global, type, k,
                   d->global, type, p->nest->n_params, p->nest->n_params, (long long)b->offset);
    break;
  case NEO_SCOPE_SCRATCH:
    c_fail(p, NEO_UNSUPPORTED, "scratch memory of workers");
    break;
  case NEO_SCOPE_SHARED:
    neo_buf_printf(out, "  %s%s b%d[%lld];\n", d->shared, type, k, (long long)b->elements);
    break;
  case NEO_SCOPE_STACK:
  case NEO_SCOPE_REG:
    neo_buf_printf(out, "  %s b%d[%lld];\n", type, k, (long long)b->elements);
    break;
  }
}

int device_args(const neo_nest *nest) {
  return nest->n_params + (nest->work_bytes > 0);
}

void device_print_function(c_printer *p, neo_buf *out, int k, const char *symbol,
                           const neo_buf *body) {
  const device_dialect *d = dialect_of(p);
  const neo_launch *launch = &p->nest->launch[k];
  neo_buf_printf(out, d->head, launch->lanes);
  neo_buf_printf(out, "%s_%d(", symbol, k);
  for (int b = 0; b < device_args(p->nest); b++)
    neo_buf_printf(out, "%s%s%schar *%sm%d, %so%d", b ? ",\n    " : "", d->global,
                   b < p->nest->n_params && !p->nest->buffer[b].writable ? "const " : "",
                   b < p->nest->n_params && p->shares[b] ? "" : d->restricted, b, d->offset, b);
  neo_buf_text(out, ") {\n");
  for (int b = 0; b < p->nest->n_buffers; b++)
    if (p->buffer_used[b])
      print_buffer(p, out, b);
  neo_buf_printf(out, "  {\n    const %s i%d = %s;\n", c_type(p->index), launch->var, d->group);
  if (launch->lanes > 1)
    neo_buf_printf(out, "    const %s i%d = %s;\n", c_type(p->index), launch->lane_var, d->item);
  neo_buf_append(out, body->data, body->size);
  neo_buf_text(out, "  }\n}\n\n");
}
