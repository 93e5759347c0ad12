"""Deadlines lie on a grid: lateness does not add up, and missed ones are counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.deadlines import Deadlines, next_deadline

S = 10**9


@given(st.integers(0, 2**62), st.integers(1, 2**42), st.integers(0, 2**62))
def test_the_next_deadline_is_the_first_future_one_of_the_grid(start: int, interval: int, passed: int) -> None:
    now = start + passed
    deadline = next_deadline(start, interval, now)
    assert deadline > now
    assert deadline - interval <= now
    assert (deadline - start) % interval == 0


@given(st.integers(0, 2**62), st.integers(1, 2**42), st.integers(0, 2**20), st.data())
def test_lateness_below_an_interval_does_not_move_the_deadlines(
    start: int, interval: int, ticks: int, data: st.DataObject
) -> None:
    due = start + ticks * interval
    late = data.draw(st.integers(0, interval - 1))
    assert next_deadline(start, interval, due + late) == due + interval


def test_deadlines_in_the_past_are_skipped() -> None:
    assert next_deadline(1000, 10, 1037) == 1040


@pytest.mark.parametrize(("interval_ns", "second_ns"), [(S, S // 5), (S // 10, S // 10)])
def test_the_second_deadline_comes_soon_after_the_first_reading(interval_ns: int, second_ns: int) -> None:
    deadlines = Deadlines(100 * S, interval_ns)
    assert deadlines.due_ns == 100 * S
    deadlines.advance(103 * S, 103 * S + S // 100)
    assert (deadlines.due_ns, deadlines.missed) == (103 * S + second_ns, 0)


def test_a_long_first_tick_delays_the_second_reading() -> None:
    deadlines = Deadlines(100 * S, S)
    deadlines.advance(101 * S, 102 * S)
    assert (deadlines.due_ns, deadlines.missed) == (102 * S, 0)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=10))
def test_every_deadline_of_the_grid_is_due_or_missed(readings_seconds: list[float]) -> None:
    deadlines = Deadlines(100 * S, S)
    deadlines.advance(100 * S, 100 * S)
    deadlines.advance(deadlines.due_ns, deadlines.due_ns)
    passed = deadlines.due_ns
    for reading_seconds in readings_seconds:
        now_ns = deadlines.due_ns + int(reading_seconds * S)
        deadlines.advance(now_ns, now_ns)
        passed += (1 + deadlines.missed) * S
        assert deadlines.due_ns == passed > now_ns
        assert deadlines.missed == int(reading_seconds)
