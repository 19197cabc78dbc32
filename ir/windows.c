/* ir/windows.c: which concatenations, slices and transposes need no code.
 *
 * Why: a concatenation of feature maps reads and writes all of them only to put them side by side;
 * their producers can write them there. The same holds for parts that are read where they lie, and
 * for what attention puts into another order between its products.
 *
 * How: a group is a candidate if its te only moves boxes: every block loads one element of one
 * input, all indices being an axis plus a number. If each block fills a whole output, the outputs
 * are windows of the input (slice, split, transpose, a gather of one row); if all fill one output,
 * each with a whole input, the inputs are windows of the output (concat; a transpose before a
 * view). Views are windows of what they view. Where the dims' order changes, the reader's way
 * through memory may cost more than the copy, so those windows are optional. They are only tried
 * between values that views pin to row-major, where the strides of everything are known. Groups
 * are visited last first (all views before them: a view is its value's memory, wherever that goes),
 * so that of concatenations that grow (DenseNet's) the longest one takes the parts, and an earlier
 * one whose parts are already neighbours in it becomes a window of it.
 *
 * A part stays where it is, and the concatenation is a kernel, if its memory is not ours to choose
 * or has an owner already: graph inputs, constants, outputs, what control flow touches, values of
 * unknown extent, what stands in a concatenation twice or in two of them.
 *
 * Invariants: 1. windows of one whole only overlap if one is part of the other. 2. A window is made
 * in the region (neo_graph_flatten) of the group that is needless for it. 3. No window and no whole
 * is a graph's input or output, or a view of one. 4. Every window has strides in the row-major
 * whole, if anyone but a te touches one of them; what runtime operators touch is in one piece. */
#include "ir/windows.h"

#include <string.h>

typedef struct finder {
  const neo_partition *partition;
  const neo_graph *graph;
  int *producer; /* by value: group, or -1 */
  bool *pinned;  /* by value: its memory is not ours to choose */
  bool *dense;   /* by value: someone needs it in one piece */
  neo_windows *out;
} finder;

int neo_windows_whole(const neo_windows *windows, int v) {
  while (windows->of[v].base >= 0)
    v = windows->of[v].base;
  return v;
}

bool neo_window_is_box(const neo_window *window, int rank) {
  for (int d = 0; d < rank; d++)
    if (window->dim[d] != d)
      return false;
  return !window->reshaped;
}

/* ---- strides --------------------------------------------------------------------------------- */

/* Dims of more than one element. */
static int real_dims(const neo_shape *shape, int *dim) {
  int n = 0;
  for (int d = 0; d < shape->rank; d++)
    if (shape->dim[d] != 1)
      dim[n++] = d;
  return n;
}

/* Runs of dims with equal products stand for each other; those of the base must be contiguous. */
static bool reshape_strides(const neo_shape *base, const int64_t *of_base, const neo_shape *shape,
                            int64_t *out) {
  int from[NEO_MAX_RANK], to[NEO_MAX_RANK], i = 0, j = 0;
  int n = real_dims(base, from), m = real_dims(shape, to);
  for (int d = 0; d < shape->rank; d++)
    out[d] = 0;
  while (i < n && j < m) {
    int first = j;
    int64_t left = base->dim[from[i++]], right = shape->dim[to[j++]];
    while (left != right) {
      if (left > right && j < m) {
        right *= shape->dim[to[j++]];
        continue;
      }
      if (left > right || i == n || of_base[from[i - 1]] != of_base[from[i]] * base->dim[from[i]])
        return false;
      left *= base->dim[from[i++]];
    }
    int64_t stride = of_base[from[i - 1]];
    for (int k = j - 1; k >= first; k--) {
      out[to[k]] = stride;
      stride *= shape->dim[to[k]];
    }
  }
  return i == n && j == m;
}

bool neo_window_strides(const neo_window *window, const neo_shape *base, const int64_t *of_base,
                        const neo_shape *shape, int64_t *out) {
  if (window->reshaped)
    return reshape_strides(base, of_base, shape, out);
  for (int d = 0; d < shape->rank; d++)
    out[d] = window->dim[d] < 0 || shape->dim[d] == 1 ? 0 : of_base[window->dim[d]];
  return true;
}

