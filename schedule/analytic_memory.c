/* Bytes that one launch of a schedule moves between the caches.
 *
 * Why and how: see analytic.c. Along the path from the launch's outermost loop to the innermost
 * loop of its heaviest block, footprints of all buffers are noted; for a cache, traffic is the
 * footprint at the outermost position that fits, times the trips of the loops outside that change
 * it. */
#include "schedule/analytic_plan.h"

#include <math.h>
#include <string.h>

#define STORED 1.2      /* traffic of stores: lines are read, too */
#define STREAMED 0.3    /* traffic of packed constants, which prefetchers see coming, */
#define SHARED 0.5      /* and where several workers share the bandwidth */
#define DRAG 64         /* bytes that each run brings along: prefetchers run over its end */
#define JUMPY 2.5       /* traffic of walks that prefetchers lose: */
#define LONG_WALK 65536 /* bytes that they span, a line at a time */

/* Bytes that the access touches: contiguous runs, each with the ends of cache lines that it shares.
 */
static double footprint(const neo_cost_plan *p, const neo_access *access, const int64_t *cover,
                        bool lines) {
  const neo_te_buffer *buffer = &p->variant->te.buffer[access->buffer];
  double size = (double)neo_dtype_size(buffer->dtype), run = size, runs = 1;
  bool contiguous = true;
  for (int i = neo_cost_parts(p, access) - 1; i >= 0; i--) {
    neo_cost_part part = neo_cost_part_of(p, access, i, cover);
    *(contiguous ? &run : &runs) *= (double)part.touched;
    contiguous = contiguous && part.touched == part.whole;
  }
  if (fmod(run, 64) != 0)
    run += lines ? 30 : 60;
  if (runs > 1 && !lines)
    run += DRAG;
  return run * runs;
}

static bool is_local(const neo_cost_plan *p, int buffer) {
  int writer = p->variant->facts.writer[buffer];
  return writer >= 0 && p->block[writer].at >= 0;
}

/* Does the access touch less of its buffer's outermost part in memory than there is? */
static bool cuts_outermost(const neo_cost_plan *p, const neo_access *access, const int64_t *cover) {
  for (int i = 0; i < neo_cost_parts(p, access); i++) {
    neo_cost_part part = neo_cost_part_of(p, access, i, cover);
    if (part.whole > 1)
      return part.touched < part.whole;
  }
  return true;
}

double neo_cost_remote_bytes(const neo_cost_plan *p, int root) {
  const neo_cost_body *r = &p->block[root];
  int g = 0;
  while (g < r->grid && g < r->n_loops && r->loops[g].trip <= 1)
    g++;
  if (g >= r->grid || g >= r->n_loops)
    return 0;
  double sum[NEO_TE_MAX_BUFFERS] = {0}, all = 0;
  neo_cost_covers cover, whole;
  neo_cost_find_covers(p, root, g + 1, 0, cover);
  neo_cost_find_covers(p, root, 0, 0, whole);
  for (int q = 0; q <= root; q++)
    for (int i = 0; neo_cost_is_inside(p, q, root) && i < p->block[q].facts->n_access; i++) {
      const neo_access *access = &p->block[q].facts->access[i];
      if (p->variant->te.buffer[access->buffer].role == NEO_TE_CONST ||
          is_local(p, access->buffer) || cuts_outermost(p, access, cover[q]))
        continue;
      double total = footprint(p, access, whole[q], false),
             part = footprint(p, access, cover[q], false);
      double touched = part < 0.999 * total ? total / p->threads : total;
      sum[access->buffer] = fmax(sum[access->buffer], touched);
    }
  for (int i = 0; i < p->variant->te.n_buffers; i++)
    all += sum[i];
  return all * (1 - 1.0 / p->threads);
}

static void note(neo_cost_traffic *t, int buffer, double weight, int k, double bytes) {
  int i = 0;
  while (i < t->n_buffers && t->buffer[i] != buffer)
    i++;
  if (i == t->n_buffers) {
    t->buffer[i] = buffer;
    t->weight[i] = weight;
    memset(t->bytes[i], 0, sizeof(t->bytes[i]));
    t->n_buffers++;
  }
  t->weight[i] = fmax(t->weight[i], weight);
  t->bytes[i][k] = fmax(t->bytes[i][k], bytes);
}

double neo_cost_streamed(const neo_cost_plan *p) {
  return p->threads > 1 ? SHARED : STREAMED;
}

/* Packed constants stream; long walks of the innermost reduce axis from line to line do not. (The
 * few taps of a window do: they touch the same lines again, and the tiles follow each other.) */
