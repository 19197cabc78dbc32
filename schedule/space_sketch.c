/* Sketch building: what rules call to add decisions, limits and instruction slots.
 *
 * Why: rules say what a schedule looks like and which numbers are open; they never see candidates.
 * How: a sketch's arrays grow in the space's arena; overflow marks the builder failed and the
 * sketch is dropped as a whole, so that rules need no error paths. */
#include "schedule/sketch.h"

#include <string.h>

#define X(name) extern const neo_rule neo_rule_##name;
#include "schedule/rules.def"
#undef X

static const neo_rule *const rows[] = {
#define X(name) &neo_rule_##name,
#include "schedule/rules.def"
#undef X
};

int neo_rule_count(void) {
  return NEO_COUNT(rows);
}

const neo_rule *neo_rule_get(int row) {
  neo_assert(row >= 0 && row < NEO_COUNT(rows));
  return rows[row];
}

bool neo_builder_take_one(neo_builder *b) {
  b->more = b->choice == 0;
  b->choice -= b->choice > 0;
  return b->more;
}

int neo_builder_decision(neo_builder *b, const char *name, bool choice) {
  neo_sketch *sketch = b->sketch;
  if (sketch->n_decisions == NEO_SKETCH_DECISIONS) {
    b->failed = true;
    return -1;
  }
  neo_decision *decision = &sketch->decision[sketch->n_decisions];
  memset(decision, 0, sizeof(*decision));
  decision->name = name;
  decision->choice = choice;
  return sketch->n_decisions++;
}

void neo_builder_value(neo_builder *b, int decision, int64_t value) {
  if (decision < 0)
    return;
  neo_decision *d = &b->sketch->decision[decision];
  neo_assert(value >= 0 && value <= INT32_MAX);
  neo_assert(d->choice || d->n == 0 || value >= d->value[d->n - 1]);
  if (d->n > 0 && !d->choice && d->value[d->n - 1] == value)
    return;
  if (d->n < NEO_SKETCH_DOMAIN)
    d->value[d->n++] = (int32_t)value;
  else
    d->value[d->n - 1] = (int32_t)value;
}

void neo_builder_ladder(neo_builder *b, int decision, int64_t most) {
  for (int64_t step = 1; step < most; step *= 2) {
    neo_builder_value(b, decision, step);
    if (step >= 2 && step + step / 2 < most)
      neo_builder_value(b, decision, step + step / 2);
  }
  neo_builder_value(b, decision, most);
}

void neo_builder_divisors(neo_builder *b, int decision, int64_t n, int64_t most) {
  for (int64_t k = 1; k <= most && k <= n; k++)
    if (n % k == 0)
      neo_builder_value(b, decision, k);
}

void neo_builder_limit(neo_builder *b, neo_limit_kind kind, int64_t a, int64_t bound, int n,
                       const int *d) {
  neo_sketch *sketch = b->sketch;
  if (sketch->n_limits == NEO_SKETCH_LIMITS) {
    b->failed = true;
    return;
  }
  neo_limit *limit = &sketch->limit[sketch->n_limits++];
  *limit = (neo_limit){.kind = kind, .a = a, .b = bound};
  for (int i = 0; i < n; i++)
    if (d[i] >= 0 || (kind == NEO_LIMIT_REGISTERS && i == 0) ||
        (kind == NEO_LIMIT_DIVIDES && i == 1))
      limit->d[limit->n++] = d[i];
}

neo_slot *neo_builder_slot(neo_builder *b, neo_instr_kind kind, int block) {
  neo_sketch *sketch = b->sketch;
  if (sketch->n_slots == NEO_SCHEDULE_MAX_INSTRS) {
    b->failed = true;
    sketch->n_slots--;
  }
  sketch->slot = neo_arena_grow(&b->space->arena, sketch->slot, &sketch->cap_slots,
                                sketch->n_slots + 1, sizeof(neo_slot));
  neo_slot *slot = &sketch->slot[sketch->n_slots++];
  memset(slot, 0, sizeof(*slot));
  slot->choose = -1;
  slot->instr.kind = kind;
  slot->instr.block = (int16_t)block;
  slot->instr.buffer = slot->instr.axis = slot->instr.level = -1;
  return slot;
}

