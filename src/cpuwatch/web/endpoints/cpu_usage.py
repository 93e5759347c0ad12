"""``/cpu_usage``: the usage of every process; ``/cpu_usage/{pid}``: that of one."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.formats import FORMAT, FORMATS
from cpuwatch.encoding.json import encode
from cpuwatch.errors import NotAcceptableError, QueryError
from cpuwatch.model import ProcessUsage
from cpuwatch.query.parameters import PID, VIEW, view_from
from cpuwatch.web.http.negotiation import choose_coding, choose_media_type
from cpuwatch.web.http.request import headers, parse_query_string, wait_seconds
from cpuwatch.web.http.response import CODINGS, Answer, no_snapshot_yet, problem
from cpuwatch.web.openapi.operation import SHOWN, TEXT, Operation
from cpuwatch.web.response_cache import Aspect
from cpuwatch.web.state import live

__all__ = [
    "ALL_PROCESSES",
    "ONE_PROCESS",
    "REDIRECT",
    "AllProcesses",
    "one_process",
    "redirect",
    "redirection",
    "requested_aspect",
]

_MOST_UNDERSTOOD = 256
_PARAMETERS = {**VIEW, **FORMAT}
_MEDIA_TYPES = {chosen.media_type: chosen.name for chosen in FORMATS.values()}


class OneProcess(Struct, frozen=True, gc=False):
    """The body of ``/cpu_usage/{pid}``."""

    sequence: int
    time: datetime
    interval_seconds: float
    process: ProcessUsage


ALL_PROCESSES = Operation(
    path="/cpu_usage",
    name="cpu_usage",
    summary="The newest snapshot: the machine, where its time went, every process, and the exited ones.",
    content={chosen.media_type: SHOWN if chosen.name == "json" else TEXT for chosen in FORMATS.values()},
    headers=("Server-Timing", "Preference-Applied"),
    problems=(406, 503),
    query={**VIEW, **FORMAT},
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


class AllProcesses:
    """``GET /cpu_usage``: a view of the newest snapshot.

    What is asked for is understood once and remembered by the bytes that say it: the next request that says the same
    costs a lookup.

    Who has it already, and says ``Prefer: wait``, is answered when there is something newer (RFC 7240, 4.3).
    """

    def __init__(self) -> None:
        self._understood: dict[tuple[bytes | None, ...], Aspect] = {}

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
        views = live(scope).views
        fields = headers(scope)
        asked = (scope["query_string"], fields.get(b"accept"), fields.get(b"accept-encoding"))
        try:
            aspect = self._aspect(*asked)
            answer = await views.answer(aspect)
        except QueryError as error:
            return problem(400, str(error))
        except NotAcceptableError as error:
            return problem(406, str(error))
        if answer is None:
            return no_snapshot_yet()
        known = fields.get(b"if-none-match")
        if known is not None:
            answer = answer.unless_known(known)
            if answer.status == 304 and (seconds := wait_seconds(fields.get(b"prefer"))) is not None:
                answer = await _newer(scope, aspect, answer, seconds)
        return answer.with_header(*views.age_header)

    def _aspect(self, query_string: bytes, accept: bytes | None, accept_encoding: bytes | None) -> Aspect:
        asked = (query_string, accept, accept_encoding)
        aspect = self._understood.get(asked)
        if aspect is None:
            aspect = requested_aspect(*asked)
            if len(self._understood) >= _MOST_UNDERSTOOD:
                self._understood.clear()
            self._understood[asked] = aspect
        return aspect


def requested_aspect(query_string: bytes, accept: bytes | None, accept_encoding: bytes | None) -> Aspect:
    """The representation that a request selects.

    Raises :class:`~cpuwatch.errors.QueryError`, or :class:`~cpuwatch.errors.NotAcceptableError`.
    """
    values = parse_query_string(query_string, _PARAMETERS)
    view = view_from(values)
    chosen = values.get("format") or _accepted(accept)
    coding = choose_coding(_text(accept_encoding), list(CODINGS))
    return Aspect(view, chosen, coding)


def _accepted(accept: bytes | None) -> str:
    media_type = choose_media_type(_text(accept), list(_MEDIA_TYPES))
    if media_type is None:
        raise NotAcceptableError(f"available formats: {', '.join(_MEDIA_TYPES)}, or ?format={'|'.join(FORMATS)}")
    return _MEDIA_TYPES[media_type]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


async def _newer(scope: Scope, aspect: Aspect, answer: Answer, seconds: int) -> Answer:
    """What comes within these seconds; without anything new the same answer."""
    state = live(scope)
    state.heed_server_stop()
    after = state.views.newest_sequence
    newer = await state.views.wait(after, seconds) and await state.views.answer(aspect)
    return (newer or answer).with_header(b"preference-applied", b"wait=%d" % seconds)


async def one_process(scope: Scope) -> Answer:
    """The row of one process in the newest snapshot."""
    try:
        pid = PID["pid"].parse(scope["path_params"]["pid"])
    except ValueError as error:
        return problem(400, str(error))
    snapshot = live(scope).views.snapshot
    if snapshot is None:
        return no_snapshot_yet()
    row = next((row for row in snapshot.processes if row.pid == pid), None)
    if row is None:
        return problem(404, f"there was no process {pid} at {snapshot.time.isoformat()}")
    body = OneProcess(snapshot.sequence, snapshot.time, snapshot.interval_seconds, row)
    return Answer.of(encode(body), "application/json")


async def redirect(scope: Scope) -> Answer:
    """From ``/cpu usage``, as a person may type it, to ``/cpu_usage``."""
    return redirection(scope, "/cpu_usage")


def redirection(scope: Scope, path: str) -> Answer:
    """Redirects to another path, under the same prefix and with the same query."""
    query = scope["query_string"].decode("latin-1")
    target = quote(scope.get("root_path", "") + path) + (f"?{query}" if query else "")
    return Answer.of(b"", "text/plain; charset=utf-8", 308, [("location", target)])
