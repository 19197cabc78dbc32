"""Single operators, one thread, against oneDNN (convolutions, fully connected) and OpenBLAS (matrix products).

usage: operators.py [TEXT...]     only layers whose name or group contains one of the texts
       NEO_BUDGET=0 (seconds of tuning a layer, half of it warm, half cold; 0: the analytic pick), NEO_PAIRS=15, NEO_RUN=label

One row of results/operators.csv per layer, appended as soon as it is measured: speed is the peer's time over ours (more is better),
with warm caches and with weights that left them before every run. Layouts are free on both sides and nothing is converted in the timed
run, but for matrix products, which are row-major (the constant factor packed beforehand on our side: OpenBLAS has no call for that).
"""
import math
import os
import shlex
import subprocess
import sys

import common
import layers
from common import say

PEERS = {"onednn": "dnnl_worker", "openblas": "blas_worker"}


def peer_argv(folder, peer, layer, options):
    sizes = layers.dnnl_arguments(layer) if peer == "onednn" else [str(layer[d]) for d in "mnk"]
    return ["env", "-u", "OPENBLAS_CORETYPE", "-u", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS=1", os.path.join(folder, PEERS[peer]), *options, *sizes]


def output_of(argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def measure(layer, peer, folder, budget, pairs):
    work = os.path.join(common.CACHE, "bars", "operators")
    os.makedirs(work, exist_ok=True)
    path = os.path.join(work, "layer.te")
    with open(path, "w") as out:
        out.write(layers.te(layer))
    base = [common.bench_operator(), *(["--row-major"] if layer["kind"] == "gemm" else [])]
    row = {"layer": layers.name(layer), "group": layer["group"], "count": layer["count"], "peer": peer,
           "peer_info": output_of(peer_argv(folder, peer, layer, ["--info"])), "budget_s": budget}
    for mode, options in (("warm", []), ("cold", ["--cold"])):
        trials, line = "0", output_of([*base, "--pick", path]).split("\t")[1]
        if budget:
            _, trials, _, line = output_of([*base, *options, "--tune", str(budget / 2), path]).split("\t")
        ours = shlex.join([*base, *options, "--line", line, "--serve", path])
        result = common.pair(shlex.join(peer_argv(folder, peer, layer, options)), ours, pairs)
        row.update({f"{mode}_speed": f"{result['ratio']:.3f}", f"{mode}_low": f"{result['ratio_low']:.3f}",
                    f"{mode}_high": f"{result['ratio_high']:.3f}", f"{mode}_neo_us": f"{result['b_median_ms'] * 1e3:.1f}",
                    f"{mode}_peer_us": f"{result['a_median_ms'] * 1e3:.1f}",
                    f"{mode}_neo_gflops": f"{layers.flop(layer) / result['b_median_ms'] / 1e6:.1f}",
                    f"{mode}_peer_gflops": f"{layers.flop(layer) / result['a_median_ms'] / 1e6:.1f}", f"{mode}_trials": trials,
                    f"{mode}_schedule": line, f"{mode}_neo_ms_all": common.repeats(result["b_ns"]),
                    f"{mode}_peer_ms_all": common.repeats(result["a_ns"])})
    return row


def is_winograd_shape(layer):
    return layer["kind"] == "conv" and layer["k"] == 3 and layer["s"] == 1


def judge(rows, mode):
    """The bars over what was measured; a bar without layers is left out."""
    def speeds(match):
        return [float(row[f"{mode}_speed"]) for layer, row in rows if match(layer, row)]

    def least(what, bar, match):
        found = speeds(match)
        if found:
            say(f"  {mode}: {what}: least {min(found):.3f} of {len(found)} (bar {bar}: {common.verdict(min(found) >= bar)})")

    def dnn(layer, row):
        return row["peer"] == "onednn" and layer["group"] in ("resnet50", "mobilenet_v2")

    least("every layer", 0.97, dnn)
    if speeds(dnn):
        mean = math.exp(sum(map(math.log, speeds(dnn))) / len(speeds(dnn)))
        say(f"  {mode}: geometric mean over the layers {mean:.3f} (bar 1.2: {common.verdict(mean >= 1.2)})")
    for group, bar in (("resnet50", 0.75), ("mobilenet_v2", 0.80)):
        found = [(layer, row) for layer, row in rows if layer["group"] == group]
        if found:
            neo, peer = (sum(layer["count"] * float(row[f"{mode}_{side}_us"]) for layer, row in found) / 1e3 for side in ("neo", "peer"))
            say(f"  {mode}: sum over {group}'s layers {neo:.2f} of {peer:.2f} ms: {neo / peer:.3f} (bar {bar}: {common.verdict(neo / peer <= bar)})")
    least("3x3 of 64 to 256 channels", 2.2, lambda layer, _: is_winograd_shape(layer) and 64 <= layer["c"] <= 256)
    least("3x3 of 7x7x512", 1.6, lambda layer, _: is_winograd_shape(layer) and layer["c"] == 512)
    least("depthwise", 1.4, lambda layer, _: layer["kind"] == "depthwise")
    products = speeds(lambda _, row: row["peer"] == "openblas")
    if products:
        mean = math.exp(sum(map(math.log, products)) / len(products))
        say(f"  {mode}: products against OpenBLAS: geometric mean {mean:.3f} (bar 1.05: {common.verdict(mean >= 1.05)}), "
            f"least {min(products):.3f} (bar 1.0: {common.verdict(min(products) >= 1)})")


def main():
    budget, pairs, label = int(os.environ.get("NEO_BUDGET", "0")), int(os.environ.get("NEO_PAIRS", "15")), common.run_label()
    folder = output_of([os.path.join(common.ROOT, "benchmarks", "operator_peers.sh")])
    fc = layers.fully_connected()
    wanted = [(x, "onednn") for x in layers.resnet50() + layers.mobilenet_v2()] + [(x, "openblas") for x in layers.gemms()]
    wanted += [(fc, "onednn"), (fc, "openblas")]
    wanted = [(x, p) for x, p in wanted if not sys.argv[1:] or any(t in layers.name(x) or t == x["group"] for t in sys.argv[1:])]
    done = {(row["layer"], row["peer"]): row for row in common.rows_of_run("operators", label, budget_s=budget)}
    say(f"run {label}, one thread, {budget} s of tuning a layer, on {common.machine()}")
    say(f"{'layer':38} {'peer':8} {'GFLOP/s warm':>13} {'peer':>7} {'speed':>6} {'cold':>8} {'peer':>7} {'speed':>6}")
    rows = []
    for layer, peer in wanted:
        key = (layers.name(layer), peer)
        if key not in done:
            done[key] = {"run": label, **measure(layer, peer, folder, budget, pairs)}
            common.append("operators", done[key])
        r = done[key]
        rows.append((layer, r))
        say(f"{key[0]:38} {peer:8} {r['warm_neo_gflops']:>13} {r['warm_peer_gflops']:>7} {r['warm_speed']:>6} {r['cold_neo_gflops']:>8} "
            f"{r['cold_peer_gflops']:>7} {r['cold_speed']:>6}")
    for info in sorted({r["peer_info"].split(" isa ")[0] for _, r in rows}):
        say(f"  against {info}")
    for mode in ("warm", "cold"):
        judge(rows, mode)


main()
