"""Small models of Fourier transforms and complex numbers, with the framework's own outputs: the `signal` cases of tests/data.

usage: signal_cases.py torch|tensorflow ROOT     whatever python has that framework (python.sh); writes ROOT/FORMAT/signal
"""
import os
import sys

import numpy as np
import zoo_case


def signal():
    t = np.arange(200)
    return (np.stack([np.sin(t * 0.3), np.cos(t * 0.05 + t * t * 0.002)]) + np.random.default_rng(4).normal(size=(2, 200)) * 0.2).astype(np.float32)


def write_tensorflow(root):
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    flat = lambda parts: tf.concat([tf.reshape(p, [-1]) for p in parts], 0)
    both = lambda z: tf.stack([tf.math.real(z), tf.math.imag(z)], -1)

    @tf.function(input_signature=[tf.TensorSpec([2, 200], tf.float32)])
    def run(x):
        z = tf.signal.stft(x, 32, 16, fft_length=32)
        size = tf.abs(z)
        mel = tf.math.log(tf.matmul(size, tf.signal.linear_to_mel_weight_matrix(8, 17, 8000, 20.0, 3800.0)) + 1e-3)
        speech = [size, mel, tf.signal.mfccs_from_log_mel_spectrograms(mel), tf.signal.inverse_stft(z, 32, 16, window_fn=tf.signal.inverse_stft_window_fn(16))]
        c = tf.signal.fft(tf.complex(x[:, :24], x[:, 50:74]))
        w = tf.cast(x[:, 100:124], tf.complex64) * tf.constant(0.5 + 0.25j, tf.complex64) + tf.constant([1j] * 24, tf.complex64)
        math = [both(c), tf.math.angle(c), both(c * w), both(c / w), both(tf.math.conj(c) - w), both(tf.signal.ifft(c * w)), both(tf.exp(w)),
                tf.cast(w, tf.float32), both(tf.reduce_sum(c, 1)), both(tf.transpose(c)[2:9:3])]
        image = tf.reshape(x[:, :180], [2, 9, 20])
        plane = tf.signal.rfft2d(image, [8, 22])
        planes = [both(plane), tf.signal.irfft2d(plane, [8, 21]), tf.signal.irfft(c[:, :9], [15]), both(tf.signal.ifft2d(tf.signal.fft2d(tf.complex(image, -image))))]
        return flat(speech), flat(math), flat(planes), tf.concat([c, w], 1)

    x = signal()
    frozen = convert_variables_to_constants_v2(run.get_concrete_function())
    with open(os.path.join(zoo_case.folder(root, "tensorflow", "signal"), "model.pb"), "wb") as file:
        file.write(frozen.graph.as_graph_def().SerializeToString())
    made = [v.numpy() for v in run(x)]
    made[3] = np.stack([made[3].real, made[3].imag], -1)  # complex numbers are given out as their parts
    zoo_case.save(root, "tensorflow", "signal", ["model.pb"], [(frozen.inputs[0].name, x)],
                  [(t.name, v) for t, v in zip(frozen.outputs, made)], share=2e-5)

    @tf.function(input_signature=[tf.TensorSpec([2, 200], tf.float32)])
    def spectra(x):
        z = tf.signal.stft(x, 32, 16, fft_length=32)
        power = tf.square(tf.abs(z))
        mel = tf.math.log(tf.matmul(power, tf.signal.linear_to_mel_weight_matrix(8, 17, 8000, 20.0, 3800.0)) + 1e-3)
        plane = tf.signal.rfft2d(tf.reshape(x[:, :160], [2, 8, 20]), [8, 16])
        return flat([power, mel, tf.math.real(plane), tf.math.imag(plane), tf.math.real(z), tf.math.imag(z)])

    converter = tf.lite.TFLiteConverter.from_concrete_functions([spectra.get_concrete_function()])
    model = converter.convert()
    with open(os.path.join(zoo_case.folder(root, "tflite", "signal"), "model.tflite"), "wb") as file:
        file.write(model)
    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    given, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    zoo_case.save(root, "tflite", "signal", ["model.tflite"], [(given["name"], x)], [(out["name"], interpreter.get_tensor(out["index"]))], share=2e-5)


def write_torch(root):
    import torch
    torch.cuda.is_available = lambda: False  # benchmarks/torch_cpu.py: there is nothing behind it to ask
    torch._C._ensureCUDADeviceGuardSet = lambda: None

    class Signal(torch.nn.Module):
        def forward(self, x):
            flat = lambda parts: torch.cat([p.reshape(-1) for p in parts])
            window = torch.hann_window(32)
            z = torch.stft(x, 32, 16, window=window, return_complex=True)
            speech = [z.abs(), z.abs().pow(2), torch.view_as_real(z), torch.istft(z, 32, 16, window=window, length=180)]
            c = torch.fft.fft(torch.complex(x[:, :24], x[:, 50:74]))
            w = torch.view_as_complex(torch.stack([x[:, 100:124], x[:, 30:54]], -1))
            both = torch.view_as_real
            math = [both(c), torch.angle(c), both(c * w), both(c / w), both(torch.conj(c) - w), both(torch.fft.ifft(c * w, norm="ortho")),
                    both(torch.exp(w)), c.real, w.imag, both(c.sum(1)), both(c.transpose(0, 1)[2:9:3]), both(c * x[:, :24] + 2.0)]
            image = x[:, :180].reshape(2, 9, 20)
            plane = torch.fft.rfft2(image, s=(8, 22))
            planes = [both(plane), torch.fft.irfft2(plane, s=(8, 21)), torch.fft.irfft(c[:, :9], n=15), torch.fft.rfft(image, dim=1).abs(),
                      both(torch.fft.fftn(image, dim=(1, 2), norm="forward")), both(torch.polar(x[:, :5].abs(), x[:, 5:10]))]
            return flat(speech), flat(math), flat(planes)

    x = signal()
    arg = torch.from_numpy(x)
    model = Signal().eval()
    with torch.no_grad():
        made = model(arg)
        traced = torch.jit.trace(model, (arg,))
        exported = torch.export.export(model, (arg,))
    traced.save(os.path.join(zoo_case.folder(root, "torchscript", "signal"), "model.pt"))
    torch.export.save(exported, os.path.join(zoo_case.folder(root, "torch_export", "signal"), "model.pt2"))
    for kind, file in (("torchscript", "model.pt"), ("torch_export", "model.pt2")):
        zoo_case.save(root, kind, "signal", [file], [("x", x)], [("out%d" % k, v.numpy()) for k, v in enumerate(made)], share=2e-5)

    class Angle(torch.nn.Module):
        def forward(self, re, im):
            return torch.angle(torch.complex(re, im))

    on_axes = [np.array(v, "f4") for v in ([0, -0.0, 1, -1, 0, -0.0, 1, -1, 0, 1, -1], [1, 1, 1, 1, -1, -1, -1, -1, 0, 0, 0])]
    args = tuple(torch.from_numpy(v) for v in on_axes)
    torch.jit.trace(Angle(), args).save(os.path.join(zoo_case.folder(root, "torchscript", "angle"), "model.pt"))
    zoo_case.save(root, "torchscript", "angle", ["model.pt"], list(zip("ab", on_axes)), [("out0", torch.angle(torch.complex(*args)).numpy())], share=1e-5)


{"torch": write_torch, "tensorflow": write_tensorflow}[sys.argv[1]](sys.argv[2])
