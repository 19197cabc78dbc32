"""A wine of a test's own: a context manager that leaves no process behind, whatever state wine is in.

with WinePrefix(WINE, FOLDER) as env: subprocess.run([WINE, PROGRAM], env=env, ...)
"""
import os
import signal
import subprocess


class WinePrefix:
    def __init__(self, wine, folder):
        self.folder = folder
        server = os.path.join(os.path.dirname(wine), "wineserver")
        self.server = server if os.path.exists(server) else "wineserver"
        self.env = dict(os.environ, WINEPREFIX=folder, WINEDEBUG="-all", WINEDLLOVERRIDES="mscoree,mshtml=")

    def __enter__(self):
        return self.env

    def __exit__(self, *_):
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
