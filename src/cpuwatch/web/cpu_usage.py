"""``/cpu_usage``: the usage of every process; ``/cpu_usage/{pid}``: that of one."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.json import encode
from cpuwatch.errors import NotAcceptableError, QueryError
from cpuwatch.model import ProcessUsage
from cpuwatch.web.answer import Answer
from cpuwatch.web.prefer import wait_seconds
from cpuwatch.web.problem import nothing_yet, problem
from cpuwatch.web.requested import header, requested_aspect
from cpuwatch.web.state import live
from cpuwatch.web.views import Aspect

__all__ = ["AllProcesses", "one_process", "redirect"]

_MOST_UNDERSTOOD = 256
_HIGHEST_PID = 2**31 - 1
"""Of any system; Linux stops at 2**22 (PID_MAX_LIMIT in include/linux/threads.h)."""


class OneProcess(Struct, frozen=True, gc=False):
    """The body of ``/cpu_usage/{pid}``."""

    sequence: int
    time: datetime
    interval_seconds: float
    process: ProcessUsage


class AllProcesses:
    """``GET /cpu_usage``: a view of the newest snapshot.

    What one client asks for, in bytes, is understood once and remembered: the next request of the same kind costs a
    lookup.

    Who has it already, and says ``Prefer: wait``, is answered when there is something newer (RFC 7240, 4.3).
    """

    def __init__(self) -> None:
        self._understood: dict[tuple[bytes | None, ...], Aspect] = {}

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
        views = live(scope).views
        asked = (scope["query_string"], header(scope, b"accept"), header(scope, b"accept-encoding"))
        try:
            aspect = self._aspect(*asked)
            answer = views.answer(aspect)
        except QueryError as error:
            return problem(400, str(error))
        except NotAcceptableError as error:
            return problem(406, str(error))
        if answer is None:
            return nothing_yet()
        known = header(scope, b"if-none-match")
        if known is not None:
            answer = answer.unless_known(known)
            if answer.status == 304 and (seconds := wait_seconds(header(scope, b"prefer"))) is not None:
                answer = await _newer(scope, aspect, answer, seconds)
        return answer.with_header(b"server-timing", b"age;dur=%d" % views.age_ms)

    def _aspect(self, query_string: bytes, accept: bytes | None, accept_encoding: bytes | None) -> Aspect:
        asked = (query_string, accept, accept_encoding)
        aspect = self._understood.get(asked)
        if aspect is None:
            aspect = requested_aspect(*asked)
            if len(self._understood) >= _MOST_UNDERSTOOD:
                self._understood.clear()
            self._understood[asked] = aspect
        return aspect


async def _newer(scope: Scope, aspect: Aspect, answer: Answer, seconds: int) -> Answer:
    """What comes within these seconds; without anything new the same answer."""
    state = live(scope)
    state.heed_server_stop()
    newer = await state.views.wait(after=state.views.newest_sequence, timeout=seconds) and state.views.answer(aspect)
    return (newer or answer).with_header(b"preference-applied", b"wait=%d" % seconds)


async def one_process(scope: Scope) -> Answer:
    """The row of one process in the newest snapshot."""
    text = scope["path_params"]["pid"]
    pid = _parse_pid(text)
    if pid is None:
        return problem(400, f"{text[:32]!r} is no PID: that is a whole number from 1 to {_HIGHEST_PID}")
    snapshot = live(scope).views.snapshot
    if snapshot is None:
        return nothing_yet()
    row = next((row for row in snapshot.processes if row.pid == pid), None)
    if row is None:
        return problem(404, f"there was no process {pid} at {snapshot.time.isoformat()}")
    body = OneProcess(snapshot.sequence, snapshot.time, snapshot.interval_seconds, row)
    return Answer.of(encode(body), "application/json")


def _parse_pid(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_PID))):
        return None
    pid = int(text)
    return pid if 0 < pid <= _HIGHEST_PID else None


async def redirect(scope: Scope) -> Answer:
    """From ``/cpu usage``, as a person may type it, to ``/cpu_usage``."""
    query = scope["query_string"].decode("latin-1")
    target = scope.get("root_path", "") + "/cpu_usage" + (f"?{query}" if query else "")
    return Answer.of(b"", "text/plain; charset=utf-8", 308, [("location", target)])
