"""Arrays of stored cases: reading .npy without numpy, and how far a result is from what is stored."""
import math
import struct

CODES = {"<f2": "e", "<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q"}


def read_npy(path):
    """Shape and values of a row-major array."""
    with open(path, "rb") as file:
        data = file.read()
    size = 2 if data[6] == 1 else 4
    end = 8 + size + int.from_bytes(data[8:8 + size], "little")
    header = eval(data[8 + size:end].decode("latin1"), {})  # a literal, of a file of ours
    assert not header["fortran_order"], path
    code = CODES[header["descr"]]
    return header["shape"], struct.unpack(f"<{len(data[end:]) // struct.calcsize(code)}{code}", data[end:])


def error_of(got, want, rtol, atol):
    """In tolerances; 1 is the limit."""
    if math.isnan(want) or math.isinf(want):
        return 0 if got == want or (math.isnan(got) and math.isnan(want)) else math.inf
    return abs(got - want) / (atol + rtol * abs(want)) if not math.isnan(got) else math.inf
