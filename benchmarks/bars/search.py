"""How good the search is on single operators: the best time so far against trials and seconds.

usage: search.py [TEXT...]     only operators whose name or group contains one of the texts
       NEO_TRIALS=1000 (per operator), NEO_THREADS=1, NEO_RUN=label, NEO_PEERS=operators.csv (rows with layer, warm_peer_us; other libraries' best times)

One row of results/search.csv per operator, appended as soon as it is measured: the first trial, and the best of 5 and of 20, as shares of the
better of (best of all trials, best peer): 1 is as fast. Times are those that the search itself goes by: verified, timed interleaved with the
best so far, warm.
"""
import csv
import os
import statistics
import subprocess
import sys

import common
import layers
from common import say

BARS = {1: 0.90, 5: 0.95, 20: 0.98}
MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def kernels():
    folder = os.path.join(common.ROOT, "benchmarks", "kernels")
    return [(name[:-3], "kernels", os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith(".te")]


def operators(work):
    """(name, group, path of the te, row-major?)"""
    found = []
    for layer in layers.resnet50() + layers.mobilenet_v2() + layers.gemms():
        path = os.path.join(work, layers.name(layer).replace(" ", "_") + ".te")
        with open(path, "w") as out:
            out.write(layers.te(layer))
        found.append((layers.name(layer), layer["group"], path, layer["kind"] == "gemm"))
    return found + [(*kernel, False) for kernel in kernels()]


def peers():
    """Least microseconds by layer."""
    best, path = {}, os.environ.get("NEO_PEERS")
    if not path:
        return best
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row.get("warm_peer_us"):
                best[row["layer"]] = min(best.get(row["layer"], float("inf")), float(row["warm_peer_us"]))
    return best


def search(path, row_major, trials, threads):
    """[(seconds, ns or 0)] in the order in which the trials ended."""
    argv = [common.bench_operator(), "--threads", str(threads), *(["--row-major"] if row_major else []), "--trace", "--trials", str(trials),
            "--tune", "3600", path]
    text = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split("\t") for line in text.splitlines() if line.startswith("trial\t")]
    return [(float(seconds), float(ns)) for _, _, seconds, ns, *_ in rows]


def curve(trace):
    """Best so far in ns after each trial; infinite before the first that is usable."""
    best, out = float("inf"), []
    for _, ns in trace:
        best = min(best, ns) if ns > 0 else best
        out.append(best)
    return out


def measure(name, group, path, row_major, trials, threads, peer_us):
    trace = search(path, row_major, trials, threads)
    best = curve(trace)
    goal = min(best[-1] / 1e3, peer_us or float("inf"))

    def share(n):
        return goal / (best[min(n, len(best)) - 1] / 1e3)

    return {"layer": name, "group": group, "threads": threads, "wanted": trials, "trials": len(trace),
            "usable": sum(ns > 0 for _, ns in trace), "seconds": f"{trace[-1][0]:.1f}", "trials_per_s": f"{len(trace) / trace[-1][0]:.1f}",
            "first_us": f"{best[0] / 1e3:.1f}", "best_us": f"{best[-1] / 1e3:.1f}", "peer_us": f"{peer_us:.1f}" if peer_us else "",
            **{f"share_{n}": f"{share(n):.3f}" for n in BARS},
            "curve": " ".join(f"{n}:{trace[n - 1][0]:.1f}s:{best[n - 1] / 1e3:.1f}" for n in MARKS if n <= len(best))}


def judge(rows):
    for n, bar in BARS.items():
        middle = statistics.median(float(row[f"share_{n}"]) for row in rows)
        say(f"  after {n} trial{'s' if n > 1 else ''}: median {middle:.3f} over {len(rows)} operators (bar {bar}: {common.verdict(middle >= bar)})")


def main():
    trials, threads, label = int(os.environ.get("NEO_TRIALS", "1000")), int(os.environ.get("NEO_THREADS", "1")), common.run_label()
    work = os.path.join(common.CACHE, "bars", "search")
    os.makedirs(work, exist_ok=True)
    known, rows = peers(), []
    for name, group, path, row_major in operators(work):
        if sys.argv[1:] and not any(text in name or text in group for text in sys.argv[1:]):
            continue
        found = common.rows_of_run("search", label, layer=name, threads=threads, wanted=trials)
        row = found[0] if found else {"run": label, **measure(name, group, path, row_major, trials, threads, known.get(name))}
        if not found:
            common.append("search", row)
        rows.append(row)
        say(f"{name:40} first {row['first_us']:>9} best {row['best_us']:>9} us  " + "  ".join(f"{n}: {row[f'share_{n}']}" for n in BARS)
            + f"  {row['trials']} trials, {row['trials_per_s']}/s")
    if not rows:
        sys.exit("no operator has that name")
    judge(rows)


main()
