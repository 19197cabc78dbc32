#!/usr/bin/env python3
"""xgboost or tl2cgen as a worker of benchmarks/pair: one timed prediction per line on standard input.

  forest.py inplace_predict|tl2cgen MODEL.json --rows N --features F [--runs R]

tl2cgen: its C code, compiled with gcc -O3 once and kept beside the model. A loop in C calls it on R rows of entries that are
filled before the clock starts: a call from Python would be a good part of what is measured.
"""
import argparse
import ctypes
import glob
import os
import subprocess
import sys
import time

import numpy as np


def xgboost_predictor(path, x):
    import xgboost as xgb
    booster = xgb.Booster()
    booster.load_model(path)
    booster.set_param({"nthread": 1})

    def many(runs):
        for _ in range(runs):
            booster.inplace_predict(x)
    return many


LOOP = """
#include "header.h"
void predict_many(const union Entry *rows, long n, long features, float *out) {
  for (long i = 0; i < n; i++) {
    predict((union Entry *)rows + i * features, 0, out);
    __asm__ volatile("" ::: "memory");
  }
}
"""


def tl2cgen_predictor(path, x):
    import tl2cgen
    import treelite
    folder, library = path + ".tl2cgen", path + ".tl2cgen.so"
    if not os.path.exists(library):
        tl2cgen.generate_c_code(treelite.frontend.load_xgboost_model(path), dirpath=folder, params={})
        with open(os.path.join(folder, "loop.c"), "w") as file:
            file.write(LOOP)
        subprocess.run(["gcc", "-O3", "-fPIC", "-shared", "-std=c99", "-o", library, *glob.glob(os.path.join(folder, "*.c")), "-lm"], check=True)
    predict = ctypes.CDLL(library).predict_many
    entries = np.ascontiguousarray(x.view(np.int32))
    out = (ctypes.c_float * 1)()
    at = ctypes.c_void_p(entries.ctypes.data)
    return lambda runs: predict(at, ctypes.c_long(runs), ctypes.c_long(x.shape[1]), out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("inplace_predict", "tl2cgen"))
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--features", type=int, required=True)
    parser.add_argument("--runs", type=int, default=1)
    args = parser.parse_args()
    rows = args.rows * args.runs if args.kind == "tl2cgen" else args.rows
    x = np.random.default_rng(1).random((rows, args.features), dtype=np.float32)
    answers = os.fdopen(os.dup(1), "w")  # tl2cgen logs to standard output, which is for times alone
    os.dup2(2, 1)
    predict = (xgboost_predictor if args.kind == "inplace_predict" else tl2cgen_predictor)(args.model, x)
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        predict(args.runs)
        print((time.perf_counter_ns() - start) / args.runs, file=answers, flush=True)


if __name__ == "__main__":
    main()
