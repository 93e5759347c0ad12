"""Threads for work that would block the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ["FixedThreads"]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class FixedThreads:
    """A fixed number of threads, all started by :meth:`start`.

    ``asyncio.to_thread`` starts threads on demand, which fails when a limit on processes has been reached
    (``pids.max``, ``RLIMIT_NPROC``). These threads exist from the start.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._executor = ThreadPoolExecutor(number, f"cpuwatch-{name}")

    def start(self) -> None:
        """Start all threads. Raises ``RuntimeError`` if one cannot be started."""
        all_started = threading.Barrier(self._number)
        try:
            # An idle thread would take the next task, and no new one would be started.
            started = [self._executor.submit(all_started.wait) for _ in range(self._number)]
        except RuntimeError:
            all_started.abort()
            raise
        for task in started:
            task.result()

    def close(self) -> None:
        """End the threads after their current work."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(
        self, work: Callable[_Parameters, _Result], /, *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        """Run ``work`` in one of the threads, or in this one if they do not accept it, and return its result."""
        try:
            result = self._executor.submit(work, *args, **kwargs)
        except RuntimeError:
            return work(*args, **kwargs)
        return await asyncio.wrap_future(result)
