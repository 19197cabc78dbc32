"""Small models of operators that zoo networks lack, with the framework's own outputs: the `special` cases of tests/data.

usage: special_cases.py KIND ROOT     KIND: of the functions write_KIND here; with whatever python has its framework (python.sh); writes ROOT/FORMAT/NAME
"""
import os
import sys

import numpy as np
import zoo_case


def inputs():
    rng = np.random.default_rng(3)
    return rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(4, 6)).astype(np.float32)


def write_torch(root):
    import torch

    class Special(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.bag = torch.nn.EmbeddingBag(9, 5, mode="mean")
            self.sums = torch.nn.EmbeddingBag(9, 5, mode="sum", include_last_offset=True)
            self.most = torch.nn.EmbeddingBag(9, 5, mode="max")

        def forward(self, x, y):
            f = torch.nn.functional
            z = torch.where(x > 0.8, torch.zeros_like(x), x)
            pairs = [torch.hypot(x, y), torch.copysign(x, y), torch.copysign(x, -z * 0), torch.logaddexp(x, y), torch.logaddexp2(x, 3 * y),
                     torch.heaviside(z, y), torch.xlogy(z, y.abs()), torch.exp2(x), torch.deg2rad(x), torch.rad2deg(x), torch.cumprod(x, 1)]
            fake = [torch.fake_quantize_per_tensor_affine(x, 0.05, 3, -20, 20),
                    torch.fake_quantize_per_channel_affine(x, torch.tensor([0.1, 0.2, 0.05, 0.3]), torch.tensor([0, 1, -1, 2], dtype=torch.int32), 0, -8, 7)]
            ids = (x.flatten() * 2).abs().long() % 9
            bags = [self.bag(ids.reshape(4, 6)), self.sums(ids, torch.tensor([0, 3, 3, 20, 24])), self.most(ids, torch.tensor([0, 5, 17]))]
            at = torch.tensor([3, 0, 3])
            into = [x.index_add(0, at, y[:3], alpha=2), x.index_copy(1, at[:2], y[:, :2]), x.index_fill(0, at, 7.0), torch.cdist(x, y)]
            flat = lambda parts: torch.cat([p.flatten() for p in parts])
            return flat(pairs), flat(fake), flat(bags), flat(into)

    x, y = inputs()
    args = torch.from_numpy(x), torch.from_numpy(y)
    model = Special().eval()
    with torch.no_grad():
        made = model(*args)
        traced = torch.jit.trace(model, args)
    traced.save(os.path.join(zoo_case.folder(root, "torchscript", "special"), "model.pt"))
    zoo_case.save(root, "torchscript", "special", ["model.pt"], [("x", x), ("y", y)], [("out%d" % k, v.numpy()) for k, v in enumerate(made)], share=1e-5)


def save_script(root, name, script, values, outputs, share=1e-5):
    labels = [i.debugName().split(".")[0] for i in list(script.graph.inputs())[1:]]
    script.save(os.path.join(zoo_case.folder(root, "torchscript", name), "model.pt"))
    zoo_case.save(root, "torchscript", name, ["model.pt"], list(zip(labels, values)), [("out%d" % k, v.numpy()) for k, v in enumerate(outputs)], share=share)


def write_torch_scripted(root):
    """What only code that was not traced has: types of inputs by their use, layers with fast paths, views of views."""
    import torch
    nn = torch.nn

    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=True), 1)
            self.narrow = nn.LSTM(8, 6, proj_size=3, bidirectional=True, batch_first=True)
            self.bag = nn.EmbeddingBag(9, 4, mode="mean")

        def forward(self, x, ids):
            z = torch.zeros(2, 5, 8)
            z[:, 1::2, ::3] = x[:, :2, :3]
            y, (h, c) = self.narrow(x)
            return self.encoder(x), y, h, c, self.bag(ids), z

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 4, 3).half(), nn.Linear(4, 2).half()

        def forward(self, x):
            return self.linear(torch.relu(self.conv(x * 2)).mean((2, 3)))

    rng = np.random.default_rng(5)
    x, ids = rng.normal(size=(2, 5, 8)).astype(np.float32), rng.integers(0, 9, (3, 4))
    model, half = Scripted().eval(), Half().eval()
    with torch.no_grad():
        save_script(root, "scripted", torch.jit.script(model), [x, ids], model(torch.from_numpy(x), torch.from_numpy(ids)))
        image = rng.normal(size=(1, 3, 6, 6)).astype(np.float16)
        save_script(root, "scripted_half", torch.jit.script(half), [image], [half(torch.from_numpy(image))], share=1e-2)


def write_torch_more(root):
    """Operators of torch_order.c and torch_linear.c."""
    import torch
    f = torch.nn.functional

    class More(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.normed, self.both = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(6, 3)), torch.nn.Bilinear(6, 6, 2)

        def forward(self, x, y):
            cube, image = x.reshape(2, 2, 6), x.reshape(1, 2, 3, 4)
            order = [x.kthvalue(2, 1).values, x.median(1).values, x.median(), torch.cummax(x, 1)[0], torch.cummin(x, 0)[1], *torch.aminmax(x), *torch.aminmax(x, dim=1),
                     torch.count_nonzero(x > 0, 1), torch.bucketize(x, torch.tensor([-0.5, 0.0, 0.5])), torch.searchsorted(y.sort(1).values, x, right=True), x.diff(dim=1, n=2),
                     torch.diff((x > 0), dim=0), x.prod(1)]
            place = [torch.rot90(x), torch.rot90(cube, 3, [0, 2]), x.diagonal(1), cube.diagonal(0, 0, 2), torch.diag_embed(x, -1), torch.diag(x[0]), torch.tril_indices(3, 4, 1),
                     x.as_strided((3, 4), (5, 2), 1), f.unfold(image, (2, 3), padding=1, stride=2), f.fold(f.unfold(image, 2, dilation=(1, 2)), (3, 4), 2, dilation=(1, 2)),
                     torch.scatter_reduce(x, 1, (x > 0).long(), y, "amax"), *torch.broadcast_tensors(x[:, :1], y[:1])]
            linear = [torch.frac(3 * x), torch.sinc(x), torch.tensordot(cube, y, dims=([2], [1])), torch.kron(x[:2, :2], y[:2, :3]), torch.trace(x), torch.cross(x[:, :3], y[:, :3], dim=1),
                      torch.linalg.norm(x), torch.linalg.norm(x, 3, 1), f.pairwise_distance(x, y), self.normed(x), self.both(x, y), f.mse_loss(x, y), f.l1_loss(x, y, reduction="sum"),
                      f.affine_grid(x[:1, :6].reshape(1, 2, 3), [1, 1, 2, 2], False), f.avg_pool2d(image, 2, 1, divisor_override=3), f.avg_pool2d(image, 9, 9, ceil_mode=True),
                      f.scaled_dot_product_attention(cube, cube, cube, torch.tensor([[False, False], [True, False]]))]
            flat = lambda parts: torch.cat([p.flatten().float() for p in parts])
            return flat(order), flat(place), flat(linear)

    x, y = inputs()
    args = torch.from_numpy(x), torch.from_numpy(y)
    model = More().eval()
    with torch.no_grad():
        made = model(*args)
        save_script(root, "more", torch.jit.trace(model, args), [x, y], made)


