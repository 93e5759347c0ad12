"""Turns processes of root into visible ones of the watching user, and writes when each was found.

Run it as root, as the first process of a PID namespace and in a separate mount namespace:
becomes_visible.py OPTION BACKEND USER_ID
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys

from cpuwatch import OpenSampler, open_sampler

_PR_SET_DUMPABLE = 4
_PROCESSES = 3
_MAX_READINGS = 20


def become(user_id: int) -> None:
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)
    # Until the process executes a program, the new user may not inspect it (PR_SET_DUMPABLE, prctl(2)).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


class Changing:
    """A process of root that changes its user on command, as su and sshd do."""

    def __init__(self, user_id: int) -> None:
        wanted, self._want = os.pipe()
        self._done, done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.read(wanted, 1)
            become(user_id)
            os.write(done, b"x")
            signal.pause()

    def change(self) -> None:
        os.write(self._want, b"x")
        os.read(self._done, 1)


def main() -> None:
    option, backend, user_id = sys.argv[1:]
    subprocess.run(["mount", "-t", "proc", "-o", option, "proc", "/proc"], check=True)
    with open_sampler(backend) as sampler:
        sampler.read()
    old = [Changing(int(user_id)) for _ in range(_PROCESSES)]
    # A helper that stays root starts new processes while the watcher watches.
    asked, ask = os.pipe()
    made, make = os.pipe()
    if os.fork() == 0:
        while os.read(asked, 1):
            changing = Changing(int(user_id))
            changing.change()
            os.write(make, b"%d\n" % changing.pid)
        os._exit(0)
    become(int(user_id))
    found = []
    with open_sampler(backend) as sampler:
        sampler.read()
        for changing in old:
            assert changing.pid not in sampler.read().processes
            changing.change()
            found.append(readings_until(sampler, changing.pid))
        for _ in range(_PROCESSES):
            os.write(ask, b"x")
            found.append(readings_until(sampler, int(os.read(made, 100))))
    sys.stdout.write(json.dumps(found))


def readings_until(sampler: OpenSampler, pid: int) -> int:
    for reading in range(1, _MAX_READINGS + 1):
        if pid in sampler.read().processes:
            return reading
    return -1


if __name__ == "__main__":
    main()
