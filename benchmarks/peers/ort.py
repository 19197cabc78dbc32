#!/usr/bin/env python3
"""onnxruntime as a worker of benchmarks/pair: one timed run per line on standard input.

  ort.py MODEL --threads N [--input NAME=1,3,224,224]...
"""
import argparse, sys, time

import numpy as np
import onnxruntime as ort


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--input", action="append", default=[])
    args = parser.parse_args()
    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    shapes = {text.split("=", 1)[0]: [int(d) for d in text.split("=", 1)[1].split(",")] for text in args.input}
    rng = np.random.default_rng(1)
    feeds = {}
    for value in session.get_inputs():
        shape = shapes.get(value.name, [d if isinstance(d, int) else 1 for d in value.shape])
        feeds[value.name] = rng.random(shape, dtype=np.float32) if value.type == "tensor(float)" else np.zeros(shape, np.int64)
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        session.run(None, feeds)
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    main()
