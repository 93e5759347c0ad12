from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, snapshot
from strategies import snapshots

from cpuwatch import Snapshot, top


def pids(of: Snapshot) -> list[int]:
    return [row.pid for row in of.processes]


def test_the_busiest_come_first() -> None:
    plain = snapshot((1, 10), (2, SECOND), (3, SECOND // 2))
    assert pids(top(plain)) == [2, 3, 1]
    assert pids(top(plain, 2)) == [2, 3]


def test_none_wanted_is_none_given() -> None:
    assert top(snapshot((1, 10)), 0).processes == []


def test_equal_shares_are_ordered_by_cpu_time_and_then_by_pid() -> None:
    plain = snapshot((3, 0), (1, 0), (2, 0))
    older = [replace(row, cpu_seconds=9.0) if row.pid == 2 else row for row in plain.processes]
    assert pids(top(replace(plain, processes=older))) == [2, 1, 3]


def test_unknown_shares_come_behind_those_that_are_zero() -> None:
    plain = snapshot((1, SECOND), (2, 0))
    unknown = [replace(row, cpu_percent=None, cpu_seconds=99.0) if row.pid == 1 else row for row in plain.processes]
    assert pids(top(replace(plain, processes=unknown))) == [2, 1]


@given(snapshots(), st.none() | st.integers(0, 6))
def test_choosing_keeps_the_rows_as_they_are_and_all_the_rest(original: Snapshot, count: int | None) -> None:
    chosen = top(original, count)
    assert len(chosen.processes) == min(len(original.processes), len(original.processes) if count is None else count)
    assert all(row in original.processes for row in chosen.processes)
    assert all(row in original.exited for row in chosen.exited)
    assert replace(chosen, processes=original.processes, exited=original.exited) == original


@given(snapshots(), st.integers(0, 6))
def test_nothing_that_is_left_out_is_busier_than_what_is_chosen(original: Snapshot, count: int) -> None:
    chosen = top(original, count).processes
    left = list(original.processes)
    for row in chosen:
        left.remove(row)
    known = [row.cpu_percent for row in left if row.cpu_percent is not None]
    for row in chosen:
        assert all(row.cpu_percent is not None and other <= row.cpu_percent for other in known)


@given(snapshots(), st.randoms(use_true_random=False))
def test_the_order_they_came_in_does_not_matter(original: Snapshot, dice: random.Random) -> None:
    rows = {row.pid: row for row in original.processes}
    mixed = list(rows.values())
    dice.shuffle(mixed)
    plain = top(replace(original, processes=list(rows.values())))
    assert top(replace(original, processes=mixed)) == plain


@given(snapshots(), st.integers(0, 6))
def test_choosing_twice_is_choosing_once(original: Snapshot, count: int) -> None:
    assert top(top(original, count), count) == top(original, count)
    assert top(top(original), count) == top(original, count)
