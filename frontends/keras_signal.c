/* frontends/keras_signal.c: spectra: keras.ops.stft and its kind, and the layers MelSpectrogram and
 * STFTSpectrogram.
 *
 * A transform of short pieces is the operator stft over [batch, n, 1]; the layer STFTSpectrogram is
 * a convolution whose kernels are its weights. Windows and mel matrices are those that Keras
 * computes with TensorFlow, made in f64 and rounded once. */
#include <math.h>
#include <string.h>

#include "frontends/complex.h"
#include "frontends/keras_ops.h"

#define MAX_LENGTH (1 << 20) /* of a transform */

typedef struct pieces {
  int64_t length, step, fft; /* of a piece, between pieces, of the transform */
  bool centre;
  const char *window; /* hann, hamming; NULL: given, or none */
  const json_t *taps;
} pieces;

static bool read_pieces(keras_call *c, pieces *p) {
  const json_t *window = json_object_get(c->config, "window");
  p->fft = keras_int(c, "fft_length", 0);
  p->length = keras_int(c, "sequence_length", p->fft);
  p->step = keras_int(c, "sequence_stride", 0);
  p->centre = keras_bool(c, "center", true);
  p->window = json_string_value(window);
  if (json_is_object(window)) /* a serialised array */
    window = json_object_get(json_object_get(window, "config"), "value");
  p->taps = json_is_array(window) ? window : NULL;
  bool named = !p->window || strcmp(p->window, "hann") == 0 || strcmp(p->window, "hamming") == 0;
  if (p->fft >= 2 && p->fft <= MAX_LENGTH && p->length >= 1 && p->length <= p->fft &&
      p->step >= 1 && named && (p->window || p->taps || json_is_null(window)) &&
      (!p->taps || (int64_t)json_array_size(p->taps) == p->length))
    return true;
  keras_unsupported(c, "its lengths or window");
  return false;
}

/* Of the transform's length, zeros around. TensorFlow's windows of odd length are not periodic. */
static int window_of(keras_call *c, const pieces *p) {
  double *v = neo_arena_alloc(c->im->arena, sizeof *v * (size_t)p->fft);
  int64_t before = (p->fft - p->length) / 2;
  double period = (double)(p->length % 2 ? p->length - 1 : p->length);
  double a = p->window && strcmp(p->window, "hamming") == 0 ? 0.54 : 0.5;
  memset(v, 0, sizeof *v * (size_t)p->fft);
  for (int64_t i = 0; i < p->length; i++) {
    double at = period > 0 ? 2 * 3.14159265358979323846 * (double)i / period : 0;
    v[before + i] = p->taps ? json_number_value(json_array_get(p->taps, (size_t)i))
                    : p->window && p->length > 1 ? a - (1 - a) * cos(at)
                                                 : 1;
  }
  return neo_emit_floats(c->im->e, (int)p->fft, v);
}

/* x [.., n] -> real and imaginary parts [.., pieces, bins]. */
static bool transform(keras_call *c, const pieces *p, int part[2]) {
  neo_emitter *e = c->im->e;
  int rank = c->input[0].rank, x = keras_operand(c, 0, NEO_F32);
  int64_t pads[2 * NEO_MAX_RANK] = {0}, shape[NEO_MAX_RANK];
  const neo_shape *known = neo_emit_shape(e, x);
  if (!known || rank < 1 || rank >= NEO_MAX_RANK) {
    keras_unsupported(c, "the input's shape must be bound (--input)");
    return false;
  }
  memcpy(shape, known->dim, sizeof shape);
  if (p->centre) {
    pads[rank - 1] = pads[2 * rank - 1] = p->fft / 2;
    neo_node *node = keras_node(c, "pad", 2, (int[]){x, neo_emit_ints(e, 2 * rank, pads)}, 1);
    neo_node_set_string(e->graph, node, "mode", "reflect");
    x = node->output[0];
    shape[rank - 1] += 2 * (p->fft / 2);
  }
  if (shape[rank - 1] < p->fft) {
    keras_bad(c, "an input of %lld samples", (long long)shape[rank - 1]);
    return false;
  }
  x = keras_reshape(c, x, 3, (int64_t[]){-1, shape[rank - 1], 1});
  int input[4] = {x, neo_emit_int(e, p->step), window_of(c, p), neo_emit_int(e, p->fft)};
  neo_node *node = keras_node(c, "stft", 4, input, 1);
  neo_node_set_int(e->graph, node, "onesided", 1);
  int z = node->output[0];
  shape[rank - 1] = (shape[rank - 1] - p->fft) / p->step + 1;
  shape[rank] = p->fft / 2 + 1;
  for (int i = 0; i < 2; i++)
    part[i] = keras_reshape(c, keras_part(c, z, 3, i, i + 1, 1), rank + 1, shape);
  return true;
}

