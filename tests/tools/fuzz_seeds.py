#!/usr/bin/env python3
"""Sorts model files and texts into seeds of the fuzz targets.

  fuzz_seeds.py OUT FOLDER...    OUT/TARGET/name for every file below a FOLDER that a target takes

Formats of several files are packed as their targets unpack them (tests/fuzz/fuzz_TARGET.c). Files
above 256 KB are left out: fuzzers are slow on them. Only the standard library is used.
"""
import hashlib
import io
import os
import struct
import sys
import tarfile
import zipfile

LARGEST = 256 << 10
BY_SUFFIX = {".onnx": "onnx", ".tflite": "tflite", ".h5": "keras", ".keras": "keras", ".pt": "torch",
             ".pth": "torch", ".pt2": "torch_export", ".ubj": "xgboost", ".deprecated": "xgboost",
             ".npy": "npy", ".te": "te", ".nest": "nest", ".index": "bundle", ".json": "json"}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def parts(*parts):
    """All but the last with their size in front."""
    return b"".join(struct.pack("<I", len(p)) + p for p in parts[:-1]) + parts[-1]


def saved_model(path):
    variables = os.path.join(os.path.dirname(path), "variables")
    index = os.path.join(variables, "variables.index")
    data = os.path.join(variables, "variables.data-00000-of-00001")
    if os.path.exists(index) and os.path.exists(data):
        yield "savedmodel", parts(read(path), read(index), read(data))


def mxnet(path):
    for name in sorted(os.listdir(os.path.dirname(path))):
        if name.endswith(".params"):
            yield "mxnet", read(path) + b"\0" + read(os.path.join(os.path.dirname(path), name))
            return


def members(path):
    """What the torch targets take besides whole archives: pickles, code, JSON."""
    with zipfile.ZipFile(path) as archive:
        by_name = {name.split("/", 1)[-1]: name for name in archive.namelist()}
        for name, full in by_name.items():
            if name in ("data.pkl", "constants.pkl") or (name.startswith("code/") and name.endswith(".py")):
                yield "torch", archive.read(full)
        if "models/model.json" in by_name:
            weights = by_name.get("data/weights/model_weights_config.json")
            yield "torch_export", parts(archive.read(by_name["models/model.json"]),
                                        archive.read(weights) if weights else b"{}", bytes(4096))


def tarball(path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.add(path, arcname="model/" + os.path.basename(path))
    yield "tarball", out.getvalue()


def seeds(path):
    name = os.path.basename(path)
    suffix = os.path.splitext(name)[1]
    if name == "saved_model.pb":
        yield from saved_model(path)
    elif name.endswith("-symbol.json") or name == "symbol.json":
        yield from mxnet(path)
    elif suffix == ".pb":
        yield "tensorflow", read(path)
    elif "xgboost" in path and suffix in (".json", ".bin", ".model") and name != "meta.json":
        yield "xgboost", read(path)
    elif suffix in BY_SUFFIX:
        yield BY_SUFFIX[suffix], read(path)
    if suffix in (".onnx", ".tflite"):
        yield from tarball(path)
    if suffix in (".pt", ".pt2", ".pth") and zipfile.is_zipfile(path):
        yield from members(path)


def main():
    out, counts = sys.argv[1], {}
    for folder in sys.argv[2:]:
        for root, _, names in os.walk(folder):
            if f"{os.sep}fuzz{os.sep}" in root + os.sep:
                continue
            for path in sorted(os.path.join(root, name) for name in names):
                for target, data in seeds(path):
                    if len(data) > LARGEST:
                        continue
                    os.makedirs(os.path.join(out, target), exist_ok=True)
                    with open(os.path.join(out, target, hashlib.sha1(data).hexdigest()), "wb") as file:
                        file.write(data)
                    counts[target] = counts.get(target, 0) + 1
    print("seeds: " + ", ".join(f"{target} {counts[target]}" for target in sorted(counts)))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
