/* frontends/torch_value.c: values while reading PyTorch files (torch.h).
 *
 * Aliasing. In torch an in-place operator changes what every alias sees. A cell is one variable; a
 * view is a cell with a base and the recipe that made it. Changing a cell counts its version; a
 * view whose base has another version than it saw is rebuilt before use; a change of a view is
 * written into its base (slices by concatenation with what lies before and behind), which is how
 * `x[:, 0] += y` reaches x. */
#include "frontends/complex.h"
#include "frontends/torch.h"

#include <string.h>

/* ---- life ------------------------------------------------------------------------------------------ */

static void keep_release(void *keep) {
  neo_file_unmap(keep);
}

neo_status torch_init(torch *t, neo_ctx *ctx, const neo_source *source, const char *format) {
  *t = (torch){.ctx = ctx, .source = source, .format = format};
  neo_arena_init(&t->arena);
  t->top.emitter = &t->emitter;
  t->frame = &t->top;
  return neo_emitter_init(&t->emitter, ctx, source, "torch");
}

neo_status torch_finish(torch *t, neo_status status, neo_graph **out) {
  neo_graph *graph = NULL;
  if (status == NEO_OK)
    status = t->failed;
  if (status == NEO_OK)
    status = neo_emitter_end(&t->emitter, &graph);
  if (status == NEO_OK) {
    neo_mapping *keep = neo_arena_alloc(graph->arena, sizeof *keep);
    *keep = t->source->file;
    graph->keep = keep;
    graph->keep_release = keep_release;
    *out = graph;
  } else if (t->emitter.graph) {
    neo_emitter_drop(&t->emitter);
  }
  neo_archive_close(t->archive);
  neo_map_fini(&t->unknown);
  neo_arena_fini(&t->arena);
  return status;
}

void torch_bad(torch *t, neo_status status, const char *format, ...) {
  char text[600];
  va_list args;
  if (t->failed != NEO_OK)
    return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  t->failed = neo_fail(t->ctx, status, "%s: %s: %s", t->source->path, t->format, text);
}

tv torch_unsupported(torch *t, const char *op, const char *format, ...) {
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_unsupported_add(&t->emitter.unsupported, "node '%s' (%s): %s", t->frame->emitter->scope, op,
                      text);
  return torch_poison();
}

bool torch_poisoned(const torch *t) {
  return t->emitter.unsupported.n > 0 || t->failed != NEO_OK;
}

/* ---- plain values ------------------------------------------------------------------------------------ */

tv torch_none(void) {
  return (tv){.kind = TV_NONE};
}

tv torch_bool(bool v) {
  return (tv){.kind = TV_BOOL, .i = v};
}

tv torch_int(int64_t v) {
  return (tv){.kind = TV_INT, .i = v};
}

tv torch_float(double v) {
  return (tv){.kind = TV_FLOAT, .f = v};
}

tv torch_string(const char *v) {
  return (tv){.kind = TV_STRING, .s = v};
}

tv torch_poison(void) {
  return (tv){.kind = TV_POISON};
}

void torch_seq_add(torch *t, torch_seq *seq, tv item) {
  seq->item = neo_arena_grow(&t->arena, seq->item, &seq->cap, seq->n + 1, sizeof item);
  seq->item[seq->n++] = item;
}

tv torch_seq_new(torch *t, tv_kind kind, int n, const tv *items) {
  torch_seq *seq = neo_arena_alloc(&t->arena, sizeof *seq);
  for (int i = 0; i < n; i++)
    torch_seq_add(t, seq, items[i]);
  return (tv){.kind = kind, .seq = seq};
}

torch_object *torch_object_new(torch *t, const char *cls) {
  torch_object *object = neo_arena_alloc(&t->arena, sizeof *object);
  object->cls = cls;
  return object;
}

static int attribute(const torch_object *object, const char *name) {
  for (int i = 0; i < object->n; i++)
    if (strcmp(object->name[i], name) == 0)
      return i;
  return -1;
}

void torch_object_set(torch *t, torch_object *object, const char *name, tv value) {
  int at = attribute(object, name), cap = object->cap;
  if (at < 0) {
    at = object->n++;
    object->name = neo_arena_grow(&t->arena, object->name, &cap, object->n, sizeof *object->name);
    object->value = neo_arena_grow(&t->arena, object->value, &object->cap, object->n, sizeof value);
    object->name[at] = name;
  }
  object->value[at] = value;
}

const tv *torch_object_get(const torch_object *object, const char *name) {
  int at = attribute(object, name);
  return at < 0 ? NULL : &object->value[at];
}

bool torch_is_number(const tv *v) {
  return v->kind == TV_BOOL || v->kind == TV_INT || v->kind == TV_FLOAT;
}

