"""Snapshots as flat tables, as databases and data frames have them: a row for each process and tick. Pure.

Arrow, Parquet, CSV and lines of JSON are made from these tables, so a column has the same name and type in all of them.
docs/analysis.md lists the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import astuple, fields

from cpuwatch.errors import QueryError
from cpuwatch.fields import FIELDS
from cpuwatch.model import CgroupUsage, ExitedUsage, Snapshot
from cpuwatch.parse import invalid_choice
from cpuwatch.query.cgroup_name import cgroup_name
from cpuwatch.query.summary import (
    ExitedSummary,
    GroupSummaries,
    GroupSummary,
    ProcessSummaries,
    ProcessSummary,
    Summary,
)

__all__ = ["FLAT_TABLES", "FlatColumn", "FlatTable", "Row", "TableName", "flat_table", "summary_table"]

Row = tuple[Any, ...]
TableName = Literal["processes", "exited", "cgroups", "ticks"]


class FlatColumn(Struct, frozen=True):
    """A column: its name, the type of its values, and what they mean. Any value may be None, which is unknown."""

    name: str
    type: Literal["boolean", "integer", "number", "numbers", "text", "time"]
    description: str


class FlatTable(Struct, frozen=True):
    """A table: its name, what a row is, its columns, and the function that makes its rows of a snapshot.

    With ``active_only``, the function leaves out processes that neither ran nor waited. Those of unknown use stay. It
    also leaves out cgroups that neither ran nor waited and have no quota.
    """

    name: str
    description: str
    columns: Sequence[FlatColumn]
    rows: Callable[[Snapshot, bool], Iterator[Row]]


def flat_table(name: str) -> FlatTable:
    """The table of this name. Raises :class:`~cpuwatch.errors.QueryError` if there is none."""
    if name not in FLAT_TABLES:
        raise QueryError(invalid_choice("table", name, tuple(FLAT_TABLES)))
    return FLAT_TABLES[name]


_TICK = (
    FlatColumn("host", "text", "Name of the machine."),
    FlatColumn("boot_id", "text", "Changes at every boot; with `key` it stands for one process forever."),
    FlatColumn("run", "text", "Changes at every start of cpuwatch; with `sequence` it stands for one tick."),
    FlatColumn("sequence", "integer", "Number of the tick in its run."),
    FlatColumn("time", "time", "End of the interval."),
    FlatColumn("interval_seconds", "number", "Length of the interval, as measured."),
)


def _tick(snapshot: Snapshot) -> Row:
    host = snapshot.host
    return (
        host.name,
        host.boot_id,
        snapshot.sampling.run,
        snapshot.sequence,
        snapshot.time,
        snapshot.interval_seconds,
    )


_UNIT = FlatColumn("unit", "text", "Familiar name of the cgroup: a systemd unit or a container.")

_process = attrgetter(*FIELDS)

_unit = lru_cache(maxsize=4096)(cgroup_name)


def _process_rows(snapshot: Snapshot, active_only: bool) -> Iterator[Row]:
    tick = _tick(snapshot)
    for row in snapshot.processes:
        if not active_only or row.total_percent != 0 or row.wait_percent:
            yield (*tick, *_process(row), row.cgroup and _unit(row.cgroup))


_EXITED = (
    FlatColumn("name", "text", "Name of the program, if the kernel reports which processes exited."),
    FlatColumn("user", "text", "Owner, if the kernel reports which processes exited."),
    FlatColumn("parent_pid", "integer", "PID of the process that waited for them; its `exited_percent` includes them."),
    FlatColumn("parent_name", "text", "Name of the process that waited for them."),
    FlatColumn("count", "integer", "Number of processes, if the kernel reports it."),
    FlatColumn("cpu_percent", "number", "CPU use in the interval, in percent of one logical CPU."),
    FlatColumn("machine_percent", "number", "The same in percent of the machine."),
    FlatColumn("estimated", "boolean", "Nobody waited for them: the use is estimated, and part of the unattributed."),
)

_exited = attrgetter(*(field.name for field in fields(ExitedUsage)))


def _exited_rows(snapshot: Snapshot, active_only: bool) -> Iterator[Row]:  # noqa: ARG001  none of them is idle
    tick = _tick(snapshot)
    for row in snapshot.exited:
        yield tick + _exited(row)


_CGROUP = (
    FlatColumn("path", "text", "Path of the cgroup, as `cgroup` of a process."),
    FlatColumn("name", "text", "Name of the container or pod, if it is known."),
    FlatColumn("cpu_percent", "number", "CPU use, cgroups below it included, in percent of one logical CPU."),
    FlatColumn("quota_cpus", "number", "Its own quota, in CPUs."),
    FlatColumn("limit_cpus", "number", "CPUs that it can use at most, by all quotas and by its number of CPUs."),
    FlatColumn("limited_by", "text", "Path of the cgroup with the tightest quota."),
    FlatColumn("quota_percent", "number", "CPU use in percent of its own quota."),
    FlatColumn("throttled_percent", "number", "Time in which its quota throttled it, in percent, summed over CPUs."),
    FlatColumn("throttled_periods_percent", "number", "The share of the periods of its quota in which that happened."),
    FlatColumn(
        "pressure_percent", "number", "Time in which a thread was runnable but got no CPU, in percent of the time."
    ),
    FlatColumn("cpus", "integer", "Number of CPUs on which its threads may run."),
)

_cgroup = attrgetter(*(field.name for field in fields(CgroupUsage)))


def _cgroup_rows(snapshot: Snapshot, active_only: bool) -> Iterator[Row]:
    tick = _tick(snapshot)
    for row in snapshot.cgroups:
        if not active_only or row.cpu_percent or row.pressure_percent or row.quota_cpus is not None:
            yield tick + _cgroup(row)


_MACHINE = (
    FlatColumn("logical_cpus", "integer", "Number of logical CPUs."),
    FlatColumn("backend", "text", "The sampler."),
    FlatColumn("cpu_percent", "number", "Busy time, in percent of the machine, as all percentages of this table."),
    FlatColumn("user_percent", "number", "Time in user mode."),
    FlatColumn("system_percent", "number", "Time in the kernel."),
    FlatColumn("iowait_percent", "number", "Idle time with I/O pending; not part of `cpu_percent`."),
    FlatColumn("irq_percent", "number", "Time in interrupts."),
    FlatColumn("steal_percent", "number", "Time that the hypervisor gave to others."),
    FlatColumn("per_cpu_percent", "numbers", "Busy time of each CPU, in percent of that CPU."),
    FlatColumn("load_average_1", "number", "Load average of one minute."),
    FlatColumn("load_average_5", "number", "Load average of five minutes."),
    FlatColumn("load_average_15", "number", "Load average of fifteen minutes."),
    FlatColumn("processes_percent", "number", "What living processes used themselves."),
    FlatColumn("exited_percent", "number", "What processes that exited in the interval used."),
    FlatColumn("unattributed_percent", "number", "Busy time that no process accounts for."),
    FlatColumn("excess_percent", "number", "How far the clocks of the processes exceed the busy time."),
    FlatColumn(
        "pressure_percent", "number", "Time in which a thread was runnable but got no CPU, in percent of the time."
    ),
    FlatColumn("waiting_threads", "number", "Average number of threads that were runnable but got no CPU."),
    FlatColumn("missed_ticks", "integer", "Ticks that were missed since the run started."),
    FlatColumn("verdict", "text", "busy, idle, or why its processes got less CPU than they wanted."),
)


def _machine_rows(snapshot: Snapshot, active_only: bool) -> Iterator[Row]:  # noqa: ARG001  a tick is never idle
    machine, attribution = snapshot.machine, snapshot.attribution
    yield (
        *_tick(snapshot),
        snapshot.host.logical_cpus,
        snapshot.host.backend,
        machine.cpu_percent,
        machine.user_percent,
        machine.system_percent,
        machine.iowait_percent,
        machine.irq_percent,
        machine.steal_percent,
        machine.per_cpu_percent,
        *(machine.load_average or (None, None, None)),
        attribution.processes_percent,
        attribution.exited_percent,
        attribution.unattributed_percent,
        attribution.excess_percent,
        machine.pressure_percent,
        machine.waiting_threads,
        snapshot.sampling.missed_ticks,
        machine.verdict,
    )


FLAT_TABLES = {
    table.name: table
    for table in (
        FlatTable(
            "processes",
            "a row for each process and tick",
            (*_TICK, *(FlatColumn(field.name, field.type, field.description) for field in FIELDS.values()), _UNIT),
            _process_rows,
        ),
        FlatTable(
            "exited",
            "a row for the processes of one name, user and parent that exited in a tick",
            (*_TICK, *_EXITED),
            _exited_rows,
        ),
        FlatTable(
            "cgroups",
            "a row for each cgroup and tick: its use, its limits, and what they cost",
            (*_TICK, *_CGROUP),
            _cgroup_rows,
        ),
        FlatTable(
            "ticks", "a row for each tick: the machine, and where its time went", (*_TICK, *_MACHINE), _machine_rows
        ),
    )
}


def summary_table(summary: Summary, name: TableName) -> tuple[Sequence[FlatColumn], Iterator[Row]]:
    """The columns and rows of a summary: its range, and its processes (or groups) or the exited ones.

    Raises :class:`~cpuwatch.errors.QueryError` for any other table.
    """
    kind: type[Struct]
    rows: Sequence[Struct]
    match summary, name:
        case ProcessSummaries(), "processes":
            kind, rows = ProcessSummary, summary.processes
        case ProcessSummaries(), "exited":
            kind, rows = ExitedSummary, summary.exited
        case GroupSummaries(), "processes":
            kind, rows = GroupSummary, summary.groups
        case _:
            raise QueryError(f"a {type(summary).__name__} has no table {name!r}")
    columns = [
        FlatColumn("start", "time", "Begin of the range."),
        FlatColumn("end", "time", "End of the range."),
        *(FlatColumn(field.name, _TYPES[field.type], "") for field in fields(kind)),
    ]
    return columns, ((summary.start, summary.end, *astuple(row)) for row in rows)


_TYPES: dict[Any, Literal["integer", "number", "text"]] = {
    int: "integer",
    float: "number",
    float | None: "number",
    str: "text",
    str | None: "text",
}
