"""Where a service gets its snapshots: the protocol that a monitor and a recording in its place implement."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct

from cpuwatch.history import SnapshotStore, Tick
from cpuwatch.model import Snapshot

__all__ = ["Health", "SnapshotSource"]


class Health(Struct, frozen=True, gc=False):
    """The state of the sampling: counts since the start, and the cause if the last tick failed.

    ``failed_follower_calls`` counts calls of followers (:meth:`Monitor.follow`) that raised. Their ticks did not fail.
    """

    missed_ticks: int = 0
    failed_ticks: int = 0
    failure: str | None = None
    failed_follower_calls: int = 0


class SnapshotSource(Protocol):
    """Snapshots as a service shows them: those of a :class:`~cpuwatch.Monitor`, or of a recording in its place."""

    @property
    def interval_seconds(self) -> float:
        """The time between two snapshots."""
        ...

    @property
    def max_age_seconds(self) -> float:
        """The age above which the newest snapshot is stale."""
        ...

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the newest snapshot was taken; None before the first one."""
        ...

    @property
    def reading_seconds(self) -> float | None:
        """How long the current reading has taken so far; None between two readings."""
        ...

    @property
    def health(self) -> Health:
        """How sampling is going."""
        ...

    @property
    def history(self) -> SnapshotStore:
        """The snapshots that can be read."""
        ...

    def newest(self) -> tuple[Snapshot, float] | None:
        """The newest snapshot with the time of its reading, by ``time.monotonic``."""
        ...

    def follow(self, follower: Callable[[Snapshot], object]) -> None:
        """Call ``follower`` with every snapshot from now on."""
        ...

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot after this tick, as soon as there is one; None after ``timeout`` seconds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
