"""The newest snapshot as a finished answer, encoded at most once a tick."""

from __future__ import annotations

from cpuwatch.encoding.json import encode
from cpuwatch.model import Snapshot
from cpuwatch.monitor import Monitor
from cpuwatch.web.answer import Answer

__all__ = ["LatestAnswer"]


class LatestAnswer:
    """The answer to ``GET /cpu_usage`` for the newest snapshot of a monitor.

    As long as somebody asks, a tick is encoded when it comes and no request waits for that; when nobody has asked
    since the last tick, it is not encoded at all.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._snapshot: Snapshot | None = None
        self._answer: Answer | None = None
        self._wanted = False

    def get(self) -> Answer | None:
        """The answer; None while there is no snapshot yet."""
        self._wanted = True
        newest = self._monitor.latest
        if newest is not self._snapshot and newest is not None:
            self._finish(newest)
        return self._answer

    async def follow(self) -> None:
        """Encode each tick as it comes, as long as the one before was asked for. Ends with the monitor."""
        async for snapshot in self._monitor:
            if self._wanted:
                self._wanted = False
                self._finish(snapshot)

    def _finish(self, snapshot: Snapshot) -> None:
        self._answer = Answer.of(encode(snapshot), "application/json")
        self._snapshot = snapshot
