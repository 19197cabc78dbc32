"""The agents of other processors and of Windows, each over TLS on this machine: with its key all hops are well and a kernel
is measured, with another key it is refused and both ends say so. They run under qemu and wine. The one for Windows serves a second
tuner when the first is done, which tunes, and refuses a key file that others may read or that is another user's.

usage: network_agents.py BIN SOURCE qemu       BIN: the folder with neo-tune and the agents
       network_agents.py BIN SOURCE wine WINE  WINE: the program, "" if there is none
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from wine_prefix import WinePrefix

KEY = "00112233445566778899aabbccddeeff" * 2
WAIT_S = 60  # for what should come; it ends when that does
MOST_BYTES = 1 << 20  # of an agent for Linux

# emulator, agent, target
AGENTS = [
    ("qemu-aarch64", "neo-board-aarch64", "cortex-a72"),
    ("qemu-arm", "neo-board-armv7", "armv7"),
    ("qemu-riscv64", "neo-board-riscv64", "riscv64"),
]


def write_key(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text + "\n")
    return path


class Doctor:
    """neo-tune doctor, or a tuning, listening at a free port; its output line by line."""

    def __init__(self, words, key):
        url = f"rpc://127.0.0.1:0?key-file={key}&wait={WAIT_S}"
        self.process = subprocess.Popen(words + ["--measure", url], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = ""
        self.timer = threading.Timer(5 * WAIT_S, self.process.kill)
        self.timer.start()
        self.port = int(self.read_until(r"listening on port (\d+)").group(1))

    def read_until(self, pattern):
        """The match of the first line that has it; None: the output ended without."""
        for line in self.process.stdout:
            self.output += line
            found = re.search(pattern, line)
            if found:
                return found
        return None

    def close(self):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Crossing:
    """A port that stays the test's: what connects there comes to whichever tuner listens now. A tuner's own port is the system's choice
    and, between two tuners, anybody's."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.to = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                board, _ = self.listener.accept()
            except OSError:
                return
            try:
                tuner = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                board.close()
                continue
            for pair in (board, tuner), (tuner, board):
                threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    @staticmethod
    def pass_on(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
        for end in a, b:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


def windows_is_well(binaries, source, wine, work):
    """False: left out."""
    agent, library = f"{binaries}/windows/neo-board.exe", f"{os.path.dirname(binaries)}/tests/windows_library.exe"
    if not os.path.exists(wine) or not has_tls(agent):
        return False
    with WinePrefix(wine, f"{work}/wine") as env:
        os.environ.update(env)
        check_wrong_key(f"{binaries}/neo-tune", [wine, agent], "host-windows", work)
        check_two_tuners(binaries, source, [wine, agent], work)
        check_private_key([wine, agent], work)
        shutil.copy(f"{binaries}/windows/neo_rt.dll", f"{work}/planted.dll")
        shutil.copy(library, f"{work}/windows_library.exe")
        run([wine, f"{work}/windows_library.exe"], work, 0, "")
    print(f"neo-board.exe: {os.path.getsize(agent)} bytes, serves over TLS, serves again, refuses another key")
    return True


def end(board):
    board.terminate()
    try:
        board.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        board.kill()
        board.wait()


def run(words, folder, code, says):
    result = subprocess.run(words, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10 * WAIT_S)
    if result.returncode != code or says not in result.stdout:
        sys.exit(f"{words}: exit code {result.returncode}, {code} and '{says}' expected:\n{result.stdout}")


def check_private_key(agent, work):
    key = write_key(f"{work}/open", KEY)
    for mode in 0o644, 0o602:
        os.chmod(key, mode)
        run(agent + ["--connect", "127.0.0.1:1", "--name", "b", "--key-file", key], work, 2, "may be read by others")
    if os.geteuid() == 0:  # who else may give files away
        os.chmod(key, 0o600)
        os.chown(key, 12345, -1)
        run(agent + ["--connect", "127.0.0.1:1", "--name", "b", "--key-file", key], work, 2, "is somebody else's")


def check_two_tuners(binaries, source, agent, work):
    """A doctor, then a tuning: one agent for both, which connects again by itself."""
    key = f"{work}/key"
    crossing = Crossing()
    doctor = Doctor([f"{binaries}/neo-tune", "doctor", "host-windows"], key)
    crossing.to = doctor.port
    board = subprocess.Popen(agent + ["--connect", f"127.0.0.1:{crossing.port}", "--name", "b", "--back-off", "30", "--key-file", key],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        doctor.read_until("^ok     measure|^FAILED")
        doctor.close()
        if doctor.output.count("ok ") != 5:
            sys.exit(f"{agent} is not well:\n{doctor.output}")
        tuner = Doctor([f"{binaries}/neo-tune", f"{source}/tests/data/onnx/mnist_cnn_op13/model.onnx", "--input", "x=64,1,28,28",
                        "--threads", "1", "--db", f"{work}/tuned.db", "--target", "host-windows", "--trials", "6"], key)
        crossing.to = tuner.port
        found = tuner.read_until(r"6 trials \(")
        tuner.close()
        if not found:
            sys.exit(f"{agent} does not serve a second tuner:\n{tuner.output}")
    finally:
        end(board)
        crossing.close()


def meet(tune, agent, target, keys, log, pattern):
    """A doctor and an agent, until the doctor says what is waited for: its match and all that it said; the agent's words
    are in log."""
    doctor = Doctor([tune, "doctor", target], keys[0])
    with open(log, "w") as file:
        words = ["--connect", f"127.0.0.1:{doctor.port}", "--name", "b", "--back-off", "30", "--key-file", keys[1]]
        board = subprocess.Popen(agent + words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        return doctor.read_until(pattern), doctor.output
    finally:
        doctor.close()
        end(board)


def check_key(tune, agent, target, work):
    key, log = f"{work}/key", f"{work}/log"
    # What was verified and timed may be implausible: an emulator makes the instructions slow that the peak is measured with.
    found, output = meet(tune, agent, target, (key, key), log, "^ok     measure|^FAILED")
    if not found or not re.search("^ok     measure|^FAILED measure   implausible in done", output, re.MULTILINE):
        sys.exit(f"{agent} is not well:\n{output}\nthe agent says:\n{open(log).read()}")


def check_wrong_key(tune, agent, target, work):
    log = f"{work}/log"
    found, output = meet(tune, agent, target, (f"{work}/key", f"{work}/wrong"), log, "refused: wrong key")
    said = open(log).read()
    if not found or "ok     board" in output:
        sys.exit(f"{agent} with a wrong key is not refused by name:\n{output}\nthe agent says:\n{said}")


def has_tls(program):
    if not os.path.exists(program):
        return False
    with open(program, "rb") as file:
        return b"built without TLS" not in file.read()


def main():
    binaries, source, windows = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3] == "wine"
    tune = f"{binaries}/neo-tune"
    done = 0
    with tempfile.TemporaryDirectory() as work:
        write_key(f"{work}/key", KEY)
        write_key(f"{work}/wrong", KEY[::-1])
        for emulator, name, target in [] if windows else AGENTS:
            program = f"{binaries}/{name}"
            if not has_tls(program) or not shutil.which(emulator):
                print(f"{name}: left out: {emulator}, its compiler or mbedTLS's sources are missing")
                continue
            size = os.path.getsize(program)
            if size >= MOST_BYTES:
                sys.exit(f"{name} has {size} bytes, {MOST_BYTES} is the limit")
            check_key(tune, [shutil.which(emulator), program], target, work)
            check_wrong_key(tune, [shutil.which(emulator), program], target, work)
            print(f"{name}: {size} bytes, serves over TLS, refuses another key")
            done += 1
        if windows:
            done += windows_is_well(binaries, source, sys.argv[4], work)
    if not done:
        print("skipped: no agent, or nothing to run it: scripts/install-deps.sh installs what they need")
        sys.exit(77)


if __name__ == "__main__":
    main()
