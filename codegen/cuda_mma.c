/* codegen/cuda_mma.c: matrix instructions in CUDA C: mma.sync of the PTX ISA, as inline assembly.
 *
 * Which element of A, B and C which work-item (lane) of the warp holds is in the PTX ISA, 9.7.14.5,
 * "Matrix fragments": for mma.m8n8k16 (s8, u8), mma.m16n8k8 and mma.m16n8k16 (f16, bf16: 9.7.14.5.7
 * and .8) and mma.m16n8k32 (s8, u8: 9.7.14.5.11). All of them say, with g = lane / 4, t = lane % 4
 * and V values in a register of 32 bits:
 *
 *   C: rows g and, of m16, g + 8; columns 2t and 2t + 1. Registers by row, then column.
 *   A: the same rows; k's from tV on, and the same + 4V if a row has two registers. Registers by k,
 *      then row.
 *   B: column g; k's like A's.
 *
 * These are labels. A nest's statement has for each lane R neighbouring rows and N neighbouring
 * columns of C, and one instruction for each m/8 of the rows and 2 of the columns. So
 *   - labels g and g + 8 are rows gR + r and gR + r + 1 of the warp's; columns 2t and 2t + 1 are tN
 * + c and tN + c + 1;
 *   - the lane loads A's rows of its own tile. B's columns of label g are those of lane t' = g / 2,
 *     the first or second one as g is even or odd, so they are (g / 2 - t) work-items away;
 *   - a lane's k's are neighbours, too: from tK/4 on, the same for A and B.
 * Where k is innermost in shared memory, a lane's k's of one row are one load. */
#include "codegen/cuda_mma.h"

/* ---- helpers of the file ---------------------------------------------------------------------------- */

/* How a lane's k's of one row come: words of 32 bits, one or two of them at once, or one by one. */
typedef enum access { ACCESS_WHOLE, ACCESS_WORDS, ACCESS_SINGLE } access;

static int registers_of(const neo_matrix *row) {
  return row->k * (int)neo_dtype_size(row->a) / 16;
}

static const char *bits_type(const neo_matrix *row) {
  return neo_dtype_size(row->a) == 2 ? "uint16_t" : "uint8_t";
}

static void print_loader(neo_buf *out, int size, access how) {
  const char *type = size == 2 ? "uint16_t" : "uint8_t";
  if (how == ACCESS_SINGLE) {
    neo_buf_printf(out,
                   "static __forceinline__ void mma_load_single(uint32_t *to, int words, "
                   "const %s *from, int step) {\n"
                   "#pragma unroll\n  for (int w = 0; w < words; w++) {\n    to[w] = 0;\n"
                   "#pragma unroll\n    for (int k = 0; k < %d; k++)\n"
                   "      to[w] |= (uint32_t)from[(w * %d + k) * step] << (%d * k);\n  }\n}\n\n",
                   type, 4 / size, 4 / size, 8 * size);
  } else if (how == ACCESS_WORDS) {
    neo_buf_printf(out,
                   "static __forceinline__ void mma_load_words(uint32_t *to, int words, "
                   "const %s *from) {\n"
                   "#pragma unroll\n  for (int w = 0; w < words; w++)\n"
                   "    to[w] = ((const uint32_t *)from)[w];\n}\n\n",
                   type);
  } else {
    neo_buf_printf(out,
                   "static __forceinline__ void mma_load_whole(uint32_t *to, const %s *from) {\n"
                   "  const uint64_t both = *(const uint64_t *)from;\n"
                   "  to[0] = (uint32_t)both;\n  to[1] = (uint32_t)(both >> 32);\n}\n\n",
                   type);
  }
}

static const char *ptx_type(neo_dtype dtype) {
  switch (dtype) {
  case NEO_F16:
    return "f16";
  case NEO_BF16:
    return "bf16";
  case NEO_I8:
    return "s8";
  case NEO_U8:
    return "u8";
  default:
    return dtype == NEO_F32 ? "f32" : "s32";
  }
}

