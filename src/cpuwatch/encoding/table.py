"""A snapshot as a table for a terminal, like that of top(1). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from cpuwatch.encoding.columns import aligned, clipped, wrapped
from cpuwatch.fields import FIELDS, Field
from cpuwatch.model import ExitedUsage, ProcessUsage, Sampling, Snapshot
from cpuwatch.query.group import TreeUsage, UsageGroup
from cpuwatch.query.units import UnitUsage, in_tree_order
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.text import printable, time_text

__all__ = ["cell", "missing_processes", "table"]

_Row = TypeVar("_Row")

_COLUMNS = (
    *("pid", "user", "state", "total_percent", "cpu_percent", "user_percent", "system_percent", "exited_percent"),
    *("cpu_seconds", "name"),
)
_EXITED_HEADINGS = ("PARENT", "USER", "COUNT", "CPU%", "NAME")
_GROUP_HEADINGS = ("CPU%", "EXITED%", "ALIVE", "EXITED", "GROUP")
_UNIT_HEADINGS = (
    *("CPU%", "EXITED%", "WAIT%", "THROT%", "PRESS%", "QUOTA", "USED%", "VERDICT", "ALIVE", "EXITED", "UNIT"),
)
_LEFT_ALIGNED = {
    *("PARENT", "GROUP", "UNIT"),
    *(field.heading for field in FIELDS.values() if field.type in {"text", "time"}),
}
_DISPENSABLE = ("S", "SYS%", "USER%", "TIME", "CPU%", "USER")
"""The columns to drop on a narrow terminal, in this order."""
_DISPENSABLE_OF_GROUPS = ("EXITED", "ALIVE")
_DISPENSABLE_OF_UNITS = ("EXITED", "ALIVE", "USED%", "EXITED%", "PRESS%", "QUOTA", "THROT%", "WAIT%")
_DISPENSABLE_OF_EXITED = ("USER", "COUNT")
_MIN_LAST_CELLS = {"NAME": 16, "COMMAND": 40, "GROUP": 16, "UNIT": 32}
"""The width of the last column below which other columns are dropped."""


def table(
    snapshot: Snapshot | GroupedSnapshot,
    fields: Sequence[str] | None = None,
    *,
    encoding: str = "utf-8",
    width: int | None = None,
    max_rows: int | None = None,
    hint: str = "",
) -> str:
    """Machine and attribution, then a row for each process in the snapshot's order and for each group of exited ones.

    A grouped snapshot has a row for each group; units are indented below the one that contains them. ``fields``
    selects the columns of processes. If command lines were read, they replace the names; kernel threads have none, so
    their names are shown in brackets.

    Lines are truncated to ``width`` cells. Each list shows at most ``max_rows`` rows, followed by a line with the
    number of the remaining ones; ``hint`` is appended to that line.

    Control characters in names are escaped, because a process can choose any name, and a terminal would interpret it.
    Characters that ``encoding`` cannot represent are escaped too, so the text can always be encoded.
    """
    layout = _Layout(encoding, width, max_rows, hint)
    return "".join(f"{line}\n" for line in _lines(snapshot, fields, layout))


class _Layout(Struct, frozen=True):
    encoding: str
    width: int | None
    max_rows: int | None
    hint: str

    def text(self, line: str) -> list[str]:
        """Wrap the text to the width of the table."""
        return wrapped(printable(line, self.encoding), self.width)

    def rows(
        self,
        headings: Sequence[str],
        cells: Callable[[_Row], tuple[str, ...]],
        rows: Sequence[_Row],
        dispensable: Sequence[str],
    ) -> Iterator[str]:
        yield from aligned(
            headings,
            map(cells, rows[: self.max_rows]),
            left=_LEFT_ALIGNED,
            dispensable=dispensable,
            encoding=self.encoding,
            width=self.width,
            min_last=_MIN_LAST_CELLS.get(headings[-1], 0),
        )
        if self.max_rows is not None and len(rows) > self.max_rows:
            yield clipped(f"... {len(rows) - self.max_rows} more{self.hint}", self.width)


def _lines(snapshot: Snapshot | GroupedSnapshot, fields: Sequence[str] | None, layout: _Layout) -> Iterator[str]:
    for line in _summary(snapshot):
        yield from layout.text(line)
    yield ""
    if isinstance(snapshot, GroupedSnapshot):
        yield from _group_lines(snapshot, layout)
        return
    if fields is not None:
        yield from layout.rows(_headings(fields), _cells_of(fields), snapshot.processes, ())
    elif any(row.command_line is not None for row in snapshot.processes):
        columns = (*_COLUMNS[:-1], "command_line")
        yield from layout.rows(_headings(columns), _command_cells, snapshot.processes, _DISPENSABLE)
    else:
        yield from layout.rows(_headings(_COLUMNS), _cells_of(_COLUMNS), snapshot.processes, _DISPENSABLE)
    if snapshot.exited:
        yield ""
        estimates = (
            "; ~ estimated: the parent did not wait for these processes"
            if any(row.estimated for row in snapshot.exited)
            else ""
        )
        yield from layout.text(f"exited within the interval (names: {snapshot.exited_names}{estimates})")
        yield from layout.rows(_EXITED_HEADINGS, _exited_cells, snapshot.exited, _DISPENSABLE_OF_EXITED)


def _group_lines(snapshot: GroupedSnapshot, layout: _Layout) -> Iterator[str]:
    units = [group for group in snapshot.groups if isinstance(group, UnitUsage)]
    others = [group for group in snapshot.groups if not isinstance(group, UnitUsage)]
    if snapshot.group_by != "cgroup":
        yield from layout.rows(_GROUP_HEADINGS, _group_cells, others, _DISPENSABLE_OF_GROUPS)
        return
    # If there is not room for all, the busiest are shown, not the first of the tree.
    shown, rest = units[: layout.max_rows], units[len(units[: layout.max_rows]) :]
    rows = [*in_tree_order(shown), *((unit, 0) for unit in rest)]
    yield from layout.rows(_UNIT_HEADINGS, _unit_cells, rows, _DISPENSABLE_OF_UNITS)


def _summary(snapshot: Snapshot | GroupedSnapshot) -> list[str]:
    machine, attribution, host = snapshot.machine, snapshot.attribution, snapshot.host
    load = " ".join(f"{value:.2f}" for value in machine.load_average or ())
    return [
        f"{host.name}  {time_text(snapshot.time)}  {snapshot.interval_seconds:.3f} s  {host.backend}  "
        f"load {load or '-'}",
        f"machine {_percent(machine.cpu_percent)} % of {host.logical_cpus} CPUs: "
        f"user {_percent(machine.user_percent)}  system {_percent(machine.system_percent)}  "
        f"iowait {_percent(machine.iowait_percent)}  irq {_percent(machine.irq_percent)}  "
        f"steal {_percent(machine.steal_percent)}"
        + ("" if machine.pressure_percent is None else f"  pressure {_percent(machine.pressure_percent)}")
        + ("" if machine.verdict is None else f"  {machine.verdict}"),
        f"attributed: processes {_percent(attribution.processes_percent)}  "
        f"exited {_percent(attribution.exited_percent)}  "
        f"unattributed {_percent(attribution.unattributed_percent)}",
        *missing_processes(snapshot.sampling),
    ]


def missing_processes(sampling: Sampling) -> list[str]:
    """Notes about processes that are missing from a snapshot, so that their CPU time is in ``unattributed``.

    The page has the same notes in static/model/missing_processes.js.
    """
    lines = [f"hidden: {reason}" for reason in sampling.hidden]
    if sampling.unreadable:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(sampling.unreadable.items()))
        count = sum(sampling.unreadable.values())
        lines.append(f"unreadable: {count} {'process' if count == 1 else 'processes'} ({reasons})")
    return [f"{line}; their CPU time is in unattributed" for line in lines]


def _headings(fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(FIELDS[name].heading for name in fields)


def _cells_of(fields: Sequence[str]) -> Callable[[ProcessUsage], tuple[str, ...]]:
    columns = [FIELDS[name] for name in fields]
    return lambda row: tuple(cell(field, getattr(row, field.name)) for field in columns)


def _command_cells(row: ProcessUsage) -> tuple[str, ...]:
    return (*_cells_of(_COLUMNS[:-1])(row), f"[{row.name}]" if row.command_line is None else row.command_line)


def cell(field: Field, value: Any) -> str:
    """The value of a field as text; a dash if it is unknown."""
    if value is None or value == "":
        return "-"
    match field.unit, field.type:
        case "percent", _:
            return _percent(value)
        case "seconds", _:
            return _duration(value)
        case _, "time":
            return time_text(value)
    return str(value)


def _exited_cells(row: ExitedUsage) -> tuple[str, ...]:
    parent = "-" if row.parent_pid is None else str(row.parent_pid)
    mark = "~" if row.estimated and row.cpu_percent is not None else ""
    return (
        parent if row.parent_name is None else f"{parent} {row.parent_name}",
        row.user or "-",
        "-" if row.count is None else str(row.count),
        mark + _percent(row.cpu_percent),
        "-" if row.name is None else row.name,
    )


def _group_cells(group: UsageGroup | TreeUsage) -> tuple[str, ...]:
    if isinstance(group, UsageGroup):
        name = "-" if group.group is None else group.group
    else:
        name = "-" if group.name is None else f"{group.pid} {group.name}"
    return (
        _percent(group.cpu_percent),
        _percent(group.exited_percent),
        str(group.processes),
        str(group.exited),
        name,
    )


def _unit_cells(unit_and_depth: tuple[UnitUsage, int]) -> tuple[str, ...]:
    unit, depth = unit_and_depth
    return (
        _percent(unit.cpu_percent),
        _percent(unit.exited_percent),
        _percent(unit.wait_percent),
        _percent(unit.throttled_percent),
        _percent(unit.pressure_percent),
        "-" if unit.quota_cpus is None else f"{unit.quota_cpus:.2f}",
        _percent(unit.quota_percent),
        unit.verdict or "-",
        str(unit.processes),
        str(unit.exited),
        "  " * depth + ("-" if unit.group is None else unit.group),
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _duration(seconds: float) -> str:
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    return f"{minutes}:{hundredths / 100:05.2f}"
