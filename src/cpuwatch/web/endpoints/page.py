"""``/``: the page. It contains a table of the busiest processes, so it works without scripts."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from itertools import starmap
from string import Template
from typing import ClassVar

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.table import missing_processes
from cpuwatch.fields import FIELDS
from cpuwatch.model import ProcessUsage, Snapshot
from cpuwatch.query.cgroup_name import shown_names
from cpuwatch.query.select import Query, select
from cpuwatch.text import printable, time_text
from cpuwatch.web.http.request import header
from cpuwatch.web.http.response import Answer, problem
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.state import live

__all__ = ["PAGE", "PageResponse", "page"]

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
"""The only column that is no field: the readable name of the cgroup."""


PAGE = Operation(
    path="/",
    name="page",
    summary="The page for the browser.",
    content={"text/html": TEXT},
    problems=(404,),
    is_open=True,
)


class PageResponse(Struct, frozen=True):
    """The page with the busiest processes (:class:`~cpuwatch.web.response_cache.Representation`)."""

    is_made_ahead: ClassVar[bool] = False

    def make(self, snapshot: Snapshot) -> Answer:
        """The page for this snapshot."""
        return _page(**_filled(snapshot))


async def page(scope: Scope) -> Answer:
    """``GET /``: the busiest processes as a table, and the scripts that turn it into the live page.

    If a token is set, a browser cannot send it when it opens an address. It gets the page without data, and the scripts
    ask for the token.
    """
    state = live(scope)
    if not state.settings.page:
        return problem(404, "the page is switched off (CPUWATCH_PAGE)")
    token = state.settings.token
    if token is not None and not token.matches(header(scope, b"authorization")):
        return _page(summary="this server requires a token")
    return await state.cache.get(PageResponse()) or _page(summary="no data yet")


def _page(**shown: str) -> Answer:
    empty = {"host": "", "summary": "", "footer": "", "missing": "", "rows": ""}
    html = _template().substitute(empty | {"headings": _headings()} | shown)
    return Answer.of(html.encode(), "text/html; charset=utf-8")


@cache
def _template() -> Template:
    return Template((files("cpuwatch.web") / "page.html").read_text("utf-8"))


def _filled(snapshot: Snapshot) -> dict[str, str]:
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


def _headings() -> str:
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
    """Makes a name from the kernel safe in HTML: escapes control characters, then markup."""
    return escape(printable(text))
