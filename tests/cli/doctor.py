"""neo-tune doctor finds nothing wrong where nothing is, and names the hop and the reason where something is; neo
board-install prints steps and makes a key.

usage: doctor.py BIN     the folder with neo, neo-tune, neo-board
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

KEY = "00112233445566778899aabbccddeeff" * 2


def run(*words, env=None):
    result = subprocess.run(words, capture_output=True, text=True, timeout=900, env=env)
    return result.returncode, result.stdout + result.stderr


def check(condition, what, output):
    if not condition:
        sys.exit(f"{what}:\n{output}")


def write_key(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text + "\n")
    return path


def write_script(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w") as file:
        file.write(text)
    return path


def install_on_a_fake_board(steps, work):
    """ssh as it is: a login shell (bash), and it ends when nobody holds the streams of the command."""
    home, fakes = f"{work}/home", f"{work}/fakes"
    os.mkdir(home)
    os.mkdir(fakes)
    write_script(f"{fakes}/ssh", f'#!/bin/bash\nset -o pipefail\ncd {home} && bash -c "$2" 2>&1 | cat\n')
    write_script(f"{fakes}/scp", f'#!/bin/bash\ncp -p "$2" "{home}/${{3#*:}}"\n')
    agent = write_script(f"{work}/agent", "#!/bin/sh\necho started\nexec sleep 60\n")
    before = time.monotonic()
    code, output = run(*steps, "--board", agent, "--run", env=dict(os.environ, PATH=f"{fakes}:{os.environ['PATH']}"))
    check(code == 0, "the steps are performed", output)
    check(time.monotonic() - before < 50, "the agent is started detached", output)
    check(os.stat(f"{home}/.neo/board.key").st_mode & 0o777 == 0o600, "the key is private there", output)
    for _ in range(1200):
        with open(f"{home}/.neo/neo-board.log") as log:
            if "started" in log.read():
                return
        time.sleep(0.05)
    check(False, "the agent runs", output)


def with_board(command, doctor):
    """Runs the doctor, who listens at a port of the system's choice, and a board that connects to PORT of its command."""
    listening = subprocess.Popen(doctor, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(900, listening.kill)
    timer.start()
    output, board = "", None
    try:
        for line in listening.stdout:
            output += line
            port = re.search(r"listening on port (\d+)", line)
            if port:
                board = subprocess.Popen([word.replace("PORT", port.group(1)) for word in command],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return listening.wait(), output
    finally:
        timer.cancel()
        listening.stdout.close()
        if board:
            board.kill()
            board.wait()


def refused(command, doctor, url, reason):
    """The doctor ends its wait without a board, as one that it names was refused; a slow machine's board needs longer."""
    for seconds in (2, 10, 60):
        code, output = with_board(command, [*doctor, "--measure", f"{url}{seconds}"])
        if reason in output:
            break
    check(code == 6 and "FAILED board" in output and reason in output, f"'{reason}' is named", output)


def main(bin_dir, work):
    neo, tune, board = (os.path.join(bin_dir, name) for name in ("neo", "neo-tune", "neo-board"))
    code, output = run(tune, "doctor")
    check(code == 0 and output.count("ok ") == 5, "the local board is well", output)

    key, wrong = write_key(f"{work}/key", KEY), write_key(f"{work}/wrong", KEY[::-1])
    url = f"rpc://127.0.0.1:0?key-file={key}&wait="
    dial = [board, "--connect", "127.0.0.1:PORT", "--name", "b", "--back-off", "30", "--key-file"]
    code, output = with_board(dial + [key, "--label", "lab=here"], [tune, "doctor", "--measure", url + "60"])
    check(code == 0 and output.count("ok ") == 5 and "lab=here" in output, "a remote board is well", output)

    refused(dial + [wrong], [tune, "doctor"], url, "wrong key")
    refused(dial + [wrong], [tune, "doctor"], url, "another key file than this")

    code, output = run(*dial, key, "--counters", key)
    check(code == 2 and "--counters" in output, "counts are not for a network", output)

    code, output = run(tune, "doctor", "--measure", f"rpc://127.0.0.1:0?key-file={work}/absent")
    check(code == 2 and "key file" in output and "board-install" in output, "who makes a key is told", output)
    code, output = run(tune, "doctor", "--board", f"{work}/absent")
    check(code != 0 and "FAILED board" in output and "is missing" in output, "a missing agent is named", output)
    code, output = run(tune, "doctor", "no-such-target")
    check(code != 0 and "FAILED target" in output, "an unknown target is named", output)

    arm = os.path.join(bin_dir, "neo-board-aarch64")
    if os.path.exists(arm) and shutil.which("qemu-aarch64"):
        dial = ["qemu-aarch64", arm, "--connect", "127.0.0.1:PORT", "--name", "arm", "--back-off", "30"]
        plain = "rpc://127.0.0.1:0?wait="
        code, output = with_board(dial, [tune, "doctor", "cortex-a72", "--measure", plain + "60"])
        check(code == 0 and "arch=aarch64" in output, "a board of another processor is well", output)
        refused(dial, [tune, "doctor", "x86-64-v3"], plain, "its arch is aarch64, x86_64 is wanted")

    dsp = os.path.join(bin_dir, "neo-board-hexagon")
    if os.path.exists(dsp) and shutil.which("qemu-hexagon"):
        code, output = run(tune, "doctor", "hexagon", "--measure", "emulated:hexagon")
        check(code == 0 and output.count("ok ") == 5, "the emulated board for Hexagon is well", output)
        code, output = run("qemu-hexagon", dsp, "--connect", "127.0.0.1:1", "--name", "dsp")
        check(code == 4 and "no network: use --stdio" in output, "a board without a network says so", output)

    new = f"{work}/new.key"
    install = [neo, "board-install", "pi@pi4", "--name", "pi4", "--key-file", new, "--connect", "desk:9190"]
    steps = [*install, "--board", board]
    code, output = run(*steps)
    check(code == 0 and "scp -p" in output and "--connect desk:9190 --name pi4" in output, "steps are printed", output)
    check(f"doctor TARGET --measure 'rpc://0.0.0.0:9190?key-file={new}'" in output, "what to do then is printed", output)
    code, output = run(board, "--version")
    check(code == 0 and output.startswith("neo-board 0."), "the agent tells its version", output)
    check(os.stat(new).st_mode & 0o777 == 0o600, "the key is private", oct(os.stat(new).st_mode))
    code, output = run(*steps, "--via", "adb")
    check(code == 0 and "adb -s pi@pi4 push" in output, "steps for adb are printed", output)
    code, output = run(*[word.replace("desk:9190", "desk;reboot") for word in steps])
    check(code == 2, "what a shell would read otherwise is refused", output)
    if shutil.which("bash"):
        install_on_a_fake_board(install, work)


if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    try:
        main(sys.argv[1], folder)
    finally:
        shutil.rmtree(folder)
    print("doctor: ok")
