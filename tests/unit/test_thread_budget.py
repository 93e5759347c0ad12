from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.thread_budget import ThreadBudget

requests = st.dictionaries(st.integers(1, 50), st.integers(2, 30), max_size=12)


def granted(budget: ThreadBudget, threads: dict[int, int]) -> set[int]:
    found = {pid for pid, count in threads.items() if budget.grants(pid, count)}
    budget.end_reading()
    return found


@given(st.lists(requests, max_size=40))
def test_a_reading_never_exceeds_the_limit(readings: list[dict[int, int]]) -> None:
    budget = ThreadBudget(40)
    for threads in readings:
        assert sum(threads[pid] for pid in granted(budget, threads)) <= 40


def test_all_are_granted_while_they_fit() -> None:
    budget = ThreadBudget(10)
    for _ in range(100):
        assert granted(budget, {1: 4, 2: 6}) == {1, 2}


def test_processes_take_turns_of_consecutive_readings() -> None:
    budget = ThreadBudget(10)
    threads = dict.fromkeys(range(1, 8), 4)
    readings = [granted(budget, threads) for _ in range(200)]
    in_a_row = dict.fromkeys(threads, 0)
    for before, after in pairwise(readings):
        for pid in before & after:
            in_a_row[pid] += 1
    # A rate needs two readings in a row. Each process gets its share of them.
    assert min(in_a_row.values()) > 30
    assert max(in_a_row.values()) - min(in_a_row.values()) <= 32


def test_a_process_with_too_many_threads_does_not_keep_others_from_their_turn() -> None:
    budget = ThreadBudget(10)
    threads = {1: 2000, 2: 5, 3: 5}
    readings = [granted(budget, threads) for _ in range(50)]
    assert readings[1:] == [{2, 3}] * 49


def test_after_a_shortage_all_are_granted_again() -> None:
    budget = ThreadBudget(10)
    granted(budget, {1: 8, 2: 8})
    granted(budget, {1: 2})
    assert granted(budget, {1: 2, 2: 2}) == {1, 2}
