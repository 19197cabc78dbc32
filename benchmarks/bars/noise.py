"""Does the search find the same winner on a noisy machine?

usage: noise.py [TE...]        default: two of benchmarks/kernels
       NEO_REPEATS=10, NEO_TRIALS=64 (each), NEO_PAIRS=30, NEO_RUN=label

A second process burns a core (unless NEO_BURN=0) while the same search runs NEO_REPEATS times from nothing. Bar: each winner is the first one's schedule, or
the confidence interval of its interleaved ratio to it contains 1. The same with simulated times, where all winners must be equal. One row
of results/noise.csv per operator and measurer.
"""
import os
import shlex
import subprocess
import sys

import common
from common import say


def winner(path, trials, measurer):
    argv = [common.bench_operator(), "--measure", measurer, "--trials", str(trials), "--tune", "3600", path]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().split("\t")[3]


def compare(path, a, b, pairs):
    def worker(line):
        return shlex.join([common.bench_operator(), "--line", line, "--serve", path])
    return common.pair(worker(a), worker(b), pairs)


def measure(path, measurer, repeats, trials, pairs):
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if os.environ.get("NEO_BURN") != "0" else None
    try:
        lines = [winner(path, trials, measurer) for _ in range(repeats)]
    finally:
        if burner:
            burner.kill()
            burner.wait()
    ratios, good = [], True
    for line in sorted(set(lines[1:]) - {lines[0]}):
        result = compare(path, line, lines[0], pairs)
        ratios.append(common.ratio_text(result))
        good = good and measurer == "local" and result["ratio_low"] <= 1 <= result["ratio_high"]
    return {"operator": os.path.basename(path), "measurer": measurer, "repeats": repeats, "trials": trials,
            "winners": len(set(lines)), "same": lines.count(lines[0]), "ratios": " ".join(ratios), "bar": common.verdict(good)}


def main():
    names = sys.argv[1:] or [os.path.join(common.ROOT, "benchmarks", "kernels", name + ".te") for name in ("conv3x3_56_64", "gemm_512")]
    repeats, trials, pairs = (int(os.environ.get(name, default)) for name, default in
                              (("NEO_REPEATS", "10"), ("NEO_TRIALS", "64"), ("NEO_PAIRS", "30")))
    label = common.run_label()
    for path in names:
        for measurer in ("local", "simulated:"):
            found = common.rows_of_run("noise", label, operator=os.path.basename(path), measurer=measurer, repeats=repeats, trials=trials)
            row = found[0] if found else {"run": label, **measure(path, measurer, repeats, trials, pairs)}
            if not found:
                common.append("noise", row)
            say(f"{row['operator']}, {measurer}: {row['same']} of {repeats} runs end with the first one's schedule, {row['winners']} winners; "
                f"ratios to the first {row['ratios'] or '-'}: {row['bar']}")


main()
