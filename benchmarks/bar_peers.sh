#!/usr/bin/env bash
# Shows: every benchmark model against onnxruntime, OpenVINO (f32) and LiteRT, interleaved in one run; outputs compared with the reference.
# Bars (time against the best peer's): tuned for at most 600 s: none above 0.97, geometric mean 0.70, resnet18 0.60, vgg16 0.40, resnet50
# 0.80, mobilenet_v2 0.85, mobilenet_v3_small and efficientnet_b0 0.75; with an empty database: geometric mean 0.90, none above 1.2; a row
# tuned anew (NEO_RETUNE=1) within 5 %. Takes 15 minutes per number of threads, and the tuning.
#
#   benchmarks/bar_peers.sh [MODEL...]     NEO_THREADS="1 2" NEO_BUDGET="0 600" (seconds of tuning; 0: an empty database) NEO_PAIRS=20
#                                          NEO_RUN=label (default: today; rows that the run has are not measured again) NEO_RETUNE=1
#                                          NEO_LITERT=0 (leaves LiteRT out: its converter is another 3 GB)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
python=$("$root/benchmarks/export_models.sh" --python)
if [ "${NEO_LITERT:-1}" = 1 ]; then
  NEO_LITERT_PYTHON=$("$root/benchmarks/litert_models.sh" --python)
  export NEO_LITERT_PYTHON
fi
exec "$python" "$root/benchmarks/bars/peers.py" "$@"
