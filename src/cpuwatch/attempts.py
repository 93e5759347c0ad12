"""What the sampling thread calls and must survive: ticks and followers."""

from __future__ import annotations

import logging
import traceback
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
        self.failed: int = 0
        self.failure: str | None = None
        self._failed_with: type[BaseException] | None = None
        self._attempt = attempt
        self._work = work

    def make(self, attempt: Callable[[], object]) -> None:
        """Call ``attempt``; return normally whatever it raises."""
        try:
            attempt()
        except BaseException as error:  # noqa: BLE001  the outermost loop; SystemExit would end the thread in silence
            self._note_failure(error)
        else:
            if self.failure is not None:
                _log.info("%s works again, after %d failures in all", self._work, self.failed)
                self.failure = None

    def _note_failure(self, error: BaseException) -> None:
        # Not str(error), which may raise again.
        told = "".join(traceback.format_exception_only(error)).strip()
        failure = told.removeprefix(f"{type(error).__module__}.")
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
