"""The tree bars: a single row against tl2cgen's compiled code, 10,000 rows against xgboost's inplace_predict, one thread.

usage: trees.py       NEO_PAIRS=30

Models are trained here (xgboost, fixed seed) once and kept in the cache. Each peer is a worker of benchmarks/pair, interleaved
with `neo bench --serve`: ratios of neighbours count, minima are printed beside. Rows are uniform random, as neo bench makes them. A
single row is predicted RUNS times back to back, so code and trees are warm. tl2cgen, whose code is branches, gets RUNS different rows, or the
branch predictor would know them by heart; Neo, whose walks have no branches, gets the same one each time.
"""
import os
import shlex
import sys

import common
from common import say

MODELS = ((100, 6, 20, 0.0), (500, 8, 50, 0.0), (100, 6, 20, 0.1), (300, 4, 30, 0.0))  # trees, depth, features, missing


def train(path, trees, depth, features, missing):
    import numpy as np
    import xgboost as xgb
    rng = np.random.default_rng(0)
    x = rng.random(size=(20000, features)).astype("f4")
    y = (np.sin(5 * x[:, 0]) + x[:, 1:8] @ rng.normal(size=7) + 0.3 * rng.normal(size=20000) > 0.5).astype("f4")
    x[rng.random(x.shape) < missing] = np.nan
    xgb.train({"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "tree_method": "hist", "nthread": 2},
              xgb.DMatrix(x, label=y), trees).save_model(path)


RUNS = {1: 2000, 10000: 1}  # of a row count: runs per measurement


def compile_neo(model, rows, features, out):
    common.run([common.NEO, "compile", model, "-o", out, "--threads", "1", "--db", "none", "--input", f"features={rows},{features}"])
    return common.neo_worker(out) + f" --runs {RUNS[rows]}"


def peer(kind, model, rows, features):
    script = os.path.join(common.ROOT, "benchmarks", "peers", "forest.py")
    return shlex.join([sys.executable, script, kind, model, "--rows", str(rows), "--features", str(features), "--runs", str(RUNS[rows])])


def main():
    pairs = int(os.environ.get("NEO_PAIRS", "30"))
    work = os.path.join(common.CACHE, "bars", "trees")
    os.makedirs(work, exist_ok=True)
    say(f"trees, one thread, on {common.machine()}")
    missed = False
    for trees, depth, features, missing in MODELS:
        name = f"{trees}x{depth}_{features}f" + ("_missing" if missing else "")
        model = os.path.join(work, name + ".json")
        if not os.path.exists(model):
            train(model, trees, depth, features, missing)
        for kind, rows in (("tl2cgen", 1), ("inplace_predict", 10000)):
            result = common.pair(compile_neo(model, rows, features, os.path.join(work, f"{name}_{rows}")), peer(kind, model, rows, features), pairs)
            ok = result["ratio"] <= 1
            missed |= not ok
            say(f"{name}, {rows} rows: neo median {1e3 * result['a_median_ms']:.1f} us (min {1e3 * result['a_min_ms']:.1f}), {kind} "
                f"{1e3 * result['b_median_ms']:.1f} us (min {1e3 * result['b_min_ms']:.1f}), ratio {common.ratio_text(result)}, bar 1: {common.verdict(ok)}")
            common.append("trees", {"model": name, "rows": rows, "peer": kind, "pairs": pairs, "ratio": f"{result['ratio']:.4f}",
                                    "low": f"{result['ratio_low']:.4f}", "high": f"{result['ratio_high']:.4f}",
                                    "neo_min_ms": f"{result['a_min_ms']:.5f}", "peer_min_ms": f"{result['b_min_ms']:.5f}",
                                    "neo_median_ms": f"{result['a_median_ms']:.5f}", "peer_median_ms": f"{result['b_median_ms']:.5f}"})
    sys.exit(missed)


main()
