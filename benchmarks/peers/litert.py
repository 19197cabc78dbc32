#!/usr/bin/env python3
"""LiteRT (XNNPACK) as a worker of benchmarks/pair: one timed run per line on standard input.

  litert.py MODEL.tflite --threads N
  litert.py MODEL.tflite --threads N --run INPUT.npy OUTPUT.npy     runs once instead
"""
import argparse, sys, time

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", nargs=2)
    args = parser.parse_args()
    interpreter = Interpreter(model_path=args.model, num_threads=args.threads)  # float kernels are XNNPACK's by default
    interpreter.allocate_tensors()
    value = interpreter.get_input_details()[0]
    if args.run:
        interpreter.set_tensor(value["index"], np.load(args.run[0]).astype(value["dtype"]))
        interpreter.invoke()
        np.save(args.run[1], interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        return
    rng = np.random.default_rng(1)
    data = rng.random(value["shape"], dtype=np.float32) if value["dtype"] == np.float32 else np.zeros(value["shape"], value["dtype"])
    interpreter.set_tensor(value["index"], data)
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        interpreter.invoke()
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    main()
