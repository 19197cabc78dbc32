#!/usr/bin/env python3
"""A convolution or matrix product in the oneDNN inside torch's wheel (newer than the one on PyPI by itself) as a worker of benchmarks/pair:
nanoseconds of one run per line on standard input, warm.

  ONEDNN_VERBOSE=1 torch_cpu.py dnnl_torch.py [--info] conv C H W O K STRIDE PAD GROUPS ACT
  ONEDNN_VERBOSE=1 torch_cpu.py dnnl_torch.py [--info] gemm M N K ACT

The time is what oneDNN itself reports for the primitive, so nothing of torch is in it: source and destination channels last (what its
kernels choose here), weights reordered beforehand, bias and activation fused. A reorder inside of a timed run is an error.
"""
import os
import re
import sys
import tempfile

sys.argv, arguments = sys.argv[:1], sys.argv[1:]
import torch  # noqa: E402

SCALARS = {"none": ("none", []), "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0])}


def make_conv(sizes, act):
    c, h, w, o, k, s, pad, groups = map(int, sizes)
    attribute, scalars = SCALARS[act]
    x = torch.rand(1, c, h, w).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.rand(o, c // groups, k, k), torch.rand(o)
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, [pad, pad], [s, s], [1, 1], groups, [1, c, h, w])
    return lambda: torch.ops.mkldnn._convolution_pointwise(x, packed, bias, [pad, pad], [s, s], [1, 1], groups, attribute, scalars, "")


def make_gemm(sizes, act):
    m, n, k = map(int, sizes)
    attribute, scalars = SCALARS[act]
    x, packed = torch.rand(m, k), torch.ops.mkldnn._reorder_linear_weight(torch.rand(n, k), m)
    return lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, attribute, scalars, "")


class Log:
    """What oneDNN prints on standard output; our own lines go where that pointed."""

    def __init__(self):
        self.real = os.fdopen(os.dup(1), "w")
        self.file = tempfile.TemporaryFile("w+")
        os.dup2(self.file.fileno(), 1)

    def run(self, function, times):
        """Nanoseconds and implementation of each run."""
        os.lseek(1, 0, os.SEEK_SET)
        os.ftruncate(1, 0)
        for _ in range(times):
            function()
        self.file.seek(0)
        text = self.file.read()
        lines = [line.strip().split(",") for line in text.splitlines() if ",exec," in line]
        assert len(lines) == times, f"{len(lines)} primitives in {times} runs: {text[:2000]}"
        return [float(line[-1]) * 1e6 for line in lines], lines[0][lines[0].index("exec") + 3]  # exec,cpu,PRIMITIVE,IMPLEMENTATION

    def version(self):
        """Of the lines that the library begins with."""
        self.file.seek(0)
        return re.search(r"oneDNN v([0-9.]+)", self.file.read())[1]


def main():
    info = arguments[0] == "--info"
    kind, *sizes, act = arguments[info:]
    torch.set_num_threads(1)
    log = Log()
    with torch.no_grad():
        function = {"conv": make_conv, "gemm": make_gemm}[kind](sizes, act)
        function()
        version = log.version()
        times, implementation = log.run(function, 2)
        if info:
            print(f"oneDNN {version} of torch {torch.__version__} {implementation}", file=log.real, flush=True)
            return
        batch = int(max(1, min(2000, 2e6 / min(times))))
        for _ in sys.stdin:
            log.run(function, batch)  # the other worker has had caches and clock
            times, _ = log.run(function, batch)
            print(f"{sum(times) / len(times):.0f}", file=log.real, flush=True)


main()
