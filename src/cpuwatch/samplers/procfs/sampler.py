"""The Linux backend: /proc and the CPU clocks."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.model import Host, MachineTimes, ProcessExit, ProcessTimes, Reading
from cpuwatch.samplers.present_cpus import present_cpus
from cpuwatch.samplers.procfs import cpu_clock as _cpu_clock
from cpuwatch.samplers.procfs.brief_thread import run_brief_thread
from cpuwatch.samplers.procfs.clock_sweep import ClockSweep
from cpuwatch.samplers.procfs.command_lines import CommandLineReader
from cpuwatch.samplers.procfs.exit_listener import ExitListener
from cpuwatch.samplers.procfs.machine_files import KernelFiles, boot_id
from cpuwatch.samplers.procfs.new_pids import GivenPids
from cpuwatch.samplers.procfs.process_reader import Instant, ProcessReader
from cpuwatch.samplers.procfs.process_table import ProcessTable
from cpuwatch.samplers.procfs.stat_sweep import StatSweep
from cpuwatch.samplers.procfs.swept import Swept
from cpuwatch.samplers.procfs.visibility import Visibility
from cpuwatch.samplers.users import UserNames
from cpuwatch.samplers.wall_clock import WallClock

__all__ = ["ProcfsSampler"]

_log = logging.getLogger("cpuwatch.samplers")


class _Sweep(Protocol):
    backend: str
    resolution_seconds: float

    def prepare(self, forks: int | None, last_pid: int, *, some_can_appear: bool) -> None: ...

    def sweep(self, instant: Instant) -> Swept: ...


class ProcfsSampler:
    """Samples every process that ``root``, a mounted /proc, shows.

    Whether CPU clocks can be used is found out once, here (they speak of the caller's PID namespace, so not for a
    host's /proc that is mounted in a container); ``host.backend`` of a reading is ``procfs/clock`` or
    ``procfs/stat`` accordingly.
    ``command_lines`` are read only if asked for. Raises :class:`SamplerUnavailableError` if ``root`` has no usable
    ``stat``.
    """

    def __init__(self, root: str | os.PathLike[str] = "/proc", *, command_lines: bool = False) -> None:
        self._root = Path(root)
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        self._users = UserNames()
        self._reader = ProcessReader(
            self._root, self._tick_ns, self._users, CommandLineReader() if command_lines else None
        )
        self._table = ProcessTable()
        self._wall_clock = WallClock()
        self._present_cpus = present_cpus()
        self._has_read = False
        self._exits: ExitListener | None = None
        self._held_exits: list[ProcessExit] = []
        self._kernel = KernelFiles(self._root, self._tick_ns)
        self._boot_id = boot_id(self._root)
        self._visibility = Visibility(self._root)
        self._sweep: _Sweep
        self._exited_names = "unavailable: this /proc is of another PID namespace"
        if _cpu_clock.speaks_for(self._root, self._tick_ns):
            self._sweep = ClockSweep(self._table, self._list_pids, self._reader, self._given_pids())
            self._listen()
        else:
            self._sweep = StatSweep(self._table, self._root, self._list_pids, self._reader, self._tick_ns)

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
        kernel = self._kernel.stat()
        load = self._kernel.load()
        hidden = self._visibility.hidden()
        self._sweep.prepare(
            kernel.forks, 0 if load is None else load.last_pid, some_can_appear=self._visibility.can_appear
        )
        instant = Instant(
            time=datetime.now(UTC),
            monotonic_ns=time.monotonic_ns(),
            uptime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )
        self._wall_clock.follow(self._table)
        swept = self._sweep.sweep(instant)
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
            machine=MachineTimes(kernel.total, kernel.per_cpu, None if load is None else load.average),
            processes=swept.processes,
            start_resolution_ns=self._tick_ns,
            unreadable=dict(swept.unreadable),
            hidden=hidden,
            exits=self._ended(swept.processes),
            exited_names=self._exited_names,
            lost_exits=0 if self._exits is None else self._exits.lost,
            unexpected_messages=0 if self._exits is None else self._exits.unexpected,
            present_cpus=self._present_cpus,
            hidden_parents=swept.hidden_parents,
        )

    def close(self) -> None:
        """Close the files that are held open, and stop listening."""
        if self._exits is not None:
            self._exits.close()
        self._reader.close()
        self._kernel.close()
        self._users.close()

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
        """None if the last PID is unknown or not of our namespace: a container may be shown its host's loadavg (lxcfs).

        A thread of our own tells; to the kernel it is a fork as well, so it also moves the count, if that is one.
        """
        load = self._kernel.load()
        if load is None:
            return None
        before = load.last_pid
        given = GivenPids(self._kernel.stat().forks, before)
        thread_id = run_brief_thread()
        load = self._kernel.load()
        if thread_id is None or load is None:
            return None
        after = load.last_pid
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

    def _list_pids(self) -> list[int]:
        return [int(name) for name in os.listdir(self._root) if name.isdigit()]
