"""The single layers that the bars measure, as te texts (as models make them: ir/te.h) and as arguments of the peers' workers.

A layer is a dict: kind conv, depthwise or gemm, its sizes, act (none, relu, relu6), count (in its network), group.
"""

RESNET50 = [  # channels in, size, channels out, kernel, stride, how many; torchvision's: the stride is in the 3x3
    (3, 224, 64, 7, 2, 1),
    (64, 56, 64, 1, 1, 1), (64, 56, 64, 3, 1, 3), (64, 56, 256, 1, 1, 4), (256, 56, 64, 1, 1, 2),
    (256, 56, 128, 1, 1, 1), (128, 56, 128, 3, 2, 1), (128, 28, 512, 1, 1, 4), (256, 56, 512, 1, 2, 1), (512, 28, 128, 1, 1, 3),
    (128, 28, 128, 3, 1, 3),
    (512, 28, 256, 1, 1, 1), (256, 28, 256, 3, 2, 1), (256, 14, 1024, 1, 1, 6), (512, 28, 1024, 1, 2, 1), (1024, 14, 256, 1, 1, 5),
    (256, 14, 256, 3, 1, 5),
    (1024, 14, 512, 1, 1, 1), (512, 14, 512, 3, 2, 1), (512, 7, 2048, 1, 1, 3), (1024, 14, 2048, 1, 2, 1), (2048, 7, 512, 1, 1, 2),
    (512, 7, 512, 3, 1, 2),
]
MOBILENET_V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]  # expand, out, n, stride
CUBES = [256, 512, 1024, 2048]
PRODUCTS = {"bert_base": [(128, 768, 768), (128, 3072, 768), (128, 768, 3072)],  # M, N, K
            "vit_b_16": [(197, 768, 768), (197, 2304, 768), (197, 3072, 768), (197, 768, 3072)]}


def conv(c, size, o, k, s, act, group, count=1):
    return {"kind": "conv", "c": c, "h": size, "w": size, "o": o, "k": k, "s": s, "act": act, "group": group, "count": count}


def depthwise(c, size, s, group, count=1):
    return {"kind": "depthwise", "c": c, "h": size, "w": size, "o": c, "k": 3, "s": s, "act": "relu6", "group": group, "count": count}


def gemm(m, n, k, group):
    return {"kind": "gemm", "m": m, "n": n, "k": k, "act": "none", "group": group, "count": 1}


def name(layer):
    if layer["kind"] == "gemm":
        return f"gemm {layer['m']}x{layer['n']}x{layer['k']}"
    sizes = str(layer["c"]) if layer["kind"] == "depthwise" else f"{layer['c']}-{layer['o']}"
    act = "" if layer["act"] == "relu" else " " + layer["act"]
    return f"{layer['kind']} {layer['h']}x{layer['w']} {sizes} {layer['k']}x{layer['k']}s{layer['s']}{act}"


def resnet50():
    return [conv(c, size, o, k, s, "relu", "resnet50", count) for c, size, o, k, s, count in RESNET50]


def mobilenet_v2():
    """Its distinct depthwise and pointwise layers (the first, dense 3x3 is neither)."""
    layers, c, size = [], 32, 112
    for expand, out, n, stride in MOBILENET_V2:
        for i in range(n):
            s = stride if i == 0 else 1
            if expand > 1:
                layers.append(conv(c, size, c * expand, 1, 1, "relu6", "mobilenet_v2"))
            layers.append(depthwise(c * expand, size, s, "mobilenet_v2"))
            size //= s
            layers.append(conv(c * expand, size, out, 1, 1, "none", "mobilenet_v2"))
            c = out
    layers.append(conv(c, size, 1280, 1, 1, "relu6", "mobilenet_v2"))
    distinct = {}
    for layer in layers:
        distinct.setdefault(name(layer), {**layer, "count": 0})["count"] += 1
    return list(distinct.values())


def gemms():
    return [gemm(n, n, n, "sgemm") for n in CUBES] + [gemm(*sizes, group) for group, rows in PRODUCTS.items() for sizes in rows]


