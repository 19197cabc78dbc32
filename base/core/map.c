/* A hash map from strings to pointers: linear probing, power-of-two capacity, at most 3/4 full.
 *
 * Why: names of values, nodes and workloads are looked up everywhere; there is no removal because
 * nobody needs it, which keeps probing without tombstones.
 *
 * Invariants
 * 1. capacity is 0 or a power of two; used <= 3/4 capacity, so every probe ends.
 * 2. A slot is free exactly when its key is NULL; keys are heap copies owned by the map. */
#include "base/core.h"

#include <stdlib.h>
#include <string.h>

struct neo_map_slot {
  char *key;
  uint64_t hash;
  void *value;
};

void neo_map_fini(neo_map *map) {
  for (size_t i = 0; i < map->capacity; i++)
    free(map->slots[i].key);
  free(map->slots);
  memset(map, 0, sizeof(*map));
}

/* The slot that holds the key, or the free one where it would go. capacity > 0. */
static struct neo_map_slot *probe(struct neo_map_slot *slots, size_t capacity, uint64_t hash,
                                  const char *key) {
  size_t i = (size_t)hash & (capacity - 1);
  while (slots[i].key && (slots[i].hash != hash || strcmp(slots[i].key, key) != 0))
    i = (i + 1) & (capacity - 1);
  return &slots[i];
}

void *neo_map_get(const neo_map *map, const char *key) {
  if (map->capacity == 0)
    return NULL;
  uint64_t hash = neo_hash64(key, strlen(key));
  return probe(map->slots, map->capacity, hash, key)->value;
}

static bool grow(neo_map *map) {
  size_t capacity = map->capacity ? 2 * map->capacity : 16;
  struct neo_map_slot *slots = calloc(capacity, sizeof(*slots));
  if (!slots)
    return false;
  for (size_t i = 0; i < map->capacity; i++)
    if (map->slots[i].key)
      *probe(slots, capacity, map->slots[i].hash, map->slots[i].key) = map->slots[i];
  free(map->slots);
  map->slots = slots;
  map->capacity = capacity;
  return true;
}

bool neo_map_put(neo_map *map, const char *key, void *value) {
  if (4 * (map->used + 1) > 3 * map->capacity && !grow(map))
    return false;
  size_t length = strlen(key);
  uint64_t hash = neo_hash64(key, length);
  struct neo_map_slot *slot = probe(map->slots, map->capacity, hash, key);
  if (!slot->key) {
    slot->key = malloc(length + 1);
    if (!slot->key)
      return false;
    memcpy(slot->key, key, length + 1);
    slot->hash = hash;
    map->used++;
  }
  slot->value = value;
  return true;
}
