"""The sums of a range of a recording, from as few slots as possible.

Segments inside the range are taken as a whole, many at once where there are sums of several; minutes where the range
ends within a segment, and replayed ticks where it ends within a minute.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from itertools import pairwise

from cpuwatch.recording.replay import Replay
from cpuwatch.recording.segment import Stretch
from cpuwatch.recording.segments import Segment, SegmentReader
from cpuwatch.recording.sums import Dimension, Slot, add_tick, empty_slot
from cpuwatch.recording.sums_builder import SLOT_SECONDS

__all__ = ["RangeSums"]

_GAPLESS = 0.98
"""The share of its span that the intervals of a slot without gaps cover: the wall clock may be adjusted meanwhile."""

_Window = tuple[int, int]
"""Times in microseconds: ``begin < time <= end``."""


class RangeSums:
    """Iterates over slots that together hold each tick with ``start_us < time <= end_us`` once.

    Only ``dimensions`` are in their amounts. ``omits_ticks`` is true after the iteration if the range ends within a
    minute whose ticks have been deleted: that minute is left out. With ``max_slot_us``, slots are at most that long,
    unless only longer ones are left, and contain no gaps. If ``is_complete`` is false, the amounts need not have the
    processes that are not among the largest :data:`~cpuwatch.recording.sums_files.MAX_SHORT_LIVED`.
    """

    def __init__(
        self,
        segments: SegmentReader,
        start_us: int,
        end_us: int,
        dimensions: Collection[Dimension],
        max_slot_us: int | None = None,
        *,
        is_complete: bool = True,
    ) -> None:
        self._segments = segments
        self._start_us = start_us
        self._end_us = end_us
        self._dimensions = dimensions
        self._max_slot_us = max_slot_us
        self._takes_wider = not is_complete or "process" not in dimensions
        self.omits_ticks = False

    def __iter__(self) -> Iterator[Slot]:
        listed = self._segments.listed()
        not_inside = [segment.number for segment in listed if not self._is_inside(segment)]
        done = 0
        for segment in listed:
            if segment.number <= done:
                continue
            next_cut = bisect_left(not_inside, segment.number)
            inside_until = not_inside[next_cut] - 1 if next_cut < len(not_inside) else listed[-1].number
            wider = self._wider(segment, inside_until) if self._takes_wider else None
            if wider is not None:
                slots, done = wider
                yield from slots
            elif segment.is_growing:
                yield from self._ticks(segment, [(self._start_us, self._end_us)])
            elif self._start_us < segment.header.max_time_us and segment.header.min_time_us <= self._end_us:
                yield from self._slots(segment)

    def _is_inside(self, segment: Segment) -> bool:
        header = segment.header
        return not segment.is_growing and self._start_us < header.min_time_us and header.max_time_us <= self._end_us

    def _wider(self, segment: Segment, last_number: int) -> tuple[list[Slot], int] | None:
        """The sums of as many segments as possible, from this one to the last one at most, and where they end."""
        for file in segment.wider_sums:
            if file.number <= last_number:
                slots = self._segments.wider_sums(file, self._dimensions)
                if slots is not None and all(map(self._is_fine, slots)):
                    return slots, file.number
        return None

    def _slots(self, segment: Segment) -> Iterator[Slot]:
        if self._max_slot_us is not None and self._max_slot_us < SLOT_SECONDS * 1_000_000:
            if self._segments.parts(segment):
                yield from self._ticks(segment, [(self._start_us, self._end_us)])
                return
        elif self._is_inside(segment):
            whole = self._segments.sums(segment, 0, self._dimensions)
            if whole is not None and all(map(self._is_fine, whole)):
                yield from whole
                return
        minutes = self._segments.sums(segment, 1, self._dimensions)
        if minutes is None:
            yield from self._ticks(segment, [(self._start_us, self._end_us)])
        else:
            yield from self._part(segment, minutes)

    def _is_fine(self, slot: Slot) -> bool:
        """Whether the slot is short enough; it may not contain a gap then."""
        span_us = slot.end_us - slot.begin_us
        return self._max_slot_us is None or (
            span_us <= self._max_slot_us and slot.machine.elapsed_ns >= _GAPLESS * 1000 * span_us
        )

    def _part(self, segment: Segment, minutes: list[Slot]) -> Iterator[Slot]:
        """The minutes inside the range, and the ticks of those that it cuts."""
        inside = [slot for slot in minutes if self._start_us <= slot.begin_us and slot.end_us <= self._end_us]
        cut = [
            (max(self._start_us, slot.begin_us), min(self._end_us, slot.end_us))
            for slot in minutes
            if slot.begin_us < self._start_us < slot.end_us or slot.begin_us < self._end_us < slot.end_us
        ]
        if not cut:
            yield from inside
        elif not self._segments.parts(segment):
            self.omits_ticks = True
            yield from inside
        elif any(later.begin_us < earlier.end_us for earlier, later in pairwise(minutes)):
            # The clock was set back, so a time does not tell to which minute a tick belongs.
            yield from self._ticks(segment, [(self._start_us, self._end_us)])
        else:
            yield from inside
            yield from self._ticks(segment, cut)

    def _ticks(self, segment: Segment, windows: list[_Window]) -> Iterator[Slot]:
        for part in self._segments.parts(segment):
            for slot in _replayed(part, windows):
                slot.amounts = {dimension: slot.amounts[dimension] for dimension in self._dimensions}
                yield slot


def _replayed(part: Stretch, windows: list[_Window]) -> Iterator[Slot]:
    """A slot for each tick in one of the windows."""
    wanted = [
        index
        for index, record in enumerate(part.ticks)
        if record.sequence and any(begin < record.time_us <= end for begin, end in windows)
    ]
    if not wanted:
        return
    replay = Replay(part.key)
    for index, snapshot in replay.chosen(part.ticks, wanted):
        before, record = part.ticks[index - 1] if index else part.key.tick, part.ticks[index]
        begin_us = min(before.time_us, record.time_us - 1)
        slot = empty_slot(begin_us)
        add_tick(slot, begin_us, record.time_us, replay.reading().processes, snapshot)
        yield slot
