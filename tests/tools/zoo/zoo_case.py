"""Writes a case as tests/tools/corpus.py reads it: a model with inputs and the framework's own outputs."""
import json
import os

import numpy as np


def done(root, kind, name):
    return os.path.exists(os.path.join(root, kind, name, "meta.json"))


def folder(root, kind, name):
    path = os.path.join(root, kind, name)
    os.makedirs(path, exist_ok=True)
    return path


def save(root, kind, name, models, inputs, outputs, rtol=1e-3, share=1e-4, states=None):
    """inputs and outputs: lists of (name, array). atol: `share` of the largest output. meta.json comes last. states, name ->
    array: what else the first run is given; inputs and outputs are then of several runs, one after the other."""
    path, top = folder(root, kind, name), 0.0
    both = {"keras": "keras_h5" if models[0].endswith(".h5") else "keras_v3"}  # in one folder of tests/data
    meta = {"format": both.get(kind, kind), "name": name, "model": models, "inputs": [], "outputs": []}
    for key, values in (("inputs", inputs), ("outputs", outputs)):
        for k, (label, value) in enumerate(values):
            file = f"{key[:-1]}_{k}.npy"
            np.save(os.path.join(path, file), value)
            meta[key].append({"name": label, "file": file, "shape": list(value.shape), "dtype": str(value.dtype)})
            if key == "outputs":
                top = max(top, float(np.abs(value).max()))
    for k, (label, value) in enumerate(sorted((states or {}).items())):
        np.save(os.path.join(path, f"state_{k}.npy"), value)
        meta.setdefault("states", []).append({"name": label, "file": f"state_{k}.npy", "shape": list(value.shape)})
    meta.update(rtol=rtol, atol=share * top)
    with open(os.path.join(path, "meta.json"), "w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1)
