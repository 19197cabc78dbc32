/* What a board reports of its machine when it joins, on Windows: see board_facts.c. */
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "rpc/net.h"
#include "runtime/os.h"

static void add_number(neo_net_join *join, const char *name, long long value, const char *unit) {
  char text[40];
  snprintf(text, sizeof(text), "%lld%s", value, unit);
  neo_net_fact_set(join, name, text);
}

/* "l1d", "l2", "l3" as the first core sees them. */
static void add_caches(neo_net_join *join) {
  DWORD size = 0;
  GetLogicalProcessorInformation(NULL, &size);
  SYSTEM_LOGICAL_PROCESSOR_INFORMATION *info = malloc(size ? size : 1);
  if (info && GetLogicalProcessorInformation(info, &size))
    for (DWORD i = 0; i < size / sizeof(*info); i++) {
      const CACHE_DESCRIPTOR *cache = &info[i].Cache;
      char name[24];
      if (info[i].Relationship != RelationCache || !(info[i].ProcessorMask & 1) ||
          cache->Type == CacheInstruction)
        continue;
      snprintf(name, sizeof(name), "l%d%s", cache->Level, cache->Level == 1 ? "d" : "");
      add_number(join, name, cache->Size / 1024, "K");
    }
  free(info);
}

/* Linux's word, the compiler's */
#define FEATURES(X)                                                                                \
  X("sse4_2", "sse4.2")                                                                            \
  X("avx", "avx")                                                                                  \
  X("avx2", "avx2")                                                                                \
  X("fma", "fma")                                                                                  \
  X("avx512f", "avx512f")                                                                          \
  X("avx512_vnni", "avx512vnni")                                                                   \
  X("avx512_bf16", "avx512bf16")

static void add_features(neo_net_join *join) {
  char words[160] = "";
  size_t used = 0;
#define X(word, name)                                                                              \
  if (__builtin_cpu_supports(name))                                                                \
    used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s", used ? " " : "", word);
  FEATURES(X)
#undef X
  if (used)
    neo_net_fact_set(join, "features", words);
}

void neo_net_facts_detect(neo_net_join *join) {
  SYSTEM_INFO system;
  neo_net_fact_set(join, "arch", neo_cpu_arch());
  neo_net_fact_set(join, "os", "Windows");
  GetSystemInfo(&system);
  add_number(join, "cpus", system.dwNumberOfProcessors, "");
  if (neo_os_memory() > 0)
    add_number(join, "memory", neo_os_memory() >> 20, " MB");
  add_caches(join);
  add_features(join);
}
