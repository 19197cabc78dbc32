/* Memory layouts of buffers: text, size, flat offsets, copying in and out.
 *
 * Why: a te knows logical shapes only; where an element lies is the schedule's decision, taken per
 * buffer. How: a layout lists physical dims, outermost first; each is a logical dim, its block
 * number ("d/f") or its place inside the block ("d%f"). A whole dim may stand in a larger space
 * ("d~p", p places): the value is a window of a larger tensor. Offsets are quasi-affine; the
 * range-based floordiv and floormod keep them affine whenever tiles are aligned with blocks.
 *
 * Invariants: 1. every logical dim occurs either once whole, or once as '/' and once as '%' with
 * one factor; 2. n == 0 means row-major; 3. what lies between the rows of a window is another
 * value's. */
#include "schedule/schedule.h"

#include <string.h>

#define MAX_FACTOR 4096
#define MAX_PLACES (1 << 30)

static bool is_row_major(const neo_layout *layout) {
  for (int i = 0; i < layout->n; i++)
    if (layout->dim[i].part != ' ' || layout->dim[i].dim != i || layout->dim[i].factor != 0)
      return false;
  return true;
}

/* Counts how often each logical dim occurs; false if the layout breaks invariant 1. */
static bool covers(const neo_layout *layout, int rank) {
  int whole[NEO_MAX_RANK] = {0}, block[NEO_MAX_RANK] = {0}, inside[NEO_MAX_RANK] = {0};
  for (int i = 0; i < layout->n; i++) {
    const neo_layout_dim *d = &layout->dim[i];
    if (d->dim < 0 || d->dim >= rank)
      return false;
    if (d->part == ' ')
      whole[d->dim]++;
    else if (d->part == '/')
      block[d->dim] = block[d->dim] ? -1 : d->factor;
    else
      inside[d->dim] = inside[d->dim] ? -1 : d->factor;
  }
  for (int k = 0; k < rank; k++) {
    bool plain = whole[k] == 1 && !block[k] && !inside[k];
    bool blocked = whole[k] == 0 && block[k] > 0 && block[k] == inside[k];
    if (!plain && !blocked)
      return false;
  }
  return true;
}

static bool scan_dim(neo_scan *scan, neo_layout_dim *out) {
  int64_t dim, factor = 0;
  if (!neo_scan_int(scan, &dim) || dim < 0 || dim >= NEO_MAX_RANK)
    return false;
  char part = *scan->at;
  if (part == '/' || part == '%') {
    scan->at++;
    if (!neo_scan_int(scan, &factor) || factor < 1 || factor > MAX_FACTOR)
      return false;
  } else if (part == '~') {
    scan->at++;
    part = ' ';
    if (!neo_scan_int(scan, &factor) || factor < 1 || factor > MAX_PLACES)
      return false;
  } else {
    part = ' ';
  }
  *out = (neo_layout_dim){(int8_t)dim, part, (int32_t)factor};
  return true;
}

neo_status neo_layout_parse(neo_ctx *ctx, const char *text, int rank, neo_layout *out) {
  neo_layout made = {0};
  neo_scan scan;
  neo_scan_init(&scan, text);
  int max_dim = -1;
  do {
    if (made.n == NEO_LAYOUT_MAX || !scan_dim(&scan, &made.dim[made.n]))
      return neo_fail(ctx, NEO_BAD_INPUT, "layout '%.80s': bad dim %d", text, made.n);
    max_dim = made.dim[made.n].dim > max_dim ? made.dim[made.n].dim : max_dim;
    made.n++;
  } while (neo_scan_token(&scan, ","));
  if (*scan.at != '\0')
    return neo_fail(ctx, NEO_BAD_INPUT, "layout '%.80s': unexpected '%.8s'", text, scan.at);
  if (!covers(&made, rank < 0 ? max_dim + 1 : rank))
    return neo_fail(ctx, NEO_BAD_INPUT, "layout '%.80s' does not name each of %d dims exactly once",
                    text, rank < 0 ? max_dim + 1 : rank);
  if (rank >= 0 && is_row_major(&made))
    memset(&made, 0, sizeof(made));
  *out = made;
  return NEO_OK;
}

void neo_layout_print(neo_buf *buf, const neo_layout *layout, int rank) {
  for (int i = 0; i < (layout->n ? layout->n : rank); i++) {
    if (i > 0)
      neo_buf_text(buf, ",");
    if (layout->n == 0)
      neo_buf_printf(buf, "%d", i);
    else if (layout->dim[i].part == ' ' && layout->dim[i].factor == 0)
      neo_buf_printf(buf, "%d", layout->dim[i].dim);
    else if (layout->dim[i].part == ' ')
      neo_buf_printf(buf, "%d~%d", layout->dim[i].dim, layout->dim[i].factor);
    else
      neo_buf_printf(buf, "%d%c%d", layout->dim[i].dim, layout->dim[i].part, layout->dim[i].factor);
  }
}

