"""The timeline of a range: few points, from which the machine's sums can be computed again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import BOOT
from test_summary import minutes, recorded

from cpuwatch.errors import QueryError
from cpuwatch.query.summary import TimelinePoint
from cpuwatch.recording.summary import summarize
from cpuwatch.recording.timeline import timeline
from cpuwatch.recording.writer import LogSize

TICKS = minutes(1000)
LOG_SIZE = LogSize(ticks=250)
FIRST = TICKS[0].reading.time


def busy_seconds(points: Sequence[TimelinePoint]) -> float:
    return sum((point.end - point.begin).total_seconds() * 2 * point.busy_percent / 100 for point in points)


@settings(max_examples=25)
@given(st.integers(0, 990), st.integers(1, 990), st.integers(1, 30))
def test_points_are_few_and_add_up_to_the_summary(first: int, length: int, max_points: int) -> None:
    start, end = FIRST + timedelta(seconds=first), FIRST + timedelta(seconds=first + length)
    with recorded(TICKS, log_size=LOG_SIZE) as (recording, _):
        points = timeline(recording, start, end, max_points).points
        summary = summarize(recording, start, end)
    assert len(points) <= max_points
    assert all(earlier.end == later.begin for earlier, later in pairwise(points))
    assert busy_seconds(points) == pytest.approx(summary.machine.busy_cpu_seconds)
    assert max(point.peak_percent for point in points) == summary.machine.peak_percent


def test_points_of_a_short_range_are_ticks() -> None:
    with recorded(TICKS, log_size=LOG_SIZE) as (recording, _):
        points = timeline(recording, FIRST, FIRST + timedelta(seconds=10), 1000).points
    assert [point.end - point.begin for point in points] == [timedelta(seconds=1)] * 10


def test_points_of_a_long_range_are_minutes() -> None:
    with recorded(TICKS, log_size=LOG_SIZE) as (recording, _):
        points = timeline(recording, FIRST, FIRST + timedelta(hours=1), 3600).points
    assert len(points) == 17


@pytest.mark.parametrize("max_points", [2, 8, 500])
def test_a_gap_stays_visible(max_points: int) -> None:
    with recorded([*TICKS[:200], *TICKS[800:]], log_size=LOG_SIZE) as (recording, _):
        points = timeline(recording, FIRST, TICKS[-1].reading.time, max_points).points
    assert len(points) <= max_points
    gaps = [(earlier.end, later.begin) for earlier, later in pairwise(points) if earlier.end < later.begin]
    assert gaps == [(TICKS[199].reading.time, TICKS[800].reading.time)]


def test_without_ticks_there_are_minutes() -> None:
    with recorded(TICKS, log_size=LOG_SIZE) as (recording, directory):
        for block in directory.glob("*.block"):
            block.unlink()
        points = timeline(recording, FIRST, FIRST + timedelta(seconds=240), 240).points
    assert [point.end - point.begin for point in points] == [timedelta(seconds=60)] * 4


def test_an_empty_range_and_too_few_points_are_errors() -> None:
    with recorded(TICKS[:3]) as (recording, _):
        with pytest.raises(QueryError, match="empty range"):
            timeline(recording, BOOT, BOOT, 1)
        with pytest.raises(QueryError, match="invalid number of points 0: must be at least 1"):
            timeline(recording, BOOT, datetime.max.replace(tzinfo=BOOT.tzinfo), 0)
