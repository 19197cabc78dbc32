/* base/core/couple_pairs.c: pairwise coupling, the second approach of Wu, Lin and Weng,
 * "Probability Estimates for Multi-class Classification by Pairwise Coupling" (JMLR 5, 2004),
 * algorithm 2.
 *
 * p minimises the sum over pairs of (r_ji p_i - r_ij p_j)^2 with sum(p) = 1: Q p = (p' Q p) 1, with
 * Q_ii = sum_j r_ji^2 and Q_ij = -r_ji r_ij. Coordinates are solved one by one, normalised after
 * each. Where it stops is part of the result: at 0.005 / classes, as in every SVM library, after
 * at most max(100, classes) rounds. */
#include "base/couple_pairs.h"

#include <math.h>

int64_t neo_pairs_of(int64_t classes) {
  return classes * (classes - 1) / 2;
}

int64_t neo_classes_of_pairs(int64_t pairs) {
  int64_t classes = 2;
  while (neo_pairs_of(classes) < pairs)
    classes++;
  return pairs >= 1 && neo_pairs_of(classes) == pairs ? classes : 0;
}

int64_t neo_couple_pairs_work(int64_t classes) {
  return classes * classes + 2 * classes;
}

static double within(double p) {
  const double least = 1e-7;
  return p < least ? least : p > 1 - least ? 1 - least : p;
}

static void fill(int64_t n, const float *pair, double *q) {
  for (int64_t i = 0; i < n; i++)
    q[i * n + i] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) {
      double r = within(*pair++);
      q[i * n + i] += (1 - r) * (1 - r);
      q[j * n + j] += r * r;
      q[i * n + j] = q[j * n + i] = -r * (1 - r);
    }
}

/* Q p; returns p' Q p. */
static double multiply(int64_t n, const double *q, const double *p, double *qp) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    qp[i] = 0;
    for (int64_t j = 0; j < n; j++)
      qp[i] += q[i * n + j] * p[j];
    sum += p[i] * qp[i];
  }
  return sum;
}

void neo_couple_pairs(int64_t classes, const float *pair, float *out, double *work) {
  int64_t n = classes;
  double *q = work, *p = q + n * n, *qp = p + n;
  fill(n, pair, q);
  for (int64_t i = 0; i < n; i++)
    p[i] = 1.0 / (double)n;
  for (int64_t round = 0; round < (n > 100 ? n : 100); round++) {
    double pqp = multiply(n, q, p, qp), worst = 0;
    for (int64_t i = 0; i < n; i++)
      worst = fmax(worst, fabs(qp[i] - pqp));
    if (worst < 0.005 / (double)n)
      break;
    for (int64_t i = 0; i < n; i++) {
      double step = (pqp - qp[i]) / q[i * n + i], whole = 1 + step;
      p[i] += step;
      pqp = (pqp + step * (step * q[i * n + i] + 2 * qp[i])) / (whole * whole);
      for (int64_t j = 0; j < n; j++) {
        qp[j] = (qp[j] + step * q[i * n + j]) / whole;
        p[j] /= whole;
      }
    }
  }
  for (int64_t i = 0; i < n; i++)
    out[i] = (float)p[i];
}
