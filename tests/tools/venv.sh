#!/usr/bin/env bash
# Prints the python of a virtual environment with the pinned packages of requirements.txt, making it if
# need be, outside of the repository: $NEO_VENV, else below ${XDG_CACHE_HOME:-~/.cache}/neo.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${NEO_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/neo/venv-tests}
stamp=$venv/.requirements
if ! cmp -s "$here/requirements.txt" "$stamp"; then
  mkdir -p "$(dirname "$venv")"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r "$here/requirements.txt" >&2
  cp "$here/requirements.txt" "$stamp"
fi
echo "$venv/bin/python"
