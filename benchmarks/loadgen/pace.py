"""When requests are due. Pure: instants in, instants out, all in ns of one clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

__all__ = ["ClosedLoop", "FixedRate", "Pace"]


class Pace(Protocol):
    """Decides when requests are due, until ``ends_ns``."""

    ends_ns: int

    def take(self, now_ns: int) -> int | None:
        """The due time of the next request, if it has come. The request then counts as sent."""

    def next_ns(self, now_ns: int) -> int | None:
        """The due time of the next request; None after the last one."""

    def unsent_ns(self) -> Iterator[int]:
        """The due times of requests that were never taken."""


class ClosedLoop:
    """Each connection sends its next request when it has the response to the last."""

    def __init__(self, ends_ns: int) -> None:
        self.ends_ns = ends_ns

    def take(self, now_ns: int) -> int | None:
        return self.next_ns(now_ns)

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if now_ns < self.ends_ns else None

    def unsent_ns(self) -> Iterator[int]:
        return iter(())


class FixedRate:
    """Requests are due at equal intervals, whether or not the server keeps up.

    If it does not, they wait for a free connection and leave late. Requests that still wait ``patience_ns`` after the
    end are not sent.
    """

    def __init__(self, first_ns: int, ends_ns: int, per_second: float, patience_ns: int) -> None:
        self.ends_ns = ends_ns
        self._first_ns = first_ns
        self._per_second = per_second
        self._patience_ns = patience_ns
        self._taken = 0

    def take(self, now_ns: int) -> int | None:
        due_ns = self.next_ns(now_ns)
        if due_ns is None or due_ns > now_ns:
            return None
        self._taken += 1
        return due_ns

    def next_ns(self, now_ns: int) -> int | None:
        due_ns = self._due_ns(self._taken)
        return due_ns if due_ns < self.ends_ns and now_ns < self.ends_ns + self._patience_ns else None

    def unsent_ns(self) -> Iterator[int]:
        number = self._taken
        while (due_ns := self._due_ns(number)) < self.ends_ns:
            yield due_ns
            number += 1

    def _due_ns(self, number: int) -> int:
        return self._first_ns + round(number * 1e9 / self._per_second)
