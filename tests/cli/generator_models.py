"""Whole models through the code generators that are not LLVM's give the stored results of their frameworks: C text built
by this machine's compiler, and OpenCL C on this machine's device.

usage: generator_models.py BIN SOURCE c|opencl     BIN has neo and neo-run
Exit code 77: there is no OpenCL device. Prints the largest error by the model's tolerance, and seconds.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from stored_arrays import error_of, read_npy

# folder in tests/data, model file, generators; those that are fetched have no file
MODELS = [
    ("onnx/mnist_cnn_op13", "model.onnx", ("c",)),
    ("xgboost/churn_v10", "model.json", ("c", "opencl")),
    ("onnx/mobilenet_v2_035_dynamo", "model.onnx", ("c",)),
    ("onnx/resnet18_w8_op13", "model.onnx", ("c",)),
    ("ocr_cls", "", ("c",)),
]
OPTIONS = {"c": ["--codegen", "c"], "opencl": ["--target", "opencl"]}


def run(words):
    result = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit code {result.returncode}: {(result.stdout + result.stderr)[-600:]}")
    return result.stdout


def check_case(binaries, folder, model, generator, work):
    """The largest error, and how much of the model runs in generated kernels."""
    with open(f"{folder}/meta.json") as file:
        meta = json.load(file)
    words = [f"{binaries}/neo", "compile", model, "-o", f"{work}/out", "--db", "none", "--quiet", "--threads", "2"]
    for item in meta["inputs"]:
        shape, _ = read_npy(f"{folder}/{item['file']}")
        words += ["--input", f"{item['name']}={','.join(map(str, shape))}"]
    run(words + OPTIONS[generator])
    with open(f"{work}/out/compiled.meta") as file:
        made = json.load(file)
    if made["codegen"] != generator:
        raise RuntimeError(f"the kernels are of {made['codegen']}")
    inputs = [f"{item['name']}={folder}/{item['file']}" for item in meta["inputs"]]
    run([f"{binaries}/neo-run", f"{work}/out"] + inputs + ["-o", f"{work}/result"])
    worst = 0
    for i, item in enumerate(meta["outputs"]):
        shape, want = read_npy(f"{folder}/{item['file']}")
        got_shape, got = read_npy(f"{work}/result{i}.npy")
        if shape != got_shape:
            raise RuntimeError(f"output {i} has shape {got_shape}, {shape} expected")
        worst = max([worst] + [error_of(g, w, meta["rtol"], meta["atol"]) for g, w in zip(got, want)])
    return worst, made["generated_share"]


def find(source, folder, model):
    """Folder and path of a model; the cache is scripts/models.sh's."""
    if model:
        return f"{source}/tests/data/{folder}", f"{source}/tests/data/{folder}/{model}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return f"{source}/tests/data/{folder}", f"{cache}/neo/models/{folder}/model.onnx"


def device_missing(binaries, source):
    """Why no kernel can run on a device here: "" if one can."""
    with tempfile.TemporaryDirectory() as work:
        try:
            check_case(binaries, *find(source, "onnx/mnist_cnn_op13", "model.onnx"), "opencl", work)
        except RuntimeError as error:
            return str(error) if "opencl: " in str(error) and "installed" in str(error) else ""
    return ""


def main():
    binaries, source = map(os.path.abspath, sys.argv[1:3])
    generator = sys.argv[3]
    if generator == "opencl":
        missing = device_missing(binaries, source)
        if missing:
            print(f"skipped: {missing}")
            sys.exit(77)
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for folder, model, generators in MODELS:
            if generator not in generators:
                continue
            folder, path = find(source, folder, model)
            name, start = os.path.basename(folder), time.monotonic()
            if not os.path.exists(path):
                print(f"{name}: left out: {path} is missing: scripts/models.sh fetches it")
                continue
            try:
                worst, share = check_case(binaries, folder, path, generator, work)
                failed += worst > 1
                verdict = f"{worst:8.4f} of the tolerance, {share:.3f} generated  {'ok' if worst <= 1 else 'WRONG'}"
            except RuntimeError as error:
                failed += 1
                verdict = f"FAILED: {error}"
            print(f"{name:24} {verdict}  {time.monotonic() - start:6.1f} s", flush=True)
            shutil.rmtree(f"{work}/out", ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
