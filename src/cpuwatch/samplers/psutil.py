"""The backend for every other system, on psutil: dearer, and in the steps of the platform's ticks."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from msgspec.structs import replace

from cpuwatch.command_line import masked_command_line
from cpuwatch.model import CpuTimes, Host, MachineTimes, ProcessTimes, Reading
from cpuwatch.samplers import _kernel_text
from cpuwatch.samplers._rota import MAX_COMMAND_LINES, MAX_COMMAND_LINES_NS, Rota, Turns

if TYPE_CHECKING:
    from cpuwatch.samplers._users import UserNames

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

_WINDOWS_TICK_SECONDS = 1 / 64


class PsutilSampler:
    """Samples every process that psutil lists.

    Identity is ours: ``psutil.process_iter`` hands back a cached Process for a reused PID, so each one is compared
    with what runs under its PID *after* it was read (``is_running``, which compares start times on a clock that
    does not jump). ``command_lines`` are read only if asked for.
    """

    def __init__(self, *, command_lines: bool = False) -> None:
        self._rota = Rota() if command_lines else None
        self._command_line_turns = Turns()
        self._known: dict[int, tuple[psutil.Process, ProcessTimes]] = {}
        self._resolution_seconds = _resolution_seconds()
        self._boot_id = _boot_id()
        self._users = _user_names()

    def read(self) -> Reading:
        """Read the machine and every process now."""
        started_ns = time.monotonic_ns()
        machine = _machine_times()
        now = datetime.now(UTC)
        monotonic_ns = time.monotonic_ns()
        boot_time = psutil.boot_time()
        known: dict[int, tuple[psutil.Process, ProcessTimes]] = {}
        unreadable: Counter[str] = Counter()
        for pid in psutil.pids():
            try:
                known[pid] = self._read_process(pid, now, boot_time)
            except psutil.NoSuchProcess:
                continue
            except psutil.Error as error:
                unreadable[type(error).__name__] += 1
        self._renew(known)
        self._known = known
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
            processes={pid: record for pid, (_, record) in known.items()},
            start_resolution_ns=round(self._resolution_seconds * 1e9),
            unreadable=dict(unreadable),
        )

    def close(self) -> None:
        """Forget the processes."""
        self._known.clear()
        if self._users is not None:
            self._users.close()

    def _read_process(self, pid: int, now: datetime, boot_time: float) -> tuple[psutil.Process, ProcessTimes]:
        if pid in self._known:
            process, before = self._known[pid]
            # If the PID has another holder by now, this one says that there is no such process.
            with suppress(psutil.NoSuchProcess):
                record = self._record(process, before, now, boot_time)
                if process.is_running():
                    return process, before if before == record else record
        process = psutil.Process(pid)
        record = self._record(process, None, now, boot_time)
        if not process.is_running():
            raise psutil.NoSuchProcess(pid)
        return process, record

    def _record(
        self, process: psutil.Process, before: ProcessTimes | None, now: datetime, boot_time: float
    ) -> ProcessTimes:
        with process.oneshot():
            created = process.create_time()
            user_id, user = self._user(process)
            name = _kernel_text.from_surrogates(process.name())
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
                command_line=before.command_line if before else self._command_line(process),
                user_id=user_id,
            )

    def _renew(self, known: dict[int, tuple[psutil.Process, ProcessTimes]]) -> None:
        """Bring user names up to date, and the command lines of those whose turn it is."""
        if self._users is not None:
            # All processes are read each time, and get the new names then.
            self._users.refresh(lambda: {record.user_id for _, record in known.values()})
        if self._rota is None:
            return
        for pid, (_, record) in known.items():
            before = self._known[pid][1] if pid in self._known else None
            if before is None or before.key != record.key:
                self._rota.add_new(pid)
            elif before.name != record.name:
                self._command_line_turns.add_first(pid)
            elif before.cpu_ns != record.cpu_ns:
                self._command_line_turns.add(pid)
        for pid in self._rota.take(known):
            self._command_line_turns.add(pid)
        for pid in self._command_line_turns.take_for(MAX_COMMAND_LINES_NS, MAX_COMMAND_LINES, known):
            process, record = known[pid]
            # A process that has gone keeps what was known of it.
            with suppress(psutil.NoSuchProcess):
                command_line = self._command_line(process)
                if command_line != record.command_line and process.is_running():
                    known[pid] = process, replace(record, command_line=command_line)

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
        return masked_command_line([_kernel_text.from_surrogates(text) for text in arguments]) or None


def _user_names() -> UserNames | None:
    """None where users have no numbers."""
    if os.name != "posix":
        return None
    # The module behind it, pwd, is not there on Windows.
    from cpuwatch.samplers._users import UserNames  # noqa: PLC0415

    return UserNames()


def _machine_times() -> MachineTimes:
    per_cpu = {cpu: _cpu_times(times) for cpu, times in enumerate(psutil.cpu_times(percpu=True))}
    return MachineTimes(_cpu_times(psutil.cpu_times()), per_cpu, psutil.getloadavg())


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
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"boot-{psutil.boot_time():.0f}"
