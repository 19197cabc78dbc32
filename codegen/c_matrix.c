/* codegen/c_matrix.c: matrix instructions where there are none: the loops that they stand for, as
 * every work-item's own multiply-adds. So values of their schedules can be had from any device. */
#include "codegen/c_printer.h"

/* One element of an operand, widened. */
static void print_element(c_printer *p, neo_buf *out, const neo_matrix_place *place,
                          neo_dtype dtype, const char *index) {
  bool half = dtype == NEO_F16 || dtype == NEO_BF16;
  p->buffer_used[place->buffer] = true;
  if (half)
    c_helper_name(p, out, dtype == NEO_F16 ? C_HELPER_FROM_F16 : C_HELPER_FROM_BF16, NEO_F32,
                  NEO_F32);
  neo_buf_printf(out, half ? "(b%d[%s])" : "b%d[%s]", place->buffer, index);
}

static void print_start(c_printer *p, neo_buf *out, const char *name,
                        const neo_matrix_place *place) {
  c_indent(p, out);
  neo_buf_printf(out, "const %s %s = ", c_type(p->index), name);
  c_print_index(p, out, place->offset);
  neo_buf_text(out, ";\n");
}

static void open_loop(c_printer *p, neo_buf *out, const char *var, int n, bool unroll) {
  c_indent(p, out);
  if (unroll && p->dialect->unroll) {
    neo_buf_text(out, "#pragma unroll\n");
    c_indent(p, out);
  }
  neo_buf_printf(out, "for (int %s = 0; %s < %d; %s++)\n", var, var, n, var);
  p->depth++;
}

void c_print_matrix_loops(c_printer *p, neo_buf *out, const neo_matrix_stmt *m) {
  const neo_matrix *row = neo_matrix_get(m->row);
  char sum[96], a[96], b[96];
  snprintf(sum, sizeof sum, "to + r * %lld + c * %lld", (long long)m->acc.step[0],
           (long long)m->acc.step[1]);
  snprintf(a, sizeof a, "from_a + r * %lld + k * %lld", (long long)m->a.step[0],
           (long long)m->a.step[1]);
  snprintf(b, sizeof b, "from_b + k * %lld + c * %lld", (long long)m->b.step[0],
           (long long)m->b.step[1]);
  c_indent(p, out);
  neo_buf_printf(out, "{ /* %s */\n", row->name);
  p->depth++;
  print_start(p, out, "to", &m->acc);
  print_start(p, out, "from_a", &m->a);
  print_start(p, out, "from_b", &m->b);
  open_loop(p, out, "k", row->k, false);
  open_loop(p, out, "r", m->rows, true);
  open_loop(p, out, "c", m->columns, true);
  c_indent(p, out);
  print_element(p, out, &m->acc, row->acc, sum);
  neo_buf_text(out, " = ");
  bool is_float = neo_dtype_class(row->acc) == 'f';
  if (is_float)
    c_helper_name(p, out, C_HELPER_FMA, NEO_F32, NEO_F32);
  neo_buf_text(out, is_float ? "(" : "(int32_t)((uint32_t)(");
  print_element(p, out, &m->a, row->a, a);
  neo_buf_text(out, is_float ? ", " : " * ");
  print_element(p, out, &m->b, row->b, b);
  neo_buf_text(out, is_float ? ", " : ") + (uint32_t)");
  print_element(p, out, &m->acc, row->acc, sum);
  neo_buf_text(out, ");\n");
  p->depth -= 4;
  c_indent(p, out);
  neo_buf_text(out, "}\n");
}
