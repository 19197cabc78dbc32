#!/usr/bin/env bash
# Memory of neo-tune over 20,000 simulated trials.
#
#   benchmarks/bar_rss.sh [MODEL.onnx]   NEO_TRIALS=20000
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
python=$("$root/tests/tools/venv.sh")   # onnxruntime and numpy, pinned
exec "$python" "$root/benchmarks/bars/rss.py" "$@"