void neo_slot_when(neo_slot *slot, int choose, uint64_t when) {
  slot->choose = choose;
  slot->when = when;
}

void neo_slot_hole(neo_slot *slot, int where, int decision, int64_t scale) {
  neo_assert(slot->n_holes < NEO_SKETCH_HOLES);
  slot->hole[slot->n_holes++] = (neo_hole){(int16_t)where, (int16_t)decision, (int32_t)scale, 0};
}

void neo_slot_arg(neo_slot *slot, int64_t value) {
  neo_assert(slot->instr.n_args < NEO_SCHEDULE_MAX_ARGS);
  slot->instr.arg[slot->instr.n_args++] = (int32_t)value;
}

void neo_slot_arg_hole(neo_slot *slot, int decision, int64_t scale) {
  if (decision >= 0)
    neo_slot_hole(slot, slot->instr.n_args, decision, scale);
  neo_slot_arg(slot, scale);
}

void neo_slot_loop(neo_slot *slot, int axis, int level) {
  neo_slot_arg(slot, axis * 16 + level);
}

neo_slot *neo_builder_mark(neo_builder *b, neo_instr_kind kind, int block, int axis, int level) {
  neo_slot *slot = neo_builder_slot(b, kind, block);
  slot->instr.axis = (int16_t)axis;
  slot->instr.level = (int16_t)level;
  return slot;
}

neo_slot *neo_builder_lay(neo_builder *b, int buffer, const neo_layout *layout) {
  b->layout[buffer] = *layout;
  b->laid[buffer] = true;
  if (layout->n == 0)
    return NULL;
  bool constant = b->variant->te.buffer[buffer].role == NEO_TE_CONST;
  neo_slot *slot = neo_builder_slot(b, constant ? NEO_INSTR_PACK : NEO_INSTR_LAY, -1);
  slot->instr.buffer = (int16_t)buffer;
  slot->instr.layout = *layout;
  return slot;
}

void neo_layout_permutation(neo_layout *out, int rank, const int *dims) {
  memset(out, 0, sizeof(*out));
  bool same = true;
  for (int i = 0; i < rank; i++) {
    out->dim[i] = (neo_layout_dim){(int8_t)dims[i], ' ', 0};
    same = same && dims[i] == i;
  }
  out->n = same ? 0 : rank;
  if (same)
    memset(out, 0, sizeof(*out));
}

void neo_layout_with_last(neo_layout *out, int rank, int last) {
  int dims[NEO_MAX_RANK], n = 0;
  for (int i = 0; i < rank; i++)
    if (i != last)
      dims[n++] = i;
  if (rank > 0)
    dims[rank - 1] = last;
  neo_layout_permutation(out, rank, dims);
}

/* Indices, which are i64, are no values. */
static bool has_floats(const neo_expr *e) {
  bool found = neo_dtype_class(e->dtype) == 'f';
  for (int k = 0; k < e->n_args && !found && e->op != NEO_EXPR_LOAD; k++)
    found = has_floats(e->arg[k]);
  return found;
}

static size_t widest_access(const neo_builder *b, int block) {
  const neo_block_facts *facts = &b->variant->facts.block[block];
  size_t widest = 1;
  for (int i = 0; i < facts->n_access; i++) {
    size_t size = neo_dtype_size(b->variant->te.buffer[facts->access[i].buffer].dtype);
    widest = size > widest ? size : widest;
  }
  return widest;
}

int neo_builder_store_lanes(const neo_builder *b, int block) {
  return neo_target_lanes(&b->space->target, false, widest_access(b, block));
}

int neo_builder_lanes(const neo_builder *b, int block) {
  size_t widest = widest_access(b, block);
  return neo_target_lanes(&b->space->target, has_floats(b->variant->te.block[block].body), widest);
}

int neo_builder_producer(const neo_builder *b, int block, int access) {
  const neo_facts *facts = &b->variant->facts;
  int buffer = facts->block[block].access[access].buffer;
  if (b->variant->te.buffer[buffer].role != NEO_TE_TMP || facts->n_readers[buffer] != 1 ||
      facts->reader[buffer] != block)
    return -1;
  for (int i = 1; i < facts->block[block].n_access; i++)
    if (i != access && facts->block[block].access[i].buffer == buffer)
      return -1;
  return facts->writer[buffer];
}

