"""The recent snapshots from memory, and all older ones from a recording, as one store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from cpuwatch.history import SnapshotStore, Tick
from cpuwatch.model import Snapshot
from cpuwatch.tick_id import TickId

__all__ = ["Past"]


class Past:
    """A :class:`~cpuwatch.SnapshotStore` over two others: what ``recent`` has comes from there, because it is faster.

    ``recorded`` has all snapshots, of earlier runs too, but the newest ones perhaps only in a moment.
    """

    def __init__(self, recent: SnapshotStore, recorded: SnapshotStore) -> None:
        self._recent = recent
        self._recorded = recorded

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None if there is none yet."""
        return self._recent.latest

    def __iter__(self) -> Iterator[Snapshot]:
        """All snapshots, oldest first."""
        return self._continued(iter(self._recorded), lambda _: True)

    def after(self, tick: Tick) -> Iterator[Snapshot]:
        """The snapshots after this tick, oldest first: all of them if no store knows the tick's run."""
        oldest, latest = next(iter(self._recent), None), self._recent.latest
        if oldest is None or latest is None:
            return self._recorded.after(tick)
        run = TickId.of(latest).run
        known = TickId(None, tick) if isinstance(tick, int) else tick
        if known.run in {None, run}:
            if oldest.sequence - 1 <= known.sequence <= latest.sequence:
                return self._recent.after(known.sequence)
            known = TickId(run, known.sequence)
        return self._continued(
            self._recorded.after(known),
            lambda snapshot: TickId.of(snapshot).run != known.run or snapshot.sequence > known.sequence,
        )

    def at(self, time: datetime) -> Snapshot | None:
        """The snapshot with the latest time at or before ``time``; of two with the same time, the newer one."""
        return self._recent.at(time) or self._recorded.at(time)

    def between(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[Snapshot]:
        """The snapshots with ``start < time <= end``, in the order in which they were taken. None is no limit."""
        oldest = next(iter(self._recent), None)
        if oldest is not None and start is not None and start >= oldest.time:
            return self._recent.between(start, end)
        return self._continued(
            self._recorded.between(start, end),
            lambda snapshot: (start is None or start < snapshot.time) and (end is None or snapshot.time <= end),
        )

    def last(self, seconds: float) -> Iterator[Snapshot]:
        """The snapshots of the last ``seconds``, by measured intervals, not by the wall clock."""
        oldest, first = next(iter(self._recent), None), next(self._recent.last(seconds), None)
        if oldest is None or (first is not None and first.sequence == oldest.sequence):
            # The recording may go back further. It ends a moment earlier.
            return self._continued(self._recorded.last(seconds), lambda _: True)
        return self._recent.last(seconds)

    def wait(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot after this tick, as soon as there is one."""
        return self._recent.wait(after, timeout)

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The same as :meth:`wait` in a coroutine."""
        return await self._recent.wait_async(after, timeout)

    def _continued(self, recorded: Iterator[Snapshot], wants: Callable[[Snapshot], bool]) -> Iterator[Snapshot]:
        """The recorded snapshots, and then the wanted ones that are not on the disk yet."""
        last: Snapshot | None = None
        for last in recorded:
            yield last
        latest = self._recent.latest
        if latest is not None:
            is_same_run = last is not None and TickId.of(last).run == TickId.of(latest).run
            yield from filter(wants, self._recent.after(last.sequence if last is not None and is_same_run else 0))
