/* target/topology.h: cores from a loaded hwloc topology. Inside target/ and its tests. */
#ifndef NEO_TARGET_TOPOLOGY_H
#define NEO_TARGET_TOPOLOGY_H

#include <hwloc.h>

#include "target/target.h"

/* Fills everything but what hwloc does not know (caches stay 0). False without a single usable cpu.
 */
bool neo_cores_from_topology(hwloc_topology_t topology, neo_cores *out);

#endif
