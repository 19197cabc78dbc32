#!/usr/bin/env python3
"""OpenVINO at f32 as a worker of benchmarks/pair: one timed run per line on standard input.

  vino.py MODEL --threads N [--input NAME=1,3,224,224]...
"""
import argparse, sys, time

import numpy as np
import openvino as ov


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--input", action="append", default=[])
    args = parser.parse_args()
    core = ov.Core()
    model = core.read_model(args.model)
    shapes = {text.split("=", 1)[0]: [int(d) for d in text.split("=", 1)[1].split(",")] for text in args.input}
    if shapes:
        model.reshape(shapes)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": args.threads,
                                                 "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    rng = np.random.default_rng(1)
    feeds = {}
    for port in compiled.inputs:
        shape = list(port.shape)
        kind = port.element_type.to_dtype()
        feeds[port] = rng.random(shape, dtype=np.float32) if kind == np.float32 else np.zeros(shape, kind)
    for port, array in feeds.items():
        request.set_tensor(port, ov.Tensor(array))
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        request.infer()
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    main()
