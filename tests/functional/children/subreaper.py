"""Starts a child and a grandchild, and adopts the grandchild (PR_SET_CHILD_SUBREAPER in prctl(2)).

It writes the PIDs of both. At the first line on its standard input it ends the child and leaves it a zombie. At the
second it reaps the child. At the third, or at the end of the input, it ends the grandchild.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_CHILD_SUBREAPER = 36


def _live_as_long_as(read_end: int, write_end: int) -> None:
    """Sleep until the process that holds the other end of the pipe has exited for any reason."""
    os.close(write_end)
    os.read(read_end, 1)
    os._exit(0)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    life_end, life = os.pipe()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild:
            os.write(write_end, b"%d" % grandchild)
        _live_as_long_as(life_end, life)
    grandchild = int(os.read(read_end, 32))
    _say(f"{child} {grandchild}")

    sys.stdin.readline()
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    _say("zombie")

    sys.stdin.readline()
    os.waitpid(child, 0)
    _say("reaped")

    sys.stdin.readline()
    os.close(life)
    os.waitpid(grandchild, 0)


if __name__ == "__main__":
    main()
