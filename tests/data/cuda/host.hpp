// What CUDA C of nests needs to run on a processor, for tests/codegen/test_cuda_host.c, which puts it in front of the text: a thread
// for each work-item of a group, group after group; `__shared__` is static. mma.sync is an exchange between the 32 threads of a warp by
// the fragment tables of the PTX ISA, 9.7.14.5, transcribed as they stand there and from nothing else.
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace host {

enum { WARP = 32, MOST = 1024 };

struct index_x {
  unsigned x;
};

struct fragment {
  uint32_t a[4], b[2];
};

static pthread_barrier_t group_barrier, warp_barrier[MOST / WARP];
static fragment held[MOST];

static float half_value(uint32_t bits) {
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                : exponent    ? ldexpf((float)(mantissa + 1024), exponent - 25)
                              : ldexpf((float)mantissa, -24);
  return bits >> 15 & 1 ? -value : value;
}

static float brain_value(uint32_t bits) {
  bits <<= 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// "Matrix fragments for mma.SHAPE": row and col of element i of a lane.
struct place {
  int row, col;
};

static place place_a(int m, int k, int lane, int i) {
  int groupID = lane >> 2, threadID_in_group = lane % 4;
  if (m == 8 && k == 16)
    return {groupID, threadID_in_group * 4 + i};
  if (m == 16 && k == 8)
    return {i < 2 ? groupID : groupID + 8, threadID_in_group * 2 + (i & 1)};
  if (m == 16 && k == 16) {
    int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? groupID : groupID + 8;
    return {row, i < 4 ? threadID_in_group * 2 + (i & 1) : threadID_in_group * 2 + (i & 1) + 8};
  }
  if (m == 16 && k == 32) {
    int row = (0 <= i && i < 4) || (8 <= i && i < 12) ? groupID : groupID + 8;
    return {row, i < 8 ? threadID_in_group * 4 + (i & 3) : threadID_in_group * 4 + (i & 3) + 16};
  }
  abort();
}

static place place_b(int m, int k, int lane, int i) {
  int groupID = lane >> 2, threadID_in_group = lane % 4;
  if (m == 8 && k == 16)
    return {threadID_in_group * 4 + i, groupID};
  if (m == 16 && k == 8)
    return {threadID_in_group * 2 + i, groupID};
  if (m == 16 && k == 16)
    return {i < 2 ? threadID_in_group * 2 + (i & 1) : threadID_in_group * 2 + (i & 1) + 8, groupID};
  if (m == 16 && k == 32)
    return {i < 4 ? threadID_in_group * 4 + (i & 3) : threadID_in_group * 4 + (i & 3) + 16, groupID};
  abort();
}

static place place_c(int m, int lane, int i) {
  int groupID = lane >> 2, threadID_in_group = lane % 4;
  if (m == 8)
    return {groupID, threadID_in_group * 2 + i};
  return {i < 2 ? groupID : groupID + 8, threadID_in_group * 2 + (i & 1)};
}

static double value_of(const char *type, const uint32_t *registers, int i) {
  bool wide = strstr(type, "f16") != NULL; // f16, bf16
  uint32_t bits = wide ? registers[i / 2] >> 16 * (i % 2) & 0xffff : registers[i / 4] >> 8 * (i % 4) & 0xff;
  if (wide)
    return type[0] == 'b' ? brain_value(bits) : half_value(bits);
  return type[0] == 's' ? (int8_t)bits : (double)bits;
}

static thread_local int item;

// d: the sums, which are c, too.
static void mma(const char *name, void *const *d, int n_d, const uint32_t *a, int n_a,
                const uint32_t *b, int n_b) {
  int m, n, k;
  char dtype[8], atype[8], btype[8], ctype[8];
  if (sscanf(name, "m%dn%dk%d.row.col.%7[a-z0-9].%7[a-z0-9].%7[a-z0-9].%7[a-z0-9]", &m, &n, &k,
             dtype, atype, btype, ctype) != 7) {
    fprintf(stderr, "mma.sync.aligned.%s?\n", name);
    abort();
  }
  int size = strstr(atype, "f16") ? 2 : 1, lane = item % WARP, warp = item / WARP;
  if (n != 8 || n_a != m * k * size / 128 || n_b != n * k * size / 128 || n_d != m * n / 32 ||
      strcmp(dtype, ctype) != 0) {
    fprintf(stderr, "mma.sync.aligned.%s with %d, %d and %d registers\n", name, n_d, n_a, n_b);
    abort();
  }
  memcpy(held[item].a, a, 4 * (size_t)n_a);
  memcpy(held[item].b, b, 4 * (size_t)n_b);
  pthread_barrier_wait(&warp_barrier[warp]);
  static thread_local double A[16][32], B[32][8];
  for (int from = 0; from < WARP; from++) {
    const fragment *f = &held[warp * WARP + from];
    for (int i = 0; i < n_a * 4 / size; i++) {
      place p = place_a(m, k, from, i);
      A[p.row][p.col] = value_of(atype, f->a, i);
    }
    for (int i = 0; i < n_b * 4 / size; i++) {
      place p = place_b(m, k, from, i);
      B[p.row][p.col] = value_of(btype, f->b, i);
    }
  }
  for (int i = 0; i < n_d; i++) {
    place p = place_c(m, lane, i);
    if (dtype[0] == 'f') {
      float *sum = (float *)d[i];
      for (int at = 0; at < k; at++)
        *sum = fmaf((float)A[p.row][at], (float)B[at][p.col], *sum);
    } else {
      uint32_t *sum = (uint32_t *)d[i];
      for (int at = 0; at < k; at++)
        *sum += (uint32_t)(int32_t)(A[p.row][at] * B[at][p.col]);
    }
  }
  pthread_barrier_wait(&warp_barrier[warp]);
}

struct job {
  void (*kernel)(void *const *);
  void *const *memory;
  long long grid;
  int item;
};

} // namespace host

static thread_local host::index_x threadIdx, blockIdx;

namespace host {

static void *work(void *self) {
  const job *j = (const job *)self;
  item = j->item;
  threadIdx.x = (unsigned)item;
  for (long long g = 0; g < j->grid; g++) {
    blockIdx.x = (unsigned)g;
    j->kernel(j->memory);
    pthread_barrier_wait(&group_barrier);
  }
  return NULL;
}

static void launch(void (*kernel)(void *const *), void *const *memory, long long grid, int items) {
  static job jobs[MOST];
  static pthread_t threads[MOST];
  pthread_barrier_init(&group_barrier, NULL, (unsigned)items);
  for (int w = 0; w < items / WARP; w++)
    pthread_barrier_init(&warp_barrier[w], NULL, WARP);
  for (int i = 0; i < items; i++) {
    jobs[i] = {kernel, memory, grid, i};
    if (pthread_create(&threads[i], NULL, work, &jobs[i]) != 0)
      abort();
  }
  for (int i = 0; i < items; i++)
    pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&group_barrier);
  for (int w = 0; w < items / WARP; w++)
    pthread_barrier_destroy(&warp_barrier[w]);
}

} // namespace host

static inline float __int_as_float(int bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

#undef NAN
#undef INFINITY
#define int8_t cuda_i8
#define uint8_t cuda_u8
#define int16_t cuda_i16
#define uint16_t cuda_u16
#define int32_t cuda_i32
#define uint32_t cuda_u32
#define int64_t cuda_i64
#define uint64_t cuda_u64
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(n)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline
#define __syncthreads() pthread_barrier_wait(&host::group_barrier)
