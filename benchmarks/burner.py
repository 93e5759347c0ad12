"""Always wants to run, on one CPU: burner.py CPU THREADS. Writes a line when it begins.

Started by :func:`benchmarks.processes.burning`, without site packages.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading


def _burn() -> None:
    # A call through ctypes releases the interpreter, so that the threads compete for the CPU and not for its lock.
    wait = ctypes.CDLL(None).sched_getcpu
    while True:
        wait()


def main() -> None:
    """See the docstring of the module."""
    cpu, threads = int(sys.argv[1]), int(sys.argv[2])
    os.sched_setaffinity(0, {cpu})
    for _ in range(threads - 1):
        threading.Thread(target=_burn, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if threads > 1:
        _burn()
    while True:
        pass


if __name__ == "__main__":
    main()
