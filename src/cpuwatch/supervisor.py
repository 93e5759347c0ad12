"""Supervises the tasks that run as long as the service."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Supervisor"]

_FIRST_DELAY_SECONDS = 0.05
_MAX_DELAY_SECONDS = 1.0
_STEADY_SECONDS = 5.0
"""A task that has run for this long works: when it fails again, it is restarted without delay."""

_log = logging.getLogger("cpuwatch.web")


class Supervisor:
    """Restarts tasks that end, unless ``is_over`` returns true.

    ``restarts`` is the number of restarts, ``failure`` the last cause.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self.restarts: int = 0
        self.failure: str | None = None
        self._is_over = is_over

    async def keep_running(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run this work, and restart it whenever it ends, until it is cancelled or ``is_over`` returns true."""
        delay_seconds = _FIRST_DELAY_SECONDS
        while True:
            began_seconds = time.monotonic()
            # In a separate task: otherwise a stray CancelledError, such as that of a future whose executor is
            # closed, would look like the cancellation of this task.
            task = asyncio.create_task(work(), name=f"cpuwatch-{name}")
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                await asyncio.wait({task})
            if self._is_over():
                return
            self._note_end(name, task)
            if time.monotonic() - began_seconds >= _STEADY_SECONDS:
                delay_seconds = _FIRST_DELAY_SECONDS
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(2 * delay_seconds, _MAX_DELAY_SECONDS)

    def _note_end(self, name: str, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        cause = "was cancelled" if task.cancelled() else "ended" if error is None else f"failed: {error!r}"
        self.restarts += 1
        self.failure = f"the task {name!r} {cause}"
        _log.error("%s; restarting it (restart %d)", self.failure, self.restarts, exc_info=error)
