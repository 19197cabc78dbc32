/* schedule/ptr_map.h: pointer -> integer, for walks that must visit each node of an expression DAG
 * once. */
#ifndef NEO_SCHEDULE_PTR_MAP_H
#define NEO_SCHEDULE_PTR_MAP_H

#include "base/core.h"

/* Zero-initialised plus an arena is empty; memory is the arena's. */
typedef struct neo_ptr_map {
  neo_arena *arena;
  int used, capacity;
  struct neo_ptr_slot {
    const void *key;
    intptr_t value;
  } * slot;
} neo_ptr_map;

/* The value's place, made with 0 if the key is new (*out_new); valid until the next call. */
intptr_t *neo_ptr_map_at(neo_ptr_map *map, const void *key, bool *out_new);

#endif
