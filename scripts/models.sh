#!/usr/bin/env bash
# Fetches or makes the models that are too big to commit, with inputs and reference outputs:
#   ocr_{det,rec,cls}: PP-OCRv4 from the PyPI package rapidocr-onnxruntime 1.4.4 (hash-checked)
#   resnet50 densenet121 inception_v1 inception_v2 shufflenet squeezenet vgg19 zfnet512 bvlc_alexnet: the
#   onnx wheel's light models with seeded random weights, reference by onnxruntime
# usage: scripts/models.sh [DIR [name...]]    DIR: default ${XDG_CACHE_HOME:-~/.cache}/neo/models
# Idempotent; prints DIR/<name>/model.onnx, one a line at the end.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/neo/models}
shift || true
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  names=(ocr_det ocr_rec ocr_cls resnet50 densenet121 inception_v1 inception_v2 shufflenet squeezenet
         vgg19 zfnet512 bvlc_alexnet)
fi
mkdir -p "$dir"

ocr_wheel=rapidocr-onnxruntime==1.4.4
ocr_hash=971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf

fetch_ocr() { # one of det rec cls
  local out=$dir/ocr_$1 tmp
  [ -s "$out/model.onnx" ] && return
  tmp=$(mktemp -d "$dir/.ocr.XXXXXX")
  if [ ! -s "$dir/rapidocr.whl" ]; then
    echo "$ocr_wheel --hash=sha256:$ocr_hash" > "$tmp/requirements.txt"
    python3 -m venv "$tmp/venv" # Debian's python3 alone has no pip
    "$tmp/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --require-hashes \
      -d "$tmp" -r "$tmp/requirements.txt" ||
      { rm -rf "$tmp"; echo "models.sh: cannot download $ocr_wheel (offline?)" >&2; exit 6; }
    mv "$tmp"/*.whl "$dir/rapidocr.whl"
  fi
  echo "$ocr_hash  $dir/rapidocr.whl" | sha256sum --check --quiet
  mkdir -p "$out"
  python3 - "$dir/rapidocr.whl" "$1" "$tmp/model.onnx" <<'PY'
import sys, zipfile
names = {"det": "ch_PP-OCRv4_det_infer.onnx", "rec": "ch_PP-OCRv4_rec_infer.onnx",
         "cls": "ch_ppocr_mobile_v2.0_cls_infer.onnx"}
with zipfile.ZipFile(sys.argv[1]) as wheel, open(sys.argv[3], "wb") as out:
    out.write(wheel.read("rapidocr_onnxruntime/models/" + names[sys.argv[2]]))
PY
  mv "$tmp/model.onnx" "$out/model.onnx"
  for file in "$root/tests/data/ocr_$1"/*; do
    [ -e "$file" ] && cp -f "$file" "$out/"
  done
  rm -rf "$tmp"
}

light=()
for name in "${names[@]}"; do
  case $name in
    ocr_det|ocr_rec|ocr_cls) fetch_ocr "${name#ocr_}" ;;
    *) [ -s "$dir/$name/meta.json" ] || light+=("$name") ;;
  esac
done
if [ ${#light[@]} -gt 0 ]; then
  python=$("$root/tests/tools/venv.sh")
  "$python" "$root/tests/tools/light_models.py" "$dir" "${light[@]}" >&2
fi
for name in "${names[@]}"; do
  echo "$dir/$name/model.onnx"
done
