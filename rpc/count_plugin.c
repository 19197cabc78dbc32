/* A TCG plugin of qemu-user (-plugin FILE,counters=PATH,l1=BYTES,miss=COST): counts the
 * instructions of one region of the guest's code, and the misses of its accesses to its data in a
 * simulated cache.
 *
 * Why: time means nothing under emulation, and a virtual machine has no hardware counters; these
 * counts are the same on every run, so that whole tuning runs can be repeated.
 *
 * How: blocks are looked at when they are translated; only those of the region (counters.h) get an
 * inline addition and a call per access, so everything else of the guest runs at full speed. The
 * cache: 64-byte lines, 64 sets, as many ways as the size asks for, least recently used first. With
 * 64 sets a line's set follows from its offset in its page alone: where the kernel's memory lies
 * does not change the count. Stack and heap, whose offsets depend on what the process did before,
 * are passed over. After fork the child has a cache of its own, as it was. What the emulator calls
 * an instruction of Hexagon is a packet of up to four, which is what takes a cycle there.
 *
 * The declarations are those of plugin API version 1 (qemu 5 to 8), written from its documentation,
 * since Debian packages no header. */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rpc/counters.h"

/* ---- the API ------------------------------------------------------------------------------------- */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translate_fn)(uint64_t plugin, struct qemu_plugin_tb *block);
typedef void (*access_fn)(unsigned cpu, uint32_t info, uint64_t address, void *self);

enum { API_VERSION = 1, INLINE_ADD_U64 = 0, NO_REGISTERS = 0, READS_AND_WRITES = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, translate_fn fn);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int op, void *counter,
                                              uint64_t add);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, access_fn fn, int registers,
                                      int kinds, void *self);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(uint32_t info);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv);

int qemu_plugin_version = API_VERSION;

/* ---- the cache ----------------------------------------------------------------------------------- */

enum { LINE_BITS = 6, SETS = 64, MOST_WAYS = 64 };

static neo_counters *counters;
static unsigned ways = 8;
static uint64_t cache[SETS][MOST_WAYS]; /* line + 1, most recently used first; 0: empty */

static void touch(uint64_t line) {
  uint64_t *set = cache[line % SETS];
  unsigned way = 0;
  while (way < ways - 1 && set[way] != line + 1)
    way++;
  counters->misses += set[way] != line + 1;
  memmove(set + 1, set, way * sizeof(*set));
  set[0] = line + 1;
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *self) {
  (void)cpu, (void)self;
  bool inside = address - counters->data < counters->data_bytes ||
                address - counters->region < counters->region_bytes;
  if (!inside)
    return;
  uint64_t last = address + (UINT64_C(1) << qemu_plugin_mem_size_shift(info)) - 1;
  for (uint64_t line = address >> LINE_BITS; line <= last >> LINE_BITS; line++)
    touch(line);
}

static void on_translate(uint64_t plugin, struct qemu_plugin_tb *block) {
  (void)plugin;
  size_t n = qemu_plugin_tb_n_insns(block);
  uint64_t at = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0));
  if (at - counters->region >= counters->region_bytes)
    return;
  qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &counters->instructions, n);
  for (size_t i = 0; i < n; i++)
    qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), on_access, NO_REGISTERS,
                                     READS_AND_WRITES, NULL);
}

/* ---- starting ------------------------------------------------------------------------------------ */

static bool map_counters(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  bool sized = fd >= 0 && ftruncate(fd, NEO_COUNTERS_BYTES) == 0;
  void *page = sized ? mmap(NULL, NEO_COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                     : MAP_FAILED;
  if (fd >= 0)
    close(fd);
  counters = page == MAP_FAILED ? NULL : page;
  return counters;
}

int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv) {
  uint64_t miss = NEO_MISS_COST;
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "counters=", 9) == 0 && !map_counters(argv[i] + 9))
      return 1;
    if (strncmp(argv[i], "l1=", 3) == 0)
      ways = (unsigned)(strtoul(argv[i] + 3, NULL, 10) >> LINE_BITS) / SETS;
    if (strncmp(argv[i], "miss=", 5) == 0)
      miss = strtoul(argv[i] + 5, NULL, 10);
  }
  ways = ways < 1 ? 1 : ways > MOST_WAYS ? MOST_WAYS : ways;
  if (!counters)
    return 1;
  counters->miss_cost = miss;
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, on_translate);
  return 0;
}
