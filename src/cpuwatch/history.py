"""Snapshots by tick and by time: the protocol for reading them, and its implementation in memory."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.model import Snapshot
from cpuwatch.snapshot_bytes import SnapshotBytes
from cpuwatch.tick_id import TickId

if TYPE_CHECKING:
    import asyncio

__all__ = ["DEFAULT_HISTORY_BYTES", "SnapshotBlock", "SnapshotHistory", "SnapshotStore", "Tick"]

DEFAULT_HISTORY_BYTES = 128 * 2**20

_log = logging.getLogger("cpuwatch.monitor")

Tick = int | TickId
"""A sequence of the newest run, or a :class:`TickId`, which also names its run."""


class SnapshotStore(Protocol):
    """The snapshots of one machine in the order in which they were taken.

    The wall clock may have been set back, so times can repeat and do not define an order. Iterators are lazy: they hold
    no snapshots, skip those removed meanwhile, and continue with those added meanwhile, except within a range of times.
    """

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None if there is none yet."""
        ...

    def __iter__(self) -> Iterator[Snapshot]:
        """All snapshots, oldest first."""
        ...

    def after(self, tick: Tick) -> Iterator[Snapshot]:
        """The snapshots after this tick, oldest first: all of them if the store does not know the tick's run."""
        ...

    def at(self, time: datetime) -> Snapshot | None:
        """The snapshot with the latest time at or before ``time``; of two with the same time, the newer one."""
        ...

    def between(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[Snapshot]:
        """The snapshots with ``start < time <= end``, in the order in which they were taken.

        A snapshot describes the interval that ends at its time, so adjacent ranges share none. None is no limit.
        """
        ...

    def last(self, seconds: float) -> Iterator[Snapshot]:
        """The snapshots of the last ``seconds``, by measured intervals, not by the wall clock."""
        ...

    def wait(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot after this tick, as soon as there is one; without ``after``, the next one that is added.

        None after ``timeout`` seconds, or if no more snapshots will come.
        """
        ...

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The same as :meth:`wait` in a coroutine."""
        ...


class SnapshotBlock(Protocol):
    """Some snapshots in less space."""

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        ...

    def snapshot(self, sequence: int) -> Snapshot:
        """One of its snapshots, equal to the one that was live."""
        ...


class _Kept(Struct, frozen=True):
    sequence: int
    time: datetime
    elapsed_seconds: float
    """The sum of all measured intervals up to the end of this one."""
    size_bytes: int
    held: Snapshot | SnapshotBlock

    def snapshot(self) -> Snapshot:
        """The snapshot, which may have to be computed: never called while the lock is held."""
        return self.held if isinstance(self.held, Snapshot) else self.held.snapshot(self.sequence)


_sequence = attrgetter("sequence")
_time = attrgetter("time")
_elapsed_seconds = attrgetter("elapsed_seconds")


class SnapshotHistory:
    """A :class:`SnapshotStore` in memory, for one run, limited to ``max_snapshots`` and about ``max_bytes``.

    The oldest snapshots are dropped first; the newest is always kept. One thread appends; any thread may read.

    Everything is found by bisection. Times ascend within a stretch, which ends where the wall clock was set back; a
    search by time bisects each stretch. Clocks are rarely set back, and one list stays sorted by sequence, by elapsed
    time and, within a stretch, by time. A separate index by time would have to be sorted again for every range.
    """

    def __init__(self, max_snapshots: int, max_bytes: int) -> None:
        self._max_snapshots = max_snapshots
        self._max_bytes = max_bytes
        # Not a deque, which is slow in the middle. Deleting the first item moves 86,400 references in some 20 µs.
        self._kept: list[_Kept] = []
        self._stretches: list[int] = []
        """The sequence with which each stretch begins."""
        self._sizes = SnapshotBytes()
        self._estimated_bytes = 0
        self._changed = threading.Condition()
        self._listeners: set[Callable[[], None]] = set()
        self._ended = False
        self._latest: Snapshot | None = None

    @property
    def estimated_bytes(self) -> int:
        """The estimated memory of all snapshots."""
        return self._estimated_bytes

    def append(self, snapshot: Snapshot) -> None:
        """Add the newest snapshot, whose sequence is above all others; drop the oldest as the limits require."""
        size_bytes = self._sizes.added_by(snapshot)
        with self._changed:
            newest = self._kept[-1] if self._kept else None
            if newest is None or snapshot.time < newest.time:
                self._stretches.append(snapshot.sequence)
            elapsed_seconds = snapshot.interval_seconds + (0 if newest is None else newest.elapsed_seconds)
            self._kept.append(_Kept(snapshot.sequence, snapshot.time, elapsed_seconds, size_bytes, snapshot))
            self._latest = snapshot
            self._estimated_bytes += size_bytes
            self._drop_oldest()
        self._wake()

    def pack(self, sequences: Sequence[int], block: SnapshotBlock) -> None:
        """Keep a block in place of these snapshots, which are in it. Those that were dropped meanwhile stay so."""
        with self._changed:
            for sequence in sequences:
                index = self._index_after(sequence - 1)
                if index < len(self._kept) and self._kept[index].sequence == sequence:
                    # The oldest are dropped first, so the block goes with its last snapshot.
                    size_bytes = block.size_bytes if sequence == sequences[-1] else 0
                    self._estimated_bytes += size_bytes - self._kept[index].size_bytes
                    self._kept[index] = replace(self._kept[index], size_bytes=size_bytes, held=block)
            self._drop_oldest()

    def end(self) -> None:
        """Wake all waiting readers: no more snapshots will come."""
        self._ended = True
        self._wake()

    def __len__(self) -> int:
        return len(self._kept)

    # Reading

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None if there is none yet."""
        return self._latest

    def __iter__(self) -> Iterator[Snapshot]:
        return self.after(0)

    def after(self, tick: Tick) -> Iterator[Snapshot]:
        """The snapshots after this tick, oldest first; all of them if it belongs to another run."""
        sequence = self._sequence_of(tick)
        while (kept := self._first_after(sequence)) is not None:
            yield kept.snapshot()
            sequence = kept.sequence

    def at(self, time: datetime) -> Snapshot | None:
        """The snapshot with the latest time at or before ``time``; of two with the same time, the newer one."""
        found: _Kept | None = None
        with self._changed:
            for low, high in self._stretch_bounds():
                index = bisect_right(self._kept, time, low, high, key=_time) - 1
                if index >= low and (found is None or self._kept[index].time >= found.time):
                    found = self._kept[index]
        return None if found is None else found.snapshot()

    def between(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[Snapshot]:
        """The snapshots with ``start < time <= end``, in the order in which they were taken. None is no limit."""
        for before, last in self._ranges(start, end):
            sequence = before
            while (kept := self._first_after(sequence)) is not None and kept.sequence <= last:
                yield kept.snapshot()
                sequence = kept.sequence

    def last(self, seconds: float) -> Iterator[Snapshot]:
        """The snapshots of the last ``seconds``, by measured intervals: the wall clock may have been set meanwhile."""
        with self._changed:
            begin_seconds = self._kept[-1].elapsed_seconds - seconds if self._kept else 0.0
            index = bisect_right(self._kept, begin_seconds, key=_elapsed_seconds)
            before = self._sequence_before(index)
        return self.after(before)

    # Waiting

    def wait(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot after this tick, as soon as there is one; without ``after``, the next one.

        None after ``timeout`` seconds, or if no more snapshots will come.
        """
        with self._changed:
            wanted = self._newest_sequence if after is None else self._sequence_of(after)
            self._changed.wait_for(lambda: self._newest_sequence > wanted or self._ended, timeout)
            return self._newer_than(wanted)

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The same in a coroutine. Each waiter costs the appending thread one call into its event loop."""
        import asyncio  # noqa: PLC0415  a caller has it loaded already, and `import cpuwatch` stays fast

        wanted = self._newest_sequence if after is None else self._sequence_of(after)
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def listener() -> None:
            _call_in(loop, arrived.set)

        with self._changed:
            self._listeners.add(listener)
        try:
            # Checked after the listener is registered, so that no snapshot is missed.
            if self._newest_sequence <= wanted and not self._ended:
                async with asyncio.timeout(timeout):
                    await arrived.wait()
        except TimeoutError:
            pass
        finally:
            with self._changed:
                self._listeners.discard(listener)
        return self._newer_than(wanted)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    # Searching

    @property
    def _newest_sequence(self) -> int:
        latest = self.latest
        return 0 if latest is None else latest.sequence

    def _newer_than(self, sequence: int) -> Snapshot | None:
        latest = self.latest
        return latest if latest is not None and latest.sequence > sequence else None

    def _sequence_of(self, tick: Tick) -> int:
        if isinstance(tick, int):
            return tick
        latest = self.latest
        return 0 if latest is None else tick.last_seen_in(TickId.of(latest))

    def _first_after(self, sequence: int) -> _Kept | None:
        with self._changed:
            index = self._index_after(sequence)
            return self._kept[index] if index < len(self._kept) else None

    def _index_after(self, sequence: int) -> int:
        return bisect_right(self._kept, sequence, key=_sequence)

    def _sequence_before(self, index: int) -> int:
        return self._kept[index - 1].sequence if index else 0

    def _stretch_bounds(self) -> Iterator[tuple[int, int]]:
        """The indexes between which each stretch lies."""
        begins = [self._index_after(sequence - 1) for sequence in self._stretches]
        return pairwise([*begins, len(self._kept)])

    def _ranges(self, start: datetime | None, end: datetime | None) -> list[tuple[int, int]]:
        """The part of each stretch that lies between these times: the sequence before it, and its last."""
        ranges = []
        with self._changed:
            for low, high in self._stretch_bounds():
                first = low if start is None else bisect_right(self._kept, start, low, high, key=_time)
                behind = high if end is None else bisect_right(self._kept, end, low, high, key=_time)
                if first < behind:
                    ranges.append((self._sequence_before(first), self._sequence_before(behind)))
        return ranges

    def _drop_oldest(self) -> None:
        while len(self._kept) > 1 and (
            len(self._kept) > self._max_snapshots or self._estimated_bytes > self._max_bytes
        ):
            self._estimated_bytes -= self._kept.pop(0).size_bytes
        while len(self._stretches) > 1 and self._stretches[1] <= self._kept[0].sequence:
            self._stretches.pop(0)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        # The loop was closed while its waiter was pending, so nobody is waiting.
        _log.debug("an event loop was closed while it waited for a snapshot")
