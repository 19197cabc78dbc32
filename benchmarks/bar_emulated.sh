#!/usr/bin/env bash
# Shows: what 200 trials gain on an emulated Cortex-A72, counted (instructions, and ten for each simulated cache miss), on a reduced
# mobilenet_v2; instructions per four multiply-adds of its dense convolutions (misses are free there); and that two runs with one seed agree.
# Bars: the measured tasks together <= 0.95 of the analytic start and <= 0.5 of their naive nests, each dense convolution <= 1.45, records
# identical. About three minutes.
#
#   benchmarks/bar_emulated.sh       NEO_TRIALS=200, NEO_SEED=1
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo-board-aarch64" ] || { echo "build first, with the cross compiler: scripts/build.sh" >&2; exit 1; }
exec python3 "$root/benchmarks/bars/emulated.py" "$@"
