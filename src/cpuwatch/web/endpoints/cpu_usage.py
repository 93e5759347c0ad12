"""``/cpu_usage``: the usage of every process; ``/cpu_usage/{pid}``: that of one process."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar
from urllib.parse import quote

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.accounting.cgroups import path_with_ancestors
from cpuwatch.encoding.formats import FORMAT, FORMATS
from cpuwatch.encoding.json import encode
from cpuwatch.encoding.rounded import rounded_rows
from cpuwatch.model import BusyProcess, CgroupUsage, ProcessUsage, Snapshot
from cpuwatch.query.crowd import crowd_of_process
from cpuwatch.query.parameters import AT, PID, VIEW, parse_query_string, view_from
from cpuwatch.query.view import View, apply_view
from cpuwatch.text import time_text
from cpuwatch.web.http.negotiation import accepted, choose_coding
from cpuwatch.web.http.request import headers, wait_seconds
from cpuwatch.web.http.response import CODINGS, Answer, coded, no_snapshot_yet, problem
from cpuwatch.web.openapi.operation import SHOWN, TEXT, Operation
from cpuwatch.web.response_cache import etag_of
from cpuwatch.web.state import live

__all__ = [
    "ALL_PROCESSES",
    "ONE_PROCESS",
    "REDIRECT",
    "ProcessResponse",
    "ViewResponse",
    "all_processes",
    "chosen_format",
    "one_process",
    "redirect",
    "redirection",
    "selected_view",
]

_PARAMETERS = {**VIEW, **FORMAT, **AT}
_MEDIA_TYPES = {chosen.media_type: chosen.name for chosen in FORMATS.values()}


class OneProcess(Struct, frozen=True, gc=False):
    """The body of ``/cpu_usage/{pid}``.

    ``crowded_by`` are the busiest processes if ``process`` is crowded, itself among them if it wants more than one CPU.
    ``cgroups`` are those that contain it, innermost first.
    """

    sequence: int
    time: datetime
    interval_seconds: float
    process: ProcessUsage
    crowded_by: list[BusyProcess]
    cgroups: list[CgroupUsage]


ALL_PROCESSES = Operation(
    path="/cpu_usage",
    name="cpu_usage",
    summary="The newest snapshot, or the one at a time: "
    "the machine, where its time went, every process, and the exited ones.",
    content={chosen.media_type: SHOWN if chosen.name == "json" else TEXT for chosen in FORMATS.values()},
    headers=("Server-Timing", "Preference-Applied"),
    problems=(404, 406, 503),
    query=_PARAMETERS,
    request_headers=("Prefer",),
    is_conditional=True,
)
ONE_PROCESS = Operation(
    path="/cpu_usage/{pid}",
    name="one_process",
    summary="One process of the newest snapshot.",
    content={"application/json": OneProcess},
    problems=(404, 503),
    in_path=PID,
)
REDIRECT = Operation(
    path="/cpu usage",
    name="redirect",
    summary="Redirects to /cpu_usage.",
    content={},
    status=308,
    headers=("Location",),
)


class ViewResponse(Struct, frozen=True, cache_hash=True):
    """A view in a format and a content coding (:class:`~cpuwatch.web.response_cache.Representation`)."""

    view: View
    format: str
    coding: str
    is_made_ahead: ClassVar[bool] = True

    def make(self, snapshot: Snapshot) -> Answer:
        """The response for this snapshot."""
        chosen = FORMATS[self.format]
        body, encoding = coded(chosen.encode(apply_view(snapshot, self.view), self.view.fields), self.coding)
        headers = [("vary", "accept, accept-encoding"), *encoding]
        return Answer.of(body, chosen.content_type, headers=headers, etag=etag_of(snapshot, self))


class ProcessResponse(Struct, frozen=True):
    """The row of one process (:class:`~cpuwatch.web.response_cache.Representation`)."""

    pid: int
    is_made_ahead: ClassVar[bool] = False

    def make(self, snapshot: Snapshot) -> Answer:
        """The response for this snapshot."""
        row = next((row for row in snapshot.processes if row.pid == self.pid), None)
        if row is None:
            return problem(404, f"there was no process {self.pid} at {time_text(snapshot.time)}")
        paths = [] if row.cgroup is None else path_with_ancestors(row.cgroup)
        cgroups = {cgroup.path: cgroup for cgroup in snapshot.cgroups}
        body = OneProcess(
            snapshot.sequence,
            snapshot.time,
            snapshot.interval_seconds,
            rounded_rows([row])[0],
            rounded_rows(crowd_of_process(row, snapshot.machine)),
            rounded_rows([cgroups[path] for path in paths if path in cgroups]),
        )
        (body,) = rounded_rows([body])
        return Answer.of(encode(body), "application/json")


async def all_processes(scope: Scope) -> Answer:
    """``GET /cpu_usage``: a view of the newest snapshot, or of the one ``at`` a time.

    A client that already has it and sends ``Prefer: wait`` gets the next one (RFC 7240, 4.3).
    """
    cache = live(scope).cache
    fields = headers(scope)
    selected, at = selected_view(scope["query_string"], fields.get(b"accept"), fields.get(b"accept-encoding"))
    known = fields.get(b"if-none-match")
    if at is not None:
        return (await _of_the_past(scope, at, selected)).unless_known(known)
    answer = cache.made(selected) or await cache.get(selected)
    if answer is None:
        return no_snapshot_yet()
    if known is not None:
        answer = answer.unless_known(known)
        if answer.status == 304 and (seconds := wait_seconds(fields.get(b"prefer"))) is not None:
            answer = await _newer(scope, selected, answer, seconds)
    return answer.with_header(b"server-timing", cache.age())


@lru_cache(maxsize=256)
def selected_view(
    query_string: bytes, accept: bytes | None, accept_encoding: bytes | None
) -> tuple[ViewResponse, datetime | None]:
    """The representation that a request selects, and the time of its snapshot; None for the newest.

    Raises :class:`~cpuwatch.errors.QueryError`, or :class:`~cpuwatch.errors.NotAcceptableError`.
    """
    values = parse_query_string(query_string, _PARAMETERS)
    format_name = chosen_format(values.get("format"), accept)
    response = ViewResponse(view_from(values), format_name, choose_coding(_text(accept_encoding), list(CODINGS)))
    return response, values.get("at")


def chosen_format(given: str | None, accept: bytes | None) -> str:
    """The ``given`` name of a format, or that of the media type that the client prefers.

    Raises :class:`~cpuwatch.errors.NotAcceptableError`.
    """
    if given is not None:
        return given
    alternative = f", or ?format={'|'.join(FORMATS)}"
    return _MEDIA_TYPES[accepted(_text(accept), list(_MEDIA_TYPES), alternative)]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


async def _of_the_past(scope: Scope, at: datetime, representation: ViewResponse) -> Answer:
    state = live(scope)

    def read() -> Answer:
        past = state.past
        snapshot = past.at(at)
        if snapshot is not None:
            age_ms = max(0, int((datetime.now(UTC) - snapshot.time).total_seconds() * 1000))
            return representation.make(snapshot).with_header(b"server-timing", b"age;dur=%d" % age_ms)
        oldest = next(iter(past), None)
        known = "there are no snapshots" if oldest is None else f"the oldest snapshot is of {time_text(oldest.time)}"
        return problem(404, f"there is no snapshot at or before {time_text(at)}: {known}")

    return await state.cache.read_past(read)


async def _newer(scope: Scope, representation: ViewResponse, answer: Answer, seconds: int) -> Answer:
    """Wait this long for the next snapshot, and return its response, or else the same one."""
    state = live(scope)
    state.heed_server_stop()
    if await state.cache.wait(state.cache.newest_sequence, seconds) is not None:
        answer = await state.cache.get(representation) or answer
    return answer.with_header(b"preference-applied", b"wait=%d" % seconds)


async def one_process(scope: Scope) -> Answer:
    """``GET /cpu_usage/{pid}``: the row of one process in the newest snapshot."""
    try:
        pid = PID["pid"].parse(scope["path_params"]["pid"])
    except ValueError as error:
        return problem(400, str(error))
    return await live(scope).cache.get(ProcessResponse(pid)) or no_snapshot_yet()


async def redirect(scope: Scope) -> Answer:
    """Redirects ``/cpu usage``, as a person may type it, to ``/cpu_usage``."""
    return redirection(scope, "/cpu_usage")


def redirection(scope: Scope, path: str) -> Answer:
    """Redirects to another path, under the same prefix and with the same query."""
    query = scope["query_string"].decode("latin-1")
    target = quote(scope.get("root_path", "") + path) + (f"?{query}" if query else "")
    return Answer.of(b"", "text/plain; charset=utf-8", 308, [("location", target)])
