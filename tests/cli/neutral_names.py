"""Every model of tests/data under names that say nothing: detected by content, and inspected whole; a model of each
format compiled as a file, in a folder and in a .tar.gz; everything unsupported is listed at once."""
import tarfile

from programs import *

DATA = os.path.join(ROOT, "tests/data")
FORMATS = {"gluon": "mxnet", "keras_h5": "keras_h5", "keras_v3": "keras_v3", "mxnet": "mxnet", "onnx": "onnx",
           "tf_graphdef": "tensorflow graphdef", "tf_savedmodel": "tensorflow savedmodel", "tflite": "tflite",
           "torch_export": "torch.export", "torchscript": "torchscript", "xgboost": "xgboost"}
# What is compiled and run, too: small ones.
COMPILED = ["gluon/attention", "keras/h5_mnist_cnn_tf1", "keras/v3_mnist_seq", "mxnet/mnist_lenet_v011", "onnx/skl_forest",
            "onnx/mnist_cnn_op13", "tensorflow/own_gd_cond", "tensorflow/own_sm_for", "tflite/mnist_seq",
            "torch_export/lstm_text", "torchscript/conv_same", "xgboost/softmax"]


def cases():
    for root, folders, files in sorted(os.walk(DATA)):
        if "meta.json" in files:
            meta = json.loads(read(os.path.join(root, "meta.json")))
            if meta["model"]:  # else it is in a PyPI package
                yield os.path.relpath(root, DATA), root, meta


def shape(meta, i):
    """Of a stored input; stored row by row or step by step where the model takes one at a time."""
    model = i.get("model_shape", i["shape"])
    rows = i["shape"] and i["shape"][0] > 1 and model[0] == 1 and "states" not in meta
    return model if rows else i["shape"][1:] if "states" in meta else i["shape"]


def shapes(meta):
    """--input options."""
    out = []
    for i in meta["inputs"]:
        out += ["--input", f"{i['name']}={','.join(map(str, shape(meta, i)))}"]
    return out


def place(root, meta, file, folder):
    """The model under neutral names in a folder of its own: its path. Data that a file names keeps its name."""
    os.makedirs(folder)
    for k, name in enumerate(meta["model"]):
        if meta.get("format") == "xgboost" and name != file:
            continue
        source = os.path.join(root, name)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(folder, "model.bin"))
        else:
            shutil.copy(source, os.path.join(folder, name if name.endswith(".data") else "model.bin" if k == 0 or
                                             name == file else f"other{k}"))
    return os.path.join(folder, "model.bin")


def whole_files(meta):
    return meta["model"] if meta.get("format") == "xgboost" else meta["model"][:1]


def inspect_all(d):
    seen = set()
    for name, root, meta in cases():
        for file in whole_files(meta):
            path = place(root, meta, file, d("all", name.replace("/", "-") + file))
            out, _ = run("neo", "inspect", path, "--json", *shapes(meta))
            got = json.loads(out)
            kind = meta.get("format", "tensorflow")
            if kind == "tensorflow":
                kind = "tf_savedmodel" if file == "saved_model" else "tf_graphdef"
            elif kind == "keras":
                kind = "keras_h5" if file.endswith(".h5") else "keras_v3"
            seen.add(kind)
            check(got["format"] == FORMATS[kind], f"{name}: read as {got['format']}")
            check(got["unsupported"] == [], f"{name}: {got['unsupported']}")
            want = {i["name"]: list(shape(meta, i)) for i in meta["inputs"]}
            check({i["name"]: i["shape"] for i in got["inputs"]}.items() <= want.items(), f"{name}: {got['inputs']}")
            check(got["outputs"] and all(o["dtype"] and o["shape"] is not None for o in got["outputs"]),
                  f"{name}: {got['outputs']}")
            check(sum(got["operators"].values()) > 0 and got["flops"] >= 0, f"{name}: {out}")
            size = os.path.getsize(os.path.join(root, file)) if kind in ("onnx", "tflite", "keras_h5") else 0
            check(got["parameter_bytes"] <= 8 * size + 65536 or size == 0, f"{name}: {got['parameter_bytes']} of {size}")
    check(seen == set(FORMATS), f"no case of {set(FORMATS) - seen}")


