"""The backend for every other system, on psutil: dearer, and in the steps of the platform's ticks."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from msgspec.structs import replace

from cpuwatch.model import CpuTimes, Host, MachineTimes, PidNamespace, ProcessTimes, Reading
from cpuwatch.redact import masked_command_line
from cpuwatch.samplers.present_cpus import present_cpus
from cpuwatch.samplers.procfs.machine_files import KernelFiles, boot_id
from cpuwatch.samplers.procfs.pid_namespace import read_pid_namespace
from cpuwatch.samplers.procfs.process_table import ProcessTable
from cpuwatch.samplers.procfs.rota import MAX_COMMAND_LINES, MAX_COMMAND_LINES_NS, Rota, Turns
from cpuwatch.samplers.procfs.visibility import Visibility
from cpuwatch.samplers.settling import Settling
from cpuwatch.samplers.wall_clock import WallClock
from cpuwatch.text import text_from_locale

if TYPE_CHECKING:
    from cpuwatch.samplers.users import UserNames

__all__ = ["PsutilSampler"]

# psutil names states in words; these are the letters of ps(1) for them.
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

    Identity is ours: ``psutil.process_iter`` hands back a cached Process for a reused PID, so each one is compared
    with what runs under its PID *after* it was read (``is_running``, which compares start times on a clock that
    does not jump). ``command_lines`` are read only if asked for. Raises :class:`SamplerUnavailableError` if
    there is no usable ``/proc/stat`` on Linux.
    """

    def __init__(self, *, command_lines: bool = False) -> None:
        self._rota = Rota() if command_lines else None
        self._command_line_turns = Turns()
        self._table = ProcessTable()
        self._processes: dict[int, psutil.Process] = {}
        self._wall_clock = WallClock()
        self._present_cpus = present_cpus() if sys.platform == "linux" else None
        self._resolution_seconds = _resolution_seconds()
        self._users = _user_names()
        self._visibility = Visibility(_PROC) if sys.platform == "linux" else None
        self._boot_id = _boot_id()
        if sys.platform == "linux":
            # psutil reads the same file, parses it without checks, and fails in many ways where it is masked.
            KernelFiles(_PROC, round(self._resolution_seconds * 1e9)).close()

    def read(self) -> Reading:
        """Read the machine and every process now."""
        started_ns = time.monotonic_ns()
        machine = _machine_times()
        now = datetime.now(UTC)
        monotonic_ns = time.monotonic_ns()
        boot_time = psutil.boot_time()
        if sys.platform == "linux":
            self._wall_clock.follow(self._table)
        unreadable: Counter[str] = Counter()
        settling = Settling(
            self._table,
            lambda known: self._read_process(known.pid, now, boot_time),
            lambda pid: not psutil.pid_exists(pid),
        )
        before = self._table.copy()
        listed = psutil.pids()
        # What had ended by then was waited for before any of the others is read.
        for pid in self._table.pids().difference(listed):
            settling.note(pid, None, ended_meanwhile=False)
        for pid in listed:
            try:
                record = self._read_process(pid, now, boot_time)
            except PermissionError as error:
                unreadable[str(error)] += 1
                self._table.remove(pid)
                continue
            settling.note(pid, record, ended_meanwhile=True)
        settling.settle()
        processes = self._table.copy()
        self._processes = {pid: process for pid, process in self._processes.items() if pid in processes}
        for record in self._renewed(before, processes):
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
            hidden_parents=settling.hidden_parents(),
            hidden=[] if self._visibility is None else self._visibility.hidden(),
        )

    def close(self) -> None:
        """Forget the processes."""
        self._processes.clear()
        if self._users is not None:
            self._users.close()

    def _read_process(self, pid: int, now: datetime, boot_time: float) -> ProcessTimes | None:
        """The process under this PID; None if it vanished. Raises ``PermissionError`` if it may not be read."""
        try:
            return self._read_known(pid, now, boot_time) or self._read_new(pid, now, boot_time)
        except psutil.NoSuchProcess:
            return None
        except psutil.Error as error:
            raise PermissionError(type(error).__name__) from error

    def _read_known(self, pid: int, now: datetime, boot_time: float) -> ProcessTimes | None:
        before = self._table.get(pid)
        if before is None:
            return None
        process = self._processes[pid]
        # If the PID has another holder by now, this one says that there is no such process.
        with suppress(psutil.NoSuchProcess):
            record = self._record(process, before, now, boot_time)
            if process.is_running():
                return before if before == record else record
        return None

    def _read_new(self, pid: int, now: datetime, boot_time: float) -> ProcessTimes:
        process = psutil.Process(pid)
        record = self._record(process, None, now, boot_time)
        if not process.is_running():
            raise psutil.NoSuchProcess(pid)
        self._processes[pid] = process
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
                # What is shown as start must not move with the wall clock, so it stays as it was seen first.
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

    def _renewed(
        self, earlier: Mapping[int, ProcessTimes], processes: Mapping[int, ProcessTimes]
    ) -> Iterator[ProcessTimes]:
        """Bring user names up to date, and give new records for those whose command line is another."""
        if self._users is not None:
            # All processes are read each time, and get the new names then.
            self._users.refresh(lambda: {record.user_id for record in processes.values()})
        if self._rota is None:
            return
        for pid, record in processes.items():
            before = earlier.get(pid)
            if before is None or before.key != record.key:
                self._rota.add_new(pid)
            elif before.name != record.name:
                self._command_line_turns.add_first(pid)
            elif before.cpu_ns != record.cpu_ns:
                self._command_line_turns.add(pid)
        for pid in self._rota.take(processes):
            self._command_line_turns.add(pid)
        for pid in self._command_line_turns.take_for(MAX_COMMAND_LINES_NS, MAX_COMMAND_LINES, processes):
            process, record = self._processes[pid], processes[pid]
            # A process that has gone keeps what was known of it.
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
        if self._rota is None:
            return None
        try:
            arguments = process.cmdline()
        except (psutil.AccessDenied, psutil.ZombieProcess):
            return None
        return masked_command_line([text_from_locale(text) for text in arguments]) or None


def _pid_namespace(pid: int) -> PidNamespace | None:
    return read_pid_namespace(f"{psutil.PROCFS_PATH}/{pid}") if sys.platform == "linux" else None


def _user_names() -> UserNames | None:
    """None where users have no numbers."""
    if os.name != "posix":
        return None
    # The module behind it, pwd, is not there on Windows.
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
    """The CPU times in a named tuple of psutil, whose fields differ from platform to platform."""

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
    """The step of a process's CPU times; start times have none that is coarser."""
    if sys.platform == "win32":
        return _WINDOWS_TICK_SECONDS
    if sys.platform == "darwin":
        return 1e-6
    return 1 / os.sysconf("SC_CLK_TCK")


def _boot_id() -> str:
    return boot_id(_PROC) if sys.platform == "linux" else f"boot-{psutil.boot_time():.0f}"
