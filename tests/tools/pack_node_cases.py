"""Packs the onnx package's node cases of the operators that the ONNX reader claims into one file, and those
of old_opsets.py.

Reads the claimed operators from frontends/onnx_ops.def. A case is packed when every node of its model is
claimed and all its tensors have types that Neo has. Layout of the file (tests/frontends/node_cases.c reads it):

  NEONODES 1 COUNT\\n
  per case:   case NAME N_INPUTS N_OUTPUTS RTOL ATOL MODEL_BYTES\\n  then the model's bytes
  per tensor: DTYPE RANK DIM... BYTES\\n  then the bytes, little endian, row-major; inputs, then outputs
              (DTYPE - for an absent optional input)

usage: pack_node_cases.py OUT   also writes what was left out, and why, to node_left_out.txt beside OUT
"""
import collections
import os
import re
import sys
import warnings

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

import old_opsets

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DTYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "int8": "i8",
          "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
          "uint32": "u32", "uint64": "u64", "bool": "bool"}
MAX_CASE = 400_000  # bytes
REASONS = {"type object": "inputs or outputs are strings, or of 8, 4 or 2 bit types that Neo lacks",
           "sequence or map": "inputs or outputs are sequences or maps"}


def claimed():
    text = open(os.path.join(ROOT, "frontends", "onnx_ops.def")).read()
    return set(re.findall(r'^X\("([\w:.]+)"', text, re.M))


def nodes_of(graph):
    for node in graph.node:
        yield node
        for attr in node.attribute:
            if attr.type == onnx.AttributeProto.GRAPH:
                yield from nodes_of(attr.g)


def tensor_bytes(value):
    if value is None:
        return b"- 0 0\n"
    array = np.asarray(value)
    dtype = DTYPES.get(str(array.dtype))
    if dtype is None:
        raise ValueError("type " + str(array.dtype))
    data = np.ascontiguousarray(array).tobytes()
    head = "%s %d %s%d\n" % (dtype, array.ndim, "".join("%d " % d for d in array.shape), len(data))
    return head.encode() + data


def pack(case):
    if len(case.data_sets) != 1:
        raise ValueError("data sets: %d" % len(case.data_sets))
    return pack_one(case.name, case.model, case.data_sets[0], (case.rtol, case.atol))


def pack_one(name, model, data, tolerance):
    inputs, outputs = data
    model = model.SerializeToString()
    out = ("case %s %d %d %g %g %d\n" % (name, len(inputs), len(outputs), *tolerance,
                                         len(model))).encode() + model
    for value in list(inputs) + list(outputs):
        if isinstance(value, (list, dict)):
            raise ValueError("sequence or map")
        out += tensor_bytes(value)
    if len(out) > MAX_CASE:
        raise ValueError("over %d bytes" % MAX_CASE)
    return out


def main():
    warnings.simplefilter("ignore")
    ops, packed, left, lines = claimed(), [], collections.Counter(), []
    for case in sorted(collect_testcases(None), key=lambda c: c.name):
        missing = sorted({(n.domain + ":" if n.domain else "") + n.op_type for n in nodes_of(case.model.graph)} - ops)
        if missing:
            left["operator " + missing[0]] += 1
            lines.append("%s operator %s\n" % (case.name, missing[0]))
            continue
        try:
            packed.append(pack(case))
        except ValueError as error:
            left[str(error)] += 1
            lines.append("%s %s\n" % (case.name, REASONS.get(str(error), error)))
    for name, model, inputs, outputs in old_opsets.cases():
        packed.append(pack_one(name, model, (inputs, outputs), (1e-3, 1e-6)))
    with open(sys.argv[1], "wb") as file:
        file.write(b"NEONODES 1 %d\n" % len(packed))
        for case in packed:
            file.write(case)
    with open(os.path.join(os.path.dirname(sys.argv[1]), "node_left_out.txt"), "w") as file:
        file.writelines(sorted(lines))
    print("onnx %s: %d cases packed, %d left out: %s" %
          (onnx.__version__, len(packed), sum(left.values()), dict(left.most_common())))


main()
