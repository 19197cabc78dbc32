#!/usr/bin/env bash
# Installs the libraries of requirements-operators.txt outside of the repository, below ${XDG_CACHE_HOME:-~/.cache}/neo/venv-operators,
# and compiles the workers of benchmarks/peers/ against them. Idempotent; prints the folder of the workers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${NEO_OPERATORS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/neo/venv-operators}
if ! cmp -s "$here/requirements-operators.txt" "$venv/.requirements"; then
  mkdir -p "$(dirname "$venv")"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/requirements-operators.txt" >&2
  cp "$here/requirements-operators.txt" "$venv/.requirements"
fi
blas=$(echo "$venv"/lib/python3*/site-packages/scipy_openblas32)
[ "$venv/dnnl_worker" -nt "$here/peers/dnnl_worker.c" ] ||
  cc -O2 -std=gnu17 -I "$venv/include" "$here/peers/dnnl_worker.c" -o "$venv/dnnl_worker" "$venv/lib/libdnnl.so.3" -Wl,-rpath,"$venv/lib"
[ "$venv/blas_worker" -nt "$here/peers/blas_worker.c" ] ||
  cc -O2 -std=gnu17 -I "$blas/include" "$here/peers/blas_worker.c" -o "$venv/blas_worker" "$blas/lib/libscipy_openblas.so" -Wl,-rpath,"$blas/lib"
echo "$venv"
