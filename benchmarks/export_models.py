"""The models of the benchmarks, exported from torchvision and transformers: seeded weights, opset 17.

usage: export_models.py DIR [name...]   writes DIR/<name>/{model.onnx,input_0.npy,output_0.npy,meta.json}

Batch normalisation gets random statistics (variance 0.5 to 1.5), so that nothing degenerates; references are
onnxruntime's, and a constant output is an error. Run by benchmarks/export_models.sh, which makes the environment.
"""
import json
import os
import sys

import numpy as np
import torch
import torchvision

IMAGE = [1, 3, 224, 224]
VISION = {"resnet18": IMAGE, "resnet50": IMAGE, "mobilenet_v2": IMAGE, "mobilenet_v3_small": IMAGE, "squeezenet1_1": IMAGE,
          "efficientnet_b0": IMAGE, "inception_v3": [1, 3, 299, 299], "densenet121": IMAGE, "vgg16": IMAGE, "vit_b_16": IMAGE}
NAMES = [*VISION, "bert_base"]


def randomise(model, generator):
    """Statistics of batch normalisation, and linear heads that are initialised to zero."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
        if isinstance(module, torch.nn.Linear) and module.weight.abs().max() == 0:
            module.weight.data.normal_(0, module.in_features**-0.5, generator=generator)


def vision(name):
    options = {"weights": None}
    if name == "inception_v3":
        options.update(aux_logits=False, init_weights=False)
    return getattr(torchvision.models, name)(**options), (torch.randn(VISION[name]),), ["image"]


def bert():
    from transformers import BertConfig, BertModel
    model = BertModel(BertConfig(attn_implementation="eager"), add_pooling_layer=False)

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids):
            return self.model(input_ids=input_ids, return_dict=False)[0]

    return Encoder(), (torch.randint(0, 30000, (1, 128)),), ["input_ids"]


def build(name):
    """The seeded module, its inputs and their names: the same whenever it is called."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    model, inputs, names = bert() if name == "bert_base" else vision(name)
    model.eval()
    with torch.no_grad():
        randomise(model, generator)
    return model, inputs, names


def write(folder, name):
    import onnxruntime
    model, inputs, names = build(name)
    out = os.path.join(folder, name)
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "model.onnx")
    torch.onnx.export(model, inputs, path, opset_version=17, input_names=names, output_names=["output"], dynamo=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {n: t.numpy() for n, t in zip(names, inputs)}
    outputs = session.run(None, feeds)
    meta = {"name": name, "model": ["model.onnx"], "inputs": [], "outputs": [], "rtol": 1e-3, "atol": 1e-3 * float(np.abs(outputs[0]).max())}
    if not (outputs[0].std() > 0 and np.isfinite(outputs[0]).all()):
        sys.exit(f"{name}: the output is constant or not finite")
    for kind, arrays in (("input", feeds.items()), ("output", zip(["output"], outputs))):
        for k, (value_name, array) in enumerate(arrays):
            np.save(os.path.join(out, f"{kind}_{k}.npy"), array)
            meta[kind + "s"].append({"name": value_name, "file": f"{kind}_{k}.npy", "shape": list(array.shape), "dtype": str(array.dtype)})
    with open(os.path.join(out, "meta.json"), "w") as file:
        json.dump(meta, file, indent=1)
    print(path, flush=True)


def main():
    for wanted in sys.argv[2:] or NAMES:
        if wanted not in NAMES:
            sys.exit(f"export_models.py: no model {wanted}; there are {' '.join(NAMES)}")
        if not os.path.exists(os.path.join(sys.argv[1], wanted, "meta.json")):
            write(sys.argv[1], wanted)


if __name__ == "__main__":
    main()
