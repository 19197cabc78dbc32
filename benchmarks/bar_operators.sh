#!/usr/bin/env bash
# Shows: single operators, one thread, against oneDNN and OpenBLAS from PyPI, interleaved: every distinct convolution of ResNet-50, every
# depthwise and pointwise layer of MobileNetV2, matrix products of 256 to 2048 and of BERT and ViT, one fully connected layer.
# Bars (speed: the peer's time over ours): every layer 0.97, geometric mean 1.2, summed time 0.75 (ResNet-50) and 0.80 (MobileNetV2) of
# oneDNN's, 3x3 of 64 to 256 channels 2.2, of 7x7x512 1.6, depthwise 1.4; products 1.05 of OpenBLAS, none below 1.
# Takes 8 minutes, and the tuning.
#
#   benchmarks/bar_operators.sh [TEXT...]    layers whose name contains a TEXT; NEO_BUDGET=0 (seconds of tuning a layer) NEO_PAIRS=15
#                                            NEO_RUN=label (default: today; rows that the run has are not measured again)
#                                            NEO_TORCH=0 (leaves the newer oneDNN inside of torch out: 4 GB of packages)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/../benchmarks/bench_operator" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
if [ "${NEO_TORCH:-1}" = 1 ]; then
  NEO_TORCH_PYTHON=$("$root/benchmarks/export_models.sh" --python)
  export NEO_TORCH_PYTHON
fi
exec python3 "$root/benchmarks/bars/operators.py" "$@"
