"""What a sweep over all processes takes and returns: the interface of the two ways to do it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from cpuwatch.model import ProcessTimes

__all__ = ["Instant", "Sweep", "SweepResult"]


class Instant(Struct, frozen=True, gc=False):
    """One moment on the three clocks of a :class:`~cpuwatch.Reading`."""

    time: datetime
    monotonic_ns: int
    uptime_ns: int


class SweepResult(Struct, frozen=True, gc=False):
    """The processes by PID, unreadable ones by reason, and hidden parents, as in a :class:`~cpuwatch.Reading`.

    ``active`` are the records of those that ran or waited since the last sweep or that moved to another cgroup,
    ``exited`` the last records of those that exited.
    """

    processes: dict[int, ProcessTimes]
    unreadable: Counter[str]
    hidden_parents: frozenset[int]
    active: list[ProcessTimes]
    exited: list[ProcessTimes]


class Sweep(Protocol):
    """Brings the table of all processes up to date, once in each reading."""

    backend: str
    """The value of ``host.backend``."""
    resolution_seconds: float
    """The step of the processes' CPU times."""

    def find_new(self, forks: int | None, last_pid: int, *, hidden_can_appear: bool) -> None:
        """Find new processes, from the two counters of the kernel; called just before the instant of the reading.

        ``hidden_can_appear`` says that a hidden process can become visible, which moves neither counter.
        """
        ...

    def sweep(self, instant: Instant) -> SweepResult:
        """Read the processes."""
        ...