void keras_op_stft(keras_call *c, const char *op) {
  int part[2];
  pieces p;
  (void)op;
  if (!read_pieces(c, &p) || !transform(c, &p, part))
    return;
  keras_out(c, part[0], c->input[0].rank + 1);
  keras_out(c, part[1], c->input[0].rank + 1);
}

/* ---- MelSpectrogram ------------------------------------------------------------------------------------- */

static double mel(double hertz) {
  return 1127 * log(1 + hertz / 700);
}

/* [bins, mels]: triangles between equidistant edges; nothing of the first bin. */
static int mel_matrix(keras_call *c, int64_t bins, int64_t mels) {
  double rate = keras_number(c, "sampling_rate", 16000), nyquist = rate / 2;
  double low = mel(keras_number(c, "min_freq", 20)),
         high = mel(keras_number(c, "max_freq", floor(nyquist))),
         step = (high - low) / (double)(mels + 1);
  float *v = neo_arena_alloc(c->im->arena, sizeof *v * (size_t)(bins * mels));
  for (int64_t i = 0; i < bins; i++)
    for (int64_t k = 0; k < mels; k++) {
      double at = mel(nyquist * (double)i / (double)(bins - 1)), left = low + step * (double)k;
      double rise = (at - left) / step, fall = (left + 2 * step - at) / step;
      v[i * mels + k] = i == 0 ? 0 : (float)fmax(0, fmin(rise, fall));
    }
  return keras_floats(c, "mel", &(neo_shape){2, {bins, mels}}, v);
}