double torch_number(const tv *v) {
  return v->kind == TV_FLOAT ? v->f : (double)v->i;
}

bool torch_is_seq(const tv *v) {
  return v->kind == TV_LIST || v->kind == TV_TUPLE;
}

const char *torch_kind_name(const tv *v) {
  static const char *const name[] = {"None",  "bool", "int",    "float", "str",    "Tensor", "list",
                                     "tuple", "dict", "object", "name",  "method", "unknown"};
  return name[v->kind];
}

/* ---- tensor variables ---------------------------------------------------------------------------------- */

static tv cell_value(torch *t, torch_cell cell) {
  return (tv){.kind = TV_TENSOR, .cell = neo_arena_copy(&t->arena, &cell, sizeof cell)};
}

tv torch_tensor(torch *t, int value) {
  return cell_value(t, (torch_cell){.frame = t->frame, .value = value});
}

tv torch_weight_tensor(torch *t, torch_weight *weight) {
  return cell_value(t, (torch_cell){.weight = weight, .value = NEO_NO_VALUE});
}

/* The outer value's stand-in inside a branch or body: an input, or the constant itself. */
static int capture(torch *t, torch_frame *frame, torch_frame *home, int value) {
  if (frame == home)
    return value;
  if (!frame->parent) {
    torch_bad(t, NEO_UNSUPPORTED, "a value made inside a branch is used outside of it");
    return neo_emit_int(frame->emitter, 0);
  }
  int outer = capture(t, frame->parent, home, value), inner;
  if (neo_complex_is(frame->parent->emitter, outer))
    torch_unsupported(t, "capture", "complex numbers in a branch or loop that is kept");
  for (int i = 0; i < frame->n_captures; i++)
    if (frame->outer[i] == outer)
      return frame->inner[i];
  neo_emit_infer(frame->parent->emitter);
  const neo_value *from = &frame->parent->emitter->graph->value[outer];
  if (from->constant)
    inner = neo_emit_tensor(frame->emitter, from->name, from->constant);
  else
    inner = neo_graph_add_input(frame->emitter->graph,
                                neo_arena_printf(&t->arena, "capture%d", frame->n_captures),
                                from->dtype, &from->shape);
  int cap = frame->cap_captures;
  frame->outer = neo_arena_grow(&t->arena, frame->outer, &cap, frame->n_captures + 1, sizeof(int));
  frame->inner = neo_arena_grow(&t->arena, frame->inner, &frame->cap_captures,
                                frame->n_captures + 1, sizeof(int));
  frame->outer[frame->n_captures] = outer;
  frame->inner[frame->n_captures++] = inner;
  return inner;
}

static int cell_id(torch *t, torch_cell *cell);

/* The view's value from its base as it is now. */
static int rebuild(torch *t, const torch_cell *cell, int base) {
  const neo_shape *list = &cell->list;
  if (neo_complex_is(torch_emitter(t), base))
    torch_unsupported(t, "view", "its base, of complex numbers, is changed in place");
  switch (cell->view) {
  case VIEW_SHAPE:
    return torch_reshape(t, base, list->rank, list->dim);
  case VIEW_PERMUTE:
    return torch_transpose(t, base, list->rank, list->dim);
  case VIEW_SLICE:
    return torch_slice_node(t, base, (int)cell->dim, cell->start,
                            cell->start + (cell->length - 1) * neo_max_i64(cell->step, 1) + 1,
                            neo_max_i64(cell->step, 1));
  case VIEW_SELECT:
    return torch_squeeze(t,
                         torch_slice_node(t, base, (int)cell->dim, cell->start, cell->start + 1, 1),
                         (int)cell->dim);
  default:
    torch_unsupported(t, "view", "its base is changed in place after the view was made");
    return base;
  }
}

/* Is the frame this one or around it? (A branch that has ended is neither.) */
static bool visible(const torch *t, const torch_frame *frame) {
  const torch_frame *at = t->frame;
  while (at && at != frame)
    at = at->parent;
  return at != NULL;
}

static int cell_id(torch *t, torch_cell *cell) {
  if (cell->base && (cell->seen != cell->base->version || !visible(t, cell->frame))) {
    cell->value = rebuild(t, cell, cell_id(t, cell->base));
    cell->frame = t->frame;
    cell->seen = cell->base->version;
    cell->version++;
  }
  if (cell->weight && cell->frame != t->frame) {
    cell->value = torch_weight_constant(t, cell->weight);
    cell->frame = t->frame;
  }
  return capture(t, t->frame, cell->frame, cell->value);
}

