"""The history against a plain list that is searched from one end to the other, and what a search costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import BOOT, snapshot

from cpuwatch import Snapshot
from cpuwatch.history import SnapshotHistory, SnapshotStore
from cpuwatch.tick_id import TickId

PLENTY = 2**40
RUN = "123456789"
EMPTY = snapshot()


def taken(sequence: int, at_seconds: float, interval_seconds: float = 1.0) -> Snapshot:
    sampling = replace(EMPTY.sampling, run=RUN)
    time = BOOT + timedelta(seconds=at_seconds)
    return replace(EMPTY, sequence=sequence, time=time, interval_seconds=interval_seconds, sampling=sampling)


def filled(snapshots: list[Snapshot], max_snapshots: int = 10**6) -> SnapshotHistory:
    history = SnapshotHistory(max_snapshots, PLENTY)
    for one in snapshots:
        history.append(one)
    return history


@st.composite
def runs(draw: st.DrawFn) -> list[Snapshot]:
    """Sequences ascend, with gaps; the wall clock goes back and forth; sums of the intervals are exact."""
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
def test_those_after_a_tick(snapshots: list[Snapshot], limit: int, sequence: int) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    later = [one for one in kept if one.sequence > sequence]
    assert list(history.after(sequence)) == later
    known = bool(kept) and sequence <= kept[-1].sequence
    assert list(history.after(TickId(RUN, sequence))) == (later if known else kept)
    assert list(history.after(TickId("876543210", sequence))) == kept


@given(runs(), LIMITS, TIMES.filter(bool))
def test_the_one_at_a_time_is_the_latest_at_or_before_it(snapshots: list[Snapshot], limit: int, time: datetime) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    before = [one for one in kept if one.time <= time]
    assert history.at(time) == max(before, key=lambda one: (one.time, one.sequence), default=None)


@given(runs(), LIMITS, TIMES, TIMES)
def test_those_between_two_times_come_in_the_order_in_which_they_were_taken(
    snapshots: list[Snapshot], limit: int, start: datetime | None, end: datetime | None
) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    assert list(history.between(start, end)) == [
        one for one in kept if (start is None or one.time > start) and (end is None or one.time <= end)
    ]


@given(runs(), LIMITS, st.integers(-4, 100).map(lambda quarters: quarters / 4))
def test_those_of_the_last_seconds_are_counted_in_measured_intervals(
    snapshots: list[Snapshot], limit: int, seconds: float
) -> None:
    history, kept = filled(snapshots, limit), snapshots[-limit:]
    assert list(history.last(seconds)) == [
        one for index, one in enumerate(kept) if sum(newer.interval_seconds for newer in kept[index + 1 :]) < seconds
    ]


def test_a_clock_that_was_set_back_shows_a_time_twice() -> None:
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
        # A range of times is fixed when it is searched for.
        (lambda history: history.between(), [3]),
    ],
)
def test_an_iterator_skips_what_was_dropped_and_sees_what_was_added(
    read: Callable[[SnapshotStore], Iterator[Snapshot]], expected: list[int]
) -> None:
    history = filled([taken(sequence, sequence) for sequence in range(1, 4)], max_snapshots=3)
    reading = read(history)
    assert next(reading).sequence == 1
    for sequence in range(4, 6):
        history.append(taken(sequence, sequence))
    assert [one.sequence for one in reading] == expected


# Cost


class Looks:
    """Counts how often a fact about any snapshot is looked at."""

    def __init__(self) -> None:
        self.count = 0


class Watched:
    """A snapshot that counts looks at what a search may look at."""

    def __init__(self, original: Snapshot, looks: Looks) -> None:
        self._original = original
        self._looks = looks

    def __getattr__(self, name: str) -> object:
        self._looks.count += 1
        return getattr(self._original, name)


def watched_history(length: int, limit: int = 10**6) -> tuple[SnapshotHistory, Looks]:
    looks = Looks()
    history = filled([cast("Snapshot", Watched(taken(n, n), looks)) for n in range(1, length + 1)], limit)
    looks.count = 0
    return history, looks


SHORT, LONG = 2**8, 2**13
MAX_LOOKS = 100
"""Far above a few bisections, and below a walk through the short history."""

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
def test_no_operation_walks_through_the_history(operation: str, length: int) -> None:
    history, looks = watched_history(length)
    OPERATIONS[operation](history, length)
    assert looks.count < MAX_LOOKS


def test_dropping_the_oldest_does_not_walk_through_the_history() -> None:
    history, looks = watched_history(LONG, LONG)
    history.append(taken(LONG + 1, LONG + 1))
    assert next(iter(history)).sequence == 2
    assert looks.count < MAX_LOOKS


def test_replaying_costs_as_much_for_each_snapshot_however_long_the_history_is() -> None:
    per_snapshot = []
    for length in (SHORT, LONG):
        history, looks = watched_history(length)
        replayed = 100
        sequence = 10
        for _ in range(replayed):
            sequence = next(history.after(sequence)).sequence
        per_snapshot.append(looks.count / replayed)
    # One more comparison each time that the length doubles.
    assert per_snapshot[1] <= per_snapshot[0] + 2 * 5 + 2


def test_set_backs_of_the_clock_cost_nothing_once_their_snapshots_are_dropped() -> None:
    looks = Looks()
    ticks = [(n, -n) for n in range(1, 200)] + [(n, n) for n in range(200, 210)]
    history = filled([cast("Snapshot", Watched(taken(*tick), looks)) for tick in ticks], max_snapshots=10)
    looks.count = 0
    history.at(BOOT + timedelta(seconds=205))
    assert looks.count < MAX_LOOKS
