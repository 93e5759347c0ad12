"""The Linux sampler: /proc and the CPU clocks."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.model import Host, MachineTimes, ProcessExit, ProcessTimes, Reading
from cpuwatch.samplers.process_table import ProcessTable
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts
from cpuwatch.samplers.procfs.cgroup_table import CgroupTable
from cpuwatch.samplers.procfs.clock_sweep import ClockSweep
from cpuwatch.samplers.procfs.command_lines import CommandLineReader
from cpuwatch.samplers.procfs.container_names import ContainerNames
from cpuwatch.samplers.procfs.exit_listener import ExitListener
from cpuwatch.samplers.procfs.machine_files import MachineFiles, boot_id, present_cpus
from cpuwatch.samplers.procfs.new_pids import new_pids_if_countable
from cpuwatch.samplers.procfs.process_reader import ProcessReader
from cpuwatch.samplers.procfs.stat_sweep import StatSweep
from cpuwatch.samplers.procfs.sweep import Instant, Sweep
from cpuwatch.samplers.procfs.visibility import Visibility
from cpuwatch.samplers.users import UserNames
from cpuwatch.samplers.wall_clock import WallClock

__all__ = ["ProcfsSampler"]

_log = logging.getLogger("cpuwatch.samplers")


class ProcfsSampler:
    """Samples every process that is visible in ``root``, a mounted /proc.

    CPU clocks belong to the caller's PID namespace, so they cannot be used with, say, a host's /proc that is mounted in
    a container. The constructor checks that once; ``host.backend`` of a reading is then ``procfs/clock`` or
    ``procfs/stat``.
    ``command_lines`` also reads command lines. Raises :class:`SamplerUnavailableError` if ``root`` has no usable
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
        self._machine = MachineFiles(self._root, self._tick_ns)
        self._boot_id = boot_id(self._root)
        self._visibility = Visibility(self._root)
        self._cgroups = CgroupTable(CgroupMounts.find(), ContainerNames().name_of)
        self._sweep: Sweep
        self._exited_names = "unavailable: this /proc is of another PID namespace"
        if cpu_clock.is_usable(self._root, self._tick_ns):
            self._sweep = ClockSweep(self._table, self._list_pids, self._reader, new_pids_if_countable(self._machine))
            self._listen()
        else:
            self._sweep = StatSweep(self._table, self._root, self._list_pids, self._reader, self._tick_ns)

    def read(self) -> Reading:
        """Read the counters of the machine and of every process."""
        if not self._has_read:
            # To the first sweep all processes are new, and reading thousands takes up to a second, so its clocks do not
            # belong to one instant. The second sweep takes milliseconds.
            self._has_read = True
            first = self._read()
            second = self._read()
            return replace(second, exits=[*first.exits, *second.exits])
        return self._read()

    def _read(self) -> Reading:
        started_ns = time.monotonic_ns()
        stat = self._machine.stat()
        load = self._machine.load()
        hidden = self._visibility.hidden()
        self._sweep.find_new(
            stat.forks, 0 if load is None else load.last_pid, hidden_can_appear=self._visibility.hidden_can_appear
        )
        instant = Instant(
            time=datetime.now(UTC),
            monotonic_ns=time.monotonic_ns(),
            uptime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )
        pressure_ns = self._machine.pressure_ns()
        self._wall_clock.follow(self._table)
        result = self._sweep.sweep(instant)
        return Reading(
            time=instant.time,
            monotonic_ns=instant.monotonic_ns,
            uptime_ns=instant.uptime_ns,
            sweep_ns=_whole_microseconds(time.monotonic_ns() - started_ns),
            host=Host(
                name=os.uname().nodename,
                boot_id=self._boot_id,
                logical_cpus=len(stat.per_cpu) or 1,
                backend=self._sweep.backend,
                clock_resolution_seconds=self._sweep.resolution_seconds,
            ),
            machine=MachineTimes(stat.total, stat.per_cpu, None if load is None else load.average, pressure_ns),
            processes=result.processes,
            start_resolution_ns=self._tick_ns,
            unreadable=dict(result.unreadable),
            hidden=hidden,
            exits=self._exits_of(result.processes),
            exited_names=self._exited_names,
            lost_exits=0 if self._exits is None else self._exits.lost,
            unexpected_messages=0 if self._exits is None else self._exits.unexpected,
            present_cpus=self._present_cpus,
            hidden_parents=result.hidden_parents,
            cgroups=self._cgroups.read(result.active, result.exited),
        )

    def close(self) -> None:
        """Close all files and stop listening for exits."""
        if self._exits is not None:
            self._exits.close()
        self._reader.close()
        self._cgroups.close()
        self._machine.close()
        self._users.close()

    def _exits_of(self, processes: dict[int, ProcessTimes]) -> list[ProcessExit]:
        """The exits that belong to this reading.

        A process that is still listed is a zombie, or exited after its clock was read. Its CPU time is in its own
        record, so its exit is held back until it is gone. If it is no zombie, the exit is held back only once, because
        another process may have its PID by then.
        """
        if self._exits is None:
            return []
        exits, held = [], []
        for exit_ in [*self._held_exits, *self._exits.receive()]:
            listed = processes.get(exit_.pid)
            if listed is not None and (listed.state == "Z" or exit_ not in self._held_exits):
                held.append(exit_)
            else:
                exits.append(exit_)
        self._held_exits = held
        return exits

    def _listen(self) -> None:
        try:
            self._exits = ExitListener(self._users)
        except SamplerUnavailableError as error:
            self._exited_names = f"unavailable: {error}"
            _log.info("no names of exited processes: %s", error)
        else:
            self._exited_names = "taskstats"

    def _list_pids(self) -> list[int]:
        return [int(name) for name in os.listdir(self._root) if name.isdigit()]


def _whole_microseconds(duration_ns: int) -> int:
    """Rounded up, because it bounds how far counters can be off. A recording would keep the noise of nanoseconds."""
    return -(-duration_ns // 1000) * 1000
