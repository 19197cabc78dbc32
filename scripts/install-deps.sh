#!/usr/bin/env bash
# Installs the Debian 12 packages that Neo is built, tested and benchmarked with.
#
#   scripts/install-deps.sh          install what is missing (root, or through sudo)
#   scripts/install-deps.sh --check  only say what is missing; exit 1 if anything is
#
# Idempotent: with nothing missing it asks apt for nothing and needs no network.
#
# Besides packages: the sources of mbedTLS, from Debian's source package, in /usr/src/mbedtls. The agents for boards of other
# processors and for Windows are built with them (rpc/mbedtls.cmake); without them those agents have no TLS, and that is all. They are
# fetched anew when the library has become another version than they are, as when Debian mended it. NEO_MBEDTLS: another folder.
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
  clang-19 libclang-rt-19-dev libomp-19-dev clang-format pmccabe            # gates, fuzzing, the other compiler of codegen/c; with lld the agent for Hexagon
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user   # neo-board for other architectures, and tests that emulate it
  gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
  gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
  gcc-mingw-w64-x86-64-win32 mingw-w64-x86-64-dev wine64  # libneo_rt for Windows, and tests that run it
  gcc-i686-linux-gnu libc6-dev-i386-cross  # a 32-bit compiler of codegen/c
  musl-tools                               # the static neo-board-x86_64, below 1 MB
  spin                                     # checks the model of sessions and leases
  python3 python3-venv                     # gates, quickstart, benchmarks
)

sources=${NEO_MBEDTLS:-/usr/src/mbedtls}

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done

library_version() { dpkg-query -W -f '${source:Version}' libmbedtls-dev 2>/dev/null || true; }

# Which sources there are: "", or Debian's version; of those that an older script left only the part before "-".
sources_version() {
  [ -e "$sources/library/ssl_tls.c" ] || return 0
  cat "$sources/debian-version" 2>/dev/null ||
    sed -n 's/^#define MBEDTLS_VERSION_STRING  *"\(.*\)".*/\1/p' "$sources/include/mbedtls/version.h"
}

# Are there any, and the library's own?
sources_current() {
  local have want
  have=$(sources_version)
  want=$(library_version)
  [ -n "$have" ] && { [ -z "$want" ] || [ "$have" = "$want" ] || { [ ! -e "$sources/debian-version" ] && [ "$have" = "${want%-*}" ]; }; }
}

if [ ${#missing[@]} -eq 0 ] && sources_current; then
  echo "dependencies: all ${#packages[@]} packages are installed"
  exit 0
fi
[ ${#missing[@]} -eq 0 ] || echo "dependencies: missing: ${missing[*]}"
sources_current || echo "dependencies: missing: mbedTLS's sources in $sources (there: $(sources_version); wanted: $(library_version))"
[ "${1:-}" != --check ] || exit 1

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    [ ${#missing[@]} -gt 0 ] || exit 0
    echo "dependencies: neither root nor sudo here; as root run:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

install_packages() {
  # A failed update is no failure yet: the packages may be in a local mirror or cache.
  apt update || echo "dependencies: apt-get update failed (offline?); trying with what apt knows" >&2
  if ! apt install -y --no-install-recommends "${missing[@]}"; then
    echo "dependencies: could not install: ${missing[*]}" >&2
    echo "dependencies: the network, or a Debian 12 mirror in /etc/apt/sources.list, is needed once" >&2
    exit 1
  fi
  echo "dependencies: installed ${#missing[@]} packages"
}

# The machine's own mirrors, asked for sources: with lists of their own, so that apt's configuration stays as it is.
fetch_sources() {
  local work=$1 file version
  mkdir -p "$work/parts" "$work/lists/partial"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$file" ] || sed -n 's/^deb /deb-src /p' "$file" >> "$work/parts/sources.list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" > "$work/parts/${file##*/}"
  done
  version=$(library_version)
  apt=(env -C "$work" apt-get -q -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/parts"
       -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User= -o Acquire::Retries=1 -o Acquire::http::Timeout=20)
  "${apt[@]}" update || true
  "${apt[@]}" source "mbedtls=$version" || return 1
  file=$(echo "$work"/mbedtls-*/library)
  [ -e "$file/ssl_tls.c" ] || return 1
  echo "$version" > "$work/debian-version"
  "${as_root[@]}" rm -rf "$sources.part"
  "${as_root[@]}" mkdir -p "$sources.part"
  "${as_root[@]}" cp -r "${file%/library}/include" "${file%/library}/LICENSE" "$file" "$work/debian-version" "$sources.part/" || return 1
  "${as_root[@]}" rm -rf "$sources"
  "${as_root[@]}" mv "$sources.part" "$sources" # whole or not at all
  echo "dependencies: mbedTLS's sources are in $sources"
}

[ ${#missing[@]} -eq 0 ] || install_packages
if ! sources_current; then
  work=$(mktemp -d)
  if ! fetch_sources "$work" </dev/null && [ -n "$(sources_version)" ]; then
    echo "dependencies: mbedTLS's sources stay those of $(sources_version): agents for boards have an older TLS than this machine" >&2
  elif [ -z "$(sources_version)" ]; then
    echo "dependencies: no sources of mbedTLS: agents for boards will have no TLS" >&2
  fi
  rm -rf "$work"
fi
