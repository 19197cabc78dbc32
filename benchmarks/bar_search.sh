#!/usr/bin/env bash
# Shows: search quality on single operators: the first trial, and the best of 5 and of 20, as shares of the better of (best of all, best peer).
# Bars, medians over the operators: 0.90, 0.95, 0.98. One row per layer of ResNet-50 and MobileNetV2, matrix product and te of benchmarks/kernels.
# Takes about 30 s per operator and 1,000 trials.
#
#   benchmarks/bar_search.sh [TEXT...]       operators whose name contains a TEXT; NEO_TRIALS=1000, NEO_THREADS=1, NEO_PEERS=results/operators.csv
#                                            (the libraries' times), NEO_RUN=label (default: today; rows that the run has are not measured again)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/../benchmarks/bench_operator" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
exec python3 "$root/benchmarks/bars/search.py" "$@"
