"""A /proc of one's own making, with CPU clocks to match: the kernel's side of the bargain, in a directory."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

BOOT_ID = "0b0e6a3c-8f1d-4d0b-9c57-3a1f2ad0c0de"
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class FakeProc:
    """The tree under ``root``. Processes are started, burn CPU, are renamed and end as a test says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.forks = 1000
        self.clocks: dict[int, int] = {}
        self._lives: dict[int, tuple[bytes, int, int]] = {}
        (root / "sys/kernel/random").mkdir(parents=True)
        (root / "sys/kernel/random/boot_id").write_text(f"{BOOT_ID}\n")
        (root / "loadavg").write_text("0.10 0.20 0.30 1/100 4242\n")
        (root / "stat").touch()
        self.write_stat()

    def write_stat(self) -> None:
        lines = ["cpu  10 0 20 300 4 0 0 0 0 0", "cpu0 5 0 10 150 2 0 0 0 0 0", "cpu2 5 0 10 150 2 0 0 0 0 0"]
        # In place: a sampler holds the file open, as it holds the kernel's.
        with (self.root / "stat").open("r+b") as file:
            file.truncate(0)
            file.write("\n".join([*lines, "intr 1 2", f"processes {self.forks}", "procs_running 1", ""]).encode())

    def start(self, pid: int, name: bytes = b"work", *, ppid: int = 1, start_tick: int = 100, forks: int = 1) -> None:
        (self.root / str(pid)).mkdir()
        self.clocks[pid] = 0
        self._lives[pid] = name, ppid, start_tick
        self.write(pid)
        self.forks += forks
        self.write_stat()

    def write(self, pid: int, *, name: bytes | None = None, ppid: int | None = None) -> None:
        """Bring its ``stat`` up to date with its clock, and with another name or parent if there is one."""
        old_name, old_ppid, start_tick = self._lives[pid]
        name, ppid = old_name if name is None else name, old_ppid if ppid is None else ppid
        self._lives[pid] = name, ppid, start_tick
        fields = [ppid, 0, 0, 0, -1, 0, 0, 0, 0, 0, self.clocks[pid] // TICK_NS, 0, 0, 0, 20, 0, 1, 0, start_tick, 0, 0]
        line = b"%d (%s) S %s\n" % (pid, name, " ".join(map(str, fields)).encode())
        (self.root / str(pid) / "stat").write_bytes(line)

    def burn(self, pid: int, nanoseconds: int) -> None:
        self.clocks[pid] += nanoseconds
        self.write(pid)

    def end(self, pid: int) -> None:
        del self.clocks[pid], self._lives[pid]
        shutil.rmtree(self.root / str(pid))

    def use_clocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this the /proc of the caller's PID namespace, and the kernel's clocks those of its processes."""
        (self.root / "self").mkdir()
        (self.root / "self/status").write_text(f"Name:\tpytest\nNSpid:\t{os.getpid()}\n")
        real = time.clock_gettime_ns

        def clock_gettime_ns(clock: int) -> int:
            pid = ~(clock >> 3)
            if clock >= 0 or pid == os.getpid():
                return real(clock)
            if pid not in self.clocks:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return self.clocks[pid]

        monkeypatch.setattr(time, "clock_gettime_ns", clock_gettime_ns)
