/* ir/bounded_shape.c: rules of operators that ask for extents or are given them. */
#include "ir/bounded.h"

#include "ir/ops_internal.h"

#include <string.h>

/* ---- asking ---------------------------------------------------------------------------------- */

neo_status neo_bounded_shape(neo_expander *x) {
  int in = neo_xp_in(x, 0), rank = neo_xp_rank(x, in), parts[NEO_MAX_RANK], n = 0;
  int64_t start = neo_node_int(&x->node, "start", 0), end = neo_node_int(&x->node, "end", rank);
  neo_shape shape = neo_xp_shape(x, in);
  start = neo_max_i64(0, start < 0 ? start + rank : start);
  end = neo_min_i64(rank, end < 0 ? end + rank : end);
  if (start >= end)
    return NEO_OK;
  for (int64_t d = start; d < end; d++)
    parts[n++] = d == neo_bd_axis(x, in)
                     ? neo_xp_reshape(x, x->graph->value[in].count, 1, (int64_t[]){1})
                     : neo_xp_ints(x, 1, &shape.dim[d]);
  x->out[0] = neo_xp_concat(x, 0, n, parts);
  return x->status;
}

neo_status neo_bounded_size(neo_expander *x) {
  int in = neo_xp_in(x, 0), axis = neo_bd_axis(x, in);
  neo_shape shape = neo_xp_shape(x, in);
  int64_t others;
  shape.dim[axis] = 1;
  neo_shape_elements(&shape, &others);
  x->out[0] = neo_bd_scalar(x, neo_bd_scale(x, neo_bd_count(x, in), others, 1));
  return x->status;
}

/* ---- lists of extents ------------------------------------------------------------------------ */

typedef struct extent_list {
  int n, open; /* open: the one element that is not known; -1: none, -2: several */
  neo_extent at[NEO_MAX_RANK];
} extent_list;

static bool read_list(const neo_expander *x, int v, extent_list *out) {
  neo_shape shape = neo_xp_shape(x, v);
  int64_t n = neo_bd_elements(x, v);
  char cls = neo_dtype_class(neo_xp_dtype(x, v));
  if (v == NEO_NO_VALUE || shape.rank > 1 || n > NEO_MAX_RANK || neo_bd_is(x, v) ||
      (cls != 'i' && cls != 'u'))
    return false;
  *out = (extent_list){.n = (int)n, .open = -1};
  for (int i = 0; i < out->n; i++) {
    out->at[i] = neo_bd_extent(x, v, i);
    if (!out->at[i].known)
      out->open = out->open == -1 ? i : -2;
  }
  return true;
}

/* A largest extent that memory can be made for. */
static bool is_limited(neo_extent e) {
  return e.hi >= 0 && e.hi <= (INT64_C(1) << 31);
}

neo_status neo_bounded_constant_of_shape(neo_expander *x) {
  extent_list list;
  int64_t dims[NEO_MAX_RANK];
  if (!read_list(x, neo_xp_in(x, 0), &list) || list.open < 0 || !is_limited(list.at[list.open]))
    return NEO_OK;
  for (int d = 0; d < list.n; d++)
    dims[d] = list.at[d].known ? list.at[d].n : list.at[d].hi;
  neo_extent count = list.at[list.open];
  neo_bd_again(x, "constant_of_shape", 1, (int[]){neo_xp_ints(x, list.n, dims)});
  x->out[0] = neo_bd_cut(x, x->out[0], list.open, count);
  return x->status;
}

