/* Near workloads: records of the same family whose extents differ least.
 *
 * Why: a schedule of a convolution on 56x56 is a good first guess for 28x28. A family is a
 * workload's text with every extent replaced by '#', so two texts of a family align character by
 * character and their extents pair up. The distance is the sum of |log2(a/b)| over the pairs (of
 * their successors where one is 0): doubling one extent and halving another costs the same wherever
 * they stand; equal workloads are at 0. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tuning-db/store.h"

/* The number at *at ("56", "0.5", "1e-05"), which is moved behind it. What a number is, driver/'s
 * neo_workload_family says: a family's '#' stands for the whole of it. */
static double take_number(const char **at) {
  neo_scan scan;
  double v = 0;
  neo_scan_init(&scan, *at);
  if (**at >= '0' && **at <= '9' && neo_scan_double(&scan, &v))
    *at = scan.at;
  return v;
}

/* Zeros (bounds of guards, f32:0) are ordinary: a pair with one is compared with 1 added to both.
 */
static double difference(double x, double y) {
  return x > 0 && y > 0 ? fabs(log2(x / y)) : fabs(log2((x + 1) / (y + 1)));
}

double neo_workload_distance(const char *family, const char *a, const char *b) {
  double sum = 0;
  for (; *family; family++) {
    if (*family == '#') {
      const char *was_a = a, *was_b = b;
      double x = take_number(&a), y = take_number(&b);
      if (a == was_a || b == was_b)
        return -1;
      sum += difference(x, y);
    } else if (*a++ != *family || *b++ != *family) {
      return -1;
    }
  }
  return *a || *b ? -1 : sum;
}

typedef struct neighbour {
  double distance;
  char key[33];
} neighbour;

typedef struct neighbours {
  const neo_db_workload *of;
  neighbour *item;
  size_t n, capacity;
  bool failed;
} neighbours;

static bool add_neighbour(void *self, const neo_db_workload *workload) {
  neighbours *list = self;
  if (strcmp(workload->key, list->of->key) == 0)
    return true;
  double distance = neo_workload_distance(list->of->family, list->of->text, workload->text);
  if (distance < 0)
    return true;
  if (list->n == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    neighbour *item = realloc(list->item, capacity * sizeof(*item));
    if (!item) {
      list->failed = true;
      return false;
    }
    list->item = item;
    list->capacity = capacity;
  }
  neighbour *added = &list->item[list->n++];
  added->distance = distance;
  memcpy(added->key, workload->key, sizeof(added->key));
  return true;
}

/* Nearest first; equal distances by key, so that the order is the same everywhere. */
static int compare_neighbours(const void *a, const void *b) {
  const neighbour *x = a, *y = b;
  if (x->distance != y->distance)
    return x->distance < y->distance ? -1 : 1;
  return strcmp(x->key, y->key);
}

neo_status neo_db_near(neo_ctx *ctx, neo_db *db, const neo_db_near_query *query, neo_db_row *out,
                       int *n_out) {
  const neo_db_workload *workload = query->workload;
  neighbours list = {.of = workload};
  int found = 0;
  neo_status status =
      db->ops->visit_workloads(ctx, db->self, workload->family, add_neighbour, &list);
  if (status == NEO_OK && list.failed)
    status = neo_fail(ctx, NEO_NO_MEMORY, "database: out of memory while looking for neighbours");
  if (status == NEO_OK && list.n > 0)
    qsort(list.item, list.n, sizeof(*list.item), compare_neighbours);
  for (size_t i = 0; status == NEO_OK && i < list.n && found < query->n; i++) {
    neo_db_query one = {list.item[i].key, query->target, query->threads, NULL, NULL};
    bool has = false;
    status = neo_db_best(ctx, db, &one, &out[found], &has);
    found += status == NEO_OK && has;
  }
  free(list.item);
  if (status == NEO_OK) {
    *n_out = found;
    return NEO_OK;
  }
  while (found > 0)
    neo_db_row_fini(&out[--found]);
  return status;
}
