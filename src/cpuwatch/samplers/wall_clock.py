"""Keeps times of day right when the wall clock is set: at boot without a battery, by NTP, by hand."""

from __future__ import annotations

import time
from datetime import timedelta

from msgspec.structs import replace

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers.procfs.process_table import ProcessTable

__all__ = ["WallClock"]

_MIN_STEP_NS = 500_000_000
"""What is less is the slow adjustment of NTP, which would make all records anew for nothing that can be seen."""


_MAX_READING_NS = 10_000_000
"""If reading both clocks takes longer, this thread had to wait between them, and they cannot be compared."""


class WallClock:
    """Watches by how much the wall clock is ahead of the time since boot."""

    def __init__(self) -> None:
        self._ahead_ns: int | None = None

    def follow(self, table: ProcessTable) -> None:
        """If the wall clock was set since the last call, move the times of day of all processes with it.

        They were computed from the wall clock of the moment at which each was first seen. How long ago that was does
        not change when the clock is set.
        """
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall_ns = time.time_ns()
        uptime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if uptime_ns - before_ns > _MAX_READING_NS:
            return
        ahead_ns = wall_ns - uptime_ns
        step_ns = 0 if self._ahead_ns is None else ahead_ns - self._ahead_ns
        if self._ahead_ns is None or abs(step_ns) >= _MIN_STEP_NS:
            self._ahead_ns = ahead_ns
        if abs(step_ns) >= _MIN_STEP_NS:
            step = timedelta(microseconds=step_ns // 1000)
            table.update(lambda record: _moved(record, step))


def _moved(record: ProcessTimes, step: timedelta) -> ProcessTimes:
    return replace(record, start_time=record.start_time + step, first_seen=record.first_seen + step)