neo_status neo_bounded_range(neo_expander *x) {
  int start = neo_xp_in(x, 0), limit = neo_xp_in(x, 1), step = neo_xp_in(x, 2);
  char cls = neo_dtype_class(neo_xp_dtype(x, limit));
  if ((cls != 'i' && cls != 'u') || neo_bd_elements(x, limit) != 1)
    return NEO_OK;
  neo_extent from = neo_bd_extent(x, start, 0), to = neo_bd_extent(x, limit, 0),
             by = neo_bd_extent(x, step, 0);
  if (!from.known || from.n < -(INT64_C(1) << 31) || !by.known || by.n != 1 || to.known ||
      !is_limited(to))
    return NEO_OK;
  neo_extent count = neo_bd_max(x, neo_bd_sub(x, to, from), neo_extent_number(0));
  neo_dtype dtype = neo_xp_dtype(x, limit);
  int all = neo_bd_places(x, dtype, neo_max_i64(0, to.hi - from.n));
  if (from.n != 0)
    all = neo_xp_c(x, "add", all, (double)from.n);
  x->out[0] = neo_bd_cut(x, all, 0, count);
  return x->status;
}

neo_status neo_bounded_expand(neo_expander *x) {
  extent_list to;
  int in = neo_xp_in(x, 0), axis = neo_bd_axis(x, in), open = -1;
  neo_shape own = neo_xp_shape(x, in), shape = {0};
  neo_extent count = {0};
  if (!read_list(x, neo_xp_in(x, 1), &to))
    return NEO_OK;
  shape.rank = to.n > own.rank ? to.n : own.rank;
  for (int d = 0; d < shape.rank; d++) {
    int mine = d - (shape.rank - own.rank), theirs = d - (shape.rank - to.n);
    int64_t have = mine < 0 ? 1 : own.dim[mine];
    neo_extent want = theirs < 0 ? neo_extent_number(1) : to.at[theirs];
    bool bounded = mine >= 0 && mine == axis;
    shape.dim[d] = have == 1 && !bounded && want.known ? want.n : have;
    if (want.known)
      continue;
    if (bounded) {
      neo_extent real = neo_bd_count(x, in);
      if (!neo_extent_same(x->graph, &real, &want))
        return NEO_OK;
    } else if (have == 1) {
      if (open >= 0 || axis >= 0 || !is_limited(want))
        return NEO_OK;
      open = d;
      count = want;
      shape.dim[d] = want.hi;
    }
  }
  if (open < 0 && to.open == -1)
    return NEO_OK; /* a constant shape */
  int all = neo_xp_expand(x, in, &shape);
  x->out[0] = open < 0 ? all : neo_bd_cut(x, all, open, count);
  return x->status;
}

/* ---- reshape --------------------------------------------------------------------------------- */

static int64_t product(const neo_shape *s, int from, int to) {
  int64_t n = 1;
  for (int d = from; d < to; d++)
    n *= s->dim[d];
  return n;
}

/* The shape in memory: what is open, or -1, is what the elements leave. */
static bool fill_shape(const neo_expander *x, int in, const extent_list *to, neo_shape *shape) {
  bool keep_zero = neo_node_int(&x->node, "allowzero", 0) != 0;
  int64_t total = neo_bd_elements(x, in), others = 1;
  int rest = -1;
  neo_extent real = neo_bd_is(x, in) ? neo_bd_count(x, in) : neo_extent_number(-1);
  shape->rank = to->n;
  for (int d = 0; d < to->n; d++) {
    const neo_extent *e = &to->at[d];
    int64_t n = e->known ? e->n : -1;
    if (!e->known && neo_extent_same(x->graph, e, &real))
      n = neo_xp_dim(x, in, neo_bd_axis(x, in));
    if (n == 0 && !keep_zero && d < neo_xp_rank(x, in))
      n = neo_xp_dim(x, in, d);
    if (n < 0 && rest >= 0)
      return false;
    rest = n < 0 ? d : rest;
    shape->dim[d] = n;
    others *= n < 0 ? 1 : n;
  }
  if (rest >= 0 && (others < 1 || total % others))
    return false;
  if (rest >= 0)
    shape->dim[rest] = total / others;
  return product(shape, 0, shape->rank) == total;
}

