/* frontends/tensorflow_complex.c: TensorFlow's operators on complex numbers (complex.h), and the
 * Fourier transforms. */
#include "frontends/complex.h"
#include "frontends/tensorflow_convert.h"

#include <string.h>

enum { DT_FLOAT = 1, DT_DOUBLE = 2, DT_COMPLEX64 = 8, DT_COMPLEX128 = 18 };

static neo_complex number(const tf_import *im, const tf_node *node, int k) {
  return neo_complex_of(im->e, tf_in(node, k));
}

static neo_status set_complex(tf_import *im, tf_node *node, neo_complex z) {
  return tf_set1(node, neo_complex_value(im->e, z));
}

/* ---- made of and into real numbers ------------------------------------------------------------ */

/* The parts are broadcast. */
neo_status tf_complex(tf_import *im, tf_node *node) {
  neo_complex z = {tf_in(node, 0), tf_in(node, 1)};
  neo_emit_infer(im->e);
  const neo_shape *a = neo_emit_shape(im->e, z.re), *b = neo_emit_shape(im->e, z.im);
  if (!a || !b || !neo_shape_equal(a, b)) {
    neo_complex re = {z.re, NEO_NO_VALUE}, imaginary = {z.im, NEO_NO_VALUE};
    int zero_re = neo_complex_imaginary(im->e, re);
    int zero_im = neo_complex_imaginary(im->e, imaginary);
    z.re = neo_emit_binary(im->e, "add", z.re, zero_im);
    z.im = neo_emit_binary(im->e, "add", z.im, zero_re);
  }
  return set_complex(im, node, z);
}

neo_status tf_complex_part(tf_import *im, tf_node *node) {
  neo_complex z = number(im, node, 0);
  const char *what = node->row->arg;
  if (strcmp(what, "real") == 0)
    return tf_set1(node, z.re);
  if (strcmp(what, "imag") == 0)
    return tf_set1(node, neo_complex_imaginary(im->e, z));
  if (strcmp(what, "abs") == 0)
    return tf_set1(node, neo_complex_abs(im->e, z));
  if (strcmp(what, "angle") == 0)
    return tf_set1(node, neo_complex_angle(im->e, z));
  return set_complex(im, node, neo_complex_conj(im->e, z));
}

/* ---- transforms: arg is INVERSE HALF DIMENSIONS ------------------------------------------------ */

static bool lengths(tf_import *im, tf_node *node, int dims, int64_t *length) {
  int n = 0;
  for (int d = 0; d < dims; d++)
    length[d] = 0;
  if (node->n_inputs < 2)
    return true;
  if (!tf_const_ints(im, node, 1, length, dims, &n))
    return false;
  if (n == dims)
    return true;
  tf_unsupported(im, node, "%d lengths of a transform along %d dimensions", n, dims);
  return false;
}

neo_status tf_fourier(tf_import *im, tf_node *node) {
  const char *how = node->row->arg;
  bool inverse = how[0] == 'i', half = how[1] == 'r';
  int dims = how[2] - '0';
  int64_t length[3];
  neo_complex z = number(im, node, 0);
  if (!lengths(im, node, dims, length))
    return NEO_OK;
  for (int k = 0; k < dims; k++) { /* the half is along the last: first, or back from it last */
    int d = inverse && half ? k : dims - 1 - k;
    neo_fourier f = {d - dims, length[d], inverse, half && d == dims - 1};
    z = neo_complex_fourier(im->e, z, &f);
  }
  return set_complex(im, node, z);
}

/* ---- operators on real and complex numbers ------------------------------------------------------ */

static bool is_complex_type(const tf_node *node, const char *attr) {
  const Tf__Value *v = tf_attr(node, attr);
  return v && v->has_type && (v->type == DT_COMPLEX64 || v->type == DT_COMPLEX128);
}

static neo_status complex_cast(tf_import *im, tf_node *node) {
  neo_complex z = number(im, node, 0);
  if (is_complex_type(node, "DstT")) {
    neo_dtype dtype = tf_attr(node, "DstT")->type == DT_COMPLEX64 ? NEO_F32 : NEO_F64;
    z.re = neo_emit_cast(im->e, z.re, dtype);
    z.im = neo_emit_cast(im->e, neo_complex_imaginary(im->e, z), dtype);
    return set_complex(im, node, z);
  }
  neo_dtype to = tf_type(node, "DstT");
  return to == NEO_DTYPE_COUNT ? tf_unsupported(im, node, "a cast to another type than numbers")
                               : tf_set1(node, neo_emit_cast(im->e, z.re, to));
}

static neo_status complex_math(tf_import *im, tf_node *node) {
  const char *op = node->row->op;
  neo_complex a = number(im, node, 0), b = number(im, node, 1);
  if (strcmp(op, "Mul") == 0)
    return set_complex(im, node, neo_complex_mul(im->e, a, b));
  if (strcmp(op, "Square") == 0)
    return set_complex(im, node, neo_complex_mul(im->e, a, a));
  if (strcmp(op, "Exp") == 0)
    return set_complex(im, node, neo_complex_exp(im->e, a));
  return set_complex(im, node, neo_complex_div(im->e, a, b));
}

/* The row's own converter knows. */
static neo_status as_it_is(tf_import *im, tf_node *node) {
  return node->row->convert(im, node);
}

