"""The intervals that wait for a receiver: a bounded queue that drops the oldest first."""

from __future__ import annotations

import threading
from collections import deque

from cpuwatch.encoding.metric_points import Interval, merged

__all__ = ["Outbox"]


class Outbox:
    """A queue of at most ``places`` intervals.

    If it is full, the oldest interval is dropped: the next one then begins where it began. So what was used in it is
    not lost, only when.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: deque[Interval] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self.dropped: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, interval: Interval) -> None:
        """Add the newest interval. Never waits for a receiver."""
        with self._changed:
            self._waiting.append(interval)
            if len(self._waiting) > self._places:
                self._drop(self._waiting.popleft())
            self._changed.notify()

    def put_back(self, interval: Interval) -> None:
        """Return the oldest interval, which could not be sent."""
        with self._changed:
            if len(self._waiting) >= self._places:
                self._drop(interval)
            else:
                self._waiting.appendleft(interval)

    def take(self) -> Interval | None:
        """Remove and return the oldest interval; waits for one. None when the outbox is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """No more intervals come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _drop(self, oldest: Interval) -> None:
        self.dropped += 1
        self._waiting[0] = merged(oldest, self._waiting[0])