def write_torch_quantised(root):
    import torch
    nn, tq = torch.nn, torch.ao.quantization

    class Dynamic(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.gru, self.linear = nn.LSTM(6, 4, batch_first=True, bidirectional=True), nn.GRU(8, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            return self.linear(self.gru(self.lstm(x)[0])[0])

    class Static(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()
            self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.depthwise, self.point, self.linear = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1), nn.Linear(64, 5)
            self.add, self.cat, self.swish = torch.ao.nn.quantized.FloatFunctional(), torch.ao.nn.quantized.FloatFunctional(), nn.Hardswish()

        def forward(self, x):
            y = self.first(self.quant(x))
            z = self.swish(self.point(self.depthwise(y)))
            y = self.cat.cat([self.add.add(y, z), z.sigmoid()], 1)
            y = nn.functional.adaptive_avg_pool2d(nn.functional.max_pool2d(y, 2), 2).flatten(1)
            return self.dequant(self.linear(y))

    torch.manual_seed(2)
    torch.backends.quantized.engine = "fbgemm"
    rng = np.random.default_rng(6)
    x, image = rng.normal(size=(2, 4, 6)).astype(np.float32), rng.normal(size=(1, 3, 12, 12)).astype(np.float32)
    dynamic = tq.quantize_dynamic(Dynamic().eval(), {nn.LSTM, nn.GRU, nn.Linear}, torch.qint8)
    model = tq.fuse_modules(Static().eval(), [["first.0", "first.1", "first.2"]])
    model.qconfig = tq.get_default_qconfig("fbgemm")
    prepared = tq.prepare(model)
    with torch.no_grad():
        prepared(torch.from_numpy(image))
        static = tq.convert(prepared)
        save_script(root, "quantised_dynamic", torch.jit.script(dynamic), [x], [dynamic(torch.from_numpy(x))], share=1e-3)
        save_script(root, "quantised_static", torch.jit.trace(static, torch.from_numpy(image)), [image], [static(torch.from_numpy(image))], share=2e-2)


def write_tensorflow(root):
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=[tf.TensorSpec([4, 6], tf.float32), tf.TensorSpec([4, 6], tf.float32)])
    def special(x, y):
        image = tf.reshape(x, [2, 2, 2, 3])
        normal = tf.raw_ops.FusedBatchNormV3(x=image, scale=[1.0, 2.0, 0.5], offset=[0.1, 0.2, 0.3], mean=[0.0] * 3, variance=[1.0] * 3, epsilon=1e-3,
                                             is_training=True)
        ids = tf.cast(tf.abs(x) * 3, tf.int32)
        unique = tf.raw_ops.UniqueWithCounts(x=tf.constant([3, 1, 3, 7, 1, 1]))
        counts = [tf.raw_ops.DenseBincount(input=ids, size=5, weights=y, binary_output=False),
                  tf.raw_ops.DenseBincount(input=tf.reshape(ids, [24]), size=5, weights=tf.constant([], tf.float32), binary_output=False),
                  tf.raw_ops.DenseBincount(input=ids, size=5, weights=tf.constant([], tf.float32), binary_output=True)]
        bits = tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), 0x7fffffff), tf.float32)
        best = tf.math.top_k(x, 3)
        parts = [tf.pad(x, [[2, 1], [0, 3]], "SYMMETRIC"), tf.reverse_sequence(x, [3, 6, 0, 1], seq_axis=1, batch_axis=0), bits, normal.y,
                 normal.batch_mean, normal.batch_variance, tf.cast(unique.y, tf.float32), tf.cast(unique.idx, tf.float32),
                 tf.cast(unique.count, tf.float32), best.values] + counts
        return tf.concat([tf.reshape(p, [-1]) for p in parts], 0)

    x, y = inputs()
    frozen = convert_variables_to_constants_v2(special.get_concrete_function())
    with open(os.path.join(zoo_case.folder(root, "tensorflow", "special"), "model.pb"), "wb") as file:
        file.write(frozen.graph.as_graph_def().SerializeToString())
    zoo_case.save(root, "tensorflow", "special", ["model.pb"], list(zip([t.name for t in frozen.inputs], (x, y))),
                  [(frozen.outputs[0].name, special(x, y).numpy())], share=1e-5)


