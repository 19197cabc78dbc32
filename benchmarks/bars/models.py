"""Every model that must run: compiled without a tuning database, run, compared with its reference, timed against onnxruntime.

usage: models.py [NAME...]       NEO_THREADS=1, NEO_PAIRS=10, NEO_MODELS=folder of scripts/models.sh
"""
import glob
import os
import sys

import common
from common import say

FETCHED = ["resnet50", "densenet121", "inception_v1", "inception_v2", "shufflenet", "squeezenet", "vgg19", "zfnet512", "bvlc_alexnet",
           "ocr_det", "ocr_rec", "ocr_cls"]


def committed():
    return sorted(os.path.dirname(p) for p in glob.glob(os.path.join(common.ROOT, "tests", "data", "onnx", "*", "model.onnx")))


def measure(case, threads, pairs):
    """A row of the table; `state` is ok, WRONG, or what failed."""
    work = os.path.join(common.CACHE, "bars", "models", case.name)
    os.makedirs(work, exist_ok=True)
    row = {"model": case.name, "threads": threads, "state": "", "max_error": "", "of_tolerance": "", "compile_s": "", "neo_ms": "", "ort_ms": "",
           "ratio": "", "low": "", "high": "", "neo_ms_all": "", "ort_ms_all": ""}
    artifact, step = os.path.join(work, "artifact"), "compile"
    try:
        seconds, _ = case.compile(artifact, threads, "none", os.path.join(work, "compile.log"))
        step = "run"
        _, error, share = case.run_and_check(artifact, os.path.join(work, "out"), os.path.join(work, "run.log"))
        row.update(state="ok" if share <= 1 else "WRONG", max_error=f"{error:.3g}", of_tolerance=f"{share:.3g}", compile_s=f"{seconds:.1f}")
        step = "bench"
        if pairs > 0:
            result = common.pair(common.neo_worker(artifact), common.ort_worker(case, threads), pairs)
            row.update(neo_ms=f"{result['a_median_ms']:.3f}", ort_ms=f"{result['b_median_ms']:.3f}", ratio=f"{result['ratio']:.3f}",
                       low=f"{result['ratio_low']:.3f}", high=f"{result['ratio_high']:.3f}", neo_ms_all=common.repeats(result["a_ns"]),
                       ort_ms_all=common.repeats(result["b_ns"]))
    except Exception as failure:  # one broken model must not hide the others
        row["state"] = f"{step} FAILED"
        print(f"{case.name}: {failure}", file=sys.stderr, flush=True)
    return row


def main():
    threads, pairs = int(os.environ.get("NEO_THREADS", "1")), int(os.environ.get("NEO_PAIRS", "10"))
    local = {os.path.basename(folder): folder for folder in committed()}
    names = sys.argv[1:] or FETCHED + sorted(local)
    common.fetch_models([name for name in names if name in FETCHED])
    say(f"{threads} threads, --db none, on {common.machine()}")
    say(f"{'model':32} {'state':14} {'max error':>10} {'of tolerance':>12} {'compile s':>9} {'neo ms':>9} {'ort ms':>9} {'neo/ort':>8}")
    bad = []
    for name in names:
        row = measure(common.Case(local.get(name) or os.path.join(common.models_dir(), name)), threads, pairs)
        say(f"{name:32} {row['state']:14} {row['max_error']:>10} {row['of_tolerance']:>12} {row['compile_s']:>9} {row['neo_ms']:>9} "
            f"{row['ort_ms']:>9} {row['ratio']:>8}")
        common.append("models", row)
        if row["state"] != "ok":
            bad.append(name)
    say(f"{len(names) - len(bad)} of {len(names)} models ok")
    if bad:
        sys.exit("not ok: " + " ".join(bad))


main()
