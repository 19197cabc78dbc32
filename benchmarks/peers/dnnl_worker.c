/* benchmarks/peers/dnnl_worker.c: one oneDNN primitive as a worker of benchmarks/pair: the
 * nanoseconds of one run for each line on standard input. Compiled by benchmarks/bar_operators.sh.
 *
 *   dnnl_worker [--cold] [--info] conv C H W O K STRIDE PAD GROUPS ACT
 *   dnnl_worker [--cold] [--info] gemm M N K ACT       ACT: none relu relu6
 *
 * Source, weights and destination have format any: the library chooses, and nothing is reordered in
 * the timed run. Convolutions have a bias and the activation as a post-operation; gemm is the inner
 * product or the matmul primitive, whichever is faster here. A measurement is a batch of 2 ms or
 * more, warm; --cold: the weights leave the caches before every run, and only the runs count.
 * --info prints version and implementation instead of serving. */
#include <dnnl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

typedef struct primitive {
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t arg[4];
  int n_args;
  char *weights;
  size_t weight_bytes;
} primitive;

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void check(dnnl_status_t status, const char *what) {
  if (status == dnnl_success)
    return;
  fprintf(stderr, "dnnl_worker: %s: status %d\n", what, (int)status);
  exit(1);
}

static dnnl_memory_desc_t make_desc(int rank, const int64_t *dims, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t desc;
  check(dnnl_memory_desc_create_with_tag(&desc, rank, dims, dnnl_f32, tag), "memory descriptor");
  return desc;
}

static dnnl_primitive_attr_t make_attributes(const char *activation) {
  dnnl_primitive_attr_t attributes;
  dnnl_post_ops_t ops;
  check(dnnl_primitive_attr_create(&attributes), "attributes");
  check(dnnl_post_ops_create(&ops), "post-operations");
  if (strcmp(activation, "relu") == 0)
    check(dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0, 0), "relu");
  else if (strcmp(activation, "relu6") == 0)
    check(dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_clip_v2, 0, 6), "relu6");
  check(dnnl_primitive_attr_set_post_ops(attributes, ops), "attributes");
  return attributes;
}

static void add_memory(primitive *p, dnnl_query_t query, int index, int arg) {
  const_dnnl_memory_desc_t desc = dnnl_primitive_desc_query_md(p->desc, query, index);
  dnnl_memory_t memory;
  void *data;
  check(dnnl_memory_create(&memory, desc, engine, DNNL_MEMORY_ALLOCATE), "memory");
  check(dnnl_memory_get_data_handle(memory, &data), "memory");
  size_t bytes = dnnl_memory_desc_get_size(desc);
  for (size_t i = 0; i < bytes / sizeof(float); i++)
    ((float *)data)[i] = (float)(i % 17) * 0.01f;
  if (arg == DNNL_ARG_WEIGHTS) {
    p->weights = data;
    p->weight_bytes = bytes;
  }
  p->arg[p->n_args++] = (dnnl_exec_arg_t){arg, memory};
}

static void finish(primitive *p, int has_bias) {
  check(dnnl_primitive_create(&p->primitive, p->desc), "primitive");
  add_memory(p, dnnl_query_src_md, 0, DNNL_ARG_SRC);
  add_memory(p, dnnl_query_weights_md, 0, DNNL_ARG_WEIGHTS);
  if (has_bias)
    add_memory(p, dnnl_query_weights_md, 1, DNNL_ARG_BIAS);
  add_memory(p, dnnl_query_dst_md, 0, DNNL_ARG_DST);
}

static void make_conv(primitive *p, char **text, const char *activation) {
  int64_t v[8];
  for (int i = 0; i < 8; i++)
    v[i] = strtoll(text[i], NULL, 10);
  int64_t c = v[0], h = v[1], w = v[2], o = v[3], k = v[4], s = v[5], pad = v[6], g = v[7];
  int64_t from[] = {1, c, h, w},
          to[] = {1, o, (h + 2 * pad - k) / s + 1, (w + 2 * pad - k) / s + 1};
  int64_t plain[] = {o, c, k, k}, grouped[] = {g, o / g, c / g, k, k}, bias[] = {o};
  dnnl_dims_t strides = {s, s}, dilates = {0}, pads = {pad, pad};
  check(dnnl_convolution_forward_primitive_desc_create(
            &p->desc, engine, dnnl_forward_inference, dnnl_convolution_auto,
            make_desc(4, from, dnnl_format_tag_any),
            g > 1 ? make_desc(5, grouped, dnnl_format_tag_any)
                  : make_desc(4, plain, dnnl_format_tag_any),
            make_desc(1, bias, dnnl_a), make_desc(4, to, dnnl_format_tag_any), strides, dilates,
            pads, pads, make_attributes(activation)),
        "convolution");
  finish(p, 1);
}

