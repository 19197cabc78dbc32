"""No space and no permission: the error names the path, the exit code is 8 or 6, nothing is left half written."""
import resource

from programs import *

COMPILE = ["compile", MODEL, "--input", SHAPE, "--threads", "1", "--db", "none", "--quiet"]
TUNE = [MODEL, "--input", "x=1,1,28,28", "--threads", "1", "--measure", "simulated:", "--quiet"]


def limited(size):
    """Files beyond size bytes cannot be written, as if the disk were full there."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def compile_refused(where, names, codes=(8,), **kwargs):
    done = subprocess.run([program("neo"), *COMPILE, "--output", where], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=900, **kwargs)
    check(done.returncode in codes, f"compile to {where}: exit code {done.returncode}: {done.stderr}")
    check(names in done.stderr, f"'{names}' is not named: {done.stderr}")
    check("\n" == done.stderr[-1] and done.stderr.count("\n") == 1, "one line is expected: " + done.stderr)
    check(not os.path.exists(where), "an artifact appeared")
    print(done.stderr, end="")
    return done.stderr


def tune_refused(db, codes, **kwargs):
    done = subprocess.run([program("neo-tune"), *TUNE, "--trials", "3000", "--db", db], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=900, **kwargs)
    check(done.returncode in codes, f"tune into {db}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    check(db in done.stderr, f"'{db}' is not named: {done.stderr}")
    print(done.stderr, end="")
    return done.stderr


def file_size_limits(d):
    for size in (1000, 60000, 300000):
        # objects are linked in the system's folder for temporary files, which may be what is full
        compile_refused(d("limited"), tempfile.gettempdir(), preexec_fn=limited(size))
    check(os.listdir(d()) == [], f"left behind: {os.listdir(d())}")
    tune_refused(d("small.db"), (8,), preexec_fn=limited(300000))
    out, _ = run("neo-tune", *TUNE, "--trials", "8", "--db", d("small.db"))  # with space again it goes on
    check("8 trials" in out, out)
    run("neo", "compile", MODEL, "--input", "x=1,1,28,28", "--threads", "1", "--db", d("small.db"), "-o", d("art"))


def full_file_system(d):
    os.mkdir(d("disk"))
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", d("disk")],
                                           stderr=subprocess.DEVNULL).returncode:
        return skip("a small file system cannot be mounted here")
    try:
        tune_refused(d("disk", "tuning.db"), (8,))
        write(d("disk", "filler"), b"")
        with open(d("disk", "filler"), "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        compile_refused(d("disk", "artifact"), d("disk"))
        check(sorted(f for f in os.listdir(d("disk")) if "artifact" in f) == [], "left behind")
    finally:
        subprocess.run(["umount", d("disk")], check=True)


def no_permission(d):
    user = {}
    if os.geteuid() == 0:
        user = {"user": 65534, "group": 65534, "extra_groups": []}
    os.mkdir(d("closed"))
    os.chmod(d("closed"), 0o555)
    os.chmod(d(), 0o755)
    probe = subprocess.run([program("neo"), "targets"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user) \
        if os.access(BIN, os.X_OK) else None
    if not probe or probe.returncode:
        return skip("the programs cannot be run as another user here")
    denied = compile_refused(d("closed", "artifact"), d("closed"), **user)
    denied += tune_refused(d("closed", "tuning.db"), (6, 8), **user)
    # "No such file or directory" of a folder that is there sent people searching
    check(denied.count("Permission denied") == 2, denied)
    check(os.listdir(d("closed")) == [], "left behind")


def full_output():
    with open("/dev/full", "wb") as full:
        for words in (["targets"], ["targets", "--json"], ["--help"], ["compile", "--help"]):
            done = subprocess.run([program("neo"), *words], stdout=full, stderr=subprocess.PIPE, text=True)
            check(done.returncode == 8 and "standard output" in done.stderr,
                  f"{words} to /dev/full: {done.returncode} {done.stderr}")


def main():
    for part in (file_size_limits, full_file_system, no_permission):
        with Scratch() as d:
            part(d)
    full_output()
    finish()


main()
