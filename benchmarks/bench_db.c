/* bench_db: lookups in a big tuning database.
 *
 *   bench_db [RECORDS=1000000] [LOOKUPS=100000] [PATH=bench_db.db]
 *
 * Fills PATH (made new, removed at the end) with RECORDS trials of RECORDS/500 workloads, closes
 * it, drops nothing from the page cache, opens it, and times LOOKUPS calls of neo_db_best on random
 * workloads, every second one with a layout. Prints one line of JSON: times in microseconds. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tuning-db/store.h"

enum { TRIALS_PER_WORKLOAD = 500 };

static void make_workload(int k, char *text, size_t size, char key[33]) {
  snprintf(text, size, "te 1\nb0 in f32 [1,%d,56,56]\nb1 out f32 [1,%d,56,56]\n", k + 1, k + 1);
  neo_key_text(text, strlen(text), key);
}

static neo_status fill(neo_ctx *ctx, neo_db *db, int64_t records) {
  NEO_TRY(db->ops->batch(ctx, db->self, true));
  for (int64_t i = 0; i < records; i++) {
    char text[128], key[33], schedule[400];
    make_workload((int)(i / TRIALS_PER_WORKLOAD), text, sizeof(text), key);
    neo_db_workload workload = {key, text, "family", "conv", 1e9};
    if (i % TRIALS_PER_WORKLOAD == 0)
      NEO_TRY(neo_db_put_workload(ctx, db, &workload));
    snprintf(
        schedule, sizeof(schedule),
        "s1; alg brgemm; pack b1 0/32,1,2,3,0%%32; split B0.1 %d 32; split B0.3 %d; order B0 0.0 "
        "1.0 2 3.0 4 5 6 3.1 1.1 1.2; at B1 B0 4 reg; parallel B0 3; vector B0.1.2; unroll "
        "B0.1.1; unroll B0.3.1",
        (int)(i % 7) + 1, (int)(i % 14) + 1);
    double ns = 1e5 + (double)neo_rng_below(&ctx->rng, 100000000);
    neo_db_trial trial = {.run = 1,
                          .attempt = i + 1,
                          .workload = key,
                          .target = "x86_64 avx2,fma,f16c,avx512 vec=64 regs=32 fma=2x4",
                          .layout = i % 2 ? "b0=0,2,3,1 b1=0,2,3,1" : "",
                          .schedule = schedule,
                          .threads = 1,
                          .kind = i % 9 ? "ok" : "raced",
                          .ns = ns,
                          .repeats = "123456.5 123456.7 123460.2",
                          .error_class = i % 3 ? "exact" : "default",
                          .created_ms = 1};
    NEO_TRY(neo_db_put_trial(ctx, db, &trial, NULL));
  }
  return db->ops->batch(ctx, db->self, false);
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static neo_status lookups(neo_ctx *ctx, neo_db *db, int64_t records, int n, double *us) {
  for (int i = 0; i < n; i++) {
    char text[128], key[33];
    int64_t workloads = (records + TRIALS_PER_WORKLOAD - 1) / TRIALS_PER_WORKLOAD;
    make_workload((int)neo_rng_below(&ctx->rng, (uint64_t)workloads), text, sizeof(text), key);
    neo_db_query query = {key, "x86_64 avx2,fma,f16c,avx512 vec=64 regs=32 fma=2x4", 1,
                          i % 2 ? "b0=0,2,3,1 b1=0,2,3,1" : NULL, NULL};
    neo_db_row row = {0};
    bool found = false;
    uint64_t start = neo_now_ns(ctx);
    neo_status status = neo_db_best(ctx, db, &query, &row, &found);
    us[i] = (double)(neo_now_ns(ctx) - start) / 1e3;
    neo_db_row_fini(&row);
    if (status != NEO_OK || !found)
      return status != NEO_OK ? status : neo_fail(ctx, NEO_INTERNAL, "no record of %s", key);
  }
  return NEO_OK;
}

static neo_status run(neo_ctx *ctx, int64_t records, int n, const char *path, double *us) {
  neo_db *db = NULL;
  NEO_TRY(neo_db_open(ctx, path, false, &db));
  uint64_t start = neo_now_ns(ctx);
  neo_status status = fill(ctx, db, records);
  double fill_s = (double)(neo_now_ns(ctx) - start) / 1e9;
  neo_db_close(db);
  if (status != NEO_OK)
    return status;
  start = neo_now_ns(ctx);
  NEO_TRY(neo_db_open(ctx, path, true, &db));
  double open_ms = (double)(neo_now_ns(ctx) - start) / 1e6;
  status = lookups(ctx, db, records, n, us);
  neo_db_close(db);
  if (status != NEO_OK)
    return status;
  qsort(us, (size_t)n, sizeof(*us), compare_doubles);
  printf("{\"records\":%lld,\"lookups\":%d,\"fill_s\":%.1f,\"open_ms\":%.2f,\"p50_us\":%.1f,"
         "\"p99_us\":%.1f,\"max_us\":%.1f}\n",
         (long long)records, n, fill_s, open_ms, us[n / 2], us[(int)(0.99 * n)], us[n - 1]);
  return NEO_OK;
}

int main(int argc, char **argv) {
  int64_t records = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000000;
  int n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 100000;
  const char *path = argc > 3 ? argv[3] : "bench_db.db";
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  double *us = n > 0 ? malloc((size_t)n * sizeof(*us)) : NULL;
  if (records < 1 || !us) {
    fprintf(stderr, "usage: bench_db [RECORDS] [LOOKUPS] [PATH]\n");
    return NEO_USAGE;
  }
  remove(path);
  neo_status status = run(&ctx, records, n, path, us);
  if (status != NEO_OK)
    fprintf(stderr, "bench_db: %s\n", ctx.message);
  remove(path);
  free(us);
  return status;
}
