/* Fuzz target: files of records, into a store in memory. What came in must go out and in again:
 * the second export is the first. */
#include "tests/fuzz/fuzz_target.h"
#include "tuning-db/tuning_db.h"

/* The store's records as a file, which the caller closes; its text to free(). */
static FILE *export(neo_ctx *ctx, neo_db *db, char **text, size_t *size) {
  FILE *out = open_memstream(text, size);
  neo_assert(out && neo_db_export(ctx, db, out) == NEO_OK);
  return out;
}

static void export_twice(neo_ctx *ctx, neo_db *db) {
  neo_db *copy = NULL;
  char *first = NULL, *second = NULL;
  size_t first_size = 0, second_size = 0;
  int64_t good = 0, bad = 0;
  fclose(export(ctx, db, &first, &first_size));
  FILE *in = fmemopen(first, first_size, "rb");
  neo_assert(neo_db_open(ctx, "memory:", false, &copy) == NEO_OK);
  neo_assert(neo_db_import(ctx, copy, in, "again", &good, &bad) == NEO_OK && bad == 0);
  fclose(in);
  fclose(export(ctx, copy, &second, &second_size));
  neo_assert(first_size == second_size && memcmp(first, second, first_size) == 0);
  neo_db_close(copy);
  free(first);
  free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_db *db = NULL;
  int64_t good = 0, bad = 0;
  if (size == 0)
    return 0;
  FILE *in = fmemopen((void *)(uintptr_t)data, size, "rb");
  neo_ctx_init(&ctx, 1);
  neo_assert(in && neo_db_open(&ctx, "memory:", false, &db) == NEO_OK);
  if (neo_db_import(&ctx, db, in, "records", &good, &bad) == NEO_OK && good > 0)
    export_twice(&ctx, db);
  fclose(in);
  neo_db_close(db);
  return 0;
}
