#!/usr/bin/env bash
# Installs the Debian 12 packages that Neo is built, tested and benchmarked with.
#
#   scripts/install-deps.sh          install what is missing (root, or through sudo)
#   scripts/install-deps.sh --check  only say what is missing; exit 1 if anything is
#
# Idempotent: with nothing missing it asks apt for nothing and needs no network.
set -euo pipefail

packages=(
  build-essential cmake ninja-build pkg-config git ca-certificates
  llvm-19-dev lld-19                       # code generation, in process
  libxgboost-dev                           # the search's cost model
  libhwloc-dev libsqlite3-dev libjansson-dev
  libprotobuf-c-dev protobuf-c-compiler    # the ONNX reader
  libhdf5-dev                              # Keras weights
  libarchive-dev                           # models in a .tar.gz
  libzip-dev                               # PyTorch and Keras archives
  libturbojpeg0-dev libpng-dev libtiff-dev libwebp-dev libopenjp2-7-dev   # pictures inside of models
  libmbedtls-dev                           # TLS of boards over a network
  libcmocka-dev                            # tests
  libopenblas0-pthread                     # a baseline, loaded at run time
  pocl-opencl-icd ocl-icd-libopencl1        # OpenCL on this processor, to run kernels for GPUs on; loaded at run time
  clang-19 libclang-rt-19-dev libomp-19-dev clang-format pmccabe            # gates, fuzzing, the other compiler of codegen/c
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user   # neo-board for other architectures, and tests that emulate it
  gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
  gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
  gcc-mingw-w64-x86-64-win32 mingw-w64-x86-64-dev wine64  # libneo_rt for Windows, and tests that run it
  gcc-i686-linux-gnu libc6-dev-i386-cross  # a 32-bit compiler of codegen/c
  musl-tools                               # the static neo-board-x86_64, below 1 MB
  spin                                     # checks the model of sessions and leases
  python3 python3-venv                     # gates, quickstart, benchmarks
)

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
  echo "dependencies: all ${#packages[@]} packages are installed"
  exit 0
fi
echo "dependencies: missing: ${missing[*]}"
[ "${1:-}" != --check ] || exit 1

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "dependencies: neither root nor sudo here; as root run:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# A failed update is no failure yet: the packages may be in a local mirror or cache.
apt update || echo "dependencies: apt-get update failed (offline?); trying with what apt knows" >&2
if ! apt install -y --no-install-recommends "${missing[@]}"; then
  echo "dependencies: could not install: ${missing[*]}" >&2
  echo "dependencies: the network, or a Debian 12 mirror in /etc/apt/sources.list, is needed once" >&2
  exit 1
fi
echo "dependencies: installed ${#missing[@]} packages"
