"""A wine of a test's own: a context manager that leaves no process behind, whatever state wine is in.

with WinePrefix(WINE, FOLDER) as env: subprocess.run([WINE, PROGRAM], env=env, ...)

Making a prefix fails now and then on a busy machine ("could not load kernel32.dll"): it is made before the test's program
needs it, and again from nothing if wine cannot run a program of its own in it.
"""
import os
import shutil
import signal
import subprocess


class WinePrefix:
    def __init__(self, wine, folder):
        self.folder, self.wine = folder, wine
        server = os.path.join(os.path.dirname(wine), "wineserver")
        self.server = server if os.path.exists(server) else "wineserver"
        self.env = dict(os.environ, WINEPREFIX=folder, WINEDEBUG="-all", WINEDLLOVERRIDES="mscoree,mshtml=")

    def __enter__(self):
        for _ in range(3):
            if subprocess.run([self.wine, "cmd", "/c", "exit"], env=self.env, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                break
            self.end()
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.env

    def __exit__(self, *_):
        self.end()

    def end(self):
        try:
            subprocess.run([self.server, "-k"], env=self.env, check=False, timeout=60, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            pass
        # A program may hang on wine's own pipe when the server ends; it would hold the streams of the test.
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    ours = f"WINEPREFIX={self.folder}".encode() in file.read().split(b"\0")
                if ours and int(pid) != os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
