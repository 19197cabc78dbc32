/* The machine's cores: which cpus there are, in the order in which we want to use them, and
 * pinning.
 *
 * Why: measuring needs cores of its own, one thread per physical core, on one package if possible;
 * and it must respect what the container and the user (taskset) left us. hwloc knows all of that,
 * and reads synthetic descriptions, so odd machines can be tested on any.
 *
 * Invariants
 * 1. cpu[] holds no cpu twice; cpu[i] for i < n are on n different cores.
 * 2. The order depends on the topology only: two runs on one machine agree. */
#include "target/topology.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CPUS = NEO_COUNT(((neo_cores *)NULL)->cpu) };

/* A core's place in the preferred order; pu[k] is its k-th hardware thread. */
typedef struct core_entry {
  hwloc_obj_t core;
  int speed; /* hwloc's efficiency rank of its cpu kind: higher is faster; 0 if all are alike */
} core_entry;

static int speed_of(hwloc_topology_t topology, hwloc_const_cpuset_t cpuset) {
  int efficiency = 0;
  int kind = hwloc_cpukinds_get_by_cpuset(topology, cpuset, 0);
  if (kind < 0 ||
      hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0))
    return 0;
  return efficiency;
}

/* The nth core object; machines without core objects (some virtual ones) have a core per cpu. */
static hwloc_obj_t nth_core(hwloc_topology_t topology, int i) {
  hwloc_obj_type_t type = HWLOC_OBJ_CORE;
  if (hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) <= 0)
    type = HWLOC_OBJ_PU;
  return hwloc_get_obj_by_type(topology, type, (unsigned)i);
}

/* Fast cores first, else in hwloc's logical order, which keeps packages and caches together. */
static int list_cores(hwloc_topology_t topology, core_entry entries[MAX_CPUS]) {
  int n = 0;
  for (int i = 0; n < MAX_CPUS; i++) {
    hwloc_obj_t core = nth_core(topology, i);
    if (!core)
      break;
    core_entry entry = {core, speed_of(topology, core->cpuset)};
    int at = n++;
    for (; at > 0 && entries[at - 1].speed < entry.speed; at--)
      entries[at] = entries[at - 1];
    entries[at] = entry;
  }
  return n;
}

/* The OS number of the core's nth cpu, or -1. */
static int nth_cpu(hwloc_obj_t core, int n) {
  int cpu = -1;
  for (int i = 0; i <= n; i++) {
    cpu = hwloc_bitmap_next(core->cpuset, cpu);
    if (cpu < 0)
      return -1;
  }
  return cpu;
}

static int64_t cache_size(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_obj_t core) {
  hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(topology, type, core);
  return cache ? (int64_t)cache->attr->cache.size : 0;
}

static int at_least_one(int n) {
  return n > 0 ? n : 1;
}

bool neo_cores_from_topology(hwloc_topology_t topology, neo_cores *out) {
  core_entry entries[MAX_CPUS];
  neo_cores cores = {0};
  cores.n = list_cores(topology, entries);
  if (cores.n == 0)
    return false;
  bool found = true;
  for (int sibling = 0; found; sibling++) {
    found = false;
    for (int i = 0; i < cores.n && cores.n_cpus < MAX_CPUS; i++) {
      int cpu = nth_cpu(entries[i].core, sibling);
      if (cpu < 0)
        continue;
      cores.cpu[cores.n_cpus++] = cpu;
      found = true;
    }
  }
  cores.l1d = cache_size(topology, HWLOC_OBJ_L1CACHE, entries[0].core);
  cores.l2 = cache_size(topology, HWLOC_OBJ_L2CACHE, entries[0].core);
  cores.l3 = cache_size(topology, HWLOC_OBJ_L3CACHE, entries[0].core);
  cores.packages = at_least_one(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE));
  cores.numa_nodes = at_least_one(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE));
  *out = cores;
  return true;
}

static neo_status load(neo_ctx *ctx, const char *synthetic, hwloc_topology_t topology) {
  if (synthetic && hwloc_topology_set_synthetic(topology, synthetic) != 0)
    return neo_fail(ctx, NEO_USAGE, "cores: '%.80s' is no hwloc synthetic description", synthetic);
  if (!synthetic)
    hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING |
                                           HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
  if (hwloc_topology_load(topology) != 0)
    return neo_fail(ctx, NEO_IO, "cores: hwloc cannot load the topology: %s", strerror(errno));
  return NEO_OK;
}

static int64_t from_libc(int name) {
  long size = sysconf(name);
  return size > 0 ? size : 0;
}

/* Where sysfs hides the caches, libc may still know them from CPUID. */
static void fill_unknown_caches(neo_cores *cores) {
  if (cores->l1d == 0)
    cores->l1d = from_libc(_SC_LEVEL1_DCACHE_SIZE);
  if (cores->l2 == 0)
    cores->l2 = from_libc(_SC_LEVEL2_CACHE_SIZE);
  if (cores->l3 == 0)
    cores->l3 = from_libc(_SC_LEVEL3_CACHE_SIZE);
}

neo_status neo_cores_detect(neo_ctx *ctx, const char *synthetic, neo_cores *out) {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0)
    return neo_fail(ctx, NEO_NO_MEMORY, "cores: out of memory for the topology");
  neo_cores cores;
  neo_status status = load(ctx, synthetic, topology);
  if (status == NEO_OK && !neo_cores_from_topology(topology, &cores))
    status = neo_fail(ctx, NEO_IO, "cores: no usable cpu found");
  hwloc_topology_destroy(topology);
  if (status != NEO_OK)
    return status;
  if (!synthetic)
    fill_unknown_caches(&cores);
  *out = cores;
  return NEO_OK;
}

neo_status neo_cores_pin(neo_ctx *ctx, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0 && cpu < CPU_SETSIZE)
    CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0)
    return NEO_OK;
  neo_log(ctx, NEO_LOG_WARN, "cannot pin to cpu %d: %s", cpu, strerror(errno));
  return NEO_UNSUPPORTED;
}

void neo_cores_affinity(neo_affinity *out) {
  cpu_set_t set;
  _Static_assert(sizeof set == sizeof out->set, "room for a cpu_set_t");
  out->known = sched_getaffinity(0, sizeof set, &set) == 0;
  memcpy(out->set, &set, sizeof set);
}

void neo_cores_set_affinity(const neo_affinity *affinity) {
  cpu_set_t set;
  memcpy(&set, affinity->set, sizeof set);
  if (affinity->known)
    sched_setaffinity(0, sizeof set, &set);
}

void neo_cores_split(const neo_cores *cores, int threads, int *n_measure, int *n_build) {
  int measure = (int)neo_min_i64(neo_max_i64(threads, 1), cores->n);
  *n_measure = measure;
  *n_build = measure < cores->n ? cores->n - measure : cores->n;
}
