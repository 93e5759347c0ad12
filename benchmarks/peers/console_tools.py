"""Runs top, htop, atop and pidstat once a second, and measures from outside the cost of each tick.

Each runs without configuration, and its output is discarded: htop draws one screen of 50 lines on a terminal, top
writes all rows, pidstat a row for each process that ran, atop compressed raw records for its log. They read different
files: top ``stat`` and ``statm``, htop the threads too, pidstat ``stat``, atop ``stat``, ``status``, ``io``,
``cmdline`` and all counters of the system. Process accounting, which atop would enable for the whole machine, is off.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

from benchmarks.peers.bursts import Bursts

__all__ = ["COMMANDS", "POLL_SECONDS", "ConsoleTool", "running_tool"]

COMMANDS = {
    "top": ("top", "-b", "-d", "1"),
    "htop": ("htop", "-d", "10"),
    "atop": ("atop", "-w", "raw", "1"),
    "pidstat": ("pidstat", "1"),
}
POLL_SECONDS = 0.05
_QUIET_POLLS = 4
"""Polls without CPU that count as the sleep: 0.2 s of about 1 s."""
_LINES, _COLUMNS = 50, 160


class ConsoleTool:
    """A running tool."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], terminal: int) -> None:
        self._name = name
        self._process = process
        self._terminal = terminal
        self._clock = (~process.pid << 3) | 2
        self._bursts = Bursts(_QUIET_POLLS)

    def poll(self) -> None:
        """Read its clock and discard its output. Call it every ``POLL_SECONDS``."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._name} ended by itself with exit code {self._process.returncode}")
        self._bursts.look(time.clock_gettime_ns(self._clock))
        with suppress(BlockingIOError):
            while os.read(self._terminal, 65_536):
                pass

    @property
    def ticks_ns(self) -> list[int]:
        """The CPU time of each tick so far. The first one includes the start."""
        return self._bursts.cpu_ns


@contextmanager
def running_tool(name: str) -> Iterator[ConsoleTool]:
    """The tool for the time of the block, in an empty home directory, with a terminal if it needs one."""
    with TemporaryDirectory() as home:
        ours, its = pty.openpty()
        os.set_blocking(ours, False)
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        environment = {**os.environ, "HOME": home, "TERM": "xterm", "LC_ALL": "C", "ATOPACCT": ""}
        for variable in ("XDG_CONFIG_HOME", "HTOPRC"):
            environment.pop(variable, None)
        to = its if name == "htop" else subprocess.DEVNULL
        process = subprocess.Popen(
            COMMANDS[name], stdin=to, stdout=to, stderr=to, cwd=home, env=environment, start_new_session=True
        )
        try:
            yield ConsoleTool(name, process, ours)
        finally:
            process.terminate()
            process.wait()
            os.close(ours)
            os.close(its)
