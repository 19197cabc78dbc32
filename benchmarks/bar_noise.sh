#!/usr/bin/env bash
# Shows: the same search, ten times, with a process that burns a core. Bar: the same schedule wins, or winners that cannot be told apart
# (the 95 % interval of the interleaved ratio contains 1); with simulated times: the same schedule. Takes 5 minutes.
#
#   benchmarks/bar_noise.sh [TE...]          NEO_REPEATS=10, NEO_TRIALS=64, NEO_PAIRS=30, NEO_BURN=0 (no burner), NEO_RUN=label
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/../benchmarks/bench_operator" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
exec python3 "$root/benchmarks/bars/noise.py" "$@"
