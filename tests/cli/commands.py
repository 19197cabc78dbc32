"""Every exit code by a real command; odd names and shapes; threads; completion and man pages."""
import time

from programs import *

ONE = ["--input", "x=1,1,28,28", "--threads", "1"]


def odd_model(path):
    """in/x:0 [n] + s:r [] -> "o/1"; its double -> "o:1", which is the same file name; a third "o_1"."""
    return onnx(path, [node("Add", ["in/x:0", "s:r"], ["o/1"]), node("Add", ["o/1", "o/1"], ["o:1"]),
                       node("Neg", ["o/1"], ["o_1"])],
                [value_info("in/x:0", ["n"]), value_info("s:r", [])],
                [value_info("o/1", ["n"]), value_info("o:1", ["n"]), value_info("o_1", ["n"])])


def odd_names(d):
    model = odd_model(d("odd.onnx"))
    _, err = run("neo", "compile", model, "--db", "none", "-o", d("art"), expect=2)
    check("in/x:0" in err and "--input" in err, "free dimensions are not named: " + err)
    run("neo", "compile", model, "--input", "in/x:0=3:float32", "--input", "s:r=:float32", "--db", "none", "--threads",
        "1", "-o", d("art"))
    floats(d("x.npy"), (3,), [1, 2, 3])
    floats(d("r.npy"), (), [10])
    inputs = ["--input", "in/x:0=" + d("x.npy"), "--input", "s:r=" + d("r.npy")]
    run("neo", "run", d("art"), *inputs, "--output-dir", d("out"))
    got = {name: read_floats(d("out", name)) for name in sorted(os.listdir(d("out")))}
    check(got == {"o_1.npy": [11, 12, 13], "o_1.1.npy": [22, 24, 26], "o_1.2.npy": [-11, -12, -13]}, str(got))
    _, err = run("neo", "run", d("art"), *inputs[:2], "--output-dir", d("out"), expect=2)
    check("s:r" in err, "the missing input is not named: " + err)
    floats(d("x.npy"), (4,), [1, 2, 3, 4])
    _, err = run("neo", "run", d("art"), *inputs, "--output-dir", d("out"), expect=2)
    check("in/x:0" in err and "4" in err and "3" in err, "the wrong shape is not explained: " + err)
    for bad in ("in/x:0=3,", "in/x:0=3:float33", "in/x:0", "=3", "in/x:0=-3", "in/x:0=99999999999999999999"):
        _, err = run("neo", "compile", model, "--input", bad, "--db", "none", "-o", d("no"), expect=2)
        check(bad in err, f"{bad} is not named: {err}")
    _, err = run("neo", "compile", model, "--input", "y=3", "--db", "none", "-o", d("no"), expect=2)
    check("in/x:0" in err, "the inputs there are, are not listed: " + err)
    for twice, words in ((["in/x:0=3", "in/x:0=4"], "'in/x:0' is given twice"), (["in/x:0=3,1"], "2 dimensions given")):
        _, err = run("neo", "compile", model, *(word for shape in twice for word in ("--input", shape)), "--db", "none",
                     "-o", d("no"), expect=2)
        check(words in err, "not explained: " + err)
    _, err = run("neo", "run", d("art"), *inputs, *inputs[:2], "--output-dir", d("out"), expect=2)
    check("given twice" in err, "an input twice is not explained: " + err)
    _, err = run("neo", "inspect", model, "--target", "cortex-a7x", expect=2)
    check("did you mean " in err and "cortex-a72" in err, "the target is not explained: " + err)
    check(not os.path.exists(d("no")), "an artifact appeared")


def threads(d):
    run("neo", "compile", MODEL, "--input", SHAPE, "--threads", "1", "--db", "none", "-o", d("art"))
    data = ["--input", "x=" + os.path.join(MNIST, "input_0.npy")]
    want = read_floats(os.path.join(MNIST, "output_0.npy"))
    for n in ("1", "2", "3"):
        out, err = run("neo", "run", d("art"), *data, "--threads", n, "--output-dir", d("out" + n))
        check(("compiled for 1 thread" in err) == (n != "1"), f"{n} threads: {err}")
        got = read_floats(d("out" + n, os.listdir(d("out" + n))[0]))
        check(all(abs(a - b) <= 3e-3 + 1e-3 * abs(b) for a, b in zip(got, want)), f"{n} threads: wrong")
    out, _ = run("neo", "bench", d("art"), "--runs", "10", "--json")
    times = json.loads(out)
    check(0 < times["latency_ms"]["min"] <= times["latency_ms"]["median"] <= times["latency_ms"]["p90"], out)
    check(times["threads"] == 1 and times["runs"] == 10, out)
    out, _ = run("neo", "inspect", MODEL, "--input", SHAPE, "--tasks", "--json")
    json.loads(out)


