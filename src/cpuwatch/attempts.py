"""What the sampling thread calls and must survive: ticks and followers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from cpuwatch.model import Snapshot

__all__ = ["Attempts", "Follower"]

_log = logging.getLogger("cpuwatch.monitor")


class Attempts:
    """Attempts that may fail without ending the thread. The first failure of each kind is logged.

    ``failed`` counts them; ``failure`` is the cause while the last attempt failed. ``attempt`` and ``work`` are the
    words for the log: "a tick failed, sampling goes on".
    """

    def __init__(self, attempt: str, work: str) -> None:
        self.failed = 0
        self.failure: str | None = None
        self._failed_with: type[Exception] | None = None
        self._attempt = attempt
        self._work = work

    def make(self, attempt: Callable[[], object]) -> None:
        """Call ``attempt``; return normally whatever it raises."""
        try:
            attempt()
        except Exception as error:  # noqa: BLE001  the outermost loop: whatever a backend or follower does, it goes on
            self._note_failure(error)
        else:
            if self.failure is not None:
                _log.info("%s works again, after %d failures in all", self._work, self.failed)
                self.failure = None

    def _note_failure(self, error: Exception) -> None:
        failure = f"{type(error).__name__}: {error}"
        # Compared by type: the message may hold a number that changes, and this is one event.
        if self.failure is None or type(error) is not self._failed_with:
            _log.error("a %s failed, %s goes on: %s", self._attempt, self._work, failure, exc_info=error)
        self._failed_with = type(error)
        self.failed += 1
        self.failure = failure


class Follower:
    """A function that is called with every snapshot, and how many of its calls failed."""

    def __init__(self, function: Callable[[Snapshot], object]) -> None:
        self._function = function
        self._calls = Attempts("follower", "following")

    @property
    def failed(self) -> int:
        """Calls that raised."""
        return self._calls.failed

    def call(self, snapshot: Snapshot) -> None:
        """Return normally whatever the function raises."""
        self._calls.make(partial(self._function, snapshot))