def write_tensorflow_more(root):
    """Rows of tensorflow_convert_more.c: one vector of what they make, and the boxes that are kept."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=[tf.TensorSpec([4, 6], tf.float32), tf.TensorSpec([4, 6], tf.float32), tf.TensorSpec([1, 5, 7, 2], tf.float32)])
    def more(x, y, image):
        square, raw = x[:, :4], tf.raw_ops
        pictures = [tf.image.crop_and_resize(image, [[0.1, 0.2, 0.7, 0.9], [-0.1, 0.0, 1.2, 0.6]], [0, 0], [4, 3], extrapolation_value=0.5),
                    tf.image.crop_and_resize(image, [[0.1, 0.2, 0.7, 0.9]], [0], [1, 4], method="nearest"), tf.image.adjust_contrast(image, 1.5),
                    tf.image.extract_patches(image, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 2, 1], "VALID"),
                    tf.image.extract_patches(image, [1, 2, 3, 1], [1, 2, 3, 1], [1, 1, 1, 1], "SAME")]
        order = [raw.Bucketize(input=x, boundaries=[-0.5, 0.0, 0.5]), tf.math.cumprod(x, 1, exclusive=True, reverse=True), tf.math.in_top_k([1, 2, 0, 5], x, 2),
                 tf.searchsorted(tf.sort(x), y), tf.searchsorted(tf.sort(x), x, side="right"), tf.dynamic_stitch([[0, 3], [1], [2]], [x[:2], y[:1], x[2:3]])]
        matrices = [tf.linalg.cross(x[:, :3], y[:, :3]), tf.linalg.det(square), tf.linalg.diag(x, k=1), tf.linalg.diag_part(x, k=-1), tf.linalg.set_diag(square, y[0, :4])]
        parts = [tf.math.segment_sum(x, [0, 0, 2, 2]), tf.math.segment_mean(x, [0, 0, 1, 3]), tf.math.segment_max(x, [0, 2, 2, 2]), tf.math.segment_min(x, [0, 0, 0, 1]),
                 tf.math.unsorted_segment_mean(x, [1, 0, 1, 1], 3), tf.math.unsorted_segment_max(x, [1, 0, 1, 0], 2), tf.math.unsorted_segment_prod(x, [1, 0, 1, 1], 3),
                 tf.tensor_scatter_nd_max(x, [[1, 1]], [5.0]), tf.tensor_scatter_nd_sub(x, [[1, 1]], [5.0])]
        losses = [raw.SoftmaxCrossEntropyWithLogits(features=x, labels=tf.nn.softmax(y)).loss, raw.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=[1, 2, 0, 5]).backprop]
        boxes = tf.concat([x[:, :2], x[:, :2] + 1.0], 1)
        flat = tf.concat([tf.reshape(tf.cast(p, tf.float32), [-1]) for p in pictures + order + matrices + parts + losses], 0)
        return flat, tf.image.non_max_suppression(boxes, y[:, 0], 2, 0.9)

    x, y = inputs()
    image = np.random.default_rng(4).normal(size=(1, 5, 7, 2)).astype(np.float32)
    frozen = convert_variables_to_constants_v2(more.get_concrete_function())
    with open(os.path.join(zoo_case.folder(root, "tensorflow", "own_gd_more"), "model.pb"), "wb") as file:
        file.write(frozen.graph.as_graph_def().SerializeToString())
    zoo_case.save(root, "tensorflow", "own_gd_more", ["model.pb"], list(zip([t.name for t in frozen.inputs], (x, y, image))),
                  [(t.name, v.numpy()) for t, v in zip(frozen.outputs, more(x, y, image))], share=1e-5)


def write_tensorflow_image(root):
    """Rows of tensorflow_convert_image.c: colours, sizes by matrices, neighbourhoods, special functions."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=[tf.TensorSpec([4, 6], tf.float32), tf.TensorSpec([2, 8, 7, 3], tf.float32)])
    def pictures(x, image):
        raw, colours = tf.raw_ops, tf.concat([tf.sigmoid(image[:, :5]), tf.constant(np.float32([0, 0, 0, 1, 1, 1, 0.5, 0.25, 0.5] * 14).reshape(2, 3, 7, 3))], 1)
        kinds = [raw.RGBToHSV(images=colours), raw.HSVToRGB(images=colours), raw.AdjustHue(images=colours, delta=0.3), raw.AdjustHue(images=colours, delta=-0.7),
                 raw.AdjustSaturation(images=colours, scale=1.7)]
        sizes = [raw.ResizeArea(images=image, size=size, align_corners=corners) for size in ([3, 5], [13, 11]) for corners in (False, True)]
        sizes += [tf.image.resize(image, [5, 13], method, antialias=antialias) for method in ("bilinear", "bicubic", "gaussian", "lanczos3", "lanczos5", "mitchellcubic")
                  for antialias in (False, True)]
        sizes += [raw.ScaleAndTranslate(images=image, size=[6, 9], scale=[0.6, 1.4], translation=[1.5, -2.0], kernel_type=kind) for kind in ("box", "triangle", "lanczos1")]
        window, side = tf.reshape(x, [2, 4, 3]) * 0.3, [1, 1, 1, 1]
        near = [tf.nn.dilation2d(image, window, [1, 2, 1, 1], "SAME", "NHWC", side), tf.nn.dilation2d(image, window, side, "VALID", "NHWC", [1, 3, 2, 1]),
                tf.nn.erosion2d(image, window, side, "SAME", "NHWC", side)]
        best = [part for batch in (False, True) for part in tf.nn.max_pool_with_argmax(image, [3, 2], 2, "SAME" if batch else "VALID", include_batch_in_index=batch)]
        special = [tf.math.lgamma(x * 3), tf.math.lgamma(tf.abs(x) + 0.1), tf.math.erfinv(tf.tanh(x)), tf.minimum(tf.math.lgamma(tf.round(x)), 99.0)]
        flat = lambda parts: tf.concat([tf.reshape(tf.cast(p, tf.float32), [-1]) for p in parts], 0)
        return flat(kinds), flat(sizes), flat(near), flat(best), flat(special)

    x, _ = inputs()
    image = np.random.default_rng(4).normal(size=(2, 8, 7, 3)).astype(np.float32)
    frozen = convert_variables_to_constants_v2(pictures.get_concrete_function())
    with open(os.path.join(zoo_case.folder(root, "tensorflow", "own_gd_image"), "model.pb"), "wb") as file:
        file.write(frozen.graph.as_graph_def().SerializeToString())
    zoo_case.save(root, "tensorflow", "own_gd_image", ["model.pb"], list(zip([t.name for t in frozen.inputs], (x, image))),
                  [(t.name, v.numpy()) for t, v in zip(frozen.outputs, pictures(x, image))], share=1e-7)  # of places in the picture


