/* The emulated measurer: the local one, with a board of another architecture under qemu-user, and
 * counts in place of times.
 *
 * url "emulated:aarch64". Why: whole tuning runs for a processor that is not there, as tests.
 * Costs: rpc/counters.h says what they are; they stand where times stand, as so many nanoseconds,
 * and are the same for the same code on every run. There is nothing to race and no noise, so there
 * is no incumbent on the board; one build thread keeps the order of candidates. */
#include <string.h>

#include "measure/local.h"

typedef struct emulated_row {
  const char *arch, *emulator;
  uint64_t extra;                  /* features that a plain processor does not have */
  const char *plain_cpu, *big_cpu; /* of the emulator */
} emulated_row;

#define FEATURE(name) (UINT64_C(1) << NEO_ISA_##name)

static const emulated_row rows[] = {
    {"aarch64", "qemu-aarch64", FEATURE(DOTPROD) | FEATURE(FP16), "cortex-a72", "neoverse-n1"},
};

static const emulated_row *find_row(const char *arch) {
  for (int r = 0; r < NEO_COUNT(rows); r++)
    if (strcmp(rows[r].arch, arch) == 0)
      return &rows[r];
  return NULL;
}

static neo_status emulated_open(neo_ctx *ctx, const char *rest, const neo_target *target,
                                const neo_measure_options *options, neo_measurer **out) {
  const emulated_row *row = find_row(rest);
  if (!row)
    return neo_fail(ctx, NEO_USAGE, "measurer 'emulated:%s' is not known; use emulated:aarch64",
                    rest);
  if (strcmp(target->arch, row->arch) != 0)
    return neo_fail(ctx, NEO_USAGE,
                    "measurer 'emulated:%s' runs no code for %s: name such a target (--target %s)",
                    rest, target->arch, row->arch);
  if (options->threads != 1)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "measurer 'emulated:%s' counts one thread, %d asked for: --threads 1", rest,
                    options->threads);
  neo_emulation emulation = {.emulator = row->emulator,
                             .cpu = target->isa & row->extra ? row->big_cpu : row->plain_cpu};
  snprintf(emulation.program, sizeof emulation.program, "neo-board-%s", row->arch);
  neo_measure_options own = *options;
  own.build_threads = 1;
  return neo_local_open(ctx, &emulation, NULL, target, &own, out);
}

/* What it opens is a local measurer. */
const neo_measurer_ops neo_measurer_emulated = {.name = "emulated", .open = emulated_open};
