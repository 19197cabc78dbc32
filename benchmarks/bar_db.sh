#!/usr/bin/env bash
# Lookup latency in a tuning database of 1,000,000 records.
#
#   benchmarks/bar_db.sh [RECORDS] [LOOKUPS]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "${NEO_BIN:-$root/build/bin}/neo" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
python=python3
exec "$python" "$root/benchmarks/bars/db.py" "$@"
