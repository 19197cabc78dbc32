/* frontends/complex.h: complex numbers while a model is read. The graph has none: a complex tensor
 * is two real ones. A reader that keeps ids of values keeps one id for it, which the emitter knows
 * to mean a pair; whoever uses an id must ask first, for the id alone is the real part.
 *
 * What works on parts. Operators that only move elements, or are linear, are converted twice by the
 * reader, for the real and for the imaginary part; the rest is here. Not the bodies of kept loops
 * and branches: pairs stay in the emitter that made them. */
#ifndef NEO_FRONTENDS_COMPLEX_H
#define NEO_FRONTENDS_COMPLEX_H

#include "frontends/emit.h"

typedef struct neo_complex {
  int re, im; /* im NEO_NO_VALUE: a real number */
} neo_complex;

/* A fresh id that stands for the pair; re itself if it is real. */
int neo_complex_value(neo_emitter *e, neo_complex z);
/* Does this id stand for a pair? */
bool neo_complex_is(const neo_emitter *e, int value);
/* What it stands for; of another id the real number that it is. */
neo_complex neo_complex_of(const neo_emitter *e, int value);

/* Zeros where the number is real. */
int neo_complex_imaginary(neo_emitter *e, neo_complex z);
neo_complex neo_complex_add(neo_emitter *e, neo_complex a, neo_complex b);
neo_complex neo_complex_mul(neo_emitter *e, neo_complex a, neo_complex b);
neo_complex neo_complex_div(neo_emitter *e, neo_complex a, neo_complex b);
neo_complex neo_complex_neg(neo_emitter *e, neo_complex z);
neo_complex neo_complex_conj(neo_emitter *e, neo_complex z);
neo_complex neo_complex_exp(neo_emitter *e, neo_complex z);
neo_complex neo_complex_polar(neo_emitter *e, int size, int angle);
int neo_complex_abs(neo_emitter *e, neo_complex z);
int neo_complex_angle(neo_emitter *e, neo_complex z); /* atan2(im, re), but zeros have no sign */
/* The parts along a new last dimension, as files and frameworks store them; and back. */
int neo_complex_pack(neo_emitter *e, neo_complex z);
neo_complex neo_complex_unpack(neo_emitter *e, int packed);

typedef struct neo_fourier {
  int axis;       /* from the end: -1 is the last */
  int64_t length; /* of the transform: the input is cut, or zeros are added; 0: as many as it has,
                     of the inverse of a half 2 (n - 1) */
  bool inverse, half; /* half: of real numbers, and (inverse) back */
} neo_fourier;

/* Not scaled, but for the inverse by 1 / length. The rank of z must be known. */
neo_complex neo_complex_fourier(neo_emitter *e, neo_complex z, const neo_fourier *how);

#endif
