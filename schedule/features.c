/* Features of a candidate for the learned cost model: knobs and the terms of the analytic model.
 *
 * Why: extraction, not scoring, limits how many drafts a search can rank; so nothing is lowered
 * here. How: fixed positions, logarithms of sizes, ratios as they are. Positions are part of a
 * model's meaning: append, never renumber; and count NEO_FEATURE_VERSION up. */
#include "schedule/analytic.h"

#include <math.h>
#include <string.h>

enum { AT_COST = 0, AT_TARGET = 24, AT_SHAPE = 32, AT_SKETCH = 46, AT_DECISION = 52 };

static float log_of(double v) {
  return (float)log2(1 + fmax(v, 0));
}

static void cost_features(const neo_cost *c, float *out) {
  const double logs[] = {c->ns,        c->compute,  c->ideal,        c->fma,
                         c->load,      c->latency,  c->overhead,     c->copy,
                         c->epilogue,  c->l2_bytes, c->l3_bytes,     c->dram_bytes,
                         c->scattered, c->grid,     c->accumulators, c->tile_v,
                         c->tile_1,    c->code,     c->packed_bytes, c->scratch_bytes};
  int n = AT_COST;
  for (int i = 0; i < NEO_COUNT(logs); i++)
    out[n++] = log_of(logs[i]);
  out[n++] = (float)c->balance;
  out[n++] = (float)c->launches;
  out[n++] = (float)(c->ideal / fmax(c->compute, 1));
  out[n++] = (float)(c->fma / fmax(c->fma + c->overhead, 1));
  neo_assert(n <= AT_TARGET);
}

static void target_features(const neo_space *space, float *out) {
  const neo_target *t = &space->target;
  out[AT_TARGET + 0] = (float)t->vector_bytes;
  out[AT_TARGET + 1] = (float)t->vector_registers;
  out[AT_TARGET + 2] = log_of((double)t->l1d);
  out[AT_TARGET + 3] = log_of((double)t->l2);
  out[AT_TARGET + 4] = log_of((double)t->l3);
  out[AT_TARGET + 5] = (float)space->options.threads;
  out[AT_TARGET + 6] = (float)t->fma_ports;
}

static void shape_features(const neo_variant *variant, float *out) {
  const neo_te *te = &variant->te;
  int heavy = 0;
  double most = -1;
  for (int k = 0; k < te->n_blocks; k++) {
    double points = 1;
    for (int a = 0; a < te->block[k].n_spatial + te->block[k].n_reduce; a++)
      points *= (double)te->block[k].extent[a];
    if (points > most) {
      most = points;
      heavy = k;
    }
  }
  const neo_te_block *block = &te->block[heavy];
  for (int i = 0; i < 5; i++)
    out[AT_SHAPE + i] =
        i < block->n_spatial ? log_of((double)block->extent[block->n_spatial - 1 - i]) : 0;
  for (int i = 0; i < 4; i++)
    out[AT_SHAPE + 5 + i] =
        i < block->n_reduce
            ? log_of((double)block->extent[block->n_spatial + block->n_reduce - 1 - i])
            : 0;
  out[AT_SHAPE + 9] = log_of(most);
  out[AT_SHAPE + 10] = (float)te->n_blocks;
  out[AT_SHAPE + 11] = (float)te->n_buffers;
  out[AT_SHAPE + 12] = log_of(neo_te_bytes(te));
}

void neo_space_features(const neo_space *space, const neo_candidate *candidate, float *out) {
  memset(out, 0, sizeof(float) * NEO_FEATURES);
  const neo_sketch *sketch = space->sketch[candidate->sketch];
  const neo_variant *variant = space->variant[sketch->variant];
  neo_schedule line;
  neo_cost cost;
  neo_space_schedule(space, candidate, &line);
  neo_cost_options options = {&space->target, space->options.threads, false, 0};
  neo_cost_find(variant, &line, &options, &cost);
  cost_features(&cost, out);
  target_features(space, out);
  shape_features(variant, out);
  out[AT_SKETCH + 0] = (float)sketch->variant;
  out[AT_SKETCH + 1] = (float)sketch->rules;
  out[AT_SKETCH + 2] = (float)line.n;
  out[AT_SKETCH + 3] = (float)(neo_hash64(variant->alg, strlen(variant->alg)) % 64);
  for (int d = 0; d < sketch->n_decisions && AT_DECISION + d < NEO_FEATURES; d++)
    out[AT_DECISION + d] = sketch->decision[d].choice
                               ? (float)candidate->decision[d]
                               : log_of(neo_sketch_value(sketch, candidate, d));
}