def write_tensorflow_detections(root):
    """CombinedNonMaxSuppression: boxes that classes share or not, fewer and more of them than wanted, ones outside of the picture."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=[tf.TensorSpec([2, 12, 3, 4], tf.float32), tf.TensorSpec([2, 12, 3], tf.float32)])
    def detections(boxes, scores):
        keep = tf.image.combined_non_max_suppression
        made = [keep(boxes[:, :, :1], scores, 3, 7, 0.3, 0.4), keep(boxes, scores, 4, 20, 0.5, 0.6, clip_boxes=False), keep(boxes, scores, 2, 20, 0.5, 0.5, pad_per_class=True)]
        return [part for one in made for part in one]

    rng = np.random.default_rng(3)
    corner, scores = rng.uniform(-0.2, 0.7, size=(2, 12, 3, 2)), rng.uniform(size=(2, 12, 3)).astype("f4")
    boxes = np.concatenate([corner, corner + rng.uniform(0.2, 0.6, size=corner.shape)], 3).astype("f4")
    frozen = convert_variables_to_constants_v2(detections.get_concrete_function())
    with open(os.path.join(zoo_case.folder(root, "tensorflow", "own_gd_detections"), "model.pb"), "wb") as file:
        file.write(frozen.graph.as_graph_def().SerializeToString())
    zoo_case.save(root, "tensorflow", "own_gd_detections", ["model.pb"], list(zip([t.name for t in frozen.inputs], (boxes, scores))),
                  [(t.name, v.numpy()) for t, v in zip(frozen.outputs, detections(boxes, scores))], share=1e-6)


def write_tensorflow_tables(root):
    """Lookup tables that the SavedModel's initialisation fills."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf

    def table(keys, values, otherwise):
        return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), otherwise)

    class Tables(tf.Module):
        def __init__(self):
            super().__init__()
            self.wide = table(tf.constant([2**60 + 1, 5, 2**60], tf.int64), tf.constant([0.5, 1.5, -2.0]), 7.0)
            self.small = table(tf.constant([3, 1, 0], tf.int32), tf.constant([30, 2**30 + 1, -1], tf.int32), -9)
            self.far = table(tf.constant([5, 6], tf.int64), tf.constant([2**60 + 1, -7], tf.int64), tf.constant(-1, tf.int64))

        @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.int64, name="ids")])
        def call(self, ids):
            low = tf.cast(tf.math.floormod(ids, 5), tf.int32)
            return {"wide": self.wide.lookup(ids), "small": self.small.lookup(low), "far": self.far.lookup(ids)}

    model, ids = Tables(), np.array([[2**60, 2**60 + 1, 2**60 + 2], [5, 6, -1]], "i8")
    made = model.call(tf.constant(ids))
    tf.saved_model.save(model, os.path.join(zoo_case.folder(root, "tensorflow", "own_sm_tables"), "saved_model"), signatures=model.call.get_concrete_function())
    zoo_case.save(root, "tensorflow", "own_sm_tables", ["saved_model"], [("ids", ids)], [(k, v.numpy()) for k, v in sorted(made.items())], share=0)