static void make_gemm(primitive *p, char **text, const char *activation, int as_matmul) {
  int64_t m = strtoll(text[0], NULL, 10), n = strtoll(text[1], NULL, 10),
          k = strtoll(text[2], NULL, 10);
  int64_t a[] = {m, k}, matrix[] = {k, n}, weights[] = {n, k}, c[] = {m, n};
  dnnl_memory_desc_t from = make_desc(2, a, dnnl_format_tag_any),
                     to = make_desc(2, c, dnnl_format_tag_any);
  dnnl_primitive_attr_t attributes = make_attributes(activation);
  if (as_matmul)
    check(dnnl_matmul_primitive_desc_create(&p->desc, engine, from,
                                            make_desc(2, matrix, dnnl_format_tag_any), NULL, to,
                                            attributes),
          "matmul");
  else
    check(dnnl_inner_product_forward_primitive_desc_create(
              &p->desc, engine, dnnl_forward_inference, from,
              make_desc(2, weights, dnnl_format_tag_any), NULL, to, attributes),
          "inner product");
  finish(p, 0);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void evict(const primitive *p) {
  for (size_t at = 0; at < p->weight_bytes; at += 64)
    _mm_clflush(p->weights + at);
  _mm_mfence();
}

/* Nanoseconds per run over a batch. */
static double time_batch(const primitive *p, int batch, int cold) {
  double total = 0, start = now();
  for (int i = 0; i < batch; i++) {
    if (cold) {
      evict(p);
      start = now();
    }
    check(dnnl_primitive_execute(p->primitive, stream, p->n_args, p->arg), "execute");
    check(dnnl_stream_wait(stream), "wait");
    if (cold)
      total += now() - start;
  }
  return (cold ? total : now() - start) / batch;
}

static int batch_of(const primitive *p, int cold) {
  time_batch(p, 1, cold);
  double ns = time_batch(p, 2, cold);
  return ns > 2e6 ? 1 : ns < 1e3 ? 2000 : (int)(2e6 / ns) + 1;
}

static double fastest(const primitive *p, int cold) {
  int batch = batch_of(p, cold);
  double best = 1e18;
  for (int i = 0; i < 5; i++) {
    double ns = time_batch(p, batch, cold);
    best = ns < best ? ns : best;
  }
  return best;
}

int main(int argc, char **argv) {
  static primitive p, other;
  int cold = 0, info = 0, at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    cold |= strcmp(argv[at], "--cold") == 0;
    info |= strcmp(argv[at], "--info") == 0;
  }
  int conv = at < argc && strcmp(argv[at], "conv") == 0;
  if (argc != at + (conv ? 10 : 5)) {
    fprintf(stderr, "usage: dnnl_worker [--cold] [--info] conv C H W O K STRIDE PAD GROUPS ACT | "
                    "gemm M N K ACT\n");
    return 2;
  }
  check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
  check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
  if (conv) {
    make_conv(&p, argv + at + 1, argv[argc - 1]);
  } else {
    make_gemm(&p, argv + at + 1, argv[argc - 1], 0);
    make_gemm(&other, argv + at + 1, argv[argc - 1], 1);
    if (fastest(&other, cold) < fastest(&p, cold))
      p = other;
  }
  if (info) {
    const dnnl_version_t *version = dnnl_version();
    const char *implementation = "";
    check(dnnl_primitive_desc_query(p.desc, dnnl_query_impl_info_str, 0, (void *)&implementation),
          "query");
    printf("oneDNN %d.%d.%d %s\n", version->major, version->minor, version->patch, implementation);
    return 0;
  }
  int batch = batch_of(&p, cold);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    time_batch(&p, batch, cold); /* the other worker has had caches and clock */
    printf("%.0f\n", time_batch(&p, batch, cold));
    fflush(stdout);
  }
  return 0;
}
