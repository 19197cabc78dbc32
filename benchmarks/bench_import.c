/* bench_import: reading a model, alone.
 *
 *   bench_import MODEL [NAME=DIM,DIM...]
 *
 * Imports MODEL once in this process, the inputs bound as given, and prints one line of JSON: the
 * time, and how much the process's largest resident size grew by it. Pages of the file that are
 * mapped count too. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/host.h"
#include "frontends/frontends.h"

static long peak_kb(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

static int read_shape(const char *text, neo_shape *shape) {
  char *end = NULL;
  for (shape->rank = 0; *text && shape->rank < NEO_MAX_RANK; text = *end ? end + 1 : end)
    shape->dim[shape->rank++] = strtoll(text, &end, 10);
  return *text == 0;
}

int main(int argc, char **argv) {
  neo_ctx ctx;
  neo_binding binding[8];
  neo_graph *graph = NULL;
  int n = 0;
  char *equals;
  if (argc < 2) {
    fprintf(stderr, "usage: bench_import MODEL [NAME=DIM,DIM...]\n");
    return 2;
  }
  neo_ctx_init(&ctx, 1);
  for (int i = 2; i < argc && n < NEO_COUNT(binding) && (equals = strrchr(argv[i], '=')); i++) {
    *equals = 0;
    binding[n] = (neo_binding){.name = argv[i]};
    if (!read_shape(equals + 1, &binding[n++].shape))
      return 2;
  }
  neo_import_options options = {.n_bindings = n, .binding = binding};
  long before = peak_kb();
  uint64_t start = neo_now_ns(&ctx);
  neo_status status = neo_import(&ctx, argv[1], &options, &graph);
  uint64_t end = neo_now_ns(&ctx);
  if (status != NEO_OK) {
    fprintf(stderr, "bench_import: %s\n", ctx.message);
    return 1;
  }
  printf("{\"ms\": %.1f, \"peak_bytes\": %ld}\n", (double)(end - start) / 1e6,
         (peak_kb() - before) * 1024);
  neo_graph_destroy(graph);
  return 0;
}
