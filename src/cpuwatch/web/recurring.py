"""Requests that come again in the same bytes, as those of a client that polls do.

Whether a request is let in, what it asks for, and so which of a tick's finished answers it gets, follows from its
bytes. To find that out costs several times what it takes to hand the answer over; so it is remembered until the next
tick.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from starlette.types import Message, Scope

from cpuwatch.web.age import age_header
from cpuwatch.web.answer import Answer
from cpuwatch.web.request_body import announces_body

__all__ = ["Recurring"]

_MOST_QUERIES = 8
_MOST_WITH_A_QUERY = 8
"""The headers of each are up to 16 KiB, and looking through these has to cost less than to find out anew."""


class Recurring:
    """The requests of this tick that were answered in full, by their bytes, with their answers."""

    def __init__(self) -> None:
        self._taken_ns = 0
        # To compare headers costs half as much as to hash them, which each time are new objects.
        self._answered: dict[bytes, list[_Answered]] = {}

    def messages(self, scope: Scope) -> tuple[Message, Message] | None:
        """What a server is to be sent (ASGI) for a request of the same bytes as one of this tick; None without one."""
        for known in self._answered.get(scope["query_string"], ()):
            if known.headers == scope["headers"] and known.path == scope["path"] and scope["method"] == "GET":
                age_ms = (time.monotonic_ns() - self._taken_ns) // 1_000_000
                # Under load several requests come within one millisecond.
                if age_ms != known.age_ms:
                    known.age_ms, known.answer_headers = age_ms, (*known.answer.headers, age_header(age_ms))
                # Middleware may write into a message, so each request has its own; headers that can be written into,
                # Starlette makes itself of what it finds there.
                return (
                    {"type": "http.response.start", "status": known.answer.status, "headers": known.answer_headers},
                    {"type": "http.response.body", "body": known.answer.body},
                )
        return None

    def remember(self, scope: Scope, answer: Answer) -> None:
        """Note the answer to a request that was let in, while there is room: who came first this tick is fast."""
        query: bytes = scope["query_string"]
        if scope["method"] != "GET" or announces_body(scope, dict(scope["headers"])):
            return
        if query in self._answered or len(self._answered) < _MOST_QUERIES:
            alike = self._answered.setdefault(query, [])
            if len(alike) < _MOST_WITH_A_QUERY:
                alike.append(_Answered(scope["headers"], scope["path"], answer))

    def begin(self, taken_ns: int) -> None:
        """Begin the tick whose snapshot was taken then, by ``time.monotonic_ns``."""
        self._taken_ns = taken_ns
        self._answered.clear()


class _Answered:
    """A request and its answer, with the headers as they are to be in this millisecond."""

    __slots__ = ("age_ms", "answer", "answer_headers", "headers", "path")

    def __init__(self, headers: Iterable[object], path: str, answer: Answer) -> None:
        self.headers = headers
        self.path = path
        self.answer = answer
        self.age_ms = -1
        self.answer_headers = answer.headers