bool neo_strides_nest(const neo_shape *shape, const int64_t *stride, int *order, int64_t *places) {
  int n = 0;
  for (int d = 0; d < shape->rank; d++)
    if (shape->dim[d] == 1)
      order[n++] = d;
  int ones = n;
  for (int d = 0; d < shape->rank; d++) {
    int at = n;
    if (shape->dim[d] == 1)
      continue;
    for (; at > ones && stride[order[at - 1]] < stride[d]; at--)
      order[at] = order[at - 1];
    order[at] = d;
    n++;
  }
  for (int k = 0; k < n; k++) {
    int64_t own = stride[order[k]];
    places[k] = shape->dim[order[k]];
    if (k <= ones)
      continue;
    int64_t outer = stride[order[k - 1]];
    if (own <= 0 || outer % own != 0 || outer / own < places[k])
      return false;
    places[k] = outer / own;
  }
  return n == ones || stride[order[n - 1]] == 1;
}

static void row_major_strides(const neo_shape *shape, int64_t *out) {
  int64_t stride = 1;
  for (int d = shape->rank - 1; d >= 0; d--) {
    out[d] = shape->dim[d] == 1 ? 0 : stride;
    stride *= shape->dim[d];
  }
}

static bool strides_of(const finder *f, int v, int64_t *out) {
  const neo_window *window = &f->out->of[v];
  const neo_value *value = f->graph->value;
  int64_t of_base[NEO_MAX_RANK];
  if (window->base < 0) {
    row_major_strides(&value[v].shape, out);
    return true;
  }
  return strides_of(f, window->base, of_base) &&
         neo_window_strides(window, &value[window->base].shape, of_base, &value[v].shape, out);
}

/* Does the value have a place in the row-major whole that all who touch it can live with? */
static bool has_place(const finder *f, int v) {
  const neo_shape *shape = &f->graph->value[v].shape;
  int64_t stride[NEO_MAX_RANK], dense[NEO_MAX_RANK], places[NEO_MAX_RANK];
  int order[NEO_MAX_RANK];
  if (!strides_of(f, v, stride) || !neo_strides_nest(shape, stride, order, places))
    return false;
  row_major_strides(shape, dense);
  return !f->dense[v] || memcmp(stride, dense, sizeof dense[0] * (size_t)shape->rank) == 0;
}

