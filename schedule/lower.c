/* Replay of a schedule over a te: the driver of the lowering.
 *
 * Why: one place that reads as the order of the steps.
 * How: rewrite, inline, plan; parameters and the buffers of root blocks are bound; each root
 * becomes one launch in block order; then areas are laid out and the nest is checked and counted.
 *
 * WORK buffers share memory when their lifetimes (launches from the writer to the last reader) do
 * not meet; SCRATCH buffers of different launches always do. */
#include "schedule/lower.h"

#include <string.h>

bool lower_fail(lowerer *l, const char *format, ...) {
  if (l->status != NEO_OK)
    return false;
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  l->status = neo_fail(l->ctx, NEO_BAD_INPUT, "%s", text);
  return false;
}

/* ---- buffers ---------------------------------------------------------------------------------------------- */

static void bind_whole(lowerer *l, int te_buffer, neo_scope scope) {
  const neo_te_buffer *b = &l->te->buffer[te_buffer];
  const neo_layout *layout = neo_schedule_layout(l->schedule, te_buffer);
  lower_binding *binding = &l->binding[te_buffer];
  binding->shape = b->shape;
  if (layout)
    binding->layout = *layout;
  int64_t elements =
      neo_layout_elements(&binding->layout, &binding->shape) + lower_slack(l, te_buffer);
  binding->buffer = lower_new_buffer(l, scope, b->dtype, elements, 1);
  neo_nest_buffer *made = &l->nest->buffer[binding->buffer];
  made->writable = scope == NEO_SCOPE_PARAM && b->role == NEO_TE_OUT;
  made->constant = scope == NEO_SCOPE_PARAM && b->role == NEO_TE_CONST;
}

static void bind_params(lowerer *l) {
  for (int b = 0; b < l->te->n_buffers; b++) {
    l->binding[b].buffer = -1;
    l->local[b] = -1;
  }
  for (int b = 0; b < NEO_TE_MAX_BLOCKS; b++)
    l->accumulator[b] = l->partial[b] = -1;
  for (int b = 0; b < l->te->n_buffers; b++)
    if (l->te->buffer[b].role != NEO_TE_TMP)
      bind_whole(l, b, NEO_SCOPE_PARAM);
  l->nest->n_params = l->nest->n_buffers;
}

/* ---- areas ------------------------------------------------------------------------------------------------- */

typedef struct lifetime {
  int buffer, first, last; /* launches */
} lifetime;

static int root_of(const lowerer *l, int block) {
  while (l->block[block].consumer >= 0)
    block = l->block[block].consumer;
  return block;
}

/* Launch number of each root; -1 for other blocks. */
static void number_launches(const lowerer *l, int *launch) {
  int n = 0;
  for (int b = 0; b < l->te->n_blocks; b++)
    launch[b] = l->block[b].inlined || l->block[b].consumer >= 0 ? -1 : n++;
}

static int64_t aligned_bytes(const neo_nest_buffer *b) {
  return neo_ceil_div(b->elements * (int64_t)neo_dtype_size(b->dtype), 64) * 64;
}

/* The lowest offset at which `mine` meets none of the placed buffers that live at the same time. */
static int64_t place(const neo_nest *nest, const lifetime *placed, int n, const lifetime *mine) {
  int64_t offset = 0, size = aligned_bytes(&nest->buffer[mine->buffer]);
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < n; i++) {
      const neo_nest_buffer *other = &nest->buffer[placed[i].buffer];
      bool meets = placed[i].first <= mine->last && mine->first <= placed[i].last;
      if (meets && offset < other->offset + aligned_bytes(other) && other->offset < offset + size) {
        offset = other->offset + aligned_bytes(other);
        moved = true;
      }
    }
  }
  return offset;
}

static lifetime work_lifetime(const lowerer *l, const int *launch, int te_buffer) {
  lifetime life = {l->binding[te_buffer].buffer, 0, 0};
  for (int b = 0; b < l->te->n_blocks; b++) {
    if (l->block[b].inlined)
      continue;
    int at = launch[root_of(l, b)];
    if (l->te->block[b].buffer == te_buffer)
      life.first = life.last = at;
    else if (lower_reads(&l->te->block[b], te_buffer))
      life.last = at > life.last ? at : life.last;
  }
  return life;
}

