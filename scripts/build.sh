#!/usr/bin/env bash
# Builds Neo: installs what is missing, then leaves neo, neo-tune and neo-board in build/bin/.
#
#   scripts/build.sh [PRESET]   release (default), asan-ubsan, tsan, coverage or fuzz; see CMakePresets.json
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
scripts/install-deps.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
[ "$preset" != release ] || echo "programs: $(echo build/bin/*)"
