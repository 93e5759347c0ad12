"""Tables where Python users look: notebooks (HTML) and rich. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from typing import Any

from cpuwatch.text import printable

__all__ = [
    "GROUP_HEADINGS",
    "SNAPSHOT_HEADINGS",
    "grouped_rows",
    "grouped_summary",
    "html_table",
    "rich_table",
    "snapshot_rows",
    "snapshot_summary",
]

SNAPSHOT_HEADINGS = ("PID", "USER", "TOTAL%", "CPU%", "NAME")
GROUP_HEADINGS = ("TOTAL%", "EXITED%", "ALIVE", "EXITED", "GROUP")
_MAX_ROWS = 20


def html_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with escaped texts, because any process can choose any name."""
    head = "".join(f"<th>{_html(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{_html(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def rich_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """The same as a ``rich.table.Table``. Only rich calls ``__rich__``, so it is installed."""
    text = import_module("rich.text").Text
    table = import_module("rich.table").Table(title=text(printable(caption)))
    for heading in headings:
        table.add_column(heading, justify="left" if heading == headings[-1] else "right")
    for row in rows:
        # As Text, a name is not read as markup.
        table.add_row(*(text(printable(cell)) for cell in row))
    return table


def snapshot_summary(snapshot: Any) -> str:
    """A snapshot in one line. It is not typed, because the model is built on this module."""
    return f"{_summary(snapshot)}, {len(snapshot.processes)} processes"


def snapshot_rows(snapshot: Any) -> list[tuple[str, ...]]:
    """The busiest processes of a snapshot, in the columns of ``SNAPSHOT_HEADINGS``."""
    busiest = sorted(snapshot.processes, key=lambda row: -(row.total_percent or 0.0))[:_MAX_ROWS]
    return [
        (str(row.pid), row.user or "-", _percent(row.total_percent), _percent(row.cpu_percent), row.name)
        for row in busiest
    ]


def grouped_summary(snapshot: Any) -> str:
    """A grouped snapshot in one line."""
    return f"{_summary(snapshot)}, {len(snapshot.groups)} groups by {snapshot.group_by}"


def grouped_rows(snapshot: Any) -> list[tuple[str, ...]]:
    """The first groups of a snapshot, which are the busiest, in the columns of ``GROUP_HEADINGS``."""
    return [
        (
            _percent(group.cpu_percent),
            _percent(group.exited_percent),
            str(group.processes),
            str(group.exited),
            _group_name(group, snapshot.group_by),
        )
        for group in snapshot.groups[:_MAX_ROWS]
    ]


def _group_name(group: Any, group_by: str) -> str:
    if group_by != "tree":
        return "-" if group.group is None else str(group.group)
    return "-" if group.pid is None else f"{group.pid} {group.name}"


def _summary(snapshot: Any) -> str:
    percent = snapshot.machine.cpu_percent
    used = "unknown" if percent is None else f"{percent:.1f} %"
    return f"{snapshot.sequence} of {snapshot.host.name} at {snapshot.time:%Y-%m-%dT%H:%M:%S}Z: CPU {used}"


def _html(text: str) -> str:
    return escape(printable(text))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
