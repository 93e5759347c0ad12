"""A process that does what it is told on its standard input, a line at a time, and answers each line.

It measures itself, so that what cpuwatch says of it can be compared with what it says of itself. Only the standard
library is used: it runs with ``-I -S``, to start fast.
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

# Long enough that hashlib lets go of the GIL (2 KiB), so that several threads burn several CPUs.
_BLOCK = bytes(16_384)


def clock() -> str:
    """The monotonic time and this process's own CPU time, in nanoseconds."""
    return f"{time.monotonic_ns()} {time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)}"


def burn(load: str, threads: str) -> str:
    """From now on burn ``load`` CPUs in each of so many threads."""
    for _ in range(int(threads)):
        threading.Thread(target=_burn_for_ever, args=(float(load),), daemon=True).start()
    return "burning"


def _burn_for_ever(load: float) -> None:
    started = time.monotonic()
    while True:
        while time.thread_time() < load * (time.monotonic() - started):
            hashlib.sha256(_BLOCK)
        time.sleep(0.005)


def spend(milliseconds: str) -> str:
    """Burn so much CPU, then say the clock."""
    end_ns = time.process_time_ns() + int(milliseconds) * 1_000_000
    while time.process_time_ns() < end_ns:
        hashlib.sha256(_BLOCK)
    return clock()


def rename(name: str = "") -> str:
    """Take a name of any bytes, given in hexadecimal; nothing stands for the empty one."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, bytes.fromhex(name), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NAME)")
    return "renamed"


def title(text: str) -> str:
    """Write this, given in hexadecimal, over the arguments, as setproctitle does; the rest of them becomes zeros."""
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
    """Start over as this program, a Python under any name. It then answers as at its start."""
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
    # Ends with its standard input, so that it does not outlive whoever started it.
    for line in sys.stdin:
        verb, *arguments = line.split()
        sys.stdout.write(_COMMANDS[verb](*arguments) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
