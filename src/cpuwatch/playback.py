"""A recording in place of a monitor: the page and the API over what was recorded, without sampling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Self

from cpuwatch.history import SnapshotStore, Tick
from cpuwatch.model import Snapshot
from cpuwatch.recording.reader import Recording
from cpuwatch.snapshot_source import Health

__all__ = ["Playback"]


class Playback:
    """A :class:`~cpuwatch.snapshot_source.SnapshotSource` whose newest snapshot is the last one that was recorded.

    If another process is recording, its ticks appear as they come.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._followers: list[Callable[[Snapshot], object]] = []
        self._newest: tuple[Snapshot, float] | None = None

    @property
    def interval_seconds(self) -> float:
        """The last interval that was recorded."""
        return 1.0 if self._newest is None else round(self._newest[0].interval_seconds, 3)

    @property
    def max_age_seconds(self) -> float:
        """Infinite: the past does not become stale."""
        return math.inf

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the newest snapshot was found."""
        return None if self._newest is None else time.monotonic() - self._newest[1]

    @property
    def reading_seconds(self) -> float | None:
        """None: nothing is sampled."""
        return None

    @property
    def health(self) -> Health:
        """Without failures: nothing is sampled."""
        return Health()

    @property
    def history(self) -> SnapshotStore:
        """The recording."""
        return self._recording

    def newest(self) -> tuple[Snapshot, float] | None:
        """The newest snapshot, and when it was found, by ``time.monotonic``."""
        return self._newest

    def follow(self, follower: Callable[[Snapshot], object]) -> None:
        """Call ``follower`` with each snapshot that becomes the newest."""
        self._followers.append(follower)

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot after this tick, as soon as it is recorded; None after ``timeout`` seconds."""
        snapshot = await self._recording.wait_async(after, timeout)
        if snapshot is not None:
            self._show(snapshot)
        return snapshot

    def __enter__(self) -> Self:
        latest = self._recording.latest
        if latest is not None:
            self._show(latest)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _show(self, snapshot: Snapshot) -> None:
        self._newest = snapshot, time.monotonic()
        for follower in self._followers:
            follower(snapshot)