static double weight_of(const neo_cost_plan *p, const neo_cost_body *b, const neo_access *access) {
  if (access->store)
    return STORED;
  if (p->variant->te.buffer[access->buffer].role == NEO_TE_CONST)
    return neo_cost_streamed(p);
  int inner = -1;
  for (int i = 0; i < b->n_loops; i++)
    if (b->loops[i].axis >= b->te->n_spatial)
      inner = b->loops[i].axis;
  if (inner < 0 || !neo_access_uses(access, inner))
    return 1;
  int64_t size = (int64_t)neo_dtype_size(p->variant->te.buffer[access->buffer].dtype);
  int64_t stride = neo_access_stride(access, &p->variant->te, p->layout[access->buffer], inner, 1);
  if (stride == NEO_STRIDE_ODD)
    return JUMPY;
  return stride * size > NEO_COST_LINE && stride * size * b->te->extent[inner] > LONG_WALK ? JUMPY
                                                                                           : 1;
}

/* Footprints of block b's accesses when it covers `cover`, at path position k. */
static void note_block(const neo_cost_plan *p, neo_cost_traffic *t, int block, int k,
                       const int64_t *cover) {
  const neo_cost_body *b = &p->block[block];
  for (int i = 0; i < b->facts->n_access; i++) {
    const neo_access *access = &b->facts->access[i];
    if (is_local(p, access->buffer)) {
      const neo_cost_body *w = &p->block[p->variant->facts.writer[access->buffer]];
      if (w->scope == NEO_SCOPE_REG)
        continue;
      double region = (double)neo_dtype_size(p->variant->te.buffer[access->buffer].dtype);
      for (int a = 0; a < w->te->n_spatial; a++)
        region *= (double)w->extent[a];
      note(t, access->buffer, t->lines ? 1 : weight_of(p, b, access), k,
           fmin(region, footprint(p, access, cover, t->lines)));
      continue;
    }
    note(t, access->buffer, t->lines ? 1 : weight_of(p, b, access), k,
         footprint(p, access, cover, t->lines));
  }
}

/* The attached block with most work: its loops continue the path. */
static int heavy_block(const neo_cost_plan *p, int root) {
  int best = -1;
  double most = 0;
  for (int k = 0; k < p->variant->te.n_blocks; k++) {
    if (p->block[k].at != root)
      continue;
    double points = p->block[k].runs;
    for (int a = 0; a < p->block[k].te->n_spatial + p->block[k].te->n_reduce; a++)
      points *= (double)p->block[k].extent[a];
    if (points > most && p->block[k].te->n_reduce > 0) {
      most = points;
      best = k;
    }
  }
  return best;
}

void neo_cost_collect_traffic(const neo_cost_plan *p, int root, neo_cost_traffic *t) {
  const neo_cost_body *r = &p->block[root];
  int heavy = heavy_block(p, root);
  int outer = heavy >= 0 ? p->block[heavy].depth : r->n_loops;
  t->n = 0;
  for (int i = 0; i < outer && t->n < NEO_COST_MAX_PATH; i++)
    t->trip[t->n++] = r->loops[i].trip;
  for (int k = 0; k <= outer; k++) {
    neo_cost_covers cover;
    neo_cost_find_covers(p, root, k, 0, cover);
    note_block(p, t, root, k, cover[root]);
    for (int q = root - 1; q >= 0; q--)
      if (neo_cost_is_inside(p, q, root) && !(p->block[q].at == root && p->block[q].depth < k))
        note_block(p, t, q, k, cover[q]);
  }
  if (heavy < 0)
    return;
  const neo_cost_body *h = &p->block[heavy];
  for (int k = 1; k <= h->n_loops && t->n < NEO_COST_MAX_PATH; k++) {
    int64_t cover[NEO_TE_MAX_AXES];
    t->trip[t->n++] = h->loops[k - 1].trip;
    neo_cost_cover_from(h, k, cover);
    note_block(p, t, heavy, t->n, cover);
  }
}

double neo_cost_bytes_into(const neo_cost_traffic *t, double capacity) {
  int k = 0;
  for (; k < t->n; k++) {
    double total = 0;
    for (int i = 0; i < t->n_buffers; i++)
      total += t->bytes[i][k];
    if (total <= capacity)
      break;
  }
  double sum = 0;
  for (int i = 0; i < t->n_buffers; i++) {
    double bytes = t->bytes[i][k];
    bool moved = false;
    for (int j = k - 1; j >= 0; j--) {
      bool moves = t->bytes[i][j] > t->bytes[i][j + 1] * 1.0001;
      if (moved)
        bytes *= (double)t->trip[j];
      else if (moves)
        bytes *= t->bytes[i][j + 1] > 0 ? t->bytes[i][j] / t->bytes[i][j + 1] : 1;
      if (bytes == 0)
        bytes = t->bytes[i][j];
      moved = moved || moves;
    }
    sum += bytes * t->weight[i];
  }
  return sum;
}

double neo_cost_constant_bytes(const neo_cost_plan *p, const neo_cost_traffic *t) {
  double sum = 0;
  for (int i = 0; i < t->n_buffers; i++)
    if (p->variant->te.buffer[t->buffer[i]].role == NEO_TE_CONST)
      sum += t->bytes[i][0];
  return sum;
}
