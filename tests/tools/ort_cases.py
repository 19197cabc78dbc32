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


class Steps:
    """Nodes one after another, constants as they are met."""

    def __init__(self):
        self.nodes, self.n = [], 0

    def __call__(self, op, *inputs, outputs=1, **attrs):
        names = []
        for v in inputs:
            if not isinstance(v, str):
                self.n += 1
                self.nodes.append(helper.make_node("Constant", [], ["c%d" % self.n], name="c%d" % self.n, value=onnx_suites.tensor_of("c", np.asarray(v))))
                v = "c%d" % self.n
            names.append(v)
        made = ["t%d" % (self.n + 1 + k) for k in range(outputs)]
        self.n += outputs
        self.nodes.append(helper.make_node(op, names, made, name=made[0], **attrs))
        return made[0] if outputs == 1 else made

    def name(self, v, name):
        self.nodes.append(helper.make_node("Identity", [v], [name], name=name))

    def extent(self, v, d=0):
        return self("Gather", self("Shape", v), np.int64(d))

    def list_of(self, *parts):
        return self("Concat", *[self("Unsqueeze", p, np.array([0])) if isinstance(p, str) else np.array([p]) for p in parts], axis=0)

    def picked(self, v, mask):
        return self("GatherND", v, self("Transpose", self("NonZero", mask), perm=[1, 0]))


def kept(s, boxes, scores, labels):
    """What torchvision's batched_nms is exported as."""
    inner, none = Steps(), Steps()
    inner.n, none.n = 1000, 2000
    shift = inner("Mul", inner("Cast", labels, to=TensorProto.FLOAT), inner("Add", inner("ReduceMax", boxes, keepdims=0), np.float32(1)))
    moved = inner("Unsqueeze", inner("Add", boxes, inner("Unsqueeze", shift, np.array([1]))), np.array([0]))
    rows = inner("NonMaxSuppression", moved, inner("Unsqueeze", scores, np.array([0, 1])), np.array([2 ** 62]), np.array([0.4], np.float32))
    keep = inner("Squeeze", inner("Gather", rows, np.array([2]), axis=1), np.array([1]))
    empty = none("Constant", value=onnx_suites.tensor_of("e", np.zeros(0, np.int64)))
    branch = lambda steps, out: helper.make_graph(steps.nodes, "branch", [], [helper.make_tensor_value_info(out, TensorProto.INT64, None)])
    nothing = s("Equal", s("ReduceProd", s("Shape", boxes), keepdims=0), np.int64(0))
    return s("If", nothing, then_branch=branch(none, empty), else_branch=branch(inner, keep))


def detector(name, threshold):
    rng, s = np.random.default_rng(20), Steps()
    corner = rng.random((40, 2)) * 20
    inputs = {"boxes": np.concatenate([corner, corner + 4 + rng.random((40, 2)) * 9], 1).astype(np.float32), "scores": rng.permutation(120).reshape(40, 3).astype(np.float32) / 120}
    parts = []
    for label in (1, 2):
        column = s("Gather", "scores", np.int64(label), axis=1)
        mask = s("Greater", column, np.float32(threshold))
        some, where = s.picked(column, mask), s.picked("boxes", mask)
        most = s("Reshape", s("ReduceMin", s.list_of(8, s.extent(some)), keepdims=0), np.array([1]))
        best, at = s("TopK", some, most, outputs=2)
        labels = s("ConstantOfShape", s("Shape", best), value=onnx_suites.tensor_of("l", np.array([label])))
        parts.append((s("Gather", where, at), best, labels))
    boxes, scores, labels = [s("Concat", *column, axis=0) for column in zip(*parts)]
    first = s("Slice", kept(s, boxes, scores, labels), np.array([0]), np.array([6]), np.array([0]))
    for v, out in ((boxes, "b"), (scores, "s"), (labels, "l")):
        s.name(s("Gather", v, first), out)
    return made(name, s.nodes, inputs, ["b", "s", "l"])


