"""Single operators, one thread, against oneDNN (convolutions, fully connected) and OpenBLAS (matrix products).

oneDNN twice: the one on PyPI by itself (3.2) and the newer one inside of torch's wheel (benchmarks/peers/dnnl_torch.py); bars are against the
faster of the two.

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
TORCH = "onednn-torch"  # the one inside of torch, which is newer; warm only


def peer_argv(folder, peer, layer, options):
    if peer == TORCH:
        script = [os.path.join(common.ROOT, "benchmarks", name) for name in ("torch_cpu.py", "peers/dnnl_torch.py")]
        memory = ["MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=4000000000"]  # results come from pages that are there already
        return ["env", "ONEDNN_VERBOSE=1", "OMP_NUM_THREADS=1", *memory, os.environ["NEO_TORCH_PYTHON"], *script, *options, *layers.dnnl_arguments(layer)]
    sizes = layers.dnnl_arguments(layer) if peer == "onednn" else [str(layer[d]) for d in "mnk"]
    return ["env", "-u", "OPENBLAS_CORETYPE", "-u", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS=1", os.path.join(folder, PEERS[peer]), *options, *sizes]


def output_of(argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


COLUMNS = ["speed", "low", "high", "neo_us", "peer_us", "neo_gflops", "peer_gflops", "trials", "schedule", "neo_ms_all", "peer_ms_all"]


def tuned_line(base, options, path, layer, mode, budget, rows):
    """Schedule and trials; a layer that another peer's row was tuned for is not tuned again."""
    for row in rows:
        if row["layer"] == layers.name(layer) and row[f"{mode}_schedule"]:
            return row[f"{mode}_schedule"], row[f"{mode}_trials"]
    _, trials, _, line = output_of([*base, *options, "--tune", str(budget / 2), path]).split("\t")
    return line, trials


def info(folder, peer, layer, rows):
    """Version and implementation; of torch's the version alone, once, since it takes seconds to start."""
    known = next((row["peer_info"] for row in rows if row["peer"] == peer == TORCH), None)
    return known or " ".join(output_of(peer_argv(folder, peer, layer, ["--info"])).split()[:4 if peer == TORCH else None])


def measure(layer, peer, folder, budget, pairs, rows):
    work = os.path.join(common.CACHE, "bars", "operators")
    os.makedirs(work, exist_ok=True)
    path = os.path.join(work, "layer.te")
    with open(path, "w") as out:
        out.write(layers.te(layer))
    base = [common.bench_operator(), *(["--row-major"] if layer["kind"] == "gemm" else [])]
    row = {"layer": layers.name(layer), "group": layer["group"], "count": layer["count"], "peer": peer,
           "peer_info": info(folder, peer, layer, rows), "budget_s": budget}
    for mode, options in (("warm", []), ("cold", ["--cold"])):
        row.update({f"{mode}_{column}": "" for column in COLUMNS})
        if peer == TORCH and mode == "cold":
            continue
        trials, line = "0", output_of([*base, "--pick", path]).split("\t")[1]
        if budget:
            line, trials = tuned_line(base, options, path, layer, mode, budget, rows)
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


def against_best(rows, mode):
    """Of each layer the row of the faster oneDNN, and those of OpenBLAS."""
    best = {}
    for layer, row in rows:
        key = (layers.name(layer), row["peer"] == "openblas")
        if row[f"{mode}_speed"] and (key not in best or float(row[f"{mode}_speed"]) < float(best[key][1][f"{mode}_speed"])):
            best[key] = (layer, row)
    return list(best.values())


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def judge(all_rows, mode):
    """The bars over what was measured; a bar without layers is left out."""
    rows = against_best(all_rows, mode)

    def speeds(match):
        return [float(row[f"{mode}_speed"]) for layer, row in rows if match(layer, row)]

    def least(what, bar, match):
        found = speeds(match)
        if found:
            say(f"  {mode}: {what}: least {min(found):.3f} of {len(found)} (bar {bar}: {common.verdict(min(found) >= bar)})")

    def is_layer(layer, _):
        return layer["group"] in ("resnet50", "mobilenet_v2")

    least("every layer", 0.97, is_layer)
    if speeds(is_layer):
        say(f"  {mode}: geometric mean over the layers {mean(speeds(is_layer)):.3f} (bar 1.2: {common.verdict(mean(speeds(is_layer)) >= 1.2)})")
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
        say(f"  {mode}: products against OpenBLAS: geometric mean {mean(products):.3f} (bar 1.05: {common.verdict(mean(products) >= 1.05)}), "
            f"least {min(products):.3f} (bar 1.0: {common.verdict(min(products) >= 1)})")


def main():
    budget, pairs, label = int(os.environ.get("NEO_BUDGET", "0")), int(os.environ.get("NEO_PAIRS", "15")), common.run_label()
    folder = output_of([os.path.join(common.ROOT, "benchmarks", "operator_peers.sh")])
    fc = layers.fully_connected()
    wanted = [(x, "onednn") for x in layers.resnet50() + layers.mobilenet_v2()] + [(x, "openblas") for x in layers.gemms()]
    wanted += [(fc, "onednn"), (fc, "openblas")]
    if os.environ.get("NEO_TORCH_PYTHON"):
        wanted = [(x, q) for x, p in wanted for q in ((p, TORCH) if p == "onednn" else (p,))]
    wanted = [(x, p) for x, p in wanted if not sys.argv[1:] or any(t in layers.name(x) or t == x["group"] for t in sys.argv[1:])]
    done = {(row["layer"], row["peer"]): row for row in common.rows_of_run("operators", label, budget_s=budget)}
    say(f"run {label}, one thread, {budget} s of tuning a layer, on {common.machine()}")
    say(f"{'layer':38} {'peer':12} {'GFLOP/s warm':>13} {'peer':>7} {'speed':>6} {'cold':>8} {'peer':>7} {'speed':>6}")
    rows = []
    for layer, peer in wanted:
        key = (layers.name(layer), peer)
        if key not in done:
            done[key] = {"run": label, **measure(layer, peer, folder, budget, pairs, list(done.values()))}
            common.append("operators", done[key])
        r = done[key]
        rows.append((layer, r))
        say(f"{key[0]:38} {peer:12} {r['warm_neo_gflops']:>13} {r['warm_peer_gflops']:>7} {r['warm_speed']:>6} {r['cold_neo_gflops']:>8} "
            f"{r['cold_peer_gflops']:>7} {r['cold_speed']:>6}")
    for info in sorted({" ".join(r["peer_info"].split()[:4 if r["peer"] == TORCH else 2]) for _, r in rows}):
        say(f"  against {info}")
    for mode in ("warm", "cold"):
        judge(rows, mode)


main()
