"""Runs a Python script under torch's PyPI wheel without the CUDA packages that it asks for (gigabytes, and of no use here).

usage: torch_cpu.py SCRIPT [ARGUMENT...]

The wheel's libraries are linked against CUDA's. Stand-ins are made for those that are absent (empty libraries of those
names) and for their functions (one preloaded library; nothing calls them as long as nothing asks for a GPU).
"""
import glob
import importlib.util
import os
import re
import subprocess
import sys

GPU = re.compile(r"(cu[A-Z]|cuda|cublas|cudnn|cufft|cufile|cuFile|curand|cusolver|cusparse|cupti|nccl|nvshmem|nvrtc|nvml|nvJit|nvtx|__cuda)")


def compile_library(path, source):
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-x", "c", "-", "-o", path, "-Wl,-soname," + os.path.basename(path)], input=source, text=True, check=True)


def make(folder, libraries):
    """Stand-ins for what `libraries` need and do not find."""
    os.makedirs(folder, exist_ok=True)
    symbols = set()
    for library in libraries:
        for line in subprocess.run(["ldd", library], capture_output=True, text=True).stdout.splitlines():
            if "not found" in line:
                name = line.split()[0]
                if not os.path.exists(os.path.join(folder, name)):
                    compile_library(os.path.join(folder, name), "void neo_nothing(void) {}")
        listing = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True).stdout
        symbols |= {s for s in (line.split()[-1].split("@")[0] for line in listing.splitlines()) if GPU.match(s)}
    for library in libraries:  # the wheel's own functions stay its own
        listing = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True).stdout
        symbols -= {line.split()[-1].split("@")[0] for line in listing.splitlines()}
    compile_library(os.path.join(folder, "libnothing.so"), "".join(f"void {s}(void) {{}}\n" for s in sorted(symbols)))


def main():
    torch = importlib.util.find_spec("torch").submodule_search_locations[0]
    folder = os.path.join(sys.prefix, "cuda-stand-ins")
    if not os.path.exists(os.path.join(folder, "libnothing.so")):
        make(folder, [p for p in glob.glob(os.path.join(torch, "lib", "*.so*")) if os.path.isfile(p)])
    environment = dict(os.environ, LD_PRELOAD=os.path.join(folder, "libnothing.so"),
                       LD_LIBRARY_PATH=folder + ":" + os.environ.get("LD_LIBRARY_PATH", ""), CUDA_VISIBLE_DEVICES="")
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environment)


main()