static bool reshape_target(neo_expander *x, extent_list *to) {
  if (strcmp(x->node.op->name, "flatten") == 0) {
    int in = neo_xp_in(x, 0), rank = neo_xp_rank(x, in);
    int64_t at = neo_node_int(&x->node, "axis", 1);
    neo_shape shape = neo_xp_shape(x, in);
    at += at < 0 ? rank : 0;
    if (at < 0 || at > rank)
      return false;
    *to = (extent_list){.n = 2, .open = -1};
    to->at[0] = neo_extent_number(product(&shape, 0, (int)at));
    to->at[1] = neo_extent_number(product(&shape, (int)at, rank));
    return true;
  }
  if (neo_xp_in(x, 1) != NEO_NO_VALUE)
    return read_list(x, neo_xp_in(x, 1), to);
  int64_t dims[NEO_MAX_RANK];
  int n = neo_node_ints(&x->node, "shape", dims, NEO_MAX_RANK);
  if (n < 0 || n > NEO_MAX_RANK)
    return false;
  *to = (extent_list){.n = n, .open = -1};
  for (int d = 0; d < n; d++)
    to->at[d] = neo_extent_number(dims[d]);
  return true;
}

/* Memory keeps its order, so the bounded dimension becomes one that has as much in front of it;
 * what is behind it changes the count. */
neo_status neo_bounded_reshape(neo_expander *x) {
  extent_list to;
  int in = neo_xp_in(x, 0), axis = neo_bd_axis(x, in), at = -1;
  neo_shape own = neo_xp_shape(x, in), shape = {0};
  if (!reshape_target(x, &to) || !fill_shape(x, in, &to, &shape))
    return NEO_OK;
  if (axis < 0) { /* an extent that is a number after all: what the elements leave */
    x->out[0] = to.open == -1 ? NEO_NO_VALUE : neo_xp_reshape_to(x, in, &shape);
    return x->status;
  }
  int64_t front = product(&own, 0, axis), behind = product(&own, axis + 1, own.rank);
  for (int d = 0; d < shape.rank; d++)
    if (product(&shape, 0, d) == front)
      at = d;
  if (at < 0)
    return NEO_OK;
  int64_t inner = product(&shape, at + 1, shape.rank);
  if (inner < 1 || behind < 1 || (behind % inner && inner % behind))
    return NEO_OK;
  neo_extent count = neo_bd_count(x, in);
  if (behind != inner)
    count = neo_bd_scale(x, count, behind, inner);
  int all = neo_xp_reshape_to(x, neo_bd_raw(x, in), &shape);
  x->out[0] = neo_bd_cut(x, all, at, count);
  return x->status;
}

/* ---- slice ----------------------------------------------------------------------------------- */

static bool read_numbers(const neo_expander *x, int k, const char *attr, extent_list *out) {
  int64_t v[NEO_MAX_RANK];
  if (neo_xp_in(x, k) != NEO_NO_VALUE)
    return read_list(x, neo_xp_in(x, k), out);
  int n = neo_node_ints(&x->node, attr, v, NEO_MAX_RANK);
  if (n > NEO_MAX_RANK)
    return false;
  *out = (extent_list){.n = n, .open = -1};
  for (int i = 0; i < n; i++)
    out->at[i] = neo_extent_number(v[i]);
  return true;
}

/* Position p of an axis of so many elements, within them; negative ones count from the end. */
static neo_extent position(neo_expander *x, neo_extent p, neo_extent size) {
  neo_extent zero = neo_extent_number(0);
  if (p.known && p.n < 0 && p.n > INT64_MIN / 2)
    return neo_bd_max(x, neo_bd_add(x, size, p), zero);
  if (!p.known && p.lo < 0) {
    int v = neo_bd_scalar(x, p), all = neo_bd_scalar(x, size);
    int from_end = neo_xp_c(x, "less", v, 0);
    v = neo_xp_3(x, "where", from_end, neo_xp_2(x, "add", v, all), v);
    p = (neo_extent){.value = v, .lo = INT64_MIN, .hi = neo_max_i64(p.hi, size.hi)};
  }
  return neo_bd_min(x, neo_bd_max(x, p, zero), size);
}

