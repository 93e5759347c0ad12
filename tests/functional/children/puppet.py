"""A process that executes commands from its standard input, one on each line, and answers each line.

It measures itself, so that tests can compare the values of cpuwatch with its own. It uses only the standard library,
and runs with ``-I -S`` to start fast.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_NAME = 15

# Long enough that hashlib releases the GIL (2 KiB), so that several threads use several CPUs.
_BLOCK = bytes(16_384)


def clock() -> str:
    """Return the monotonic time and the CPU time of this process, in nanoseconds."""
    return f"{time.monotonic_ns()} {time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)}"


def burn(load: str, threads: str) -> str:
    """Use ``load`` CPUs in each of this many threads from now on."""
    for _ in range(int(threads)):
        threading.Thread(target=_burn_forever, args=(float(load),), daemon=True).start()
    return "burning"


def _burn_forever(load: float) -> None:
    started = time.monotonic()
    while True:
        while time.thread_time() < load * (time.monotonic() - started):
            hashlib.sha256(_BLOCK)
        time.sleep(0.005)


def spend(milliseconds: str) -> str:
    """Use this much CPU, then answer with the clock."""
    end_ns = time.process_time_ns() + int(milliseconds) * 1_000_000
    while time.process_time_ns() < end_ns:
        hashlib.sha256(_BLOCK)
    return clock()


def rename(name: str = "") -> str:
    """Take a name of any bytes, given in hexadecimal; without an argument, the empty name."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, bytes.fromhex(name), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NAME)")
    return "renamed"


def title(text: str) -> str:
    """Overwrite the arguments with these bytes, given in hexadecimal, like setproctitle. Zeros fill the rest."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    # arg_start and arg_end in proc_pid_stat(5).
    start, end = int(fields[45]), int(fields[46])
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, bytes.fromhex(text), len(text) // 2)
    return "titled"


def become(user_id: str) -> str:
    """Become another user."""
    os.setuid(int(user_id))
    return "changed"


def execute(program: str) -> str:
    """Execute this program, a Python with any name. It then answers as at its start."""
    arguments = [program, "-I", "-S", str(Path(__file__).resolve())]
    os.execv(program, arguments)  # noqa: S606


_COMMANDS: dict[str, Callable[..., str]] = {
    "clock": clock,
    "burn": burn,
    "spend": spend,
    "rename": rename,
    "title": title,
    "become": become,
    "execute": execute,
}


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    # Exit at the end of standard input, so that this process does not outlive its parent.
    for line in sys.stdin:
        verb, *arguments = line.split()
        sys.stdout.write(_COMMANDS[verb](*arguments) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
