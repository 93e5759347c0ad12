"""A program whose threads have different names and exit in any order.

threaded_program.py MODE: ``exits`` exits with all threads; ``executes`` executes a program in a thread other than the
main thread; in ``outlives`` threads continue after the main thread has exited.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

_PR_SET_NAME = 15
_libc = ctypes.CDLL(None)


def name_thread(name: str) -> None:
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def work(number: int) -> None:
    name_thread(f"worker-{number}")
    end_ns = time.thread_time_ns() + 2_000_000
    while time.thread_time_ns() < end_ns:
        pass
    if sys.argv[1] == "executes" and number == 0:
        os.execv("/bin/true", ["true"])  # noqa: S606
    time.sleep(60 if sys.argv[1] == "exits" else 0.02)


name_thread("program")
threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
for thread in threads:
    thread.start()
if sys.argv[1] == "exits":
    time.sleep(0.02)
    os._exit(0)
if sys.argv[1] == "outlives":
    # Only the main thread exits; the others continue (pthread_exit(3)).
    _libc.syscall(60, 0)
time.sleep(60)
