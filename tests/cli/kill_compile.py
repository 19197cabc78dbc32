"""kill -9 of neo compile at any moment leaves the old artifact, the new one or none: never half of one."""
import random
import time

from programs import *

FILES = ["compiled.meta", "compiled.params", "compiled.so", "compiled_model.json"]


def command(d, threads):
    return [program("neo"), "compile", MODEL, "--input", SHAPE, "--threads", str(threads), "--db", "none", "--output",
            d("artifact"), "--quiet"]


def output_of(d):
    run("neo", "run", d("artifact"), "--input", "x=" + os.path.join(MNIST, "input_0.npy"), "--output-dir", d("out"))
    files = os.listdir(d("out"))
    check(len(files) == 1, f"outputs: {files}")
    return read_floats(d("out", files[0]))


def main():
    rng = random.Random(30)
    want = read_floats(os.path.join(MNIST, "output_0.npy"))
    outcomes = {"none": 0, "whole": 0}
    with Scratch() as d:
        start = time.monotonic()
        subprocess.run(command(d, 1), check=True)
        whole = time.monotonic() - start
        shutil.rmtree(d("artifact"))
        for loop in range(30):
            compiler = subprocess.Popen(command(d, 1 + loop % 2), stderr=subprocess.DEVNULL, start_new_session=True)
            try:
                compiler.wait(whole * 1.3 * rng.random())
            except subprocess.TimeoutExpired:
                pass
            compiler.kill()
            compiler.wait()
            if not os.path.exists(d("artifact")):
                outcomes["none"] += 1
                continue
            outcomes["whole"] += 1
            check(sorted(os.listdir(d("artifact"))) == FILES, f"half an artifact: {os.listdir(d('artifact'))}")
            got = output_of(d)
            check(all(abs(a - b) <= 3e-3 + 1e-3 * abs(b) for a, b in zip(got, want)), "the artifact is wrong")
        dead = subprocess.Popen(["true"])
        dead.wait()
        os.mkdir(d(f"artifact.tmp.{dead.pid}"))  # killed while a file was being written
        write(d(f"artifact.tmp.{dead.pid}", f"compiled.so.tmp.{dead.pid}"), b"half")
        subprocess.run(command(d, 2), check=True)
        check(sorted(os.listdir(d("artifact"))) == FILES, "no artifact at the end")
        left = [name for name in os.listdir(d()) if name.startswith("artifact.tmp.")]
        check(not left, f"killed compiles left {left}")
        print(outcomes)
    finish()


main()
