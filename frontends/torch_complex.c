/* frontends/torch_complex.c: ATen's complex numbers (frontends/complex.h), Fourier transforms, stft
 * and istft.
 *
 * A row's function knows real numbers. A call with a complex operand comes here first: moves and
 * sums are called once for each part, a few functions know pairs, and the rest is listed. Results
 * are fresh variables: an in-place change of a view of complex numbers does not reach its base,
 * which is refused (torch_table.c). */
#include "frontends/complex.h"
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static neo_complex pair_of(torch *t, const tv *v) {
  return neo_complex_of(torch_emitter(t), torch_id(t, v));
}

static tv made(torch *t, neo_complex z) {
  return torch_tensor(t, neo_complex_value(torch_emitter(t), z));
}

static neo_complex scaled_by(torch *t, neo_complex z, double by) {
  int v = by == 1 ? NEO_NO_VALUE : torch_scalar_like(t, z.re, by);
  return by == 1 ? z : neo_complex_mul(torch_emitter(t), z, (neo_complex){v, NEO_NO_VALUE});
}

bool torch_is_complex(torch *t, const tv *v) {
  if (torch_emitter(t)->n_pairs == 0)
    return false;
  for (int i = 0; torch_is_seq(v) && i < v->seq->n; i++)
    if (torch_is_complex(t, &v->seq->item[i]))
      return true;
  return v->kind == TV_TENSOR && !v->cell->weight &&
         neo_complex_is(torch_emitter(t), torch_id(t, v));
}

void torch_refuse_complex(torch *t, const neo_emitter *e, int n, const int *ids) {
  for (int i = 0; i < n; i++)
    if (neo_complex_is(e, ids[i])) {
      torch_unsupported(t, "complex", "numbers in or out of a branch or loop that is kept");
      return;
    }
}

/* ---- parts ------------------------------------------------------------------------------------ */

tv torch_do_complex_part(torch *t, torch_call *call) {
  const char *what = call->row->ours;
  neo_emitter *e = torch_emitter(t);
  neo_complex z = pair_of(t, &call->arg[0]);
  if (strcmp(what, "real") == 0)
    return torch_tensor(t, z.re);
  if (strcmp(what, "imag") == 0)
    return torch_tensor(t, neo_complex_imaginary(e, z));
  if (strcmp(what, "angle") == 0)
    return torch_tensor(t, neo_complex_angle(e, z));
  if (strcmp(what, "pack") == 0)
    return torch_tensor(t, neo_complex_pack(e, z));
  if (strcmp(what, "unpack") == 0)
    return made(t, neo_complex_unpack(e, z.re));
  return made(t, strcmp(what, "conj") == 0 ? neo_complex_conj(e, z) : z);
}

tv torch_do_complex(torch *t, torch_call *call) {
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  if (strcmp(call->row->ours, "polar") == 0)
    return made(t, neo_complex_polar(torch_emitter(t), ids[0], ids[1]));
  const neo_shape *a = torch_shape_peek(t, ids[0]), *b = torch_shape_peek(t, ids[1]);
  if (!a || !b || !neo_shape_equal(a, b))
    return torch_unsupported(t, call->op, "parts of different shapes");
  return made(t, (neo_complex){ids[0], ids[1]});
}

/* ---- transforms ------------------------------------------------------------------------------- */

typedef struct transforms {
  int n;
  int64_t dim[NEO_MAX_RANK], length[NEO_MAX_RANK]; /* length 0: as it is */
  bool inverse, half;
  int norm; /* 0: forward none, inverse 1 / n; 1: both 1 / sqrt n; 2: forward 1 / n, inverse none;
               3: none at all */
} transforms;

/* The extent that the transform of dimension k has. */
static int64_t extent_of(torch *t, const transforms *f, int k, neo_complex z) {
  const neo_shape *shape = torch_shape(t, z.re);
  if (f->length[k] > 0 || !shape)
    return f->length[k];
  int64_t n = shape->dim[f->dim[k] < 0 ? f->dim[k] + shape->rank : f->dim[k]];
  return f->inverse && f->half && k == f->n - 1 ? 2 * (n - 1) : n;
}

