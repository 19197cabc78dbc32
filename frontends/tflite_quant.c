/* frontends/tflite_quant.c: TFLite's quantised and sparse tensors.
 *
 * real = scale * (stored - zero_point); scale and zero point per tensor or along one axis. Stored
 * values become real numbers by exact arithmetic but for one rounding, and quantising rounds once,
 * so that what is computed between them differs from TFLite's integer kernels by less than a step:
 * the sums are exact in f32 as long as they stay below 2^24 steps, TFLite's own multipliers have 31
 * bits.
 *
 * Sparse constants (TACO's format, "sparsity/README" of TFLite's schema): dimensions in traversal
 * order, the first the tensor's own, the rest those of blocks; each dense, or CSR: segments[p] ..
 * segments[p + 1] are the places in `indices` of what lies below parent p. */
#include "frontends/tflite_import.h"

#include <inttypes.h>
#include <string.h>

/* ---- scales --------------------------------------------------------------------------------------- */

/* Scales (or zero points) as f32 that broadcast against the tensor. */
static int parameter(tfl_import *im, const tfl_tensor *t, bool zero) {
  neo_emitter *e = &im->e;
  if (t->scale.n == 1)
    return neo_emit_scalar(e, NEO_F32,
                           zero ? (double)neo_fb_element(&t->zero_point, NEO_FB_I64, 0)
                                : neo_fb_element_f32(&t->scale, 0));
  neo_tensor tensor = {.dtype = NEO_F32, .size = sizeof(float) * (size_t)t->scale.n};
  tensor.shape.rank = t->shape.rank - t->axis;
  for (int d = 0; d < tensor.shape.rank; d++)
    tensor.shape.dim[d] = d ? 1 : t->scale.n;
  tensor.data = neo_arena_alloc(e->graph->arena, tensor.size);
  for (int64_t i = 0; i < t->scale.n; i++)
    neo_tensor_set_f64(&tensor, i,
                       zero ? (double)neo_fb_element(&t->zero_point, NEO_FB_I64, i)
                            : neo_fb_element_f32(&t->scale, i));
  return neo_emit_tensor(e, zero ? "zero_point" : "scale", &tensor);
}

static bool any_zero_point(const tfl_tensor *t) {
  for (int64_t i = 0; i < t->zero_point.n; i++)
    if (neo_fb_element(&t->zero_point, NEO_FB_I64, i) != 0)
      return true;
  return false;
}

int tfl_dequantise(tfl_import *im, const tfl_tensor *t, int value) {
  neo_emitter *e = &im->e;
  value = neo_emit_cast(e, value, NEO_F32);
  if (any_zero_point(t))
    value = neo_emit_binary(e, "sub", value, parameter(im, t, true));
  return neo_emit_binary(e, "mul", value, parameter(im, t, false));
}

int tfl_quantise(tfl_import *im, const tfl_tensor *t, int value) {
  neo_emitter *e = &im->e;
  value = neo_emit_binary(e, "div", value, parameter(im, t, false));
  value = neo_emit_unary(e, "round", value);
  if (any_zero_point(t))
    value = neo_emit_binary(e, "add", value, parameter(im, t, true));
  return neo_emit_cast(e, value, t->dtype);
}

/* Also from f16, which is what files with half weights do. */
void tfl_dequantize(tfl_op *op) {
  const tfl_tensor *t = tfl_input(op, 0);
  int value = tfl_in(op, 0);
  if (t && !tfl_quantised(t) && t->dtype != NEO_F32)
    value = neo_emit_cast(&op->im->e, value, NEO_F32);
  tfl_set(op, 0, value);
}

void tfl_quantize(tfl_op *op) {
  if (tfl_bytes(op, 0))
    tfl_requantise(op);
  else
    tfl_set(op, 0, tfl_in(op, 0));
}

/* ---- sparse constants -------------------------------------------------------------------------------- */

#define MAX_LEVELS (2 * NEO_MAX_RANK)

typedef struct level {
  bool csr;
  int64_t size;
  neo_fb_vector segments, indices;
  neo_fb_type segments_type, indices_type;
} level;

typedef struct sparse {
  tfl_import *im;
  int n, rank;
  level level[MAX_LEVELS];
  int64_t order[MAX_LEVELS];   /* level -> dimension */
  int64_t block[NEO_MAX_RANK]; /* dimension rank + i of `order` is a part of this dimension */
  int64_t block_size[NEO_MAX_RANK];
  size_t element;
  const uint8_t *values;
  int64_t n_values, next;
  int64_t steps; /* left: ranges of a damaged file may overlap */
  neo_tensor *out;
} sparse;

/* SparseIndexVector: Int32Vector 1, Uint16Vector 2, Uint8Vector 3; each a table of one vector. */
static neo_fb_vector index_vector(const neo_fb_table *dim, int type_field, neo_fb_type *type) {
  static const neo_fb_type types[] = {NEO_FB_I32, NEO_FB_I32, NEO_FB_U16, NEO_FB_U8};
  static const size_t sizes[] = {4, 4, 2, 1};
  int64_t kind = neo_fb_int(dim, type_field, NEO_FB_U8, 0);
  neo_fb_table table = neo_fb_child(dim, type_field + 1);
  *type = kind >= 1 && kind <= 3 ? types[kind] : NEO_FB_I32;
  return neo_fb_field_vector(&table, 0, kind >= 1 && kind <= 3 ? sizes[kind] : 4);
}

