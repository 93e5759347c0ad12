"""Watches a hidden process between two visible ones, on a /proc that hides the processes of others; writes JSON.

Run it as root, as the first process of a PID namespace and in a separate mount namespace:
hidden_parent.py OPTION BACKEND USER_ID ENDING

``ENDING`` is ``both`` if the hidden process exits together with its child, ``child`` if it survives.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

from cpuwatch import NO_CARRY, account, open_sampler

_PR_SET_DUMPABLE = 4
SPENT_NS = 800_000_000


def become(user_id: int) -> None:
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)
    # Until the process executes a program, the new user may not inspect it (PR_SET_DUMPABLE, prctl(2)).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def spend(cpu_ns: int) -> None:
    while time.process_time_ns() < cpu_ns:
        pass


def start_line(user_id: int, ending: str, write_end: int) -> int:
    """Start a visible process with a hidden child and a visible grandchild that has used some CPU; return its PID."""
    top = os.fork()
    if top:
        return top
    hidden = os.fork()
    if hidden == 0:
        bottom = os.fork()
        if bottom == 0:
            become(user_id)
            spend(SPENT_NS)
            os.write(write_end, b"%d\n" % os.getpid())
            signal.pause()
        os.waitpid(bottom, 0)
        if ending == "child":
            signal.pause()
        os._exit(0)
    become(user_id)
    os.waitpid(hidden, 0)
    signal.pause()
    os._exit(0)


def main() -> None:
    option, backend, user_id, ending = sys.argv[1:]
    subprocess.run(["mount", "-t", "proc", "-o", option, "proc", "/proc"], check=True)
    read_end, write_end = os.pipe()
    top = start_line(int(user_id), ending, write_end)
    bottom = int(os.read(read_end, 100))
    with open_sampler(backend) as sampler:
        # Import what a reading needs: the ordinary user may not be able to read the files of this interpreter.
        sampler.read()
    # This process kills it, because the watching user is not allowed to.
    ended, end = os.pipe()
    if os.fork() == 0:
        os.close(end)
        os.read(ended, 1)
        os.kill(bottom, signal.SIGKILL)
        os._exit(0)
    become(int(user_id))
    with open_sampler(backend) as sampler:
        readings = [sampler.read()]
        seen = {pid: pid in readings[0].processes for pid in (top, bottom)}
        time.sleep(1)
        os.write(end, b"x")
        for _ in range(2):
            time.sleep(1)
            readings.append(sampler.read())
    shown_ns, carry = 0.0, NO_CARRY
    for earlier, later in pairwise(readings):
        snapshot, carry = account(earlier, later, carry)
        percent = sum(
            (row.cpu_percent or 0) + (row.exited_percent or 0) for row in snapshot.processes if row.pid == top
        )
        shown_ns += percent * snapshot.interval_seconds * 1e7
    gone = bottom not in readings[-1].processes
    sys.stdout.write(json.dumps({"seen": [seen[top], seen[bottom]], "gone": gone, "shown_ns": shown_ns}))


if __name__ == "__main__":
    main()
