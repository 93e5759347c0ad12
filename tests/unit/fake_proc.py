"""A fake /proc in a directory, with CPU clocks to match."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from cpuwatch.samplers.procfs import new_pids

BOOT_ID = "0b0e6a3c-8f1d-4d0b-9c57-3a1f2ad0c0de"
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class FakeProc:
    """The tree under ``root``. The test starts, runs, renames and ends its processes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.forks = 1000
        self.last_pid = 4242
        self.interrupts = 2
        self.clocks: dict[int, int] = {}
        self._lives: dict[int, tuple[bytes, int, int]] = {}
        self._states: dict[int, tuple[str, int]] = {}
        (root / "sys/kernel/random").mkdir(parents=True)
        (root / "sys/kernel/random/boot_id").write_text(f"{BOOT_ID}\n")
        (root / "loadavg").touch()
        (root / "stat").touch()
        self.write_counters()
        self._end_open_files_with_their_process(monkeypatch)

    def write_counters(self, load: str = "0.10 0.20 0.30") -> None:
        """Write the last PID and the number of forks to ``loadavg`` and ``stat``."""
        lines = ["cpu  10 0 20 300 4 0 0 0 0 0", "cpu0 5 0 10 150 2 0 0 0 0 0", "cpu2 5 0 10 150 2 0 0 0 0 0"]
        lines += [f"intr 1{' 0' * self.interrupts}", f"processes {self.forks}", "procs_running 1", ""]
        # In place, because a sampler keeps the files open.
        (self.root / "stat").write_text("\n".join(lines))
        (self.root / "loadavg").write_text(f"{load} 1/100 {self.last_pid}\n")

    def fork(self, *, forks: int = 1) -> int:
        """Allocate the next PID without a process: for a thread, or with ``forks=0`` for a fork that failed."""
        self.last_pid += 1
        self.forks += forks
        self.write_counters()
        return self.last_pid

    def start_next(self, *, ppid: int = 1) -> int:
        """Start a process with the next PID."""
        pid = self.fork()
        self.start(pid, ppid=ppid, forks=0)
        return pid

    def start(self, pid: int, name: bytes = b"work", *, ppid: int = 1, start_tick: int = 100, forks: int = 1) -> None:
        """Start a process with a chosen PID, which leaves the last PID unchanged."""
        (self.root / str(pid)).mkdir()
        self.clocks[pid] = 0
        self._lives[pid] = name, ppid, start_tick
        self.write(pid)
        self.forks += forks
        self.write_counters()

    def write(
        self,
        pid: int,
        *,
        name: bytes | None = None,
        ppid: int | None = None,
        state: str | None = None,
        flags: int | None = None,
    ) -> None:
        """Write its ``stat`` according to its clock and the given values."""
        old_name, old_ppid, start_tick = self._lives[pid]
        name, ppid = old_name if name is None else name, old_ppid if ppid is None else ppid
        self._lives[pid] = name, ppid, start_tick
        old_state, old_flags = self._states.get(pid, ("S", 0))
        state, flags = old_state if state is None else state, old_flags if flags is None else flags
        self._states[pid] = state, flags
        fields = [
            ppid,
            0,
            0,
            0,
            -1,
            flags,
            0,
            0,
            0,
            0,
            self.clocks[pid] // TICK_NS,
            0,
            0,
            0,
            20,
            0,
            1,
            0,
            start_tick,
            0,
            0,
        ]
        line = b"%d (%s) %s %s\n" % (pid, name, state.encode(), " ".join(map(str, fields)).encode())
        (self.root / str(pid) / "stat").write_bytes(line)

    def burn(self, pid: int, nanoseconds: int) -> None:
        self.clocks[pid] += nanoseconds
        self.write(pid)

    def move(self, pid: int, membership: bytes) -> None:
        """Write its ``cgroup``, which can change while the process sleeps."""
        (self.root / str(pid) / "cgroup").write_bytes(membership)

    def end(self, pid: int) -> None:
        del self.clocks[pid], self._lives[pid]
        self._states.pop(pid, None)
        shutil.rmtree(self.root / str(pid))

    def use_clocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this the /proc of the caller's PID namespace, with CPU clocks for its processes."""
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
        # The thread of the sampler gets a PID from this kernel, not from the real one.
        monkeypatch.setattr(new_pids, "run_empty_thread", self.fork)

    def _end_open_files_with_their_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make open files of an exited process unreadable, as in a real /proc (proc(5))."""
        real = os.pread

        def pread(fd: int, size: int, offset: int) -> bytes:
            if os.fstat(fd).st_nlink == 0:
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
            return real(fd, size, offset)

        monkeypatch.setattr(os, "pread", pread)
