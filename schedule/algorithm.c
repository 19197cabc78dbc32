/* The table of algorithms (schedule/algorithms.def): find, parameters, dispatch.
 *
 * Why: a schedule line starts with the algorithm because everything after it addresses the
 * rewritten te. How: each row is a vtable in its own file; this file only looks names up and wraps
 * errors. */
#include "schedule/algorithm.h"

#include <string.h>

#define X(name) extern const neo_algorithm neo_algorithm_##name;
#include "schedule/algorithms.def"
#undef X

static const neo_algorithm *const rows[] = {
#define X(name) &neo_algorithm_##name,
#include "schedule/algorithms.def"
#undef X
};

int neo_algorithm_count(void) {
  return NEO_COUNT(rows);
}

const neo_algorithm *neo_algorithm_get(int row) {
  neo_assert(row >= 0 && row < NEO_COUNT(rows));
  return rows[row];
}

const neo_algorithm *neo_algorithm_find(const char *alg) {
  size_t length = strcspn(alg, " ");
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strlen(rows[i]->name) == length && memcmp(rows[i]->name, alg, length) == 0)
      return rows[i];
  return NULL;
}

bool neo_algorithm_param(const char *text, const char *key, int64_t *out) {
  size_t length = strlen(key);
  for (const char *at = strchr(text, ' '); at; at = strchr(at, ' ')) {
    at++;
    if (strncmp(at, key, length) != 0 || at[length] != '=')
      continue;
    neo_scan scan;
    neo_scan_init(&scan, at + length + 1);
    return neo_scan_int(&scan, out) && (*scan.at == ' ' || *scan.at == '\0');
  }
  return false;
}

neo_accuracy neo_algorithm_accuracy(const char *alg) {
  const neo_algorithm *row = neo_algorithm_find(alg);
  if (!row)
    return NEO_ACCURACY_FAST;
  return row->accuracy ? row->accuracy(alg) : row->error_class;
}

neo_status neo_algorithm_rewrite(neo_ctx *ctx, const neo_te *te, const char *alg, neo_arena *arena,
                                 neo_te *out, neo_packing *packing) {
  const neo_algorithm *row = neo_algorithm_find(alg);
  if (!row)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: no algorithm is called '%s'", alg);
  neo_packing local = {0, NULL};
  NEO_TRY(row->rewrite(ctx, te, alg, arena, out, &local));
  if (packing)
    *packing = local;
  return NEO_OK;
}
