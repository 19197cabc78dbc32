#!/usr/bin/env bash
# Every model that must run: state, error, latency against onnxruntime; exits 1 if one is not ok.
#
#   benchmarks/bar_models.sh [NAME...]   NEO_THREADS=1 NEO_PAIRS=10 (0: no timing)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
python=$("$root/tests/tools/venv.sh")   # onnxruntime and numpy, pinned
exec "$python" "$root/benchmarks/bars/models.py" "$@"
