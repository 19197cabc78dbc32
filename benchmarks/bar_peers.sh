#!/usr/bin/env bash
# Every benchmark model against onnxruntime and OpenVINO (f32), interleaved in one run.
#
#   benchmarks/bar_peers.sh [MODEL...]     NEO_THREADS=1 NEO_BUDGET=0 (seconds of tuning; 0: an empty database) NEO_PAIRS=20
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
python=$("$root/benchmarks/export_models.sh" --python)
exec "$python" "$root/benchmarks/bars/peers.py" "$@"