def write_tensorflow_case(root):
    """tf.switch_case, whose branches are a list of functions."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([4, 6], tf.float32)])
    def choice(k, x):
        return tf.switch_case(k, [lambda: (x, x[0]), lambda: (x * 2, x[1] + 1), lambda: (tf.tanh(x), x[2])])

    x, _ = inputs()
    plain = choice.get_concrete_function()  # freezing it would write Switch and Merge
    with open(os.path.join(zoo_case.folder(root, "tensorflow", "own_gd_case"), "model.pb"), "wb") as file:
        file.write(plain.graph.as_graph_def().SerializeToString())
    k = np.array(1, np.int32)
    zoo_case.save(root, "tensorflow", "own_gd_case", ["model.pb"], list(zip([t.name for t in plain.inputs], (k, x))),
                  [(t.name, v.numpy()) for t, v in zip(plain.outputs, choice(k, x))], share=1e-5)


def write_mxnet(root):
    os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"
    import mxnet as mx
    a, b = mx.sym.var("x"), mx.sym.var("y")
    flat = lambda parts: mx.sym.concat(*[mx.sym.reshape(p, (-1,)) for p in parts], dim=0)
    small = mx.sym.tanh(a) * 0.9
    math = [mx.sym.broadcast_hypot(a, b), mx.sym.gammaln(mx.sym.abs(a) + 0.1), mx.sym.gammaln(a), mx.sym.gamma(a - 0.3), mx.sym.erfinv(small), mx.sym.nansum(a, axis=1)]
    mean, var = mx.sym.moments(a, axes=(0,))[0], mx.sym.moments(a, axes=(0,))[1]
    order = [mx.sym.sort(a, axis=1), mx.sym.argsort(a, axis=0), mx.sym.cumsum(a, axis=1), mx.sym.argmax_channel(a), mean, var,
             mx.sym.diag(a, k=1), mx.sym.diag(mx.sym.slice_axis(mx.sym.reshape(a, (-1,)), axis=0, begin=0, end=3), k=-1)]
    linear = [mx.sym.linalg.gemm(a, b, mx.sym.dot(a, b, transpose_b=True), transpose_b=True, alpha=0.5, beta=2.0), mx.sym.linalg.syrk(a, transpose=True, alpha=0.3)]
    image, theta = mx.sym.reshape(a, (1, 1, 4, 6)), mx.sym.slice_axis(mx.sym.reshape(b, (4, 6)), axis=0, begin=0, end=1) * 0.5
    grid = mx.sym.GridGenerator(theta, transform_type="affine", target_shape=(3, 5))
    flow = mx.sym.GridGenerator(mx.sym.reshape(b, (1, 2, 3, 4)), transform_type="warp")
    spatial = [grid, flow, mx.sym.BilinearSampler(image, grid), mx.sym.SpatialTransformer(image, theta, target_shape=(3, 5), transform_type="affine", sampler_type="bilinear")]
    steps, lengths = mx.sym.reshape(a, (4, 3, 2)), mx.sym.slice_axis(mx.sym.arange(1, 5), axis=0, begin=0, end=3)
    rows = [mx.sym.SequenceLast(steps, lengths, use_sequence_length=True), mx.sym.SequenceReverse(steps, lengths, use_sequence_length=True)]
    net = mx.sym.Group([flat(p) for p in (math, order, linear, spatial, rows)])
    x, y = inputs()
    made = net.bind(mx.cpu(), {"x": mx.nd.array(x), "y": mx.nd.array(y)}).forward()
    folder = zoo_case.folder(root, "mxnet", "special")
    net.save(os.path.join(folder, "special-symbol.json"))
    mx.nd.save(os.path.join(folder, "special-0000.params"), {"arg:unused": mx.nd.zeros((1,))})
    zoo_case.save(root, "mxnet", "special", ["special-symbol.json", "special-0000.params"], [("x", x), ("y", y)],
                  list(zip(net.list_outputs(), [v.asnumpy() for v in made])), share=1e-5)


def write_mxnet_regions(root):
    """Rows of mxnet_region.c; names of outputs that are not NAME_output."""
    os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"
    np.bool = bool  # MXNet 1.9 asks for it
    import mxnet as mx
    sym, contrib, rng = mx.sym, mx.sym.contrib, np.random.default_rng(6)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    image, boxes, rows = normal(2, 4, 9, 11), abs(normal(1, 12, 4)), abs(normal(1, 12, 6))
    boxes[..., 2:] += boxes[..., :2]
    rows[..., 4:] = rows[..., 2:4] + 1 + rows[..., 4:]
    rows[..., 0], rows[..., 1] = np.arange(12) % 3, rng.permutation(12) / 12
    rois = np.array([[0, 0, 0, 9, 7], [1, 2, 1, 8, 6]], np.float32)
    given = {"image": image, "boxes": boxes, "rows": rows, "rois": rois, "offset": normal(2, 18, 9, 11), "mask": abs(normal(2, 9, 9, 11)), "weight": normal(3, 4, 3, 3),
             "q": normal(3, 2, 8), "kv": normal(4, 2, 16), "index": np.array([0, 1, 9, 3], np.float32)}
    s = {k: sym.var(k) for k in given}
    flat = lambda parts: sym.concat(*[sym.reshape(p, (-1,)) for p in parts], dim=0)
    regions = [sym.ROIPooling(s["image"], s["rois"], pooled_size=(2, 3), spatial_scale=0.5), contrib.ROIAlign(s["image"], s["rois"], pooled_size=(2, 3), spatial_scale=0.5, sample_ratio=2),
               contrib.ROIAlign(s["image"], s["rois"], pooled_size=(2, 2), spatial_scale=1.0, sample_ratio=1, aligned=True),
               contrib.ModulatedDeformableConvolution(s["image"], s["offset"], s["mask"], s["weight"], kernel=(3, 3), pad=(1, 1), num_filter=3, no_bias=True)]
    box = [contrib.box_iou(s["boxes"], s["rois"].slice_axis(axis=1, begin=1, end=5)), contrib.box_decode(s["boxes"] * 0.1, s["boxes"], 0.1, 0.1, 0.2, 0.2, format="corner"),
           contrib.box_decode(s["boxes"] * 0.1, s["boxes"], clip=0.05), contrib.box_nms(s["rows"], overlap_thresh=0.4, id_index=0, topk=10, valid_thresh=0.2),
           contrib.box_nms(s["rows"], overlap_thresh=0.4, id_index=0, force_suppress=True, background_id=1),
           contrib.box_nms(sym.slice_axis(s["rows"], axis=2, begin=1, end=6), overlap_thresh=0.6, score_index=0, coord_start=1)]
    pooled = [contrib.AdaptiveAvgPooling2D(s["image"], output_size=(4, 3)), sym.Pooling(s["image"], kernel=(3, 3), stride=(2, 4), pool_type="sum", pooling_convention="full"),
              sym.Pooling(s["image"], kernel=(1, 1), global_pool=True, pool_type="lp", p_value=2), contrib.BilinearResize2D(s["image"], sym.zeros((1, 1, 5, 20)), mode="like")]
    first = sym.reshape(sym.slice_axis(s["image"], axis=0, begin=0, end=1), (4, 9, 11))
    rest = [contrib.interleaved_matmul_encdec_qk(s["q"], s["kv"], heads=2), contrib.interleaved_matmul_encdec_valatt(s["kv"], sym.ones((4, 3, 4)), heads=2), sym.eye(3, 4, k=1),
            sym.linspace(0, 1, 5), contrib.quadratic(s["q"], a=1.0, b=2.0, c=3.0), sym.scatter_nd(sym.reshape(s["q"], (6, 8)), sym.reshape(sym.arange(6), (1, 6)), shape=(7, 8)),
            sym.pick(sym.reshape(s["q"], (4, 12)), s["index"], axis=1), sym.pick(first, sym.reshape(sym.arange(44) - 20, (4, 11)), axis=1, mode="wrap")]
    net = sym.Group([flat(p) for p in (regions, box, pooled, rest)] + [sym.GroupNorm(s["q"], sym.ones((2,)), sym.zeros((2,)), num_groups=2, name="normed"), sym.sort(s["q"], name="sorted"),
                                                                      sym.make_loss(s["q"], name="lost")])
    made = net.bind(mx.cpu(), {k: mx.nd.array(v) for k, v in given.items()}).forward()
    folder = zoo_case.folder(root, "mxnet", "regions")
    net.save(os.path.join(folder, "regions-symbol.json"))
    mx.nd.save(os.path.join(folder, "regions-0000.params"), {"arg:unused": mx.nd.zeros((1,))})
    zoo_case.save(root, "mxnet", "regions", ["regions-symbol.json", "regions-0000.params"], [(k, given[k]) for k in net.list_arguments()],
                  list(zip(net.list_outputs(), [v.asnumpy() for v in made])), share=1e-5)


def write_mxnet_flow(root):
    """Gluon's foreach, while_loop and cond, with several data, outputs and states."""
    os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"
    import mxnet as mx

    class Flow(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.dense = mx.gluon.nn.Dense(4, in_units=4)

        def hybrid_forward(self, F, x, n):
            def body(data, states):
                y = self.dense(data) + states[0]
                return [y.tanh(), data * 2], [y, states[1] + 1]

            made, last = F.contrib.foreach(body, x, [F.zeros((2, 4)), F.zeros((1,))])
            first = F.slice_axis(x, axis=0, begin=0, end=1).reshape((2, 4))
            steps, end = F.contrib.while_loop(lambda i, v: i < n.reshape((1,)), lambda i, v: (v * 2, [i + 1, self.dense(v)]), [F.zeros((1,)), first],
                                              max_iterations=5)
            flat = made[1].reshape((10, 4))
            chosen = F.contrib.cond(F.sum(x) > 0, lambda: self.dense(flat) * 2, lambda: flat - 1)
            steps = steps[0] if isinstance(steps, list) else steps
            return made[0], made[1], last[0], last[1], end[0], end[1], chosen, F.slice_axis(steps, axis=0, begin=0, end=3)

    mx.random.seed(1)
    np.random.seed(1)
    net = Flow()
    net.initialize(mx.init.Normal(0.6))
    net.hybridize()
    x, n = np.random.normal(size=(5, 2, 4)).astype(np.float32), np.array([3], np.float32)
    made = net(mx.nd.array(x), mx.nd.array(n))
    net.export(os.path.join(zoo_case.folder(root, "gluon", "flow"), "flow"), epoch=0)
    zoo_case.save(root, "gluon", "flow", ["flow-symbol.json", "flow-0000.params"], [("data0", x), ("data1", n)],
                  [("out%d" % k, v.asnumpy()) for k, v in enumerate(made)], share=1e-5)


def write_keras(root):
    """keras.ops functions on the tensors of a model, in both files that Keras 3 writes: one vector of all that they make."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    from keras import ops
    i, j = keras.Input((6, 8), name="x"), keras.Input((8, 8, 4), name="image")
    parts = [
        ops.top_k(i, 3)[0], ops.cast(ops.top_k(i, 3)[1], "float32"), ops.pad(i, [[0, 0], [1, 2], [3, 0]]), ops.pad(i, [[0, 0], [1, 2], [3,
        0]], constant_values=2.5), ops.pad(i, [[0, 0], [1, 2], [3, 0]], mode="reflect"), ops.moveaxis(i, 1, 2), ops.moveaxis(j, -1, 1),
        ops.moveaxis(j, 1, -1), ops.repeat(i, 2, axis=1), ops.roll(i, 2, axis=1), ops.roll(i, -3, axis=2), ops.hstack([i, i]),
        ops.vstack([i, i]), ops.sort(i, axis=1), ops.cast(ops.argsort(i), "float32"), ops.take_along_axis(i, ops.argsort(i), axis=-1),
        ops.tril(i, k=1), ops.triu(i, k=-2), ops.average(i, axis=1), ops.normalize(i, axis=-1), ops.moments(i, axes=[1])[0],
        ops.moments(i, axes=[1], keepdims=True)[1], ops.full_like(i, 3.0), ops.unstack(i, axis=1)[2], ops.slice(i, (0, 1, 2), (2, 2, 3)),
        ops.norm(i, axis=-1), ops.norm(i, ord=1, axis=1), ops.image.resize(j, (16, 12)), ops.image.rgb_to_grayscale(j[..., :3]),
        ops.tensordot(i, np.ones((8, 3), "f4"), axes=1), ops.outer(i[0], i[1]), ops.layer_normalization(i, np.arange(8.).astype("f4"),
        np.ones(8, "f4")), ops.dot_product_attention(j, j, j), ops.dot_product_attention(j, j, j, is_causal=True, scale=0.3), ops.glu(i),
        ops.threshold(i, 0.1, 7.0), ops.cumprod(i, axis=1), ops.rms_normalization(i, scale=np.arange(8.).astype("f4")),
        ops.cast(ops.count_nonzero(i>0, axis=1), "float32"), ops.hypot(i, i+1), ops.image.pad_images(j, 1, 2, 3, 0),
        ops.image.crop_images(j, 1, 2, 3, 0), ops.fliplr(i), ops.flipud(i), ops.exp2(i), ops.trunc(i*3), ops.tanh_shrink(i),
        ops.squareplus(i), ops.soft_shrink(i), ops.hard_shrink(i), ops.logaddexp(i, i*2), ops.divide_no_nan(i, ops.relu(i)),
        ops.deg2rad(i), ops.multi_hot(ops.cast(ops.abs(i)*2, "int32"), num_classes=4), i+np.arange(8.).astype("f4"), ops.depth_to_space(j,
        2), ops.space_to_depth(j, 2), ops.broadcast_to(ops.sum(i, axis=[0, 1]), (5, 8)), ops.where(i>0, i, -1.5), ops.concatenate([i,
        i*2], axis=-1), ops.einsum("bij,bkj->bik", i, i), ops.image.resize(j, (11, 13), interpolation="bicubic")]
    model = keras.Model([i, j], ops.concatenate([ops.reshape(p, (-1,)) for p in parts]))
    rng = np.random.default_rng(1)
    x = [rng.normal(size=(2, 6, 8)).astype("f4"), rng.normal(size=(2, 8, 8, 4)).astype("f4")]
    made = np.asarray(model(x, training=False))
    for name, file in (("v3_functions", "model.keras"), ("h5_functions", "model.h5")):
        model.save(os.path.join(zoo_case.folder(root, "keras", name), file))
        zoo_case.save(root, "keras", name, [file], list(zip(("x", "image"), x)), [("output_0", made)], share=1e-5)


def write_keras_layers(root):
    """Layers of keras_layers_more.c and others that few models have; of Keras 2 those that Keras 3 dropped."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    layers, rng = keras.layers, np.random.default_rng(1)
    new = keras.__version__.startswith("3")
    keras.utils.set_random_seed(1)
    i, j, k = keras.Input((6, 8), batch_size=2, name="x"), keras.Input((8, 9, 3), batch_size=2, name="image"), keras.Input((5,), batch_size=2, dtype="int32", name="ids")
    parts = [layers.Attention(score_mode="concat", use_scale=True)([i, i]), layers.CenterCrop(12, 6)(j), layers.Resizing(5, 3, crop_to_aspect_ratio=True)(j)]
    whole = [layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.7])(i), layers.IntegerLookup(vocabulary=[3, 5, 1])(k), layers.IntegerLookup(vocabulary=[4, 2], mask_token=0)(k)]
    if new:
        ops = keras.ops
        parts += [layers.AdaptiveAveragePooling1D(4)(i), layers.AdaptiveMaxPooling2D((3, 5))(j), layers.ReversibleEmbedding(9, 4)(k), layers.RandomShear(0.3)(j), ops.take(i, [0, 2, 2], axis=1)]
        parts += [ops.cast(v, "float32") for v in whole]
    else:
        parts += [layers.LocallyConnected1D(3, 2, strides=2, activation="tanh")(i), layers.LocallyConnected2D(2, (3, 2), strides=(2, 1))(j)]
        parts += [layers.Embedding(9, 2)(v) for v in whole]
    model = keras.Model([i, j, k], layers.Concatenate()([layers.Flatten()(p) for p in parts]))
    for w in model.weights:
        if "float" in str(w.dtype):
            w.assign(rng.normal(size=tuple(w.shape)).astype("f4") * 0.5)
    x = [rng.normal(size=(2, 6, 8)).astype("f4"), rng.normal(size=(2, 8, 9, 3)).astype("f4"), rng.integers(0, 7, (2, 5)).astype("i4")]
    name, file = ("v3_rare_layers", "model.keras") if new else ("h5_rare_layers_k2", "model.h5")
    made = np.asarray(model(x, training=False))
    model.save(os.path.join(zoo_case.folder(root, "keras", name), file))
    zoo_case.save(root, "keras", name, [file], list(zip(("x", "image", "ids"), x)), [("output_0", made)], share=1e-5)


