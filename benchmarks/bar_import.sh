#!/usr/bin/env bash
# Reading a model of 100 MB, per format: below 1 s and 2.2 times its size in memory. Adds rows to results/import.csv.
#
#   benchmarks/bar_import.sh           the models are made once by the frameworks: tests/tools/zoo
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
models=${XDG_CACHE_HOME:-$HOME/.cache}/neo/zoo-big
for kind in tf torch mxnet; do
  read -ra python <<< "$("$root/tests/tools/zoo/python.sh" "$kind")"
  "${python[@]}" "$root/tests/tools/zoo/zoo_$kind.py" "$models" big > "$models.$kind.log" 2>&1 ||
    { tail -5 "$models.$kind.log" >&2; exit 1; }
done
exec "$("$root/tests/tools/venv.sh")" "$root/benchmarks/bars/import_models.py" "$models"
