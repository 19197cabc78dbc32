"""Every benchmark model against the best of onnxruntime and OpenVINO at f32, with an empty database or after tuning.

usage: peers.py [MODEL...]       NEO_THREADS=1, NEO_BUDGET=0 (seconds of tuning a model), NEO_PAIRS=20

One row of results/peers.csv per model, appended as soon as it is measured; a model that has a row of this commit, thread
count and budget is skipped, so an interrupted run goes on. Tuned runs also add the kept records to
benchmarks/records/MODEL-tN.jsonl. The ratio is that of the better peer.
"""
import csv
import json
import math
import os
import re
import shlex
import subprocess
import sys

import common
from common import say

NAMES = ["resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0", "inception_v3", "densenet121",
         "vgg16", "vit_b_16", "bert_base", "ocr_det"]
PEERS = {"onnxruntime": "ort.py", "openvino": "vino.py"}


def peer_worker(script, case, threads):
    argv = [sys.executable, os.path.join(common.ROOT, "benchmarks", "peers", script), case.model, "--threads", str(threads)]
    for value in case.meta["inputs"]:
        argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
    return shlex.join(argv)


def find_case(name):
    if name == "ocr_det":
        common.fetch_models([name])
        return common.Case(os.path.join(common.models_dir(), name))
    folder = subprocess.run([os.path.join(common.ROOT, "benchmarks", "export_models.sh"), name], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return common.Case(os.path.join(folder, name))


def keep_records(db, path, best=3):
    """The export of `db` with the fastest trials of every task only: what `neo-tune import` takes."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    text = subprocess.run([common.NEO_TUNE, "export", "--db", db], check=True, stdout=subprocess.PIPE, text=True).stdout
    tasks, others = {}, []
    for line in text.splitlines():
        row = json.loads(line)
        if row["is"] != "trial":
            others.append(line)
        elif row.get("kind") == "ok":
            tasks.setdefault((row["workload"], row.get("layout", "")), []).append((row["ns"], line))
    with open(path, "w") as out:
        for line in others + [line for trials in tasks.values() for _, line in sorted(trials)[:best]]:
            out.write(line + "\n")


def tune(case, threads, budget, work):
    """The database, and verified trials a second from start to exit."""
    db, log = os.path.join(work, "tuning.db"), os.path.join(work, "tune.log")
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(db + suffix):
            os.remove(db + suffix)
    argv = [common.NEO_TUNE, case.model, "--db", db, "--threads", str(threads), "--budget", str(budget)]
    for value in case.meta["inputs"]:
        argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
    seconds, _ = common.run(argv, log)
    found = re.findall(r"^run \d+: (\d+) trials \((\d+) usable", open(log).read(), re.M)
    keep_records(db, os.path.join(common.ROOT, "benchmarks", "records", f"{case.name}-t{threads}.jsonl"))
    return db, int(found[-1][1]) / seconds


def measure(name, threads, budget, pairs):
    case = find_case(name)
    work = os.path.join(common.CACHE, "bars", "peers", f"{name}-t{threads}-b{budget}")
    os.makedirs(work, exist_ok=True)
    artifact = os.path.join(work, "artifact")
    db, rate = tune(case, threads, budget, work) if budget else ("none", 0.0)
    seconds, _ = case.compile(artifact, threads, db, os.path.join(work, "compile.log"))
    _, error, share = case.run_and_check(artifact, os.path.join(work, "out"), os.path.join(work, "run.log"))
    row = {"model": name, "threads": threads, "budget_s": budget, "state": "ok" if share <= 1 else "WRONG", "max_error": f"{error:.3g}",
           "of_tolerance": f"{share:.3g}", "trials_per_s": f"{rate:.1f}", "compile_s": f"{seconds:.1f}",
           "params_bytes": os.path.getsize(os.path.join(artifact, "compiled.params")), "model_bytes": os.path.getsize(case.model)}
    best = None
    for peer, script in PEERS.items():
        result = common.pair(common.neo_worker(artifact), peer_worker(script, case, threads), pairs)
        if best is None or result["ratio"] > best["ratio"]:
            best = result
        row.update({f"{peer}_ms": f"{result['b_median_ms']:.3f}", f"neo_beside_{peer}_ms": f"{result['a_median_ms']:.3f}",
                    f"{peer}_ratio": f"{result['ratio']:.3f}", f"{peer}_low": f"{result['ratio_low']:.3f}",
                    f"{peer}_high": f"{result['ratio_high']:.3f}", f"{peer}_ms_all": common.repeats(result["b_ns"]),
                    f"neo_beside_{peer}_ms_all": common.repeats(result["a_ns"])})
    row["ratio"] = f"{best['ratio']:.3f}"
    return row


def rows_so_far(threads, budget):
    path = os.path.join(common.RESULTS, "peers.csv")
    if not os.path.exists(path):
        return {}
    with open(path, newline="") as file:
        return {r["model"]: r for r in csv.DictReader(file)
                if r["commit"] == common.commit() and int(r["threads"]) == threads and int(r["budget_s"]) == budget}


def main():
    threads, budget, pairs = (int(os.environ.get(k, d)) for k, d in (("NEO_THREADS", "1"), ("NEO_BUDGET", "0"), ("NEO_PAIRS", "20")))
    rows = rows_so_far(threads, budget)
    say(f"{threads} threads, {budget} s of tuning, on {common.machine()}")
    say(f"{'model':20} {'state':6} {'of tol.':>8} {'neo ms':>9} {'ort ms':>9} {'neo/ort':>8} {'neo ms':>9} {'ov ms':>9} {'neo/ov':>8} {'worst':>7}")
    for name in sys.argv[1:] or NAMES:
        if name not in rows:
            rows[name] = measure(name, threads, budget, pairs)
            common.append("peers", rows[name])
        r = rows[name]
        say(f"{name:20} {r['state']:6} {r['of_tolerance']:>8} {r['neo_beside_onnxruntime_ms']:>9} {r['onnxruntime_ms']:>9} {r['onnxruntime_ratio']:>8} "
            f"{r['neo_beside_openvino_ms']:>9} {r['openvino_ms']:>9} {r['openvino_ratio']:>8} {r['ratio']:>7}")
    ratios = [float(r["ratio"]) for r in rows.values()]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    mean_bar, worst_bar = (0.70, 0.97) if budget else (0.90, 1.2)
    say(f"geometric mean {mean:.3f} (bar {mean_bar}: {common.verdict(mean <= mean_bar)}), worst {max(ratios):.3f} (bar {worst_bar}: "
        f"{common.verdict(max(ratios) <= worst_bar)}) over {len(ratios)} models")
    if any(r["state"] != "ok" for r in rows.values()):
        sys.exit("some outputs are wrong")


main()
