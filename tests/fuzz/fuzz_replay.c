/* Runs a fuzz target without libFuzzer: replay DIR ROUNDS.
 *
 * Every file of DIR is given to the target as it is; cut short at every 64th part and by each of
 * its last bytes; and, ROUNDS times, with a few bytes or bits changed, removed or copied by a fixed
 * random sequence. So an ordinary test covers what fuzzing has found, and its surroundings. */
#include <dirent.h>

#include "tests/fuzz/fuzz_target.h"

enum { PARTS = 64, LAST = 8, ROOM = 64 };

static size_t change_once(neo_rng *rng, uint8_t *data, size_t size, size_t room) {
  size_t at = neo_rng_below(rng, size), from = neo_rng_below(rng, size);
  size_t n = 1 + neo_rng_below(rng, 8);
  n = at + n > size ? size - at : n;
  n = from + n > size ? size - from : n;
  switch (neo_rng_below(rng, 6)) {
  case 0:
    data[at] = (uint8_t)neo_rng_below(rng, 256);
    return size;
  case 1:
    data[at] = (uint8_t)('0' + neo_rng_below(rng, 10));
    return size;
  case 2:
    data[at] ^= (uint8_t)(1u << neo_rng_below(rng, 8));
    return size;
  case 3:
    memmove(data + at, data + at + n, size - at - n);
    return size - n;
  case 4:
    memmove(data + at, data + from, n);
    return size;
  default:
    if (size + n > room)
      return size;
    memmove(data + at + n, data + at, size - at);
    return size + n;
  }
}

/* From a heap block of exactly that size, so that reads past its end are seen. */
static void give(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  neo_assert(copy);
  if (size)
    memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

static void give_all(const char *name, const uint8_t *data, size_t size, int rounds) {
  neo_rng rng;
  neo_rng_init(&rng, neo_hash64(name, strlen(name)));
  give(data, size);
  for (size_t part = 0; part < PARTS && rounds > 0; part++)
    give(data, size * part / PARTS);
  for (size_t last = 1; last <= LAST && last < size && rounds > 0; last++)
    give(data, size - last);
  uint8_t *changed = malloc(size + ROOM);
  neo_assert(changed);
  for (int i = 0; i < rounds; i++) {
    size_t now = size;
    if (size)
      memcpy(changed, data, size);
    for (int k = (int)neo_rng_below(&rng, 4); k >= 0 && now > 2; k--)
      now = change_once(&rng, changed, now, size + ROOM);
    give(changed, now);
  }
  free(changed);
}

static void run_file(const char *dir, const char *name, int rounds) {
  char path[1024];
  struct stat info;
  snprintf(path, sizeof(path), "%s/%s", dir, name);
  FILE *file = fopen(path, "rb");
  if (!file || fstat(fileno(file), &info) != 0) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(1);
  }
  size_t size = (size_t)info.st_size;
  uint8_t *data = malloc(size + 1);
  neo_assert(data && fread(data, 1, size, file) == size);
  fclose(file);
  give_all(name, data, size, rounds);
  free(data);
}

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

int main(int argc, char **argv) {
  struct dirent **entry;
  int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
  int n = argc > 1 ? scandir(argv[1], &entry, visible, alphasort) : -1;
  if (n < 0) {
    fprintf(stderr, "usage: %s DIR [ROUNDS]\n", argv[0]);
    return 2;
  }
  for (int i = 0; i < n; i++) {
    printf("%s\n", entry[i]->d_name);
    fflush(stdout); /* the last one named is the one that crashed */
    run_file(argv[1], entry[i]->d_name, rounds);
    free(entry[i]);
  }
  free(entry);
  printf("%d files, %d changes each\n", n, rounds);
  return n > 0 ? 0 : 1;
}