/* {%first, %first+1, ...} */
static void print_registers(neo_buf *out, int first, int n) {
  for (int i = 0; i < n; i++)
    neo_buf_printf(out, "%s%%%d", i ? ", " : "{", first + i);
  neo_buf_text(out, "}");
}

/* c: the first of the tile's sums, a row and a column further the next ones; a, a8: the registers
 * of rows g and g + 8. */
static void print_instruction(neo_buf *out, const neo_matrix *row) {
  int n = registers_of(row), tall = row->m / 8, sums = 2 * tall;
  const char *type = row->acc == NEO_F32 ? "float" : "int32_t";
  neo_buf_printf(out,
                 "static __forceinline__ void mma_%s(%s *c, int row, int column,\n"
                 "    const uint32_t *a, const uint32_t *a8, const uint32_t *b) {\n"
                 "  asm volatile(\"mma.sync.aligned.m%dn%dk%d.row.col.%s.%s.%s.%s ",
                 row->name, type, row->m, row->n, row->k, ptx_type(row->acc), ptx_type(row->a),
                 ptx_type(row->b), ptx_type(row->acc));
  print_registers(out, 0, sums);
  neo_buf_text(out, ", ");
  print_registers(out, sums, n * tall);
  neo_buf_text(out, ", ");
  print_registers(out, sums + n * tall, n);
  neo_buf_text(out, ", ");
  print_registers(out, 0, sums);
  neo_buf_text(out, ";\"\n               :");
  for (int i = 0; i < sums; i++)
    neo_buf_printf(out, "%s \"+%s\"(c[%s%s])", i ? "," : "", row->acc == NEO_F32 ? "f" : "r",
                   i & 2 ? "row + " : "", i & 1 ? "column" : "0");
  neo_buf_text(out, "\n               :");
  for (int i = 0; i < n * tall; i++)
    neo_buf_printf(out, "%s \"r\"(%s[%d])", i ? "," : "", i % tall ? "a8" : "a", i / tall);
  for (int i = 0; i < n; i++)
    neo_buf_printf(out, ", \"r\"(b[%d])", i);
  neo_buf_text(out, ");\n}\n\n");
}

/* Bits of c_printer.matrices behind those of the rows: which loaders are used, by size. */
static int loader_bit(int size, access how) {
  return 48 + 3 * (size - 1) + (int)how;
}

void cuda_print_mma_helpers(c_printer *p, neo_buf *out) {
  for (int size = 1; size <= 2; size++)
    for (int how = ACCESS_WHOLE; how <= ACCESS_SINGLE; how++)
      if (p->matrices >> loader_bit(size, (access)how) & 1)
        print_loader(out, size, (access)how);
  for (int r = 0; r < neo_matrix_count(); r++)
    if (p->matrices >> r & 1)
      print_instruction(out, neo_matrix_get(r));
}

/* ---- the statement ---------------------------------------------------------------------------------- */

static bool divides(const neo_matrix_place *place, int64_t n) {
  neo_affine a;
  bool ok = neo_expr_affine(place->offset, &a) && a.base % n == 0;
  for (int i = 0; ok && i < a.n; i++)
    ok = a.coef[i] % n == 0;
  return ok;
}

/* Shared memory begins at a multiple of 16 bytes; of parameters only an element's size is known.
 * k: number of the step along k. */
static access access_of(const c_printer *p, const neo_matrix *row, const neo_matrix_place *place,
                        int k) {
  int64_t word = 4 / (int64_t)neo_dtype_size(row->a), whole = word * registers_of(row);
  bool words = p->nest->buffer[place->buffer].scope == NEO_SCOPE_SHARED && place->step[k] == 1 &&
               divides(place, word);
  bool wholes = registers_of(row) == 2 && divides(place, whole);
  for (int i = 0; i < 3; i++) {
    words = words && (i == k || place->step[i] % word == 0);
    wholes = wholes && (i == k || place->step[i] % whole == 0);
  }
  return words && wholes ? ACCESS_WHOLE : words ? ACCESS_WORDS : ACCESS_SINGLE;
}

static void line(c_printer *p, neo_buf *out, const char *format, ...) NEO_PRINTF(3, 4);

