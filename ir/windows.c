/* ir/windows.c: which concatenations and slices need no code.
 *
 * Why: a concatenation of feature maps reads and writes all of them only to put them side by side;
 * their producers can write them there. The same holds for parts that are read where they lie.
 *
 * How: a group is a candidate if its te only moves boxes: every block loads one element of one
 * input, all indices being an axis plus a number. If each block fills a whole output, the outputs
 * are windows of the input (slice, split); if all fill one output, each with a whole input, the
 * inputs are windows of the output (concat). Groups are visited last first, so that of
 * concatenations that grow (DenseNet's) the longest one takes the parts, and an earlier one whose
 * parts are already neighbours in it becomes a window of it, too.
 *
 * A part stays where it is, and the concatenation is a kernel, if its memory is not ours to choose
 * or has an owner already: graph inputs, constants, outputs, what control flow touches, values of
 * unknown extent, what stands in a concatenation twice or in two of them.
 *
 * Invariants: 1. windows of one whole only overlap if one is part of the other. 2. A window is made
 * in the region (neo_graph_flatten) of the group that is needless for it. 3. No window and no whole
 * is a graph's input or output, or a view of one. 4. What views or runtime operators touch is
 * contiguous in the row-major whole, all the way up. */
#include "ir/windows.h"

#include <string.h>

typedef struct finder {
  const neo_partition *partition;
  const neo_graph *graph;
  int *producer; /* by value: group, or -1 */
  bool *pinned;  /* by value: its memory is not ours to choose */
  bool *dense;   /* by value: someone needs it contiguous */
  neo_windows *out;
} finder;

int neo_windows_whole(const neo_windows *windows, int v) {
  while (windows->of[v].base >= 0)
    v = windows->of[v].base;
  return v;
}

/* ---- what values are used for ---------------------------------------------------------------- */

static void pin_flow(finder *f, const neo_group *group) {
  for (int i = 0; i < group->n_nodes; i++) {
    const neo_node *node = &f->graph->node[group->node[i]];
    for (int k = 0; k < node->n_inputs; k++)
      if (node->input[k] != NEO_NO_VALUE)
        f->pinned[node->input[k]] = true;
    for (int k = 0; k < node->n_outputs; k++)
      f->pinned[node->output[k]] = true;
  }
}

static void note_group(finder *f, int g) {
  const neo_group *group = &f->partition->group[g];
  for (int i = 0; i < group->n_args; i++) {
    if (group->arg[i] == NEO_NO_VALUE)
      continue;
    if (i >= group->n_args - group->n_outputs)
      f->producer[group->arg[i]] = g;
    if (group->kind != NEO_STEP_TE) {
      f->dense[group->arg[i]] = true;
      f->out->untouched[group->arg[i]] = false;
    }
  }
  if (group->kind == NEO_STEP_FLOW)
    pin_flow(f, group);
}

/* A view is the memory of what it views. */
static void pin_along_views(finder *f) {
  const neo_partition *partition = f->partition;
  for (int step = 0; step < 2 * partition->n_groups; step++) {
    bool back = step < partition->n_groups;
    const neo_group *group =
        &partition->group[back ? partition->n_groups - 1 - step : step - partition->n_groups];
    if (group->kind != NEO_STEP_VIEW)
      continue;
    int in = group->arg[0], out = group->arg[group->n_args - 1];
    if (back)
      f->pinned[in] = f->pinned[in] || f->pinned[out];
    else
      f->pinned[out] = f->pinned[out] || f->pinned[in];
  }
}

static void note_uses(finder *f) {
  const neo_graph *graph = f->graph;
  for (int v = 0; v < graph->n_values; v++) {
    const neo_value *value = &graph->value[v];
    f->producer[v] = f->out->of[v].base = -1;
    f->out->untouched[v] = true;
    f->pinned[v] =
        f->pinned[v] || value->is_input || value->constant || value->node < 0 || value->bounded;
    if (value->bounded)
      f->pinned[value->count] = true;
  }
  for (int o = 0; o < graph->n_outputs; o++)
    f->pinned[graph->output[o]] = true;
  for (int g = 0; g < f->partition->n_groups; g++)
    note_group(f, g);
  pin_along_views(f);
}

/* ---- what a te moves ------------------------------------------------------------------------- */

/* A block that copies a box: element i of it from start `from` of buffer `in` to start `to`. */
typedef struct move {
  int in, out; /* te buffers */
  int64_t from[NEO_MAX_RANK], to[NEO_MAX_RANK];
} move;

static bool axis_plus(const neo_expr *e, int axis, int64_t extent, int64_t *out) {
  neo_affine affine;
  if (!neo_expr_affine(e, &affine))
    return false;
  *out = affine.base;
  if (extent == 1 && affine.n == 0)
    return true;
  return affine.n == 1 && affine.var[0] == axis && affine.coef[0] == 1;
}

static bool read_move(const neo_te *te, const neo_te_block *block, move *out) {
  const neo_expr *load = block->body;
  int rank = te->buffer[block->buffer].shape.rank;
  if (block->n_reduce > 0 || load->op != NEO_EXPR_LOAD || load->u.load.n_guards > 0 ||
      te->buffer[load->u.load.buffer].role != NEO_TE_IN ||
      te->buffer[block->buffer].role != NEO_TE_OUT || block->n_spatial != rank ||
      load->n_args != rank)
    return false;
  out->in = load->u.load.buffer;
  out->out = block->buffer;
  for (int d = 0; d < rank; d++)
    if (!axis_plus(load->arg[d], d, block->extent[d], &out->from[d]) ||
        !axis_plus(block->write[d], d, block->extent[d], &out->to[d]))
      return false;
  return true;
}

