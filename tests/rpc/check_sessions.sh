#!/usr/bin/env bash
# Checks the model of sessions and leases (tests/rpc/sessions.pml) with spin: assertions and deadlocks over all
# states, and that every job comes to its end under weak fairness.
#
#   check_sessions.sh [CC]     exit 77: spin is not installed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || { echo "skipped: spin is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cc=${1:-cc}

# pan's verdict on the file given: assertions and deadlocks, then liveness.
check() { # model
  spin -a "$1" >/dev/null
  "$cc" -O2 -w -DSAFETY -DNOCLAIM -DCOLLAPSE -DMEMLIM=2000 -o safety pan.c
  "$cc" -O2 -w -DCOLLAPSE -DNFAIR=4 -DMEMLIM=2000 -o live pan.c
  ./safety -m400000 >report 2>&1
  grep -q 'errors: 0' report || return 1
  ./live -a -f -m400000 -N every_job_ends >report 2>&1
  grep -q 'errors: 0' report && ! grep -q 'depth too small\|out of memory\|error:' report
}

if ! check "$here/sessions.pml"; then
  echo "sessions.pml: FAILED"
  cat report
  cp "$here/sessions.pml" .
  [ ! -f sessions.pml.trail ] || spin -t -p -g sessions.pml | tail -80
  exit 1
fi
echo "sessions.pml: $(grep -o '[0-9.e+]* states, stored' report | head -1), errors: 0"

# The model with one rule broken: that must be seen, or the check checks nothing.
broken() { # which rule, sed expression
  sed "$2" "$here/sessions.pml" >mutant.pml
  cmp -s mutant.pml "$here/sessions.pml" && { echo "$1: the rule is not in the model any more"; exit 1; }
  sed -i 's/CUTS 3/CUTS 2/' mutant.pml
  if check mutant.pml; then
    echo "$1: broken, and not noticed"
    exit 1
  fi
  echo "without '$1': noticed"
}
broken "only the id under way is committed" 's/:: job != 0 \&\& id == job ->/:: job != 0 ->/'
broken "a held result is sent again" 's/:: id == held -> up ! RESULT, id, e/:: id == held -> skip/'
broken "a lost state ends the lease" 's/:: id != seat_boot || job == 0 -> job = 0/:: false -> job = 0/'
broken "a running job is not started again" 's/:: id == running -> skip/:: id == running -> assert(false)/'
broken "a cancelled job frees its board" 's/cancelled = 0; fit = true :: else/skip :: else/'
