"""The summary of a range, against sums over the snapshots of the same range."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import BOOT, SECOND, process, reading
from recorded_runs import live_ticks, runs

from cpuwatch import CpuTimes, Recording, Snapshot, open_recording
from cpuwatch.errors import QueryError
from cpuwatch.query.cgroup_name import unit_path
from cpuwatch.query.group import UsageGroup, by_name, by_user
from cpuwatch.query.summary import GroupSummaries, ProcessSummaries, SummaryGroup
from cpuwatch.recording import summary as summary_module
from cpuwatch.recording import sums_files
from cpuwatch.recording.directory import WIDTHS
from cpuwatch.recording.segment import sums_in
from cpuwatch.recording.summary import summarize
from cpuwatch.recording.writer import LogSize, RecordingWriter
from cpuwatch.sampled_tick import SampledTick

SMALL = LogSize(ticks=4, key_ticks=2)


def by_unit(snapshot: Snapshot) -> list[UsageGroup]:
    """The use of each unit without the units below it. The group is its path; only the CPU use is filled in."""
    unit_of = {row.pid: None if row.cgroup is None else unit_path(row.cgroup) for row in snapshot.processes}
    parts = [UsageGroup(unit_of[row.pid], 1, 0, row.cpu_percent or 0, 0, 0) for row in snapshot.processes]
    for row in snapshot.exited:
        used = row.cpu_percent or 0
        parts.append(UsageGroup(unit_of.get(row.parent_pid or 0), 0, 1, used, 0, used))
    return parts


GROUPINGS: dict[SummaryGroup, Callable[[Snapshot], list[UsageGroup]]] = {
    "name": by_name,
    "user": by_user,
    "cgroup": by_unit,
}
REASONABLE_SECONDS = 1e9
"""Sums of more are limited to what 64 bits hold; the strategies return such readings, but no machine does."""


@contextmanager
def recorded(
    ticks: Sequence[SampledTick], *, log_size: LogSize = SMALL, close: bool = True
) -> Iterator[tuple[Recording, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        writer = RecordingWriter(Path(directory), log_size=log_size)
        for tick in ticks:
            writer.write(tick)
        (writer.close if close else writer.abandon)()
        yield open_recording(directory), Path(directory)


@st.composite
def ranges(draw: st.DrawFn, ticks: Sequence[SampledTick]) -> tuple[datetime, datetime]:
    times = sorted({tick.reading.time for tick in ticks})
    end = draw(st.sampled_from(times))
    return draw(st.sampled_from([*times[: times.index(end)], end - timedelta(microseconds=1)])), end


def minutes(ticks: int = 200, *, clock_steps: dict[int, int] | None = None) -> list[SampledTick]:
    """A tick a second. Process 10 uses a tenth of a CPU, 20 a hundredth now and then; the clock may be set."""
    readings, shift = [], timedelta()
    for number in range(ticks):
        shift += timedelta(seconds=(clock_steps or {}).get(number, 0))
        used = number * SECOND // 10 + number // 3 * SECOND // 100
        taken = reading(
            process(10, cpu_ns=number * SECOND // 10, name="steady"),
            process(20, cpu_ns=number // 3 * SECOND // 100, name="seldom"),
            at_ns=(100 + number) * SECOND,
            total=CpuTimes(used, 0, 2 * (100 + number) * SECOND - used, 0, 0, 0),
        )
        readings.append(replace(taken, time=taken.time + shift))
    return list(live_ticks(readings))


def seconds_of(snapshots: Sequence[Snapshot], percent: Callable[[Snapshot], float]) -> float:
    return sum(percent(one) / 100 * one.interval_seconds for one in snapshots)


def is_close(found: float, expected: float, ticks: int) -> bool:
    """Whether the sums are equal but for rounding: half a tenth of a millisecond for each slot, at most one a tick."""
    return found == pytest.approx(expected, rel=1e-9, abs=(ticks + 1) * 0.51e-4)


def assert_matches(recording: Recording, start: datetime, end: datetime) -> None:
    """Compare each summary of the range with sums over its snapshots."""
    kept = list(recording.between(start, end))
    summary = summarize(recording, start, end)
    assert isinstance(summary, ProcessSummaries)
    assert summary.ticks == len(kept)
    assert summary.covered_seconds == pytest.approx(sum(one.interval_seconds for one in kept))
    own = seconds_of(kept, lambda one: sum(row.cpu_percent or 0 for row in one.processes))
    exited = seconds_of(kept, lambda one: sum(row.cpu_percent or 0 for row in one.exited))
    if max(own, exited) > REASONABLE_SECONDS:
        return
    assert summary.attribution.processes_seconds == pytest.approx(own, abs=1e-6)
    assert is_close(
        summary.attribution.exited_seconds + summary.attribution.estimated_seconds,
        exited,
        sum(len(one.exited) for one in kept),
    )
    for row in summary.processes:
        mine = [
            (one.interval_seconds, rows[row.key])
            for one in kept
            if one.host.boot_id == row.boot_id
            if row.key in (rows := {listed.key: listed for listed in one.processes})
        ]
        assert is_close(row.cpu_seconds, sum(by * (used.cpu_percent or 0) / 100 for by, used in mine), len(kept))
        peak = max((used.total_percent or 0 for _, used in mine), default=0)
        assert row.peak_percent == pytest.approx(peak, rel=1e-6, abs=0.1)
    for group_by, grouped in GROUPINGS.items():
        by_group = summarize(recording, start, end, group_by)
        assert isinstance(by_group, GroupSummaries)
        expected: dict[str | None, float] = defaultdict(float)
        of_exited: dict[str | None, float] = defaultdict(float)
        for one in kept:
            for group in grouped(one):
                expected[group.group] += one.interval_seconds * group.cpu_percent / 100
                of_exited[group.group] += one.interval_seconds * group.exited_percent / 100
        found = {row.cgroup if group_by == "cgroup" else row.group: row for row in by_group.groups}
        assert found.keys() <= expected.keys()
        for key, seconds in expected.items():
            row_of_group = found.get(key)
            assert is_close(row_of_group.cpu_seconds if row_of_group else 0, seconds, 2 * len(kept))
            assert is_close(row_of_group.exited_seconds if row_of_group else 0, of_exited[key], len(kept))


@settings(max_examples=30)
@given(runs(min_ticks=2, max_ticks=7), st.booleans(), st.data())
def test_a_summary_is_the_sum_over_the_snapshots(ticks: list[SampledTick], closed: bool, data: st.DataObject) -> None:
    start, end = data.draw(ranges(ticks))
    with recorded(ticks, close=closed) as (recording, _):
        assert_matches(recording, start, end)


@settings(max_examples=12)
@given(
    st.dictionaries(st.integers(1, 199), st.sampled_from([-90, -1, 5, 300]), max_size=2),
    st.integers(0, 199),
    st.integers(1, 199),
    st.sampled_from([70, 130, 600]),
)
def test_a_summary_begins_and_ends_within_minutes(
    clock_steps: dict[int, int], first: int, length: int, log_ticks: int
) -> None:
    ticks = minutes(clock_steps=clock_steps)
    start = ticks[first].reading.time
    with recorded(ticks, log_size=LogSize(ticks=log_ticks)) as (recording, _):
        assert_matches(recording, start, start + timedelta(seconds=length))


@settings(max_examples=30)
@given(runs(min_ticks=2, max_ticks=7), st.integers(0, 4), st.sampled_from([None, *GROUPINGS]))
def test_rows_and_rest_add_up_to_the_machine(ticks: list[SampledTick], top: int, group_by: SummaryGroup | None) -> None:
    start = min(tick.reading.time for tick in ticks) - timedelta(seconds=1)
    end = max(tick.reading.time for tick in ticks)
    with recorded(ticks) as (recording, _):
        summary = summarize(recording, start, end, group_by, top)
    attribution = summary.attribution
    if isinstance(summary, ProcessSummaries):
        assert len(summary.processes) <= top
        assert sum(row.cpu_seconds for row in summary.processes) + summary.rest.cpu_seconds == pytest.approx(
            attribution.processes_seconds
        )
        assert sum(row.cpu_seconds for row in summary.exited) + summary.exited_rest_seconds == pytest.approx(
            attribution.exited_seconds + attribution.estimated_seconds
        )
    else:
        assert len(summary.groups) <= top
        assert sum(row.cpu_seconds for row in summary.groups) + summary.rest.cpu_seconds == pytest.approx(
            attribution.processes_seconds + attribution.exited_seconds + attribution.estimated_seconds
        )
    is_known = all(tick.snapshot is None or tick.snapshot.machine.cpu_percent is not None for tick in ticks)
    if is_known and attribution.excess_seconds < REASONABLE_SECONDS:
        assert summary.machine.busy_cpu_seconds == pytest.approx(
            attribution.processes_seconds
            + attribution.exited_seconds
            + attribution.unattributed_seconds
            - attribution.excess_seconds,
            rel=1e-6,
            abs=1e-6,
        )


def test_the_largest_comes_first() -> None:
    ticks = minutes()
    with recorded(ticks) as (recording, _):
        summary = summarize(recording, ticks[0].reading.time, ticks[-1].reading.time)
    assert isinstance(summary, ProcessSummaries)
    assert [row.pid for row in summary.processes] == [10, 20]
    assert [row.cpu_seconds for row in summary.processes] == pytest.approx([19.9, 0.66])
    assert summary.processes[0].mean_percent == pytest.approx(10)
    assert summary.processes[0].machine_percent == pytest.approx(5)
    assert summary.machine.busy_cpu_seconds == pytest.approx(20.56)
    assert summary.machine.capacity_cpu_seconds == pytest.approx(398)


def test_without_ticks_whole_minutes_are_counted() -> None:
    ticks = minutes()
    start, end = ticks[30].reading.time, ticks[150].reading.time
    with recorded(ticks, log_size=LogSize()) as (recording, directory):
        assert summarize(recording, start, end).resolution_seconds is None
        (directory / "00000001.block").unlink()
        summary = summarize(recording, start, end)
        assert (summary.ticks, summary.resolution_seconds) == (60, 60)
        whole = summarize(recording, ticks[60].reading.time, ticks[120].reading.time)
        assert (whole.ticks, whole.resolution_seconds) == (60, None)


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_without_sums_ticks_are_counted(content: bytes) -> None:
    ticks = minutes()
    start, end = ticks[30].reading.time, ticks[150].reading.time
    with recorded(ticks, log_size=LogSize()) as (recording, directory):
        expected = summarize(recording, start, end)
        (directory / "00000001.sums").write_bytes(content)
        assert summarize(open_recording(directory), start, end).ticks == expected.ticks
        (directory / "00000001.sums").unlink()
        assert summarize(open_recording(directory), start, end).ticks == expected.ticks


def test_a_gap_is_not_covered() -> None:
    ticks = minutes()
    with recorded([*ticks[:50], *ticks[100:]]) as (recording, _):
        summary = summarize(recording, BOOT, ticks[-1].reading.time)
    assert summary.ticks == 148
    assert summary.covered_seconds == pytest.approx(148)


def test_nothing_in_the_range() -> None:
    with recorded(minutes(10)) as (recording, _):
        summary = summarize(recording, BOOT - timedelta(hours=1), BOOT)
    assert isinstance(summary, ProcessSummaries)
    assert (summary.ticks, summary.covered_seconds, summary.machine.busy_percent) == (0, 0, None)
    assert (summary.processes, summary.exited) == ([], [])


def test_an_empty_range_and_an_unknown_group_are_errors() -> None:
    with recorded(minutes(3)) as (recording, _):
        with pytest.raises(QueryError, match=r"empty range: 2026-01-01T00:00:00.000000Z is not before"):
            summarize(recording, BOOT, BOOT)
        with pytest.raises(QueryError, match="unknown group 'colour': must be one of name, user, cgroup"):
            summarize(recording, BOOT, BOOT + timedelta(1), "colour")  # type: ignore[arg-type]


def generations(count: int) -> list[SampledTick]:
    """A tick a second. One process lives throughout, and in each second another one starts, which lives for three."""
    return list(
        live_ticks(
            reading(
                process(10, cpu_ns=number * SECOND // 100, name="old"),
                *(
                    process(
                        100 + begin,
                        start_ns=(100 + begin) * SECOND - SECOND // 2,
                        cpu_ns=(1 + number - begin) * (1 + begin % 7) * SECOND // 100,
                        name="young",
                    )
                    for begin in range(max(1, number - 2), number + 1)
                ),
                at_ns=(100 + number) * SECOND,
            )
            for number in range(count)
        )
    )


def wide_files(directory: Path) -> list[Path]:
    return sorted(path for kind in WIDTHS for path in directory.glob(f"*.{kind}"))


@pytest.mark.parametrize("group_by", [None, *GROUPINGS])
def test_sums_of_many_segments_do_not_change_a_summary(group_by: SummaryGroup | None) -> None:
    ticks = generations(280)
    times = [tick.reading.time for tick in ticks]
    ranges = [(0, 279), (0, 140), (3, 277), (31, 33), (30, 64), (32, 256), (100, 279)]
    with recorded(ticks, log_size=LogSize(ticks=4)) as (recording, directory):
        found = [summarize(recording, times[start], times[end], group_by, 12) for start, end in ranges]
        files = wide_files(directory)
        assert [path.name for path in files if path.suffix != ".sums8"] == ["00000064.sums64"]
        assert len(files) == 9
        for path in files:
            path.unlink()
        expected = [summarize(recording, times[start], times[end], group_by, 12) for start, end in ranges]
    assert found == expected


def test_small_processes_that_ended_are_left_out_of_the_sums_of_many_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums_files, "MAX_SHORT_LIVED", 5)
    monkeypatch.setattr(summary_module, "MAX_SHORT_LIVED", 5)
    ticks = generations(280)
    start, end = ticks[0].reading.time, ticks[-1].reading.time
    with recorded(ticks, log_size=LogSize(ticks=16)) as (recording, directory):
        counts = [len(sums_in(path.read_bytes(), 0)[0].amounts["process"]) for path in wide_files(directory)]
        # Of 130 processes in 128 ticks: the old one, three at each end of a segment, and the largest five.
        assert counts
        assert max(counts) <= 1 + 9 * 3 + 5
        complete = summarize(recording, start, end)
        for top in (1, 5, 6):
            summary = summarize(recording, start, end, None, top)
            assert isinstance(summary, ProcessSummaries)
            assert isinstance(complete, ProcessSummaries)
            assert summary.processes == complete.processes[:top]
            assert summary.machine == complete.machine


@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_without_the_sums_of_many_segments_those_of_each_are_added(content: bytes | None) -> None:
    ticks = generations(80)
    start, end = ticks[0].reading.time, ticks[-1].reading.time
    with recorded(ticks, log_size=LogSize(ticks=4)) as (recording, directory):
        expected = summarize(recording, start, end, "name", 5)
        path = directory / "00000008.sums8"
        assert path.exists()
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        again = open_recording(directory)
        assert summarize(again, start, end, "name", 5) == expected
        assert [part.path for part in again.damage] == ([] if content is None else [path])
