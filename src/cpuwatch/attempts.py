"""Runs ticks and followers so that their exceptions do not end the sampling thread."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

__all__ = ["Attempts", "Follower"]

_log = logging.getLogger("cpuwatch.monitor")


class Attempts:
    """Counts failed attempts, and logs the first of each type of exception.

    ``failed`` is their number; ``failure`` is the cause if the last attempt failed. ``attempt`` and ``work`` are words
    for the log: "a tick failed, sampling continues".
    """

    def __init__(self, attempt: str, work: str) -> None:
        self.failed: int = 0
        self.failure: str | None = None
        self._failed_with: type[BaseException] | None = None
        self._attempt = attempt
        self._work = work

    def make(self, attempt: Callable[[], object]) -> None:
        """Call ``attempt``. Never raises, whatever ``attempt`` raises."""
        try:
            attempt()
        except BaseException as error:  # noqa: BLE001  the outermost loop; SystemExit would end the thread silently
            self._note_failure(error)
        else:
            if self.failure is not None:
                _log.info("%s works again, after %d failures in all", self._work, self.failed)
                self.failure = None

    def _note_failure(self, error: BaseException) -> None:
        # str(error) may raise.
        line = "".join(traceback.format_exception_only(error)).strip()
        failure = line.removeprefix(f"{type(error).__module__}.")
        # By type, because the message of one lasting failure may contain a number that changes.
        if self.failure is None or type(error) is not self._failed_with:
            _log.error("a %s failed, %s continues: %s", self._attempt, self._work, failure, exc_info=error)
        self._failed_with = type(error)
        self.failed += 1
        self.failure = failure


_Followed = TypeVar("_Followed")


class Follower(Generic[_Followed]):
    """Calls a function with every snapshot or tick, and counts the calls that failed."""

    def __init__(self, function: Callable[[_Followed], object]) -> None:
        self._function = function
        self._calls = Attempts("follower", "following")

    @property
    def failed(self) -> int:
        """The number of calls that raised."""
        return self._calls.failed

    def call(self, followed: _Followed) -> None:
        """Call the function. Never raises, whatever the function raises."""
        self._calls.make(partial(self._function, followed))
