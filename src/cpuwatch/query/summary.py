"""What a range of time used, in CPU seconds: the values that summaries of a recording consist of. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

__all__ = [
    "SUMMARY_GROUPS",
    "ExitedSummary",
    "GroupSummaries",
    "GroupSummary",
    "MachineSummary",
    "ProcessSummaries",
    "ProcessSummary",
    "Rest",
    "Summary",
    "SummaryAttribution",
    "SummaryGroup",
    "Timeline",
    "TimelinePoint",
]

SummaryGroup = Literal["name", "user", "cgroup"]
SUMMARY_GROUPS: tuple[SummaryGroup, ...] = get_args(SummaryGroup)


class MachineSummary(Struct, frozen=True, gc=False):
    """The use of the machine: ``capacity_cpu_seconds`` is covered time times CPUs, percentages are of that."""

    busy_cpu_seconds: float
    capacity_cpu_seconds: float
    busy_percent: float | None
    peak_percent: float


class SummaryAttribution(Struct, frozen=True, gc=False):
    """Where the busy CPU seconds went: ``busy = processes + exited + unattributed - excess``.

    ``estimated_seconds`` is the part of ``unattributed_seconds`` that rows show as estimates: exited processes whose
    parent did not wait for them.
    """

    processes_seconds: float
    exited_seconds: float
    unattributed_seconds: float
    excess_seconds: float
    estimated_seconds: float


class ProcessSummary(Struct, frozen=True, gc=False):
    """What a process used.

    ``cpu_seconds`` is its own use, ``exited_seconds`` that of its descendants that exited, ``total_seconds`` the sum.
    ``mean_percent`` (over the covered time) and ``peak_percent`` (of a tick) are the total in percent of one CPU,
    ``machine_percent`` is the mean in percent of the machine. ``key`` is unique within ``boot_id``. ``name``, ``user``
    and ``cgroup`` are the last ones in the range.
    """

    key: str
    boot_id: str
    pid: int
    name: str
    user: str | None
    cgroup: str | None
    cpu_seconds: float
    exited_seconds: float
    total_seconds: float
    mean_percent: float | None
    peak_percent: float
    machine_percent: float | None


class ExitedSummary(Struct, frozen=True, gc=False):
    """What exited processes of one name and user used whose parent has this name."""

    name: str | None
    user: str | None
    parent_name: str | None
    cpu_seconds: float


class GroupSummary(Struct, frozen=True, gc=False):
    """What a group used, as in :class:`~cpuwatch.UsageGroup`: ``exited_seconds`` is a part of ``cpu_seconds``."""

    group: str | None
    cgroup: str | None
    cpu_seconds: float
    exited_seconds: float
    mean_percent: float | None
    peak_percent: float
    machine_percent: float | None


class Rest(Struct, frozen=True, gc=False):
    """What the rows that are not shown used, so that rows and rest add up to the attribution."""

    cpu_seconds: float
    exited_seconds: float


class Summary(Struct, frozen=True, gc=False):
    """The ticks with ``start < time <= end``, added up.

    ``covered_seconds`` is the time that their intervals cover. Where nothing was recorded, nothing is covered. If the
    range begins or ends within a minute whose ticks have been deleted, that minute is left out, and
    ``resolution_seconds`` is 60; otherwise it is ``None``.
    """

    start: datetime
    end: datetime
    covered_seconds: float
    ticks: int
    resolution_seconds: float | None
    machine: MachineSummary
    attribution: SummaryAttribution


class ProcessSummaries(Summary, frozen=True, gc=False):
    """A summary by process, with the largest total first.

    The ``cpu_seconds`` of ``processes`` and ``rest`` add up to ``processes_seconds`` of the attribution; those of
    ``exited`` and ``exited_rest_seconds`` add up to ``exited_seconds`` and ``estimated_seconds``. The
    ``exited_seconds`` of ``processes`` and ``rest`` are the same ``exited_seconds``, by the parent that waited.
    """

    processes: list[ProcessSummary]
    rest: Rest
    exited: list[ExitedSummary]
    exited_rest_seconds: float


class GroupSummaries(Summary, frozen=True, gc=False):
    """A summary by group, with the largest first.

    The ``cpu_seconds`` of ``groups`` and ``rest`` add up to ``processes_seconds``, ``exited_seconds`` and
    ``estimated_seconds`` of the attribution.
    """

    group_by: SummaryGroup
    groups: list[GroupSummary]
    rest: Rest


class TimelinePoint(Struct, frozen=True, gc=False):
    """The machine between two times, in percent of all CPUs. ``peak_percent`` is the busiest tick."""

    begin: datetime
    end: datetime
    busy_percent: float
    exited_percent: float
    unattributed_percent: float
    peak_percent: float


class Timeline(Struct, frozen=True, gc=False):
    """Points in the order in which they were recorded. Between the end of one and the begin of the next is a gap."""

    start: datetime
    end: datetime
    points: list[TimelinePoint]
