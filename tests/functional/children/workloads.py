"""Runs a load, reports, and then waits, so that its children's time stays readable: workloads.py LOAD SECONDS.

``job`` runs one process that uses this much CPU time; ``forks`` starts processes of a millisecond for this long.
"""

from __future__ import annotations

import os
import signal
import sys
import time

load, seconds = sys.argv[1], float(sys.argv[2])


def spend(cpu_seconds: float) -> None:
    until = time.process_time() + cpu_seconds
    while time.process_time() < until:
        pass


if load == "job":
    if os.fork() == 0:
        spend(seconds)
        os._exit(0)
    os.wait()
else:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
os.write(1, b"done\n")
signal.pause()
