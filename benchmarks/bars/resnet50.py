"""The resnet50 bars: latency against onnxruntime untuned and tuned, trials per second, compile time, memory.

usage: resnet50.py [THREADS]     NEO_BUDGET=10m, NEO_PAIRS=40, NEO_KEEP=1: goes on with the tuning database of last time
"""
import json
import os
import re
import sys

import common
from common import say


def tune(case, threads, budget, db, log):
    """Usable trials and seconds from start to exit."""
    argv = [common.NEO_TUNE, case.model, "--db", db, "--threads", str(threads), "--budget", budget]
    for value in case.meta["inputs"]:
        argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
    seconds, _ = common.run(argv, log)
    found = re.findall(r"^run \d+: (\d+) trials \((\d+) usable, (\d+) failed\)", open(log).read(), re.M)
    if not found:
        raise RuntimeError(f"{log}: no summary of the run")
    return int(found[-1][1]), int(found[-1][2]), seconds


def memory_limit(artifact, threads):
    """Parameters, planned activations and workspaces, 16 MB."""
    with open(os.path.join(artifact, "compiled_model.json")) as file:
        plan = json.load(file)
    return os.path.getsize(os.path.join(artifact, "compiled.params")) + plan["arena_bytes"] + threads * plan["scratch_bytes"] + (16 << 20)


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    budget, pairs = os.environ.get("NEO_BUDGET", "10m"), int(os.environ.get("NEO_PAIRS", "40"))
    common.fetch_models(["resnet50"])
    case = common.Case(os.path.join(common.models_dir(), "resnet50"))
    work = os.path.join(common.CACHE, "bars", f"resnet50-{threads}")
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)
    ort = common.ort_worker(case, threads)
    if not os.environ.get("NEO_KEEP"):
        for name in ("tuning.db", "tuning.db-wal", "tuning.db-shm"):
            if os.path.exists(path(name)):
                os.remove(path(name))

    say(f"resnet50, batch 1, {threads} threads, on {common.machine()}")
    case.compile(path("before"), threads, "none", path("compile_before.log"))
    _, error, share = case.run_and_check(path("before"), path("out"), path("run_before.log"))
    say(f"untuned: largest error {error:.3g}, {share:.3g} of the tolerance: {common.verdict(share <= 1)}")
    before = common.pair(common.neo_worker(path("before")), ort, pairs)
    say(f"untuned: neo {before['a_median_ms']:.2f} ms, onnxruntime {before['b_median_ms']:.2f} ms, "
        f"ratio {common.ratio_text(before)}, bar 2: {common.verdict(before['ratio'] <= 2)}")

    say(f"tuning for {budget} ...")
    usable, failed, tune_s = tune(case, threads, budget, path("tuning.db"), path("tune.log"))
    say(f"tuning: {usable} verified trials, {failed} failed, {tune_s:.1f} s: {usable / tune_s:.2f} trials/s, "
        f"bar 25: {common.verdict(usable / tune_s >= 25)}")

    compile_s, _ = case.compile(path("after"), threads, path("tuning.db"), path("compile_after.log"))
    say(f"compile with the database: {compile_s:.1f} s, bar 8: {common.verdict(compile_s <= 8)}")
    neo_peak, tuned_error, tuned_share = case.run_and_check(path("after"), path("out"), path("run_after.log"))
    _, peak = common.run([os.path.join(common.BIN, "run_model"), path("after")])
    limit = memory_limit(path("after"), threads)
    say(f"tuned: largest error {tuned_error:.3g}, {tuned_share:.3g} of the tolerance: {common.verdict(tuned_share <= 1)}")
    say(f"runtime (run_model over libneo_rt): VmHWM {peak / 1e6:.1f} MB, bar {limit / 1e6:.1f} MB: {common.verdict(peak <= limit)}; "
        f"neo run, which also maps LLVM: {neo_peak / 1e6:.1f} MB")
    after = common.pair(common.neo_worker(path("after")), ort, pairs)
    say(f"tuned: neo {after['a_median_ms']:.2f} ms, onnxruntime {after['b_median_ms']:.2f} ms, "
        f"ratio {common.ratio_text(after)}, bar 1.25: {common.verdict(after['ratio'] <= 1.25)}")

    row = {"threads": threads, "budget": budget, "pairs": pairs}
    for name, result in (("untuned", before), ("tuned", after)):
        row.update({f"{name}_ratio": f"{result['ratio']:.4f}", f"{name}_low": f"{result['ratio_low']:.4f}", f"{name}_high": f"{result['ratio_high']:.4f}"})
        for side, who in (("a", "neo"), ("b", "ort")):
            row.update({f"{name}_{who}_min_ms": f"{result[side + '_min_ms']:.3f}", f"{name}_{who}_median_ms": f"{result[side + '_median_ms']:.3f}",
                        f"{name}_{who}_ms": common.repeats(result[side + "_ns"])})
    row.update({"untuned_error": f"{error:.3g}", "tuned_error": f"{tuned_error:.3g}", "trials": usable, "failed": failed, "tune_s": f"{tune_s:.1f}",
                "trials_per_s": f"{usable / tune_s:.2f}", "compile_s": f"{compile_s:.2f}", "runtime_peak_bytes": peak, "neo_run_peak_bytes": neo_peak, "limit_bytes": limit})
    say("row added to " + os.path.relpath(common.append("resnet50", row)))
    if share > 1 or tuned_share > 1:
        sys.exit("resnet50: the outputs are WRONG")


main()