static tv transform(torch *t, const transforms *f, neo_complex z) {
  double scale = 1;
  for (int step = 0; step < f->n; step++) {
    int k = f->inverse && f->half ? step : f->n - 1 - step;
    const neo_shape *shape = torch_shape(t, z.re);
    if (!shape || f->dim[k] < -shape->rank || f->dim[k] >= shape->rank)
      return torch_poison();
    int64_t n = extent_of(t, f, k, z);
    int axis = (int)(f->dim[k] < 0 ? f->dim[k] : f->dim[k] - shape->rank);
    double none = f->inverse ? (double)n : 1; /* what makes it unscaled */
    scale *= f->norm == 3                   ? none
             : f->norm == 1                 ? none / sqrt((double)n)
             : f->inverse == (f->norm == 0) ? none / (double)n
                                            : none;
    z = neo_complex_fourier(
        torch_emitter(t), z,
        &(neo_fourier){axis, f->length[k], f->inverse, f->half && k == f->n - 1});
  }
  return made(t, scaled_by(t, z, scale));
}

static bool read_norm(torch *t, torch_call *call, int i, transforms *f) {
  const char *norm = torch_arg_given(call, i) ? call->arg[i].s : "backward";
  f->norm = strcmp(norm, "backward") == 0  ? 0
            : strcmp(norm, "ortho") == 0   ? 1
            : strcmp(norm, "forward") == 0 ? 2
                                           : -1;
  if (f->norm < 0)
    torch_unsupported(t, call->op, "norm '%s'", norm);
  return f->norm >= 0;
}

static bool read_kind(const char *kind, transforms *f) {
  f->inverse = kind[0] == 'i';
  f->half = kind[1] == 'r';
  return f->inverse;
}

/* (self, n?, dim, norm?) */
tv torch_do_fourier(torch *t, torch_call *call) {
  transforms f = {.n = 1, .dim = {torch_arg_int(call, 2)}};
  read_kind(call->row->ours, &f);
  f.length[0] = torch_arg_given(call, 1) ? torch_arg_int(call, 1) : 0;
  return read_norm(t, call, 3, &f) ? transform(t, &f, pair_of(t, &call->arg[0])) : torch_poison();
}

/* (self, s?, dim?, norm?): two dimensions, or any. */
tv torch_do_fourier_many(torch *t, torch_call *call) {
  transforms f = {0};
  neo_complex z = pair_of(t, &call->arg[0]);
  int rank = torch_rank(t, z.re), n = torch_arg_ints(t, call, 1, f.length, NEO_MAX_RANK);
  int dims = torch_arg_ints(t, call, 2, f.dim, NEO_MAX_RANK);
  bool two = call->row->ours[2] == '2';
  if (rank < 0 || n < 0 || dims < 0 || !read_norm(t, call, 3, &f))
    return torch_poison();
  read_kind(call->row->ours, &f);
  f.n = torch_arg_given(call, 2) ? dims : two ? 2 : n > 0 ? n : rank;
  for (int k = 0; k < f.n && !torch_arg_given(call, 2); k++)
    f.dim[k] = k - f.n;
  for (int k = 0; k < n; k++)
    f.length[k] = f.length[k] < 0 ? 0 : f.length[k];
  if ((n > 0 && n != f.n) || f.n < 1)
    return torch_unsupported(t, call->op, "%d sizes for %d dimensions", n, f.n);
  return transform(t, &f, z);
}

/* _fft_r2c(self, dim, normalization, onesided), _fft_c2c(self, dim, normalization, forward),
 * _fft_c2r(self, dim, normalization, last_dim_size) */
tv torch_do_fourier_basic(torch *t, torch_call *call) {
  transforms f = {.n = torch_arg_ints(t, call, 1, (int64_t[NEO_MAX_RANK]){0}, NEO_MAX_RANK)};
  const char *kind = call->row->ours;
  int64_t how = torch_arg_int(call, 2), last = torch_arg_int(call, 3);
  if (torch_arg_ints(t, call, 1, f.dim, NEO_MAX_RANK) < 1)
    return torch_poison();
  f.inverse = strcmp(kind, "c2r") == 0 || (strcmp(kind, "c2c") == 0 && !last);
  f.half = strcmp(kind, "c2r") == 0 || (strcmp(kind, "r2c") == 0 && last);
  if (strcmp(kind, "c2r") == 0)
    f.length[f.n - 1] = last;
  f.norm = how == 1 ? 1 : how == 0 ? 3 : f.inverse ? 0 : 2;
  return transform(t, &f, pair_of(t, &call->arg[0]));
}

