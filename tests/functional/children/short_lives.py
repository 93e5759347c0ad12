"""Starts processes that live for milliseconds, in one of several ways, until it is killed.

short_lives.py burners | double-fork | ignored | threads | unreaped
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

_PR_SET_CHILD_SUBREAPER = 36


def burn(milliseconds: int) -> None:
    until = time.thread_time_ns() + milliseconds * 1_000_000
    while time.thread_time_ns() < until:
        pass


def burners() -> None:
    """Run Pythons that use 50 ms of CPU each, two at a time: 200 or more in ten seconds."""
    program = "import time\nwhile time.process_time() < 0.05: pass"
    while True:
        pair = [subprocess.Popen([sys.executable, "-I", "-S", "-c", program]) for _ in range(2)]
        for child in pair:
            child.wait()


def double_fork() -> None:
    """Be the subreaper of grandchildren whose parent exits at once."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    while True:
        if os.fork() == 0:
            if os.fork() == 0:
                burn(20)
            os._exit(0)
        for _ in range(2):
            os.wait()


def ignored() -> None:
    """Ignore SIGCHLD, so that the kernel discards the CPU time of children."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        if os.fork() == 0:
            burn(20)
            os._exit(0)
        time.sleep(0.04)


def threads() -> None:
    """Run threads of 2 ms each, one after the other."""
    while True:
        thread = threading.Thread(target=burn, args=(2,))
        thread.start()
        thread.join()


def unreaped() -> None:
    """Leave a zombie."""
    if os.fork() == 0:
        os._exit(0)
    signal.pause()


LOADS = {"burners": burners, "double-fork": double_fork, "ignored": ignored, "threads": threads, "unreaped": unreaped}
LOADS[sys.argv[1]]()
