"""Operators of ai.onnx.ml and com.microsoft, and strings, with onnxruntime's own outputs.

usage: ort_cases.py NEO [REGEX]      compiles and runs each case with build/bin/neo; exit code 1 on a miss
       ort_cases.py --pack OUT       for tests/frontends/test_onnx_node.c, in pack_node_cases.py's layout
"""
import os
import re
import sys
import tempfile
import types

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import onnx_suites
import pack_node_cases

ML = "ai.onnx.ml"


def made(name, nodes, inputs, outputs, opset=20, rtol=1e-3, atol=1e-6):
    """inputs: name -> array; outputs: names, their types from onnxruntime."""
    infos = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype) if v.dtype != object else TensorProto.STRING, v.shape)
             for k, v in inputs.items()]
    graph = helper.make_graph(nodes, name, infos, [helper.make_empty_tensor_value_info(o) for o in outputs])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 3), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    want = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)
    return name, model, list(inputs.values()), want, rtol, atol


def node(op, inputs, outputs, domain="", **attrs):
    return helper.make_node(op, inputs.split(), outputs.split(), name="n", domain=domain, **attrs)


def svm(name, classes, count, kernel, probable=False, post="NONE", texts=False, positive=False):
    """count: vectors of each class; none: a linear model."""
    rng, features = np.random.default_rng(len(name)), 3
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    total, pairs = sum(count), classes * (classes - 1) // 2
    weights = normal((classes - 1) * total if total else classes * features)
    attrs = dict(kernel_type=kernel, kernel_params=[0.3, 0.2, 2.0], coefficients=(abs(weights) if positive else weights).tolist(),
                 rho=(0.3 * normal(pairs if total else 1)).tolist(), post_transform=post)
    if total:
        attrs.update(vectors_per_class=count, support_vectors=normal(total * features).tolist())
    if probable:
        attrs.update(prob_a=(-2 * abs(normal(pairs))).tolist(), prob_b=(0.1 * normal(pairs)).tolist())
    attrs.update(classlabels_strings=["c%d" % k for k in range(classes)] if texts else None, classlabels_ints=None if texts else [7 + 3 * k for k in range(classes)])
    return made("ort_svm_" + name, [node("SVMClassifier", "x", "label scores", ML, **{k: v for k, v in attrs.items() if v is not None})], {"x": 2 * normal(9, features)}, ["label", "scores"])


