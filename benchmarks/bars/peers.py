"""Every benchmark model against the best of onnxruntime, OpenVINO at f32 and LiteRT, with an empty database or after tuning.

usage: peers.py [MODEL...]       NEO_THREADS="1" and NEO_BUDGET="0" (seconds of tuning a model): lists; NEO_PAIRS=20, NEO_RUN=label
                                 NEO_RETUNE=1: repeats the tuning of rows from nothing and compares the two artifacts (results/retune.csv)

One row of results/peers.csv per model, threads and budget, appended as soon as it is measured; rows that the run has are not measured
again. Tuning a row starts from an empty database and leaves its best records in benchmarks/records/MODEL-tN.jsonl. The ratio is that to
the best peer: below 1 Neo is faster.
"""
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
PEERS = ["onnxruntime", "openvino", "litert"]
BARS = {"resnet18": 0.60, "vgg16": 0.40, "resnet50": 0.80, "mobilenet_v2": 0.85, "mobilenet_v3_small": 0.75, "efficientnet_b0": 0.75}  # tuned
RECORDS = os.environ.get("NEO_RECORDS", os.path.join(common.ROOT, "benchmarks", "records"))


def script(name):
    return os.path.join(common.ROOT, "benchmarks", name)


def peer_worker(peer, case, threads):
    """The command, or None: this peer has not got the model."""
    if peer == "litert":
        model = os.path.join(case.folder, "model.tflite")
        python = os.environ.get("NEO_LITERT_PYTHON")
        if not python or not os.path.exists(model):
            return None
        return shlex.join([python, script("peers/litert.py"), model, "--threads", str(threads)])
    argv = [sys.executable, script({"onnxruntime": "peers/ort.py", "openvino": "peers/vino.py"}[peer]), case.model, "--threads", str(threads)]
    for value in case.meta["inputs"]:
        argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
    return shlex.join(argv)


