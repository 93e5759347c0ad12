"""The recent snapshots in memory and the older ones on disk are one store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from readings import SECOND, process, reading
from recorded_runs import RUN, live_ticks

from cpuwatch import Snapshot, TickId, open_recording
from cpuwatch.history import SnapshotHistory
from cpuwatch.recording.past import Past
from cpuwatch.recording.writer import LogSize, RecordingWriter

EARLIER_RUN = "234567891"
few = settings(max_examples=30)
counts = st.integers(1, 8)


def steady(run: str, begin_second: int, count: int) -> list[Snapshot]:
    readings = (
        reading(process(10, cpu_ns=number * SECOND // 10), at_ns=(begin_second + number) * SECOND)
        for number in range(count + 1)
    )
    return [tick.snapshot for tick in live_ticks(readings, run) if tick.snapshot is not None]


@contextmanager
def past(earlier: int, written: int, unwritten: int, kept: int) -> Iterator[tuple[Past, list[Snapshot]]]:
    """An earlier run on disk, and a run whose last ticks are not on the disk yet, and whose first are only there."""
    before = [
        reading(process(10, cpu_ns=number * SECOND // 10), at_ns=(100 + number) * SECOND)
        for number in range(earlier + 1)
    ]
    now = [
        reading(process(10, cpu_ns=number * SECOND // 5), at_ns=(200 + number) * SECOND)
        for number in range(written + unwritten + 1)
    ]
    history = SnapshotHistory(kept, 2**40)
    with tempfile.TemporaryDirectory() as directory:
        ticks = list(live_ticks(now, RUN))
        with RecordingWriter(Path(directory), log_size=LogSize(ticks=3)) as writer:
            for tick in live_ticks(before, EARLIER_RUN):
                writer.write(tick)
            for tick in ticks[: written + 1]:
                writer.write(tick)
        for tick in ticks:
            if tick.snapshot is not None:
                history.append(tick.snapshot)
        everything = steady(EARLIER_RUN, 100, earlier) + [one.snapshot for one in ticks if one.snapshot is not None]
        yield Past(history, open_recording(directory)), everything


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    unwritten = draw(st.integers(0, 3))
    return draw(counts), draw(counts), unwritten, unwritten + draw(st.integers(1, 6))


@few
@given(sizes())
def test_all_snapshots_come_once_and_in_order(size: tuple[int, int, int, int]) -> None:
    with past(*size) as (store, everything):
        assert list(store) == everything
        assert store.latest == everything[-1]


@few
@given(sizes(), st.sampled_from([RUN, EARLIER_RUN, None, "876543210"]), st.integers(0, 12))
def test_those_after_a_tick(size: tuple[int, int, int, int], run: str | None, sequence: int) -> None:
    with past(*size) as (store, everything):
        earlier = [one for one in everything if one.sampling.run == EARLIER_RUN]
        current = [one for one in everything if one.sampling.run == RUN]
        later = [one for one in current if one.sequence > sequence]
        expected = {
            RUN: later,
            None: later,
            EARLIER_RUN: [one for one in earlier if one.sequence > sequence] + current,
            "876543210": everything,
        }
        assert list(store.after(TickId(run, sequence))) == expected[run]


@few
@given(sizes(), st.integers(90, 220), st.integers(0, 120))
def test_those_at_and_between_times(size: tuple[int, int, int, int], begin: int, length: int) -> None:
    with past(*size) as (store, everything):
        origin = everything[0].time - timedelta(seconds=101)
        start, end = origin + timedelta(seconds=begin), origin + timedelta(seconds=begin + length)
        assert store.at(end) == next((one for one in reversed(everything) if one.time <= end), None)
        assert list(store.between(start, end)) == [one for one in everything if start < one.time <= end]
        assert list(store.between(start)) == [one for one in everything if start < one.time]


@few
@given(sizes(), st.integers(0, 20))
def test_those_of_the_last_seconds(size: tuple[int, int, int, int], seconds: int) -> None:
    with past(*size) as (store, everything):
        _, _, unwritten, kept = size
        current = sum(one.sampling.run == RUN for one in everything)
        # What goes back beyond the memory counts from the end of the recording.
        reach = seconds if seconds < min(kept, current) else seconds + unwritten
        assert list(store.last(seconds)) == everything[max(0, len(everything) - reach) :]
