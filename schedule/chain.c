/* Chains of blocks that go row by row (schedule/chain.h). */
#include "schedule/chain.h"

/* The one axis that dim d of this read is; -1 if it is anything else. */
static int plain_axis(const neo_access *read, int d) {
  int found = -1;
  for (int a = 0; a < NEO_TE_MAX_AXES; a++) {
    if (read->coef[d][a] == 0)
      continue;
    if (found >= 0 || read->coef[d][a] != 1)
      return -1;
    found = a;
  }
  return read->affine[d] && read->base[d] == 0 ? found : -1;
}

/* Narrows block x's carried axes by one read of its buffer in block y. */
static void note_read(neo_chain *c, int x, int y, const neo_access *read, bool first) {
  for (int r = 0; r < c->te->block[c->out].n_spatial; r++) {
    int found = -1;
    for (int d = 0; d < read->rank; d++)
      if (c->carry[y][r] >= 0 && plain_axis(read, d) == c->carry[y][r])
        found = d;
    if (first)
      c->carry[x][r] = found;
    else if (c->carry[x][r] != found)
      c->carry[x][r] = -1;
  }
}

bool neo_chain_find(neo_chain *c) {
  const neo_te_block *out = &c->te->block[c->out];
  for (int r = 0; r < out->n_spatial; r++) {
    c->carry[c->out][r] = r;
    c->row[r] = out->extent[r] > 1;
  }
  for (int x = c->out - 1; x >= 0; x--) {
    bool first = true;
    if (c->te->buffer[c->te->block[x].buffer].role != NEO_TE_TMP)
      return false;
    for (int y = x + 1; y <= c->out; y++)
      for (int i = 1; i < c->facts->block[y].n_access; i++)
        if (c->facts->block[y].access[i].buffer == c->te->block[x].buffer) {
          note_read(c, x, y, &c->facts->block[y].access[i], first);
          first = false;
        }
    for (int r = 0; r < out->n_spatial; r++)
      c->row[r] = c->row[r] && !first && c->carry[x][r] >= 0;
    if (first)
      return false;
  }
  return true;
}

bool neo_chain_is_row(const neo_chain *c, int block, int axis) {
  for (int r = 0; r < c->te->block[c->out].n_spatial; r++)
    if (c->row[r] && c->carry[block][r] == axis)
      return true;
  return false;
}

int64_t neo_chain_columns(const neo_chain *c, int block) {
  const neo_te_block *te = &c->te->block[block];
  int64_t n = 1;
  for (int a = 0; a < te->n_spatial; a++)
    if (!neo_chain_is_row(c, block, a))
      n *= te->extent[a];
  return n;
}
