#!/usr/bin/env bash
# resnet50: latency against onnxruntime untuned and tuned, trials/s, compile time, memory.
#
#   benchmarks/bar_resnet50.sh [THREADS]   NEO_BUDGET=10m NEO_PAIRS=40 NEO_KEEP=1
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
python=$("$root/tests/tools/venv.sh")   # onnxruntime and numpy, pinned
exec "$python" "$root/benchmarks/bars/resnet50.py" "$@"