def shapes(d):
    """A range of batches: one artifact, each batch by its own shape or the next larger one, the same rows."""
    model = odd_model(d("odd.onnx"))
    args = ["compile", model, "--db", "none", "--threads", "1", "--input", "s:r="]
    out, _ = run("neo", *args, "--input", "in/x:0=1..9", "-o", d("art"))
    check("5 shapes" in out, out)
    floats(d("r.npy"), (), [10])
    for n in range(1, 10):
        floats(d("x.npy"), (n,), [i * i for i in range(n)])
        run("neo", "run", d("art"), "--input", "in/x:0=" + d("x.npy"), "--input", "s:r=" + d("r.npy"), "--output-dir",
            d("out"))
        got = read_floats(d("out", "o_1.npy"))
        check(got == [10 + i * i for i in range(n)], f"{n}: {got}")
    out, _ = run("neo", "inspect", d("art"))
    check("in/x:0 f32[5..8]" in out and "in/x:0 f32[1]" in out, out)
    out, _ = run("neo", "bench", d("art"), "--runs", "2", "--input", "in/x:0=3", "--profile")
    check("latency" in out, out)
    _, err = run("neo", "bench", d("art"), "--runs", "2", "--input", "in/x:0=10", expect=2)
    check("[5..8]" in err, err)
    out, _ = run("neo", *args, "--input", "in/x:0=2/5", "-o", d("art"))
    check("2 shapes" in out, out)
    out, _ = run("neo", *args, "--input", "in/x:0=n=1..9", "--breakpoints", "3", "-o", d("art"))
    check("3 shapes" in out, out)
    out, _ = run("neo", *args, "--input", "in/x:0=1..9", "--breakpoints", "all", "-o", d("art"))
    check("9 shapes" in out, out)
    _, err = run("neo", *args, "--input", "in/x:0=1..9", "--max-shapes", "4", "-o", d("no"), expect=2)
    check("--max-shapes" in err, err)
    for bad in ("in/x:0=9..1", "in/x:0=1..2..3", "in/x:0=1/", "in/x:0=0..3", "in/x:0=m"):
        run("neo", *args, "--input", bad, "-o", d("no"), expect=2)
    run("neo-tune", model, "--input", "s:r=", "--input", "in/x:0=1..9", "--threads", "1", "--db", d("t.db"), "--measure",
        "simulated:", "--trials", "60", "--quiet")
    out, _ = run("neo-tune", "replay", "--db", d("t.db"))
    check("every proposal equal" in out, out)


def cost_model(d):
    """Trained on one run's records, used by another, which replays without the file."""
    args = ["neo-tune", MODEL, *ONE, "--db", d("t.db"), "--measure", "simulated:", "--trials", "60", "--quiet"]
    train = ["neo-tune", "train", "--db", d("t.db"), "--target"]
    run(*args)
    _, err = run(*train, "simulated", expect=2)
    check("--output" in err, err)
    out, _ = run(*train, "simulated", "-o", d("cost.model"))
    check("60 records" in out and "rank correlation" in out and "target simulated" in out, out)
    run(*args, "--seed", "2", "--cost-model", d("cost.model"))
    saved = read(d("cost.model"))
    check(saved.startswith(b"neo-cost-model 1 "), str(saved[:80]))
    os.rename(d("cost.model"), d("other.model"))
    out, _ = run("neo-tune", "replay", "--db", d("t.db"))
    check("60 trials replayed" in out, out)
    _, err = run(*args, "--cost-model", d("cost.model"), expect=8)
    check("cost.model" in err, err)
    _, err = run("neo-tune", MODEL, *ONE, "--db", d("t.db"), "--trials", "1", "--cost-model", d("other.model"), expect=2)
    check("trained for target 'simulated" in err, err)
    _, err = run(*args, "--cost-model", write(d("cut.model"), saved[:-1]), expect=3)
    check("checksum" in err, err)
    _, err = run(*args, "--cost-model", write(d("new.model"), saved.replace(b"model 1", b"model 2", 1)), expect=4)
    check("version 2" in err, err)
    _, err = run(*train, "generic-c", "-o", d("no.model"), expect=2)
    check("0 usable records" in err and not os.path.exists(d("no.model")), err)