/* One axis by step 1. */
static int slice_axis(neo_expander *x, int v, int axis, neo_extent from, neo_extent to) {
  neo_extent size =
      neo_bd_axis(x, v) == axis ? neo_bd_count(x, v) : neo_extent_number(neo_xp_dim(x, v, axis));
  from = position(x, from, size);
  to = position(x, to, size);
  if (from.known && from.n == 0 && neo_extent_same(x->graph, &to, &size))
    return v;
  neo_extent count = neo_bd_max(x, neo_bd_sub(x, to, from), neo_extent_number(0));
  int64_t room = neo_xp_dim(x, v, axis), most = neo_min_i64(count.hi, room);
  v = neo_bd_raw(x, v);
  if (from.known) {
    v = neo_xp_slice(x, v, axis, neo_min_i64(from.n, room), room);
  } else {
    int at = neo_xp_2(x, "add", neo_bd_places(x, NEO_I64, most), neo_bd_scalar(x, from));
    v = neo_xp_gather(x, v, neo_xp_c(x, "min", at, (double)(room - 1)), axis);
  }
  return neo_bd_cut(x, v, axis, count);
}

typedef struct slicing {
  extent_list starts, ends, axes, steps;
} slicing;

static bool read_slicing(const neo_expander *x, slicing *s) {
  return read_numbers(x, 1, "starts", &s->starts) && read_numbers(x, 2, "ends", &s->ends) &&
         read_numbers(x, 3, "axes", &s->axes) && read_numbers(x, 4, "steps", &s->steps) &&
         s->axes.open == -1 && s->steps.open == -1 && s->starts.n == s->ends.n &&
         (s->axes.n == 0 || s->axes.n == s->starts.n) &&
         (s->steps.n == 0 || s->steps.n == s->starts.n);
}

static int64_t axis_of(const neo_expander *x, const slicing *s, int i) {
  int64_t axis = s->axes.n ? s->axes.at[i].n : i;
  return axis + (axis < 0 ? neo_xp_rank(x, neo_xp_in(x, 0)) : 0);
}

/* The one part whose extent is the data's: 1; none: 0; what is not served: -1. */
static int part_is_open(const neo_expander *x, const slicing *s, int i) {
  int v = neo_xp_in(x, 0), own = neo_bd_axis(x, v);
  int64_t axis = axis_of(x, s, i);
  bool open = !s->starts.at[i].known || !s->ends.at[i].known || axis == own;
  if (axis < 0 || axis >= neo_xp_rank(x, v) || neo_xp_dim(x, v, (int)axis) < 1)
    return -1;
  if (open && ((s->steps.n && s->steps.at[i].n != 1) || (own >= 0 && axis != own)))
    return -1;
  return open;
}

neo_status neo_bounded_slice(neo_expander *x) {
  slicing s;
  int v = neo_xp_in(x, 0), found = 0;
  if (!read_slicing(x, &s))
    return NEO_OK;
  for (int i = 0; i < s.starts.n; i++) {
    int open = part_is_open(x, &s, i);
    if (open < 0)
      return NEO_OK;
    found += open;
  }
  for (int i = 0; found == 1 && i < s.starts.n; i++) {
    int64_t axis = axis_of(x, &s, i), step = s.steps.n ? s.steps.at[i].n : 1;
    if (part_is_open(x, &s, i))
      v = slice_axis(x, v, (int)axis, s.starts.at[i], s.ends.at[i]);
    else
      v = neo_xp_op(x, "slice", 1, &v,
                    NEO_XP_ATTRS(NEO_XP_INTS("starts", 1, &s.starts.at[i].n),
                                 NEO_XP_INTS("ends", 1, &s.ends.at[i].n),
                                 NEO_XP_INTS("axes", 1, &axis), NEO_XP_INTS("steps", 1, &step)));
  }
  x->out[0] = found == 1 ? v : NEO_NO_VALUE;
  return x->status;
}
