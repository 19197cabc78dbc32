"""A small float16 network of mobile form (stem, three inverted residual blocks with ReLU6, pool, classifier) for
tests/data/onnx/mobile_f16, with the outputs of the same network in float32 arithmetic over the same weights.

usage: mobile_f16_model.py OUT     needs numpy, onnx and onnxruntime (benchmarks/requirements-models.txt)
"""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE, CLASSES = 32, 10
BLOCKS = [(16, 24, 2), (24, 32, 2), (32, 32, 1)]  # channels in, out, stride


class Network:
    def __init__(self, dtype):
        self.dtype, self.random = dtype, np.random.default_rng(3)
        self.nodes, self.constants, self.n = [], [], 0

    def constant(self, values):
        self.n += 1
        values = values.astype(np.float16).astype(self.dtype)
        self.constants.append(numpy_helper.from_array(values, f"c{self.n}"))
        return f"c{self.n}"

    def node(self, kind, *inputs, **attributes):
        self.n += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"v{self.n}"], **attributes))
        return f"v{self.n}"

    def conv(self, x, c_in, c_out, k, stride=1, group=1, clip=True):
        fan = c_in // group * k * k
        weight = self.constant(self.random.standard_normal((c_out, c_in // group, k, k)) * np.sqrt(2 / fan))
        bias = self.constant(self.random.standard_normal(c_out) * 0.1)
        x = self.node("Conv", x, weight, bias, kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4, group=group)
        return self.node("Clip", x, self.constant(np.array(0.0)), self.constant(np.array(6.0))) if clip else x

    def model(self):
        x = self.conv("x", 3, 16, 3, stride=2)
        for c_in, c_out, stride in BLOCKS:
            y = self.conv(x, c_in, 4 * c_in, 1)
            y = self.conv(y, 4 * c_in, 4 * c_in, 3, stride=stride, group=4 * c_in)
            y = self.conv(y, 4 * c_in, c_out, 1, clip=False)
            x = self.node("Add", x, y) if c_in == c_out and stride == 1 else y
        x = self.conv(x, 32, 128, 1)
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        weight = self.constant(self.random.standard_normal((128, CLASSES)) / np.sqrt(128))
        x = self.node("MatMul", x, weight)
        element = TensorProto.FLOAT16 if self.dtype == np.float16 else TensorProto.FLOAT
        graph = helper.make_graph(self.nodes, "mobile_f16",
                                  [helper.make_tensor_value_info("x", element, [1, 3, SIZE, SIZE])],
                                  [helper.make_tensor_value_info(x, element, [1, CLASSES])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    half, single = Network(np.float16).model(), Network(np.float32).model()
    x = np.random.default_rng(4).standard_normal((1, 3, SIZE, SIZE)).astype(np.float16)
    session = onnxruntime.InferenceSession(single.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x.astype(np.float32)})[0].astype(np.float16)
    onnx.save(half, f"{out}/model.onnx")
    np.save(f"{out}/input_0.npy", x)
    np.save(f"{out}/output_0.npy", y)
    meta = {"format": "onnx", "name": "mobile_f16", "framework": "onnx",
            "framework_version": f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}",
            "model": ["model.onnx"],
            "note": "tests/tools/mobile_f16_model.py: random weights; outputs of the same weights in float32 arithmetic",
            "inputs": [{"name": "x", "file": "input_0.npy", "shape": list(x.shape), "dtype": "float16",
                        "model_shape": list(x.shape)}],
            "outputs": [{"name": half.graph.output[0].name, "file": "output_0.npy", "shape": list(y.shape),
                         "dtype": "float16"}],
            "rtol": 0.01, "atol": 0.01}
    with open(f"{out}/meta.json", "w") as file:
        json.dump(meta, file, indent=1)
        file.write("\n")
    if len(sys.argv) > 2:
        onnx.save(single, sys.argv[2])


main()