/* ---- windows ---------------------------------------------------------------------------------- */

/* (length, periodic=True, alpha, beta): alpha - beta cos + gamma cos of twice. */
tv torch_do_window(torch *t, torch_call *call) {
  int64_t n = torch_arg_int(call, 0);
  bool periodic = call->arg[1].i != 0, blackman = *call->row->ours == 'b';
  double alpha = blackman ? 0.42 : torch_arg_float(call, 2);
  double beta = blackman ? 0.5 : torch_arg_float(call, 3), gamma = blackman ? 0.08 : 0;
  neo_emitter *e = torch_emitter(t);
  if (n < 1 || n > 1 << 20)
    return torch_unsupported(t, call->op, "a window of %lld", (long long)n);
  neo_tensor tensor = {
      NEO_F32, {1, {n}}, neo_arena_alloc(e->graph->arena, (size_t)n * 4 + 16), (size_t)n * 4};
  double step = 2 * pi / (double)(periodic || n == 1 ? n : n - 1);
  for (int64_t i = 0; i < n; i++) {
    double a = step * (double)i, v = alpha - beta * cos(a) + gamma * cos(2 * a);
    neo_tensor_set_f64(&tensor, i, n == 1 ? 1 : v);
  }
  return torch_tensor(t, neo_emit_tensor(e, "window", &tensor));
}

/* ---- stft, istft ------------------------------------------------------------------------------ */

enum { MAX_FRAME = 1 << 16 }; /* samples; a sample may be in a sixteenth as many frames */

typedef struct frames {
  int64_t length, hop, count; /* samples of a frame, between starts; frames */
  int window;                 /* [length] or NEO_NO_VALUE */
} frames;

typedef struct border {
  int axis, rank;
  int64_t before, after;
  const char *mode; /* NULL: zeros */
} border;

static int padded(torch *t, int x, border b) {
  neo_emitter *e = torch_emitter(t);
  int64_t pads[2 * NEO_MAX_RANK] = {0};
  if (b.before == 0 && b.after == 0)
    return x;
  pads[b.axis] = b.before;
  pads[b.rank + b.axis] = b.after;
  neo_node *node = neo_emit_node(e, "pad", 1, &x, 1);
  neo_node_set_ints(e->graph, node, "pads", 2 * b.rank, pads);
  neo_node_set_string(e->graph, node, "mode", b.mode ? b.mode : "constant");
  return node->output[0];
}

/* hop and window of arguments i, i + 1, i + 2 (hop?, win_length?, window?). */
static bool read_frames(torch *t, torch_call *call, int i, frames *f) {
  f->hop = torch_arg_given(call, i) ? torch_arg_int(call, i) : f->length / 4;
  int64_t width = torch_arg_given(call, i + 1) ? torch_arg_int(call, i + 1) : f->length;
  if (f->length < 1 || f->length > MAX_FRAME || f->hop < 1 || width < 1 || width > f->length ||
      f->length / f->hop > MAX_FRAME / 16) {
    torch_unsupported(t, call->op, "frames of %lld by %lld, windows of %lld", (long long)f->length,
                      (long long)f->hop, (long long)width);
    return false;
  }
  int64_t left = (f->length - width) / 2;
  f->window = torch_arg_given(call, i + 2) ? torch_arg(t, call, i + 2) : NEO_NO_VALUE;
  if (f->window == NEO_NO_VALUE && width < f->length)
    f->window = torch_full(t, 1, &width, NEO_F32, 1);
  if (f->window != NEO_NO_VALUE)
    f->window = padded(t, f->window, (border){0, 1, left, f->length - width - left, NULL});
  return true;
}