def svm_cases():
    yield svm("two", 2, [3, 2], "RBF")
    for post in ("LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        yield svm("two_" + post.lower(), 2, [3, 2], "POLY", post=post)
    yield svm("two_probable", 2, [3, 4], "RBF", True)
    yield svm("two_positive", 2, [3, 2], "SIGMOID", positive=True)
    yield svm("four", 4, [3, 2, 1, 2], "RBF")
    yield svm("four_logistic", 4, [3, 2, 1, 2], "LINEAR", post="LOGISTIC")
    yield svm("four_probable", 4, [3, 2, 4, 2], "RBF", True, texts=True)
    yield svm("seven_probable", 7, [1, 2, 1, 2, 1, 3, 2], "POLY", True, post="SOFTMAX")
    yield svm("linear_two", 2, [], "LINEAR")
    yield svm("linear_two_positive", 2, [], "LINEAR", positive=True)
    yield svm("linear_three", 3, [], "LINEAR", post="SOFTMAX", texts=True)


def group_query(name, batch, queries, past, lengths, total, rotary=False, constants=True, bias=False, **attrs):
    rng = np.random.default_rng(len(name))
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    heads, groups, size = 4, 2, 16
    inputs = {"q": normal(batch, queries, heads * size), "k": normal(batch, queries, groups * size), "v": normal(batch, queries, groups * size)}
    cache = normal(2, batch, groups, past, size)
    for b in range(batch):
        cache[:, b, :, max(0, lengths[b] - queries) if total != queries else 0:] = 0
    inputs.update(pk=cache[0], pv=cache[1])
    feeds = {"length": np.array(lengths, np.int32) - 1, "total": np.array(total, np.int32)}
    if rotary:
        feeds.update(cos=np.cos(normal(32, size // 2)), sin=np.sin(normal(32, size // 2)))
    if bias:
        inputs["bias"] = normal(1, heads, queries, total)
    names = "q k v pk pv length total " + ("cos sin" if rotary else "")
    n = node("GroupQueryAttention", names, "y present_k present_v", "com.microsoft", num_heads=heads, kv_num_heads=groups, do_rotary=int(rotary), **attrs)
    if bias:
        n.input.extend([""] * (10 - len(n.input)) + ["bias"])
    weights = [node("Constant", "", key, value=onnx_suites.tensor_of(key, value)) for key, value in feeds.items()
               if constants or key not in ("length", )]
    if not constants:
        inputs["length"] = feeds["length"]
    return made("ort_group_query_" + name, weights + [n], inputs, ["y", "present_k", "present_v"])


def attention_cases():
    yield group_query("full", 2, 1, 5, [6, 6], 6)
    yield group_query("ragged", 3, 1, 5, [6, 3, 4], 6, constants=False)
    yield group_query("ragged_rotary", 2, 1, 6, [7, 5], 7, rotary=True, constants=False)
    yield group_query("ragged_window_bias", 2, 1, 6, [7, 5], 7, bias=True, local_window_size=3, constants=False)
    yield group_query("several", 1, 3, 8, [7], 7, rotary=True, constants=False)
    yield group_query("buffer", 1, 1, 9, [6], 6, rotary=True)
    yield group_query("buffer_ragged", 2, 1, 9, [6, 4], 6, softcap=5.0, constants=False)
    yield group_query("buffer_prompt", 1, 4, 9, [4], 4, rotary=True)


def text_cases():
    words = np.array(["1", "-2.5", "3e2", "0.125", "INF", "-inf", "NaN", "7"], dtype=object)
    yield made("ort_cast_text_to_f32", [node("Cast", "x", "y", to=TensorProto.FLOAT)], {"x": words}, ["y"])
    yield made("ort_cast_text_to_f64", [node("Cast", "x", "y", to=TensorProto.DOUBLE)], {"x": words.reshape(2, 4)}, ["y"])
    whole = np.array(["1", "-25", "300", "0"], dtype=object)
    yield made("ort_cast_text_to_i64", [node("Cast", "x", "y", to=TensorProto.INT64)], {"x": whole}, ["y"])
    yield made("ort_cast_text_to_i32", [node("Cast", "x", "y", to=TensorProto.INT32)], {"x": whole}, ["y"])
    f = np.array([1, -2.5, 1 / 3, 1e-9, 123456789, 1e20, np.inf, -np.inf, np.nan, 0, 100000], np.float32)
    yield made("ort_cast_f32_to_text", [node("Cast", "x", "y", to=TensorProto.STRING)], {"x": f}, ["y"])
    yield made("ort_cast_f64_to_text", [node("Cast", "x", "y", to=TensorProto.STRING)], {"x": f.astype(np.float64)}, ["y"])
    for dtype in (np.int64, np.int32, np.uint8, np.bool_):
        yield made("ort_cast_%s_to_text" % np.dtype(dtype).name, [node("Cast", "x", "y", to=TensorProto.STRING)], {"x": np.array([0, 1, 77]).astype(dtype)}, ["y"])


def region_cases():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2, 3, 8, 10)).astype(np.float32)
    rois = np.array([[0, 0, 0, 9, 7], [1, 2, 1, 8, 6], [0, 3, 3, 3, 3], [1, -4, 2, 30, 5], [1, 12, 9, 14, 12]], np.float32)
    for name, shape, scale in (("", [2, 2], 1.0), ("_scaled", [3, 4], 0.5)):
        n = node("MaxRoiPool", "x rois", "y", pooled_shape=shape, spatial_scale=scale)
        yield made("ort_max_roi_pool" + name, [n], {"x": x, "rois": rois}, ["y"])
    n = node("RoiAlign", "x rois batch", "y", output_height=2, output_width=3, sampling_ratio=2, spatial_scale=0.5)
    batch = np.array([0, 1, 1])
    yield made("ort_roi_align_opset_10", [n], {"x": x, "rois": 2 * abs(rois[:3, 1:]), "batch": batch}, ["y"], opset=11)


def same_twice_cases():
    """Both sides of a selection are one value: what is fused must not mistake the condition for it."""
    x = np.random.default_rng(9).normal(size=(4, 5)).astype(np.float32)
    x[1, 2] = np.nan
    nodes = [node("IsNaN", "x", "a"), node("Not", "a", "b"), node("Where", "b x x", "c"), node("Abs", "c", "y")]
    for k, n in enumerate(nodes):
        n.name = "n%d" % k
    yield made("ort_where_same_twice", nodes, {"x": x}, ["y"])


def two_stumps(name, weights, classes, labels, post, base=None):
    """Two trees of one split each: the class and the weight of each leaf."""
    attrs = dict(nodes_treeids=[0, 0, 0, 1, 1, 1], nodes_nodeids=[0, 1, 2] * 2, nodes_featureids=[0, 0, 0, 1, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
                 nodes_values=[0.1, 0, 0, -0.2, 0, 0], nodes_truenodeids=[1, 0, 0] * 2, nodes_falsenodeids=[2, 0, 0] * 2, nodes_missing_value_tracks_true=[0] * 6,
                 class_treeids=[0, 0, 1, 1], class_nodeids=[1, 2, 1, 2], class_ids=classes, class_weights=weights, classlabels_int64s=labels, post_transform=post)
    attrs.update({"base_values": base} if base else {})
    x = np.random.default_rng(4).normal(size=(12, 2)).astype(np.float32)
    return made("ort_trees_" + name, [node("TreeEnsembleClassifier", "x", "label scores", ML, **attrs)], {"x": x}, ["label", "scores"])


def shared_branch():
    """As LightGBM's categories are exported: a chain of equalities whose yes branches are one node."""
    attrs = dict(nodes_treeids=[0] * 6, nodes_nodeids=range(6), nodes_featureids=[0, 0, 1, 0, 0, 0], nodes_modes=["BRANCH_EQ", "BRANCH_EQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
                 nodes_values=[1, 3, 0.5, 0, 0, 0], nodes_truenodeids=[2, 2, 3, 0, 0, 0], nodes_falsenodeids=[1, 5, 4, 0, 0, 0],
                 target_treeids=[0] * 3, target_nodeids=[3, 4, 5], target_ids=[0] * 3, target_weights=[0.25, -1.5, 4], n_targets=1)
    x = np.array([[0, 0.2], [1, 0.2], [3, 0.2], [1, 0.7], [3, 0.9], [2, 0.1]], np.float32)
    return made("ort_trees_shared_branch", [node("TreeEnsembleRegressor", "x", "y", ML, **attrs)], {"x": x}, ["y"])


def classifier_cases():
    yield shared_branch()
    signs = {"": [0.1, 0.3, 0.3, 0.6], "_zero": [0, 0.3, 0.25, 0.4], "_negative": [-0.1, 0.3, 0.2, -0.6]}
    for post in ("NONE", "LOGISTIC", "SOFTMAX"):
        for sign, weights in signs.items():
            yield two_stumps("one_score_%s%s" % (post.lower(), sign), weights, [0] * 4, [5, 9], post, [0.05] if sign else None)
    yield two_stumps("one_score_second", signs["_negative"], [1] * 4, [5, 9], "NONE")
    yield two_stumps("three_softmax_zero", [0.4, -0.3, 0.2, 0.5], [0, 1, 2, 1], [5, 9, 2], "SOFTMAX_ZERO", [0.1, -0.2, 0.3])
    x = np.random.default_rng(5).normal(size=(12, 3)).astype(np.float32)
    for post in ("NONE", "LOGISTIC", "SOFTMAX"):
        n = node("LinearClassifier", "x", "label scores", ML, coefficients=[0.5, -0.2, 0.1], intercepts=[0.1], classlabels_ints=[9, 5], post_transform=post)
        yield made("ort_linear_one_score_" + post.lower(), [n], {"x": x}, ["label", "scores"])
    n = node("ArrayFeatureExtractor", "x i", "y", ML)
    yield made("ort_features_of_vector", [n], {"x": x[0], "i": np.array([[2, 0, 1, 1]])}, ["y"])


def wide_cases():
    rng = np.random.default_rng(10)
    inputs = {"a": rng.normal(size=(3, 1)).astype(np.float32), "b": rng.normal(size=(3, 2)).astype(np.float32)}
    yield made("ort_concat_of_70", [node("Concat", " ".join("a" if k % 3 else "b" for k in range(70)), "y", axis=1)], inputs, ["y"])
    for op in ("Sum", "Max"):
        yield made("ort_%s_of_66" % op.lower(), [node(op, "a " * 65 + "b", "y")], inputs, ["y"])
    yield made("ort_normalizer_max", [node("Normalizer", "b", "y", ML, norm="MAX")], inputs, ["y"])


def nbits_cases():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(3, 40)).astype(np.float32)
    for zeros in (False, True):
        weights = {"b": rng.integers(0, 256, (6, 3, 16), dtype=np.uint8), "scale": (rng.random(18) / 100).astype(np.float32), "zero": rng.integers(0, 256, 18, dtype=np.uint8)}
        n = node("MatMulNBits", "x b scale zero" if zeros else "x b scale", "y", "com.microsoft", K=40, N=6, bits=8, block_size=16)
        nodes = [node("Constant", "", key, value=onnx_suites.tensor_of(key, v)) for key, v in weights.items()]
        for k, m in enumerate(nodes):
            m.name = "w%d" % k
        yield made("ort_matmul_8_bits" + ("_zeros" if zeros else ""), nodes + [n], {"x": x}, ["y"])


def cases():
    for family in (classifier_cases, svm_cases, attention_cases, text_cases, region_cases, same_twice_cases, wide_cases, nbits_cases):
        yield from family()


def pack(path):
    packed = [pack_node_cases.pack_one(name, model, inputs, outputs, (rtol, atol)) for name, model, inputs, outputs, rtol, atol in cases()]
    with open(path, "wb") as file:
        file.write(b"NEONODES 2 %d\n" % len(packed))
        file.writelines(packed)
    print("%d cases packed" % len(packed))


def main():
    if sys.argv[1] == "--pack":
        return pack(sys.argv[2])
    options, bad, n = types.SimpleNamespace(neo=os.path.abspath(sys.argv[1]), codegen="llvm"), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            if len(sys.argv) > 2 and not re.search(sys.argv[2], case[0]):
                continue
            n += 1
            try:
                print("%-40s ok with %s" % (case[0], onnx_suites.run_case(options, case, os.path.join(folder, "case"))))
            except onnx_suites.Failure as failure:
                bad += 1
                print("%-40s FAILED: %s" % (case[0], failure))
    print("%d cases, %d failed" % (n, bad))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
