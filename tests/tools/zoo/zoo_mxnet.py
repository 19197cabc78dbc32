"""The Gluon model zoo's classifiers at full size with random weights, as HybridBlock.export writes them.

usage: zoo_mxnet.py ROOT [NAME...]     writes ROOT/gluon/NAME/; NAME big: 100 MB
"""
import os
import sys

os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"  # MXNet 1.9.1's own fusion of convolution and addition computes wrong values
import numpy as np

np.bool = bool  # which MXNet 1.9.1 still names
import mxnet as mx
import zoo_case

NETWORKS = {"resnet50_v1": 224, "mobilenet_v2_1_0": 224, "squeezenet1_1": 224, "densenet121": 224, "inception_v3": 299}


def big():
    nn = mx.gluon.nn
    network = nn.HybridSequential()
    for _ in range(4):
        network.add(nn.Conv2D(800, 3, padding=1, activation="relu"))
    network.add(nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(6000, activation="relu"), nn.Dense(1000))
    return network, (1, 64, 16, 16)


def make(name):
    if name == "big":
        return big()
    size = NETWORKS[name]
    return getattr(mx.gluon.model_zoo.vision, name)(pretrained=False), (1, 3, size, size)


def write(root, name):
    rng = np.random.default_rng(0)
    mx.random.seed(0)
    network, shape = make(name)
    network.initialize(mx.init.Xavier())
    x = mx.nd.array(rng.normal(size=shape).astype("f4"))
    network.hybridize()
    network(x)
    for label, parameter in network.collect_params().items():
        if label.endswith("running_mean"):
            parameter.set_data(mx.nd.array(0.1 * rng.normal(size=parameter.shape)))
        elif label.endswith("running_var"):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, size=parameter.shape)))
    y = network(x).asnumpy()
    network.export(os.path.join(zoo_case.folder(root, "gluon", name), name))
    zoo_case.save(root, "gluon", name, [f"{name}-symbol.json", f"{name}-0000.params"], [("data", x.asnumpy())], [("out0", y)])


for wanted in sys.argv[2:] or NETWORKS:
    if not zoo_case.done(sys.argv[1], "gluon", wanted):
        write(sys.argv[1], wanted)