/* x [batch, n] -> [batch, count, length] */
static int cut_frames(torch *t, int x, frames *f) {
  neo_emitter *e = torch_emitter(t);
  int64_t n = f->count * f->length;
  neo_tensor index = {NEO_I64, {2, {f->count, f->length}}, NULL, (size_t)n * 8};
  index.data = neo_arena_alloc(e->graph->arena, index.size + 16);
  for (int64_t i = 0; i < n; i++)
    neo_tensor_set_i64(&index, i, i / f->length * f->hop + i % f->length);
  int in[2] = {x, neo_emit_tensor(e, "frames", &index)};
  neo_node *node = neo_emit_node(e, "gather", 2, in, 1);
  neo_node_set_int(e->graph, node, "axis", 1);
  return node->output[0];
}

static neo_complex transposed(torch *t, neo_complex z) {
  static const int64_t perm[3] = {0, 2, 1};
  return (neo_complex){torch_transpose(t, z.re, 3, perm),
                       z.im == NEO_NO_VALUE ? z.im : torch_transpose(t, z.im, 3, perm)};
}

static neo_complex without_batch(torch *t, neo_complex z) {
  return (neo_complex){torch_squeeze(t, z.re, 0),
                       z.im == NEO_NO_VALUE ? z.im : torch_squeeze(t, z.im, 0)};
}

static tv spectra(torch *t, torch_call *call, int x, frames *f, const bool *how) {
  enum { NORMALIZED, HALF, COMPLEX };
  const neo_shape *shape = torch_shape(t, x);
  neo_emitter *e = torch_emitter(t);
  if (!shape)
    return torch_poison();
  int rank = shape->rank;
  int64_t n = rank ? shape->dim[rank - 1] : 0;
  f->count = (n - f->length) / f->hop + 1;
  if (rank < 1 || rank > 2 || n < f->length || f->count * f->length > 1 << 26)
    return torch_unsupported(t, call->op, "frames of %lld samples by %lld out of %lld",
                             (long long)f->length, (long long)f->hop, (long long)n);
  int cut = cut_frames(t, rank == 1 ? torch_unsqueeze(t, x, 0) : x, f);
  cut = f->window == NEO_NO_VALUE ? cut : torch_binary(t, "mul", cut, f->window);
  neo_complex z = neo_complex_fourier(e, (neo_complex){cut, NEO_NO_VALUE},
                                      &(neo_fourier){.axis = -1, .half = how[HALF]});
  z = transposed(t, scaled_by(t, z, how[NORMALIZED] ? 1 / sqrt((double)f->length) : 1));
  z = rank == 1 ? without_batch(t, z) : z;
  return how[COMPLEX] ? made(t, z) : torch_tensor(t, neo_complex_pack(e, z));
}

/* The longer schema has center and pad_mode behind window (`shift` 2). */
tv torch_do_stft(torch *t, torch_call *call) {
  int shift = *call->row->ours == 'c' ? 2 : 0;
  frames f = {.length = torch_arg_int(call, 1)};
  const bool how[3] = {call->arg[5 + shift].i != 0,
                       !torch_arg_given(call, 6 + shift) || call->arg[6 + shift].i != 0,
                       torch_arg_given(call, 7 + shift) && call->arg[7 + shift].i != 0};
  if (torch_is_complex(t, &call->arg[0]))
    return torch_unsupported(t, call->op, "of complex numbers");
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  if (rank < 0 || !read_frames(t, call, 2, &f))
    return torch_poison();
  if (shift && call->arg[5].i != 0) {
    const char *mode = call->arg[6].s;
    mode = strcmp(mode, "replicate") == 0 ? "edge" : strcmp(mode, "circular") == 0 ? "wrap" : mode;
    x = padded(t, x, (border){rank - 1, rank, f.length / 2, f.length / 2, mode});
  }
  return spectra(t, call, x, &f, how);
}

/* parts [batch, count, length] -> the sum of all, each at its place [batch, (count - 1) hop +
 * length]: frames are cut into pieces of a hop, and the pieces of one number are neighbours. */
