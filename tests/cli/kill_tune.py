"""kill -9 of neo-tune at any moment loses no acknowledged trial: every id it printed is in the store."""
import random
import sqlite3
import time

from programs import *


def killed_run(rng, db, measure):
    """Starts neo-tune, kills it after some acknowledged trials; gives the ids that it printed."""
    argv = [program("neo-tune"), MODEL, "--input", "x=1,1,28,28", "--threads", "1", "--db", db, "--measure", measure,
            "--trials", "1000000", "--acks", "--quiet", "--seed", str(rng.randrange(1000))]
    tuner = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    ids = []
    for _ in range(rng.choice([0, 0, 1, 3, 8, 9, 20, 40])):
        line = tuner.stdout.readline()
        check(line.endswith(b"\n"), f"neo-tune ended by itself: {tuner.stderr.read() if not line else line}")
        ids.append(int(line))
    time.sleep(rng.random() * (0.1 if ids else 0.4))
    os.kill(tuner.pid, signal.SIGKILL)
    rest, _ = tuner.communicate()
    ids += [int(line) for line in rest.split(b"\n")[:-1]]
    check(tuner.returncode == -signal.SIGKILL, f"neo-tune ended by itself with {tuner.returncode}")
    return ids


def stored_ids(db):
    store = sqlite3.connect(db)
    check(store.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the store is damaged")
    ids = {row[0] for row in store.execute("SELECT id FROM trials")}
    store.close()
    return ids


def main():
    rng = random.Random(20)
    acknowledged = []
    with Scratch() as d:
        db = d("tuning.db")
        for loop in range(50):
            acknowledged += killed_run(rng, db, "local" if loop % 10 == 9 else "simulated:")
            if os.path.exists(db) and loop % 5 == 0:
                check(set(acknowledged) <= stored_ids(db), f"loop {loop}: acknowledged trials are lost")
        check(len(acknowledged) > 100, f"only {len(acknowledged)} trials were acknowledged")
        check(len(set(acknowledged)) == len(acknowledged), "an id was given twice")
        check(set(acknowledged) <= stored_ids(db), "acknowledged trials are lost")
        out, _ = run("neo", "compile", MODEL, "--input", "x=1,1,28,28", "--threads", "1", "--db", db, "-o", d("art"))
        check("hit" in out and " 0 hits" not in out, "nothing of the store was used:\n" + out)
        out, _ = run("neo-tune", MODEL, "--input", "x=1,1,28,28", "--threads", "1", "--db", db, "--measure",
                     "simulated:", "--trials", "16")
        check("16 trials" in out, out)
        print(f"50 kills, {len(acknowledged)} acknowledged trials, all stored")
    finish()


main()