def find_case(name):
    if name == "ocr_det":
        common.fetch_models([name])
        return common.Case(os.path.join(common.models_dir(), name))
    folder = subprocess.run([script("export_models.sh"), name], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    if os.environ.get("NEO_LITERT_PYTHON"):
        subprocess.run([script("litert_models.sh"), name], check=True)
    return common.Case(os.path.join(folder, name))


def keep_records(db, path, best=2):
    """The export of `db` with the fastest trials only, of every task's algorithms: what `neo-tune import` takes."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    text = subprocess.run([common.NEO_TUNE, "export", "--db", db], check=True, stdout=subprocess.PIPE, text=True).stdout
    tasks, others = {}, []
    for line in text.splitlines():
        row = json.loads(line)
        if row["is"] != "trial":
            others.append(line)
        elif row.get("kind") == "ok":
            algorithm = row["schedule"].split(";")[1]
            tasks.setdefault((row["workload"], row.get("layout", ""), algorithm), []).append((row["ns"], line))
    with open(path, "w") as out:
        for line in others + [line for trials in tasks.values() for _, line in sorted(trials)[:best]]:
            out.write(line + "\n")


def tune(case, threads, budget, work):
    """A database of this tuning alone, and verified trials a second from start to exit."""
    db, log = os.path.join(work, "tuning.db"), os.path.join(work, "tune.log")
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(db + suffix):
            os.remove(db + suffix)
    argv = [common.NEO_TUNE, case.model, "--db", db, "--threads", str(threads), "--budget", str(budget)]
    for value in case.meta["inputs"]:
        argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
    seconds, _ = common.run(argv, log)
    found = re.findall(r"^run \d+: (\d+) trials \((\d+) usable", open(log).read(), re.M)
    return db, int(found[-1][1]) / seconds


def reference_spread(case):
    """Least standard deviation and largest magnitude over the outputs of the reference. A constant output would compare equal to anything."""
    import numpy as np
    outputs = [np.load(os.path.join(case.folder, value["file"])).astype(np.float64) for value in case.meta["outputs"]]
    spread = min(float(output.std()) for output in outputs)
    assert spread > 0, f"{case.name}: an output of the reference is constant"
    return spread, max(float(np.abs(output).max()) for output in outputs)


def records_path(name, threads):
    return os.path.join(RECORDS, f"{name}-t{threads}.jsonl")


def work_folder(*parts):
    path = os.path.join(common.CACHE, "bars", "peers", *parts)
    os.makedirs(path, exist_ok=True)
    return path


def measure(name, threads, budget, pairs):
    case = find_case(name)
    work = work_folder(f"{name}-t{threads}-b{budget}")
    artifact = os.path.join(work, "artifact")
    spread, magnitude = reference_spread(case)
    db, rate = tune(case, threads, budget, work) if budget else ("none", 0.0)
    if budget:
        keep_records(db, records_path(name, threads))
    seconds, _ = case.compile(artifact, threads, db, os.path.join(work, "compile.log"))
    _, error, share = case.run_and_check(artifact, os.path.join(work, "out"), os.path.join(work, "run.log"))
    row = {"model": name, "threads": threads, "budget_s": budget, "state": "ok" if share <= 1 else "WRONG", "max_error": f"{error:.3g}",
           "relative_error": f"{error / magnitude:.3g}", "of_tolerance": f"{share:.3g}", "reference_std": f"{spread:.3g}",
           "trials_per_s": f"{rate:.1f}", "compile_s": f"{seconds:.1f}",
           "params_bytes": os.path.getsize(os.path.join(artifact, "compiled.params")), "model_bytes": os.path.getsize(case.model)}
    row.update({"ratio": "", "best_peer": ""})
    for peer in PEERS:
        worker = peer_worker(peer, case, threads)
        columns = [f"{peer}_ms", f"neo_beside_{peer}_ms", f"{peer}_ratio", f"{peer}_low", f"{peer}_high", f"{peer}_ms_all", f"neo_beside_{peer}_ms_all"]
        row.update({column: "" for column in columns})
        if not worker:
            continue
        r = common.pair(common.neo_worker(artifact), worker, pairs)
        values = [f"{r[key]:.3f}" for key in ("b_median_ms", "a_median_ms", "ratio", "ratio_low", "ratio_high")]
        row.update(zip(columns, values + [common.repeats(r["b_ns"]), common.repeats(r["a_ns"])]))
        if not row["ratio"] or r["ratio"] > float(row["ratio"]):
            row.update({"ratio": f"{r['ratio']:.3f}", "best_peer": peer})
    return row


def retune(name, threads, budget, pairs):
    """The kept records of a row against a tuning of the same length from nothing."""
    case = find_case(name)
    work = work_folder(f"{name}-t{threads}-b{budget}-retune")
    kept = os.path.join(work, "kept.db")
    for path in (kept, kept + "-wal", kept + "-shm"):
        if os.path.exists(path):
            os.remove(path)
    common.run([common.NEO_TUNE, "import", "--db", kept, records_path(name, threads)], os.path.join(work, "import.log"))
    fresh, rate = tune(case, threads, budget, work)
    for folder, db in (("kept", kept), ("fresh", fresh)):
        case.compile(os.path.join(work, folder), threads, db, os.path.join(work, f"compile_{folder}.log"))
    r = common.pair(common.neo_worker(os.path.join(work, "fresh")), common.neo_worker(os.path.join(work, "kept")), pairs)
    return {"model": name, "threads": threads, "budget_s": budget, "trials_per_s": f"{rate:.1f}", "ratio": f"{r['ratio']:.3f}",
            "low": f"{r['ratio_low']:.3f}", "high": f"{r['ratio_high']:.3f}", "fresh_ms": f"{r['a_median_ms']:.3f}",
            "kept_ms": f"{r['b_median_ms']:.3f}", "fresh_ms_all": common.repeats(r["a_ns"]), "kept_ms_all": common.repeats(r["b_ns"])}


def retune_all(names, threads, budget, pairs, label):
    rows = {r["model"]: r for r in common.rows_of_run("retune", label, threads=threads, budget_s=budget)}
    for name in names:
        if name not in rows:
            if not os.path.exists(records_path(name, threads)):
                say(f"{name:20} has no {os.path.relpath(records_path(name, threads), common.ROOT)}: tune it first")
                continue
            rows[name] = {"run": label, **retune(name, threads, budget, pairs)}
            common.append("retune", rows[name])
        r = rows[name]
        say(f"{name:20} {threads} threads: tuned anew {r['fresh_ms']} ms, from the kept records {r['kept_ms']} ms: {r['ratio']} "
            f"[{r['low']}, {r['high']}] (bar: within 5 %: {common.verdict(abs(float(r['ratio']) - 1) <= 0.05)})")


def say_row(r):
    cells = "".join(f" {r[f'neo_beside_{p}_ms'] or '-':>9} {r[f'{p}_ms'] or '-':>9} {r[f'{p}_ratio'] or '-':>6}" for p in PEERS)
    growth = int(r["params_bytes"]) / int(r["model_bytes"])
    say(f"{r['model']:20} {r['state']:6} {r['relative_error']:>8} {growth:>6.2f}{cells} {r['ratio']:>6} {r['best_peer']}")


def judge(rows, budget):
    ratios = {r["model"]: float(r["ratio"]) for r in rows}
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    mean_bar, worst_bar = (0.70, 0.97) if budget else (0.90, 1.2)
    worst = max(ratios, key=ratios.get)
    say(f"geometric mean {mean:.3f} (bar {mean_bar}: {common.verdict(mean <= mean_bar)}), worst {worst} {ratios[worst]:.3f} (bar {worst_bar}: "
        f"{common.verdict(ratios[worst] <= worst_bar)}) over {len(ratios)} models")
    for name, bar in BARS.items():
        if budget and name in ratios:
            say(f"  {name} {ratios[name]:.3f} (bar {bar}: {common.verdict(ratios[name] <= bar)})")


def measure_all(names, threads, budget, pairs, label):
    rows = {r["model"]: r for r in common.rows_of_run("peers", label, threads=threads, budget_s=budget)}
    say(f"run {label}, {threads} threads, {budget} s of tuning, on {common.machine()}")
    say(f"{'model':20} {'state':6} {'error':>8} {'params':>6}" + "".join(f" {'neo ms':>9} {p[:9]:>9} {'ratio':>6}" for p in PEERS) + "  worst")
    for name in names:
        if name not in rows:
            rows[name] = {"run": label, **measure(name, threads, budget, pairs)}
            common.append("peers", rows[name])
        say_row(rows[name])
    judge([rows[name] for name in names], budget)
    return all(rows[name]["state"] == "ok" for name in names)


def main():
    names, pairs, label = sys.argv[1:] or NAMES, int(os.environ.get("NEO_PAIRS", "20")), common.run_label()
    ok = True
    for threads in map(int, os.environ.get("NEO_THREADS", "1").split()):
        for budget in map(int, os.environ.get("NEO_BUDGET", "0").split()):
            if os.environ.get("NEO_RETUNE") == "1":
                retune_all(names, threads, budget, pairs, label)
            else:
                ok = measure_all(names, threads, budget, pairs, label) and ok
    if not ok:
        sys.exit("some outputs are wrong")


main()
