#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test; ends with ctest's summary.
#
#   scripts/test.sh [PRESET]    release (default), asan-ubsan, tsan or coverage; see CMakePresets.json
#
# The gates (layers, complexity, format, ...) are tests of the release preset.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
scripts/build.sh "$preset"
# For the tests that compile CUDA, into build/lib of the release preset; without it they are skipped.
[ "$preset" != release ] || scripts/nvrtc.sh || echo "test.sh: no NVRTC: tests of CUDA kernels will be skipped" >&2
ctest --preset "$preset" </dev/null
