"""Small TFLite and TensorFlow models of what has an extent by its data, with the framework's own outputs: the `extents` cases of
tests/data.

usage: data_cases.py ROOT     TensorFlow's python (python.sh); writes ROOT/{tflite,tensorflow}/extents
"""
import os
import sys

import numpy as np
import zoo_case

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # noqa: E402


@tf.function(input_signature=[tf.TensorSpec([12, 4], tf.float32), tf.TensorSpec([12], tf.float32)])
def run(boxes, scores):
    limits = dict(boxes=boxes, scores=scores, iou_threshold=0.4, score_threshold=0.3, pad_to_max_output_size=True)
    index, count = tf.raw_ops.NonMaxSuppressionV4(max_output_size=15, **limits)
    few, best, _ = tf.raw_ops.NonMaxSuppressionV5(max_output_size=5, soft_nms_sigma=0.0, **limits)
    picked = tf.gather(boxes, index[:count]) * 2.0
    kinds = tf.unique(tf.constant([3, 1, 3, 7, 1, 1]))
    bits = tf.bitcast(tf.bitwise.bitwise_xor(tf.bitcast(scores, tf.int32), tf.bitcast(tf.abs(scores) * 2.0, tf.int32)), tf.float32)
    return tf.cast(index, tf.float32), tf.cast(count, tf.float32), picked, tf.cast(few, tf.float32), best, tf.cast(kinds.y, tf.float32), tf.cast(kinds.idx, tf.float32), bits


rng = np.random.default_rng(8)
corner = rng.uniform(0, 4, size=(12, 2))
boxes = np.concatenate([corner, corner + rng.uniform(1, 3, size=(12, 2))], 1).astype(np.float32)
scores = rng.uniform(0, 1, size=12).astype(np.float32)
model = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()]).convert()
with open(os.path.join(zoo_case.folder(sys.argv[1], "tflite", "extents"), "model.tflite"), "wb") as file:
    file.write(model)
interpreter = tf.lite.Interpreter(model_content=model)
interpreter.allocate_tensors()
given = interpreter.get_input_details()
for detail in given:
    interpreter.set_tensor(detail["index"], boxes if len(detail["shape"]) == 2 else scores)
interpreter.invoke()
zoo_case.save(sys.argv[1], "tflite", "extents", ["model.tflite"], [(d["name"], boxes if len(d["shape"]) == 2 else scores) for d in given],
              [(d["name"], interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()], share=1e-6)

limits = dict(iou_threshold=0.4, score_threshold=0.3)


@tf.function(input_signature=[tf.TensorSpec([12, 4], tf.float32), tf.TensorSpec([12], tf.float32)])
def graph(boxes, scores):
    first = tf.raw_ops.NonMaxSuppressionV3(boxes=boxes, scores=scores, max_output_size=20, **limits)
    filled, count = tf.raw_ops.NonMaxSuppressionV4(boxes=boxes, scores=scores, max_output_size=15, pad_to_max_output_size=True, **limits)
    few, best, found = tf.raw_ops.NonMaxSuppressionV5(boxes=boxes, scores=scores, max_output_size=3, soft_nms_sigma=0.0, **limits)
    return tf.gather(boxes, first) * 2.0, filled, count, few, best, found, tf.raw_ops.NonMaxSuppressionV2(boxes=boxes, scores=scores, max_output_size=2, iou_threshold=0.2)


frozen = convert_variables_to_constants_v2(graph.get_concrete_function())
with open(os.path.join(zoo_case.folder(sys.argv[1], "tensorflow", "extents"), "model.pb"), "wb") as file:
    file.write(frozen.graph.as_graph_def().SerializeToString())
made = [v.numpy() for v in graph(boxes, scores)]
zoo_case.save(sys.argv[1], "tensorflow", "extents", ["model.pb"], list(zip([t.name for t in frozen.inputs], (boxes, scores))),
              list(zip([t.name for t in frozen.outputs], made)), share=1e-6)
