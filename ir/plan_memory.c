/* ir/plan_memory.c: places buffers with known lifetimes into one arena.
 *
 * Greedy by size (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
 * 2020): the largest buffer first, each at the lowest-waste gap between the buffers already placed
 * that are alive at the same time. O(n^2), n is the number of values of a model.
 *
 * Invariant: two items whose step ranges overlap never overlap in bytes; offsets are 64-byte
 * aligned. */
#include "ir/graph.h"

#include <stdlib.h>

#define ALIGN 64

static int64_t round_up(int64_t bytes) {
  return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static int larger_first(const void *left, const void *right) {
  const neo_lifetime *a = *(const neo_lifetime *const *)left;
  const neo_lifetime *b = *(const neo_lifetime *const *)right;
  if (a->bytes != b->bytes)
    return a->bytes > b->bytes ? -1 : 1;
  if (a->first != b->first)
    return a->first < b->first ? -1 : 1;
  return a < b ? -1 : a > b;
}

/* `placed` is sorted by offset. */
static int64_t best_gap(neo_lifetime *const *placed, int n, const neo_lifetime *item) {
  int64_t end = 0, best = -1, best_waste = INT64_MAX, need = round_up(item->bytes);
  for (int i = 0; i < n; i++) {
    const neo_lifetime *other = placed[i];
    if (other->last < item->first || item->last < other->first)
      continue;
    int64_t gap = other->offset - end;
    if (gap >= need && gap - need < best_waste) {
      best = end;
      best_waste = gap - need;
    }
    end = neo_max_i64(end, other->offset + round_up(other->bytes));
  }
  return best >= 0 ? best : end;
}

static void insert_by_offset(neo_lifetime **placed, int n, neo_lifetime *item) {
  for (; n > 0 && placed[n - 1]->offset > item->offset; n--)
    placed[n] = placed[n - 1];
  placed[n] = item;
}

int64_t neo_plan_memory(neo_lifetime *item, int n) {
  neo_arena scratch;
  int64_t total = 0;
  neo_arena_init(&scratch);
  neo_lifetime **order = neo_arena_alloc(&scratch, sizeof(neo_lifetime *) * (size_t)(n + 1));
  neo_lifetime **placed = neo_arena_alloc(&scratch, sizeof(neo_lifetime *) * (size_t)(n + 1));
  for (int i = 0; i < n; i++)
    order[i] = &item[i];
  qsort(order, (size_t)n, sizeof *order, larger_first);
  for (int i = 0; i < n; i++) {
    order[i]->offset = best_gap(placed, i, order[i]);
    insert_by_offset(placed, i, order[i]);
    total = neo_max_i64(total, order[i]->offset + round_up(order[i]->bytes));
  }
  neo_arena_fini(&scratch);
  return total;
}
