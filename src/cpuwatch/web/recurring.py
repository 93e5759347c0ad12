"""Requests that come again in the same bytes, as those of a client that polls do.

Whether a request is let in, what it asks for, and so which of a tick's finished answers it gets, follows from its
bytes. To find that out costs several times what it takes to hand the answer over; so it is remembered until the next
tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from starlette.types import Scope

from cpuwatch.web.age import age_header
from cpuwatch.web.answer import Answer
from cpuwatch.web.request_body import announces_body

__all__ = ["Answered", "Recurring"]

_MOST_QUERIES = 8
_MOST_WITH_A_QUERY = 8
"""The headers of each are up to 16 KiB, and looking through these has to cost less than to find out anew."""


class Answered:
    """A request that was answered in full, with 200, and the answer."""

    # Between two requests the server's own work fills the processor's caches. What costs here is mostly to fetch the
    # objects again, so the fewer have to be looked at, the better.
    __slots__ = ("_taken_seconds", "_without_age", "answer_headers", "body", "headers", "holds_until", "path")

    def __init__(self, scope: Scope, answer: Answer, taken_seconds: float) -> None:
        self.headers: Iterable[object] = scope["headers"]
        self.path: str = scope["path"]
        self.body = answer.body
        self.answer_headers = self._without_age = answer.headers
        self.holds_until = 0.0
        self._taken_seconds = taken_seconds

    def write_age(self, now_seconds: float) -> None:
        """Make the headers of the answer as they are to be in this millisecond."""
        age_ms = int((now_seconds - self._taken_seconds) * 1000)
        self.answer_headers = (*self._without_age, age_header(age_ms))
        self.holds_until = self._taken_seconds + (age_ms + 1) / 1000


class Recurring:
    """The requests of this tick that were answered in full, by their bytes, with their answers."""

    def __init__(self) -> None:
        self._taken_seconds = 0.0
        # To compare headers costs half as much as to hash them, which each time are new objects.
        self._answered: dict[bytes, list[Answered]] = {}

    def __getitem__(self, scope: Scope) -> Answered:
        """What a request of the same bytes got in this tick, with the age that it has now.

        Raises ``KeyError`` for any other, which costs nothing where it is not raised.
        """
        for known in self._answered[scope["query_string"]]:
            if known.headers == scope["headers"] and known.path == scope["path"] and scope["method"] == "GET":
                now_seconds = monotonic()
                # Under load several requests come within one millisecond.
                if now_seconds >= known.holds_until:
                    known.write_age(now_seconds)
                return known
        raise KeyError

    def remember(self, scope: Scope, answer: Answer) -> None:
        """Note the answer to a request that was let in, while there is room: who came first this tick is fast."""
        query: bytes = scope["query_string"]
        if scope["method"] != "GET" or announces_body(scope, dict(scope["headers"])):
            return
        if query in self._answered or len(self._answered) < _MOST_QUERIES:
            alike = self._answered.setdefault(query, [])
            if len(alike) < _MOST_WITH_A_QUERY:
                alike.append(Answered(scope, answer, self._taken_seconds))

    def begin(self, taken_seconds: float) -> None:
        """Begin the tick whose snapshot was taken then, by ``time.monotonic``."""
        self._taken_seconds = taken_seconds
        self._answered.clear()
