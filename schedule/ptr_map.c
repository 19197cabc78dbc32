/* Open addressing from pointers to integers.
 *
 * Why: expressions are DAGs; walking them as trees can take exponential time.
 * How: power-of-two table, at most half full, linear probing, grown by re-insertion. */
#include "schedule/ptr_map.h"

static size_t place(const neo_ptr_map *map, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  size_t mask = (size_t)map->capacity - 1;
  size_t i = (size_t)(h >> 32) & mask;
  while (map->slot[i].key && map->slot[i].key != key)
    i = (i + 1) & mask;
  return i;
}

static void grow(neo_ptr_map *map) {
  struct neo_ptr_slot *old = map->slot;
  int n = map->capacity;
  map->capacity = n ? n * 2 : 64;
  map->slot = neo_arena_alloc(map->arena, (size_t)map->capacity * sizeof(*map->slot));
  for (int i = 0; i < n; i++)
    if (old[i].key)
      map->slot[place(map, old[i].key)] = old[i];
}

intptr_t *neo_ptr_map_at(neo_ptr_map *map, const void *key, bool *out_new) {
  if (map->used * 2 >= map->capacity)
    grow(map);
  size_t i = place(map, key);
  *out_new = !map->slot[i].key;
  if (*out_new) {
    map->slot[i].key = key;
    map->used++;
  }
  return &map->slot[i].value;
}