def write_keras_integers(root):
    """Arithmetic of integer inputs with plain numbers, beyond what a float holds."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    new = keras.__version__.startswith("3")
    k, ids = keras.Input((4,), batch_size=2, dtype="int32", name="k"), keras.Input((4,), batch_size=2, dtype="int64", name="ids")
    if new:
        parts = [keras.ops.floor_divide(k, 3), k // -7, keras.ops.floor_divide(ids, k), ids + 1, k * 2 - 1]
    else:
        parts = [k + 1, 1 - k, k * 3, k // 3, k % 7, ids + 1, keras.layers.Reshape((2, 2))(k) + 5]
    model = keras.Model([k, ids], parts)
    x = [np.array([[16777217, -16777219, 2000000001, 7], [-1, 3, -3, 50000003]], "i4"), np.array([[2**40 + 1, -5, 6, 7], [1, 2, 3, -2**33 - 1]], "i8")]
    name, file = ("v3_integers", "model.keras") if new else ("h5_integers_k2", "model.h5")
    made = [np.asarray(v) for v in model(x, training=False)]
    model.save(os.path.join(zoo_case.folder(root, "keras", name), file))
    zoo_case.save(root, "keras", name, [file], list(zip(("k", "ids"), x)), [("output_%d" % i, v) for i, v in enumerate(made)], rtol=1e-14, share=1e-14)


def write_keras_arguments(root):
    """What functions do by an argument that is mostly left alone, and by its default where Keras 3 and TensorFlow differ."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    rng, new = np.random.default_rng(5), keras.__version__.startswith("3")
    i, k = keras.Input((6, 8), batch_size=2, name="x"), keras.Input((4,), batch_size=2, dtype="int32", name="ids")
    if new:
        ops = keras.ops
        whole = [ops.equal(k, 16777217), k - np.array([16777217, 3, 0, 1], "i4"), ops.one_hot(ops.clip(k, -2, 4), 5, dtype="int32"),
                 ops.full_like(i, 3.7, dtype="int32"), ops.image.resize(ops.reshape(k, (2, 2, 2, 1)), (3, 5))]
        parts = [ops.elu(i, 0.3), ops.celu(i, 0.4), ops.max(i, axis=1, initial=0.5), ops.min(i, axis=2, initial=-0.5), ops.mean(k, axis=1), ops.std(k),
                 ops.take_along_axis(i, np.array([[[1, 2, 0]]]), axis=2), ops.take(i, [[0, 2], [1, 1]], axis=1), ops.rms_normalization(i * 1e-3, np.arange(8.).astype("f4"))]
        parts += [ops.cast(v, "float32") for v in whole]
    else:
        import tensorflow as tf
        parts = [tf.argmax(i, axis=None, output_type=tf.int32), tf.math.cumprod(i), tf.cumsum(i), tf.gather(i, [1, 0, 1]), i[..., -1], i[:, ::2, ..., 1:3],
                 tf.compat.v1.nn.softmax(i, dim=1), tf.compat.v1.norm(i, axis=1, keep_dims=True), *tf.split(i, [2, -1, 3], axis=-1)]
        parts[0] = tf.cast(parts[0], tf.float32)
    model = keras.Model([i, k], keras.layers.Concatenate(axis=0)([keras.ops.reshape(v, (-1,)) if new else tf.reshape(v, [-1]) for v in parts]))
    x = [rng.normal(size=(2, 6, 8)).astype("f4"), np.array([[16777217, 1, -1, 16777216], [3, -7, 4, 40]], "i4")]
    name, file = ("v3_arguments", "model.keras") if new else ("h5_arguments_k2", "model.h5")
    made = np.asarray(model(x, training=False))
    model.save(os.path.join(zoo_case.folder(root, "keras", name), file))
    zoo_case.save(root, "keras", name, [file], list(zip(("x", "ids"), x)), [("output_0", made)], share=1e-9)
    if new: # keys that are no doubles
        ids = keras.Input((3,), batch_size=2, dtype="int64", name="ids")
        model = keras.Model(ids, keras.layers.IntegerLookup(vocabulary=[2**60 + 1, 2**60, 5])(ids))
        x = np.array([[2**60, 2**60 + 1, 2**60 + 2], [5, 6, 2**60 - 1]], "i8")
        model.save(os.path.join(zoo_case.folder(root, "keras", "v3_lookup"), file))
        zoo_case.save(root, "keras", "v3_lookup", [file], [("ids", x)], [("output_0", np.asarray(model(x)))], share=1e-9)


