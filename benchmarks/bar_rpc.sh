#!/usr/bin/env bash
# Shows: trials a second through a board over loopback with TLS, beside the local measurer's. Bars: at least 50 trials/s of trivial kernels
# and 80 % of the local measurer's rate on real ones. Counted are candidates that ran; equal code that need not run does not count.
# Rows go to results/rpc.csv. Takes NEO_ROUNDS (2) x 2 x 4 x NEO_SECONDS (4). Both measure on the first core and build on the last, as the local measurer does by itself.
#
#   benchmarks/bar_rpc.sh          NEO_BIN=build/bin
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${NEO_BIN:-$root/build/bin}
bench=$bin/../benchmarks/bench_operator
[ -x "$bench" ] && [ -x "$bin/neo-board" ] || { echo "build first: scripts/build.sh" >&2; exit 1; }
seconds=${NEO_SECONDS:-4} rounds=${NEO_ROUNDS:-2} port=${NEO_PORT:-9199}
dir=$(mktemp -d)
board=
cleanup() { [ -z "$board" ] || kill "$board" 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT
(umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/key"; echo >>"$dir/key")
last=$(($(nproc) - 1))

rate() { # te, measurer and its prefix: candidates that ran, a second from the first result on
  local te=$1 url=$2
  shift 2
  "$@" "$bench" --tune "$seconds" --trace --row-major --measure "$url" "$te" |
    awk -F '\t' '/^trial/ { if (!first) first = $3; last = $3; if ($5 == "ok" || $5 == "raced") n++ }
         END { print (n > 1 && last > first ? (n - 1) / (last - first) : 0) }'
}

remote() {
  "$bin/neo-board" --connect "127.0.0.1:$port" --name loopback --key-file "$dir/key" --cpus 0 --back-off 20 --quiet --once &
  board=$!
  rate "$1" "rpc://127.0.0.1:$port?key-file=$dir/key&wait=20" taskset -c "$last"
  kill "$board" 2>/dev/null || true
  board=
}

printf '%-20s %12s %12s %8s\n' kernel 'local [1/s]' 'rpc [1/s]' ratio
for te in tests/data/te/conv_relu benchmarks/kernels/conv1x1_56_64_256 benchmarks/kernels/conv3x3_56_64 benchmarks/kernels/gemm_512; do
  for ((r = 0; r < rounds; r++)); do
    echo "$(rate "$root/$te.te" local) $(remote "$root/$te.te")"
  done | awk -v name="$(basename $te)" '
    { l += $1; r += $2 } END { printf "%-20s %12.1f %12.1f %8.2f\n", name, l / NR, r / NR, l ? r / l : 0 }'
done | tee "$dir/table"
results=$root/benchmarks/results/rpc.csv
[ -e "$results" ] || echo "date,commit,kernel,local_per_s,rpc_per_s,ratio" >"$results"
awk -v stamp="$(date -u +%FT%TZ),$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)" '{ print stamp "," $1 "," $2 "," $3 "," $4 }' "$dir/table" >>"$results"
awk 'NR == 1 { trivial = $3 } NR > 1 { l += log($4); n++ }
  END { ratio = exp(l / n); good = trivial >= 50 && ratio >= 0.8
        printf "trivial kernels: %.0f trials/s (bar 50); real ones: %.2f of the local rate (bar 0.80): %s\n", trivial, ratio, good ? "held" : "MISSED"
        exit !good }' "$dir/table"
