"""keras.applications' classifiers at full size with random weights, in every form that TensorFlow and Keras save.

usage: zoo_tf.py ROOT [NAME...]     writes ROOT/{keras_v3,keras_h5,tf_savedmodel,tflite}/NAME/; NAME big: 100 MB
"""
import os
import sys

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import keras
import numpy as np
import tensorflow as tf
import zoo_case

NETWORKS = {"MobileNetV2": 224, "ResNet50": 224, "EfficientNetB0": 224, "DenseNet121": 224, "InceptionV3": 299}


def big():
    """100 MB of weights in few layers."""
    x = image = keras.Input((16, 16, 64), name="image")
    for _ in range(4):
        x = keras.layers.Conv2D(800, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(1000)(keras.layers.Dense(6000, activation="relu")(x)))


def make(name):
    """Without the last softmax, which random weights leave nearly constant; statistics that are not 0 and 1."""
    rng = np.random.default_rng(0)
    if name == "big":
        return big(), (1, 16, 16, 64)
    size = NETWORKS[name]
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None, input_shape=(size, size, 3))
    for weight in model.weights:
        if "moving_mean" in weight.path:
            weight.assign(0.1 * rng.normal(size=weight.shape))
        elif "moving_variance" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, size=weight.shape))
    return model, (1, size, size, 3)


def write(root, name):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model, shape = make(name)
    x = np.random.default_rng(1).normal(size=shape).astype("f4")
    y = np.asarray(model(x, training=False))
    label = model.inputs[0].name
    for kind, file in (("keras_v3", "model.keras"), ("keras_h5", "model.h5")):
        model.save(os.path.join(zoo_case.folder(root, kind, name), file))
        zoo_case.save(root, kind, name, [file], [(label, x)], [("output_0", y)])
    path = os.path.join(zoo_case.folder(root, "tf_savedmodel", name), "saved_model")
    model.export(path, verbose=False)
    signature = tf.saved_model.load(path).signatures["serving_default"]
    label = next(iter(signature.structured_input_signature[1]))
    zoo_case.save(root, "tf_savedmodel", name, ["saved_model"], [(label, x)], [("output_0", y)])
    function = tf.function(lambda image: model(image, training=False)).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    data = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    interpreter = tf.lite.Interpreter(model_content=data)
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    with open(os.path.join(zoo_case.folder(root, "tflite", name), "model.tflite"), "wb") as file:
        file.write(data)
    zoo_case.save(root, "tflite", name, ["model.tflite"], [(given["name"], x)], [(made["name"], interpreter.get_tensor(made["index"]))])


for wanted in sys.argv[2:] or NETWORKS:
    if not zoo_case.done(sys.argv[1], "tflite", wanted):
        write(sys.argv[1], wanted)
