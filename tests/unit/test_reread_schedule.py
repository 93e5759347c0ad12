from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.reread_schedule import (
    MAX_BUSY_PER_READING,
    MIN_PER_READING,
    READINGS_PER_ROUND,
    PidQueue,
    RereadSchedule,
)

Events = list[tuple[str, int]]
pids = st.integers(1, 40)
events = st.lists(st.tuples(st.sampled_from(["new", "renamed", "busy", "end"]), pids), max_size=12)


@given(st.lists(pids), st.sets(pids), st.integers(0, 10))
def test_pids_are_popped_once_and_in_order(asked: list[int], living: set[int], most: int) -> None:
    queue = PidQueue()
    for pid in asked:
        queue.append(pid)
    expected = [pid for pid in dict.fromkeys(asked) if pid in living]
    taken = []
    while found := queue.pop(max(1, most), living):
        assert len(found) <= max(1, most)
        taken += found
    assert taken == expected


def test_popping_stops_after_the_cpu_time_but_returns_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0
    monkeypatch.setattr(time, "thread_time_ns", lambda: now_ns)
    queue = PidQueue()
    living = range(10)
    for pid in living:
        queue.append(pid)
    taken = []
    for pid in queue.pop_for(25, 5, living):
        taken.append(pid)
        now_ns += 10
    assert taken == [0, 1, 2]
    assert list(queue.pop_for(0, 5, living)) == [3]
    assert list(queue.pop_for(25, 5, living)) == [4, 5, 6, 7, 8]
    assert list(queue.pop_for(25, 5, living)) == [9]


@given(st.lists(events, max_size=30))
def test_only_living_processes_are_due_and_events_decide_when(readings: list[Events]) -> None:
    schedule = RereadSchedule()
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
                schedule.add_new(pid)
            elif pid in living:
                if event == "renamed":
                    renamed.add(pid)
                    schedule.add_renamed(pid)
                else:
                    schedule.add_busy(pid)
        due = schedule.due(living)
        assert due <= living
        assert (renamed | new_before) & living <= due
        assert len(due - renamed - new_before) <= MAX_BUSY_PER_READING + MIN_PER_READING
        new_before = new


@given(st.integers(1, 3000))
def test_every_process_is_due_once_in_a_round(count: int) -> None:
    schedule = RereadSchedule()
    living = range(1, count + 1)
    for pid in living:
        schedule.add_new(pid)
    last_turn = dict.fromkeys(living, 0)
    schedule.due(living)
    for reading in range(1, 2 * READINGS_PER_ROUND + 2):
        for pid in schedule.due(living):
            assert reading - last_turn[pid] <= READINGS_PER_ROUND
            last_turn[pid] = reading
    assert min(last_turn.values()) > READINGS_PER_ROUND


def test_a_process_that_has_settled_is_due_in_its_turn_only() -> None:
    schedule = RereadSchedule()
    living = range(1, 1001)
    for pid in living:
        schedule.add_new(pid, has_settled=pid != 1000)
    readings = [schedule.due(living) for _ in range(READINGS_PER_ROUND)]
    assert [len(due) for due in readings[:3]] == [6, 7, 6]
    assert 1000 in readings[1]
    assert set().union(*readings) == set(living)


def test_busy_processes_are_due_in_turn() -> None:
    schedule = RereadSchedule()
    busy = range(1, 5 * MAX_BUSY_PER_READING + 1)
    turns: list[int] = []
    for _ in range(5):
        for pid in busy:
            schedule.add_busy(pid)
        turns += schedule.due(busy)
    assert sorted(turns) == list(busy)
