"""Always wants to run, on one CPU: burner.py CPU [THREADS]. Writes a line when it begins."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

cpu, threads = int(sys.argv[1]), int((sys.argv[2:] or ["1"])[0])
os.sched_setaffinity(0, {cpu})


def burn() -> None:
    # A call through ctypes releases the interpreter, so that the threads compete for the CPU and not for its lock.
    wait = ctypes.CDLL(None).sched_getcpu
    while True:
        wait()


for _ in range(threads - 1):
    threading.Thread(target=burn, daemon=True).start()
sys.stdout.write("ready\n")
sys.stdout.flush()
if threads > 1:
    burn()
while True:
    pass
