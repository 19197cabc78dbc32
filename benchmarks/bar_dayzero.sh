#!/usr/bin/env bash
# Shows: with an empty database, layers with every dim one more and one less (55x57, 63 or 65 channels) keep their speed.
# Bar: no neighbour below 0.85 of the layer's GFLOP/s. One row per layer of ResNet-50 and MobileNetV2 and per matrix product.
# Takes 3 minutes.
#
#   benchmarks/bar_dayzero.sh [TEXT...]      layers whose name contains a TEXT; NEO_ROUNDS=11, NEO_RUN=label (default: today; rows that the
#                                            run has are not measured again)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/../benchmarks/bench_operator" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
exec python3 "$root/benchmarks/bars/dayzero.py" "$@"
