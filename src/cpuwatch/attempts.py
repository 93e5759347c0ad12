"""Runs ticks and followers so that their exceptions do not end the sampling thread."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

__all__ = ["Attempts", "Followers"]

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


class Followers(Generic[_Followed]):
    """Functions that are called with every snapshot or tick, in the order in which they were added.

    An exception in one affects neither the others nor the caller.
    """

    def __init__(self) -> None:
        self._functions: list[tuple[Callable[[_Followed], object], Attempts]] = []

    @property
    def failed(self) -> int:
        """The number of calls that raised."""
        return sum(attempts.failed for _, attempts in self._functions)

    def add(self, function: Callable[[_Followed], object]) -> None:
        """Call this function too. Any thread may add one."""
        self._functions.append((function, Attempts("follower", "following")))

    def call(self, followed: _Followed) -> None:
        """Call all functions. Never raises, whatever they raise."""
        for function, attempts in tuple(self._functions):
            attempts.make(partial(function, followed))