static bool is_whole(const neo_te_block *block, const neo_shape *shape) {
  for (int d = 0; d < shape->rank; d++)
    if (block->extent[d] != shape->dim[d])
      return false;
  return true;
}

/* ---- windows --------------------------------------------------------------------------------- */

/* Is the box one piece of the row-major whole? */
static bool is_contiguous(const neo_shape *box, const neo_shape *whole) {
  int d = 0;
  while (d < box->rank && box->dim[d] == 1)
    d++;
  for (d++; d < box->rank; d++)
    if (box->dim[d] != whole->dim[d])
      return false;
  return true;
}

static bool may_be_window(const finder *f, int v, int base, int region) {
  const neo_value *value = &f->graph->value[v];
  if (f->pinned[v] || f->pinned[base] || f->out->of[v].base >= 0 || f->producer[v] < 0 ||
      f->partition->group[f->producer[v]].region != region)
    return false;
  for (int inner = v, at = base; f->dense[v] && at >= 0; inner = at, at = f->out->of[at].base)
    if (!is_contiguous(&f->graph->value[inner].shape, &f->graph->value[at].shape))
      return false;
  return value->shape.rank > 0 && neo_windows_whole(f->out, base) != v;
}

static void set_window(finder *f, int v, int base, const int64_t *start) {
  f->out->of[v].base = base;
  memcpy(f->out->of[v].start, start, sizeof f->out->of[v].start);
  for (; base >= 0 && f->dense[v]; base = f->out->of[base].base)
    f->dense[base] = true;
}

/* Every block writes a whole output of its own. */
static bool try_slices(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  const neo_te *te = &group->te;
  if (te->n_blocks != group->n_outputs)
    return false;
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_shape *shape = &te->buffer[moves[k].out].shape;
    int whole = value[moves[k].in];
    if (!is_whole(&te->block[k], shape) || shape->rank != f->graph->value[whole].shape.rank ||
        f->graph->value[whole].node < 0 ||
        !may_be_window(f, value[moves[k].out], whole, group->region))
      return false;
    for (int j = 0; j < k; j++)
      if (moves[j].out == moves[k].out)
        return false;
  }
  for (int k = 0; k < te->n_blocks; k++)
    set_window(f, value[moves[k].out], value[moves[k].in], moves[k].from);
  return true;
}

/* Are the parts neighbours in another whole already, as they are in `out`? Then `out` is there. */
static bool try_neighbours(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  int out = value[moves[0].out], base = -1, rank = f->graph->value[out].shape.rank;
  int64_t start[NEO_MAX_RANK] = {0};
  for (int k = 0; k < group->te.n_blocks; k++) {
    const neo_window *window = &f->out->of[value[moves[k].in]];
    if (window->base < 0 || (k > 0 && window->base != base))
      return false;
    base = window->base;
    for (int d = 0; d < rank; d++) {
      if (k > 0 && window->start[d] - moves[k].to[d] != start[d])
        return false;
      start[d] = window->start[d] - moves[k].to[d];
    }
  }
  if (!may_be_window(f, out, base, group->region))
    return false;
  set_window(f, out, base, start);
  return true;
}

/* Every block writes a whole input to its place in the one output. */
static bool try_concat(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  const neo_te *te = &group->te;
  if (group->n_outputs != 1)
    return false;
  for (int k = 0; k < te->n_blocks; k++)
    if (!is_whole(&te->block[k], &te->buffer[moves[k].in].shape))
      return false;
  if (try_neighbours(f, g, moves, value))
    return true;
  for (int k = 0; k < te->n_blocks; k++) {
    int part = value[moves[k].in];
    if (!may_be_window(f, part, value[moves[k].out], group->region) ||
        f->partition->group[f->producer[part]].kind != NEO_STEP_TE)
      return false;
    for (int j = 0; j < k; j++)
      if (value[moves[j].in] == part)
        return false;
  }
  for (int k = 0; k < te->n_blocks; k++)
    set_window(f, value[moves[k].in], value[moves[k].out], moves[k].to);
  return true;
}

static void try_group(finder *f, int g) {
  const neo_group *group = &f->partition->group[g];
  move moves[NEO_TE_MAX_BLOCKS];
  int value[NEO_TE_MAX_BUFFERS], arg = 0;
  if (group->kind != NEO_STEP_TE || group->te.n_blocks == 0)
    return;
  for (int b = 0; b < group->te.n_buffers; b++)
    value[b] = group->te.buffer[b].role == NEO_TE_TMP ? NEO_NO_VALUE : group->arg[arg++];
  memset(moves, 0, sizeof moves);
  for (int k = 0; k < group->te.n_blocks; k++)
    if (!read_move(&group->te, &group->te.block[k], &moves[k]))
      return;
  f->out->needless[g] = try_slices(f, g, moves, value) || try_concat(f, g, moves, value);
}

void neo_windows_find(const neo_partition *partition, neo_arena *arena, neo_windows *out) {
  const neo_graph *graph = partition->graph;
  size_t n = (size_t)graph->n_values + 1;
  neo_windows made = {.of = neo_arena_alloc(arena, sizeof(neo_window) * n),
                      .needless =
                          neo_arena_alloc(arena, sizeof(bool) * (size_t)(partition->n_groups + 1)),
                      .untouched = neo_arena_alloc(arena, sizeof(bool) * n)};
  finder f = {.partition = partition, .graph = graph, .out = &made};
  f.producer = neo_arena_alloc(arena, sizeof(int) * n);
  f.pinned = neo_arena_alloc(arena, sizeof(bool) * n);
  f.dense = neo_arena_alloc(arena, sizeof(bool) * n);
  note_uses(&f);
  for (int g = partition->n_groups - 1; g >= 0; g--)
    try_group(&f, g);
  *out = made;
}
