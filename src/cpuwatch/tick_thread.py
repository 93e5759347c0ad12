"""Hands ticks to a thread, so that what is done with them never holds up sampling."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from cpuwatch.sampled_tick import SampledTick

__all__ = ["TickThread"]

_QUEUED_TICKS = 60
"""Ticks that wait. Each holds the records of the processes that ran, most of which readers share."""


class TickThread:
    """A thread that calls ``handle`` with each tick, and ``finish`` at the end. Neither may raise."""

    def __init__(self, name: str, handle: Callable[[SampledTick], None], finish: Callable[[], None]) -> None:
        self._handle = handle
        self._finish = finish
        self._queue: queue.Queue[SampledTick | None] = queue.Queue(_QUEUED_TICKS)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of ticks that wait."""
        return self._queue.qsize()

    def put(self, tick: SampledTick) -> bool:
        """Add a tick. Never waits: if the queue is full, the tick is lost, and the result is False."""
        try:
            self._queue.put_nowait(tick)
        except queue.Full:
            return False
        return True

    def close(self, timeout_seconds: float) -> bool:
        """Let the thread handle what waits, and end. False if that takes longer than this; the thread is given up."""
        try:
            self._queue.put(None, timeout=timeout_seconds)
        except queue.Full:
            return False
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (tick := self._queue.get()) is not None:
            self._handle(tick)
        self._finish()
