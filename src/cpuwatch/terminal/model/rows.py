"""The rows of the table: processes, exited ones that fade, groups and branches of the tree. Pure.

A process is shown as its :class:`~cpuwatch.model.ProcessUsage`; all other rows are a :class:`Row` with the same fields,
so that both sort and format alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.model import ExitedUsage, ProcessUsage, Snapshot, Verdict
from cpuwatch.query.group import TreeUsage, UsageGroup
from cpuwatch.query.units import UnitUsage

__all__ = ["FADING_TICKS", "Item", "Moment", "Row", "group_row", "is_past", "tree_row", "unit_row"]

FADING_TICKS = 5
"""As in the page (web/static/model/process_table.js)."""
_MAX_FADING = 200


class Row(Struct, frozen=True, gc=False):
    """A row that is not simply a living process. ``age`` counts the ticks since an exited one was seen.

    An exited row keeps its last percentages while it fades, so that it fades in its place. They are not shown.
    ``unit`` has the limits of a unit.
    """

    kind: Literal["gone", "exited", "group", "branch"]
    key: str
    name: str | None
    pid: int = 0
    ppid: int | None = None
    user: str | None = None
    state: str | None = None
    threads: int | None = None
    cpu_percent: float | None = None
    machine_percent: float | None = None
    user_percent: float | None = None
    system_percent: float | None = None
    exited_percent: float | None = None
    total_percent: float | None = None
    cpu_seconds: float | None = None
    start_time: datetime | None = None
    first_seen: datetime | None = None
    cgroup: str | None = None
    command_line: str | None = None
    wait_percent: float | None = None
    throttled_percent: float | None = None
    verdict: Verdict | None = None
    count: int | None = None
    age: int = 0
    depth: int = 0
    branch: Literal["", "open", "closed"] = ""
    unit: UnitUsage | None = None


Item = ProcessUsage | Row


def is_past(row: Item) -> bool:
    """Whether the row fades: its percentages are those of an earlier tick."""
    return isinstance(row, Row) and row.age > 0


class Moment(Struct, frozen=True):
    """A snapshot with the exited processes of the ticks before it, which fade."""

    snapshot: Snapshot
    processes: list[ProcessUsage]
    fading: dict[str, Row] = {}

    @classmethod
    def of(cls, snapshot: Snapshot, before: Moment | None = None) -> Moment:
        """The moment of a snapshot; ``before`` is that of the tick before it, if it is known."""
        processes = list(snapshot.processes)
        fading = {row.key: row for row in map(_exited_row, snapshot.exited)}
        if before is not None:
            keys = {process.key for process in processes}
            fading = dict(_older(before, keys, fading)) | fading
        return cls(snapshot, processes, fading)

    def by_key(self, key: str) -> Item | None:
        """The process or the fading row with this key."""
        return self.fading.get(key) or next((row for row in self.processes if row.key == key), None)


def _older(before: Moment, living: set[str], fresh: dict[str, Row]) -> Iterable[tuple[str, Row]]:
    """The rows that fade further: those of the tick before, and the processes that are gone since."""
    gone = (row for row in before.processes if row.key not in living)
    rows = [*map(_gone_row, gone), *before.fading.values()]
    for row in rows[:_MAX_FADING]:
        if row.age < FADING_TICKS and row.key not in fresh and row.key not in living:
            yield row.key, _faded(row)


def _faded(row: Row) -> Row:
    return replace(row, age=row.age + 1)


def _gone_row(process: ProcessUsage) -> Row:
    return Row(
        kind="gone",
        key=process.key,
        name=process.name,
        pid=process.pid,
        ppid=process.ppid,
        user=process.user,
        cpu_percent=process.cpu_percent,
        user_percent=process.user_percent,
        system_percent=process.system_percent,
        exited_percent=process.exited_percent,
        total_percent=process.total_percent,
        cpu_seconds=process.cpu_seconds,
        start_time=process.start_time,
        cgroup=process.cgroup,
        command_line=process.command_line,
        wait_percent=process.wait_percent,
        throttled_percent=process.throttled_percent,
    )


def _exited_row(exited: ExitedUsage) -> Row:
    return Row(
        kind="exited",
        key=f"exited {exited.parent_pid} {exited.user} {exited.name}",
        name=exited.name,
        ppid=exited.parent_pid,
        user=exited.user,
        exited_percent=exited.cpu_percent,
        total_percent=exited.cpu_percent,
        count=exited.count,
    )


def group_row(group: UsageGroup, field: str) -> Row:
    """A group as a row: its total includes exited processes, as in :class:`~cpuwatch.query.group.UsageGroup`."""
    return Row(kind="group", key=f"group {field} {group.group}", name=group.group, **_sums(group))


def unit_row(unit: UnitUsage) -> Row:
    """A unit with the sums of everything below it."""
    return Row(
        kind="group", key=f"group unit {unit.cgroup}", name=unit.group, cgroup=unit.cgroup, unit=unit, **_sums(unit)
    )


def tree_row(tree: TreeUsage, process: ProcessUsage | None) -> Row:
    """A process with the sums of its branch. Only the sums of exited processes without an ancestor have no process."""
    if process is None:
        return Row(kind="branch", key="exited", name=None, **_sums(tree))
    return Row(
        kind="branch",
        key=process.key,
        name=process.name,
        pid=process.pid,
        ppid=process.ppid,
        user=process.user,
        state=process.state,
        start_time=process.start_time,
        cgroup=process.cgroup,
        command_line=process.command_line,
        **_sums(tree),
    )


def _sums(group: UsageGroup | UnitUsage | TreeUsage) -> dict[str, Any]:
    return {
        "cpu_percent": group.cpu_percent - group.exited_percent,
        "exited_percent": group.exited_percent,
        "total_percent": group.cpu_percent,
        "wait_percent": group.wait_percent,
        "throttled_percent": group.throttled_percent,
        "threads": group.threads,
        "cpu_seconds": group.cpu_seconds,
        "user_percent": group.user_percent,
        "system_percent": group.system_percent,
        "verdict": group.verdict,
        "count": group.processes,
    }
