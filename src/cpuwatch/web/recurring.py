"""Requests that come again in the same bytes, as those of a client that polls do.

Whether a request is let in, what it asks for, and so which of a tick's finished answers it gets, follows from its
bytes. To find that out costs several times what it takes to hand the answer over; so it is remembered until the next
tick.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope

from cpuwatch.web.answer import Answer
from cpuwatch.web.request_body import announces_body

__all__ = ["Recurring"]

_MOST_QUERIES = 8
_MOST_WITH_A_QUERY = 8
"""The headers of each are up to 16 KiB, and looking through these has to cost less than to find out anew."""


class Recurring:
    """The requests of this tick that were answered in full, by their bytes, with their answers."""

    def __init__(self) -> None:
        # To compare headers costs half as much as to hash them, which each time are new objects.
        self._answered: dict[bytes, list[tuple[Iterable[object], str, Answer]]] = {}

    def get(self, scope: Scope) -> Answer | None:
        """The answer that a request of the same bytes got in this tick; None if there was none."""
        for headers, path, answer in self._answered.get(scope["query_string"], ()):
            if headers == scope["headers"] and path == scope["path"] and scope["method"] == "GET":
                return answer
        return None

    def remember(self, scope: Scope, answer: Answer) -> None:
        """Note the answer to a request that was let in, while there is room: who came first this tick is fast."""
        query: bytes = scope["query_string"]
        if scope["method"] != "GET" or announces_body(scope, dict(scope["headers"])):
            return
        if query in self._answered or len(self._answered) < _MOST_QUERIES:
            alike = self._answered.setdefault(query, [])
            if len(alike) < _MOST_WITH_A_QUERY:
                alike.append((scope["headers"], scope["path"], answer))

    def forget(self) -> None:
        """Begin a tick."""
        self._answered.clear()