def fully_connected():
    return gemm(1, 4096, 25088, "fc")


def output_size(layer):
    pad = (layer["k"] - 1) // 2
    return [(layer[d] + 2 * pad - layer["k"]) // layer["s"] + 1 for d in "hw"]


def flop(layer):
    if layer["kind"] == "gemm":
        return 2.0 * layer["m"] * layer["n"] * layer["k"]
    height, width = output_size(layer)
    return 2.0 * height * width * layer["o"] * layer["k"] ** 2 * (1 if layer["kind"] == "depthwise" else layer["c"])


def _image_te(layer):
    c, h, w, o, k, s = (layer[d] for d in "chwoks")
    deep, pad, (oh, ow) = layer["kind"] == "depthwise", (k - 1) // 2, output_size(layer)
    first = 4 if deep else 5
    at = [f"{v}*{s}" if s > 1 else v for v in ("i2", "i3")]
    if k > 1:
        at = [f"{v}+i{first + j}-{pad}" for j, v in enumerate(at)]
    guard = f" | 0<={at[0]}<{h}, 0<={at[1]}<{w} else 0" if k > 1 else ""
    taps = f"i{first}, i{first + 1}" if k > 1 else "0, 0"
    result = "add(b3[0, i1, i2, i3], b2[i1])"
    result = {"none": result, "relu": f"max({result}, f32:0)", "relu6": f"min(max({result}, f32:0), f32:6)"}[layer["act"]]
    return (f"te 1\nb0 in f32 [1,{c},{h},{w}]\nb1 const f32 [{o},{1 if deep else c},{k},{k}]\nb2 const f32 [{o}]\n"
            f"b3 tmp f32 [1,{o},{oh},{ow}]\nb4 out f32 [1,{o},{oh},{ow}]\n"
            f"B0 b3[i0, i1, i2, i3] s[1,{o},{oh},{ow}] r[{'' if deep else f'{c},'}{k},{k}] add f32:0\n"
            f"  mul(b0[0, {'i1' if deep else 'i4'}, {at[0]}, {at[1]}{guard}], b1[i1, {'0' if deep else 'i4'}, {taps}])\n"
            f"B1 b4[i0, i1, i2, i3] s[1,{o},{oh},{ow}]\n  {result}\n")


def te(layer):
    if layer["kind"] != "gemm":
        return _image_te(layer)
    m, n, k = (layer[d] for d in "mnk")
    if m == 1:  # a fully connected layer's weights are N x K
        return (f"te 1\nb0 in f32 [1,{k}]\nb1 const f32 [{n},{k}]\nb2 out f32 [1,{n}]\n"
                f"B0 b2[i0, i1] s[1,{n}] r[{k}] add f32:0\n  mul(b0[0, i2], b1[i1, i2])\n")
    return (f"te 1\nb0 in f32 [{m},{k}]\nb1 const f32 [{k},{n}]\nb2 out f32 [{m},{n}]\n"
            f"B0 b2[i0, i1] s[{m},{n}] r[{k}] add f32:0\n  mul(b0[i0, i2], b1[i2, i1])\n")


def dnnl_arguments(layer):
    if layer["kind"] == "gemm":
        return ["gemm", *(str(layer[d]) for d in "mnk"), layer["act"]]
    groups = layer["c"] if layer["kind"] == "depthwise" else 1
    return ["conv", *(str(layer[d]) for d in "chwoks"), str((layer["k"] - 1) // 2), str(groups), layer["act"]]


def variants(layer):
    """The layer with every dim one more and one less: name of the change -> layer."""
    dims = {"gemm": ["m", "n", "k"], "depthwise": ["c", "h", "w"], "conv": ["c", "o", "h", "w"]}[layer["kind"]]
    changed = {}
    for dim in dims:
        for step in (-1, 1):
            other = {**layer, dim: layer[dim] + step}
            if layer["kind"] == "depthwise":
                other["o"] = other["c"]
            if other[dim] > 0:
                changed[f"{dim}{step:+d}"] = other
    return changed
