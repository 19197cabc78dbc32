"""What the tests of the programs share: running them, small ONNX files, .npy files, the checks' words."""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MNIST = os.path.join(ROOT, "tests/data/onnx/mnist_cnn_op13")
MODEL = os.path.join(MNIST, "model.onnx")
SHAPE = "x=64,1,28,28"
BIN = sys.argv[1]
skipped = []


def program(name):
    return os.path.join(BIN, name)


def run(*argv, expect=0, **kwargs):
    """Runs neo or neo-tune to its end; the exit code must be as expected. Gives stdout and stderr."""
    kwargs.setdefault("timeout", 300)
    done = subprocess.run([program(argv[0]), *argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **kwargs)
    check(done.returncode == expect,
          f"{' '.join(argv)}: exit code {done.returncode}, {expect} expected\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def check(condition, text):
    if not condition:
        raise SystemExit("FAILED: " + text)


def skip(reason):
    skipped.append(reason)
    print("SKIPPED:", reason)


def finish():
    print(f"passed, {len(skipped)} parts skipped")


class Scratch:
    """A fresh directory, removed at the end; its path by calling: d("a", "b")."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="neo-test-")
        return lambda *parts: os.path.join(self.path, *parts)

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


# ---- .npy -------------------------------------------------------------------------------------------


def npy(path, descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return write(path, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def floats(path, shape, values):
    return npy(path, "<f4", shape, struct.pack(f"<{len(values)}f", *values))


def read_floats(path):
    data = read(path)
    start = 10 + struct.unpack("<H", data[8:10])[0]
    return list(struct.unpack(f"<{(len(data) - start) // 4}f", data[start:]))


# ---- ONNX by hand: protobuf fields as bytes ------------------------------------------------------------


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def value_info(name, dims):
    """A float tensor; a str among dims is a free dimension."""
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def node(op, inputs, outputs, name=""):
    return (b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(3, name)
            + field(4, op))


def onnx(path, nodes, inputs, outputs):
    graph = b"".join(field(1, n) for n in nodes) + field(2, "g")
    graph += b"".join(field(11, i) for i in inputs) + b"".join(field(12, o) for o in outputs)
    return write(path, field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph))
