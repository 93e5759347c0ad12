from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.rota import MAX_BUSY, MIN_EACH, ROUND_READINGS, Rota, Turns

Events = list[tuple[str, int]]
pids = st.integers(1, 40)
events = st.lists(st.tuples(st.sampled_from(["new", "renamed", "busy", "end"]), pids), max_size=12)


@given(st.lists(pids), st.sets(pids), st.integers(0, 10))
def test_turns_are_taken_in_order_and_each_once(asked: list[int], living: set[int], most: int) -> None:
    turns = Turns()
    for pid in asked:
        turns.add(pid)
    expected = [pid for pid in dict.fromkeys(asked) if pid in living]
    taken = []
    while found := turns.take(max(1, most), living):
        assert len(found) <= max(1, most)
        taken += found
    assert taken == expected


def test_turns_end_with_the_time_but_one_is_always_had(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0
    monkeypatch.setattr(time, "thread_time_ns", lambda: now_ns)
    turns = Turns()
    living = range(10)
    for pid in living:
        turns.add(pid)
    taken = []
    for pid in turns.take_for(25, 5, living):
        taken.append(pid)
        now_ns += 10
    assert taken == [0, 1, 2]
    assert list(turns.take_for(0, 5, living)) == [3]
    assert list(turns.take_for(25, 5, living)) == [4, 5, 6, 7, 8]
    assert list(turns.take_for(25, 5, living)) == [9]


@given(st.lists(events, max_size=30))
def test_only_the_living_have_turns_and_what_happened_decides_when(readings: list[Events]) -> None:
    rota = Rota()
    living: set[int] = set()
    new_before: set[int] = set()
    for reading in readings:
        new, renamed = set(), set()
        for event, pid in reading:
            if event == "end":
                living.discard(pid)
            elif event == "new":
                living.add(pid)
                new.add(pid)
                rota.add_new(pid)
            elif pid in living:
                if event == "renamed":
                    renamed.add(pid)
                    rota.add_renamed(pid)
                else:
                    rota.add_busy(pid)
        due = rota.take(living)
        assert due <= living
        assert (renamed | new_before) & living <= due
        assert len(due - renamed - new_before) <= MAX_BUSY + MIN_EACH
        new_before = new


@given(st.integers(1, 3000))
def test_each_has_its_turn_within_a_round(count: int) -> None:
    rota = Rota()
    living = range(1, count + 1)
    for pid in living:
        rota.add_new(pid)
    last_turn = dict.fromkeys(living, 0)
    rota.take(living)
    for reading in range(1, 2 * ROUND_READINGS + 2):
        for pid in rota.take(living):
            assert reading - last_turn[pid] <= ROUND_READINGS
            last_turn[pid] = reading
    assert min(last_turn.values()) > ROUND_READINGS


def test_of_many_that_are_busy_each_has_its_turn_before_another_has_two() -> None:
    rota = Rota()
    busy = range(1, 5 * MAX_BUSY + 1)
    turns: list[int] = []
    for _ in range(5):
        for pid in busy:
            rota.add_busy(pid)
        turns += rota.take(busy)
    assert sorted(turns) == list(busy)