static void lay_out_areas(lowerer *l) {
  neo_nest *nest = l->nest;
  lifetime work[NEO_NEST_MAX_BUFFERS], scratch[NEO_NEST_MAX_BUFFERS];
  int n_work = 0, n_scratch = 0, launch[NEO_TE_MAX_BLOCKS];
  number_launches(l, launch);
  for (int b = 0; b < l->te->n_buffers; b++) {
    int made = l->binding[b].buffer;
    if (made < 0 || nest->buffer[made].scope != NEO_SCOPE_WORK)
      continue;
    work[n_work] = work_lifetime(l, launch, b);
    nest->buffer[made].offset = place(nest, work, n_work, &work[n_work]);
    n_work++;
  }
  for (int i = 0; i < nest->n_buffers; i++) {
    if (nest->buffer[i].scope != NEO_SCOPE_SCRATCH)
      continue;
    scratch[n_scratch] = (lifetime){i, l->launch_of[i], l->launch_of[i]};
    nest->buffer[i].offset = place(nest, scratch, n_scratch, &scratch[n_scratch]);
    n_scratch++;
  }
  neo_nest_areas(nest);
}

/* ---- limits ------------------------------------------------------------------------------------------------- */

#define MAX_STATEMENTS 32768

/* Statements that a code generator prints, unrolled loops counted as often as they run. */
static int64_t unrolled_statements(const neo_stmt *list) {
  int64_t sum = 0, n, inside;
  for (; list; list = list->next) {
    switch (list->kind) {
    case NEO_STMT_FOR:
      n = list->u.loop.unrolled && neo_expr_is_const(list->u.loop.extent, &n) ? n : 1;
      inside = unrolled_statements(list->u.loop.body);
      sum += n > MAX_STATEMENTS ? MAX_STATEMENTS + 1 : n * inside;
      break;
    case NEO_STMT_IF:
      sum +=
          unrolled_statements(list->u.branch.then) + unrolled_statements(list->u.branch.otherwise);
      break;
    case NEO_STMT_LET:
      sum += unrolled_statements(list->u.let.body);
      break;
    default:
      sum++;
    }
    if (sum > MAX_STATEMENTS)
      return MAX_STATEMENTS + 1;
  }
  return sum;
}

/* What a group of the target's GPU may have. */
static bool check_group(lowerer *l) {
  const neo_gpu *gpu = &l->target->gpu;
  int64_t shared = 0;
  for (int i = 0; i < l->nest->n_buffers; i++)
    if (l->nest->buffer[i].scope == NEO_SCOPE_SHARED)
      shared += aligned_bytes(&l->nest->buffer[i]);
  if (shared > gpu->shared)
    return lower_fail(l, "schedule: a group shares %lld bytes, %lld at most", (long long)shared,
                      (long long)gpu->shared);
  for (int i = 0; i < l->nest->n_launches; i++)
    if (l->nest->launch[i].lanes > gpu->items)
      return lower_fail(l, "schedule: a group of %d work-items, %d at most",
                        l->nest->launch[i].lanes, gpu->items);
  return true;
}

static bool check_size(lowerer *l) {
  if (l->target && neo_target_is_gpu(l->target) && !check_group(l))
    return false;
  for (int i = 0; i < l->nest->n_launches; i++)
    if (unrolled_statements(l->nest->launch[i].body) > MAX_STATEMENTS)
      return lower_fail(l, "schedule: unrolling makes more than %d statements", MAX_STATEMENTS);
  return true;
}

/* ---- the steps ------------------------------------------------------------------------------------------------ */

static bool lower_blocks(lowerer *l) {
  if (!lower_plan(l))
    return false;
  bind_params(l);
  for (int b = 0; b < l->te->n_blocks && l->status == NEO_OK; b++) {
    const lower_block *block = &l->block[b];
    if (block->inlined || block->consumer >= 0)
      continue;
    if (l->te->buffer[block->te->buffer].role == NEO_TE_TMP)
      bind_whole(l, block->te->buffer, NEO_SCOPE_WORK);
    if (l->status == NEO_OK)
      lower_root(l, block);
  }
  return l->status == NEO_OK;
}

neo_status neo_schedule_lower(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                              const neo_target *target, neo_arena *arena, neo_nest *out) {
  neo_te *made = neo_arena_alloc(arena, sizeof(*made));
  NEO_TRY(neo_schedule_rewrite(ctx, te, schedule, arena, made));
  NEO_TRY(neo_lower_inline(ctx, schedule, made));
  lowerer *l = neo_arena_alloc(arena, sizeof(*l));
  l->ctx = ctx;
  l->arena = arena;
  l->te = made;
  l->schedule = schedule;
  l->target = target;
  l->nest = neo_arena_alloc(arena, sizeof(*l->nest));
  l->nest->arena = arena;
  l->facts.range = l->range;
  if (!lower_blocks(l) || !check_size(l))
    return l->status;
  lay_out_areas(l);
  NEO_TRY(neo_nest_check(ctx, l->nest));
  neo_nest_count(l->nest);
  *out = *l->nest;
  return NEO_OK;
}
