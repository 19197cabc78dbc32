"""The machine's limits, measured by build/benchmarks/bench_limits: one row of results/limits.csv per number of threads.

usage: limits.py      NEO_THREADS="1 2", NEO_RUN=label
"""
import os
import subprocess

import common
from common import say

COLUMNS = {"fma f32": "fma_f32_gflops", "dot u8 s8": "dot_u8s8_gops", "dot bf16": "dot_bf16_gflops", "read L1": "l1_gbs", "read L2": "l2_gbs",
           "read L3": "l3_gbs", "read memory": "memory_gbs"}


def measure(threads):
    text = subprocess.run([os.path.join(os.path.dirname(common.bench_operator()), "bench_limits"), "--threads", str(threads)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    found = {name: (best, median) for name, best, median, _ in (line.split("\t") for line in text.splitlines())}
    row = {}
    for name, column in COLUMNS.items():
        row[column], row[column + "_median"] = found.get(name, ("", ""))
    return row


def main():
    label = common.run_label()
    done = {row["threads"]: row for row in common.rows_of_run("limits", label)}
    say(f"run {label}, on {common.machine()}")
    say(f"{'threads':8}" + "".join(f"{column:>17}" for column in COLUMNS.values()) + "   (best, of 15)")
    for threads in os.environ.get("NEO_THREADS", "1 2").split():
        if threads not in done:
            done[threads] = {"run": label, "threads": threads, **measure(threads)}
            common.append("limits", done[threads])
        say(f"{threads:8}" + "".join(f"{done[threads][column] or 'no such code':>17}" for column in COLUMNS.values()))


main()
