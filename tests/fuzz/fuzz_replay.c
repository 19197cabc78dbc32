/* Runs a fuzz target without libFuzzer: replay DIR [ROUNDS].
 *
 * Every file of DIR is given to the target as it is and, ROUNDS times, with a few bytes changed,
 * removed or copied by a fixed random sequence; so an ordinary test covers the corpus and its
 * surroundings. */
#include "base/core.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZE 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t mutate(neo_rng *rng, uint8_t *data, size_t size) {
  int changes = 1 + (int)neo_rng_below(rng, 4);
  for (int i = 0; i < changes && size > 2; i++) {
    size_t at = neo_rng_below(rng, size), from = neo_rng_below(rng, size);
    size_t n = 1 + neo_rng_below(rng, 8);
    n = at + n > size ? size - at : n;
    n = from + n > size ? size - from : n;
    switch (neo_rng_below(rng, 5)) {
    case 0:
      data[at] = (uint8_t)neo_rng_below(rng, 256);
      break;
    case 1:
      data[at] = (uint8_t)('0' + neo_rng_below(rng, 10));
      break;
    case 2:
      memmove(data + at, data + at + n, size - at - n);
      size -= n;
      break;
    case 3:
      memmove(data + at, data + from, n);
      break;
    default:
      if (size + n < MAX_SIZE) {
        memmove(data + at + n, data + at, size - at);
        size += n;
      }
    }
  }
  return size;
}

static void run_file(const char *dir, const char *name, int rounds) {
  char path[1024];
  static uint8_t original[MAX_SIZE], changed[MAX_SIZE];
  snprintf(path, sizeof(path), "%s/%s", dir, name);
  FILE *file = fopen(path, "rb");
  if (!file) {
    fprintf(stderr, "%s: cannot open\n", path);
    exit(1);
  }
  size_t size = fread(original, 1, sizeof(original) - 1, file);
  fclose(file);
  neo_rng rng;
  neo_rng_init(&rng, neo_hash64(name, strlen(name)));
  LLVMFuzzerTestOneInput(original, size);
  for (int i = 0; i < rounds; i++) {
    memcpy(changed, original, size);
    LLVMFuzzerTestOneInput(changed, mutate(&rng, changed, size));
  }
}

int main(int argc, char **argv) {
  int files = 0, rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
  DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
  if (!dir) {
    fprintf(stderr, "usage: %s DIR [ROUNDS]\n", argv[0]);
    return 2;
  }
  for (struct dirent *entry; (entry = readdir(dir));)
    if (entry->d_name[0] != '.') {
      run_file(argv[1], entry->d_name, rounds);
      files++;
    }
  closedir(dir);
  printf("%d files, %d changes each\n", files, rounds);
  return files > 0 ? 0 : 1;
}
