"""The C library of the programs for Hexagon gives what this machine's own gives: libc_check.c, built for both, prints the
same text, under qemu-hexagon and here.

usage: libc_compare.py OWN HEXAGON     the two programs
Exit code 77: the emulator or the program for Hexagon is missing.
"""

import os
import shutil
import subprocess
import sys
import tempfile

FEW = 10  # differing lines to print


def run(words, file):
    result = subprocess.run(words + [file], capture_output=True, timeout=300)
    if result.returncode != 5:
        sys.exit(f"{' '.join(words)}: exit code {result.returncode}, 5 expected; its last lines:\n"
                 f"{result.stdout.decode('utf-8', 'replace')[-400:]}{result.stderr.decode('utf-8', 'replace')[-400:]}")
    return result.stdout.decode("utf-8", "replace").split("\n")


def main():
    own, hexagon = sys.argv[1:3]
    emulator = shutil.which("qemu-hexagon")
    if not emulator or not os.path.exists(hexagon):
        print("skipped: qemu-hexagon or a compiler for Hexagon is missing: scripts/install-deps.sh")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        want = run([own], f"{work}/own")
        got = run([emulator, hexagon], f"{work}/hexagon")
    differing = [(i, a, b) for i, (a, b) in enumerate(zip(want, got), 1) if a != b]
    for i, a, b in differing[:FEW]:
        print(f"line {i}: '{b}', '{a}' expected")
    print(f"{len(got)} lines, {len(want)} expected, {len(differing)} differ")
    sys.exit(1 if differing or len(got) != len(want) or want[-2] != "the end" else 0)


main()
