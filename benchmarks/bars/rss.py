"""Memory of a long tuning: resident size of neo-tune at trial 500 and at the end, measured times simulated.

usage: rss.py [MODEL.onnx]       NEO_TRIALS=20000; default model: resnet50 of scripts/models.sh
"""
import json
import os
import re
import subprocess
import sys
import tempfile

import common
from common import say


def resident(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(field + r":\s*(\d+) kB", file.read())[1]) * 1024


def main():
    trials, early = int(os.environ.get("NEO_TRIALS", "20000")), 500
    if len(sys.argv) > 1:
        model = sys.argv[1]
    else:
        common.fetch_models(["resnet50"])
        model = os.path.join(common.models_dir(), "resnet50", "model.onnx")
    with tempfile.TemporaryDirectory() as work:
        argv = [common.NEO_TUNE, model, "--db", os.path.join(work, "tuning.db"), "--measure", "simulated:", "--trials", str(trials), "--threads", "1"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        seen, at = 0, {}
        for line in process.stdout:
            if not line.startswith("{") or "trial" not in json.loads(line):
                continue
            seen += 1
            if seen == early or seen % 1000 == 0 or seen == trials:
                at[seen] = resident(process.pid)
                peak = resident(process.pid, "VmHWM")
                say(f"trial {seen:6d}: VmRSS {at[seen] / 1e6:.1f} MB, VmHWM {peak / 1e6:.1f} MB")
        if process.wait() != 0:
            sys.exit(f"rss: neo-tune ended with exit code {process.returncode}")
    if early not in at or max(at) == early:
        sys.exit(f"rss: only {seen} trials were run; the space of {model} is too small for this bar")
    last = max(at)
    growth = at[last] / at[early] - 1
    say(f"trial {early}: {at[early] / 1e6:.1f} MB, trial {last}: {at[last] / 1e6:.1f} MB: {100 * growth:+.1f} %, bar 5 %: {common.verdict(abs(growth) <= 0.05)}; "
        f"peak {peak / 1e6:.1f} MB, bar 400 MB: {common.verdict(peak < 400e6)}")
    path = common.append("rss", {"model": os.path.basename(os.path.dirname(os.path.abspath(model))), "trials": last, "rss_500_bytes": at[early],
                                 "rss_end_bytes": at[last], "growth": f"{growth:.4f}", "peak_bytes": peak,
                                 "samples_mb": " ".join(f"{n}:{b / 1e6:.1f}" for n, b in at.items())})
    say("row added to " + os.path.relpath(path))


main()
