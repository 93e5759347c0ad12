"""The Linux backend: /proc and the CPU clocks."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.model import Host, MachineTimes, ProcessExit, ProcessTimes, Reading
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._brief_thread import run_brief_thread
from cpuwatch.samplers._clock_sweep import ClockSweep
from cpuwatch.samplers._command_lines import CommandLineReader
from cpuwatch.samplers._exit_listener import ExitListener
from cpuwatch.samplers._given_pids import GivenPids
from cpuwatch.samplers._proc_text import KernelLoad, KernelStat, parse_kernel_load, parse_kernel_stat
from cpuwatch.samplers._process_reader import Instant, ProcessReader
from cpuwatch.samplers._stat_sweep import StatSweep
from cpuwatch.samplers._users import UserNames

__all__ = ["ProcfsSampler"]

_log = logging.getLogger("cpuwatch.samplers")


class _Sweep(Protocol):
    backend: str
    resolution_seconds: float

    def prepare(self, forks: int | None, last_pid: int) -> None: ...

    def sweep(self, instant: Instant) -> tuple[dict[int, ProcessTimes], Counter[str]]: ...


class ProcfsSampler:
    """Samples every process that ``root``, a mounted /proc, shows.

    Whether CPU clocks can be used is found out once, here (they speak of the caller's PID namespace, so not for a
    host's /proc that is mounted in a container); ``host.backend`` of a reading is ``procfs/clock`` or
    ``procfs/stat`` accordingly.
    ``command_lines`` are read only if asked for. Raises :class:`SamplerUnavailableError` if ``root`` is no /proc.
    """

    def __init__(self, root: str | os.PathLike[str] = "/proc", *, command_lines: bool = False) -> None:
        self._root = Path(root)
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        self._users = UserNames()
        self._reader = ProcessReader(
            self._root, self._tick_ns, self._users, CommandLineReader() if command_lines else None
        )
        self._stat_bytes = 16_384
        self._has_read = False
        self._files: list[int] = []
        self._exits: ExitListener | None = None
        self._held_exits: list[ProcessExit] = []
        try:
            # Held open: read once a tick, and still there when descriptors have run out.
            self._stat = self._open("stat")
            self._loadavg = self._open("loadavg")
            self._boot_id = (self._root / "sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError as error:
            self.close()
            raise SamplerUnavailableError(
                f"{self._root} is no /proc of Linux: {error.strerror} ({error.filename})"
            ) from error
        self._sweep: _Sweep
        self._exited_names = "unavailable: this /proc is of another PID namespace"
        if _cpu_clock.speaks_for(self._root, self._tick_ns):
            self._sweep = ClockSweep(self._list_pids, self._reader, self._given_pids())
            self._listen()
        else:
            self._sweep = StatSweep(self._list_pids, self._reader, self._tick_ns)

    def read(self) -> Reading:
        """Read the machine and every process now."""
        if not self._has_read:
            # All processes are new to the first sweep, and reading thousands takes up to a second. Clocks read that far
            # apart are of no one instant; the second sweep takes milliseconds.
            self._has_read = True
            self._read()
        return self._read()

    def _read(self) -> Reading:
        started_ns = time.monotonic_ns()
        kernel = self._kernel_stat()
        load = self._kernel_load()
        self._sweep.prepare(kernel.forks, load.last_pid)
        instant = Instant(
            time=datetime.now(UTC),
            monotonic_ns=time.monotonic_ns(),
            uptime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )
        processes, unreadable = self._sweep.sweep(instant)
        return Reading(
            time=instant.time,
            monotonic_ns=instant.monotonic_ns,
            uptime_ns=instant.uptime_ns,
            sweep_ns=time.monotonic_ns() - started_ns,
            host=Host(
                name=os.uname().nodename,
                boot_id=self._boot_id,
                logical_cpus=len(kernel.per_cpu) or 1,
                backend=self._sweep.backend,
                clock_resolution_seconds=self._sweep.resolution_seconds,
            ),
            machine=MachineTimes(kernel.total, kernel.per_cpu, load.average),
            processes=processes,
            start_resolution_ns=self._tick_ns,
            unreadable=dict(unreadable),
            exits=self._ended(processes),
            exited_names=self._exited_names,
            lost_exits=0 if self._exits is None else self._exits.lost,
        )

    def close(self) -> None:
        """Close the files that are held open, and stop listening."""
        if self._exits is not None:
            self._exits.close()
        self._reader.close()
        self._users.close()
        while self._files:
            os.close(self._files.pop())

    def _ended(self, processes: dict[int, ProcessTimes]) -> list[ProcessExit]:
        """The exits that belong to this reading.

        One whose process is still listed (a zombie, or it ended after its clock was read) shows its time there, and is
        held back until it has gone; but once only for one that is no zombie, for it may have left its PID to another.
        """
        if self._exits is None:
            return []
        ended, held = [], []
        for end in [*self._held_exits, *self._exits.take()]:
            listed = processes.get(end.pid)
            if listed is not None and (listed.state == "Z" or end not in self._held_exits):
                held.append(end)
            else:
                ended.append(end)
        self._held_exits = held
        return ended

    def _given_pids(self) -> GivenPids | None:
        """None if the last PID is not one of our namespace: a container may be shown its host's loadavg (lxcfs).

        A thread of our own tells; to the kernel it is a fork as well, so it also moves the count, if that is one.
        """
        before = self._kernel_load().last_pid
        given = GivenPids(self._kernel_stat().forks, before)
        thread_id = run_brief_thread()
        after = self._kernel_load().last_pid
        if thread_id is None:
            return None
        # Where the circle began anew between the two, what was given out is all but what lies between them.
        ours = before < thread_id <= after if before <= after else not after < thread_id <= before
        return given if ours else None

    def _listen(self) -> None:
        try:
            self._exits = ExitListener(self._users)
        except SamplerUnavailableError as error:
            self._exited_names = f"unavailable: {error}"
            _log.info("no names of ended processes: %s", error)
        else:
            self._exited_names = "taskstats"

    def _open(self, name: str) -> int:
        fd = os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)
        self._files.append(fd)
        return fd

    def _kernel_stat(self) -> KernelStat:
        # Its length grows with the CPUs and interrupts of the machine. It is made anew at each read(2), and comes whole
        # if there is room for it: to ask at its end whether that was all would make the kernel write it twice.
        size = self._stat_bytes
        while len(data := os.pread(self._stat, size, 0)) == size:
            size *= 2
        self._stat_bytes = size
        return parse_kernel_stat(data, self._tick_ns)

    def _kernel_load(self) -> KernelLoad:
        return parse_kernel_load(os.pread(self._loadavg, 256, 0))

    def _list_pids(self) -> list[int]:
        return [int(name) for name in os.listdir(self._root) if name.isdigit()]
