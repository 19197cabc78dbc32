/* Runs the kernels of test_c_compilers.c: main DATA OUT. C11 and libc alone, for any processor with
 * little-endian numbers. The file C_CASES has a row of every launch: LAUNCH(case, function, grid).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct kernel_env {
  int64_t begin, end;
  void *work, *scratch;
  const void *callbacks;
} kernel_env;

typedef int32_t (*kernel_fn)(const kernel_env *env, void *const *buf, const int64_t *dim);

#define LAUNCH(c, fn, grid) int32_t fn(const kernel_env *env, void *const *buf, const int64_t *dim);
#include C_CASES
#undef LAUNCH

static const struct {
  int of_case;
  kernel_fn fn;
  int64_t grid;
} launches[] = {
#define LAUNCH(c, fn, grid) {c, fn, grid},
#include C_CASES
#undef LAUNCH
};

enum { MAX_PARAMS = 64, N_LAUNCHES = sizeof launches / sizeof launches[0] };

static int64_t read_number(FILE *in) {
  int64_t v = 0;
  if (fread(&v, sizeof v, 1, in) != 1)
    exit(3);
  return v;
}

static void *memory(int64_t bytes) {
  size_t size = ((size_t)bytes + 127) / 64 * 64;
  void *block = aligned_alloc(64, size);
  if (!block)
    exit(4);
  memset(block, 0x3c, size);
  return block;
}

/* Every launch in two parts, the later one first. */
static int run(int at, int of_case, kernel_env *env, void *const *buf) {
  for (; at < N_LAUNCHES && launches[at].of_case == of_case; at++) {
    int64_t grid = launches[at].grid, middle = grid / 2;
    env->begin = middle;
    env->end = grid;
    if (launches[at].fn(env, buf, NULL) != 0)
      exit(5);
    env->begin = 0;
    env->end = middle;
    if (launches[at].fn(env, buf, NULL) != 0)
      exit(5);
  }
  return at;
}

static int run_case(int at, FILE *in, FILE *out) {
  kernel_env env = {0, 0, memory(read_number(in)), memory(read_number(in)), NULL};
  void *buf[MAX_PARAMS];
  int64_t n = read_number(in), writable[MAX_PARAMS], bytes[MAX_PARAMS];
  if (n > MAX_PARAMS)
    exit(6);
  for (int p = 0; p < n; p++) {
    writable[p] = read_number(in);
    bytes[p] = read_number(in);
    buf[p] = memory(bytes[p]);
    if (fread(buf[p], 1, (size_t)bytes[p], in) != (size_t)bytes[p])
      exit(3);
  }
  at = run(at, launches[at].of_case, &env, buf);
  for (int p = 0; p < n; p++) {
    if (writable[p] && fwrite(buf[p], 1, (size_t)bytes[p], out) != (size_t)bytes[p])
      exit(7);
    free(buf[p]);
  }
  free(env.work);
  free(env.scratch);
  return at;
}

int main(int argc, char **argv) {
  FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL,
       *out = argc == 3 ? fopen(argv[2], "wb") : NULL;
  if (!in || !out)
    return 2;
  for (int at = 0; at < N_LAUNCHES;)
    at = run_case(at, in, out);
  fclose(in);
  return fclose(out) == 0 ? 0 : 7;
}
