"""How busy the machine was over a range of a recording, in a limited number of points."""

from __future__ import annotations

from datetime import datetime

from cpuwatch.errors import QueryError
from cpuwatch.query.summary import Timeline, TimelinePoint
from cpuwatch.recording.clock_time import time_of, time_us
from cpuwatch.recording.range_sums import RangeSums
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.sums import Slot, add_slot, empty_slot
from cpuwatch.recording.sums_builder import SLOT_SECONDS
from cpuwatch.text import time_text

__all__ = ["timeline"]

_MAX_REPLAYED_SECONDS = 900
"""Points shorter than a minute need a replay, which takes about a millisecond a tick."""


def timeline(recording: Recording, start: datetime, end: datetime, max_points: int) -> Timeline:
    """The machine in the ticks with ``start < time <= end``, in at most ``max_points`` points of the same length.

    Points are not shorter than a minute unless the range is at most 15 minutes long. A point begins and ends with its
    first and last tick, so gaps stay visible between points.

    Raises :class:`~cpuwatch.errors.QueryError` for an empty range or ``max_points`` below 1, and
    :class:`~cpuwatch.errors.RecordingError` if the files cannot be read.
    """
    if start >= end:
        raise QueryError(f"empty range: {time_text(start)} is not before {time_text(end)}")
    if max_points < 1:
        raise QueryError(f"invalid number of points {max_points}: must be at least 1")
    start_us, end_us = time_us(start), time_us(end)
    width_us = -((start_us - end_us) // max_points)
    if end_us - start_us > _MAX_REPLAYED_SECONDS * 1_000_000:
        width_us = max(width_us, SLOT_SECONDS * 1_000_000)
    sums: dict[int, Slot] = {}
    for slot in RangeSums(recording.segments, start_us, end_us, (), max_slot_us=width_us):
        place = (slot.end_us - start_us - 1) // width_us
        add_slot(sums.setdefault(place, empty_slot(slot.begin_us)), slot)
    return Timeline(start, end, [_point(sums[place]) for place in sorted(sums) if sums[place].machine.capacity_ns])


def _point(slot: Slot) -> TimelinePoint:
    machine = slot.machine
    return TimelinePoint(
        time_of(slot.begin_us),
        time_of(slot.end_us),
        100 * machine.busy_ns / machine.capacity_ns,
        100 * machine.exited_ns / machine.capacity_ns,
        100 * machine.unattributed_ns / machine.capacity_ns,
        machine.peak / 100,
    )
