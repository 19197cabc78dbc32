/* The schedules of references: how a widened te runs on the board, once per data seed.
 *
 * Why not the naive nest alone: a sum of products that waits for itself takes eight cycles a step,
 * up to a quarter of a second for a layer of a large network. Why nothing cleverer than this: what
 * candidates are compared with must be easy to trust.
 *
 * How: row-major, nothing is packed, each sum is added up in the naive order. Padding is copied in
 * front of a reduction, and a piece of the last axis of its results, a few vectors, is kept in
 * registers until the block that reads them stores it. What does not have this form stays naive.
 *
 * The quick nest is checked by the naive one on a part: that has the leading axes as its grid, the
 * same ones for every block, so the first indices of the grid are the first elements of every
 * output. */
#include <string.h>

#include "measure/parts.h"

enum { VECTORS = 8, LEAST_LANES = 4 };

/* ---- the naive one with a grid --------------------------------------------------------------------- */

static bool leads(const neo_te *te, int axis) {
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_te_block *b = &te->block[k];
    const neo_te_buffer *buffer = &te->buffer[b->buffer];
    if (axis >= b->n_spatial || axis >= buffer->shape.rank ||
        b->extent[axis] != te->block[0].extent[axis] ||
        buffer->shape.dim[axis] != b->extent[axis] || b->write[axis]->op != NEO_EXPR_VAR ||
        b->write[axis]->u.var != axis)
      return false;
  }
  return true;
}

/* The fewest leading axes, common to all blocks, that have more than one index together; 0: none.
 */
static int leading_axes(const neo_te *te, int64_t *grid) {
  *grid = 1;
  for (int axis = 0; axis < NEO_MAX_RANK && te->n_blocks > 0 && leads(te, axis); axis++) {
    *grid *= te->block[0].extent[axis];
    if (*grid > 1)
      return axis + 1;
  }
  return 0;
}

static neo_status parse_line(neo_ctx *ctx, neo_buf *line, neo_schedule *out) {
  neo_status status = line->failed ? neo_fail(ctx, NEO_NO_MEMORY, "reference: out of memory")
                                   : neo_schedule_parse(ctx, line->data, out);
  neo_buf_fini(line);
  return status;
}

neo_status neo_reference_naive(neo_ctx *ctx, const neo_te *te, neo_schedule *out,
                               int64_t *out_grid) {
  int lead = leading_axes(te, out_grid);
  neo_buf line = {0};
  if (lead == 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "reference: the blocks have no leading axis in common");
  neo_buf_text(&line, "s1; alg direct");
  for (int k = 0; k < te->n_blocks; k++)
    neo_buf_printf(&line, "; parallel B%d %d", k, lead);
  return parse_line(ctx, &line, out);
}

/* ---- the quick one ------------------------------------------------------------------------------------ */

typedef struct reads {
  int buffer, count;
} reads;

static void count_reads(void *self, const neo_expr *load) {
  reads *r = self;
  r->count += load->u.load.buffer == r->buffer;
}

/* The one block that reads what block k makes, if that can take it row by row; else -1. */
static int reader_of(const neo_te *te, int k) {
  const neo_te_block *b = &te->block[k];
  int reader = -1, n = 0;
  for (int j = 0; j < te->n_blocks; j++) {
    reads r = {b->buffer, 0};
    neo_expr_visit_loads(te->block[j].body, count_reads, &r);
    if (r.count == 0)
      continue;
    reader = j;
    n++;
  }
  if (n != 1 || te->buffer[b->buffer].role != NEO_TE_TMP || reader < k)
    return -1;
  const neo_te_block *to = &te->block[reader];
  bool same = to->n_reduce == 0 && to->n_spatial == b->n_spatial && b->n_spatial > 0 &&
              memcmp(to->extent, b->extent, sizeof b->extent[0] * (size_t)b->n_spatial) == 0;
  return same && b->extent[b->n_spatial - 1] >= LEAST_LANES ? reader : -1;
}

static void print_axes(neo_buf *line, int from, int to) {
  for (int a = from; a < to; a++)
    neo_buf_printf(line, " %d", a);
}

/* Block k keeps a piece of its last axis in registers, for block `to`. */
static void print_rows(neo_buf *line, const neo_te *te, int k, int to, int lanes) {
  const neo_te_block *b = &te->block[k];
  int last = b->n_spatial - 1;
  int64_t vectors = (b->extent[last] + lanes - 1) / lanes;
  neo_buf_printf(line, "; split B%d.%d %d %d; order B%d", to, last,
                 (int)(vectors < VECTORS ? vectors : VECTORS), lanes, to);
  print_axes(line, 0, last);
  neo_buf_printf(line, " %d.0 %d.1 %d.2; vector B%d.%d.2; unroll B%d.%d.1", last, last, last, to,
                 last, to, last);
  neo_buf_printf(line, "; split B%d.%d %d; order B%d", k, last, lanes, k);
  print_axes(line, b->n_spatial, b->n_spatial + b->n_reduce);
  print_axes(line, 0, last);
  neo_buf_printf(line, " %d.0 %d.1; vector B%d.%d.1; unroll B%d.%d.0; at B%d B%d %d reg", last,
                 last, k, last, k, last, k, to, last + 1);
}

static void print_grid(neo_buf *line, const neo_te_block *b, int k) {
  int64_t grid = 1;
  for (int a = 0; a < b->n_spatial - 1; a++) {
    grid *= b->extent[a];
    if (grid > 1) {
      neo_buf_printf(line, "; parallel B%d %d", k, a + 1);
      return;
    }
  }
}

neo_status neo_reference_quick(neo_ctx *ctx, const neo_te *te, int lanes, neo_arena *arena,
                               neo_schedule *out) {
  neo_te rewritten;
  neo_buf line = {0};
  int rows = 0;
  const char *algorithm = "s1; alg pad";
  NEO_TRY(neo_schedule_parse(ctx, algorithm, out));
  if (neo_schedule_rewrite(ctx, te, out, arena, &rewritten) != NEO_OK) {
    neo_ctx_clear(ctx);
    algorithm = "s1; alg direct";
    rewritten = *te;
  }
  neo_buf_text(&line, algorithm);
  bool taken[NEO_TE_MAX_BLOCKS] = {false};
  for (int k = 0; k < rewritten.n_blocks; k++) {
    int to = rewritten.block[k].n_reduce > 0 ? reader_of(&rewritten, k) : -1;
    if (to < 0 || taken[to])
      continue;
    taken[to] = true;
    print_rows(&line, &rewritten, k, to, lanes);
    print_grid(&line, &rewritten.block[to], to);
    rows++;
  }
  if (rows > 0)
    return parse_line(ctx, &line, out);
  neo_buf_fini(&line);
  return neo_fail(ctx, NEO_UNSUPPORTED, "reference: no reduction that can go row by row");
}