bool neo_layout_equal(const neo_layout *a, const neo_layout *b) {
  if (is_row_major(a) && is_row_major(b))
    return a->n == 0 || b->n == 0 || a->n == b->n;
  if (a->n != b->n)
    return false;
  for (int i = 0; i < a->n; i++)
    if (a->dim[i].dim != b->dim[i].dim || a->dim[i].part != b->dim[i].part ||
        a->dim[i].factor != b->dim[i].factor)
      return false;
  return true;
}

int64_t neo_layout_extent(const neo_layout_dim *d, const neo_shape *shape) {
  if (d->part == '%' || (d->part == ' ' && d->factor > 0))
    return d->factor;
  int64_t extent = shape->dim[d->dim];
  return d->part == '/' ? neo_ceil_div(extent, d->factor) : extent;
}

int64_t neo_layout_elements(const neo_layout *layout, const neo_shape *shape) {
  int64_t stride = 1, last = 0;
  for (int i = (layout->n ? layout->n : shape->rank) - 1; i >= 0; i--) {
    neo_layout_dim whole = {(int8_t)i, ' ', 0};
    const neo_layout_dim *d = layout->n ? &layout->dim[i] : &whole;
    int64_t extent = neo_layout_extent(d, shape);
    int64_t used = d->part == ' ' ? shape->dim[d->dim] : extent;
    if (used == 0)
      return 0;
    last += (used - 1) * stride;
    stride *= extent;
  }
  return last + 1;
}

bool neo_layout_strides(const neo_layout *layout, const neo_shape *shape, int64_t *out) {
  int64_t stride = 1;
  for (int i = (layout->n ? layout->n : shape->rank) - 1; i >= 0; i--) {
    neo_layout_dim whole = {(int8_t)i, ' ', 0};
    const neo_layout_dim *d = layout->n ? &layout->dim[i] : &whole;
    if (d->part != ' ')
      return false;
    out[d->dim] = shape->dim[d->dim] == 1 ? 0 : stride;
    stride *= neo_layout_extent(d, shape);
  }
  return true;
}

bool neo_layout_fits(const neo_layout *layout, const neo_shape *shape) {
  for (int i = 0; i < layout->n; i++)
    if (neo_layout_extent(&layout->dim[i], shape) < shape->dim[layout->dim[i].dim] &&
        layout->dim[i].part == ' ')
      return false;
  return true;
}

void neo_layout_window(const neo_layout *whole, const neo_shape *shape, const neo_shape *window,
                       neo_layout *out) {
  neo_layout made = {.n = shape->rank};
  bool outermost = true;
  for (int i = 0; i < shape->rank; i++)
    made.dim[i] = (neo_layout_dim){(int8_t)i, ' ', 0};
  if (whole->n)
    made = *whole;
  for (int i = 0; i < made.n; i++) {
    neo_layout_dim *d = &made.dim[i];
    int64_t places = neo_layout_extent(d, shape);
    neo_assert(d->part == ' ' && places <= MAX_PLACES);
    d->factor = outermost || places == window->dim[d->dim] ? 0 : (int32_t)places;
    outermost = outermost && window->dim[d->dim] == 1;
  }
  if (is_row_major(&made))
    memset(&made, 0, sizeof made);
  *out = made;
}

static const neo_expr *physical_index(neo_arena *arena, const neo_layout_dim *d,
                                      const neo_expr *index, const neo_range *range, int n_range) {
  if (d->part == '/')
    return neo_expr_floordiv(arena, index, d->factor, range, n_range);
  if (d->part == '%')
    return neo_expr_floormod(arena, index, d->factor, range, n_range);
  return index;
}

const neo_expr *neo_layout_offset(neo_arena *arena, const neo_layout *layout,
                                  const neo_shape *shape, const neo_expr *const *index,
                                  const neo_range *range, int n_range) {
  int n = layout->n ? layout->n : shape->rank;
  const neo_expr *sum = neo_expr_index(arena, 0);
  int64_t stride = 1;
  for (int i = n - 1; i >= 0; i--) {
    neo_layout_dim whole = {(int8_t)i, ' ', 0};
    const neo_layout_dim *d = layout->n ? &layout->dim[i] : &whole;
    const neo_expr *at = physical_index(arena, d, index[d->dim], range, n_range);
    const neo_expr *term = neo_expr_binary(arena, NEO_EXPR_MUL, at, neo_expr_index(arena, stride));
    sum = neo_expr_binary(arena, NEO_EXPR_ADD, term, sum);
    stride *= neo_layout_extent(d, shape);
  }
  neo_affine affine;
  return neo_expr_affine(sum, &affine) ? neo_affine_expr(arena, &affine) : sum;
}

