"""The nine "light" models of the onnx wheel with weights that mean something.

As shipped every weight is a ConstantOfShape of 0.02, so their outputs are constant. Here each becomes an
initializer: He-normal for matrices and filters, batch normalisation with scales and variances in
0.5..1.5. The last weighted layer is scaled so that what enters the final softmax has a deviation of 2.

usage: light_models.py DIR [name...]   writes DIR/<name>/{model.onnx,input_0.npy,output_0.npy,meta.json}
"""
import hashlib
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

NAMES = ["resnet50", "densenet121", "inception_v1", "inception_v2", "shufflenet", "squeezenet",
         "vgg19", "zfnet512", "bvlc_alexnet"]


def light_dir():
    return os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")


def roles_of(model):
    """Initializer-to-be -> how it is used: ("bn", position) or None."""
    roles = {}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            for k in range(1, 5):
                roles[node.input[k]] = k
    return roles


def value_for(shape, role, rng):
    if role in (1, 4):
        return rng.uniform(0.5, 1.5, shape)
    if role in (2, 3) or len(shape) == 1:
        return rng.normal(0, 0.1, shape)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[-1]
    return rng.normal(0, np.sqrt(2.0 / max(fan_in, 1)), shape)


def replace_weights(model, seed):
    rng = np.random.default_rng(seed)
    roles = roles_of(model)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kept = []
    used_shapes = set()
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(d) for d in shapes[node.input[0]]]
        used_shapes.add(node.input[0])
        array = value_for(shape, roles.get(node.output[0]), rng).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    still = {name for node in kept for name in node.input}
    for tensor in [t for t in model.graph.initializer if t.name in used_shapes - still]:
        model.graph.initializer.remove(tensor)
    for info in [i for i in model.graph.input if i.name in used_shapes - still]:
        model.graph.input.remove(info)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                        providers=["CPUExecutionProvider"])


def tame_logits(model, feeds):
    """Scales the last weighted layer so that the final softmax sees a deviation of 2."""
    softmax = [n for n in model.graph.node if n.op_type == "Softmax"]
    if not softmax:
        return
    logits = softmax[-1].input[0]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(onnx.helper.make_empty_tensor_value_info(logits))
    deviation = float(np.std(session(probe).run([logits], feeds)[0]))
    weights = {t.name: t for t in model.graph.initializer}
    made_by = {out: n for n in model.graph.node for out in n.output}
    last = [n for n in model.graph.node if n.op_type in ("Gemm", "Conv", "MatMul")][-1]
    for name in last.input[1:]:
        while name not in weights:  # a reshaped one
            name = made_by[name].input[0]
        array = numpy_helper.to_array(weights[name]) * np.float32(2 / max(deviation, 1e-30))
        weights[name].CopyFrom(numpy_helper.from_array(array, name))


def make(name, out):
    model = onnx.load(os.path.join(light_dir(), "light_%s.onnx" % name))
    replace_weights(model, 1 + NAMES.index(name))
    weights = {t.name for t in model.graph.initializer}
    feeds = {}
    for info in model.graph.input:
        if info.name in weights:
            continue
        shape = [d.dim_value or 1 for d in info.type.tensor_type.shape.dim]
        rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
        feeds[info.name] = rng.normal(0, 1, shape).astype(np.float32)
    tame_logits(model, feeds)
    outputs = session(model).run(None, feeds)
    for array in outputs:
        spread = float(np.ptp(array))
        assert np.isfinite(array).all() and spread > 1e-3, (name, spread)
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    meta = {"format": "onnx", "name": name, "model": ["model.onnx"], "rtol": 1e-3, "atol": 1e-4,
            "framework": "onnxruntime " + onnxruntime.__version__, "inputs": [], "outputs": []}
    for k, (key, array) in enumerate(feeds.items()):
        np.save(os.path.join(folder, "input_%d.npy" % k), array)
        meta["inputs"].append({"name": key, "file": "input_%d.npy" % k, "shape": list(array.shape),
                               "dtype": str(array.dtype)})
    for k, array in enumerate(outputs):
        np.save(os.path.join(folder, "output_%d.npy" % k), array)
        meta["outputs"].append({"name": model.graph.output[k].name, "file": "output_%d.npy" % k,
                                "shape": list(array.shape), "dtype": str(array.dtype)})
    onnx.save(model, os.path.join(folder, "model.onnx.tmp"))
    os.replace(os.path.join(folder, "model.onnx.tmp"), os.path.join(folder, "model.onnx"))
    with open(os.path.join(folder, "meta.json"), "w") as file:
        json.dump(meta, file, indent=1)
    print("%s: %s" % (name, ", ".join(str(a.shape) for a in outputs)))


def main():
    out = sys.argv[1]
    for name in sys.argv[2:] or NAMES:
        if os.path.exists(os.path.join(out, name, "meta.json")):
            print("%s: present" % name)
        else:
            make(name, out)


main()
