"""A recording as a :class:`~cpuwatch.SnapshotStore`: snapshots of any moment, computed from its readings."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cpuwatch.errors import RecordingDamagedError
from cpuwatch.history import Tick
from cpuwatch.model import Snapshot
from cpuwatch.recording.clock_time import time_us
from cpuwatch.recording.records import TickRecord
from cpuwatch.recording.replay import Replay
from cpuwatch.recording.segment import Stretch
from cpuwatch.recording.segments import DamagedPart, Segment, SegmentReader
from cpuwatch.tick_id import TickId

__all__ = ["Recording", "open_recording"]

_POLL_SECONDS = 0.2


def open_recording(path: str | Path) -> Recording:
    """Open a recording for reading: a :class:`~cpuwatch.SnapshotStore` on disk.

    Raises :class:`~cpuwatch.errors.NotARecordingError` if there is none, or one of a newer version.
    """
    return Recording(SegmentReader(Path(path)))


class Recording:
    """The snapshots of a recording. They are computed again from its readings whenever they are asked for.

    It may be used from several threads, and while the recording grows. What is deleted or damaged is passed over;
    :attr:`damage` has the damaged parts that were met so far. Any method that reads raises
    :class:`~cpuwatch.errors.RecordingError` if the files cannot be read.
    """

    def __init__(self, segments: SegmentReader) -> None:
        self.segments: SegmentReader = segments

    @property
    def damage(self) -> list[DamagedPart]:
        """The damaged parts that were met so far."""
        return self.segments.damage

    def runs(self) -> list[str]:
        """The runs of monitors that were recorded, oldest first."""
        return list(dict.fromkeys(segment.header.run for segment in self.segments.listed()))

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None if there is none."""
        for segment in reversed(self.segments.listed()):
            for part in reversed(self.segments.parts(segment)):
                end = len(part.ticks)
                while (index := _last_index(part, lambda tick: bool(tick.sequence), end)) is not None:
                    snapshot, end = self._snapshot_of(segment, part, index)
                    if snapshot is not None:
                        return snapshot
        return None

    def __iter__(self) -> Iterator[Snapshot]:
        """All snapshots, oldest first."""
        return self._replayed(lambda _: True, lambda *_: True)

    def after(self, tick: Tick) -> Iterator[Snapshot]:
        """The snapshots after this tick, oldest first: all of them if the recording does not have the tick's run."""
        runs = {segment.header.run: segment.number for segment in reversed(self.segments.listed())}
        run = tick.run if isinstance(tick, TickId) and tick.run is not None else next(iter(runs), None)
        sequence = tick.sequence if isinstance(tick, TickId) else tick
        if run is None or run not in runs:
            return iter(self)
        # Runs follow one another, so everything before the first segment of this run is older.
        return self._replayed(
            lambda segment: (
                segment.number >= runs[run]
                and (segment.is_growing or segment.header.run != run or segment.header.last_sequence > sequence)
            ),
            lambda part, record: part.key.run != run or record.sequence > sequence,
        )

    def at(self, time: datetime) -> Snapshot | None:
        """The snapshot with the latest time at or before ``time``; of two with the same time, the newer one."""
        while (found := self._find(time_us(time))) is not None:
            snapshot, _ = self._snapshot_of(*found)
            if snapshot is not None:
                return snapshot
        return None

    def _find(self, wanted_us: int) -> tuple[Segment, Stretch, int] | None:
        """The place of the tick with the latest time at or before this one."""
        found: tuple[int, Segment, Stretch, int] | None = None
        for segment in sorted(self.segments.listed(), key=lambda segment: _reach(segment, wanted_us), reverse=True):
            if not _may_hold(segment, None, wanted_us):
                continue
            if found is not None and _reach(segment, wanted_us)[0] <= found[0]:
                break
            for part in self.segments.parts(segment):
                times = [
                    (record.time_us, index)
                    for index, record in enumerate(part.ticks)
                    if record.sequence and record.time_us <= wanted_us
                ]
                if times and (found is None or max(times)[0] >= found[0]):
                    found = (max(times)[0], segment, part, max(times)[1])
        return None if found is None else found[1:]

    def _snapshot_of(self, segment: Segment, part: Stretch, index: int) -> tuple[Snapshot | None, int]:
        """The snapshot of a tick, or None and the index of the first tick that cannot be replayed."""
        replay: Replay | None = None
        try:
            replay = Replay(part.key)
            replay.skip(part.ticks[:index])
            return replay.next(part.ticks[index]), index
        except RecordingDamagedError:
            failed = 0 if replay is None else replay.replayed
            self.segments.distrust(segment, part, failed)
            return None, failed

    def between(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[Snapshot]:
        """The snapshots with ``start < time <= end``, in the order in which they were taken. None is no limit."""
        start_us = None if start is None else time_us(start)
        end_us = None if end is None else time_us(end)
        return self._replayed(
            lambda segment: _may_hold(segment, start_us, end_us),
            lambda _, record: (
                (start_us is None or start_us < record.time_us) and (end_us is None or record.time_us <= end_us)
            ),
        )

    def in_segment(self, number: int) -> Iterator[Snapshot]:
        """The snapshots of one segment, in the order in which they were taken."""
        return self._replayed(lambda segment: segment.number == number, lambda *_: True)

    def last(self, seconds: float) -> Iterator[Snapshot]:
        """The snapshots of the last ``seconds``, by measured intervals: the wall clock may have been set meanwhile."""
        left_ns = seconds * 1e9
        for segment in reversed(self.segments.listed()):
            for part in reversed(self.segments.parts(segment)):
                for later, earlier in pairwise([*reversed(part.ticks), part.key.tick]):
                    if not later.sequence:
                        continue
                    if left_ns <= 0:
                        return self.after(TickId(part.key.run, later.sequence))
                    left_ns -= later.monotonic_ns - earlier.monotonic_ns
        return iter(self)

    def wait(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot after this tick, as soon as there is one; without ``after``, the next one.

        The files are looked at five times a second. None after ``timeout`` seconds.
        """
        is_new = self._newness(after)
        deadline = None if timeout is None else clock.monotonic() + timeout
        seen: list[tuple[str, int]] | None = None
        while True:
            before, seen = seen, self.segments.sizes()
            latest = self.latest if seen != before else None
            if latest is not None and is_new(latest):
                return latest
            if deadline is not None and clock.monotonic() >= deadline:
                return None
            clock.sleep(_POLL_SECONDS)

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The same as :meth:`wait` in a coroutine. Files are read in a thread."""
        import asyncio  # noqa: PLC0415  a caller has it loaded already, and `import cpuwatch` stays fast

        is_new = await asyncio.to_thread(self._newness, after)
        deadline = None if timeout is None else clock.monotonic() + timeout
        seen: list[tuple[str, int]] | None = None
        while True:
            before, seen = seen, await asyncio.to_thread(self.segments.sizes)
            latest = await asyncio.to_thread(lambda: self.latest) if seen != before else None
            if latest is not None and is_new(latest):
                return latest
            if deadline is not None and clock.monotonic() >= deadline:
                return None
            await asyncio.sleep(_POLL_SECONDS)

    def _newness(self, after: Tick | None) -> Callable[[Snapshot], bool]:
        """Tells whether a snapshot that is the newest comes after this tick."""
        newest = self.latest if after is None else None
        tick = TickId.of(newest) if newest is not None else after
        if tick is None:
            return lambda _: True
        known = TickId(None, tick) if isinstance(tick, int) else tick
        return lambda latest: (
            latest.sequence > (known.sequence if known.run is None else known.last_seen_in(TickId.of(latest)))
        )

    def _replayed(
        self, may_hold: Callable[[Segment], bool], wants: Callable[[Stretch, TickRecord], bool]
    ) -> Iterator[Snapshot]:
        """The wanted snapshots in the order in which they were taken, and those that are added meanwhile."""
        done = (0, "", 0)
        has_news = True
        while has_news:
            has_news = False
            for segment in self.segments.listed():
                if segment.number < done[0] or not may_hold(segment):
                    continue
                for part in self.segments.parts(segment):
                    run = part.key.run
                    is_continued = done[:2] == (segment.number, run)
                    begin_number = done[2] if is_continued else 0
                    for record, snapshot in self._snapshots_of(segment, part, begin_number, wants):
                        done = (segment.number, run, record.number)
                        has_news = True
                        yield snapshot

    def _snapshots_of(
        self, segment: Segment, part: Stretch, after_number: int, wants: Callable[[Stretch, TickRecord], bool]
    ) -> Iterator[tuple[TickRecord, Snapshot]]:
        """The wanted snapshots of a stretch after the reading with this number."""

        def is_wanted(record: TickRecord) -> bool:
            return bool(record.sequence) and record.number > after_number and wants(part, record)

        wanted = [index for index, record in enumerate(part.ticks) if is_wanted(record)]
        if not wanted:
            return
        replay: Replay | None = None
        try:
            replay = Replay(part.key)
            for index, snapshot in replay.chosen(part.ticks, wanted):
                yield part.ticks[index], snapshot
        except RecordingDamagedError:
            self.segments.distrust(segment, part, 0 if replay is None else replay.replayed)


def _last_index(part: Stretch, wants: Callable[[TickRecord], bool], end: int) -> int | None:
    return next((index for index in range(end - 1, -1, -1) if wants(part.ticks[index])), None)


def _may_hold(segment: Segment, start_us: int | None, end_us: int | None) -> bool:
    """Whether there may be a tick with ``start < time <= end``; what grows may hold any time."""
    header = segment.header
    return segment.ticks_path is not None and (
        segment.is_growing
        or ((start_us is None or start_us < header.max_time_us) and (end_us is None or header.min_time_us <= end_us))
    )


def _reach(segment: Segment, wanted_us: int) -> tuple[int, int]:
    """The latest time at or before the wanted one that the segment can hold; of two, the newer segment comes first."""
    return wanted_us if segment.is_growing else min(wanted_us, segment.header.max_time_us), segment.number
