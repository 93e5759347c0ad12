"""Processes that live for milliseconds, made in one of several ways until it is ended.

short_lives.py burners | double-fork | ignored | threads
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
    """Pythons of their own that burn 50 ms each, two at a time, 200 of them or more in ten seconds."""
    program = "import time\nwhile time.process_time() < 0.05: pass"
    while True:
        pair = [subprocess.Popen([sys.executable, "-I", "-S", "-c", program]) for _ in range(2)]
        for child in pair:
            child.wait()


def double_fork() -> None:
    """A supervisor whose grandchildren lose their parent at once and come back to it, as it is their subreaper."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    while True:
        if os.fork() == 0:
            if os.fork() == 0:
                burn(20)
            os._exit(0)
        for _ in range(2):
            os.wait()


def ignored() -> None:
    """Children that nobody waits for: the kernel throws their time away."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        if os.fork() == 0:
            burn(20)
            os._exit(0)
        time.sleep(0.04)


def threads() -> None:
    """Threads of 2 ms each, one after the other."""
    while True:
        thread = threading.Thread(target=burn, args=(2,))
        thread.start()
        thread.join()


{"burners": burners, "double-fork": double_fork, "ignored": ignored, "threads": threads}[sys.argv[1]]()
