"""The history compared with a linear search in a list, and the cost of its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import BOOT, snapshot

from cpuwatch import Snapshot
from cpuwatch.history import SnapshotHistory, SnapshotStore
from cpuwatch.tick_id import TickId

UNLIMITED = 2**40
RUN = "123456789"
EMPTY = snapshot()


def taken(sequence: int, at_seconds: float, interval_seconds: float = 1.0) -> Snapshot:
    sampling = replace(EMPTY.sampling, run=RUN)
    time = BOOT + timedelta(seconds=at_seconds)
    return replace(EMPTY, sequence=sequence, time=time, interval_seconds=interval_seconds, sampling=sampling)


def filled(snapshots: list[Snapshot], max_snapshots: int = 10**6) -> SnapshotHistory:
    history = SnapshotHistory(max_snapshots, UNLIMITED)
    for one in snapshots:
        history.append(one)
    return history


@st.composite
def runs(draw: st.DrawFn) -> list[Snapshot]:
    """Generate snapshots with gaps in the sequences, set-backs of the wall clock, and exact sums of intervals."""
    sequence, at_seconds, snapshots = 0, 50, []
    for _ in range(draw(st.integers(0, 30))):
        sequence += draw(st.integers(1, 2))
        at_seconds += draw(st.one_of(st.integers(0, 3), st.integers(-20, 20)))
        snapshots.append(taken(sequence, at_seconds, draw(st.sampled_from([0.25, 1.0, 3.0]))))
    return snapshots


LIMITS = st.integers(1, 40)
TIMES = st.one_of(st.none(), st.integers(-20, 120).map(lambda seconds: BOOT + timedelta(seconds=seconds)))


@given(runs(), LIMITS)
def test_all_snapshots_come_oldest_first(snapshots: list[Snapshot], limit: int) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    assert list(history) == kept
    assert len(history) == len(kept)
    assert history.latest is (kept[-1] if kept else None)


@given(runs(), LIMITS, st.integers(0, 70))
def test_after_returns_the_snapshots_after_a_tick(snapshots: list[Snapshot], limit: int, sequence: int) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    later = [one for one in kept if one.sequence > sequence]
    assert list(history.after(sequence)) == later
    known = bool(kept) and sequence <= kept[-1].sequence
    assert list(history.after(TickId(RUN, sequence))) == (later if known else kept)
    assert list(history.after(TickId("876543210", sequence))) == kept


@given(runs(), LIMITS, TIMES.filter(bool))
def test_at_returns_the_latest_snapshot_at_or_before_a_time(
    snapshots: list[Snapshot], limit: int, time: datetime
) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    before = [one for one in kept if one.time <= time]
    assert history.at(time) == max(before, key=lambda one: (one.time, one.sequence), default=None)


@given(runs(), LIMITS, TIMES, TIMES)
def test_between_returns_the_snapshots_of_a_time_range_in_tick_order(
    snapshots: list[Snapshot], limit: int, start: datetime | None, end: datetime | None
) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    assert list(history.between(start, end)) == [
        one for one in kept if (start is None or one.time > start) and (end is None or one.time <= end)
    ]


@given(runs(), LIMITS, st.integers(-4, 100).map(lambda quarters: quarters / 4))
def test_last_counts_measured_intervals(snapshots: list[Snapshot], limit: int, seconds: float) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    assert list(history.last(seconds)) == [
        one for index, one in enumerate(kept) if sum(newer.interval_seconds for newer in kept[index + 1 :]) < seconds
    ]


def test_after_a_set_back_of_the_clock_times_repeat() -> None:
    history = filled([taken(1, 100), taken(2, 101), taken(3, 100), taken(4, 101)])
    at = history.at(BOOT + timedelta(seconds=100.5))
    assert at is not None
    assert at.sequence == 3
    both = history.between(BOOT + timedelta(seconds=100), BOOT + timedelta(seconds=101))
    assert [one.sequence for one in both] == [2, 4]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (iter, [3, 4, 5]),
        (lambda history: history.after(0), [3, 4, 5]),
        (lambda history: history.last(60), [3, 4, 5]),
        # The range is determined at the time of the search.
        (lambda history: history.between(), [3]),
    ],
)
def test_an_iterator_skips_dropped_snapshots_and_sees_new_ones(
    read: Callable[[SnapshotStore], Iterator[Snapshot]], expected: list[int]
) -> None:
    history = filled([taken(sequence, sequence) for sequence in range(1, 4)], max_snapshots=3)
    reading = read(history)
    assert next(reading).sequence == 1
    for sequence in range(4, 6):
        history.append(taken(sequence, sequence))
    assert [one.sequence for one in reading] == expected


# Cost


class CountingList(list[Any]):
    """A list that counts the reads of its items."""

    reads = 0

    def __getitem__(self, index: Any) -> Any:
        self.reads += 1
        return super().__getitem__(index)


def watched_history(snapshots: list[Snapshot], limit: int = 10**6) -> tuple[SnapshotHistory, CountingList]:
    history = filled(snapshots, limit)
    history._kept = watched = CountingList(history._kept)
    return history, watched


def steady(length: int) -> list[Snapshot]:
    return [taken(n, n) for n in range(1, length + 1)]


SHORT, LONG = 2**8, 2**13
MAX_READS = 100
"""Far above the reads of a few bisections, and below a scan of the short history."""

OPERATIONS: dict[str, Callable[[SnapshotHistory, int], object]] = {
    "latest": lambda history, _: history.latest,
    "after": lambda history, length: next(history.after(length // 2)),
    "after a tick id": lambda history, length: next(history.after(TickId(RUN, length // 2))),
    "at": lambda history, length: history.at(BOOT + timedelta(seconds=length // 2)),
    "between": lambda history, length: next(history.between(BOOT + timedelta(seconds=length // 2))),
    "last": lambda history, length: next(history.last(length // 2)),
    "oldest": lambda history, _: next(iter(history)),
    "wait": lambda history, length: history.wait(length // 2),
    "append": lambda history, length: history.append(taken(length + 1, length + 1)),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
@pytest.mark.parametrize("length", [SHORT, LONG])
def test_no_operation_scans_the_history(operation: str, length: int) -> None:
    history, watched = watched_history(steady(length))
    OPERATIONS[operation](history, length)
    assert watched.reads < MAX_READS


def test_dropping_the_oldest_does_not_scan_the_history() -> None:
    history, watched = watched_history(steady(LONG), LONG)
    history.append(taken(LONG + 1, LONG + 1))
    assert next(iter(history)).sequence == 2
    assert 0 < watched.reads < MAX_READS


def test_the_cost_of_replaying_a_snapshot_does_not_grow_with_the_history() -> None:
    per_snapshot = []
    for length in (SHORT, LONG):
        history, watched = watched_history(steady(length))
        replayed = 100
        sequence = 10
        for _ in range(replayed):
            sequence = next(history.after(sequence)).sequence
        per_snapshot.append(watched.reads / replayed)
    # One more comparison each time the length doubles.
    assert per_snapshot[1] <= per_snapshot[0] + 2 * 5 + 2


def test_set_backs_of_the_clock_are_dropped_with_their_snapshots() -> None:
    ticks = [(n, -n) for n in range(1, 200)] + [(n, n) for n in range(200, 210)]
    history, watched = watched_history([taken(*tick) for tick in ticks], 10)
    history.at(BOOT + timedelta(seconds=205))
    assert 0 < watched.reads < MAX_READS


# Packed snapshots


class Block:
    """A block of snapshots that were not packed at all."""

    def __init__(self, snapshots: list[Snapshot], size_bytes: int = 10) -> None:
        self._snapshots = {one.sequence: one for one in snapshots}
        self.size_bytes = size_bytes

    def snapshot(self, sequence: int) -> Snapshot:
        return self._snapshots[sequence]


def test_packed_snapshots_are_found_like_others_and_take_the_memory_of_their_block() -> None:
    snapshots = steady(10)
    history = filled(snapshots)
    loose_bytes = history.estimated_bytes
    history.pack([3, 4, 5], Block(snapshots[2:5]))
    assert history.estimated_bytes == loose_bytes * 7 // 10 + 10
    assert list(history) == snapshots
    assert history.at(BOOT + timedelta(seconds=4)) == snapshots[3]
    assert list(history.between(BOOT + timedelta(seconds=2), BOOT + timedelta(seconds=6))) == snapshots[2:6]


def test_the_memory_of_a_block_is_freed_with_its_last_snapshot() -> None:
    snapshots = steady(6)
    history = filled(snapshots[:3], max_snapshots=3)
    history.pack([1, 2], Block(snapshots[:2], 10**9))
    assert history.estimated_bytes > 10**9
    history.append(snapshots[3])
    assert history.estimated_bytes > 10**9
    history.append(snapshots[4])
    assert history.estimated_bytes < 10**9


def test_snapshots_that_were_dropped_meanwhile_are_not_packed() -> None:
    snapshots = steady(4)
    history = filled(snapshots, max_snapshots=2)
    history.pack([1, 2, 3], Block(snapshots[:3]))
    assert list(history) == snapshots[2:]