static int overlap_add(torch *t, int parts, int64_t batch, const frames *f) {
  int64_t pieces = (f->length + f->hop - 1) / f->hop, all = f->count + pieces - 1;
  parts = padded(t, parts, (border){2, 3, 0, pieces * f->hop - f->length, NULL});
  int sum = NEO_NO_VALUE;
  for (int64_t k = 0; k < pieces; k++) {
    int part = torch_slice_node(t, parts, 2, k * f->hop, (k + 1) * f->hop, 1);
    part = padded(t, part, (border){1, 3, k, pieces - 1 - k, NULL});
    sum = sum == NEO_NO_VALUE ? part : torch_binary(t, "add", sum, part);
  }
  sum = torch_reshape(t, sum, 2, (int64_t[]){batch, all * f->hop});
  return torch_slice_node(t, sum, 1, 0, (f->count - 1) * f->hop + f->length, 1);
}

/* The sum of the squared windows, to divide by. */
static int envelope(torch *t, const frames *f) {
  int w = f->window == NEO_NO_VALUE ? torch_full(t, 1, &f->length, NEO_F32, 1) : f->window;
  int square = torch_binary(t, "mul", w, w);
  int all = torch_expand(t, square, 3, (int64_t[]){1, f->count, f->length});
  return overlap_add(t, all, 1, f);
}

/* (input, n_fft, hop?, win_length?, window?, center, normalized, onesided?, length?, complex) */
tv torch_do_istft(torch *t, torch_call *call) {
  frames f = {.length = torch_arg_int(call, 1)};
  bool half = !torch_arg_given(call, 7) || call->arg[7].i != 0, center = call->arg[5].i != 0;
  neo_complex z = pair_of(t, &call->arg[0]);
  const neo_shape *shape = torch_shape(t, z.re);
  if (!shape || !read_frames(t, call, 2, &f))
    return torch_poison();
  int rank = shape->rank;
  if (z.im == NEO_NO_VALUE || rank < 2 || rank > 3 || call->arg[9].i != 0 || !half ||
      shape->dim[rank - 2] != f.length / 2 + 1)
    return torch_unsupported(t, call->op, "of these spectra or for complex signals");
  f.count = shape->dim[rank - 1];
  int64_t batch = rank == 3 ? shape->dim[0] : 1, total = (f.count - 1) * f.hop + f.length;
  if (rank == 2)
    z = (neo_complex){torch_unsqueeze(t, z.re, 0), torch_unsqueeze(t, z.im, 0)};
  z = neo_complex_fourier(
      torch_emitter(t), transposed(t, z),
      &(neo_fourier){.axis = -1, .length = f.length, .inverse = true, .half = true});
  int parts = scaled_by(t, z, call->arg[6].i ? sqrt((double)f.length) : 1).re;
  parts = f.window == NEO_NO_VALUE ? parts : torch_binary(t, "mul", parts, f.window);
  int64_t start = center ? f.length / 2 : 0, end = center ? total - f.length / 2 : total;
  int64_t want = torch_arg_given(call, 8) ? torch_arg_int(call, 8) : end - start;
  end = torch_arg_given(call, 8) ? neo_min_i64(start + want, total) : end;
  int y = torch_slice_node(t, overlap_add(t, parts, batch, &f), 1, start, end, 1);
  y = torch_binary(t, "div", y, torch_slice_node(t, envelope(t, &f), 1, start, end, 1));
  y = padded(t, y, (border){1, 2, 0, want - (end - start), NULL});
  return torch_tensor(t, rank == 2 ? torch_squeeze(t, y, 0) : y);
}

/* ---- other rows on complex numbers ---------------------------------------------------------------- */

/* The argument as one of its parts; a real operand has an imaginary part of 0 where `zero`. */
static tv part_of(torch *t, const tv *v, int part, bool zero) {
  if (torch_is_seq(v)) {
    tv list = torch_seq_new(t, v->kind, 0, NULL);
    for (int i = 0; i < v->seq->n; i++)
      torch_seq_add(t, list.seq, part_of(t, &v->seq->item[i], part, zero));
    return list;
  }
  if (torch_is_number(v))
    return zero && part ? torch_float(0) : *v;
  if (v->kind != TV_TENSOR)
    return *v;
  neo_complex z = pair_of(t, v);
  if (z.im == NEO_NO_VALUE && !(zero && part))
    return *v;
  return torch_tensor(t, part ? neo_complex_imaginary(torch_emitter(t), z) : z.re);
}

