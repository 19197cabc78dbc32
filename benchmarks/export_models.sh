#!/usr/bin/env bash
# Makes the models that the peers' benchmark compares on (benchmarks/export_models.py), in an environment of their own, outside of the
# repository: ${XDG_CACHE_HOME:-~/.cache}/neo/{venv-benchmarks,benchmark-models}. About 4 GB the first time; idempotent.
#
#   benchmarks/export_models.sh [name...]         prints the folder of the models
#   benchmarks/export_models.sh --python          prints the environment's python
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/neo
venv=${NEO_BENCHMARK_VENV:-$cache/venv-benchmarks}
models=${NEO_BENCHMARK_MODELS:-$cache/benchmark-models}
if ! cmp -s "$here/requirements-models.txt" "$venv/.requirements"; then
  echo "export_models.sh: installing torch, torchvision, transformers, onnxruntime and openvino (pinned) in $venv" >&2
  mkdir -p "$cache"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements-models.txt" >&2
  cp "$here/requirements-models.txt" "$venv/.requirements"
fi
if [ "${1:-}" = --python ]; then
  echo "$venv/bin/python"
  exit
fi
mkdir -p "$models"
"$venv/bin/python" "$here/torch_cpu.py" "$here/export_models.py" "$models" "$@" >&2
echo "$models"
