/* The wine measurer: the local one, with neo-board.exe under wine on this processor.
 *
 * url "wine". Why: kernels for Windows are other code (other registers survive a call, the stack is
 * probed), so they have records of their own; and no Windows is needed to make them. Times are
 * times: wine translates calls of the system, not instructions. Every job is a new process, as on
 * Windows, which takes wine a few hundredths of a second. */
#include <string.h>

#include "measure/local.h"

/* Debian has it beside its library and not on the PATH. */
static const char *find_wine(void) {
  static const char *const places[] = {"/usr/lib/wine/wine64", "/usr/bin/wine64"};
  for (int k = 0; k < NEO_COUNT(places); k++)
    if (neo_file_exists(places[k]))
      return places[k];
  return "wine";
}

static neo_status wine_open(neo_ctx *ctx, const char *rest, const neo_target *target,
                            const neo_measure_options *options, neo_measurer **out) {
  neo_target here = *target;
  here.os[0] = '\0';
  if (rest[0])
    return neo_fail(ctx, NEO_USAGE, "measurer 'wine:%s': wine takes no more words", rest);
  if (strcmp(target->os, "windows") != 0 || !neo_target_runs_here(&here))
    return neo_fail(ctx, NEO_USAGE,
                    "measurer 'wine' runs code for Windows on this processor: name such a target "
                    "(--target host-windows)");
  neo_emulation emulation = {.program = "windows/neo-board.exe", .emulator = find_wine()};
  return neo_local_open(ctx, &emulation, NULL, target, options, out);
}

/* What it opens is a local measurer. */
const neo_measurer_ops neo_measurer_wine = {.name = "wine", .open = wine_open};
