"""Corrects times of day after the wall clock was set: at boot without a battery, by NTP, or by hand."""

from __future__ import annotations

import time
from datetime import timedelta

from msgspec.structs import replace

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers.process_table import ProcessTable

__all__ = ["WallClock"]

_MIN_STEP_NS = 500_000_000
"""Smaller steps are NTP's gradual adjustment. Following them would replace every record for no visible difference."""


_MAX_READING_NS = 10_000_000
"""If reading both clocks takes longer, the thread was preempted between them and they cannot be compared."""


class WallClock:
    """Tracks the offset between the wall clock and the time since boot."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    def follow(self, table: ProcessTable) -> None:
        """Shift the times of day of all processes if the wall clock was set since the last call.

        They were computed from the wall clock when each process was first seen. Setting the clock does not change how
        long ago that was.
        """
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall_ns = time.time_ns()
        uptime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if uptime_ns - before_ns > _MAX_READING_NS:
            return
        offset_ns = wall_ns - uptime_ns
        step_ns = 0 if self._offset_ns is None else offset_ns - self._offset_ns
        if self._offset_ns is None or abs(step_ns) >= _MIN_STEP_NS:
            self._offset_ns = offset_ns
        if abs(step_ns) >= _MIN_STEP_NS:
            step = timedelta(microseconds=step_ns // 1000)
            table.update(lambda record: _shifted(record, step))


def _shifted(record: ProcessTimes, step: timedelta) -> ProcessTimes:
    return replace(record, start_time=record.start_time + step, first_seen=record.first_seen + step)
