"""``/``: the page, whose table stands in it from the beginning, for it may have to do without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from html import escape
from importlib.resources import files
from string import Template

from starlette.types import Scope

from cpuwatch.encoding.table import missing_processes
from cpuwatch.model import ProcessUsage, Snapshot
from cpuwatch.query.cgroup_name import shown_names
from cpuwatch.query.select import Query, select
from cpuwatch.text import printable
from cpuwatch.web.http.request import header
from cpuwatch.web.http.response import Answer, problem
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.state import live

__all__ = ["PAGE", "Page"]

_ROWS = 50
_UNKNOWN = "\N{EN DASH}"

_HEADINGS = (
    ("PID", "number"),
    ("Name", "text"),
    ("User", "text"),
    ("State", "text"),
    ("CPU %", "number"),
    ("User %", "number"),
    ("System %", "number"),
    ("Exited %", "number"),
    ("CPU time", "number"),
    ("Unit", "text"),
)


PAGE = Operation(
    path="/",
    name="page",
    summary="The page for the browser.",
    content={"text/html": TEXT},
    problems=(404,),
    is_open=True,
)


class Page:
    """``GET /``: the busiest processes as a table, and the scripts that make more of it.

    Where a token is set, a browser cannot show it when it opens an address. It gets the page without any data then, and
    the scripts ask for the token.
    """

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
        state = live(scope)
        if not state.settings.page:
            return problem(404, "the page is switched off (CPUWATCH_PAGE)")
        token = state.settings.token
        may_read = token is None or token.matches(header(scope, b"authorization"))
        snapshot = state.views.snapshot if may_read else None
        shown = {
            "headings": _headings(),
            "host": "",
            "summary": "no data yet" if may_read else "this server needs a token",
            "footer": "",
            "missing": "",
            "rows": "",
        }
        if snapshot is not None:
            shown |= _filled(snapshot)
        return Answer.of(self._template.substitute(shown).encode(), "text/html; charset=utf-8")

    @cached_property
    def _template(self) -> Template:
        return Template((files("cpuwatch.web") / "page.html").read_text("utf-8"))


def _filled(snapshot: Snapshot) -> dict[str, str]:
    busiest = select(snapshot, Query(top=_ROWS)).processes
    units = shown_names({row.cgroup for row in snapshot.processes if row.cgroup is not None})
    machine = snapshot.machine
    return {
        "host": _text(snapshot.host.name),
        "summary": f"{_percent(machine.cpu_percent)} % of {snapshot.host.logical_cpus} CPUs busy, "
        f"{snapshot.time:%Y-%m-%d %H:%M:%S} UTC",
        "rows": "".join(_row(row, None if row.cgroup is None else units[row.cgroup]) for row in busiest),
        "missing": "\n".join(map(_text, missing_processes(snapshot.sampling))),
        "footer": f"The {len(busiest)} busiest of {len(snapshot.processes)} processes.",
    }


def _headings() -> str:
    return "".join(f'<th scope="col" class="{kind}">{text}</th>' for text, kind in _HEADINGS)


def _row(row: ProcessUsage, unit: str | None) -> str:
    cells: Iterable[str | None] = (
        str(row.pid),
        row.name,
        row.user,
        row.state,
        _percent(row.cpu_percent),
        _percent(row.user_percent),
        _percent(row.system_percent),
        _percent(row.exited_percent),
        f"{row.cpu_seconds:.2f} s",
        unit,
    )
    filled = (
        f'<td class="{kind}">{_text(_UNKNOWN if cell is None else cell)}</td>'
        for (_, kind), cell in zip(_HEADINGS, cells, strict=True)
    )
    return f"<tr>{''.join(filled)}</tr>\n"


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1f}"


def _text(text: str) -> str:
    """Text of the kernel's: what is no plain character is written as an escape, and what means markup too."""
    return escape(printable(text))
