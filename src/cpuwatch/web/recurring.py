"""Requests that come again in the same bytes, as those of a client that polls do.

Whether a request is let in, what it asks for, and so which of a tick's finished answers it gets, follows from its
bytes. To find that out costs several times what it takes to hand the answer over; so it is remembered until the next
tick.
"""

from __future__ import annotations

from contextlib import suppress

from starlette.types import Scope

from cpuwatch.web.answer import Answer
from cpuwatch.web.bounded import keep
from cpuwatch.web.request_body import announces_body

__all__ = ["Recurring"]

_MOST_REMEMBERED = 64
"""The headers of each are up to 16 KiB."""


class Recurring:
    """The requests of this tick that were answered in full, by their bytes, with their answers."""

    def __init__(self) -> None:
        self._answers: dict[tuple[object, ...], Answer] = {}

    def get(self, scope: Scope) -> Answer | None:
        """The answer that a request of the same bytes got in this tick; None if there was none."""
        try:
            return self._answers.get(_bytes_of(scope))
        except TypeError:
            # A server may hand headers over as lists (asgi.readthedocs.io/en/latest/specs/www.html), without a hash.
            return None

    def remember(self, scope: Scope, answer: Answer) -> None:
        """Note the answer to a request that was let in."""
        if scope["method"] == "GET" and not announces_body(scope, dict(scope["headers"])):
            with suppress(TypeError):
                keep(self._answers, _bytes_of(scope), answer, _MOST_REMEMBERED)

    def forget(self) -> None:
        """Begin a tick."""
        self._answers.clear()


def _bytes_of(scope: Scope) -> tuple[object, ...]:
    return (scope["method"], scope["path"], scope["query_string"], *scope["headers"])
