"""Ctrl-C while a board is waited for ends the waiting at once and keeps the work.

usage: interrupt.py BIN SOURCE     BIN: the folder with neo-tune and neo-board
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

WAIT_S = 60  # for what should come; it ends when that does
AGES = 100000  # seconds that nobody waits for


class Tune:
    def __init__(self, words):
        self.process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = ""
        self.timer = threading.Timer(10 * WAIT_S, self.process.kill)
        self.timer.start()

    def until(self, pattern):
        for line in self.process.stdout:
            self.output += line
            found = re.search(pattern, line)
            if found:
                return found
        sys.exit(f"'{pattern}' did not come:\n{self.output}")

    def interrupt(self):
        """Its exit code."""
        self.process.send_signal(signal.SIGINT)
        self.output += self.process.stdout.read()
        code = self.process.wait()
        self.timer.cancel()
        if code != 130:
            sys.exit(f"exit code {code} after Ctrl-C, 130 expected:\n{self.output}")


def main(binaries, source, work):
    key = f"{work}/key"
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("00112233445566778899aabbccddeeff" * 2 + "\n")
    url = f"rpc://127.0.0.1:0?key-file={key}&wait={AGES}&away={AGES}"
    words = [f"{binaries}/neo-tune", f"{source}/tests/data/onnx/mnist_cnn_op13/model.onnx", "--input", "x=64,1,28,28", "--threads", "1",
             "--db", f"{work}/tune.db", "--budget", "1h", "--measure", url]

    tune = Tune(words)  # before any board came
    tune.until(r"^listening on port \d+")
    tune.interrupt()

    tune = Tune(words)  # when its board is gone: the lane waits for it, then for another
    port = tune.until(r"^listening on port (\d+)").group(1)
    board = subprocess.Popen([f"{binaries}/neo-board", "--connect", f"127.0.0.1:{port}", "--name", "b", "--key-file", key,
                              "--back-off", "30"], stderr=subprocess.DEVNULL)
    try:
        tune.until(r"board 'b' .* joined")
        threading.Thread(target=kill_when_recorded, args=(binaries, work, board), daemon=True).start()
        tune.until("board 'b' .* lost")
        tune.interrupt()
    finally:
        board.kill()
        board.wait()
    trials = re.search(r"interrupted after (\d+) trials; all are recorded", tune.output)
    rows = exported(binaries, work)
    if not trials or int(trials.group(1)) < 1 or rows != int(trials.group(1)):
        sys.exit(f"{rows} trials are recorded:\n{tune.output}")
    print(f"interrupt: ok, {rows} trials kept")


def exported(binaries, work):
    """The number of recorded trials; -1: there is no telling."""
    result = subprocess.run([f"{binaries}/neo-tune", "export", f"{work}/out.jsonl", "--db", f"{work}/tune.db"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if result.returncode != 0:
        return -1
    with open(f"{work}/out.jsonl") as file:
        return sum('"schedule"' in line for line in file)


def kill_when_recorded(binaries, work, board):
    while exported(binaries, work) < 3:
        time.sleep(0.2)
    board.kill()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), folder)
