#!/usr/bin/env bash
# Fetches what CUDA kernels are compiled with: NVRTC, and ptxas, which only a test uses. No GPU and no driver is needed.
#
# usage: scripts/nvrtc.sh [DIR]    DIR: default ${XDG_CACHE_HOME:-~/.cache}/neo/nvrtc
#
# PyPI's wheels are Nvidia's, under its licence for CUDA; nothing of them becomes a part of Neo or, but for the code that the
# compiler makes, of an artifact. Idempotent. The libraries are linked into build/lib, where the programs look for them.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/neo/nvrtc}
packages=(nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cuda-nvcc-cu12==12.9.86)
if [ ! -s "$dir/done" ]; then
  mkdir -p "$dir"
  python3 -m venv "$dir/venv" # Debian's python3 alone has no pip
  "$dir/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$dir" "${packages[@]}" ||
    { echo "nvrtc.sh: cannot download ${packages[*]} (offline?)" >&2; exit 6; }
  for wheel in "$dir"/*.whl; do
    python3 -m zipfile -e "$wheel" "$dir"
    rm "$wheel"
  done
  rm -rf "$dir/venv"
  chmod +x "$dir/nvidia/cuda_nvcc/bin/ptxas"
  echo "${packages[*]}" > "$dir/done"
fi
mkdir -p "$root/build/lib"
ln -sf "$dir"/nvidia/cuda_nvrtc/lib/libnvrtc*.so* "$dir/nvidia/cuda_nvcc/bin/ptxas" "$root/build/lib/"
echo "nvrtc: $(cat "$dir/done")"
