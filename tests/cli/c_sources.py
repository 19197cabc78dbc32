"""`neo compile --codegen c --sources` for compilers that Neo cannot start: the files build without a warning into a
library that takes compiled.so's place, and give the model's stored results, here and on other processors under qemu.

usage: c_sources.py BIN SOURCE     BIN has neo, neo-run and perhaps neo-run-ARCH
"""

import glob
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

# compiler, what runs the program, the program
BUILDS = [
    ("gcc", [], "neo-run"),
    ("aarch64-linux-gnu-gcc", ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], "neo-run-aarch64"),
    ("arm-linux-gnueabihf-gcc", ["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"], "neo-run-armv7"),
    ("riscv64-linux-gnu-gcc", ["qemu-riscv64", "-L", "/usr/riscv64-linux-gnu"], "neo-run-riscv64"),
]
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fPIC", "-shared"]


def run(words, good=True):
    result = subprocess.run(words, capture_output=True, text=True, timeout=900)
    if (result.returncode == 0) != good:
        sys.exit(f"{' '.join(words)}: exit code {result.returncode}\n{(result.stdout + result.stderr)[-3000:]}")
    return result.stdout + result.stderr


def read_floats(path):
    with open(path, "rb") as file:
        data = file.read()
    start = 10 + int.from_bytes(data[8:10], "little")
    return struct.unpack(f"<{(len(data) - start) // 4}f", data[start:])


def main():
    binaries, source = map(os.path.abspath, sys.argv[1:])
    folder = f"{source}/tests/data/onnx/mnist_cnn_op13"
    with open(f"{folder}/meta.json") as file:
        meta = json.load(file)
    want = read_floats(f"{folder}/output_0.npy")
    with tempfile.TemporaryDirectory() as work:
        out = f"{work}/out"
        compile_model = [f"{binaries}/neo", "compile", f"{folder}/model.onnx", "-o", out, "--db", "none", "--target", "generic-c",
                         "--input", "x=64,1,28,28", "--threads", "1", "--quiet", "--sources"]
        if "--codegen c" not in run(compile_model, good=False):
            sys.exit("sources of another code generator are not refused")
        compile_model += ["--codegen", "c"]
        run(compile_model)
        run(compile_model)  # an artifact with sources is an artifact
        with open(f"{out}/sources/notes.txt", "w") as file:
            file.write("the user's\n")
        if "is no part of an artifact" not in run(compile_model, good=False):
            sys.exit("somebody's file among the sources would be lost")
        os.remove(f"{out}/sources/notes.txt")
        sources = sorted(glob.glob(f"{out}/sources/*.c"))
        used = 0
        for compiler, emulator, program in BUILDS:
            if not shutil.which(compiler) or not os.path.exists(f"{binaries}/{program}"):
                print(f"left out: {compiler} or {program} is missing")
                continue
            os.remove(f"{out}/compiled.so")
            run([compiler] + FLAGS + ["-o", f"{out}/compiled.so"] + sources + ["-lm"])
            run(emulator + [f"{binaries}/{program}", out, f"x={folder}/input_0.npy", "-o", f"{work}/result"])
            got = read_floats(f"{work}/result0.npy")
            bad = [k for k in range(len(want)) if not abs(got[k] - want[k]) <= meta["atol"] + meta["rtol"] * abs(want[k])]
            if bad or len(got) != len(want):
                sys.exit(f"{compiler}: {len(bad)} of {len(want)} values are wrong, {len(got)} came")
            print(f"{compiler}: {len(sources)} files, {len(want)} values as stored")
            used += 1
        if used == 0:
            sys.exit("no compiler was found")


main()
