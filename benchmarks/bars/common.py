"""What the bars share: running neo, comparing outputs, benchmarks/pair, the machine, the results files.

Why Python: these scripts only start programs and compare arrays. Nothing here is timed in-process: latencies
come from benchmarks/pair, wall clocks from whole processes.
"""
import csv
import datetime
import glob
import json
import os
import re
import shlex
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("NEO_BIN", os.path.join(ROOT, "build", "bin"))
NEO, NEO_TUNE = os.path.join(BIN, "neo"), os.path.join(BIN, "neo-tune")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "neo")
RESULTS = os.environ.get("NEO_RESULTS", os.path.join(ROOT, "benchmarks", "results"))


def say(text):
    print(text, flush=True)


def run(argv, log=None):
    """Seconds and peak resident bytes of a process; its output goes to the file `log`. Ends the script when it fails.

    The peak is the child's ru_maxrss, which cannot be below this script's own (some 40 MB)."""
    start = time.monotonic()
    with open(log or os.devnull, "w") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = open(log).read()[-2000:] if log else ""
        raise RuntimeError(f"{shlex.join(argv)}: exit code {process.returncode}\n{tail}")
    return time.monotonic() - start, usage.ru_maxrss * 1024


def pair(a, b, pairs):
    """benchmarks/pair on two workers: its JSON, times in ms beside."""
    argv = [sys.executable, os.path.join(ROOT, "benchmarks", "pair"), "--a", a, "--b", b, "--pairs", str(pairs), "--json"]
    return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout)


def repeats(ns):
    return " ".join(f"{t / 1e6:.3f}" for t in ns)


def ratio_text(result):
    return f"{result['ratio']:.3f} [{result['ratio_low']:.3f}, {result['ratio_high']:.3f}]"


def neo_worker(artifact):
    return shlex.join([NEO, "bench", artifact, "--serve"])


def ort_worker(case, threads):
    argv = [sys.executable, os.path.join(ROOT, "benchmarks", "peers", "ort.py"), case.model, "--threads", str(threads)]
    for value in case.meta["inputs"]:
        argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
    return shlex.join(argv)


class Case:
    """A model with inputs and reference outputs: a folder with meta.json (docs: tests/data/onnx)."""

    def __init__(self, folder, model=None):
        self.folder, self.name = folder, os.path.basename(folder.rstrip("/"))
        with open(os.path.join(folder, "meta.json")) as file:
            self.meta = json.load(file)
        self.model = model or os.path.join(folder, "model.onnx")

    def compile(self, out, threads, db="none", log=None):
        argv = [NEO, "compile", self.model, "-o", out, "--threads", str(threads), "--db", db]
        for value in self.meta["inputs"]:
            argv += ["--input", value["name"] + "=" + ",".join(map(str, value["shape"]))]
        return run(argv, log)

    def run_and_check(self, artifact, out, log=None):
        """Runs the stored inputs; (peak bytes, largest error, largest share of rtol 1e-3, atol 1e-4 or of meta.json's own)."""
        import numpy as np
        argv = [NEO, "run", artifact, "--output-dir", out]
        for value in self.meta["inputs"]:
            argv += ["--input", value["name"] + "=" + os.path.join(self.folder, value["file"])]
        for old in glob.glob(os.path.join(out, "*.npy")):
            os.remove(old)
        _, peak = run(argv, log)
        rtol, atol, error, share = self.meta.get("rtol", 1e-3), self.meta.get("atol", 1e-4), 0.0, 0.0
        for value in self.meta["outputs"]:
            got = np.load(os.path.join(out, re.sub("[/:]", "_", value["name"]) + ".npy"))
            want = np.load(os.path.join(self.folder, value["file"]))
            if got.shape != want.shape or got.dtype != want.dtype:
                raise RuntimeError(f"output {value['name']}: {got.dtype}{got.shape}, expected {want.dtype}{want.shape}")
            difference = np.abs(got.astype(np.float64) - want)
            if not np.isfinite(difference).all():
                return peak, float("inf"), float("inf")
            error = max(error, float(difference.max()))
            share = max(share, float((difference / (atol + rtol * np.abs(want))).max()))
        return peak, error, share


def models_dir():
    return os.environ.get("NEO_MODELS", os.path.join(CACHE, "models"))


def fetch_models(names):
    """scripts/models.sh: makes or fetches what is not there yet."""
    subprocess.run([os.path.join(ROOT, "scripts", "models.sh"), models_dir(), *names], check=True, stdout=subprocess.DEVNULL)


def machine():
    """One line: what was measured on and how busy it was."""
    info = open("/proc/cpuinfo").read()
    name = re.search(r"model name\s*: (.*)", info)
    flags = (re.search(r"flags\s*: (.*)", info) or re.search(r"Features\s*: (.*)", info))
    isa = [f for f in ("avx2", "fma", "avx512f", "avx512_vnni", "asimd") if flags and f in flags[1].split()]
    memory = int(re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo").read())[1]) >> 20
    return (f"{name[1].strip() if name else os.uname().machine}; {'+'.join(isa)}; {os.cpu_count()} cpus; {memory} GB; "
            f"Linux {os.uname().release}; load {os.getloadavg()[0]:.1f}")


def commit():
    found = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return found.stdout.strip() or "unknown"


def append(name, row):
    """One more row in results/<name>.csv; date, commit and machine are added."""
    os.makedirs(RESULTS, exist_ok=True)
    path = os.path.join(RESULTS, name + ".csv")
    row = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "commit": commit(), **row, "machine": machine()}
    if os.path.exists(path):
        with open(path, newline="") as file:
            header = next(csv.reader(file), [])
        if header != list(row):
            sys.exit(f"{path}: has other columns; move it away")
    new = not os.path.exists(path)
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    return path


def run_label():
    """What rows belong together: NEO_RUN, else today. A row that its run has already is not measured again."""
    return os.environ.get("NEO_RUN") or datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def rows_of_run(name, label, **match):
    """The rows of results/<name>.csv with this run's label and these values."""
    path = os.path.join(RESULTS, name + ".csv")
    if not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        return [r for r in csv.DictReader(file) if r["run"] == label and all(r[k] == str(v) for k, v in match.items())]


def bench_operator():
    return os.path.join(os.path.dirname(BIN), "benchmarks", "bench_operator")


def verdict(ok):
    return "ok" if ok else "MISSED"