def save_both(root, name, model, inputs, outputs, share=1e-5):
    """In both files that Keras 3 writes."""
    for prefix, file in (("v3", "model.keras"), ("h5", "model.h5")):
        path = zoo_case.folder(root, "keras", f"{prefix}_{name}")
        model.save(os.path.join(path, file))
        zoo_case.save(root, "keras", f"{prefix}_{name}", [file], inputs, outputs, share=share)


def write_keras_windows(root):
    """Convolutions, pools, normalisation, segments and writes that are called as functions; spectra as functions and layers."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    layers, ops, rng = keras.layers, keras.ops, np.random.default_rng(6)
    # Keras 3.15 saves the function's arguments rightly, but mixes up two of them when it calls it
    keras.src.ops.nn.ConvTranspose.call = lambda self, x, k: ops.conv_transpose(x, k, self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate)
    taps = lambda *shape: (rng.normal(size=shape) * 0.3).astype("f4")
    a, b, k, n = keras.Input((8, 9, 4), batch_size=2, name="a"), keras.Input((12, 4), batch_size=2, name="b"), keras.Input((4, 2), batch_size=3, name="k"), keras.Input((), batch_size=8, dtype="int32", name="n")
    parts = [ops.conv(a, taps(3, 3, 4, 6), dilation_rate=2), ops.conv(b, k, strides=2, padding="same"), ops.depthwise_conv(a, taps(3, 2, 4, 2), padding="same"),
             ops.separable_conv(a, taps(3, 3, 4, 2), taps(1, 1, 8, 5), strides=2, padding="same"), ops.conv_transpose(a, taps(3, 4, 2, 4), strides=(2, 3)),
             ops.conv_transpose(a, taps(3, 3, 2, 4), strides=2, padding="same", output_padding=1), layers.Conv1DTranspose(3, 4, strides=3, padding="same", output_padding=2)(b),
             ops.max_pool(b, 3, padding="same"), ops.average_pool(a, (3, 2), (2, 1), "same"), ops.adaptive_average_pool(a, (3, 4)), ops.adaptive_max_pool(a, (5, 2)),
             ops.batch_normalization(a, taps(9), np.abs(taps(9)), 2, scale=taps(9), epsilon=0.1), ops.batch_normalization(b, taps(4), np.abs(taps(4)), -1),
             ops.segment_sum(a[0, :, 0], n, 5), ops.segment_max(b[0, :8], np.array([0, 3, 1, 1, 2, 2, 0, 3], "i4")), ops.scatter_update(b, np.array([[1, 7], [0, 2]]), k[0, :2] @ taps(2, 4)),
             ops.scatter_update(b[0], np.array([[1, 3], [11, 0], [1, 3]]), np.array([3.0, 4.0, 5.0], "f4"), reduction="add"), ops.slice_update(a, (0, 2, 0, 1), a[:, :5, 1:, :3]),
             ops.select([b > 1, b < -1], [b, b * 2], 0.5)]
    model = keras.Model([a, b, k, n], layers.Concatenate(axis=0)([ops.reshape(v, (-1,)) for v in parts]))
    x = [rng.normal(size=(2, 8, 9, 4)).astype("f4"), rng.normal(size=(2, 12, 4)).astype("f4"), taps(3, 4, 2), np.array([0, 2, -1, 2, 0, 4, 1, -1], "i4")]
    save_both(root, "windows", model, list(zip("abkn", x)), [("output_0", np.asarray(model(x, training=False)))])


def write_keras_elements(root):
    """Functions on elements and small products, at the edges of the numbers; with Keras 2 its functions of TensorFlow with windows."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    rng, new = np.random.default_rng(8), keras.__version__.startswith("3")
    if not new:
        import tensorflow as tf
        a, taps = keras.Input((8, 9, 4), batch_size=2, name="a"), rng.normal(size=(3, 3, 4, 2)).astype("f4")
        parts = [tf.nn.conv2d(a, taps, [1, 2, 2, 1], "SAME"), tf.nn.conv2d(a, taps, 1, "VALID", dilations=[1, 2, 1, 1]), tf.nn.depthwise_conv2d(a, taps, [1, 1, 1, 1], "SAME"),
                 tf.nn.max_pool2d(a, 3, [1, 2, 1, 1], "SAME"), tf.nn.avg_pool2d(a, [1, 2, 3, 1], 2, "VALID"), tf.math.l2_normalize(a, -1), tf.math.atan2(a, a + 0.5)]
        x, name = rng.normal(size=(2, 8, 9, 4)).astype("f4"), "h5_windows_k2"
        model = keras.Model(a, parts)
        model.save(os.path.join(zoo_case.folder(root, "keras", name), "model.h5"))
        return zoo_case.save(root, "keras", name, ["model.h5"], [("a", x)], [("output_%d" % k, v.numpy()) for k, v in enumerate(model(x))], share=1e-5)
    ops = keras.ops
    a, b, s, k = [keras.Input((4,), batch_size=3, name=n) for n in "abs"] + [keras.Input((4,), batch_size=3, dtype="int32", name="k")]
    parts = [ops.cbrt(a), ops.sinc(ops.trunc(a) + s), ops.sparse_plus(a), ops.sparse_sigmoid(a), ops.arctan2(a, b), ops.logaddexp2(a, b), ops.heaviside(ops.trunc(a), b), ops.inner(a, b), ops.vdot(a, b),
             ops.diff(a, 2), ops.diff(b, axis=0), ops.cross(a[:, :3], b[:, 1:]), ops.nan_to_num(s, 1.5, 7.0, -8.0), *[ops.cast(f(s), "float32") for f in (ops.isfinite, ops.isposinf, ops.isneginf, ops.signbit)],
             *[ops.cast(f(k, k * 3 - 7), "float32") / 64 for f in (ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor)]]
    parts[1] = ops.nan_to_num(parts[1], 0.25, 0.5, 0.75)
    model = keras.Model([a, b, s, k], [ops.concatenate([ops.reshape(v, (-1,)) for v in half]) for half in (parts[:13], parts[13:])])
    x = [*rng.normal(size=(2, 3, 4)).astype("f4"), np.array([[np.nan, np.inf, -np.inf, 0], [-0.0, 1, -1, 0.5], [2, -3, 1e-3, 0]], "f4"), rng.integers(-50, 50, (3, 4)).astype("i4")]
    save_both(root, "elements", model, list(zip("absk", x)), [("output_%d" % n, np.asarray(v)) for n, v in enumerate(model(x, training=False))])


