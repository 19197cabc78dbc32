/* Deadlines by a clock that the test sets, and waiting for a condition with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "base/condition.h"
#include "base/core.h"

static uint64_t now;

static uint64_t set_clock(void *self) {
  (void)self;
  return now;
}

static void deadlines_are_rounded_up(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  ctx.now_ns = set_clock;
  now = 7000000;
  uint64_t end = neo_deadline(&ctx, 5);
  assert_int_equal(end, 12000000);
  assert_int_equal(neo_deadline_left(&ctx, end), 5);
  now = 7000001;
  assert_int_equal(neo_deadline_left(&ctx, end), 5); /* not one millisecond of it is lost */
  now = 11999999;
  assert_int_equal(neo_deadline_left(&ctx, end), 1);
  for (now = end; now < end + 3; now++)
    assert_int_equal(neo_deadline_left(&ctx, end), 0);
  assert_int_equal(neo_deadline_left(&ctx, neo_deadline(&ctx, 0)), 0);
  assert_int_equal(neo_deadline_left(&ctx, neo_deadline(&ctx, -3)), 0);
  assert_int_equal(neo_deadline_left(&ctx, neo_deadline(&ctx, INT64_C(1) << 40)), 1 << 30);
}

typedef struct rendezvous {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool came;
} rendezvous;

static void *come(void *arg) {
  rendezvous *r = arg;
  pthread_mutex_lock(&r->mutex);
  r->came = true;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->mutex);
  return NULL;
}

static void conditions_end_with_their_time_or_what_they_wait_for(void **state) {
  (void)state;
  enum { LONG_MS = 3600000 };
  rendezvous r = {.came = false};
  pthread_t thread;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  pthread_mutex_init(&r.mutex, NULL);
  neo_condition_init(&r.changed);
  pthread_mutex_lock(&r.mutex);
  const int waits[] = {0, 1, 20, 1001}; /* nobody comes; into the next second, too */
  for (int i = 0; i < NEO_COUNT(waits); i++) {
    uint64_t end = neo_deadline(&ctx, waits[i]);
    for (int left; (left = neo_deadline_left(&ctx, end)) > 0;)
      neo_condition_wait(&r.changed, &r.mutex, left);
    neo_condition_wait(&r.changed, &r.mutex, 0);
  }
  assert_int_equal(pthread_create(&thread, NULL, come, &r), 0);
  while (!r.came)
    neo_condition_wait(&r.changed, &r.mutex, LONG_MS);
  pthread_mutex_unlock(&r.mutex);
  pthread_join(thread, NULL);
  pthread_cond_destroy(&r.changed);
  pthread_mutex_destroy(&r.mutex);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deadlines_are_rounded_up),
      cmocka_unit_test(conditions_end_with_their_time_or_what_they_wait_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
