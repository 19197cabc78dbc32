"""Whole models compiled for Windows give the stored results of their frameworks under wine: artifact, neo_rt.dll and an
application that links it, with one worker and with several.

usage: windows_models.py BIN SOURCE WINE     BIN has neo and windows/run_model.exe
Exit code 77: wine or the Windows programs are missing.
"""

import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile

from wine_prefix import WinePrefix

# folder in tests/data, model file, options
CASES = [
    ("onnx/mnist_cnn_op13", "model.onnx", ["--threads", "2"]),
    ("onnx/mobilenet_v2_035_dynamo", "model.onnx", ["--threads", "1"]),
    ("onnx/resnet18_w8_op13", "model.onnx", ["--threads", "1"]),
    ("xgboost/churn_v10", "model.json", ["--threads", "1"]),
]
CODES = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q"}


def read_npy(path):
    """dtype, shape and raw bytes of a row-major array."""
    with open(path, "rb") as file:
        data = file.read()
    size = 2 if data[6] == 1 else 4
    start = 8 + size
    end = start + int.from_bytes(data[8:start], "little")
    header = eval(data[start:end].decode("latin1"), {})  # a literal, of a file of ours
    assert not header["fortran_order"], path
    return header["descr"], header["shape"], data[end:]


def values(descr, raw):
    return struct.unpack(f"<{len(raw) // struct.calcsize(CODES[descr])}{CODES[descr]}", raw)


def close(got, want, rtol, atol):
    if math.isnan(want) or math.isinf(want):
        return got == want or (math.isnan(got) and math.isnan(want))
    return abs(got - want) <= atol + rtol * abs(want)


def run(words, **more):
    result = subprocess.run(words, capture_output=True, text=True, timeout=900, **more)
    if result.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def check_case(folder, model, options, tools, work, target="x86-64-v3-windows"):
    """Returns how many values were compared."""
    neo, wine, program, env = tools
    with open(f"{folder}/meta.json") as file:
        meta = json.load(file)
    shapes, inputs = [], []
    for item in meta["inputs"]:
        descr, shape, raw = read_npy(f"{folder}/{item['file']}")
        shapes += ["--input", f"{item['name']}={','.join(map(str, shape))}"]
        inputs.append(f"{item['name']}={item['file']}.raw")
        with open(f"{work}/{item['file']}.raw", "wb") as file:
            file.write(raw)
    run([neo, "compile", model, "-o", f"{work}/out", "--target", target, "--quiet"] + shapes + options
        + ([] if "--db" in options else ["--db", "none"]))
    names = sorted(os.listdir(f"{work}/out"))
    if names != ["compiled.dll", "compiled.meta", "compiled.params", "compiled_model.json"]:
        sys.exit(f"{model}: the artifact holds {names}")
    run([wine, program, "out"] + inputs + ["-o", "result"], cwd=work, env=env)
    compared = 0
    for i, item in enumerate(meta["outputs"]):
        descr, _, raw = read_npy(f"{folder}/{item['file']}")
        with open(f"{work}/result{i}", "rb") as file:
            got = values(descr, file.read())
        want = values(descr, raw)
        bad = [k for k in range(len(want)) if k >= len(got) or not close(got[k], want[k], meta["rtol"], meta["atol"])]
        if bad or len(got) != len(want):
            sys.exit(f"{model}: output {i}: {len(bad)} of {len(want)} values are wrong, {len(got)} came")
        compared += len(want)
    return compared


def check_tuning(source, tools, work):
    """A short search measured under wine: every candidate that ran was right, and what it found compiles."""
    neo, wine, program, env = tools
    folder = f"{source}/tests/data/onnx/mnist_cnn_op13"
    common = [f"{folder}/model.onnx", "--input", "x=64,1,28,28", "--threads", "1", "--db", f"{work}/tuned.db"]
    result = subprocess.run([f"{os.path.dirname(neo)}/neo-tune"] + common + ["--target", "host-windows", "--measure", "wine",
                            "--trials", "10"], capture_output=True, text=True, timeout=900, env=env)
    if result.returncode != 0 or "10 trials (10 usable, 0 failed)" not in result.stdout:
        sys.exit(f"neo-tune --measure wine: exit code {result.returncode}\n{result.stdout[-3000:]}{result.stderr}")
    check_case(folder, f"{folder}/model.onnx", ["--threads", "1", "--db", f"{work}/tuned.db"], tools, work, "host-windows")


def main():
    binaries, source, wine = map(os.path.abspath, sys.argv[1:])
    program = f"{binaries}/windows/run_model.exe"
    if not os.path.exists(wine) or not os.path.exists(program):
        print(f"skipped: wine ({wine}) or {program} is missing: scripts/install-deps.sh installs what they need")
        sys.exit(77)
    cases = [(f"{source}/tests/data/{folder}", model, options) for folder, model, options in CASES]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    classifier = f"{cache}/neo/models/ocr_cls/model.onnx"
    if os.path.exists(classifier):  # fetched by scripts/models.sh
        cases.append((f"{source}/tests/data/ocr_cls", classifier, ["--threads", "2"]))
    with tempfile.TemporaryDirectory() as work:
        with WinePrefix(wine, f"{work}/wine") as env:
            tools = (f"{binaries}/neo", wine, program, env)
            for folder, model, options in cases:
                path = model if os.path.isabs(model) else f"{folder}/{model}"
                n = check_case(folder, path, options, tools, work)
                print(f"{os.path.relpath(path, source)}: {n} values as stored")
                shutil.rmtree(f"{work}/out")
            check_tuning(source, tools, work)
            print("tuned under wine")


main()