/* Two results of one form as one. */
static tv joined(torch *t, const tv *re, const tv *im) {
  if (torch_is_seq(re) && torch_is_seq(im) && re->seq->n == im->seq->n) {
    tv list = torch_seq_new(t, re->kind, 0, NULL);
    for (int i = 0; i < re->seq->n; i++)
      torch_seq_add(t, list.seq, joined(t, &re->seq->item[i], &im->seq->item[i]));
    return list;
  }
  if (re->kind != TV_TENSOR || im->kind != TV_TENSOR)
    return *re;
  return made(t, (neo_complex){torch_id(t, re), torch_id(t, im)});
}

static tv both_parts(torch *t, const torch_call *call, int operands) {
  tv result[2];
  for (int part = 0; part < 2; part++) {
    torch_call one = *call;
    for (int i = 0; i < call->n_args; i++)
      if (i < operands || operands == 0)
        one.arg[i] = part_of(t, &call->arg[i], part, operands > 0);
    result[part] = one.row->fn(t, &one);
  }
  return joined(t, &result[0], &result[1]);
}

static tv complex_math(torch *t, const torch_call *call) {
  const char *name = call->row->name;
  neo_emitter *e = torch_emitter(t);
  neo_complex a = pair_of(t, &call->arg[0]);
  neo_complex b = call->n_args > 1 ? pair_of(t, &call->arg[1]) : a;
  if (call->n_args > 1 && torch_is_number(&call->arg[1]))
    b = (neo_complex){torch_scalar_like(t, a.re, torch_number(&call->arg[1])), NEO_NO_VALUE};
  if (strstr(name, "mul"))
    return made(t, neo_complex_mul(e, a, b));
  if (strcmp(name, "exp") == 0)
    return made(t, neo_complex_exp(e, a));
  if (strcmp(name, "square") == 0)
    return made(t, neo_complex_mul(e, a, a));
  if (strcmp(name, "reciprocal") == 0)
    return made(t,
                neo_complex_div(e, (neo_complex){torch_scalar_like(t, a.re, 1), NEO_NO_VALUE}, a));
  return made(t, neo_complex_div(e, a, b));
}

static bool is_among(const char *names, const char *name) {
  char word[64];
  snprintf(word, sizeof word, " %.60s ", name);
  return strstr(names, word) != NULL;
}

tv torch_complex_call(torch *t, torch_call *call) {
  static const char moves[] =
      " _unsafe_view alias chunk clone contiguous constant_pad_nd cumsum detach expand expand_as "
      "flatten flip gather index index_select lift_fresh_copy mean moveaxis movedim narrow neg pad "
      "permute repeat reshape roll select slice split split_with_sizes squeeze sum swapaxes "
      "swapdims t tile transpose unbind unflatten unfold unsqueeze view ";
  static const char sums[] = " __add__ __sub__ add cat concat hstack stack sub subtract vstack ";
  static const char products[] = " bmm linear matmul mm ";
  static const char math[] = " __mul__ div divide exp mul multiply reciprocal square true_divide ";
  static const char own[] = " _conj _fft_c2c _fft_c2r angle complex conj conj_physical imag "
                            "istft real resolve_conj resolve_neg stft view_as_real ";
  const char *name = call->row->name;
  bool rounded = call->n_args > 2 && is_among(" div divide ", name) && torch_arg_given(call, 2);
  if (is_among(own, name) || strncmp(name, "fft_", 4) == 0)
    return call->row->fn(t, call);
  if (is_among(" abs ", name))
    return torch_tensor(t, neo_complex_abs(torch_emitter(t), pair_of(t, &call->arg[0])));
  if (is_among(moves, name))
    return both_parts(t, call, 0);
  if (is_among(sums, name))
    return both_parts(t, call, 2);
  if (is_among(products, name) &&
      torch_is_complex(t, &call->arg[0]) != torch_is_complex(t, &call->arg[1]))
    return both_parts(t, call, 0);
  if (is_among(math, name) && !rounded)
    return complex_math(t, call);
  return torch_unsupported(t, call->op, "of complex numbers");
}
