"""Packs the onnx package's backend test cases, as onnx_suites.py finds them, and those of old_opsets.py into one file
for tests/frontends/test_onnx_node.c. Layout:

  NEONODES 2 COUNT\\n
  per case:   case NAME N_INPUTS N_OUTPUTS RTOL ATOL MODEL_BYTES\\n  then the model's bytes
  per value:  NAME DTYPE RANK DIM... BYTES\\n  then the bytes, little endian, row-major; inputs, then outputs; narrow types
              a byte an element; of strings (str) u32 length and UTF-8 of each. NAME list N\\n: N values follow, named
              NAME.0, ... NAME -\\n: absent

usage: pack_node_cases.py OUT   also writes what was left out, and why, to node_left_out.txt beside OUT
"""
import os
import re
import struct
import sys
import warnings

import numpy as np
import onnx

import old_opsets
import onnx_suites

DTYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "int8": "i8",
          "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
          "uint32": "u32", "uint64": "u64", "bool": "bool", "float8_e4m3fn": "f8e4m3fn",
          "float8_e4m3fnuz": "f8e4m3fnuz", "float8_e5m2": "f8e5m2", "float8_e5m2fnuz": "f8e5m2fnuz",
          "float8_e8m0fnu": "f8e8m0", "float4_e2m1fn": "f4e2m1", "int4": "i4", "uint4": "u4", "int2": "i2",
          "uint2": "u2"}
MAX_CASE = 300_000  # bytes


def value_bytes(name, value):
    if value is None:
        return ("%s -\n" % name).encode()
    if isinstance(value, list):
        parts = [value_bytes("%s.%d" % (name, k), v) for k, v in enumerate(value)]
        return ("%s list %d\n" % (name, len(value))).encode() + b"".join(parts)
    if value.dtype == object or value.dtype.kind in "US":
        texts = [v.encode() for v in onnx_suites.text_array(value).reshape(-1)]
        dtype, data = "str", b"".join(struct.pack("<I", len(t)) + t for t in texts)
    else:
        dtype = DTYPES[value.dtype.name]
        small = onnx_suites.SMALL.get(value.dtype.name)
        if small and value.dtype.name.lstrip("u").startswith("int"):
            value = value.astype(small)
        data = np.ascontiguousarray(value).tobytes()
    head = "%s %s %d %s%d\n" % (name, dtype, value.ndim, "".join("%d " % d for d in value.shape), len(data))
    return head.encode() + data


def pack_one(name, model, inputs, outputs, tolerance):
    fed = onnx_suites.fed_inputs(model)
    if any(isinstance(v, list) for v in inputs + outputs) or re.search("sequence|training_dropout", name):
        # what the lengths of sequences depend on must be known when reading
        model, rest = onnx_suites.with_constants(model, inputs, fed, 0)
        fed, inputs = [info for info, _ in rest], [value for _, value in rest]
    serialized = model.SerializeToString()
    out = ("case %s %d %d %g %g %d\n" % (name, len(inputs), len(outputs), *tolerance, len(serialized))).encode() + serialized
    for info, value in list(zip(fed, inputs)) + list(zip(model.graph.output, outputs)):
        out += value_bytes(info.name, value)
    if len(out) > MAX_CASE:
        raise ValueError("over %d bytes: passes, see onnx_suites.py" % MAX_CASE)
    return out


def main():
    warnings.simplefilter("ignore")
    packed, left = [], []
    for suite in onnx_suites.SUITES:
        for name, model, inputs, outputs, rtol, atol in sorted(onnx_suites.cases(suite), key=lambda c: c[0]):
            try:
                packed.append(pack_one(name, model, inputs, outputs, (rtol, atol)))
            except ValueError as error:
                left.append("%s %s\n" % (name, error))
    for name, model, inputs, outputs in old_opsets.cases():
        packed.append(pack_one(name, model, inputs, outputs, (1e-3, 1e-6)))
    with open(sys.argv[1], "wb") as file:
        file.write(b"NEONODES 2 %d\n" % len(packed))
        for case in packed:
            file.write(case)
    with open(os.path.join(os.path.dirname(sys.argv[1]), "node_left_out.txt"), "w") as file:
        file.writelines(sorted(left))
    print("onnx %s: %d cases packed, %d left out" % (onnx.__version__, len(packed), len(left)))


if __name__ == "__main__":
    main()
