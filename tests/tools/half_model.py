"""tests/data/onnx/convs_f16: a small network of float16: two convolutions, a matrix product and their epilogues.

onnxruntime computes the results. usage: half_model.py [DIR]   default: tests/data/onnx/convs_f16
"""
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

NAME = "convs_f16"


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "onnx", NAME)
    out = sys.argv[1] if len(sys.argv) > 1 else root
    os.makedirs(out, exist_ok=True)
    rng = np.random.default_rng(7)

    def weights(name, *shape):
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return numpy_helper.from_array(rng.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float16), name)

    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c1"], ["r1"]),
             helper.make_node("Conv", ["r1", "w2"], ["c2"]), helper.make_node("Relu", ["c2"], ["r2"]),
             helper.make_node("Reshape", ["r2", "shape"], ["f"]), helper.make_node("MatMul", ["f", "w3"], ["m"]),
             helper.make_node("Add", ["m", "b3"], ["y"])]
    constants = [weights("w1", 32, 16, 3, 3), weights("b1", 32), weights("w2", 32, 32, 1, 1), weights("w3", 128, 48), weights("b3", 48),
                 numpy_helper.from_array(np.array([64, 128], np.int64), "shape")]
    graph = helper.make_graph(nodes, NAME, [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, 16, 16, 16])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [64, 48])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="half_model.py")
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(out, "model.onnx"))
    x = rng.normal(0, 1, (1, 16, 16, 16)).astype(np.float16)
    y = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.save(os.path.join(out, "input_0.npy"), x)
    np.save(os.path.join(out, "output_0.npy"), y)
    meta = {"format": "onnx", "name": NAME, "framework": "onnxruntime", "framework_version": "onnxruntime " + onnxruntime.__version__,
            "model": ["model.onnx"], "note": "float16 throughout; tests/tools/half_model.py",
            "inputs": [{"name": "x", "file": "input_0.npy", "shape": list(x.shape), "dtype": "float16"}],
            "outputs": [{"name": "y", "file": "output_0.npy", "shape": list(y.shape), "dtype": "float16"}], "rtol": 0.004, "atol": 0.02}
    with open(os.path.join(out, "meta.json"), "w") as file:
        json.dump(meta, file, indent=1)
        file.write("\n")


main()