/* Only the extents matter. */
static neo_status real_part(tf_import *im, tf_node *node) {
  for (int k = 0; k < node->n_inputs; k++)
    if (node->in[k].kind == TF_TENSOR)
      node->in[k].id = number(im, node, k).re;
  return node->row->convert(im, node);
}

/* Twice, once for each part. */
static neo_status both_parts(tf_import *im, tf_node *node) {
  const tf_value *in = node->in;
  tf_value *made[2];
  int n[2];
  for (int part = 0; part < 2; part++) {
    node->in = neo_arena_alloc(&node->scope->arena, sizeof *in * (size_t)(node->n_inputs + 1));
    for (int k = 0; k < node->n_inputs; k++) {
      neo_complex z = neo_complex_of(im->e, in[k].id);
      node->in[k] = in[k];
      if (in[k].kind == TF_TENSOR && z.im != NEO_NO_VALUE)
        node->in[k].id = part ? z.im : z.re;
    }
    tf_outputs(im, node, node->n_outputs);
    NEO_TRY(node->row->convert(im, node));
    made[part] = node->out;
    n[part] = node->n_outputs;
  }
  for (int k = 0; k < n[0] && k < n[1]; k++)
    if (made[0][k].kind == TF_TENSOR && made[1][k].kind == TF_TENSOR)
      node->out[k].id = neo_complex_value(im->e, (neo_complex){made[0][k].id, made[1][k].id});
  return NEO_OK;
}

static tf_convert complex_row(const char *op) {
  static const struct {
    const char *names; /* between blanks */
    tf_convert convert;
  } rows[] = {
      {" Add AddN AddV2 BroadcastTo Concat ConcatV2 Cumsum EnsureShape ExpandDims GatherNd "
       "GatherV2 "
       "Mean Neg Pack Pad PadV2 Reshape ReverseV2 Roll Select SelectV2 Slice Split SplitV Squeeze "
       "StridedSlice Sub Sum Tile Transpose Unpack ",
       both_parts},
      {" Mul Square Exp Div RealDiv ", complex_math},
      {" Rank Shape Size ", real_part},
      {" Cast ", complex_cast},
      {" Angle ComplexAbs Conj FFT FFT2D FFT3D IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Identity "
       "IdentityN Imag PartitionedCall PreventGradient Real Snapshot StatefulPartitionedCall "
       "StopGradient ",
       as_it_is},
  };
  char word[64];
  snprintf(word, sizeof word, " %.60s ", op);
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strstr(rows[i].names, word))
      return rows[i].convert;
  return NULL;
}

bool tf_has_complex(const tf_import *im, const tf_node *node) {
  for (int k = 0; k < node->n_inputs; k++)
    if (node->in[k].kind == TF_TENSOR && neo_complex_is(im->e, node->in[k].id))
      return true;
  return strcmp(node->row->op, "Cast") == 0 && is_complex_type(node, "DstT");
}

neo_status tf_complex_convert(tf_import *im, tf_node *node) {
  tf_convert convert = complex_row(node->row->op);
  return convert ? convert(im, node) : tf_unsupported(im, node, "of complex numbers");
}

/* ---- constants --------------------------------------------------------------------------------- */

bool tf_complex_number(int number) {
  return number == DT_COMPLEX64 || number == DT_COMPLEX128;
}

/* The same bytes are real numbers with a last dimension of 2; one number may stand for all. */
neo_status tf_complex_const(tf_import *im, tf_node *node, const Tf__Tensor *pb) {
  Tf__Dim extent[NEO_MAX_RANK], *dim[NEO_MAX_RANK];
  Tf__Shape shape = TF__SHAPE__INIT;
  Tf__Tensor packed = *pb;
  neo_shape whole = {0};
  neo_tensor tensor;
  if (pb->shape && (!tf_shape(pb->shape, &whole) || whole.rank < 0 || whole.rank >= NEO_MAX_RANK))
    return tf_bad(im, node, "its shape is damaged");
  bool one = pb->n_scomplex_val + pb->n_dcomplex_val == 2;
  for (int d = 0; d <= whole.rank; d++) {
    tf__dim__init(&extent[d]);
    extent[d].has_size = 1;
    extent[d].size = one && d == 0 ? 2 : d < whole.rank ? whole.dim[d] : 2;
    dim[d] = &extent[d];
  }
  shape.n_dim = one ? 1 : (size_t)whole.rank + 1;
  shape.dim = dim;
  packed.shape = &shape;
  packed.dtype = pb->dtype == DT_COMPLEX64 ? DT_FLOAT : DT_DOUBLE;
  packed.n_float_val = pb->n_scomplex_val;
  packed.float_val = pb->scomplex_val;
  packed.n_double_val = pb->n_dcomplex_val;
  packed.double_val = pb->dcomplex_val;
  NEO_TRY(tf_tensor(im, &packed, im->e->scope, &tensor));
  neo_complex z = neo_complex_unpack(im->e, neo_emit_tensor(im->e, im->e->scope, &tensor));
  if (one && whole.rank > 0) {
    int target = neo_emit_ints(im->e, whole.rank, whole.dim);
    z.re = neo_emit_binary(im->e, "expand", z.re, target);
    z.im = neo_emit_binary(im->e, "expand", z.im, target);
  }
  return set_complex(im, node, z);
}
