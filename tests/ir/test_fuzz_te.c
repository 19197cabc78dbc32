/* tests/ir/test_fuzz_te.c: replays the corpus of the te fuzzer, whole, cut short and with bytes
 * changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/ir/te_testing.h"

#include <dirent.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz_te.c"

#define CORPUS NEO_SOURCE_DIR "/tests/data/fuzz/te"

static void mutate(neo_rng *rng, char *text, size_t size) {
  static const char bytes[] = "0123456789-+*[](),.|<=:ibBsrx\n \xff";
  for (int k = (int)neo_rng_below(rng, 4); k >= 0; k--)
    text[neo_rng_below(rng, size)] = bytes[neo_rng_below(rng, sizeof bytes - 1)];
}

static void replay(const char *path, neo_rng *rng) {
  char *text = testing_read(path);
  size_t size = strlen(text);
  LLVMFuzzerTestOneInput((const uint8_t *)text, size);
  for (int k = 0; k < 400 && size; k++) {
    char *copy = strdup(text);
    mutate(rng, copy, size);
    LLVMFuzzerTestOneInput((const uint8_t *)copy, k % 4 ? size : neo_rng_below(rng, size));
    free(copy);
  }
  free(text);
}

static void corpus_and_its_mutants_do_no_harm(void **state) {
  (void)state;
  int files = 0;
  neo_rng rng;
  neo_rng_init(&rng, 5);
  DIR *dir = opendir(CORPUS);
  assert_non_null(dir);
  for (struct dirent *entry; (entry = readdir(dir));) {
    char path[1024];
    if (entry->d_name[0] == '.')
      continue;
    snprintf(path, sizeof path, "%s/%s", CORPUS, entry->d_name);
    replay(path, &rng);
    files++;
  }
  closedir(dir);
  assert_true(files >= 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(corpus_and_its_mutants_do_no_harm)};
  return cmocka_run_group_tests_name("fuzz te", tests, NULL, NULL);
}
