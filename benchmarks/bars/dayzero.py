"""Layers with every dim one more and one less: does an empty database keep the speed of the round sizes?

usage: dayzero.py [TEXT...]       only layers whose name contains one of the texts; NEO_ROUNDS=11, NEO_RUN=label

One row of results/dayzero.csv per layer. Every layer and its variants (benchmarks/bars/layers.py) are built from the analytic pick
and timed round robin in one process by build/benchmarks/bench_operator; a variant's share is its GFLOP/s against the layer's own, the
median over the rounds.
"""
import os
import subprocess
import sys

import common
import layers
from common import say

BAR = 0.85


def measure(layer, rounds):
    folder = os.path.join(common.CACHE, "bars", "dayzero")
    os.makedirs(folder, exist_ok=True)
    wanted, paths = {"base": layer, **layers.variants(layer)}, []
    for change, variant in wanted.items():
        paths.append(os.path.join(folder, f"{change}.te"))
        with open(paths[-1], "w") as out:
            out.write(layers.te(variant))
    flags = ["--row-major"] if layer["kind"] == "gemm" else []
    text = subprocess.run([common.bench_operator(), *flags, "--rounds", str(rounds), "--compare", *paths], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split("\t") for line in text.splitlines()]
    shares = {change: float(row[3]) for change, row in zip(wanted, rows)}
    others = {change: share for change, share in shares.items() if change != "base"}
    worst = min(others, key=others.get)
    return {"layer": layers.name(layer), "group": layer["group"], "gflops": f"{float(rows[0][2]):.1f}",
            "predicted_to_measured": f"{float(rows[0][4]):.2f}", "worst_change": worst, "worst_share": f"{others[worst]:.3f}",
            "shares": " ".join(f"{change}:{share:.3f}" for change, share in others.items()),
            "gflops_all": " ".join(f"{change}:{float(row[2]):.1f}" for change, row in zip(wanted, rows))}


def main():
    rounds, label = int(os.environ.get("NEO_ROUNDS", "11")), common.run_label()
    chosen = layers.resnet50() + layers.mobilenet_v2() + layers.gemms()
    chosen = [x for x in chosen if not sys.argv[1:] or any(text in layers.name(x) for text in sys.argv[1:])]
    done = {row["layer"]: row for row in common.rows_of_run("dayzero", label)}
    say(f"run {label}, one thread, empty database, on {common.machine()}")
    say(f"{'layer':38} {'GFLOP/s':>8} {'worst':>6}        shares of the layer's GFLOP/s")
    rows = []
    for layer in chosen:
        name = layers.name(layer)
        if name not in done:
            done[name] = {"run": label, **measure(layer, rounds)}
            common.append("dayzero", done[name])
        r = done[name]
        rows.append(r)
        say(f"{name:38} {r['gflops']:>8} {r['worst_share']:>6} {'' if float(r['worst_share']) >= BAR else 'MISSED':6} {r['shares']}")
    missed = sum(float(r["worst_share"]) < BAR for r in rows)
    say(f"{missed} of {len(rows)} layers have a neighbour below {BAR} of their GFLOP/s (bar: none: {common.verdict(missed == 0)})")


main()
