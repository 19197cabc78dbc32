#!/usr/bin/env bash
# Five classifiers of each framework's zoo at full size, random weights, made by the framework itself; then scripts/corpus.sh
# compiles and runs each and compares with the framework's own outputs. Prints its table; exit code 1 on any miss.
#
#   scripts/zoo.sh [tf|torch|mxnet|xgboost...]    tf: keras.applications as .keras, .h5, SavedModel and TFLite
#
# Environments and models (about 7 GB) are kept below ${XDG_CACHE_HOME:-~/.cache}/neo; idempotent.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
models=${NEO_ZOO:-${XDG_CACHE_HOME:-$HOME/.cache}/neo/zoo}
kinds=("$@")
[ $# -gt 0 ] || kinds=(tf torch mxnet xgboost)
for kind in "${kinds[@]}"; do
  environment=$kind
  [ "$kind" = xgboost ] && environment=tf
  read -ra python <<< "$("$root/tests/tools/zoo/python.sh" "$environment")"
  "${python[@]}" "$root/tests/tools/zoo/zoo_$kind.py" "$models/$kind" > "$models.$kind.log" 2>&1 ||
    { tail -5 "$models.$kind.log" >&2; exit 1; }
done
exec "$root/scripts/corpus.sh" "${kinds[@]/#/$models/}"