int torch_id(torch *t, const tv *v) {
  neo_emitter *e = torch_emitter(t);
  switch (v->kind) {
  case TV_TENSOR:
    return cell_id(t, v->cell);
  case TV_BOOL:
    return neo_emit_scalar(e, NEO_BOOL, (double)v->i);
  case TV_INT:
    return neo_emit_int(e, v->i);
  case TV_FLOAT:
    return neo_emit_scalar(e, NEO_F32, v->f);
  case TV_NONE:
    return NEO_NO_VALUE;
  default:
    if (v->kind != TV_POISON)
      torch_unsupported(t, "tensor", "%s where a tensor is expected", torch_kind_name(v));
    return neo_emit_int(e, 0); /* what follows is not looked at */
  }
}

/* The base with every step-th element of a dimension replaced: elements of both, in order. */
static int interleaved(torch *t, const torch_cell *cell, int base, int value, int64_t n) {
  neo_emitter *e = torch_emitter(t);
  int64_t *from = neo_arena_alloc(&t->arena, sizeof *from * (size_t)(n + 1));
  for (int64_t i = 0; i < n; i++) {
    int64_t at = i - cell->start, k = at / cell->step;
    from[i] = at >= 0 && at % cell->step == 0 && k < cell->length ? n + k : i;
  }
  int both[2] = {torch_concat(t, 2, (int[]){base, value}, (int)cell->dim),
                 neo_emit_ints(e, (int)n, from)};
  neo_node *node = neo_emit_node(e, "gather", 2, both, 1);
  neo_node_set_int(e->graph, node, "axis", cell->dim);
  return node->output[0];
}

/* The base with the view's part replaced by `value`. */
static int written_back(torch *t, const torch_cell *cell, int base, int value) {
  const neo_shape *shape = torch_shape(t, base);
  int parts[3], n = 0;
  if (!shape)
    return base;
  neo_shape whole = *shape;
  int dim = (int)cell->dim;
  int64_t end = cell->start + (cell->view == VIEW_SELECT ? 1 : cell->length);
  int64_t inverse[NEO_MAX_RANK] = {0};
  switch (cell->view) {
  case VIEW_SHAPE:
    return torch_reshape(t, value, whole.rank, whole.dim);
  case VIEW_PERMUTE:
    for (int i = 0; i < cell->list.rank; i++)
      inverse[cell->list.dim[i]] = i;
    return torch_transpose(t, value, cell->list.rank, inverse);
  case VIEW_SELECT:
    value = torch_unsqueeze(t, value, dim);
    break;
  case VIEW_SLICE:
    if (cell->step > 1)
      return cell->length > 0 ? interleaved(t, cell, base, value, whole.dim[dim]) : base;
    break;
  default:
    torch_unsupported(t, "view", "it is changed in place through a view that cannot be undone");
    return base;
  }
  if (cell->start > 0)
    parts[n++] = torch_slice_node(t, base, dim, 0, cell->start, 1);
  parts[n++] = value;
  if (end < whole.dim[dim])
    parts[n++] = torch_slice_node(t, base, dim, end, whole.dim[dim], 1);
  return torch_concat(t, n, parts, dim);
}

static void cell_assign(torch *t, torch_cell *cell, int value) {
  if (cell->base) {
    cell_assign(t, cell->base, written_back(t, cell, cell_id(t, cell->base), value));
    cell->seen = cell->base->version;
  }
  cell->weight = NULL;
  cell->frame = t->frame;
  cell->value = value;
  cell->version++;
}

void torch_assign(torch *t, const tv *v, int value) {
  if (v->kind == TV_TENSOR)
    cell_assign(t, v->cell, value);
  else if (v->kind != TV_POISON)
    torch_unsupported(t, "assign", "%s is changed in place", torch_kind_name(v));
}

tv torch_make_view(torch *t, const tv *base, int value, torch_cell how) {
  if (base->kind != TV_TENSOR)
    return torch_tensor(t, value);
  how.frame = t->frame;
  how.value = value;
  how.base = base->cell;
  how.seen = base->cell->version;
  return cell_value(t, how);
}

/* ---- types --------------------------------------------------------------------------------------------- */

neo_emitter *torch_emitter(torch *t) {
  return t->frame->emitter;
}

neo_dtype torch_dtype_of(torch *t, int id) {
  return id == NEO_NO_VALUE ? NEO_DTYPE_COUNT : neo_emit_dtype(torch_emitter(t), id);
}

int torch_rank(torch *t, int id) {
  return neo_emit_rank(torch_emitter(t), id);
}

const neo_shape *torch_shape_peek(torch *t, int id) {
  return neo_emit_shape(torch_emitter(t), id);
}

const neo_shape *torch_shape(torch *t, int id) {
  const neo_shape *shape = torch_shape_peek(t, id);
  if (!shape && !torch_poisoned(t) && torch_emitter(t)->failed == NEO_OK)
    torch_unsupported(t, "shape", "needs a shape that depends on the data");
  return shape;
}

