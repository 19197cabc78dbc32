#!/usr/bin/env bash
# Prints the command line of a python that has a framework: tf (with keras and xgboost), mxnet or torch. Made if need be,
# outside of the repository: below ${XDG_CACHE_HOME:-~/.cache}/neo. tf takes 2 GB, torch is benchmarks/export_models.sh's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
if [ "$1" = torch ]; then
  echo "$("$root/benchmarks/export_models.sh" --python) $root/benchmarks/torch_cpu.py"
  exit
fi
requirements=$here/requirements-$1.txt
venv=${XDG_CACHE_HOME:-$HOME/.cache}/neo/venv-zoo-$1
[ -s "$requirements" ] || { echo "python.sh: tf, mxnet or torch, not $1" >&2; exit 2; }
if ! cmp -s "$requirements" "$venv/.requirements"; then
  mkdir -p "$(dirname "$venv")"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements" >&2
  cp "$requirements" "$venv/.requirements"
fi
echo "$venv/bin/python"
