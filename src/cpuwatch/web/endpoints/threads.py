"""``/cpu_usage/{pid}/threads``: the threads of one process, which are only read when a client asks for them."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.formats import FORMAT, FORMATS
from cpuwatch.encoding.threads import THREAD_ENCODERS
from cpuwatch.errors import (
    NotFoundError,
    NotPermittedError,
    QueryError,
    SamplerError,
    SamplerUnavailableError,
)
from cpuwatch.query.parameters import PID, parse_query_string
from cpuwatch.query.threads import THREADS, select_threads
from cpuwatch.thread_usage import ThreadsSnapshot
from cpuwatch.web.access.limits import client_of, refused
from cpuwatch.web.endpoints.cpu_usage import chosen_format
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import headers
from cpuwatch.web.http.response import CODINGS, Answer, coded, no_snapshot_yet, problem
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.state import live
from cpuwatch.web.thread_watch import ThreadWatch

__all__ = ["THREADS_OF_PROCESS", "threads"]

_PARAMETERS = {**THREADS, **FORMAT}
_AT = re.compile(rb"(?:^|&)at=")
_NOT_RECORDED = "threads are not recorded: they are only read on a running machine, while a client asks for them"

THREADS_OF_PROCESS = Operation(
    path="/cpu_usage/{pid}/threads",
    name="threads",
    summary="The threads of one process since the last request for them, or else in the next half second.",
    content={chosen.media_type: ThreadsSnapshot if chosen.name == "json" else TEXT for chosen in FORMATS.values()},
    headers=("Vary", "Content-Encoding"),
    problems=(403, 404, 406, 429, 503),
    in_path=PID,
    query=_PARAMETERS,
    request_headers=("Accept-Encoding",),
)


class _ThreadsResponse(Struct, frozen=True):
    """Some threads in a format and a content coding (:class:`~cpuwatch.web.thread_watch.ThreadRepresentation`)."""

    values: tuple[tuple[str, str | int], ...]
    format: str
    coding: str

    def make(self, snapshot: ThreadsSnapshot) -> Answer:
        body, encoding = coded(THREAD_ENCODERS[self.format](select_threads(snapshot, dict(self.values))), self.coding)
        headers = [("vary", "accept, accept-encoding"), *encoding]
        return Answer.of(body, FORMATS[self.format].content_type, headers=headers)


async def threads(scope: Scope) -> Answer:
    """``GET /cpu_usage/{pid}/threads``: what each thread of the process used, and how long it waited for a CPU."""
    try:
        pid = PID["pid"].parse(scope["path_params"]["pid"])
    except ValueError as error:
        return problem(400, str(error))
    fields = headers(scope)
    selected = _selected(scope["query_string"], fields.get(b"accept"), fields.get(b"accept-encoding"))
    state = live(scope)
    if state.threads is None:
        return problem(404, _NOT_RECORDED)
    if state.cache.snapshot is None:
        return no_snapshot_yet()
    return await _measured(state.threads, pid, client_of(scope, state.settings.proxies), selected)


async def _measured(watch: ThreadWatch, pid: int, client: str | None, selected: _ThreadsResponse) -> Answer:
    try:
        return await watch.get(pid, client, selected)
    except (NotFoundError, SamplerUnavailableError) as error:
        return problem(404, str(error))
    except NotPermittedError as error:
        return problem(403, str(error))
    except SamplerError as error:
        return refused(503, str(error), 1)


@lru_cache(maxsize=256)
def _selected(query_string: bytes, accept: bytes | None, accept_encoding: bytes | None) -> _ThreadsResponse:
    """The representation that a request selects.

    Raises :class:`~cpuwatch.errors.QueryError`, or :class:`~cpuwatch.errors.NotAcceptableError`.
    """
    if _AT.search(query_string):
        raise QueryError(f"at does not apply to threads: {_NOT_RECORDED}")
    values = parse_query_string(query_string, _PARAMETERS)
    format_name = chosen_format(values.pop("format", None), accept)
    coding = choose_coding(None if accept_encoding is None else accept_encoding.decode("latin-1"), list(CODINGS))
    return _ThreadsResponse(tuple(sorted(values.items())), format_name, coding)