static bool read_levels(sparse *s, const neo_fb_table *table) {
  neo_fb_vector order = neo_fb_field_vector(table, TFL_SPARSITY_ORDER, 4),
                map = neo_fb_field_vector(table, TFL_SPARSITY_BLOCK_MAP, 4),
                dims = neo_fb_field_vector(table, TFL_SPARSITY_DIMS, 4);
  bool seen[MAX_LEVELS] = {false};
  if (order.n != s->rank + map.n || dims.n != order.n || map.n > s->rank)
    return false;
  s->n = (int)order.n;
  for (int i = 0; i < map.n; i++) {
    s->block[i] = neo_fb_element(&map, NEO_FB_I32, i);
    if (s->block[i] < 0 || s->block[i] >= s->rank)
      return false;
  }
  for (int i = 0; i < s->n; i++) {
    neo_fb_table dim = neo_fb_element_table(&dims, i);
    level *l = &s->level[i];
    s->order[i] = neo_fb_element(&order, NEO_FB_I32, i);
    if (s->order[i] < 0 || s->order[i] >= s->n || seen[s->order[i]])
      return false;
    seen[s->order[i]] = true;
    l->csr = neo_fb_int(&dim, TFL_SPARSE_FORMAT, NEO_FB_I8, 0) == 1;
    l->size = neo_fb_int(&dim, TFL_SPARSE_DENSE_SIZE, NEO_FB_I32, 0);
    l->segments = index_vector(&dim, TFL_SPARSE_SEGMENTS_TYPE, &l->segments_type);
    l->indices = index_vector(&dim, TFL_SPARSE_INDICES_TYPE, &l->indices_type);
    if (!l->csr && l->size < 1)
      return false;
  }
  return tfl_ok(s->im);
}

/* Sizes of blocks: the dense sizes of the levels that are blocks. */
static bool read_blocks(sparse *s) {
  for (int d = 0; d < s->rank; d++)
    s->block_size[d] = 1;
  for (int i = 0; i < s->n; i++)
    if (s->order[i] >= s->rank) {
      if (s->level[i].csr)
        return false;
      s->block_size[s->block[s->order[i] - s->rank]] *= s->level[i].size;
    }
  for (int d = 0; d < s->rank; d++)
    if (s->block_size[d] < 1 || s->block_size[d] > s->out->shape.dim[d])
      return false;
  return true;
}

static bool put(sparse *s, const int64_t *at) {
  int64_t place = 0;
  for (int d = 0; d < s->rank; d++) {
    int64_t i = at[d];
    for (int k = s->rank; k < s->n; k++)
      if (s->block[k - s->rank] == d)
        i = i * s->block_size[d] + at[k];
    if (i < 0 || i >= s->out->shape.dim[d])
      return false;
    place = place * s->out->shape.dim[d] + i;
  }
  if (s->next >= s->n_values)
    return false;
  memcpy((uint8_t *)s->out->data + (size_t)place * s->element,
         s->values + (size_t)s->next * s->element, s->element);
  s->next++;
  return true;
}

/* Level i below the parent's position p. at[dimension] is set on the way. */
static bool walk(sparse *s, int i, int64_t p, int64_t *at) {
  if (i == s->n)
    return put(s, at);
  const level *l = &s->level[i];
  int64_t from = 0, to = l->size;
  if (l->csr) {
    if (p < 0 || p + 1 >= l->segments.n)
      return false;
    from = neo_fb_element(&l->segments, l->segments_type, p);
    to = neo_fb_element(&l->segments, l->segments_type, p + 1);
    if (from < 0 || from > to || to > l->indices.n)
      return false;
  }
  for (int64_t k = from; k < to; k++) {
    if (--s->steps < 0)
      return false;
    at[s->order[i]] = l->csr ? neo_fb_element(&l->indices, l->indices_type, k) : k;
    if (!walk(s, i + 1, l->csr ? k : p * l->size + k, at))
      return false;
  }
  return true;
}

bool tfl_densify(tfl_import *im, const tfl_tensor *t, neo_tensor *out) {
  sparse s = {.im = im, .rank = t->shape.rank, .out = out};
  int64_t at[MAX_LEVELS] = {0};
  s.element = neo_dtype_size(t->dtype);
  s.values = t->data.data;
  s.n_values = t->data.n / (int64_t)s.element;
  s.steps = ((int64_t)(out->size / s.element) + 64) * MAX_LEVELS;
  if (!tfl_expand(im, (int64_t)out->size))
    return false;
  out->data = neo_aligned_alloc(im->e.ctx, out->size + 16);
  if (!out->data) {
    im->fb.status = neo_fail(im->e.ctx, NEO_NO_MEMORY, "tflite: constant '%s': no memory", t->name);
    return false;
  }
  neo_graph_adopt(im->e.graph, out->data);
  if (read_levels(&s, &t->sparsity) && read_blocks(&s) && walk(&s, 0, 0, at))
    return true;
  tfl_broken(im, "the sparse constant '%s' is damaged", t->name);
  return false;
}
