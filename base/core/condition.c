/* Waiting for a condition with a limit: see base/condition.h. Not for systems that lack the clock
 * of a condition (Windows, Hexagon); nothing there waits so. */
#include "base/condition.h"

#include <time.h>

enum { SECOND = 1000000000 };

void neo_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

void neo_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += (long)(ms % 1000) * (SECOND / 1000);
  if (until.tv_nsec >= SECOND) {
    until.tv_sec++;
    until.tv_nsec -= SECOND;
  }
  pthread_cond_timedwait(condition, mutex, &until);
}
