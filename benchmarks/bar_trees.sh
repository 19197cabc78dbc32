#!/usr/bin/env bash
# trees: one row against tl2cgen's code, 10,000 rows against xgboost's inplace_predict, one thread.
#
#   benchmarks/bar_trees.sh    NEO_PAIRS=30
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
venv=${XDG_CACHE_HOME:-$HOME/.cache}/neo/venv-trees
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check xgboost==3.2.0 tl2cgen==1.0.0 treelite==4.8.1 numpy==2.4.6 scipy==1.17.1
fi
exec "$venv/bin/python" "$root/benchmarks/bars/trees.py" "$@"
