"""torchvision's detectors as ONNX with random weights: exported, compiled, run, and compared with onnxruntime.

usage: detectors.py NEO ROOT [NAME...]     python: tests/tools/zoo/python.sh torch; models are kept below ROOT; exit code 1 on a miss

Boxes are matched as a set: random weights give scores that differ in the sixth digit, which rounding may put in another
order, or on the other side of a threshold. So one row in twenty may be without a partner.
"""
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnxruntime
import torch
from torchvision.models import detection

SMALL = dict(min_size=128, max_size=160)
MODELS = {  # name: function, size, arguments
    "ssdlite": ("ssdlite320_mobilenet_v3_large", (320, 320), {}),
    "ssd300": ("ssd300_vgg16", (300, 300), {}),
    "retinanet": ("retinanet_resnet50_fpn", (128, 160), dict(SMALL, score_thresh=0.0098)),
    "fcos": ("fcos_resnet50_fpn", (128, 160), dict(SMALL, score_thresh=0.05)),
    "faster_rcnn_mobilenet": ("fasterrcnn_mobilenet_v3_large_320_fpn", (128, 160), dict(SMALL, rpn_score_thresh=0.0, box_score_thresh=0.02)),
    "faster_rcnn_resnet50": ("fasterrcnn_resnet50_fpn", (128, 160), dict(SMALL, box_score_thresh=0.02)),
}


def calibrated(model, x):
    """Statistics of the data become each norm's own: activations stay sane."""
    def hook(norm, inputs):
        v = inputs[0]
        norm.running_mean.copy_(v.mean((0, 2, 3)))
        if v[0, 0].numel() > 1:
            norm.running_var.copy_(v.var((0, 2, 3), unbiased=False).clamp(min=1e-3))
    hooks = [m.register_forward_pre_hook(hook) for m in model.modules() if hasattr(m, "running_mean")]
    model([x])
    for one in hooks:
        one.remove()
    return model


@torch.no_grad()
def export(name, folder):
    function, size, attributes = MODELS[name]
    torch.manual_seed(0)
    model = getattr(detection, function)(weights=None, weights_backbone=None, num_classes=11, **attributes).eval()
    x = torch.rand(3, *size)
    os.makedirs(folder, exist_ok=True)
    torch.onnx.export(calibrated(model, x), ([x],), os.path.join(folder, "model.onnx"), dynamo=False, opset_version=17, input_names=["x"])
    np.save(os.path.join(folder, "x.npy"), x.numpy())


def rows(arrays):
    return [np.concatenate([np.asarray(a[i], float).reshape(-1) for a in arrays]) for i in range(len(arrays[0]))]


def matched(want, got):
    left, n = rows(got), 0
    for row in rows(want):
        partner = next((k for k, other in enumerate(left) if np.all(abs(other - row) <= 2e-3 * np.maximum(1, abs(row)))), None)
        if partner is not None:
            del left[partner]
            n += 1
    return n


def check(neo, name, folder):
    if not os.path.exists(os.path.join(folder, "x.npy")):
        export(name, folder)
    model, x = os.path.join(folder, "model.onnx"), os.path.join(folder, "x.npy")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    want = session.run(None, {"x": np.load(x)})
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([neo, "compile", model, "-o", out + "/a", "--db", "none", "--threads", "1"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([neo, "run", out + "/a", "--input", "x=" + x, "--output-dir", out + "/r"], check=True, stdout=subprocess.DEVNULL)
        got = [np.load("%s/r/%s.npy" % (out, o.name)) for o in session.get_outputs()]
    n, total = matched(want, got), len(want[0])
    print("%-24s %d boxes, onnxruntime %d, matched %d" % (name, len(got[0]), total, n), flush=True)
    return total > 0 and len(got[0]) == total and n >= 0.95 * total


warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.cuda.is_available = lambda: False  # benchmarks/torch_cpu.py: there is nothing behind it to ask
torch._C._ensureCUDADeviceGuardSet = lambda: None
sys.exit(not all([check(sys.argv[1], name, os.path.join(sys.argv[2], name)) for name in sys.argv[3:] or MODELS]))
