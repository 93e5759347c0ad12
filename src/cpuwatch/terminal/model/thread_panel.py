"""The threads of a process, below the table. Pure."""

from __future__ import annotations

from cpuwatch.encoding.columns import aligned
from cpuwatch.encoding.table import cell
from cpuwatch.query.threads import THREAD_FIELDS
from cpuwatch.terminal.model.columns import name_of
from cpuwatch.terminal.model.rows import Item
from cpuwatch.terminal.model.text import UNKNOWN, Line, Screen, duration, fitted, percent
from cpuwatch.thread_usage import ThreadsSnapshot, ThreadUsage

__all__ = ["thread_lines"]

_COLUMNS = ("tid", "state", "last_cpu", "cpu_percent", "wait_percent", "cpu_seconds", "name")
_HEADINGS = tuple(THREAD_FIELDS[name].heading for name in _COLUMNS)
_DISPENSABLE = ("TIME", "LASTCPU", "S")


def thread_lines(row: Item, threads: ThreadsSnapshot | str | None, screen: Screen, height: int) -> list[Line]:
    """At most ``height`` lines: the process and the busiest of its threads, or why they are not shown."""
    title: Line = [
        ("bold", screen.shown(name_of(row))),
        ("dim", f"   PID {row.pid or UNKNOWN}   H details   Esc closes"),
    ]
    if not isinstance(threads, ThreadsSnapshot):
        text = "measuring ..." if threads is None else screen.shown(threads)
        return [fitted(line, screen.columns) for line in (title, [("warm", text)])]
    table = aligned(
        _HEADINGS,
        [_cells(each) for each in threads.threads[: max(1, height - 3)]],
        left={"NAME", "S"},
        dispensable=_DISPENSABLE,
        encoding=screen.encoding,
        width=screen.columns,
        min_last=8,
    )
    heading, *lines = table
    shown: list[Line] = [title, _sums(threads, len(lines)), [("dim", heading)], *([("", line)] for line in lines)]
    return [fitted(line, screen.columns) for line in shown[:height]]


def _cells(row: ThreadUsage) -> list[str]:
    return [
        duration(row.cpu_seconds) if name == "cpu_seconds" else cell(THREAD_FIELDS[name], getattr(row, name))
        for name in _COLUMNS
    ]


def _sums(threads: ThreadsSnapshot, shown: int) -> Line:
    line: Line = []
    for name, value in (
        ("CPU", percent(threads.cpu_percent)),
        ("ended threads", percent(threads.ended_percent)),
        ("waiting", percent(threads.wait_percent)),
        ("threads", str(threads.thread_count)),
    ):
        line += [("dim", f"{'  ' if line else ''}{name} "), ("", value)]
    hidden = threads.thread_count - shown
    return [*line, ("dim", f", {hidden} not shown")] if hidden else line