static bool is_within(const finder *f, int v, int outer) {
  while (v >= 0 && v != outer)
    v = f->out->of[v].base;
  return v >= 0;
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
    if (group->kind != NEO_STEP_TE)
      f->out->untouched[group->arg[i]] = false;
    if (group->kind == NEO_STEP_RUNTIME)
      f->dense[group->arg[i]] = true;
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

/* A block that copies a box: from buffer `in` to its place `to` in buffer `out`. */
typedef struct move {
  int in, out;              /* te buffers */
  int64_t to[NEO_MAX_RANK]; /* by dim of out */
  neo_window from;          /* of `in`; base is not set */
} move;

/* An index that is an axis, or none, plus a number. */
static bool axis_plus(const neo_expr *e, int *axis, int64_t *plus) {
  neo_affine affine;
  if (!neo_expr_affine(e, &affine) || affine.n > 1 || (affine.n == 1 && affine.coef[0] != 1))
    return false;
  *axis = affine.n ? affine.var[0] : -1;
  *plus = affine.base;
  return true;
}

/* An axis of one element has no variable: it is along its own dim if no other axis is. */
static bool complete_dims(const neo_te_block *block, int rank, int base_rank, int8_t *dim) {
  bool taken[NEO_MAX_RANK] = {false};
  for (int d = 0; d < rank; d++)
    if (dim[d] >= 0)
      taken[dim[d]] = true;
  for (int d = 0; d < rank; d++) {
    if (dim[d] < 0 && block->extent[d] != 1)
      return false;
    if (dim[d] < 0 && rank == base_rank && !taken[d])
      dim[d] = (int8_t)d;
  }
  return true;
}

static bool read_move(const neo_te *te, const neo_te_block *block, move *out) {
  const neo_expr *load = block->body;
  int rank = te->buffer[block->buffer].shape.rank, axis;
  if (block->n_reduce > 0 || load->op != NEO_EXPR_LOAD || load->u.load.n_guards > 0 ||
      te->buffer[load->u.load.buffer].role != NEO_TE_IN ||
      te->buffer[block->buffer].role != NEO_TE_OUT || block->n_spatial != rank)
    return false;
  memset(out, 0, sizeof *out);
  out->in = load->u.load.buffer;
  out->out = block->buffer;
  memset(out->from.dim, -1, sizeof out->from.dim);
  for (int d = 0; d < rank; d++)
    if (!axis_plus(block->write[d], &axis, &out->to[d]) ||
        (axis != d && !(axis < 0 && block->extent[d] == 1)))
      return false;
  for (int d = 0; d < load->n_args; d++) {
    if (!axis_plus(load->arg[d], &axis, &out->from.start[d]) || axis >= rank ||
        (axis >= 0 && out->from.dim[axis] >= 0))
      return false;
    if (axis >= 0)
      out->from.dim[axis] = (int8_t)d;
  }
  return complete_dims(block, rank, load->n_args, out->from.dim);
}

static bool is_whole(const neo_te_block *block, const neo_shape *shape) {
  for (int d = 0; d < shape->rank; d++)
    if (block->extent[d] != shape->dim[d])
      return false;
  return true;
}

/* ---- windows --------------------------------------------------------------------------------- */

/* Makes v a window if all that lies in it keeps a place. */
static bool set_window(finder *f, int v, int base, const neo_window *window, int region) {
  neo_window *of = f->out->of;
  if (f->pinned[v] || f->pinned[base] || of[v].base >= 0 || f->producer[v] < 0 ||
      f->partition->group[f->producer[v]].region != region || f->graph->value[v].shape.rank == 0 ||
      is_within(f, base, v))
    return false;
  bool any_layout = true;
  of[v] = *window;
  of[v].base = base;
  int whole = neo_windows_whole(f->out, v);
  for (int w = 0; w < f->graph->n_values; w++)
    any_layout = any_layout && (f->out->untouched[w] || neo_windows_whole(f->out, w) != whole);
  for (int w = 0; !any_layout && w < f->graph->n_values; w++)
    if (is_within(f, w, v) && !has_place(f, w)) {
      of[v].base = -1;
      return false;
    }
  return true;
}

static void take_back(finder *f, const int *v, int n) {
  for (int k = 0; k < n; k++)
    f->out->of[v[k]].base = -1;
}

static neo_window box_at(const int64_t *start) {
  neo_window window = {.base = -1, .copy = -1};
  memcpy(window.start, start, sizeof window.start);
  for (int d = 0; d < NEO_MAX_RANK; d++)
    window.dim[d] = (int8_t)d;
  return window;
}

/* Every block writes a whole output of its own. Optional windows are given up one by one, so a
 * group that would then make one of its outputs makes no other. */
static bool try_slices(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  const neo_te *te = &group->te;
  int made[NEO_TE_MAX_BLOCKS], n = 0;
  if (te->n_blocks != group->n_outputs)
    return false;
  for (int k = 0; k < te->n_blocks; k++) {
    int whole = value[moves[k].in], out = value[moves[k].out];
    const neo_shape *shape = &te->buffer[moves[k].out].shape;
    neo_window window = moves[k].from;
    bool box =
        shape->rank == f->graph->value[whole].shape.rank && neo_window_is_box(&window, shape->rank);
    window.copy = box ? -1 : g;
    if (!is_whole(&te->block[k], shape) ||
        (!box && (f->out->untouched[whole] || te->n_blocks > 1)) ||
        !set_window(f, out, whole, &window, group->region)) {
      take_back(f, made, n);
      return false;
    }
    made[n++] = out;
  }
  return true;
}

/* A transpose before a view: its input can be written in the order that the view wants. */
static bool try_transpose(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  int in = value[moves[0].in], out = value[moves[0].out];
  const neo_shape *shape = &f->graph->value[out].shape, *before = &f->graph->value[in].shape;
  neo_window window = {.base = -1, .copy = g};
  if (group->te.n_blocks != 1 || f->out->untouched[out] || before->rank != shape->rank ||
      f->producer[in] < 0 || f->partition->group[f->producer[in]].kind != NEO_STEP_TE)
    return false;
  memset(window.dim, -1, sizeof window.dim);
  for (int d = 0; d < shape->rank; d++) {
    int from = moves[0].from.dim[d];
    if (moves[0].to[d] != 0 || moves[0].from.start[d] != 0 || (from < 0 && shape->dim[d] != 1) ||
        (from >= 0 && before->dim[from] != shape->dim[d]))
      return false;
    if (from >= 0)
      window.dim[from] = (int8_t)d;
  }
  for (int d = 0; d < shape->rank; d++)
    if (window.dim[d] < 0 && before->dim[d] != 1)
      return false;
  return set_window(f, in, out, &window, group->region);
}

/* Are the parts neighbours in another whole already, as they are in `out`? Then `out` is there. */
static bool try_neighbours(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  int out = value[moves[0].out], base = -1, rank = f->graph->value[out].shape.rank;
  int64_t start[NEO_MAX_RANK] = {0};
  for (int k = 0; k < group->te.n_blocks; k++) {
    const neo_window *window = &f->out->of[value[moves[k].in]];
    if (window->base < 0 || (k > 0 && window->base != base) || window->copy >= 0 ||
        !neo_window_is_box(window, rank))
      return false;
    base = window->base;
    for (int d = 0; d < rank; d++) {
      if (k > 0 && window->start[d] - moves[k].to[d] != start[d])
        return false;
      start[d] = window->start[d] - moves[k].to[d];
    }
  }
  neo_window window = box_at(start);
  return set_window(f, out, base, &window, group->region);
}

/* Every block writes a whole input to its place in the one output. */
static bool try_concat(finder *f, int g, const move *moves, const int *value) {
  const neo_group *group = &f->partition->group[g];
  const neo_te *te = &group->te;
  int made[NEO_TE_MAX_BLOCKS], n = 0;
  if (group->n_outputs != 1)
    return false;
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_shape *shape = &te->buffer[moves[k].in].shape;
    if (shape->rank != te->buffer[moves[k].out].shape.rank ||
        !neo_window_is_box(&moves[k].from, shape->rank) || !is_whole(&te->block[k], shape))
      return false;
  }
  if (try_neighbours(f, g, moves, value))
    return true;
  for (int k = 0; k < te->n_blocks; k++) {
    int part = value[moves[k].in];
    neo_window window = box_at(moves[k].to);
    if (f->producer[part] < 0 || f->partition->group[f->producer[part]].kind != NEO_STEP_TE ||
        !set_window(f, part, value[moves[k].out], &window, group->region)) {
      take_back(f, made, n);
      return false;
    }
    made[n++] = part;
  }
  return true;
}

