/* codegen/c_wide.c: the C of GPUs reads and writes memory in vectors.
 *
 * Why: a GPU's memory is fastest in accesses of 16 bytes for each work-item, and its compiler only
 * makes them where it can prove that the address is aligned, which needs what we know and it does
 * not: where buffers begin, and that offsets are whole vectors.
 *
 * How: what a vector statement loads from memory becomes one or more vectors before it, once even
 * if it is used twice; its value is printed for each lane, and what it stores is put together.
 * There is no loop over lanes then, and no array: compilers of OpenCL that make loops of work-items
 * before they unroll (PoCL's) would keep it in memory. What is only moved goes straight from place
 * to place. Whatever is masked, and REG and STACK, stay elements, and so do statements that would
 * become too long.
 *
 * The width is the most that divides the lanes and that the dialect has; where it asks for aligned
 * addresses, also the most that is proven: a multiple that the offset has (neo_expr_twos), and one
 * that the buffer begins at (neo/abi.h; WORK areas and SHARED buffers at 16 bytes). */
#include "codegen/c_printer.h"
#include "neo/abi.h"

enum { MOST_LANES = 16, MOST_TEXT = 16 << 10 };

static int begins_at(const c_printer *p, int buffer) {
  int params = p->nest->align > 0 ? p->nest->align : (int)NEO_DEVICE_ALIGN;
  return p->nest->buffer[buffer].scope == NEO_SCOPE_PARAM ? params : (int)NEO_DEVICE_ALIGN;
}

static bool in_memory(const c_printer *p, int buffer) {
  neo_scope scope = p->nest->buffer[buffer].scope;
  return scope == NEO_SCOPE_PARAM || scope == NEO_SCOPE_WORK || scope == NEO_SCOPE_SHARED;
}

/* Elements of one access to this place; 1: no vector. */
static int width(const c_printer *p, int buffer, const neo_expr *offset, int lanes) {
  int size = (int)neo_dtype_size(p->nest->buffer[buffer].dtype), n = MOST_LANES;
  if (!in_memory(p, buffer))
    return 1;
  while (n > 1 && (lanes % n != 0 || n * size > p->dialect->wide->widest))
    n /= 2;
  if (!p->dialect->wide->aligned)
    return n;
  int twos = neo_expr_twos(offset, p->twos, p->nest->n_vars);
  while (n > 1 && (begins_at(p, buffer) % (n * size) != 0 || n > 1 << twos))
    n /= 2;
  return n;
}

static int load_width(const c_printer *p, const neo_expr *e) {
  return e->active < e->lanes ? 1 : width(p, e->u.load.buffer, e->arg[0], e->lanes);
}

int c_wide_find(c_printer *p, const neo_expr *load) {
  c_wide *w = &p->wide;
  if (!w->on || load->lanes == 1)
    return -1;
  for (int k = 0; k < w->n; k++)
    if (neo_expr_equal(w->load[k], load))
      return k;
  if (w->n == C_WIDE_MOST || load_width(p, load) == 1)
    return -1;
  w->load[w->n] = load;
  return w->n++;
}

/* Vector `piece` of load k. */
static void print_name(const c_printer *p, neo_buf *out, int k, int piece) {
  const neo_expr *load = p->wide.load[k];
  if (load_width(p, load) == load->lanes)
    neo_buf_printf(out, "v%d", k);
  else
    neo_buf_printf(out, "v%d_%d", k, piece);
}

void c_wide_print_lane(c_printer *p, neo_buf *out, int k, int lane) {
  int n = load_width(p, p->wide.load[k]);
  print_name(p, out, k, lane / n);
  p->dialect->wide->lane(out, lane % n);
}

/* &bK[offset + at] */
static void print_place(c_printer *p, neo_buf *out, int buffer, const neo_expr *offset, int at) {
  p->buffer_used[buffer] = true;
  neo_buf_printf(out, "&b%d[", buffer);
  c_print_index(p, out, offset);
  neo_buf_printf(out, at > 0 ? " + %d]" : "]", at);
}

