"""Cases of operators whose form changed between opsets, at the old opsets, and of onnxruntime's own operators,
referenced by onnxruntime.

The onnx package's node cases only hold each operator's newest form. cases() yields (name, model, inputs,
outputs); pack_node_cases.py adds them to its file.
"""
import itertools

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F = TensorProto.FLOAT


def node_case(name, opset, op, shapes, constants=(), outputs=1, **attrs):
    """shapes: of the f32 inputs x0, x1, ...; constants: arrays that follow them as initializers."""
    rng = np.random.default_rng(len(name))
    feeds = {"x%d" % k: rng.normal(0, 1, s).astype(np.float32) for k, s in enumerate(shapes)}
    weights = [numpy_helper.from_array(np.asarray(c), "c%d" % k) for k, c in enumerate(constants)
               if c is not None]
    names = list(feeds) + ["" if c is None else "c%d" % k for k, c in enumerate(constants)]
    outs = ["y%d" % k for k in range(outputs)]
    node = helper.make_node(op, names, outs, name="n", **attrs)
    infos = [helper.make_tensor_value_info(k, F, v.shape) for k, v in feeds.items()]
    graph = helper.make_graph([node], name, infos, [helper.make_empty_tensor_value_info(o)
                                                    for o in outs], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    return name, model, feeds


def all_cases():
    i64 = lambda *v: np.array(v, np.int64)
    f32 = lambda *v: np.array(v, np.float32)
    one = np.abs(np.random.default_rng(3).normal(0, 1, 3)).astype(np.float32)
    yield node_case("old_squeeze_7", 7, "Squeeze", [(1, 3, 1, 2)], axes=[0, 2])
    yield node_case("old_squeeze_7_all", 7, "Squeeze", [(1, 3, 1, 2)])
    yield node_case("old_squeeze_11_negative", 11, "Squeeze", [(1, 3, 1, 2)], axes=[-2])
    yield node_case("old_unsqueeze_7", 7, "Unsqueeze", [(3, 2)], axes=[0, 3])
    yield node_case("old_unsqueeze_11_negative", 11, "Unsqueeze", [(3, 2)], axes=[-1])
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd"):
        yield node_case("old_%s_7" % op.lower(), 7, op, [(2, 3, 4)], axes=[1], keepdims=0)
        yield node_case("old_%s_11" % op.lower(), 11, op, [(2, 3, 4)], axes=[-1, 0])
        yield node_case("old_%s_7_all" % op.lower(), 7, op, [(2, 3, 4)])
    yield node_case("old_reducemean_17", 17, "ReduceMean", [(2, 3, 4)], axes=[-1])
    for axis in (0, 1, 2):
        yield node_case("old_softmax_7_axis%d" % axis, 7, "Softmax", [(2, 3, 4)], axis=axis)
        yield node_case("old_logsoftmax_11_axis%d" % axis, 11, "LogSoftmax", [(2, 3, 4)], axis=axis)
        yield node_case("old_hardmax_7_axis%d" % axis, 7, "Hardmax", [(2, 3, 4)], axis=axis)
    yield node_case("old_softmax_11_default", 11, "Softmax", [(2, 3, 4)])
    yield node_case("old_softmax_11_negative", 11, "Softmax", [(2, 3, 4)], axis=-1)
    yield node_case("old_clip_7", 7, "Clip", [(2, 5)], min=-0.5, max=0.25)
    yield node_case("old_clip_7_min", 7, "Clip", [(2, 5)], min=-0.5)
    yield node_case("old_clip_11_max", 11, "Clip", [(2, 5)], [None, np.float32(0.25)])
    yield node_case("old_pad_7", 7, "Pad", [(2, 3)], pads=[1, 0, 2, 1], value=1.5)
    yield node_case("old_pad_7_reflect", 7, "Pad", [(3, 4)], pads=[1, 2, 2, 0], mode="reflect")
    yield node_case("old_pad_7_negative", 7, "Pad", [(3, 4)], pads=[-1, 0, 2, -1])
    yield node_case("old_pad_11", 11, "Pad", [(2, 3)], [i64(0, 1, 1, 0), np.float32(2)])
    yield node_case("old_slice_7", 7, "Slice", [(4, 5, 6)], starts=[1, -3], ends=[3, 1000], axes=[0, 2])
    yield node_case("old_slice_7_no_axes", 7, "Slice", [(4, 5)], starts=[1, 0], ends=[-1, 3])
    yield node_case("old_slice_10", 10, "Slice", [(4, 5)], [i64(3), i64(0), i64(0), i64(-2)])
    yield node_case("old_split_7", 7, "Split", [(6, 2)], outputs=2, split=[4, 2], axis=0)
    yield node_case("old_split_7_equal", 7, "Split", [(2, 6)], outputs=3, axis=1)
    yield node_case("old_split_13", 13, "Split", [(6, 2)], [i64(1, 5)], outputs=2)
    yield node_case("old_upsample_7", 7, "Upsample", [(1, 1, 3, 2)], scales=[1., 1., 2., 3.])
    yield node_case("old_upsample_7_linear", 7, "Upsample", [(1, 1, 3, 2)], scales=[1., 1., 2., 2.],
                    mode="linear")
    yield node_case("old_upsample_9", 9, "Upsample", [(1, 1, 3, 2)], [f32(1, 1, 2, 1)])
    yield node_case("old_upsample_9_linear", 9, "Upsample", [(1, 2, 3, 4)], [f32(1, 1, 2, 2.5)],
                    mode="linear")
    yield node_case("old_resize_10_up", 10, "Resize", [(1, 1, 4, 4)], [f32(1, 1, 1.5, 2)])
    yield node_case("old_resize_10_down", 10, "Resize", [(1, 1, 5, 4)], [f32(1, 1, 0.6, 0.5)])
    yield node_case("old_resize_10_linear", 10, "Resize", [(1, 1, 4, 4)], [f32(1, 1, 0.6, 1.5)],
                    mode="linear")
    roi = np.zeros(0, np.float32)
    for mode in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
        yield node_case("old_resize_11_%s" % mode, 11, "Resize", [(1, 1, 4, 4)],
                        [roi, roi, i64(1, 1, 7, 3)], mode="linear",
                        coordinate_transformation_mode=mode)
    yield node_case("old_resize_11_nearest", 11, "Resize", [(1, 1, 4, 4)], [roi, f32(1, 1, 2, 3)],
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    yield node_case("old_resize_13_cubic", 13, "Resize", [(1, 1, 4, 4)],
                    [None, f32(1, 1, 1.5, 2)], mode="cubic")
    bn = [one, one * 0.5, one * 0.1, one + 0.5]
    yield node_case("old_batchnorm_7", 7, "BatchNormalization", [(2, 3, 2)], bn, epsilon=1e-3,
                    momentum=0.5)
    yield node_case("old_batchnorm_9", 9, "BatchNormalization", [(2, 3, 2, 2)], bn)
    yield node_case("old_batchnorm_14", 14, "BatchNormalization", [(2, 3, 2, 2)], bn)
    yield node_case("old_dropout_7", 7, "Dropout", [(2, 3)], ratio=0.3)
    yield node_case("old_dropout_12", 12, "Dropout", [(2, 3)], [np.float32(0.3)])
    yield node_case("old_averagepool_7", 7, "AveragePool", [(1, 2, 5, 5)], kernel_shape=[3, 3],
                    pads=[1, 1, 1, 1], strides=[2, 2])
    yield node_case("old_averagepool_10_ceil", 10, "AveragePool", [(1, 2, 6, 6)],
                    kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, count_include_pad=1)
    yield node_case("old_maxpool_8_same", 8, "MaxPool", [(1, 2, 5, 5)], kernel_shape=[2, 2],
                    auto_pad="SAME_UPPER", strides=[2, 2])
    yield node_case("old_gemm_7_broadcast", 7, "Gemm", [(2, 3), (4, 3)], [f32(1, 2, 3, 4)], transB=1,
                    alpha=0.5, beta=2.0)
    yield node_case("old_flatten_7", 7, "Flatten", [(2, 3, 4)], axis=2)
    yield node_case("old_prelu_7", 7, "PRelu", [(2, 3, 4)], [one.reshape(3, 1)])
    yield node_case("old_conv_7_valid", 7, "Conv", [(1, 2, 5, 5), (3, 2, 3, 3)], auto_pad="VALID")
    yield node_case("old_convtranspose_7_same", 7, "ConvTranspose", [(1, 2, 3, 3), (2, 3, 3, 3)],
                    auto_pad="SAME_LOWER", strides=[2, 2])
    yield node_case("old_argmax_7", 7, "ArgMax", [(3, 4)], axis=1, keepdims=0)
    yield node_case("old_onehot_free_cast_9", 9, "Cast", [(3, 4)], to=int(TensorProto.INT32))
    yield node_case("old_layernorm_17_default", 17, "LayerNormalization", [(2, 3)], [one])


def ms_case(name, op, shapes, constants=(), outputs=1, **attrs):
    name, model, feeds = node_case(name, 17, op, shapes, constants, outputs, domain="com.microsoft", **attrs)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return name, model, feeds


def ms_cases():
    rng = np.random.default_rng(5)
    gamma, beta = (rng.normal(1, 0.2, 8).astype(np.float32) for _ in range(2))
    yield ms_case("ms_skip_layer_norm", "SkipLayerNormalization", [(2, 3, 8), (2, 3, 8)], [gamma, beta], epsilon=1e-5)
    yield ms_case("ms_skip_layer_norm_bias", "SkipLayerNormalization", [(2, 3, 8), (2, 3, 8)], [gamma, beta, beta],
                  epsilon=1e-5)
    yield ms_case("ms_skip_simplified_layer_norm", "SkipSimplifiedLayerNormalization", [(2, 3, 8), (2, 3, 8)], [gamma],
                  epsilon=1e-5)
    yield ms_case("ms_fused_matmul", "FusedMatMul", [(2, 3, 4), (2, 5, 4)], transB=1, alpha=0.5)
    yield ms_case("ms_fused_matmul_a", "FusedMatMul", [(2, 4, 3), (2, 4, 5)], transA=1)
    b = rng.integers(0, 256, (3, 3, 8)).astype(np.uint8)
    scales = rng.normal(0.1, 0.02, 9).astype(np.float32)
    zeros = rng.integers(0, 256, 6).astype(np.uint8)
    yield ms_case("ms_matmul_nbits", "MatMulNBits", [(2, 40)], [b, scales], K=40, N=3, bits=4, block_size=16)
    yield ms_case("ms_matmul_nbits_zeros", "MatMulNBits", [(2, 40)], [b, scales, zeros], K=40, N=3, bits=4, block_size=16)


def attention_cases():
    rng = np.random.default_rng(6)
    f = lambda *shape: rng.normal(0, 0.5, shape).astype(np.float32)
    i32 = lambda *v: np.array(v, np.int32)
    w, b = f(8, 24), f(24)
    case = lambda name, inputs, *constants, outputs=1, **attrs: ms_case("ms_attention" + name, "Attention", inputs, constants, outputs, num_heads=2, **attrs)
    yield case("", [(2, 3, 8)], w, b)
    yield case("_no_bias_scale", [(2, 3, 8)], w, None, scale=0.3)
    yield case("_lengths", [(2, 3, 8)], w, b, i32(2, 3))
    yield case("_ends_and_starts", [(2, 3, 8)], w, b, i32(2, 3, 1, 0))
    yield case("_flags", [(2, 3, 8)], w, b, np.array([[1, 1, 0], [0, 1, 1]], np.int32))
    yield case("_flags_3d", [(1, 3, 8)], w, b, np.array([[[1, 0, 1], [0, 1, 1], [1, 1, 1]]], np.int32))
    yield case("_causal_past", [(2, 3, 8)], w, b, None, f(2, 2, 2, 5, 4), outputs=2, unidirectional=1)
    yield case("_past_flags", [(2, 3, 8)], w, b, np.array([[1] * 8, [0, 0] + [1] * 6], np.int32), f(2, 2, 2, 5, 4), outputs=2)
    yield case("_sizes", [(2, 3, 8)], f(8, 20), f(20), qkv_hidden_sizes=[8, 8, 4])
    case = lambda name, inputs, *constants, outputs=1, **attrs: ms_case("ms_multi_head" + name, "MultiHeadAttention", inputs, constants, outputs, num_heads=2, **attrs)
    yield case("", [(2, 3, 8), (2, 5, 8), (2, 5, 6)])
    yield case("_bias_lengths", [(2, 3, 8), (2, 5, 8), (2, 5, 8)], f(24), i32(4, 5))
    yield case("_flags_addend", [(2, 3, 8), (2, 3, 8), (2, 3, 8)], None, np.array([[1, 1, 0], [1, 1, 1]], np.int32), f(1, 2, 3, 3), scale=0.2)
    yield case("_past", [(2, 3, 8), (2, 3, 8), (2, 3, 8)], None, None, None, f(2, 2, 4, 4), f(2, 2, 4, 4), outputs=3, unidirectional=1)
    yield case("_cross", [(2, 3, 8), (2, 2, 5, 4), (2, 2, 5, 4)])
    cache = [np.cos(f(16, 2)), np.sin(f(16, 2))]
    case = lambda name, inputs, *constants, outputs=3, **attrs: ms_case("ms_group_query" + name, "GroupQueryAttention", inputs, constants, outputs, num_heads=4, kv_num_heads=2, **attrs)
    yield case("", [(1, 3, 32), (1, 3, 16), (1, 3, 16)], None, None, i32(2), i32(3)[0])
    yield case("_packed_rotary", [(1, 3, 128)], None, None, None, None, i32(2), i32(3)[0], np.cos(f(16, 8)), np.sin(f(16, 8)), do_rotary=1)
    yield case("_past_rotary", [(1, 1, 64), (1, 1, 32), (1, 1, 32)], f(1, 2, 5, 16), f(1, 2, 5, 16), i32(5), i32(6)[0], np.cos(f(16, 8)), np.sin(f(16, 8)),
               do_rotary=1, rotary_interleaved=1)
    yield case("_window", [(1, 6, 32), (1, 6, 16), (1, 6, 16)], None, None, i32(5), i32(6)[0], local_window_size=2, scale=0.4, softcap=2.0)
    case = lambda name, inputs, *constants, **attrs: ms_case("ms_rotary" + name, "RotaryEmbedding", inputs, constants, **attrs)
    yield case("", [(2, 3, 8)], np.array([4], np.int64), *cache)
    yield case("_positions", [(2, 3, 8)], np.array([[0, 1, 2], [3, 5, 7]], np.int64), *cache, interleaved=1)
    yield case("_heads_outside", [(2, 2, 3, 4)], np.array([0], np.int64), *cache)
    q = lambda *shape: rng.integers(0, 256, shape).astype(np.uint8)
    yield ms_case("ms_qattention", "QAttention", [], [q(2, 3, 8), q(8, 24), b, np.float32(0.01), np.float32(0.02), None, np.uint8(120), np.uint8(131)], num_heads=2)
    ids = rng.integers(0, 9, (2, 4)).astype(np.int32)
    case = lambda name, *constants, **attrs: ms_case("ms_embed" + name, "EmbedLayerNormalization", [], constants, **attrs)
    yield case("", ids, ids % 2, f(9, 8), f(6, 8), f(2, 8), f(8), f(8), np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32), outputs=2)
    yield case("_sum", ids, None, f(9, 8), f(6, 8), None, f(8), f(8), None, ids % 5, outputs=3, epsilon=1e-5)
    yield ms_case("ms_fused_matmul_batch", "FusedMatMul", [(3, 2, 4), (2, 4, 5)], transBatchA=1)
    yield ms_case("ms_trilu", "Trilu", [(3, 4)], [np.array(1, np.int64)], upper=0)
    for name, d, direction in (("", 1, "forward"), ("_reverse", 1, "reverse"), ("_both", 2, "bidirectional")):
        sc, z = np.full(d, 0.01, np.float32), np.full(d, 128, np.uint8)
        yield ms_case("ms_dynamic_quantize_lstm" + name, "DynamicQuantizeLSTM", [(4, 1, 3)],
                      [q(d, 3, 20), q(d, 5, 20), f(d, 40), None, None, None, None, sc, z, sc * 0.5, z - 3], 3, hidden_size=5, direction=direction)
    yield ms_case("ms_dynamic_quantize_lstm_columns", "DynamicQuantizeLSTM", [(4, 1, 3)],
                  [q(1, 3, 20).astype(np.int8), q(1, 5, 20).astype(np.int8), f(1, 40), None, None, None, None, np.abs(f(1, 20)) * 0.02, np.zeros((1, 20), np.int8),
                   np.abs(f(1, 20)) * 0.02, np.zeros((1, 20), np.int8)], 3, hidden_size=5)


def cases():
    for name, model, feeds in itertools.chain(all_cases(), ms_cases(), attention_cases()):
        session = onnxruntime.InferenceSession(model.SerializeToString(),
                                               providers=["CPUExecutionProvider"])
        yield name, model, list(feeds.values()), session.run(None, feeds)
