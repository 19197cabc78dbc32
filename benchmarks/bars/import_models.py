"""Reading a model of about 100 MB: the time, and by how much the process grows, per format.

usage: import_models.py MODELS      MODELS: what tests/tools/zoo/zoo_*.py wrote under the name big
"""
import json
import os
import subprocess
import sys

import common
from common import say

FORMATS = ("onnx/big/model.onnx", "tf_savedmodel/big/saved_model", "tflite/big/model.tflite", "torchscript/big/model.pt",
           "torch_export/big/model.pt2", "gluon/big/big-symbol.json", "keras_v3/big/model.keras", "keras_h5/big/model.h5")


def size_of(path):
    """Bytes of a file, of all files of a folder, or of a symbol.json with its .params."""
    if path.endswith("-symbol.json"):
        return os.path.getsize(path) + os.path.getsize(path.replace("-symbol.json", "-0000.params"))
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(path) for f in files)
    return os.path.getsize(path)


def main():
    bench = os.path.join(os.path.dirname(common.BIN), "benchmarks", "bench_import")
    missed = False
    say(f"import, on {common.machine()}")
    for name in FORMATS:
        path = os.path.join(sys.argv[1], name)
        with open(os.path.join(sys.argv[1], *name.split("/")[:2], "meta.json")) as file:
            value = json.load(file)["inputs"][0]
        argv = [bench, path, value["name"] + "=" + ",".join(map(str, value["shape"]))]
        runs = [json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout) for _ in range(5)]
        size, ms = size_of(path), min(r["ms"] for r in runs)
        growth = max(r["peak_bytes"] for r in runs) / size
        ok = ms < 1000 and growth < 2.2
        missed |= not ok
        say(f"{name}: {size / 1e6:.1f} MB, {ms:.0f} ms (bar 1000), memory {growth:.2f} x its size (bar 2.2): {common.verdict(ok)}")
        common.append("import", {"model": name, "bytes": size, "ms": f"{ms:.1f}", "repeats_ms": " ".join(f"{r['ms']:.1f}" for r in runs),
                                 "memory_ratio": f"{growth:.3f}", "ok": int(ok)})
    sys.exit(missed)


main()