static void print_loads(c_printer *p, neo_buf *out) {
  for (int k = 0; k < p->wide.n; k++) {
    const neo_expr *load = p->wide.load[k];
    int n = load_width(p, load);
    for (int at = 0; at < load->lanes; at += n) {
      neo_buf name = {0}, place = {0};
      print_name(p, &name, k, at / n);
      print_place(p, &place, load->u.load.buffer, load->arg[0], at);
      c_indent(p, out);
      p->dialect->wide->load(out, load->dtype, n, name.data, place.data);
      neo_buf_fini(&name);
      neo_buf_fini(&place);
    }
  }
}

/* A load's bytes go where the store's are; booleans are made 0 or 1 on their way. */
static bool is_move(const c_printer *p, const neo_stmt *s) {
  const neo_expr *e = s->u.store.value;
  return e->op == NEO_EXPR_LOAD && e->dtype != NEO_BOOL && load_width(p, e) > 1;
}

static void print_move(c_printer *p, neo_buf *out, const neo_stmt *s, int n) {
  const neo_expr *load = s->u.store.value;
  n = (int)neo_min_i64(n, load_width(p, load));
  for (int at = 0; at < load->lanes; at += n) {
    neo_buf source = {0}, target = {0};
    print_place(p, &source, load->u.load.buffer, load->arg[0], at);
    print_place(p, &target, s->u.store.buffer, s->u.store.offset, at);
    c_indent(p, out);
    p->dialect->wide->copy(out, n, target.data, source.data);
    neo_buf_fini(&source);
    neo_buf_fini(&target);
  }
}

/* The lanes' values, n of them to a store; 1: each to its place. */
static bool print_lanes(c_printer *p, neo_buf *out, const neo_stmt *s, int n) {
  const neo_expr *e = s->u.store.value;
  int buffer = s->u.store.buffer;
  neo_buf values = {0};
  p->n_names = 0;
  for (int lane = 0; lane < e->lanes && out->size < MOST_TEXT; lane++) {
    neo_buf value = {0}, place = {0};
    p->lane_number = lane;
    c_print_value(p, e, out, &value);
    neo_buf_text(&values, values.size > 0 ? ", " : "");
    c_print_stored(p, &values, p->nest->buffer[buffer].dtype, value.data);
    if ((lane + 1) % n == 0) {
      print_place(p, &place, buffer, s->u.store.offset, lane + 1 - n);
      c_indent(p, out);
      if (n > 1)
        p->dialect->wide->store(out, p->nest->buffer[buffer].dtype, n, place.data, values.data);
      else
        neo_buf_printf(out, "%s = %s;\n", place.data + 1, values.data);
      neo_buf_clear(&values);
    }
    neo_buf_fini(&value);
    neo_buf_fini(&place);
  }
  p->lane_number = -1;
  neo_buf_fini(&values);
  return out->size < MOST_TEXT;
}

bool c_print_wide(c_printer *p, neo_buf *out, const neo_stmt *s, bool overlaps) {
  const neo_expr *e = s->u.store.value;
  if (!p->dialect->wide || e->lanes == 1 || s->u.store.active < e->lanes)
    return false;
  int n = width(p, s->u.store.buffer, s->u.store.offset, e->lanes);
  if (n > 1 && (n == e->lanes || !overlaps) && is_move(p, s)) {
    print_move(p, out, s, n);
    return true;
  }
  neo_buf lanes = {0};
  p->wide = (c_wide){.on = true};
  p->depth++;
  bool fits = print_lanes(p, &lanes, s, n);
  bool any = fits && (n > 1 || p->wide.n > 0) && (n == e->lanes || !overlaps);
  p->depth--;
  p->wide.on = false;
  if (any) {
    c_indent(p, out);
    neo_buf_text(out, "{\n");
    p->depth++;
    print_loads(p, out);
    p->depth--;
    neo_buf_append(out, lanes.data, lanes.size);
    c_indent(p, out);
    neo_buf_text(out, "}\n");
  }
  neo_buf_fini(&lanes);
  return any;
}