def levels():
    """Boxes of two sizes, each read from its own picture, back in their order and through a layer."""
    rng, s = np.random.default_rng(21), Steps()
    corner = rng.random((9, 2)) * 8
    inputs = {"fine": rng.normal(size=(1, 3, 16, 16)).astype(np.float32), "coarse": rng.normal(size=(1, 3, 8, 8)).astype(np.float32),
              "all": np.concatenate([corner, corner + 1 + rng.random((9, 2)) * 7], 1).astype(np.float32), "level": np.array([0, 1, -1, 1, 1, 0, -1, 0, 1])}
    real = s("Squeeze", s("NonZero", s("GreaterOrEqual", "level", np.int64(0))), np.array([0]))
    boxes, level = s("Gather", "all", real), s("Gather", "level", real)
    n = s.extent(boxes)
    out = s("ConstantOfShape", s.list_of(n, 3, 2, 2), value=onnx_suites.tensor_of("z", np.zeros(1, np.float32)))
    for k, picture in enumerate(("fine", "coarse")):
        at = s("Squeeze", s("NonZero", s("Equal", level, np.int64(k))), np.array([0]))
        mine = s("Gather", boxes, at)
        zeros = s("ConstantOfShape", s.list_of(s.extent(mine)), value=onnx_suites.tensor_of("i", np.zeros(1, np.int64)))
        pooled = s("RoiAlign", picture, mine, zeros, output_height=2, output_width=2, sampling_ratio=2, spatial_scale=1 / (1 + k), coordinate_transformation_mode="output_half_pixel")
        again = s("Squeeze", s("NonZero", s("Equal", level, np.int64(k))), np.array([0]))
        index = s("Reshape", again, np.array([-1, 1, 1, 1]))
        shape = s.list_of(s.extent(index), 3, 2, 2)
        shape = s("Where", s("Equal", shape, np.full(4, -1)), np.ones(4, np.int64), shape)
        out = s("ScatterElements", out, s("Expand", index, shape), pooled, axis=0)
    s.name(out, "pooled")
    y = s("Gemm", s("Flatten", out), rng.normal(size=(8, 12)).astype(np.float32), np.zeros(8, np.float32), transB=1)
    y = s("Reshape", y, s.list_of(n, -1, 4))
    s.name(s("Reshape", s("Slice", y, np.array([1]), np.array([9]), np.array([1])), np.array([-1, 4])), "rows")
    s.name(s("Reshape", s("Softmax", y, axis=-1), np.array([-1])), "flat")
    return made("ort_bounded_levels", s.nodes, inputs, ["pooled", "rows", "flat"], opset=17)


def extents():
    """What is asked of a list of unknown length, and made in its length."""
    rng, s = np.random.default_rng(22), Steps()
    inputs = {"x": rng.normal(size=(5, 7)).astype(np.float32)}
    v = s.picked("x", s("Greater", "x", np.float32(0.2)))
    w = s.picked("x", s("Less", "x", np.float32(-0.4)))
    outs = {"twice": s("Mul", v, s("Cast", s("Range", np.int64(0), s.extent(v), np.int64(1)), to=TensorProto.FLOAT)),
            "size": s("Size", v), "joined": s("Concat", v, np.float32([5, 6]), w, axis=0),
            "last": s("Gather", v, np.int64(-1)), "tail": s("Slice", v, np.array([-3]), np.array([2 ** 62])),
            "some": s("Slice", v, np.array([1]), s("Unsqueeze", s("Sub", s.extent(v), np.int64(1)), np.array([0]))),
            "best": s("ArgMax", v, axis=0), "soft": s("Softmax", v, axis=0), "again": s.picked(v, s("Greater", v, np.float32(1))),
            "grid": s("Expand", s("Unsqueeze", v, np.array([1])), s.list_of(s.extent(v), 3)),
            "after": s("CumSum", v, np.int64(0)), "three": s("TopK", v, np.array([3]), outputs=2)[1]}
    for op in ("Max", "Min", "Sum", "Mean", "SumSquare", "LogSumExp"):
        outs[op] = s("Reduce" + op, v, keepdims=0)
    for out, t in outs.items():
        s.name(t, out)
    return made("ort_bounded_extents", s.nodes, inputs, list(outs))


def bounded_cases():
    yield detector("ort_bounded_detector", 0.5)
    yield detector("ort_bounded_detector_nothing", 1.5)
    yield levels()
    yield extents()


def cases():
    for family in (classifier_cases, svm_cases, attention_cases, text_cases, region_cases, same_twice_cases, wide_cases, nbits_cases, bounded_cases):
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
