"""torchvision's classifiers at full size with random weights, through torch.export and as TorchScript.

usage: zoo_torch.py ROOT [NAME...]     writes ROOT/{torch_export,torchscript}/NAME/; NAME big: 100 MB, ONNX as well
"""
import os
import sys
import warnings

import numpy as np
import torch
import torchvision
import zoo_case

NETWORKS = ["resnet50", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "shufflenet_v2_x1_0"]


def big():
    layers = [torch.nn.Conv2d(64, 800, 3, padding=1), torch.nn.ReLU()]
    for _ in range(3):
        layers += [torch.nn.Conv2d(800, 800, 3, padding=1), torch.nn.ReLU()]
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(800, 6000), torch.nn.ReLU(), torch.nn.Linear(6000, 1000)]
    return torch.nn.Sequential(*layers), (1, 64, 16, 16)


def make(name):
    model, shape = big() if name == "big" else (getattr(torchvision.models, name)(weights=None), (1, 3, 224, 224))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval(), torch.randn(shape)


@torch.no_grad()
def write(root, name):
    torch.manual_seed(0)
    model, x = make(name)
    y = model(x).numpy()
    program = torch.export.export(model, (x,))
    label = program.graph_signature.user_inputs[0]
    torch.export.save(program, os.path.join(zoo_case.folder(root, "torch_export", name), "model.pt2"))
    zoo_case.save(root, "torch_export", name, ["model.pt2"], [(label, x.numpy())], [("out0", y)])
    script = torch.jit.trace(model, x)
    script.save(os.path.join(zoo_case.folder(root, "torchscript", name), "model.pt"))
    label = list(script.graph.inputs())[1].debugName().split(".")[0]
    zoo_case.save(root, "torchscript", name, ["model.pt"], [(label, x.numpy())], [("out0", y)])
    if name == "big":
        path = os.path.join(zoo_case.folder(root, "onnx", name), "model.onnx")
        torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"], output_names=["y"])
        zoo_case.save(root, "onnx", name, ["model.onnx"], [("x", x.numpy())], [("y", y)])


warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.cuda.is_available = lambda: False  # benchmarks/torch_cpu.py: there is nothing behind it to ask
torch._C._ensureCUDADeviceGuardSet = lambda: None
for wanted in sys.argv[2:] or NETWORKS:
    if not zoo_case.done(sys.argv[1], "torchscript", wanted):
        write(sys.argv[1], wanted)
