"""What is stored of a tick: the difference of its reading to the previous one. Pure.

A process that did not run and did not change is not stored. Counters are differences, so they are small. What seldom
changes stands in records that are repeated only when they change: :class:`Identity`, :class:`Context` and
:class:`CgroupIdentity`.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from cpuwatch.model import Host, PidNamespace, ProcessExit

__all__ = [
    "CGROUP_COUNTERS",
    "CPU_KINDS",
    "CgroupChanges",
    "CgroupIdentity",
    "Context",
    "CpuShape",
    "Identity",
    "KeyRecord",
    "Status",
    "TickRecord",
]

CPU_KINDS = ("user_ns", "system_ns", "idle_ns", "iowait_ns", "irq_ns", "steal_ns")
CGROUP_COUNTERS = ("periods", "throttled_periods", "throttled_ns", "pressure_ns")

CpuShape = tuple[int, int]
"""The number of a CPU (-1 for the machine as a whole), and a bit mask of the ``CPU_KINDS`` that it counts."""

Status = tuple[str | None, int | None]
"""The state and the number of threads of a process."""


class Identity(Struct, frozen=True, array_like=True, gc=False):
    """What a process is: everything about it but its counters, state and threads.

    ``cpu_cgroup`` is ``True`` if it is the same as ``cgroup``, as always with cgroup v2.
    """

    pid: int
    key: str
    start_ns: int
    start_time: datetime
    first_seen: datetime
    ppid: int | None
    name: str
    user: str | None
    cgroup: str | None
    command_line: str | None
    pid_namespace: PidNamespace | None
    user_id: int | None
    has_children_time: bool
    cpu_cgroup: str | bool | None = None


class CgroupIdentity(Struct, frozen=True, array_like=True, gc=False):
    """What a cgroup is: everything about it but its counters. ``known`` is a bit mask of its ``CGROUP_COUNTERS``."""

    path: str
    quota_ns: int | None
    period_ns: int | None
    cpus: int | None
    name: str | None
    known: int


class CgroupChanges(Struct, frozen=True, array_like=True, gc=False):
    """What changed about cgroups in a tick.

    ``removed`` are paths that are gone, ``identities`` cgroups that are new or whose identity has changed. ``growths``
    has a map for each of the ``CGROUP_COUNTERS``, from the place of a cgroup to the growth. The place is the index in
    the ascending paths of all cgroups after this tick. An unknown counter counts as 0.
    """

    removed: list[str]
    identities: list[CgroupIdentity]
    growths: list[dict[int, int]]


class Context(Struct, frozen=True, gc=False):
    """What seldom changes about a reading as a whole."""

    host: Host
    cpus: list[CpuShape]
    start_resolution_ns: int
    unreadable: dict[str, int]
    exited_names: str
    lost_exits: int
    unexpected_messages: int
    present_cpus: int | None
    hidden_parents: list[int]
    hidden: list[str]


class TickRecord(Struct, frozen=True, array_like=True, gc=False):
    """One tick, relative to the one before.

    ``sequence`` is that of the snapshot; 0 means that none was made. ``time_us`` counts from the Unix epoch. ``cpus``
    are the growths of the machine's counters in the order of ``context.cpus``, or the counters themselves if that order
    has changed. ``context`` and ``load_average`` (a list of one) are ``None`` if they are unchanged. ``order`` lists
    the PIDs if they are not in ascending order.

    ``removed`` are PIDs whose process is gone, ``identities`` processes that are new or whose identity has changed. The
    other lists describe the processes whose counters or status changed, by ``pids``: growths in nanoseconds, from 0 for
    a new process.

    ``wait_ns`` are the growths of the run delay: the counter itself if it was unknown in the tick before, ``None`` if
    it is unknown now. The whole list is ``None`` if it is unknown for all, as in older recordings. ``pressure_ns`` is
    the growth of the pressure, in the same way.

    ``cgroups`` is ``None`` if nothing about them has changed, as in older recordings.

    ``excess_ns`` is the carry of the accounting after this tick, or ``None`` if it is unchanged. It lets a replay skip
    to a tick without computing the snapshots before it.
    """

    number: int
    sequence: int
    time_us: int
    monotonic_ns: int
    uptime_ns: int
    sweep_ns: int
    lateness_ns: int
    missed_ticks: int
    failed_ticks: int
    cpus: list[int]
    context: Context | None
    load_average: list[tuple[float, float, float] | None] | None
    order: list[int] | None
    removed: list[int]
    identities: list[Identity]
    pids: list[int]
    cpu_ns: list[int]
    user_ns: list[int]
    system_ns: list[int]
    children_ns: list[int]
    statuses: list[Status]
    exits: list[ProcessExit]
    excess_ns: dict[int, int] | None
    wait_ns: list[int | None] | None = None
    pressure_ns: int | None = None
    cgroups: CgroupChanges | None = None


class KeyRecord(Struct, frozen=True, array_like=True, gc=False):
    """A whole reading, with which a replay can begin: ``tick`` is relative to nothing.

    ``excess_ns`` of the tick is never ``None``.
    """

    run: str
    tick: TickRecord