def check_run(d, name, meta, root, artifact):
    data = []
    for i in meta["inputs"]:
        data += ["--input", f"{i['name']}={os.path.join(root, i['file'])}"]
    run("neo", "run", artifact, *data, "--output-dir", d("results", name))
    check(len(os.listdir(d("results", name))) == len(meta["outputs"]), f"{name}: outputs")


def compile_some(d):
    by_name = {name: (root, meta) for name, root, meta in cases()}
    for name in COMPILED:
        root, meta = by_name[name]
        short = name.replace("/", "-")
        options = [*shapes(meta), "--threads", "1", "--db", "none"]
        path = place(root, meta, meta["model"][0], d("one", short, "export"))
        run("neo", "compile", path, *options, "-o", d("art", short))
        check_run(d, short, meta, root, d("art", short))
        write(d("one", short, "README"), b"what lies around")
        out, _ = run("neo", "inspect", d("one", short), *shapes(meta), "--json")
        folder = json.loads(out)
        with tarfile.open(d(short + ".bin"), "w:gz") as archive:
            archive.add(d("one", short), arcname=".")
        out, _ = run("neo", "inspect", d(short + ".bin"), *shapes(meta), "--json")
        packed = json.loads(out)
        for key in ("operators", "parameters", "flops", "outputs"):
            check(folder[key] == packed[key], f"{name}: {key} of the folder and of the archive")
    run("neo", "compile", d("one", "xgboost-softmax"), *shapes(by_name["xgboost/softmax"][1]), "--threads", "1", "--db",
        "none", "-o", d("art", "folder"))
    run("neo", "compile", d("xgboost-softmax.bin"), *shapes(by_name["xgboost/softmax"][1]), "--threads", "1", "--db",
        "none", "-o", d("art", "packed"))


def two_models(d):
    for k in (1, 2):
        shutil.copytree(d("one", "xgboost-softmax"), d("two", str(k)))
    _, err = run("neo", "compile", d("two"), "-o", d("no"), "--db", "none", expect=3)
    check("more than one model" in err and " 1/export" in err and " 2/export" in err, err)
    os.makedirs(d("empty"))
    _, err = run("neo", "compile", d("empty"), "-o", d("no"), "--db", "none", expect=3)
    check("holds no model" in err, err)


def all_at_once(d):
    """Two unknown operators, each named, and what is known besides."""
    model = onnx(d("unknown.onnx"), [node("Relu", ["x"], ["r"]), node("Foo", ["r"], ["a"]), node("Bar", ["a"], ["y"])],
                 [value_info("x", ["n", 3])], [value_info("y", ["n", 3])])
    out, err = run("neo", "inspect", model, "--json", expect=4)
    got = json.loads(out)
    check(len(got["unsupported"]) == 2 and "(Foo" in got["unsupported"][0] and "(Bar" in got["unsupported"][1], out)
    check(got["operators"].get("relu") == 1 and got["inputs"][0]["shape"] == ["n", 3], out)
    check("2 unsupported" in err, err)
    out, _ = run("neo", "inspect", model, expect=4)
    check("unsupported: 2" in out and "relu x1" in out and "input x f32 [?n,3]" in out, out)
    wrong = onnx(d("wrong.onnx"), [node("MatMul", ["x", "x"], ["a"]), node("Concat", ["x", "z"], ["b"])],
                 [value_info("x", [2, 3]), value_info("z", [4, 5, 6])], [value_info("a", []), value_info("b", [])])
    out, _ = run("neo", "inspect", wrong, "--json", expect=4)
    check(len(json.loads(out)["unsupported"]) == 2, out)


def names_follow(d):
    """A dimension that another input has by the same name is not free."""
    model = onnx(d("follow.onnx"), [node("Add", ["x", "y"], ["z"])],
                 [value_info("x", ["n", 3]), value_info("y", ["n", 3])], [value_info("z", ["n", 3])])
    out, _ = run("neo", "inspect", model, "--input", "x=8,3", "--json")
    got = json.loads(out)
    check(got["outputs"][0]["shape"] == [8, 3] and not got["free_dimensions_as_1"], out)
    out, _ = run("neo", "inspect", model, "--json")
    got = json.loads(out)
    check(got["outputs"][0]["shape"] == [1, 3] and got["free_dimensions_as_1"], out)


with Scratch() as d:
    all_at_once(d)
    names_follow(d)
    inspect_all(d)
    compile_some(d)
    two_models(d)
finish()