static void try_view(finder *f, const neo_group *group) {
  neo_window window = {.base = -1, .reshaped = true, .copy = -1};
  if (group->arg[0] != NEO_NO_VALUE)
    set_window(f, group->arg[group->n_args - 1], group->arg[0], &window, group->region);
}

static void try_group(finder *f, int g) {
  const neo_group *group = &f->partition->group[g];
  move moves[NEO_TE_MAX_BLOCKS];
  int value[NEO_TE_MAX_BUFFERS], arg = 0;
  if (group->kind != NEO_STEP_TE || group->te.n_blocks == 0)
    return;
  for (int b = 0; b < group->te.n_buffers; b++)
    value[b] = group->te.buffer[b].role == NEO_TE_TMP ? NEO_NO_VALUE : group->arg[arg++];
  for (int k = 0; k < group->te.n_blocks; k++)
    if (!read_move(&group->te, &group->te.block[k], &moves[k]))
      return;
  f->out->needless[g] = try_slices(f, g, moves, value) || try_concat(f, g, moves, value) ||
                        try_transpose(f, g, moves, value);
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
    if (partition->group[g].kind == NEO_STEP_VIEW)
      try_view(&f, &partition->group[g]);
  for (int g = partition->n_groups - 1; g >= 0; g--)
    try_group(&f, g);
  *out = made;
}
