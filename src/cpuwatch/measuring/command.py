"""Runs a command and counts the CPU time of its whole tree of processes, orphans included.

The total is exact, whatever the readings miss: the kernel's sums for all children that were waited for, plus the clocks
of the descendants that still run. The kernel's task clock adds what nobody waited for, where it is permitted.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from cpuwatch.measuring.child import Child, adopt_orphans
from cpuwatch.measuring.cpus_over_time import CpusOverTime
from cpuwatch.measuring.descendants import Descendants
from cpuwatch.measuring.task_clock import TaskClock
from cpuwatch.measuring.total import TaskTime, Total, total_of
from cpuwatch.measuring.used import GroupUsed, groups_of
from cpuwatch.model import ProcessExit, ProcessTimes
from cpuwatch.query.cgroup_name import cgroup_name
from cpuwatch.samplers import OpenSampler, open_sampler
from cpuwatch.samplers.procfs.cpu_clock import GONE, read_one
from cpuwatch.samplers.procfs.parse import parse_process_stat

__all__ = ["GROUPS", "CommandUsed", "run_command"]

_MIN_INTERVAL_SECONDS = 0.1
_MAX_INTERVAL_SECONDS = 1.0
_MAX_SHARE = 0.02
"""The part of one CPU that readings may take."""

_GRAPH_COLUMNS = 60

GROUPS: dict[str, tuple[Callable[[ProcessTimes], str | None], Callable[[ProcessExit], str | None]]] = {
    "name": (lambda record: record.name, lambda exit_: exit_.name),
    "user": (lambda record: record.user, lambda exit_: exit_.user),
    "cgroup": (lambda record: None if record.cgroup is None else cgroup_name(record.cgroup), lambda _: None),
}
"""The group of a process, and of one of which only the exit is known."""


class CommandUsed(Struct, frozen=True, gc=False):
    """What a command and all its descendants used, from its start to its exit.

    ``own_seconds`` was used by the process of the command itself, ``alive_seconds`` by descendants that still run, and
    ``exited_seconds`` by the rest. ``unwaited_seconds`` was used by processes that no process waited for; with
    ``estimated`` it is only the part that readings saw. ``peak_cpus`` is over a second. ``exited_names`` names the
    source of the names of exited processes.
    """

    command: list[str]
    exit_code: int
    started: datetime
    elapsed_seconds: float
    cpu_seconds: float
    user_seconds: float
    system_seconds: float
    own_seconds: float
    exited_seconds: float
    alive_seconds: float
    unwaited_seconds: float
    estimated: bool
    mean_cpus: float
    peak_cpus: float
    cpus: list[float]
    group_by: str
    groups: list[GroupUsed]
    exited_names: str


def run_command(command: Sequence[str], group_by: str = "name") -> CommandUsed | OSError:
    """Run the command until it ends; returns the error if it cannot be executed.

    This process becomes the parent of orphaned descendants, and its signals go to the command until it ends.
    """
    adopt_orphans()
    with ExitStack() as stack:
        sampler = stack.enter_context(open_sampler())
        # The first reading takes far longer than the next ones. It would delay the look at a command that has ended.
        sampler.read()
        run = _Run(command, group_by, sampler, stack)
        return run.failure or run.measured()


class _Run:
    def __init__(self, command: Sequence[str], group_by: str, sampler: OpenSampler, stack: ExitStack) -> None:
        self._command = list(command)
        self._group_by = group_by
        self._sampler = sampler
        self._over_time = CpusOverTime()
        self._exited_names = ""
        self._task_time = TaskTime()
        self._own_ns = 0
        self._pause_seconds = 0.0
        self._child = Child(command, self._see_zombie)
        # What the child used as a copy of this process is not the command's.
        self._before_ns = max(0, read_one(self._child.pid))
        self._tree = Descendants(os.getpid(), *GROUPS[group_by], before_ns={self._child.pid: self._before_ns})
        try:
            self._task_clock: TaskClock | None = stack.enter_context(TaskClock(self._child.pid))
        except OSError:
            self._task_clock = None
        self._started = datetime.now(UTC)
        self._start_ns = time.monotonic_ns()
        self.failure = self._child.release()

    def measured(self) -> CommandUsed:
        """Wait for the command."""
        child = self._child
        next_reading = time.monotonic()
        while child.exit_code is None:
            left = next_reading - time.monotonic()
            if left > 0:
                child.wait(left)
            else:
                self._read()
                next_reading = time.monotonic() + self._pause_seconds
        elapsed = (time.monotonic_ns() - self._start_ns) / 1e9
        child.reap()
        self._read()
        return self._result(child.exit_code, elapsed)

    def _read(self) -> None:
        begin_ns = time.thread_time_ns()
        reading = self._sampler.read()
        self._tree.add(reading)
        self._exited_names = reading.exited_names
        if self._task_clock is not None:
            self._task_time.add(self._task_clock.read_ns(), reading.machine.total)
        self._over_time.add((reading.monotonic_ns - self._start_ns) / 1e9, self._total().seconds)
        pause_seconds = (time.thread_time_ns() - begin_ns) / 1e9 / _MAX_SHARE
        self._pause_seconds = min(max(pause_seconds, _MIN_INTERVAL_SECONDS), _MAX_INTERVAL_SECONDS)

    def _see_zombie(self, pid: int) -> None:
        cpu_ns = read_one(pid)
        if cpu_ns == GONE:
            return
        if pid == self._child.pid:
            self._own_ns = cpu_ns - self._before_ns
        folder = Path("/proc") / str(pid)
        name = parse_process_stat((folder / "stat").read_bytes()).name
        self._tree.add_exit(ProcessExit(pid, os.getpid(), name, _user_name(folder.stat().st_uid), cpu_ns), exact=True)

    def _waited(self) -> tuple[float, float]:
        user = sum(reaped.user_seconds for reaped in self._child.reaped)
        return user, sum(reaped.system_seconds for reaped in self._child.reaped)

    def _total(self) -> Total:
        before_ns = 0 if self._child.exit_code is None else self._before_ns
        counted_seconds = sum(self._waited()) + (self._tree.living_ns() - before_ns) / 1e9
        seen_ns = sum(named.cpu_ns - named.reported_ns for named in self._tree.named().values())
        return total_of(counted_seconds, seen_ns / 1e9, self._task_time if self._task_clock is not None else None)

    def _result(self, exit_code: int, elapsed: float) -> CommandUsed:
        total = self._total()
        seconds = total.seconds
        self._over_time.end(elapsed, seconds)
        user, system = self._waited()
        living_user_ns, living_system_ns = self._tree.living_ticks_ns()
        user, system = user + living_user_ns / 1e9, system + living_system_ns / 1e9
        # Ticks are coarse, and what nobody waited for has no split: the exact total is split like the rest.
        user_seconds = seconds * user / (user + system) if user + system > 0 else seconds
        named = self._tree.named()
        alive_seconds = sum(used.alive_ns for used in named.values()) / 1e9
        own_seconds = self._own_ns / 1e9
        return CommandUsed(
            command=self._command,
            exit_code=exit_code,
            started=self._started,
            elapsed_seconds=elapsed,
            cpu_seconds=seconds,
            user_seconds=user_seconds,
            system_seconds=max(0.0, seconds - user_seconds),
            own_seconds=own_seconds,
            exited_seconds=max(0.0, seconds - own_seconds - alive_seconds),
            alive_seconds=alive_seconds,
            unwaited_seconds=total.unwaited_seconds,
            estimated=self._task_clock is None and total.unwaited_seconds > 0,
            mean_cpus=seconds / elapsed if elapsed > 0 else 0.0,
            peak_cpus=self._over_time.peak or 0.0,
            cpus=self._over_time.cpus(_GRAPH_COLUMNS),
            group_by=self._group_by,
            groups=groups_of(named, seconds),
            exited_names=self._exited_names,
        )


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
