#!/usr/bin/env bash
# Converts benchmark models (benchmarks/export_models.sh makes them first) to TFLite, in an environment of its own, outside of the repository:
# ${XDG_CACHE_HOME:-~/.cache}/neo/venv-litert. About 3 GB the first time; idempotent.
#
#   benchmarks/litert_models.sh name...           model.tflite beside model.onnx, or litert.txt that says why not
#   benchmarks/litert_models.sh --python          prints the environment's python
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/neo
venv=${NEO_LITERT_VENV:-$cache/venv-litert}
models=${NEO_BENCHMARK_MODELS:-$cache/benchmark-models}
if ! cmp -s "$here/requirements-litert.txt" "$venv/.requirements"; then
  echo "litert_models.sh: installing LiteRT and its converter (pinned) in $venv" >&2
  mkdir -p "$cache"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements-litert.txt" >&2
  cp "$here/requirements-litert.txt" "$venv/.requirements"
fi
if [ "${1:-}" = --python ]; then
  echo "$venv/bin/python"
  exit
fi
for name in "$@"; do # a process each: converting takes gigabytes
  [ -e "$models/$name/model.tflite" ] || [ -e "$models/$name/litert.txt" ] ||
    "$venv/bin/python" "$here/torch_cpu.py" "$here/litert_convert.py" "$models" "$name" >&2
done
