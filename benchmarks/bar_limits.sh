#!/usr/bin/env bash
# Shows: what this machine can do at most, measured with code from our own generator: multiply-adds in f32, in 8-bit integers and in bf16
# where it has the instructions, and reading L1, L2, L3 and memory. No bar: the other figures are seen beside these. Takes 10 seconds.
#
#   benchmarks/bar_limits.sh                 NEO_THREADS="1 2", NEO_RUN=label (default: today; rows that the run has are not measured again)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/../benchmarks/bench_limits" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
exec python3 "$root/benchmarks/bars/limits.py" "$@"
