/* benchmarks/peers/blas_worker.c: OpenBLAS sgemm (sgemv if M is 1) as a worker of benchmarks/pair:
 * the nanoseconds of one run for each line on standard input. Compiled by
 * benchmarks/bar_operators.sh against the PyPI package scipy-openblas32.
 *
 *   blas_worker [--cold] [--info] M N K
 *
 * C = A B, all row-major, one thread; sgemv: y = W x, W row-major N x K. A measurement is a batch
 * of 2 ms or more, warm; --cold: B leaves the caches before every run, and only the runs count.
 * --info prints version and the kernels in use instead of serving. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

typedef struct product {
  int m, n, k, cold;
  float *a, *b, *c;
} product;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static float *make(size_t n) {
  float *data = aligned_alloc(64, (n * sizeof *data + 63) / 64 * 64);
  if (!data) {
    fprintf(stderr, "blas_worker: no memory\n");
    exit(7);
  }
  for (size_t i = 0; i < n; i++)
    data[i] = (float)(i % 17) * 0.01f;
  return data;
}

static void run(const product *p) {
  if (p->m == 1)
    scipy_cblas_sgemv(CblasRowMajor, CblasNoTrans, p->n, p->k, 1, p->b, p->k, p->a, 1, 0, p->c, 1);
  else
    scipy_cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->m, p->n, p->k, 1, p->a, p->k,
                      p->b, p->n, 0, p->c, p->n);
}

static void evict(const product *p) {
  for (size_t at = 0; at < (size_t)p->k * (size_t)p->n; at += 16)
    _mm_clflush(p->b + at);
  _mm_mfence();
}

/* Nanoseconds per run over a batch. */
static double time_batch(const product *p, int batch) {
  double total = 0, start = now();
  for (int i = 0; i < batch; i++) {
    if (p->cold) {
      evict(p);
      start = now();
    }
    run(p);
    if (p->cold)
      total += now() - start;
  }
  return (p->cold ? total : now() - start) / batch;
}

int main(int argc, char **argv) {
  product p = {0};
  int info = 0, at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    p.cold |= strcmp(argv[at], "--cold") == 0;
    info |= strcmp(argv[at], "--info") == 0;
  }
  if (argc != at + 3) {
    fprintf(stderr, "usage: blas_worker [--cold] [--info] M N K\n");
    return 2;
  }
  p.m = (int)strtol(argv[at], NULL, 10);
  p.n = (int)strtol(argv[at + 1], NULL, 10);
  p.k = (int)strtol(argv[at + 2], NULL, 10);
  scipy_openblas_set_num_threads(1);
  if (info) {
    printf("%s, kernels: %s\n", scipy_openblas_get_config(), scipy_openblas_get_corename());
    return 0;
  }
  p.a = make((size_t)p.m * (size_t)p.k);
  p.b = make((size_t)p.k * (size_t)p.n);
  p.c = make((size_t)p.m * (size_t)p.n);
  time_batch(&p, 1);
  double ns = time_batch(&p, 2);
  int batch = ns > 2e6 ? 1 : ns < 1e3 ? 2000 : (int)(2e6 / ns) + 1;
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    time_batch(&p, batch); /* the other worker has had caches and clock */
    printf("%.0f\n", time_batch(&p, batch));
    fflush(stdout);
  }
  return 0;
}