const neo_tensor *torch_const(torch *t, int id) {
  return neo_emit_const(torch_emitter(t), id);
}

static const struct {
  int64_t code;
  neo_dtype dtype;
} dtype_codes[] = {{0, NEO_U8},   {1, NEO_I8},   {2, NEO_I16}, {3, NEO_I32},   {4, NEO_I64},
                   {5, NEO_F16},  {6, NEO_F32},  {7, NEO_F64}, {11, NEO_BOOL}, {15, NEO_BF16},
                   {27, NEO_U16}, {28, NEO_U32}, {29, NEO_U64}};

bool torch_dtype(int64_t code, neo_dtype *out) {
  for (int i = 0; i < NEO_COUNT(dtype_codes); i++)
    if (dtype_codes[i].code == code) {
      *out = dtype_codes[i].dtype;
      return true;
    }
  return false;
}

int64_t torch_dtype_code(neo_dtype dtype) {
  for (int i = 0; i < NEO_COUNT(dtype_codes); i++)
    if (dtype_codes[i].dtype == dtype)
      return dtype_codes[i].code;
  return -1;
}

static int category(neo_dtype dtype) {
  char c = dtype < NEO_DTYPE_COUNT ? neo_dtype_class(dtype) : 'b';
  return c == 'f' ? 2 : c == 'b' ? 0 : 1;
}

neo_dtype torch_promote(neo_dtype a, neo_dtype b) {
  if (a == b || b >= NEO_DTYPE_COUNT)
    return a;
  if (a >= NEO_DTYPE_COUNT)
    return b;
  if (category(a) != category(b))
    return category(a) > category(b) ? a : b;
  if (neo_dtype_size(a) == neo_dtype_size(b))
    return category(a) == 2            ? NEO_F32 /* f16 and bf16 */
           : neo_dtype_size(a) == 1    ? NEO_I16 /* u8 and i8 */
           : neo_dtype_class(a) == 'i' ? a
                                       : b;
  return neo_dtype_size(a) > neo_dtype_size(b) ? a : b;
}

int torch_cast(torch *t, int id, neo_dtype dtype) {
  if (id == NEO_NO_VALUE || dtype == NEO_DTYPE_COUNT || torch_dtype_of(t, id) == dtype)
    return id;
  const neo_tensor *known = torch_const(t, id);
  if (known && known->shape.rank == 0)
    return torch_scalar(t, dtype, neo_tensor_get_f64(known, 0));
  return neo_emit_cast(torch_emitter(t), id, dtype);
}

static neo_dtype number_dtype(const tv *v) {
  return v->kind == TV_BOOL ? NEO_BOOL : v->kind == TV_INT ? NEO_I64 : NEO_F32;
}

neo_dtype torch_promote_all(torch *t, int n, const tv *v, int *ids) {
  neo_dtype group[3] = {NEO_DTYPE_COUNT, NEO_DTYPE_COUNT, NEO_DTYPE_COUNT}; /* dims, 0-d, numbers */
  for (int i = 0; i < n; i++) {
    bool number = torch_is_number(&v[i]);
    ids[i] = number ? NEO_NO_VALUE : torch_id(t, &v[i]);
    int g = number ? 2 : torch_rank(t, ids[i]) == 0 ? 1 : 0;
    group[g] = torch_promote(group[g], number ? number_dtype(&v[i]) : torch_dtype_of(t, ids[i]));
  }
  neo_dtype result = group[0];
  for (int g = 1; g < 3; g++)
    if (group[g] != NEO_DTYPE_COUNT &&
        (result == NEO_DTYPE_COUNT || category(group[g]) > category(result)))
      result = group[g];
  for (int i = 0; i < n; i++)
    if (v[i].kind == TV_INT && result == NEO_I64)
      ids[i] = neo_emit_int(torch_emitter(t), v[i].i);
    else
      ids[i] = torch_is_number(&v[i]) ? torch_scalar(t, result, torch_number(&v[i]))
                                      : torch_cast(t, ids[i], result);
  return result;
}

bool torch_known_number(torch *t, const tv *v, tv *out) {
  if (torch_is_number(v)) {
    *out = *v;
    return true;
  }
  if (v->kind != TV_TENSOR)
    return false;
  const neo_tensor *tensor = torch_const(t, torch_id(t, v));
  int64_t n;
  if (!tensor || !neo_shape_elements(&tensor->shape, &n) || n != 1)
    return false;
  char c = neo_dtype_class(tensor->dtype);
  *out = c == 'f'   ? torch_float(neo_tensor_get_f64(tensor, 0))
         : c == 'b' ? torch_bool(neo_tensor_get_i64(tensor, 0) != 0)
                    : torch_int(neo_tensor_get_i64(tensor, 0));
  return true;
}
