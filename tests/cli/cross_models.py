"""Whole models compiled for other processors give the stored results of their frameworks: artifact, libneo_rt and
neo-run of that architecture under qemu, with its C library.

usage: cross_models.py BIN SOURCE [--all]     BIN has neo and neo-run-ARCH; --all: every model on every target
Exit code 77: nothing of that can run here. A table is printed: the largest error by the model's tolerance, and seconds.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from stored_arrays import error_of, read_npy

# target, architecture, emulator, its processor, where its C library is ("": in neo-run)
TARGETS = [
    ("rasp4b", "aarch64", "qemu-aarch64", "cortex-a72", "/usr/aarch64-linux-gnu"),
    ("rasp5", "aarch64", "qemu-aarch64", "neoverse-n1", "/usr/aarch64-linux-gnu"),
    ("graviton3", "aarch64", "qemu-aarch64", "max,sve256=on", "/usr/aarch64-linux-gnu"),
    ("cortex-a9", "armv7", "qemu-arm", "cortex-a9", "/usr/arm-linux-gnueabihf"),
    ("cortex-a15", "armv7", "qemu-arm", "cortex-a15", "/usr/arm-linux-gnueabihf"),
    ("riscv64", "riscv64", "qemu-riscv64", "rv64", "/usr/riscv64-linux-gnu"),
    ("riscv64-v", "riscv64", "qemu-riscv64", "rv64,v=true,vext_spec=v1.0,vlen=128", "/usr/riscv64-linux-gnu"),
    ("hexagon", "hexagon", "qemu-hexagon", "v67", ""),
    ("hexagon-hvx", "hexagon", "qemu-hexagon", "v67", ""),
]
# folder in tests/data, model file, workers, small enough for every test run
MODELS = [
    ("onnx/mnist_cnn_op13", "model.onnx", 2, True),
    ("onnx/mnist_cnn_qdq", "model.onnx", 1, True),
    ("xgboost/churn_v10", "model.json", 1, True),
    ("onnx/mobile_f16", "model.onnx", 1, False),
    ("onnx/mobilenet_v2_035_dynamo", "model.onnx", 1, False),
    ("onnx/resnet18_w8_op13", "model.onnx", 1, False),
    ("ocr_cls", "", 2, False),
]
HARD_FLOAT, SOFT_FLOAT, FLAGS_AT = 0x400, 0x200, 36


def run(words, good=True):
    result = subprocess.run(words, capture_output=True, text=True, timeout=900)
    if good and result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit code {result.returncode}: {(result.stdout + result.stderr)[-600:]}")
    return result


def emulated(binaries, target):
    _, arch, emulator, cpu, root = target
    return [emulator, *(["-L", root] if root else []), "-cpu", cpu, f"{binaries}/neo-run-{arch}"]


def compile_for(binaries, folder, model, target, threads, out, accuracy="default"):
    with open(f"{folder}/meta.json") as file:
        meta = json.load(file)
    words = [f"{binaries}/neo", "compile", model, "-o", out, "--db", "none", "--target", target[0], "--quiet",
             "--threads", str(threads), "--accuracy", accuracy]
    for item in meta["inputs"]:
        shape, _ = read_npy(f"{folder}/{item['file']}")
        words += ["--input", f"{item['name']}={','.join(map(str, shape))}"]
    run(words)
    return meta


def check_case(binaries, folder, model, target, threads, work, accuracy="default"):
    """The largest error."""
    meta = compile_for(binaries, folder, model, target, threads, f"{work}/out", accuracy)
    inputs = [f"{item['name']}={folder}/{item['file']}" for item in meta["inputs"]]
    run(emulated(binaries, target) + [f"{work}/out"] + inputs + ["-o", f"{work}/result"])
    worst = 0
    for i, item in enumerate(meta["outputs"]):
        shape, want = read_npy(f"{folder}/{item['file']}")
        got_shape, got = read_npy(f"{work}/result{i}.npy")
        if shape != got_shape:
            raise RuntimeError(f"output {i} has shape {got_shape}, {shape} expected")
        worst = max([worst] + [error_of(g, w, meta["rtol"], meta["atol"]) for g, w in zip(got, want)])
    return worst


def check_hard_float(binaries, source, work):
    """The flag is there, and a C library of that ABI looks at it."""
    target = next(t for t in TARGETS if t[1] == "armv7")
    folder, model = f"{source}/tests/data/xgboost/churn_v10", "model.json"
    meta = compile_for(binaries, folder, f"{folder}/{model}", target, 1, f"{work}/flags")
    path = f"{work}/flags/compiled.so"
    with open(path, "rb") as file:
        library = bytearray(file.read())
    flags = int.from_bytes(library[FLAGS_AT:FLAGS_AT + 4], "little")
    if not flags & HARD_FLOAT:
        raise RuntimeError(f"compiled.so has the flags {flags:#x}: not of the hard-float ABI")
    library[FLAGS_AT:FLAGS_AT + 4] = (flags ^ HARD_FLOAT ^ SOFT_FLOAT).to_bytes(4, "little")
    with open(path, "wb") as file:
        file.write(library)
    words = emulated(binaries, target) + [f"{work}/flags"]
    if run(words, good=False).returncode == 0:
        raise RuntimeError("a soft-float compiled.so was loaded: the flag is not looked at")
    shutil.rmtree(f"{work}/flags")
    print(f"{meta['name']}: flags {flags:#x}, hard-float ABI; a soft-float one is refused")


def check_half(binaries, source, work):
    """Sums of f16 are made in f16 where that is asked for, and good enough."""
    target = next(t for t in TARGETS if t[0] == "rasp5")
    folder = f"{source}/tests/data/onnx/mobile_f16"
    for accuracy in ("default", "fast"):
        worst = check_case(binaries, folder, f"{folder}/model.onnx", target, 1, work, accuracy)
        sums = run([f"{binaries}/neo", "inspect", f"{work}/out", "--schedule"]).stdout.count("alg half")
        shutil.rmtree(f"{work}/out")
        print(f"mobile_f16 {target[0]} --accuracy {accuracy}: {worst:.4f} of the tolerance, {sums} kernels sum in f16")
        if worst > 1 or (sums > 0) != (accuracy == "fast"):
            raise RuntimeError("mobile_f16 is wrong, or sums in another type than asked for")


def models(source):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder, model, threads, small in MODELS:
        path = f"{source}/tests/data/{folder}/{model}" if model else f"{cache}/neo/models/{folder}/model.onnx"
        yield f"{source}/tests/data/{folder}", path, threads, small


def main():
    binaries, source = map(os.path.abspath, sys.argv[1:3])
    everything = "--all" in sys.argv
    targets = [t for t in TARGETS if shutil.which(t[2]) and os.path.exists(f"{binaries}/neo-run-{t[1]}")]
    for target in TARGETS:
        if target not in targets:
            print(f"skipped: {target[0]}: {target[2]} or neo-run-{target[1]} is missing: scripts/install-deps.sh")
    if not targets:
        sys.exit(77)
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        if any(t[1] == "armv7" for t in targets):
            check_hard_float(binaries, source, work)
        if any(t[0] == "rasp5" for t in targets):
            check_half(binaries, source, work)
        for folder, model, threads, small in models(source):
            name = os.path.basename(folder)
            if not small and not everything:
                continue
            if not os.path.exists(model):
                print(f"{name}: {model} is missing: scripts/models.sh fetches it")
                failed += everything
                continue
            for target in targets:
                start = time.monotonic()
                try:
                    worst = check_case(binaries, folder, model, target, threads, work)
                    failed += worst > 1
                    verdict = f"{worst:8.4f} of the tolerance  {'ok' if worst <= 1 else 'WRONG'}"
                except RuntimeError as error:
                    failed += 1
                    verdict = f"FAILED: {error}"
                print(f"{name:24} {target[0]:12} {verdict}  {time.monotonic() - start:6.1f} s", flush=True)
                shutil.rmtree(f"{work}/out", ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
