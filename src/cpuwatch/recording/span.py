"""From when to when there is something in a recording."""

from __future__ import annotations

from datetime import datetime, timedelta

from cpuwatch.recording.clock_time import time_of
from cpuwatch.recording.reader import Recording

__all__ = ["recorded_span"]


def recorded_span(recording: Recording) -> tuple[datetime, datetime] | None:
    """The range ``start < time <= end`` that has every tick; None if there is no snapshot yet."""
    latest = recording.latest
    segments = recording.segments.listed()
    if latest is None or not segments:
        return None
    # The clock may have been set back while it was recorded.
    start = time_of(min(segment.header.min_time_us for segment in segments))
    end = max(latest.time, *(time_of(segment.header.max_time_us) for segment in segments))
    return start - timedelta(microseconds=1), end
