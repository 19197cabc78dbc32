/* base/condition.h: condition variables that are waited for with a limit of time. By
 * CLOCK_MONOTONIC, so that a clock that is set, by a person or over a network, neither ends such a
 * wait nor makes it long. */
#ifndef NEO_BASE_CONDITION_H
#define NEO_BASE_CONDITION_H

#include <pthread.h>

/* In the place of pthread_cond_init(condition, NULL). */
void neo_condition_init(pthread_cond_t *condition);
/* As pthread_cond_wait, for ms milliseconds at most. */
void neo_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int ms);

#endif