static void line(c_printer *p, neo_buf *out, const char *format, ...) {
  va_list args;
  char text[400];
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  c_indent(p, out);
  neo_buf_printf(out, "%s\n", text);
}

static void print_load(c_printer *p, neo_buf *out, const neo_matrix_stmt *m, bool is_a,
                       const char *from) {
  const neo_matrix *row = neo_matrix_get(m->row);
  const neo_matrix_place *place = is_a ? &m->a : &m->b;
  const char *to = is_a ? "a[r]" : "b";
  access how = access_of(p, row, place, is_a ? 1 : 0);
  int size = (int)neo_dtype_size(row->a), words = registers_of(row);
  p->matrices |= UINT64_C(1) << loader_bit(size, how);
  if (how == ACCESS_SINGLE)
    line(p, out, "  mma_load_single(%s, %d, %s, %lld);", to, words, from,
         (long long)place->step[is_a ? 1 : 0]);
  else if (how == ACCESS_WORDS)
    line(p, out, "  mma_load_words(%s, %d, %s);", to, words, from);
  else
    line(p, out, "  mma_load_whole(%s, %s);", to, from);
}

static void print_pointer(c_printer *p, neo_buf *out, const char *name, const char *type,
                          const neo_matrix_place *place) {
  p->buffer_used[place->buffer] = true;
  c_indent(p, out);
  neo_buf_printf(out, "const %s *%s = (const %s *)b%d + (", type, name, type, place->buffer);
  c_print_index(p, out, place->offset);
}

static void print_sums_start(c_printer *p, neo_buf *out, const neo_matrix_stmt *m) {
  p->buffer_used[m->acc.buffer] = true;
  c_indent(p, out);
  neo_buf_printf(out, "%s *sum = b%d + (", c_type(neo_matrix_get(m->row)->acc), m->acc.buffer);
  c_print_index(p, out, m->acc.offset);
  neo_buf_text(out, ");\n");
}

void cuda_print_mma(c_printer *p, neo_buf *out, const neo_matrix_stmt *m) {
  const neo_matrix *row = neo_matrix_get(m->row);
  int tall = neo_matrix_rows(m->row), wide = neo_matrix_columns(m->row), words = registers_of(row);
  long long k = row->k / 4;
  char from[64];
  p->matrices |= UINT64_C(1) << m->row;
  line(p, out, "{");
  p->depth++;
  line(p, out, "const int g = threadIdx.x >> 2 & 7, t = threadIdx.x & 3;");
  print_sums_start(p, out, m);
  print_pointer(p, out, "from_a", bits_type(row), &m->a);
  neo_buf_printf(out, ") + t * %lld;\n", k * (long long)m->a.step[1]);
  print_pointer(p, out, "from_b", bits_type(row), &m->b);
  neo_buf_printf(out, ") + ((g >> 1) - t) * %lld + (g & 1) * %lld + t * %lld;\n",
                 (long long)m->b.step[2], (long long)m->b.step[1], k * (long long)m->b.step[0]);
  line(p, out, "uint32_t a[%d][%d], b[%d];", m->rows, words, words);
  line(p, out, "#pragma unroll");
  line(p, out, "for (int r = 0; r < %d; r++)", m->rows);
  snprintf(from, sizeof from, "from_a + r * %lld", (long long)m->a.step[0]);
  print_load(p, out, m, true, from);
  line(p, out, "#pragma unroll");
  line(p, out, "for (int c = 0; c < %d; c += %d) {", m->columns, wide);
  snprintf(from, sizeof from, "from_b + c * %lld", (long long)m->b.step[1]);
  print_load(p, out, m, false, from);
  line(p, out, "#pragma unroll");
  line(p, out, "  for (int r = 0; r < %d; r += %d)", m->rows, tall);
  line(p, out, "    mma_%s(sum + r * %lld + c * %lld, %lld, %lld, a[r], a[r%s], b);", row->name,
       (long long)m->acc.step[0], (long long)m->acc.step[1], (long long)m->acc.step[0],
       (long long)m->acc.step[1], tall > 1 ? " + 1" : "");
  line(p, out, "}");
  p->depth--;
  line(p, out, "}");
}
