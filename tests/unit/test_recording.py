"""A recording is a store of snapshots: what it returns, against a plain list of the snapshots that were live."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import SECOND, process, reading
from recorded_runs import live_ticks, runs
from small_recordings import busy_ticks, write_recording

from cpuwatch import Recording, Snapshot, SnapshotStore, TickId, open_recording
from cpuwatch.errors import NotARecordingError, RecordingError, RecordingLockedError
from cpuwatch.recording.writer import LogSize, RecordingWriter
from cpuwatch.sampled_tick import SampledTick

SMALL = LogSize(ticks=3, key_ticks=2)
TWO_RUNS = st.tuples(runs(min_ticks=2, max_ticks=7), runs(min_ticks=2, max_ticks=5))
few = settings(max_examples=40)


@contextmanager
def recorded(*recorded_runs: Sequence[SampledTick], close: bool = True) -> Iterator[Recording]:
    with tempfile.TemporaryDirectory() as directory:
        for ticks in recorded_runs:
            writer = RecordingWriter(Path(directory), log_size=SMALL)
            for tick in ticks:
                writer.write(tick)
            (writer.close if close else writer.abandon)()
        yield open_recording(directory)


def snapshots_of(ticks: Sequence[SampledTick]) -> list[Snapshot]:
    return [tick.snapshot for tick in ticks if tick.snapshot is not None]


def steady(count: int, run: str = "123456789", at_seconds: int = 0) -> list[SampledTick]:
    readings = [
        reading(
            process(10, cpu_ns=number * SECOND // 10),
            process(20, cpu_ns=5),
            at_ns=(100 + at_seconds + number) * SECOND,
        )
        for number in range(count)
    ]
    return list(live_ticks(readings, run))


def renamed(ticks: Sequence[SampledTick], run: str) -> list[SampledTick]:
    return list(live_ticks((tick.reading for tick in ticks), run))


def test_a_recording_is_a_snapshot_store() -> None:
    with recorded(steady(2)) as recording:
        store: SnapshotStore = recording
        assert store.latest is not None


@few
@given(TWO_RUNS, st.booleans())
def test_all_snapshots_of_all_runs_come_in_the_order_in_which_they_were_taken(
    two: tuple[list[SampledTick], list[SampledTick]], closed: bool
) -> None:
    first, second = two[0], renamed(two[1], "234567891")
    with recorded(first, second, close=closed) as recording:
        assert list(recording) == snapshots_of(first) + snapshots_of(second)
        assert recording.latest == next(reversed(snapshots_of(first) + snapshots_of(second)), None)
        assert not recording.damage


@few
@given(TWO_RUNS, st.integers(0, 8))
def test_those_after_a_tick(two: tuple[list[SampledTick], list[SampledTick]], sequence: int) -> None:
    first, second = two[0], renamed(two[1], "234567891")
    both = snapshots_of(first) + snapshots_of(second)
    with recorded(first, second) as recording:
        later = [one for one in snapshots_of(first) if one.sequence > sequence]
        assert list(recording.after(TickId("123456789", sequence))) == later + snapshots_of(second)
        last = [one for one in snapshots_of(second) if one.sequence > sequence]
        assert list(recording.after(TickId("234567891", sequence))) == last
        assert list(recording.after(sequence)) == last
        assert list(recording.after(TickId("876543210", sequence))) == both


def test_those_after_a_tick_do_not_need_the_segments_before_it(tmp_path: Path) -> None:
    ticks = busy_ticks(40)
    write_recording(tmp_path, ticks, finish=True)
    blocks = sorted(tmp_path.glob("*.block"))
    assert len(blocks) == 5
    # A header is intact in each, so the damage behind it is found only by reading the ticks.
    for block in blocks[:3]:
        content = block.read_bytes()
        block.write_bytes(content[:-20] + bytes(20))
    recording = open_recording(tmp_path)
    assert list(recording.after(30)) == snapshots_of(ticks)[30:]
    assert not recording.damage
    assert list(recording.after(20))[-9:] == snapshots_of(ticks)[30:]
    assert [part.path for part in recording.damage] == [blocks[2]]


@few
@given(runs(min_ticks=2), st.data())
def test_the_one_at_a_time_is_the_latest_at_or_before_it(ticks: list[SampledTick], data: st.DataObject) -> None:
    kept = snapshots_of(ticks)
    times = st.sampled_from([tick.reading.time + timedelta(microseconds=step) for tick in ticks for step in (-1, 0, 1)])
    with recorded(ticks) as recording:
        time = data.draw(times)
        before = [one for one in kept if one.time <= time]
        assert recording.at(time) == max(before, key=lambda one: (one.time, one.sequence), default=None)


@few
@given(runs(min_ticks=2), st.data())
def test_those_between_two_times_come_in_the_order_in_which_they_were_taken(
    ticks: list[SampledTick], data: st.DataObject
) -> None:
    times = st.none() | st.sampled_from([tick.reading.time for tick in ticks])
    start, end = data.draw(times), data.draw(times)
    with recorded(ticks) as recording:
        assert list(recording.between(start, end)) == [
            one
            for one in snapshots_of(ticks)
            if (start is None or one.time > start) and (end is None or one.time <= end)
        ]


@few
@given(runs(min_ticks=2), st.integers(0, 30))
def test_those_of_the_last_seconds_are_counted_in_measured_intervals(ticks: list[SampledTick], seconds: int) -> None:
    kept = snapshots_of(ticks)
    intervals_ns = [
        later.reading.monotonic_ns - earlier.reading.monotonic_ns
        for earlier, later in pairwise(ticks)
        if later.snapshot is not None
    ]
    with recorded(ticks) as recording:
        assert list(recording.last(seconds)) == [
            one for index, one in enumerate(kept) if sum(intervals_ns[index + 1 :]) < seconds * SECOND
        ]


def test_a_reader_sees_what_is_added_while_it_iterates() -> None:
    ticks = steady(9)
    with tempfile.TemporaryDirectory() as directory, RecordingWriter(Path(directory), log_size=SMALL) as writer:
        for tick in ticks[:3]:
            writer.write(tick)
        iterator = iter(open_recording(directory))
        assert next(iterator) == ticks[1].snapshot
        for tick in ticks[3:]:
            writer.write(tick)
        assert list(iterator) == snapshots_of(ticks[2:])


def test_waiting_returns_the_newest_snapshot_and_none_at_the_timeout() -> None:
    ticks = steady(4)
    with tempfile.TemporaryDirectory() as directory, RecordingWriter(Path(directory), log_size=SMALL) as writer:
        for tick in ticks[:3]:
            writer.write(tick)
        recording = open_recording(directory)
        assert recording.wait(timeout=0) is None
        assert recording.wait(after=1, timeout=60) == ticks[2].snapshot
        writer.write(ticks[3])
        assert recording.wait(after=2, timeout=60) == ticks[3].snapshot


def test_a_gap_in_the_readings_is_a_gap_and_what_follows_is_right() -> None:
    ticks = steady(8)
    with recorded([*ticks[:3], *ticks[5:]]) as recording:
        assert list(recording) == snapshots_of(ticks[:3]) + snapshots_of(ticks[6:])


def test_the_beginning_of_a_range_is_excluded_and_its_end_included() -> None:
    ticks = steady(9)
    with recorded(ticks) as recording:
        for first, last in ((1, 8), (2, 5), (3, 4), (4, 4)):
            between = recording.between(ticks[first].reading.time, ticks[last].reading.time)
            assert list(between) == snapshots_of(ticks[first + 1 : last + 1])


def test_sums_do_not_count_the_snapshot_across_a_gap() -> None:
    ticks = steady(9)
    with_gap = [*ticks[:3], *ticks[6:]]
    with recorded(with_gap, close=False) as left, recorded(with_gap) as finished:
        for recording in (left, finished):
            RecordingWriter(recording.segments.directory).close()
        counts = [
            [slot.machine.ticks for slot in recording.segments.sums(segment, 0) or ()]
            for recording in (left, finished)
            for segment in open_recording(recording.segments.directory).segments.listed()
        ]
        assert sum(sum(part) for part in counts) == 2 * len(snapshots_of(ticks[:3]) + snapshots_of(ticks[7:]))


def test_an_abandoned_log_becomes_a_block_with_the_same_sums() -> None:
    ticks = steady(3)
    with recorded(ticks, close=False) as left, recorded(ticks) as finished:
        directory = left.segments.directory
        RecordingWriter(directory).close()
        assert sorted(path.name for path in directory.iterdir()) == [
            "00000001.block",
            "00000001.sums",
            "recording.json",
            "writer.lock",
        ]
        for name in ("00000001.block", "00000001.sums"):
            assert (directory / name).read_bytes() == (finished.segments.directory / name).read_bytes()
        assert list(open_recording(directory)) == snapshots_of(ticks)


def test_a_second_writer_is_refused_and_told_who_writes() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        RecordingWriter(Path(directory)),
        pytest.raises(RecordingLockedError, match=r"process \d+ on .* is recording to it"),
    ):
        RecordingWriter(Path(directory))


def test_a_file_is_not_made_a_recording(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RecordingError, match=r"file': it is not a directory"):
        RecordingWriter(file)


def test_a_directory_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARecordingError, match="there is no such directory"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(NotARecordingError, match="it holds no recording"):
        open_recording(tmp_path)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(NotARecordingError, match=r"it holds 'letter\.txt', which is not part of a recording"):
        RecordingWriter(tmp_path)
    with pytest.raises(NotARecordingError, match="it is not a directory"):
        open_recording(tmp_path / "letter.txt")


def test_a_recording_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_text('{"format": "cpuwatch recording", "version": 99}')
    with pytest.raises(NotARecordingError, match="has version 99, and this cpuwatch reads up to 1"):
        open_recording(tmp_path)


def test_there_is_no_snapshot_before_the_first_one(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path) as writer:
        for tick in steady(3):
            writer.write(tick)
    recording = open_recording(tmp_path)
    assert recording.at(datetime.min.replace(tzinfo=steady(1)[0].reading.time.tzinfo)) is None
