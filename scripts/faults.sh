#!/usr/bin/env bash
# Faults of boards and networks, a hundred times each (tests/rpc/net_faults.c lists them): agent killed, rebooted with
# empty state, link cut in upload and result, half-open connection, hang, crash, wrong answer, out of memory, slow drip,
# replayed and duplicated results, wrong key, old protocol version. Takes about ten minutes.
#
#   scripts/faults.sh [REPEATS] [FAULT]     from the repository's root; the build is in build/ or $NEO_BUILD
set -euo pipefail
build=${NEO_BUILD:-build}
[ -x "$build/tests/net_faults" ] || { echo "faults: $build/tests/net_faults is missing: build first" >&2; exit 1; }
exec "$build/tests/net_faults" "${1:-100}" ${2:+"$2"}
