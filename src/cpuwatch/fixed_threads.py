"""Threads for work that would hold up the event loop."""

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

    ``asyncio.to_thread`` starts its threads when they are needed, which fails while a limit on processes is reached
    (``pids.max``, ``RLIMIT_NPROC``). These exist from the start.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._executor = ThreadPoolExecutor(number, f"cpuwatch-{name}")

    def start(self) -> None:
        """Start all threads. Raises ``RuntimeError`` if one cannot be started."""
        all_started = threading.Barrier(self._number)
        try:
            # A thread that is free would take the next task in place of a new one.
            started = [self._executor.submit(all_started.wait) for _ in range(self._number)]
        except RuntimeError:
            all_started.abort()
            raise
        for task in started:
            task.result()

    def close(self) -> None:
        """End the threads once they have finished what they do."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(
        self, work: Callable[_Parameters, _Result], /, *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        """The result of ``work`` from one of the threads, or from this one if they cannot take it."""
        try:
            result = self._executor.submit(work, *args, **kwargs)
        except RuntimeError:
            return work(*args, **kwargs)
        return await asyncio.wrap_future(result)
