#!/usr/bin/env bash
# Whole models on emulated processors: compiles mnist, an XGBoost model, mobilenet_v2 and resnet18 (reduced) and the
# PP-OCR classifier for nine targets, runs each under qemu with neo-run and compares with what the framework stored.
#
#   scripts/cross.sh        a line for each model and target; exit code 1 if any is wrong or missing
#
# Needs a build (scripts/build.sh). The classifier is fetched from PyPI once (scripts/models.sh ocr_cls).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/neo/models
scripts/models.sh "$cache" ocr_cls >/dev/null
exec env PYTHONDONTWRITEBYTECODE=1 python3 tests/cli/cross_models.py build/bin . --all