int neo_builder_unit_axis(const neo_builder *b, int block, int lanes) {
  const neo_te *te = &b->variant->te;
  const neo_access *store = &b->variant->facts.block[block].access[0];
  for (int a = te->block[block].n_spatial - 1; a >= 0; a--)
    if (te->block[block].extent[a] > 1 &&
        neo_access_stride(store, te, &b->layout[store->buffer], a, lanes) == 1)
      return a;
  return -1;
}

/* How the block's laid operands move with its axis: -1 some lane by lane, 0 not at all, 1
 * contiguously. */
static int contiguity(const neo_builder *b, int block, int axis) {
  const neo_te *te = &b->variant->te;
  const neo_block_facts *facts = &b->variant->facts.block[block];
  int found = 0;
  for (int i = 1; i < facts->n_access; i++) {
    const neo_access *load = &facts->access[i];
    if (!b->laid[load->buffer])
      continue;
    int64_t stride = neo_access_stride(load, te, &b->layout[load->buffer], axis, 1);
    if (stride != 0 && stride != 1)
      return -1;
    found = stride == 1 ? 1 : found;
  }
  return found;
}

/* The dim of a TMP that should be innermost: what its reader wants, unless only another one suits
 * its writer. */
static int innermost_dim(const neo_builder *b, int buffer, int wanted) {
  int writer = b->variant->facts.writer[buffer];
  if (writer < 0 || (wanted >= 0 && contiguity(b, writer, wanted) >= 0))
    return wanted;
  for (int a = b->variant->te.block[writer].n_spatial - 1; a >= 0; a--)
    if (b->variant->te.block[writer].extent[a] > 1 && contiguity(b, writer, a) == 1)
      return a;
  return wanted;
}

void neo_builder_lay_reads(neo_builder *b, int block, int axis) {
  const neo_te *te = &b->variant->te;
  const neo_block_facts *facts = &b->variant->facts.block[block];
  for (int i = 1; i < facts->n_access; i++) {
    const neo_access *load = &facts->access[i];
    neo_te_role role = te->buffer[load->buffer].role;
    if (b->laid[load->buffer] || (role != NEO_TE_TMP && role != NEO_TE_CONST))
      continue;
    neo_layout layout = {0};
    int dim = axis < 0 ? -1 : neo_access_dim(load, axis);
    if (dim >= 0 && neo_access_stride(load, te, &layout, axis, 1) == 1)
      dim = load->rank - 1;
    dim = innermost_dim(b, load->buffer, dim);
    if (dim >= 0)
      neo_layout_with_last(&layout, load->rank, dim);
    neo_builder_lay(b, load->buffer, &layout);
  }
}

static int push_axis(const neo_te_block *block, int axis, int *axes, int n) {
  if (axis >= block->n_spatial)
    return n;
  for (int i = 0; i < n; i++)
    if (axes[i] == axis)
      return n;
  axes[n] = axis;
  return n + 1;
}

int neo_builder_walk(const neo_builder *b, int block, int *axes) {
  const neo_te_block *te_block = &b->variant->te.block[block];
  const neo_access *store = &b->variant->facts.block[block].access[0];
  const neo_layout *layout = &b->layout[store->buffer];
  int n = 0;
  for (int a = 0; a < te_block->n_spatial; a++)
    if (!neo_access_uses(store, a))
      n = push_axis(te_block, a, axes, n);
  int n_dims = layout->n == 0 ? store->rank : layout->n;
  for (int i = 0; i < n_dims; i++) {
    int dim = layout->n == 0 ? i : layout->dim[i].dim;
    for (;;) {
      int best = -1;
      for (int a = 0; a < te_block->n_spatial; a++) {
        bool placed = false;
        for (int k = 0; k < n; k++)
          placed = placed || axes[k] == a;
        if (!placed && store->coef[dim][a] != 0 &&
            (best < 0 || store->coef[dim][a] > store->coef[dim][best]))
          best = a;
      }
      if (best < 0)
        break;
      n = push_axis(te_block, best, axes, n);
    }
  }
  return n;
}