/* Physical offset of a logical position, in numbers. */
static int64_t offset_of(const neo_layout *layout, const neo_shape *shape, const int64_t *at) {
  int64_t offset = 0;
  for (int i = 0; i < layout->n; i++) {
    const neo_layout_dim *d = &layout->dim[i];
    int64_t v = at[d->dim];
    if (d->part == '/')
      v /= d->factor;
    else if (d->part == '%')
      v %= d->factor;
    offset = offset * neo_layout_extent(d, shape) + v;
  }
  return offset;
}

int64_t neo_layout_place(const neo_layout *layout, const neo_shape *shape, const int64_t *at) {
  int64_t offset = 0;
  if (layout->n)
    return offset_of(layout, shape, at);
  for (int d = 0; d < shape->rank; d++)
    offset = offset * shape->dim[d] + at[d];
  return offset;
}

/* Next position in row-major order of the first `rank` dims; false after the last. */
static bool advance(const neo_shape *shape, int rank, int64_t *at) {
  for (int k = rank - 1; k >= 0; k--) {
    if (++at[k] < shape->dim[k])
      return true;
    at[k] = 0;
  }
  return false;
}

/* A piece of the last dims: where its elements lie, relative to its rows' first. */
typedef struct piece {
  int rows; /* dims that are not in the piece */
  int64_t n;
  int64_t offset[4096];
} piece;

static void fill_piece(const neo_layout *layout, const neo_shape *shape, int64_t first, piece *p) {
  int64_t at[NEO_MAX_RANK] = {0};
  for (int64_t i = 0; i < p->n; i++) {
    int64_t left = first + i;
    for (int k = shape->rank - 1; k >= p->rows; k--) {
      at[k] = left % shape->dim[k];
      left /= shape->dim[k];
    }
    p->offset[i] = offset_of(layout, shape, at);
  }
}

static void copy_row(const piece *p, size_t size, char *plain, char *packed, bool pack) {
  if (size == sizeof(uint32_t)) {
    for (int64_t i = 0; i < p->n; i++)
      memcpy(pack ? packed + 4 * p->offset[i] : plain + 4 * i,
             pack ? plain + 4 * i : packed + 4 * p->offset[i], 4);
    return;
  }
  for (int64_t i = 0; i < p->n; i++) {
    char *there = packed + (size_t)p->offset[i] * size, *here = plain + (size_t)i * size;
    memcpy(pack ? there : here, pack ? here : there, size);
  }
}

/* An offset is a sum of one term per logical dim, so those of the last dims, as many as a table
 * holds, are computed once for all rows. */
static void copy(const neo_layout *layout, const neo_tensor *tensor, char *packed, bool pack) {
  const neo_shape *shape = &tensor->shape;
  size_t size = neo_dtype_size(tensor->dtype);
  int64_t n = 0, row = 1;
  if (!neo_shape_elements(shape, &n) || n == 0)
    return;
  char *plain = tensor->data;
  if (layout->n == 0) {
    memcpy(pack ? packed : plain, pack ? plain : packed, (size_t)n * size);
    return;
  }
  piece p = {.rows = shape->rank};
  while (p.rows > 0 && (row == 1 || row * shape->dim[p.rows - 1] <= NEO_COUNT(p.offset)))
    row *= shape->dim[--p.rows];
  for (int64_t first = 0; first < row; first += p.n) {
    int64_t at[NEO_MAX_RANK] = {0};
    p.n = neo_min_i64(row - first, NEO_COUNT(p.offset));
    fill_piece(layout, shape, first, &p);
    char *here = plain + (size_t)first * size;
    do {
      char *there = packed + (size_t)offset_of(layout, shape, at) * size;
      copy_row(&p, size, here, there, pack);
      here += (size_t)row * size;
    } while (advance(shape, p.rows, at));
  }
}

void neo_layout_pack(const neo_layout *layout, const neo_tensor *row_major, void *dst) {
  int64_t n = neo_layout_elements(layout, &row_major->shape);
  memset(dst, 0, (size_t)n * neo_dtype_size(row_major->dtype));
  copy(layout, row_major, dst, true);
}

void neo_layout_unpack(const neo_layout *layout, const void *src, neo_tensor *row_major) {
  /* The copy only reads `src` in this direction. */
  copy(layout, row_major, (char *)(uintptr_t)src, false);
}
