"""The columns of the table: their widths, how they are formatted, and which ones fit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from msgspec import Struct

from cpuwatch.encoding.columns import cell_width, clipped
from cpuwatch.fields import FIELDS
from cpuwatch.query.cgroup_name import cgroup_name
from cpuwatch.terminal.model.rows import Item, Row, is_past
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.text import UNKNOWN, Screen, duration, percent

__all__ = ["COLUMNS", "GRAPH", "GRAPH_TICKS", "UNIT_COLUMNS", "Column", "name_of", "padded", "shown_columns"]

GRAPH = "graph"
GRAPH_TICKS = 16
_GRAPH_TEXT = f"total_percent in the last {GRAPH_TICKS} ticks, as a graph."
_MIN_NAME_CELLS = 16
_INDENT_CELLS = 8
"""Added for the names of units, which are indented."""
_DAY = timedelta(days=1)


class Column(Struct, frozen=True):
    """A column of the table. ``width`` excludes the gap to the next one; the last column takes what is left.

    ``field`` is a field of a process, except for the graph, which has no field.
    """

    field: str
    heading: str
    width: int
    text: Callable[[Item, datetime, tzinfo | None], str]
    left_aligned: bool = False
    description: str = ""
    is_default: bool = True

    @property
    def is_sortable(self) -> bool:
        """Whether rows can be sorted by it."""
        return self.field in FIELDS and FIELDS[self.field].is_sortable


def _of_field(name: str, width: int, *, is_default: bool = True) -> Column:
    field = FIELDS[name]
    return Column(name, field.heading, width, _formatter(name), field.type == "text", field.description, is_default)


def _formatter(name: str) -> Callable[[Item, datetime, tzinfo | None], str]:
    field = FIELDS[name]

    def text(row: Item, now: datetime, zone: tzinfo | None) -> str:
        value: Any = getattr(row, name)
        if value is None or value == "":
            return UNKNOWN
        if field.unit == "percent":
            return UNKNOWN if is_past(row) else percent(value)
        if field.unit == "seconds":
            return duration(value)
        return _started(value, now, zone) if field.type == "time" else str(value)

    return text


def _started(time: datetime, now: datetime, zone: tzinfo | None) -> str:
    local = time.astimezone(zone)
    return local.strftime("%H:%M:%S" if now - time < _DAY else "%Y-%m-%d")


def _pid(row: Item, *_: object) -> str:
    if row.pid or not isinstance(row, Row):
        return str(row.pid)
    return UNKNOWN if row.count is None else f"x{row.count}"


def _unit(row: Item, *_: object) -> str:
    return UNKNOWN if row.cgroup is None else cgroup_name(row.cgroup)


def _of_unit(field: str, heading: str, width: int, text: Callable[[float], str]) -> Column:
    def of_row(row: Item, *_: object) -> str:
        value = getattr(row.unit, field, None) if isinstance(row, Row) else None
        return UNKNOWN if value is None else text(value)

    return Column(field, heading, width, of_row)


def name_of(row: Item, *_: object) -> str:
    """The command line if it was read, otherwise the name."""
    if row.command_line:
        return row.command_line
    if row.name is None:
        return "(exited)" if row.kind == "branch" else "(unknown)"
    return row.name or "(no name)"


def _no_text(*_: object) -> str:
    """The graph is drawn of more than the row."""
    return ""


COLUMNS = {
    column.field: column
    for column in (
        Column("pid", "PID", 7, _pid, description=FIELDS["pid"].description),
        _of_field("user", 9),
        _of_field("state", 1),
        _of_field("total_percent", 7),
        _of_field("cpu_percent", 7),
        _of_field("user_percent", 6),
        _of_field("system_percent", 6),
        _of_field("exited_percent", 7),
        _of_field("wait_percent", 6),
        _of_field("throttled_percent", 6, is_default=False),
        _of_field("verdict", 9, is_default=False),
        _of_field("cpu_seconds", 8),
        _of_field("threads", 7),
        _of_field("start_time", 10),
        Column("cgroup", "UNIT", 22, _unit, left_aligned=True, description=FIELDS["cgroup"].description),
        Column(GRAPH, "GRAPH", GRAPH_TICKS, _no_text, left_aligned=True, description=_GRAPH_TEXT, is_default=False),
        Column("name", "NAME", _MIN_NAME_CELLS, name_of, left_aligned=True, description=FIELDS["name"].description),
    )
}
"""By field, in the order of the screen."""

UNIT_COLUMNS = {
    column.field: column
    for column in (
        _of_unit("quota_cpus", "QUOTA", 6, "{:.2f}".format),
        _of_unit("quota_percent", "USED%", 6, percent),
        _of_unit("pressure_percent", "PRESS%", 6, percent),
    )
}
"""The columns that only units have."""

_DISPENSABLE = (
    *("wait_percent", "threads", "start_time", "cgroup", "state", "system_percent", "user_percent", "cpu_seconds"),
    *("cpu_percent", "exited_percent", "throttled_percent", "verdict", GRAPH, "user"),
)
"""The columns that a narrow screen leaves out, in this order. PID, total and name always stay."""

_NOT_OF_GROUPS = {"user", "state", "start_time", "cgroup", GRAPH}

_OF_UNITS = ("throttled_percent", *UNIT_COLUMNS, "verdict")
_DISPENSABLE_OF_GROUPS = (
    *("threads", "cpu_seconds", "user_percent", "system_percent", "exited_percent", "quota_percent", "cpu_percent"),
    *("pressure_percent", "quota_cpus", "wait_percent", "throttled_percent", "verdict"),
)


def shown_columns(state: ViewState, columns: int) -> list[Column]:
    """The chosen columns of the view, or without a choice those that fit into this number of cells."""
    chosen = tuple(
        field
        for field, column in COLUMNS.items()
        if (column.is_default if state.columns is None else field in state.columns)
    )
    # The newest one stays: otherwise a key would have no effect.
    newest = None if state.columns is None else state.columns[-1]
    if state.view not in {"", "tree"}:
        chosen = tuple(field for field in chosen if field not in _NOT_OF_GROUPS)
    if state.view == "unit":
        chosen = (*(field for field in chosen if field not in {*_OF_UNITS, "name"}), *_OF_UNITS, "name")
    shown = [(COLUMNS | UNIT_COLUMNS)[field] for field in chosen]
    dispensable = _DISPENSABLE if state.view in {"", "tree"} else _DISPENSABLE_OF_GROUPS
    room = columns - _INDENT_CELLS if state.view == "unit" else columns
    for field in sorted(dispensable, key=lambda field: field == newest):
        if _needed(shown) <= room:
            break
        shown = [column for column in shown if column.field != field]
    return shown


def _needed(columns: Sequence[Column]) -> int:
    # At 80 cells, the name has to be long enough to be worth its place.
    return sum(column.width + 1 for column in columns)


def padded(text: str, column: Column, screen: Screen) -> str:
    """The text in exactly the width of the column."""
    shown = screen.shown(text)
    if shown.isascii():
        shown = shown[: column.width]
        return shown.ljust(column.width) if column.left_aligned else shown.rjust(column.width)
    shown = clipped(shown, column.width)
    blanks = " " * (column.width - cell_width(shown))
    return shown + blanks if column.left_aligned else blanks + shown
