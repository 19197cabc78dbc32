#!/usr/bin/env bash
# Fuzzes readers and parsers with libFuzzer under the sanitizers, and prints a table. Exit code 1 if anything was found.
#
#   scripts/fuzz.sh [TARGET...] [--seconds N] [--corpus DIR]... [--jobs N] [--list]
#
# TARGET: rows of tests/fuzz/targets.cmake, default all; --seconds: of each, default 60; --corpus: folders of model files to
# start from, besides tests/data; --jobs: targets at once, default 1.
# Seeds and what covers new code are kept in build-fuzz/corpus/TARGET, so a later run goes on. A finding is written to
# build-fuzz/findings/TARGET; when it is fixed, copy it to tests/data/fuzz/TARGET/NAME-OF-THE-SYMPTOM: every
# build then replays it as the test fuzz/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; exit "$1"; }
seconds=60 jobs=1 list=0 targets=() corpora=(tests/data)
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=${2:?}; shift 2 ;;
    --corpus) corpora+=("${2:?}"); shift 2 ;;
    --jobs) jobs=${2:?}; shift 2 ;;
    --list) list=1; shift ;;
    -h | --help) usage 0 ;;
    -*) usage 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
mapfile -t known < <(sed -n '/^set(neo_fuzz_targets/,/)/p' tests/fuzz/targets.cmake | awk 'NR > 1 { print $1 }')
if [ $list -eq 1 ]; then printf '%s\n' "${known[@]}"; exit 0; fi
[ ${#targets[@]} -gt 0 ] || targets=("${known[@]}")
for target in "${targets[@]}"; do
  [[ " ${known[*]} " == *" $target "* ]] || { echo "fuzz.sh: no target '$target'; --list prints them" >&2; exit 2; }
done

build=build-fuzz
scripts/install-deps.sh
cmake --preset fuzz >"$build.log" 2>&1 || { mkdir -p $build; tail -20 "$build.log" >&2; exit 1; }
mv "$build.log" $build/configure.log
cmake --build --preset fuzz
python3 tests/tools/fuzz_seeds.py $build/seeds "${corpora[@]}"

# Wall time runs on while a machine is busy with other things: a timeout counts if the input needs as long once more.
confirm() {
  local target=$1 input
  for input in $build/findings/"$target"/timeout-*; do
    [ -f "$input" ] || continue
    if $build/bin/fuzz_"$target" -timeout=10 "$input" >>$build/logs/"$target" 2>&1; then
      rm "$input"
    fi
  done
  [ -z "$(find $build/findings/"$target" -type f ! -name 'slow-unit-*')" ]
}

# Every allocation and the process are bounded: a reader that takes memory out of proportion is a finding. malloc_limit_mb is what
# max_model_bytes of the targets allows (tests/fuzz/fuzz_model.h), and some.
fuzz_one() {
  local target=$1 limit_mb=192 rss_mb=640 result=0
  rm -rf $build/findings/"$target"
  mkdir -p $build/corpus/"$target" $build/findings/"$target" $build/seeds/"$target" $build/logs
  local dirs=($build/corpus/"$target" tests/data/fuzz/"$target" $build/seeds/"$target")
  ASAN_OPTIONS=allocator_may_return_null=1:quarantine_size_mb=16:detect_stack_use_after_return=0 \
  UBSAN_OPTIONS=print_stacktrace=1 \
    $build/bin/fuzz_"$target" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=$limit_mb -rss_limit_mb=$rss_mb \
    -max_len=262144 -reload=0 -print_final_stats=1 -artifact_prefix=$build/findings/"$target"/ "${dirs[@]}" \
    >$build/logs/"$target" 2>&1 || confirm "$target" || result=1
  rm -f $build/findings/"$target"/slow-unit-*
  return $result
}

row() {
  local target=$1 log=$build/logs/$1
  local runs rate covered kept found
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -1)
  covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  kept=$(find $build/corpus/"$target" -type f | wc -l)
  found=$(find $build/findings/"$target" -type f | head -1)
  printf '%-14s %9s %9s %9s %7s  %s\n' "$target" "${runs:--}" "${rate:--}" "${covered:--}" "$kept" "${found:-$2}"
}

export TMPDIR
TMPDIR=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/neo-fuzz.XXXXXX")
trap 'rm -rf "$TMPDIR"' EXIT
failed=0
printf '%-14s %9s %9s %9s %7s  %s\n' target runs 'runs/s' covered corpus found
for ((at = 0; at < ${#targets[@]}; at += jobs)); do
  pids=() batch=("${targets[@]:at:jobs}")
  for target in "${batch[@]}"; do
    fuzz_one "$target" &
    pids+=($!)
  done
  for i in "${!batch[@]}"; do
    result=0
    wait "${pids[$i]}" || result=1
    row "${batch[$i]}" "$([ $result -eq 0 ] && echo nothing || echo FAILED)"
    if [ $result -ne 0 ]; then
      failed=1
      grep -m1 -E 'ERROR|runtime error|assertion|deadly' $build/logs/"${batch[$i]}" || tail -3 $build/logs/"${batch[$i]}"
    fi
  done
done
exit $failed
