/* What the rules of GPUs' tiles share: finding a reduction and the copies of its operands,
 * decisions, and how much a group may copy. */
#include "schedule/space_gpu.h"

#include <string.h>

const neo_te_block *neo_gpu_reduction(const neo_gpu_tile *t) {
  return &t->te->block[t->red];
}

bool neo_gpu_find_reduction(neo_builder *b, int block, neo_gpu_tile *out) {
  neo_gpu_tile t = {.b = b, .te = &b->variant->te, .out = block};
  const neo_block_facts *facts = &b->variant->facts.block[block];
  if (t.te->block[block].n_reduce > 0) {
    t.red = block;
    for (int a = 0; a < t.te->block[block].n_spatial; a++)
      t.of_red[a] = a;
    *out = t;
    return true;
  }
  for (int i = 1; i < facts->n_access; i++) {
    t.red = neo_builder_producer(b, block, i);
    if (t.red >= 0 && !b->done[t.red] && neo_gpu_reduction(&t)->n_reduce > 0 &&
        neo_access_maps_axes(&facts->access[i], &t.te->block[block], neo_gpu_reduction(&t),
                             t.of_red)) {
      *out = t;
      return true;
    }
  }
  return false;
}

int neo_gpu_red_axis(const neo_gpu_tile *t, int out_axis) {
  for (int a = 0; a < neo_gpu_reduction(t)->n_spatial; a++)
    if (t->of_red[a] == out_axis)
      return a;
  return -1;
}

bool neo_gpu_find_copies(neo_gpu_tile *t) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  bool known[NEO_TE_MAX_BLOCKS] = {false}; /* one that is read twice is one copy */
  if (strcmp(t->b->variant->alg, "stage") != 0)
    return true;
  for (int i = 1; i < red->n_access; i++) {
    int p = neo_builder_producer(t->b, t->red, i);
    if (p < 0 || t->b->done[p] || t->te->block[p].n_reduce > 0 || known[p])
      continue;
    known[p] = true;
    t->copy[t->n_copies++] = p;
  }
  return t->n_copies > 0;
}

/* ---- decisions --------------------------------------------------------------------------------------- */

int neo_gpu_divisors(neo_builder *b, const char *name, int64_t n, int64_t most) {
  int d = neo_builder_decision(b, name, false);
  neo_builder_divisors(b, d, n, most);
  return d;
}

int neo_gpu_powers(neo_builder *b, const char *name, int64_t n, int64_t most, bool divide) {
  int d = neo_builder_decision(b, name, false);
  for (int64_t k = 1; k <= most && k <= n; k *= 2)
    if (!divide || n % k == 0)
      neo_builder_value(b, d, k);
  return d;
}

/* ---- vectors ---- */

int neo_gpu_vector_lanes(const neo_builder *b, int block, int axis) {
  enum { LEAST = 4, BYTES = 16 };
  const neo_te *te = &b->variant->te;
  const neo_block_facts *facts = &b->variant->facts.block[block];
  int most = LEAST;
  for (int i = 0; i < facts->n_access; i++) {
    const neo_access *access = &facts->access[i];
    int lanes = BYTES / (int)neo_dtype_size(te->buffer[access->buffer].dtype);
    if (lanes > most && neo_access_stride(access, te, &b->layout[access->buffer], axis, lanes) == 1)
      most = lanes;
  }
  return most;
}

int neo_gpu_copy_axis(const neo_builder *b, int block) {
  const neo_te *te = &b->variant->te;
  const neo_block_facts *facts = &b->variant->facts.block[block];
  int axis = te->block[block].n_reduce > 0 ? -1 : neo_builder_unit_axis(b, block, 4);
  for (int i = 1; axis >= 0 && i < facts->n_access; i++) {
    const neo_access *load = &facts->access[i];
    int64_t stride = neo_access_stride(load, te, &b->layout[load->buffer], axis, 4);
    if ((stride != 0 && stride != 1) || load->indirect ||
        (load->guarded && (load->guard_axes >> axis & 1)))
      axis = -1;
  }
  return axis;
}

void neo_gpu_vectors(neo_builder *b, int block, int axis, int decision) {
  neo_slot *split = neo_builder_slot(b, NEO_INSTR_SPLIT, block);
  split->instr.axis = (int16_t)axis;
  neo_slot_arg_hole(split, decision, 1);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, block);
  for (int a = 0; a < b->variant->te.block[block].n_spatial; a++)
    neo_slot_loop(order, a, 0);
  neo_slot_loop(order, axis, 1);
  neo_builder_mark(b, NEO_INSTR_VECTOR, block, axis, 1);
}

/* ---- copies ---- */

static bool is_tiled(const neo_gpu_part *part, int axis) {
  for (int i = 0; i < NEO_GPU_PARTS; i++)
    if (part[i].axis == axis)
      return true;
  return false;
}

void neo_gpu_limit_copy(neo_gpu_tile *t, int copy, int64_t share,
                        const neo_gpu_part part[NEO_GPU_PARTS]) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  const neo_te_block *block = neo_gpu_reduction(t);
  int buffer = t->te->block[copy].buffer, d[6], n = 0;
  int64_t bytes = (int64_t)neo_dtype_size(t->te->buffer[buffer].dtype);
  for (int i = 1; i < red->n_access; i++) {
    const neo_access *load = &red->access[i];
    if (load->buffer != buffer)
      continue;
    for (int dim = 0; dim < load->rank; dim++) {
      int64_t step = 0, window = 1;
      for (int a = 0; a < block->n_spatial + block->n_reduce; a++) {
        int64_t c = load->coef[dim][a] < 0 ? -load->coef[dim][a] : load->coef[dim][a];
        if (c == 0)
          continue;
        if (is_tiled(part, a))
          step += c;
        else if (a >= block->n_spatial)
          window += c * (block->extent[a] - 1);
      }
      bytes *= step > 0 ? step + window - 1 : window;
    }
    for (int p = 0; p < NEO_GPU_PARTS; p++) {
      if (part[p].axis < 0 || !neo_access_uses(load, part[p].axis))
        continue;
      bytes *= part[p].unit;
      for (int k = 0; k < 2 && n < NEO_COUNT(d); k++)
        if (part[p].decision[k] >= 0)
          d[n++] = part[p].decision[k];
    }
  }
  neo_builder_limit(t->b, NEO_LIMIT_PRODUCT, bytes, share, n, d);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

void neo_gpu_order_reduce(const neo_gpu_tile *t, neo_slot *order, int k, int levels) {
  const neo_te_block *block = neo_gpu_reduction(t);
  neo_slot_loop(order, k, 0);
  for (int a = block->n_spatial; a < block->n_spatial + block->n_reduce; a++)
    if (a != k)
      neo_slot_loop(order, a, 0);
  for (int level = 1; level < levels; level++)
    neo_slot_loop(order, k, level);
}

void neo_gpu_schedule_copies(neo_gpu_tile *t, int depth) {
  for (int i = 0; i < t->n_copies; i++) {
    neo_slot *at = neo_builder_slot(t->b, NEO_INSTR_AT, t->copy[i]);
    neo_slot_arg(at, t->red);
    neo_slot_arg(at, depth);
    neo_slot_arg(at, NEO_SCOPE_SHARED);
    t->b->done[t->copy[i]] = true;
  }
}
