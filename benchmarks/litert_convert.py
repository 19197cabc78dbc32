"""DIR/<name>/model.tflite of the seeded modules of benchmarks/export_models.py, for LiteRT.

usage: litert_convert.py DIR name...      run by benchmarks/litert_models.sh

The same weights and, in the model's own NCHW order, the same input: the output must be the reference's, else nothing is kept. A model that
cannot be converted gets DIR/<name>/litert.txt, which says why.
"""
import os
import subprocess
import sys

import numpy as np
import torch

torch.cuda.is_available = lambda: False  # without CUDA's libraries (torch_cpu.py) it cannot be asked
torch.cuda.device_count = lambda: 0
torch._C._ensureCUDADeviceGuardSet = lambda: None

import export_models  # noqa: E402
import litert_torch  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def convert(folder, name):
    path = os.path.join(folder, "model.tflite")
    model, inputs, _ = export_models.build(name)
    litert_torch.convert(model, inputs).export(path + ".new")
    out = os.path.join(folder, "litert_output.npy")
    subprocess.run([sys.executable, os.path.join(HERE, "peers", "litert.py"), path + ".new", "--run", os.path.join(folder, "input_0.npy"), out], check=True)
    got, want = np.load(out), np.load(os.path.join(folder, "output_0.npy"))
    os.remove(out)
    error = float(np.abs(got - want).max() / np.abs(want).max()) if got.shape == want.shape else float("inf")
    if not error < 1e-3:
        raise RuntimeError(f"relative error {error:.3g} against the reference")
    os.replace(path + ".new", path)
    print(f"{path}: relative error {error:.3g}", flush=True)


def main():
    for name in sys.argv[2:]:
        folder = os.path.join(sys.argv[1], name)
        reason = os.path.join(folder, "litert.txt")
        if os.path.exists(os.path.join(folder, "model.tflite")) or os.path.exists(reason):
            continue
        try:
            convert(folder, name)
        except Exception as error:  # whatever the converter dislikes
            with open(reason, "w") as out:
                out.write(f"{type(error).__name__}: {error}\n"[:4000])
            print(f"{name}: not converted, see {reason}", file=sys.stderr, flush=True)


main()
