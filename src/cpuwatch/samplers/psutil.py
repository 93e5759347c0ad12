"""The sampler for all other systems, on psutil: more expensive, and in the ticks of the platform."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from msgspec.structs import replace

from cpuwatch.model import CpuTimes, Host, MachineTimes, PidNamespace, ProcessTimes, Reading
from cpuwatch.redact import masked_command_line
from cpuwatch.samplers.process_table import ProcessTable
from cpuwatch.samplers.procfs.machine_files import MachineFiles, boot_id, present_cpus
from cpuwatch.samplers.procfs.pid_namespace import read_pid_namespace
from cpuwatch.samplers.procfs.visibility import Visibility
from cpuwatch.samplers.reconciliation import Reconciler, UnreadableError
from cpuwatch.samplers.reread_schedule import (
    COMMAND_LINES_BUDGET_NS,
    MAX_COMMAND_LINES_PER_READING,
    PidQueue,
    RereadSchedule,
)
from cpuwatch.samplers.wall_clock import WallClock
from cpuwatch.text import text_from_locale

if TYPE_CHECKING:
    from cpuwatch.samplers.users import UserNames

__all__ = ["PsutilSampler"]

# psutil spells states out; these are the letters of ps(1).
_STATE_LETTERS = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_DEAD: "X",
    psutil.STATUS_WAKING: "W",
    psutil.STATUS_IDLE: "I",
    psutil.STATUS_PARKED: "P",
}

_PROC = Path("/proc")

_WINDOWS_TICK_SECONDS = 1 / 64


class PsutilSampler:
    """Samples every process that psutil lists.

    ``psutil.process_iter`` returns a cached Process for a reused PID. So each process is checked *after* it was read,
    with ``is_running``, which compares start times on a clock that does not jump. ``command_lines`` also reads command
    lines. On Linux this raises :class:`SamplerUnavailableError` if there is no usable ``/proc/stat``.
    """

    def __init__(self, *, command_lines: bool = False) -> None:
        self._schedule = RereadSchedule() if command_lines else None
        self._command_line_queue = PidQueue()
        self._table = ProcessTable()
        self._processes: dict[int, psutil.Process] = {}
        self._wall_clock = WallClock()
        self._present_cpus = present_cpus() if sys.platform == "linux" else None
        self._resolution_seconds = _resolution_seconds()
        self._users = _user_names()
        self._visibility = Visibility(_PROC) if sys.platform == "linux" else None
        self._boot_id = _boot_id()
        if sys.platform == "linux":
            # psutil parses this file without checks, and fails in many ways if it is masked.
            MachineFiles(_PROC, round(self._resolution_seconds * 1e9)).close()

    def read(self) -> Reading:
        """Read the counters of the machine and of every process."""
        started_ns = time.monotonic_ns()
        machine = _machine_times()
        now = datetime.now(UTC)
        monotonic_ns = time.monotonic_ns()
        boot_time = psutil.boot_time()
        if sys.platform == "linux":
            self._wall_clock.follow(self._table)

        def read(pid: int, known: ProcessTimes | None) -> ProcessTimes | None:
            return self._read_process(pid, known, now, boot_time)

        reconciler = Reconciler(
            self._table, lambda known: read(known.pid, known), lambda pid: not psutil.pid_exists(pid)
        )
        unreadable = reconciler.read_all(psutil.pids(), read)
        processes = self._table.copy()
        self._processes = {pid: process for pid, process in self._processes.items() if pid in processes}
        for record in self._reread(processes):
            self._table.put(record)
            processes[record.pid] = record
        return Reading(
            time=now,
            monotonic_ns=monotonic_ns,
            uptime_ns=_uptime_ns(now, boot_time),
            sweep_ns=time.monotonic_ns() - started_ns,
            host=Host(
                name=platform.node(),
                boot_id=self._boot_id,
                logical_cpus=len(machine.per_cpu) or 1,
                backend="psutil",
                clock_resolution_seconds=self._resolution_seconds,
            ),
            machine=machine,
            processes=processes,
            start_resolution_ns=round(self._resolution_seconds * 1e9),
            unreadable=dict(unreadable),
            present_cpus=self._present_cpus,
            hidden_parents=reconciler.hidden_parents(),
            hidden=[] if self._visibility is None else self._visibility.hidden(),
        )

    def close(self) -> None:
        """Forget all processes."""
        self._processes.clear()
        if self._users is not None:
            self._users.close()

    def _read_process(
        self, pid: int, known: ProcessTimes | None, now: datetime, boot_time: float
    ) -> ProcessTimes | None:
        """The process with this PID; None if it has exited. Raises :class:`UnreadableError` if access is denied."""
        try:
            record = None if known is None else self._read_known(known, now, boot_time)
            return record or self._read_new(pid, now, boot_time)
        except psutil.NoSuchProcess:
            return None
        except (psutil.Error, PermissionError) as error:
            raise UnreadableError(type(error).__name__) from error

    def _read_known(self, known: ProcessTimes, now: datetime, boot_time: float) -> ProcessTimes | None:
        """The new record of a known process; None if it has exited, even if another process has its PID now."""
        process = self._processes[known.pid]
        with suppress(psutil.NoSuchProcess):
            record = self._record(process, known, now, boot_time)
            if process.is_running():
                self._queue_command_line(known, record)
                return record
        return None

    def _queue_command_line(self, known: ProcessTimes, record: ProcessTimes) -> None:
        if self._schedule is None:
            return
        if record.name != known.name:
            # A new name usually means a new program.
            self._command_line_queue.prepend(record.pid)
        elif record.cpu_ns != known.cpu_ns:
            self._command_line_queue.append(record.pid)

    def _read_new(self, pid: int, now: datetime, boot_time: float) -> ProcessTimes:
        process = psutil.Process(pid)
        record = self._record(process, None, now, boot_time)
        if not process.is_running():
            raise psutil.NoSuchProcess(pid)
        self._processes[pid] = process
        if self._schedule is not None:
            self._schedule.add_new(pid)
        return record

    def _record(
        self, process: psutil.Process, before: ProcessTimes | None, now: datetime, boot_time: float
    ) -> ProcessTimes:
        with process.oneshot():
            created = process.create_time()
            user_id, user = self._user(process)
            name = text_from_locale(process.name())
            times: Any = process.cpu_times()
            children = getattr(times, "children_user", None)
            return ProcessTimes(
                pid=process.pid,
                # The start time must not move with the wall clock, so the first value stays.
                key=before.key if before else f"{process.pid}-{round(created * 1000)}",
                start_ns=before.start_ns if before else round((created - boot_time) * 1e9),
                start_time=before.start_time if before else datetime.fromtimestamp(created, UTC),
                first_seen=before.first_seen if before else now,
                ppid=process.ppid(),
                name=name,
                user=user,
                state=_STATE_LETTERS.get(process.status()),
                threads=process.num_threads(),
                cpu_ns=_ns(times.user) + _ns(times.system),
                user_ns=_ns(times.user),
                system_ns=_ns(times.system),
                children_ns=None if children is None else _ns(children) + _ns(times.children_system),
                pid_namespace=before.pid_namespace if before else _pid_namespace(process.pid),
                command_line=before.command_line if before else self._command_line(process),
                user_id=user_id,
            )

    def _reread(self, processes: Mapping[int, ProcessTimes]) -> Iterator[ProcessTimes]:
        """Refresh user names, and yield new records of processes whose command line changed."""
        if self._users is not None:
            # The next reading reads all processes, and they get the new names then.
            self._users.refresh(lambda: {record.user_id for record in processes.values()})
        if self._schedule is None:
            return
        for pid in self._schedule.due(processes):
            self._command_line_queue.append(pid)
        for pid in self._command_line_queue.pop_for(COMMAND_LINES_BUDGET_NS, MAX_COMMAND_LINES_PER_READING, processes):
            process, record = self._processes[pid], processes[pid]
            # A process that has exited keeps its record.
            with suppress(psutil.NoSuchProcess):
                command_line = self._command_line(process)
                if command_line != record.command_line and process.is_running():
                    yield replace(record, command_line=command_line)

    def _user(self, process: psutil.Process) -> tuple[int | None, str | None]:
        if self._users is not None:
            user_id = process.uids().effective
            return user_id, self._users[user_id]
        try:
            return None, process.username()
        except psutil.AccessDenied:
            return None, None

    def _command_line(self, process: psutil.Process) -> str | None:
        if self._schedule is None:
            return None
        try:
            arguments = process.cmdline()
        except (psutil.AccessDenied, psutil.ZombieProcess):
            return None
        return masked_command_line([text_from_locale(text) for text in arguments]) or None


def _pid_namespace(pid: int) -> PidNamespace | None:
    return read_pid_namespace(f"{psutil.PROCFS_PATH}/{pid}") if sys.platform == "linux" else None


def _user_names() -> UserNames | None:
    """None on systems without user IDs."""
    if os.name != "posix":
        return None
    # It needs the module pwd, which Windows does not have.
    from cpuwatch.samplers.users import UserNames  # noqa: PLC0415

    return UserNames()


def _machine_times() -> MachineTimes:
    per_cpu = {cpu: _cpu_times(times) for cpu, times in enumerate(psutil.cpu_times(percpu=True))}
    try:
        load_average = psutil.getloadavg()
    except OSError:
        load_average = None
    return MachineTimes(_cpu_times(psutil.cpu_times()), per_cpu, load_average)


def _cpu_times(times: Any) -> CpuTimes:
    """Convert a named tuple of psutil, whose fields depend on the platform."""

    def added(*fields: str) -> int | None:
        counted = [_ns(getattr(times, field)) for field in fields if hasattr(times, field)]
        return sum(counted) if counted else None

    return CpuTimes(
        user_ns=added("user", "nice") or 0,
        system_ns=added("system") or 0,
        idle_ns=added("idle") or 0,
        iowait_ns=added("iowait"),
        irq_ns=added("irq", "softirq", "interrupt", "dpc"),
        steal_ns=added("steal"),
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _uptime_ns(now: datetime, boot_time: float) -> int:
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return round((now.timestamp() - boot_time) * 1e9)


def _resolution_seconds() -> float:
    """The step of a process's CPU times. The step of start times is never larger."""
    if sys.platform == "win32":
        return _WINDOWS_TICK_SECONDS
    if sys.platform == "darwin":
        return 1e-6
    return 1 / os.sysconf("SC_CLK_TCK")


def _boot_id() -> str:
    return boot_id(_PROC) if sys.platform == "linux" else f"boot-{psutil.boot_time():.0f}"
