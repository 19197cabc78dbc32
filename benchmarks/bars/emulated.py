"""Whole tuning runs for an emulated processor (benchmarks/bar_emulated.sh). Costs are counts: nothing is timed.

What a run did not measure is in no sum: with 200 trials some light tasks get none. A task's start is its first trial, which
is the analytic pick. Naive: the same tasks by the nest that nothing was done to, counted alike. Dense: a constant of four dimensions with more than one input channel is read.
"""
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

import common

TARGET = "cortex-a72"
MODEL = os.path.join(common.ROOT, "tests", "data", "onnx", "mobilenet_v2_035_dynamo", "model.onnx")
TRIALS, SEED = os.environ.get("NEO_TRIALS", "200"), os.environ.get("NEO_SEED", "1")
GAIN, NAIVE, DENSE = 0.95, 0.5, 1.45


def tune(url, work, name):
    """Trials in order: task, text of its te, schedule, kind, cost, multiply-adds."""
    path = os.path.join(work, name + ".db")
    common.run([common.NEO_TUNE, MODEL, "--target", TARGET, "--measure", url, "--threads", "1", "--trials", TRIALS, "--seed", SEED,
                "--db", path, "--quiet"], os.path.join(work, name + ".log"))
    query = ("select w.name, w.text, t.schedule, t.kind, t.ns, t.fmas from trials t join workloads w on w.id = t.workload "
             "order by t.attempt")
    with sqlite3.connect(path) as db:
        return db.execute(query).fetchall()


def counts(work):
    """How often each task is in the model."""
    log = os.path.join(work, "compile.log")
    common.run([common.NEO, "compile", MODEL, "-o", os.path.join(work, "out"), "--db", "none", "--target", TARGET, "--threads", "1"], log)
    with open(log) as file:
        return {m[2]: int(m[1]) for m in re.finditer(r"^analytic +(\d+) +\S+ +\S+ +(\S+)", file.read(), re.M)}


def by_task(trials):
    tasks = {}
    for name, text, _, kind, cost, fmas in trials:
        if kind in ("ok", "duplicate") and cost > 0:
            first, best = tasks.get(name, (cost, cost, text, fmas))[:2]
            tasks[name] = (first, min(best, cost), text, fmas)
    return tasks


def naive(url, work, tasks):
    """The cost of each task by the naive nest."""
    paths = []
    for name, (_, _, text, _) in tasks.items():
        paths.append(os.path.join(work, re.sub(r"\W", "_", name) + ".te"))
        with open(paths[-1], "w") as file:
            file.write(text)
    argv = [common.bench_operator(), "--target", TARGET, "--measure", url, "--line", "naive", "--once", *paths]
    lines = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {name: float(line.split("\t")[0]) for name, line in zip(tasks, lines, strict=True)}


def is_dense(text):
    return any(int(channels) > 1 for channels in re.findall(r" const f32 \[\d+,(\d+),\d+,\d+\]", text))


def main():
    with tempfile.TemporaryDirectory() as work:
        times = counts(work)
        first = tune("emulated:aarch64", work, "first")
        same = first == tune("emulated:aarch64", work, "second")
        tasks = by_task(first)
        start = sum(times.get(n, 1) * t[0] for n, t in tasks.items())
        nest = sum(times.get(n, 1) * v for n, v in naive("emulated:aarch64", work, tasks).items())
        end = sum(times.get(n, 1) * t[1] for n, t in tasks.items())
        dense = {n: 4 * t[1] / t[3] for n, t in by_task(tune("emulated:aarch64?miss=0", work, "instructions")).items() if is_dense(t[2])}
    good = sum(v <= DENSE for v in dense.values())
    for name, value in sorted(dense.items(), key=lambda item: item[1]):
        common.say(f"{name:24} {value:.2f} instructions per four multiply-adds")
    common.say(f"{len(tasks)} of {len(times)} tasks measured: {start:.0f} at the start, {end:.0f} at the end: {end / start:.3f}, bar {GAIN}: "
               f"{common.verdict(end / start <= GAIN)}")
    common.say(f"their naive nests: {nest:.0f}, the end is {end / nest:.3f} of it, bar {NAIVE}: {common.verdict(end / nest <= NAIVE)}")
    common.say(f"dense convolutions at {DENSE} or less: {good} of {len(dense)}: {common.verdict(good == len(dense))}")
    common.say(f"two runs with seed {SEED} are the same: {common.verdict(same)}")
    common.append("emulated", {"model": "mobilenet_v2_035", "target": TARGET, "trials": TRIALS, "seed": SEED, "tasks": len(tasks),
                               "of": len(times), "start": int(start), "end": int(end), "ratio": f"{end / start:.4f}",
                               "naive": int(nest), "naive_ratio": f"{end / nest:.4f}",
                               "dense": len(dense), "dense_good": good, "dense_best": f"{min(dense.values()):.3f}",
                               "dense_worst": f"{max(dense.values()):.3f}", "same": int(same)})
    sys.exit(0 if same and good == len(dense) and end / start <= GAIN and end / nest <= NAIVE else 1)


main()
