"""The busiest processes as parts of an HTML page that works without scripts."""

from __future__ import annotations

from html import escape
from itertools import starmap

from cpuwatch.encoding.table import missing_processes
from cpuwatch.fields import FIELDS
from cpuwatch.model import ProcessUsage, Snapshot
from cpuwatch.query.cgroup_name import shown_names
from cpuwatch.query.select import Query, select
from cpuwatch.text import printable, time_text

__all__ = ["headings", "page_texts"]

_ROWS = 50
_UNKNOWN = "\N{EN DASH}"

_COLUMNS = (
    "pid",
    "name",
    "user",
    "state",
    "total_percent",
    "cpu_percent",
    "user_percent",
    "system_percent",
    "exited_percent",
    "cpu_seconds",
)
_UNIT = "Unit"
"""The only column that is not a field: the readable name of the cgroup."""


def page_texts(snapshot: Snapshot) -> dict[str, str]:
    """The parts of the page that depend on the snapshot, by name."""
    busiest = select(snapshot, Query(top=_ROWS)).processes
    units = shown_names({row.cgroup for row in snapshot.processes if row.cgroup is not None})
    machine = snapshot.machine
    return {
        "host": _text(snapshot.host.name),
        "summary": f"{_percent(machine.cpu_percent)} % of {snapshot.host.logical_cpus} CPUs busy, "
        f"{time_text(snapshot.time)}",
        "rows": "".join(_row(row, None if row.cgroup is None else units[row.cgroup]) for row in busiest),
        "missing": "\n".join(map(_text, missing_processes(snapshot.sampling))),
        "footer": f"The {len(busiest)} busiest of {len(snapshot.processes)} processes.",
    }


def headings() -> str:
    """The cells of the head of the table."""
    titles = [(FIELDS[name].title, _kind(name)) for name in _COLUMNS]
    return "".join(f'<th scope="col" class="{kind}">{title}</th>' for title, kind in [*titles, (_UNIT, "text")])


def _row(row: ProcessUsage, unit: str | None) -> str:
    cells = [(_formatted(name, getattr(row, name)), _kind(name)) for name in _COLUMNS]
    return f"<tr>{''.join(starmap(_cell, [*cells, (unit, 'text')]))}</tr>\n"


def _cell(text: str | None, kind: str) -> str:
    return f'<td class="{kind}">{_text(_UNKNOWN if text is None else text)}</td>'


def _kind(name: str) -> str:
    return "text" if FIELDS[name].type == "text" else "number"


def _formatted(name: str, value: str | float | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    match FIELDS[name].unit:
        case "percent":
            return _percent(value)
        case "seconds":
            return f"{value:.2f} s"
        case None:
            return str(value)


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1f}"


def _text(text: str) -> str:
    """Make a name from the kernel safe in HTML: escape control characters, then markup."""
    return escape(printable(text))
