/* run_counted DIR POOL THREADS under LD_PRELOAD=malloc_counter: no allocation in any run after the
 * first. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "neo/neo_rt.h"

typedef long (*counter_fn)(void);

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  counter_fn counter = (counter_fn)(uintptr_t)dlsym(RTLD_DEFAULT, "malloc_counter_value");
  if (!counter || counter() == 0) {
    fprintf(stderr, "the counter is not preloaded\n");
    return 1;
  }
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  neo_rt_options options = {.pool = (int)strtol(argv[2], NULL, 10),
                            .threads = (int)strtol(argv[3], NULL, 10)};
  const float x[6] = {1, 2, 3, 4, 5, 6}, factor = 2;
  if (neo_rt_load(argv[1], &model, &error) ||
      neo_rt_session_create(model, &options, &session, &error) ||
      neo_rt_set_input(session, "x", x, sizeof(x), &error) ||
      neo_rt_set_input(session, "factor", &factor, sizeof(factor), &error) ||
      neo_rt_run(session, &error)) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  long before = counter();
  for (int i = 0; i < 50; i++) {
    const void *y;
    if (neo_rt_set_input(session, "x", x, sizeof(x), &error) || neo_rt_run(session, &error) ||
        neo_rt_output(session, 0, &y, &error))
      return 1;
  }
  long allocations = counter() - before;
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  printf("%ld allocations in 50 runs\n", allocations);
  return allocations != 0;
}
