/* The emulated measurer: the local one, with a board of another architecture under qemu-user, and
 * counts in place of times.
 *
 * url "emulated:ARCH[?miss=COST]", a row below. Why: whole tuning runs for a processor that is not
 * there, as tests. Costs: rpc/counters.h says what they are; they stand where times stand, as so
 * many nanoseconds, and are the same for the same code on every run. There is nothing to race and
 * no noise, so there is no incumbent on the board; one build thread keeps the order of candidates.
 */
#include <string.h>

#include "measure/local.h"
#include "rpc/counters.h"

typedef struct emulated_row {
  const char *arch, *emulator;
  const char *cpu;   /* of the emulator */
  uint64_t features; /* that this cpu has */
} emulated_row;

#define FEATURE(name) (UINT64_C(1) << NEO_ISA_##name)
#define A82 (FEATURE(NEON) | FEATURE(DOTPROD) | FEATURE(FP16))

/* Of one architecture the poorest first. */
static const emulated_row rows[] = {
    {"aarch64", "qemu-aarch64", "cortex-a72", FEATURE(NEON)},
    {"aarch64", "qemu-aarch64", "neoverse-n1", A82},
    {"aarch64", "qemu-aarch64", "max,sve256=on", A82 | FEATURE(SVE256)},
    {"armv7", "qemu-arm", "cortex-a9", FEATURE(NEON)},
    {"armv7", "qemu-arm", "cortex-a15", FEATURE(NEON) | FEATURE(VFP4)},
    {"riscv64", "qemu-riscv64", "rv64", 0},
    {"riscv64", "qemu-riscv64", "rv64,v=true,vext_spec=v1.0,vlen=128", FEATURE(RVV)},
    {"riscv64", "qemu-riscv64", "rv64,v=true,vext_spec=v1.0,vlen=256",
     FEATURE(RVV) | FEATURE(RVV256)},
    {"hexagon", "qemu-hexagon", "v67", FEATURE(HVX)},
};

static const emulated_row *find_row(const char *arch, uint64_t features) {
  for (int r = 0; r < NEO_COUNT(rows); r++)
    if (strcmp(rows[r].arch, arch) == 0 && (features & ~rows[r].features) == 0)
      return &rows[r];
  return NULL;
}

/* ARCH[?miss=COST] */
static bool parse_url(const char *rest, char *arch, size_t size, int64_t *miss_cost) {
  size_t length = strcspn(rest, "?");
  neo_scan scan;
  *miss_cost = NEO_MISS_COST;
  snprintf(arch, size, "%.*s", (int)length, rest);
  if (length >= size || !rest[length])
    return length < size;
  if (strncmp(rest + length, "?miss=", 6) != 0)
    return false;
  neo_scan_init(&scan, rest + length + 6);
  return neo_scan_int(&scan, miss_cost) && neo_scan_end(&scan) && *miss_cost >= 0 &&
         *miss_cost <= 1000000;
}

static neo_status emulated_open(neo_ctx *ctx, const char *url, const neo_target *target,
                                const neo_measure_options *options, neo_measurer **out) {
  char rest[32];
  int64_t miss_cost;
  bool good = parse_url(url, rest, sizeof rest, &miss_cost);
  const emulated_row *row = good ? find_row(rest, 0) : NULL;
  if (!row)
    return neo_fail(ctx, NEO_USAGE,
                    "measurer 'emulated:%s' is not known; use emulated:aarch64, emulated:armv7, "
                    "emulated:riscv64 or emulated:hexagon, with ?miss=COST behind it for another "
                    "cost of a cache miss than 10",
                    url);
  if (strcmp(target->arch, row->arch) != 0)
    return neo_fail(ctx, NEO_USAGE,
                    "measurer 'emulated:%s' runs no code for %s: name such a target (--target %s)",
                    rest, target->arch, row->arch);
  if (options->threads != 1)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "measurer 'emulated:%s' counts one thread, %d asked for: --threads 1", rest,
                    options->threads);
  row = find_row(rest, target->isa);
  if (!row)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "measurer 'emulated:%s': no emulated processor has it all", rest);
  neo_emulation emulation = {.emulator = row->emulator, .cpu = row->cpu, .miss_cost = miss_cost};
  snprintf(emulation.program, sizeof emulation.program, "neo-board-%s", row->arch);
  neo_measure_options own = *options;
  own.build_threads = 1;
  NEO_TRY(neo_local_open(ctx, &emulation, NULL, target, &own, out));
  if (miss_cost != NEO_MISS_COST)
    snprintf((*out)->record_prefix, sizeof(*out)->record_prefix, "simulated miss=%lld ",
             (long long)miss_cost);
  return NEO_OK;
}

/* What it opens is a local measurer. */
const neo_measurer_ops neo_measurer_emulated = {.name = "emulated", .open = emulated_open};
