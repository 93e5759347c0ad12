"""Jobs that burn CPU and end: how much, and in which kind of processes, is in the arguments."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def ignored_children(seconds: float) -> None:
    """Children whose time the kernel adds to nobody."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(4):
        if os.fork() == 0:
            burn(seconds / 4)
            os._exit(0)
    # Until all children are gone.
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def in_threads(seconds: float) -> None:
    threads = [threading.Thread(target=burn, args=(seconds / 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


JOBS = {"burn": burn, "ignored-children": ignored_children, "threads": in_threads}

if __name__ == "__main__":
    JOBS[sys.argv[1]](float(sys.argv[2]))