def write_keras_spectra(root):
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    layers, ops, rng = keras.layers, keras.ops, np.random.default_rng(7)
    i = keras.Input((200, 2), batch_size=2, name="x")
    line = ops.transpose(i, (0, 2, 1))
    parts = [*ops.stft(line, 15, 7, 32, window="hamming", center=False), *ops.stft(line[:, 0], 16, 8, 16),
             layers.MelSpectrogram(fft_length=64, sequence_stride=16, sequence_length=40, window="hamming", num_mel_bins=12, sampling_rate=8000, min_freq=50, max_freq=3000, mag_exp=1.5, top_db=20.0,
                                   ref_power=2.0)(line[:, 1]), layers.MelSpectrogram(fft_length=32, sequence_stride=16, num_mel_bins=8, power_to_db=False)(line[:, 0])]
    for mode in ("log", "magnitude", "psd", "real", "imag", "angle", "stft"):
        parts.append(layers.STFTSpectrogram(mode=mode, frame_length=20, frame_step=8, fft_length=32, padding="same" if mode in ("log", "stft") else "valid", expand_dims=mode in ("psd", "real", "stft"))(i))
    parts.append(layers.STFTSpectrogram(mode="magnitude", frame_length=20, data_format="channels_first", expand_dims=True)(line))
    model = keras.Model(i, parts)
    t = np.arange(200)
    x = np.stack([np.stack([np.sin(t * 0.3), np.cos(t * 0.05 + t * t * 0.002)], 1) * s for s in (1.0, 0.5)]).astype("f4") + rng.normal(size=(2, 200, 2)).astype("f4") * np.float32(0.2)
    save_both(root, "spectra", model, [("x", x)], [("output_%d" % k, np.asarray(v)) for k, v in enumerate(model(x, training=False))])


def write_tflite(root):
    """Operators between 8-bit tensors to the last bit, twenty channels for vector kernels and their scalar rests."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    rng, shape = np.random.default_rng(3), (1, 6, 7, 20)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def special(x):
        return (x * tf.tanh(x), tf.reduce_mean(x, [1, 2], keepdims=True), tf.reduce_mean(x, [1, 2]), x * tf.nn.relu6(x + 3) * np.float32(1 / 6),
                tf.compat.v1.image.resize_bilinear(x, [11, 5], half_pixel_centers=True), tf.compat.v1.image.resize_bilinear(x, [9, 13], align_corners=True),
                tf.matmul(x, x, transpose_b=True), tf.math.squared_difference(x, tf.reduce_mean(x, 3, keepdims=True)))

    data = [1.5 * rng.normal(size=shape).astype("f4") for _ in range(8)]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([special.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([d] for d in data)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    given, x = interpreter.get_input_details()[0], rng.integers(-128, 128, size=shape).astype("i1")
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    with open(os.path.join(zoo_case.folder(root, "tflite", "exact_bytes"), "model.tflite"), "wb") as file:
        file.write(content)
    zoo_case.save(root, "tflite", "exact_bytes", ["model.tflite"], [(given["name"], x)],
                  [(d["name"], interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()], rtol=0, share=0.5 / 128)


globals()["write_" + sys.argv[1]](sys.argv[2])