def only_failures(d):
    """What the simulated measurer plays back: the first proposals of seed 1, all crashed."""
    run("neo-tune", MODEL, *ONE, "--db", d("first.db"), "--measure", "simulated:", "--trials", "16", "--quiet")
    rows, _ = run("neo-tune", "export", "--db", d("first.db"))
    rows = [json.loads(line) for line in rows.splitlines()]
    failed = [dict(row, kind="crash", ns=0) for row in rows if "schedule" in row]
    check(len(failed) == 16, f"{len(failed)} trials were exported")
    return write(d("failures.jsonl"), "".join(json.dumps(row) + "\n" for row in failed).encode())


def interrupted(d):
    tuner = subprocess.Popen([program("neo-tune"), MODEL, *ONE, "--db", d("int.db"), "--measure", "simulated:", "--acks",
                              "--quiet", "--trials", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ids = [tuner.stdout.readline() for _ in range(20)]
    tuner.send_signal(signal.SIGINT)
    rest, err = tuner.stdout.read(), tuner.stderr.read()  # communicate() would lose what readline() buffered
    tuner.wait(timeout=600)
    check(tuner.returncode == 130 and "interrupted" in err, f"{tuner.returncode}: {err}")
    n = len(ids) + len(rest.splitlines())
    out, _ = run("neo-tune", "runs", "--db", d("int.db"))
    check("interrupted" in out, out)
    out, _ = run("neo-tune", "export", "--db", d("int.db"))
    check(sum('"schedule"' in line for line in out.splitlines()) == n, f"{n} trials were acknowledged")
    out, err = run("neo-tune", "replay", "--db", d("int.db"))
    check("every proposal equal" in out, out + err)


def broken_artifact(d):
    os.mkdir(d("broken"))
    for name in ("compiled.so", "compiled.params", "compiled.meta", "compiled_model.json"):
        write(d("broken", name), b"no artifact" * 20)
    return d("broken")


def targets_as_json(d):
    out, _ = run("neo", "targets", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    board = rows["rk3288"]
    check(board["arch"] == "armv7" and board["features"] == ["neon", "vfp4"] and board["used"] == "cpu"
          and board["caches"]["l2"] == 1 << 20 and board["vector"]["bytes"] == 16 and "Mali" in board["accelerators"]
          and board["triple"].endswith("gnueabihf"), f"rk3288 is {board}")
    for row in rows.values():
        missing = {"arch", "triple", "features", "caches", "vector", "accelerators", "used"} - set(row)
        check(not missing, f"{row['name']} lacks {missing}")


def exit_codes(d):
    db = ["--db", d("none.db")]
    for code, argv in [
            (0, ["neo", "targets"]), (0, ["neo", "--help"]), (0, ["neo-tune", "--version"]),
            (2, ["neo", "fly"]), (2, ["neo", "compile", MODEL]), (2, ["neo-tune", MODEL, "--trials", "none", *db]),
            (2, ["neo-tune", MODEL, *ONE, "--trials", "1", "--measure", "guessed:", *db]),
            (2, ["neo-tune", "replay", "7", "--db", "none"]),
            (3, ["neo", "compile", write(d("cut.onnx"), read(MODEL)[:100000]), *ONE, "--db", "none", "-o", d("no")]),
            (3, ["neo", "compile", MODEL, *ONE, "--db", write(d("text.db"), b"hello" * 400), "-o", d("no")]),
            (4, ["neo", "compile", write(d("op.onnx"), read(MODEL).replace(b"MaxPool", b"MaxPuul")), *ONE, "--db", "none",
                 "-o", d("no")]),
            (5, ["neo-tune", MODEL, *ONE, "--measure", "simulated:" + only_failures(d), "--trials", "16", *db]),
            (6, ["neo-tune", MODEL, *ONE, "--db", d("absent", "x.db"), "--trials", "1"]),
            (6, ["neo-tune", MODEL, *ONE, "--board", d("no-board"), "--trials", "1", *db]),
            (8, ["neo", "compile", d("absent.onnx"), "--db", "none", "-o", d("no")]),
            (8, ["neo", "run", d(), "--input", "x=y"]),
            (3, ["neo", "run", broken_artifact(d), "--input", "x=y"])]:
        _, err = run(*argv, expect=code)
        check(code == 0 or err.startswith(argv[0] + ":"), f"{argv}: no message: {err}")
    _, err = run("neo", "compile", d("op.onnx"), *ONE, "--db", "none", "-o", d("no"), expect=4)
    check(err.count("MaxPuul") >= 2, "not all unsupported nodes are listed: " + err)
    check(not os.path.exists(d("no")), "an artifact appeared")


def refused_early(d):
    """Said at once and by name: what would else fail late, in silence, or with a signal."""
    model = ["neo", "compile", MODEL, "--input", "x=1,1,28,28", "--threads", "1"]
    os.mkdir(d("mine"))
    write(d("mine", "letter"), b"kept")
    art = d("art")
    run(*model, "--db", "none", "-o", art)
    size = os.path.getsize(art + "/compiled.so")
    shutil.copytree(art, d("cut"))
    os.truncate(d("cut", "compiled.so"), size - 1)
    shutil.copytree(art, d("short"))
    os.truncate(d("short", "compiled.so"), 1000)
    run(*model, "--db", "none", "--target", "cortex-a72", "-o", d("arm"))
    tune = ["neo-tune", MODEL, *ONE, "--db", d("t.db"), "--measure", "simulated:", "--trials", "1"]
    for code, text, argv in [
            (4, "empty tensors", [*model[:3], "--input", "x=0,1,28,28", "--db", "none", "-o", d("no")]),
            (6, "--db none", [*model, "--db", d("absent.db"), "-o", d("no")]),
            (6, "absent.db", ["neo-tune", "runs", "--db", d("absent.db")]),
            (2, "letter", [*model, "--db", "none", "-o", d("mine")]),
            (2, "no strategy 'guess'", [*tune, "--strategy", "guess"]),
            (2, "'99999' is no port", ["neo-tune", MODEL, *ONE, "--db", d("t.db"), "--measure", "rpc://127.0.0.1:99999"]),
            (2, "HOST:PORT", ["neo", "board-install", "pi@pi4", "--name", "b", "--key-file", d("key"), "--connect", "desk"]),
            (2, "--space", ["neo", "inspect", MODEL, "--schedule"]), (2, "--tasks", ["neo", "inspect", art, "--tasks"]),
            (3, "its end is missing", ["neo", "run", d("cut")]), (3, "its end is missing", ["neo", "run", d("short")]),
            (4, "compiled for aarch64, this machine is x86_64", ["neo", "run", d("arm")]),
            (2, "inputs are:", ["run_model", art, "y=" + MODEL]), (2, "inputs are:", ["neo-run", art, "y=" + MODEL])]:
        if "aarch64" in text and os.uname().machine != "x86_64":
            skip("the artifact of another processor is one of this machine here")
            continue
        out, err = run(*argv, expect=code)
        check(text in err and "\nschedule" not in "\n" + out, f"{argv}: {text} is not said (at once): {out}{err}")
    check(not os.path.exists(d("no")) and os.listdir(d("mine")) == ["letter"], "an artifact appeared")
    check(not os.path.exists(d("key")) and not os.path.exists(d("absent.db")), "a key or a database appeared")
    out, _ = run("neo-tune", "runs", "--db", d("t.db"))
    check(out == "", "a run that never began is listed: " + out)
    _, err = run(*model, "-o", d("no"), expect=6, env=dict(os.environ, NEO_DB=d("absent.db")))
    check("$NEO_DB" in err, "where the name came from is not said: " + err)


def shell(d):
    for name in ("neo", "neo-tune"):
        completion, _ = run(name, "--completion")
        write(d("completion"), completion.encode())
        done = subprocess.run(["bash", "-c", f"source {d('completion')} && complete -p {name}"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        check(done.returncode == 0 and name in done.stdout and not done.stderr, f"{name}: {done.stderr}")
        man, _ = run(name, "--man")
        check(man.startswith(".TH"), man[:80])
        if not shutil.which("groff"):
            skip("groff is not there to check the man pages")
            continue
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=man, stderr=subprocess.PIPE, text=True)
        check(done.returncode == 0 and not done.stderr, f"{name}: {done.stderr}")


def main():
    for part in (targets_as_json, exit_codes, refused_early, cost_model, odd_names, shapes, threads, interrupted, shell):
        with Scratch() as d:
            part(d)
        print(part.__name__, "ok", flush=True)
    finish()


main()