/* Decibels of power x above the reference, at most top_db below the loudest of all. */
static int decibels(keras_call *c, int x, int rank) {
  double least = keras_number(c, "min_power", 1e-10), ten = 10 / log(10.0);
  double reference = ten * log(fmax(fabs(keras_number(c, "ref_power", 1)), least));
  x = neo_emit_unary(c->im->e, "log", keras_binary(c, "max", x, keras_scalar(c, least)));
  x = keras_binary(c, "sub", keras_binary(c, "mul", x, keras_scalar(c, ten)),
                   keras_scalar(c, reference));
  int64_t axes[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    axes[d] = d;
  int loudest = keras_reduce(c, "reduce_max", x, rank, axes, false);
  return keras_binary(
      c, "max", x, keras_binary(c, "sub", loudest, keras_scalar(c, keras_number(c, "top_db", 80))));
}

void keras_mel_spectrogram(keras_call *c) {
  int part[2], rank = c->input[0].rank + 1;
  int64_t mels = keras_int(c, "num_mel_bins", 128), perm[NEO_MAX_RANK];
  pieces p;
  if (!read_pieces(c, &p) || mels < 1 || mels > MAX_LENGTH / p.fft * 64 || rank > NEO_MAX_RANK) {
    if (c->n_outputs == 0)
      keras_unsupported(c, "%lld mel bins", (long long)mels);
    return;
  }
  p.centre = true;
  if (!transform(c, &p, part))
    return;
  double exponent = keras_number(c, "mag_exp", 2);
  int x = keras_binary(c, "add", keras_binary(c, "mul", part[0], part[0]),
                       keras_binary(c, "mul", part[1], part[1]));
  if (exponent != 2)
    x = keras_binary(c, "pow", x, keras_scalar(c, exponent / 2));
  x = keras_binary(c, "matmul", x, mel_matrix(c, p.fft / 2 + 1, mels));
  if (keras_bool(c, "power_to_db", true))
    x = decibels(c, x, rank);
  for (int d = 0; d < rank; d++)
    perm[d] = d == rank - 1 ? rank - 2 : d == rank - 2 ? rank - 1 : d;
  keras_out(c, neo_emit_transpose(c->im->e, x, rank, perm), rank);
}

/* ---- STFTSpectrogram ------------------------------------------------------------------------------------ */

typedef struct spectrogram {
  int signal; /* [batch * channels, 1, n] */
  int64_t batch, channels, bins, step;
} spectrogram;

/* The products with kernel k, [batch, channels, bins, pieces]. */
static int products(keras_call *c, const spectrogram *s, int k) {
  neo_graph *graph = c->im->e->graph;
  int kernel = keras_permuted(c, k, 3, (int[]){2, 1, 0}, NULL);
  neo_node *node = keras_node(c, "conv", 2, (int[]){s->signal, kernel}, 1);
  neo_node_set_ints(graph, node, "strides", 1, &s->step);
  if (strcmp(keras_text(c, "padding", "valid"), "same") == 0)
    neo_node_set_string(graph, node, "auto_pad", "same_upper");
  return keras_reshape(c, node->output[0], 4, (int64_t[]){s->batch, s->channels, s->bins, -1});
}

/* [batch, channels, bins, pieces] as the layer's result */
static void finish(keras_call *c, const spectrogram *s, int x, int64_t bins, bool logarithm) {
  bool first = keras_channels_first(c), images = keras_bool(c, "expand_dims", false);
  int rank = images ? 4 : 3;
  if (images) {
    x = neo_emit_transpose(c->im->e, x, 4,
                           first ? (int64_t[]){0, 1, 3, 2} : (int64_t[]){0, 3, 2, 1});
  } else {
    x = keras_reshape(c, x, 3, (int64_t[]){s->batch, s->channels * bins, -1});
    x = first ? x : neo_emit_transpose(c->im->e, x, 3, (int64_t[]){0, 2, 1});
  }
  if (logarithm)
    x = neo_emit_unary(c->im->e, "log", keras_binary(c, "max", x, keras_scalar(c, 1e-7)));
  keras_out(c, x, rank);
}

/* power plus itself between the first and the last bin */
static int density(keras_call *c, int power, int64_t bins) {
  int inner = keras_part(c, power, 2, 1, bins - 1, 1);
  int pads = neo_emit_ints(c->im->e, 8, (int64_t[]){0, 0, 1, 0, 0, 0, 1, 0});
  return keras_binary(c, "add", power, keras_binary(c, "pad", inner, pads));
}

void keras_stft_spectrogram(keras_call *c) {
  neo_emitter *e = c->im->e;
  const char *mode = keras_text(c, "mode", "log");
  const neo_shape *known = neo_emit_shape(e, c->input[0].value);
  bool first = keras_channels_first(c), only_imaginary = strcmp(mode, "imag") == 0;
  int64_t length = keras_int(c, "frame_length", 256);
  if (!known || known->rank != 3 || length < 1 || length > MAX_LENGTH) {
    keras_unsupported(c,
                      known ? "an input of rank %d, or its frame_length"
                            : "the input's shape must be bound (--input)",
                      c->input[0].rank);
    return;
  }
  neo_shape shape = *known;
  spectrogram s = {.batch = shape.dim[0], .channels = shape.dim[first ? 1 : 2]};
  s.bins = keras_weight(c, 0, 3)->shape.dim[2];
  s.step = keras_int(c, "frame_step", neo_max_i64(length / 2, 1));
  int x = keras_operand(c, 0, NEO_F32);
  x = first ? x : neo_emit_transpose(e, x, 3, (int64_t[]){0, 2, 1});
  s.signal = keras_reshape(c, x, 3, (int64_t[]){-1, 1, shape.dim[first ? 2 : 1]});
  if (only_imaginary || strcmp(mode, "real") == 0) {
    finish(c, &s, products(c, &s, 0), s.bins, false);
    return;
  }
  int re = products(c, &s, 0), im = products(c, &s, 1);
  int power =
      keras_binary(c, "add", keras_binary(c, "mul", re, re), keras_binary(c, "mul", im, im));
  int size = neo_emit_unary(e, "sqrt", keras_binary(c, "max", power, keras_scalar(c, 1e-7)));
  if (strcmp(mode, "stft") == 0) {
    neo_node *node = keras_node(c, "concat", 2, (int[]){re, im}, 1);
    neo_node_set_int(e->graph, node, "axis", 2);
    finish(c, &s, node->output[0], 2 * s.bins, false);
  } else if (strcmp(mode, "angle") == 0) {
    finish(c, &s, neo_complex_angle(e, (neo_complex){re, im}), s.bins, false);
  } else if (strcmp(mode, "psd") == 0 && s.bins > 2) {
    finish(c, &s, density(c, power, s.bins), s.bins, false);
  } else if (strcmp(mode, "magnitude") == 0 || strcmp(mode, "log") == 0) {
    finish(c, &s, size, s.bins, mode[0] == 'l');
  } else {
    keras_unsupported(c, "mode '%.32s'", mode);
  }
}
