"""``cpuwatch top`` beside htop, btop, top and Glances: CPU of sampling and drawing, start, memory, key to screen.

Run it with ``python -m benchmarks.terminal``. Each tool runs once a second without its user's configuration, in a
pseudo-terminal whose output is read and discarded. Tools that are not installed are left out. Glances is looked for in
``GLANCES`` as well, because it needs an environment of its own.

The start is the time until the heading of the table is on the screen. cpuwatch draws it with the first percentages;
htop, btop, top and Glances draw it before they have any.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import count_processes, forked

__all__ = ["main"]

_SIZES = ((80, 24), (200, 60))
_COUNTS = (100, 1000, 5000)
_SETTLING_SECONDS = 3.0
_START_LIMIT_SECONDS = 30.0
_KEYS = 15
_KEY_PAUSE_SECONDS = 0.23
_KEY_LIMIT_SECONDS = 2.0
_DOWN = b"\x1b[B"


@dataclass(frozen=True, slots=True)
class Tool:
    """A command, the text that appears with its table, and whether it has a cursor that a key moves."""

    command: tuple[str, ...]
    sign: bytes
    has_cursor: bool = True


TOOLS = {
    "cpuwatch": Tool((sys.executable, "-m", "cpuwatch", "top"), b"TOTAL%"),
    "htop": Tool(("htop", "-d", "10"), b"PID"),
    "btop": Tool(("btop", "--utf-force"), b"Pid:"),
    "top": Tool(("top", "-d", "1"), b"PID", has_cursor=False),
    "glances": Tool((os.environ.get("GLANCES", "glances"), "-t", "1"), b"CPU%", has_cursor=False),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one tool. Times of keys are None for a tool without a cursor."""

    start_seconds: float
    cpu_ms_a_second: float
    memory_mib: float
    key_ms: float | None


class _Terminal:
    def __init__(self, tool: Tool, size: tuple[int, int], home: str) -> None:
        ours, its = pty.openpty()
        columns, rows = size
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "HOME": home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        environment["XDG_CONFIG_HOME"] = f"{home}/.config"
        environment.pop("HTOPRC", None)
        # An installed program has bytecode.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._ours = ours
        self.process = subprocess.Popen(
            tool.command, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
        )
        os.close(its)

    def read_for(self, seconds: float, sign: bytes | None = None) -> float | None:
        """Read the output for so long, or until the sign appears; returns the seconds until then."""
        begin = time.perf_counter()
        seen = b""
        while (left := begin + seconds - time.perf_counter()) > 0:
            if select.select([self._ours], [], [], left)[0]:
                seen = (seen + os.read(self._ours, 65_536))[-100_000:]
                if sign is not None and sign in seen:
                    return time.perf_counter() - begin
        return None

    def key_seconds(self) -> float | None:
        """The time from a key to the next output."""
        self.read_for(_KEY_PAUSE_SECONDS)
        return self._after_key()

    def _after_key(self) -> float | None:
        begin = time.perf_counter()
        os.write(self._ours, _DOWN)
        if not select.select([self._ours], [], [], _KEY_LIMIT_SECONDS)[0]:
            return None
        os.read(self._ours, 65_536)
        return time.perf_counter() - begin

    def cpu_ns(self) -> int:
        return time.clock_gettime_ns((~self.process.pid << 3) | 2)

    def memory_mib(self) -> float:
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(text.partition("\nPss:")[2].split()[0]) / 1024

    def close(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired, OSError):
            self.read_for(0.3)
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def _running(tool: Tool, size: tuple[int, int]) -> Iterator[_Terminal]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        config = Path(home) / ".config/btop/btop.conf"
        config.parent.mkdir(parents=True)
        config.write_text("update_ms = 1000\n")
        terminal = _Terminal(tool, size, home)
        try:
            yield terminal
        finally:
            terminal.close()


def measured(tool: Tool, size: tuple[int, int], seconds: float) -> Figures:
    """Start the tool, let it settle, and measure it."""
    with _running(tool, size) as terminal:
        start = terminal.read_for(_START_LIMIT_SECONDS, tool.sign)
        if start is None:
            raise RuntimeError(f"{tool.command[0]} showed no {tool.sign.decode()} in {_START_LIMIT_SECONDS:g} s")
        terminal.read_for(_SETTLING_SECONDS)
        before, begin = terminal.cpu_ns(), time.perf_counter()
        terminal.read_for(seconds)
        cpu = (terminal.cpu_ns() - before) / 1e6 / (time.perf_counter() - begin)
        keys = [terminal.key_seconds() for _ in range(_KEYS)] if tool.has_cursor else []
        known = [key for key in keys if key is not None]
        key_ms = statistics.median(known) * 1000 if known else None
        return Figures(start, cpu, terminal.memory_mib(), key_ms)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all tools, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long CPU is measured (default: 20)")
    parser.add_argument("--tools", default=",".join(TOOLS), help="names, separated by commas (default: all)")
    parser.add_argument("--processes", default=",".join(map(str, _COUNTS)), help="numbers of processes")
    options = parser.parse_args(arguments)
    print("| processes | size | tool | CPU, ms/s | start, s | memory (PSS), MiB | key to screen, ms |")
    print("|---:|---|---|---:|---:|---:|---:|")
    for wanted in map(int, options.processes.split(",")):
        with forked(max(0, wanted - count_processes()), active_share=0.05):
            for columns, rows in _SIZES:
                for name in options.tools.split(","):
                    tool = TOOLS[name]
                    if shutil.which(tool.command[0]) is None:
                        continue
                    shown = measured(tool, (columns, rows), options.seconds)
                    key = "-" if shown.key_ms is None else f"{shown.key_ms:.1f}"
                    print(
                        f"| {count_processes()} | {columns}x{rows} | {name} | {shown.cpu_ms_a_second:.1f} "
                        f"| {shown.start_seconds:.2f} | {shown.memory_mib:.1f} | {key} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
