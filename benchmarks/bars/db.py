"""Lookups in a tuning database of a million records: benchmarks/bench_db's figures as a row of results.

usage: db.py [RECORDS] [LOOKUPS]
"""
import json
import os
import subprocess
import sys
import tempfile

import common
from common import say


def main():
    program = os.path.join(os.path.dirname(common.BIN), "benchmarks", "bench_db")
    records, lookups = (sys.argv[1:] + ["1000000", "100000"][len(sys.argv) - 1:])[:2]
    with tempfile.TemporaryDirectory(dir=common.CACHE) as work:
        found = json.loads(subprocess.run([program, records, lookups, os.path.join(work, "bench.db")], check=True, stdout=subprocess.PIPE, text=True).stdout)
    say(f"{found['records']} records, {found['lookups']} lookups: p50 {found['p50_us']:.1f} us, p99 {found['p99_us']:.1f} us, max {found['max_us']:.1f} us, "
        f"bar p99 < 1000 us: {common.verdict(found['p99_us'] < 1000)}; filled in {found['fill_s']:.1f} s, opened in {found['open_ms']:.2f} ms")
    say("row added to " + os.path.relpath(common.append("db", found)))


main()
