from __future__ import annotations

import random
from functools import cmp_to_key
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from readings import SECOND, snapshot
from strategies import process_rows, snapshots

from cpuwatch import ExitedUsage, ProcessUsage, Query, Snapshot, select, top
from cpuwatch.errors import PatternError, QueryError
from cpuwatch.fields import SortKey


def pids(of: Snapshot) -> list[int]:
    return [row.pid for row in of.processes]


def parents(of: Snapshot) -> list[int | None]:
    return [row.parent_pid for row in of.exited]


def exited_row(parent_pid: int | None, cpu_percent: float | None = 1.0, **changes: Any) -> ExitedUsage:
    return replace(ExitedUsage("cc1", "alice", parent_pid, "make", 1, cpu_percent, cpu_percent), **changes)


def shown(*rows: ProcessUsage, exited: tuple[ExitedUsage, ...] = ()) -> Snapshot:
    return replace(snapshot(), processes=list(rows), exited=list(exited))


def row(pid: int = 10, /, **changes: Any) -> ProcessUsage:
    (plain,) = snapshot((pid, 10)).processes
    return replace(plain, **changes)


# The busiest processes


def test_the_busiest_processes_come_first() -> None:
    plain = snapshot((1, 10), (2, SECOND), (3, SECOND // 2))
    assert pids(top(plain)) == [2, 3, 1]
    assert pids(top(plain, 2)) == [2, 3]


def test_ties_are_ordered_by_cpu_time_then_by_pid() -> None:
    plain = snapshot((3, 0), (1, 0), (2, 0))
    older = [replace(row, cpu_seconds=9.0) if row.pid == 2 else row for row in plain.processes]
    assert pids(top(replace(plain, processes=older))) == [2, 1, 3]


def test_unknown_percentages_come_after_zero() -> None:
    plain = snapshot((1, SECOND), (2, 0))
    unknown = [
        replace(row, cpu_percent=None, total_percent=None, cpu_seconds=99.0) if row.pid == 1 else row
        for row in plain.processes
    ]
    assert pids(top(replace(plain, processes=unknown))) == [2, 1]


@given(snapshots(), st.none() | st.integers(1, 6))
def test_top_changes_neither_the_rows_nor_the_other_fields(original: Snapshot, count: int | None) -> None:
    chosen = top(original, count)
    assert len(chosen.processes) == min(len(original.processes), len(original.processes) if count is None else count)
    assert all(row in original.processes for row in chosen.processes)
    assert all(row in original.exited for row in chosen.exited)
    assert all(row in original.cgroups for row in chosen.cgroups)
    assert replace(chosen, processes=original.processes, exited=original.exited, cgroups=original.cgroups) == original


@given(snapshots(), st.integers(1, 6))
def test_no_omitted_row_is_busier_than_a_selected_one(original: Snapshot, count: int) -> None:
    chosen = top(original, count).processes
    left = list(original.processes)
    for row in chosen:
        left.remove(row)
    known = [row.total_percent for row in left if row.total_percent is not None]
    for row in chosen:
        assert all(row.total_percent is not None and other <= row.total_percent for other in known)


@given(snapshots(), st.randoms(use_true_random=False))
def test_the_original_order_does_not_matter(original: Snapshot, dice: random.Random) -> None:
    rows = {row.pid: row for row in original.processes}
    mixed = list(rows.values())
    dice.shuffle(mixed)
    plain = top(replace(original, processes=list(rows.values())))
    assert top(replace(original, processes=mixed)) == plain


@given(snapshots(), st.integers(1, 6))
def test_top_is_idempotent(original: Snapshot, count: int) -> None:
    assert top(top(original, count), count) == top(original, count)
    assert top(top(original), count) == top(original, count)


@pytest.mark.parametrize("count", [0, -1, -100])
def test_a_count_below_1_is_rejected(count: int) -> None:
    with pytest.raises(QueryError, match=f"invalid top {count}: must be 1 or more"):
        top(snapshot((1, 10)), count)
    with pytest.raises(QueryError, match=f"invalid top {count}: must be 1 or more"):
        Query(top=count)


def test_an_unknown_sort_is_rejected_with_the_nearest_field() -> None:
    with pytest.raises(
        QueryError, match=r"^invalid sort 'cpu': did you mean cpu_percent\? It must be one of pid, name,"
    ):
        Query(sort=cast(SortKey, "cpu"))
    with pytest.raises(QueryError, match=r"^invalid order 'down': must be one of asc, desc$"):
        Query(order=cast(Any, "down"))


def test_a_shell_whose_children_exited_comes_before_a_process_that_uses_more_itself() -> None:
    shell = row(1, cpu_percent=8.0, exited_percent=91.0, total_percent=99.0)
    worker = row(2, cpu_percent=60.0, exited_percent=0.0, total_percent=60.0)
    assert pids(top(shown(worker, shell))) == [1, 2]
    assert pids(select(shown(worker, shell), Query(min_percent=90.0))) == [1]


# Single criteria


def test_an_empty_query_selects_all_rows_busiest_first() -> None:
    rows = row(3, total_percent=1.0), row(1, total_percent=9.0), row(2, total_percent=4.0)
    plain = shown(*rows, exited=(exited_row(3, 2.0), exited_row(1, 5.0)))
    chosen = select(plain, Query())
    assert (pids(chosen), parents(chosen)) == ([1, 2, 3], [1, 3])
    assert select(shown(), Query()) == shown()


def test_names_match_a_pattern_and_an_unknown_name_matches_none() -> None:
    plain = shown(row(1, name="python3"), row(2, name="perl"), exited=(exited_row(1), exited_row(2, name=None)))
    assert pids(select(plain, Query(name="py*"))) == [1]
    assert pids(select(plain, Query(name="re:l$"))) == [2]
    assert parents(select(plain, Query(name="*"))) == [1]


def test_an_invalid_pattern_is_rejected() -> None:
    with pytest.raises(PatternError):
        select(snapshot(), Query(name="re:("))


def test_pids_select_exited_processes_by_their_reaper() -> None:
    plain = shown(row(1), row(2), row(3), exited=(exited_row(2), exited_row(4), exited_row(None)))
    chosen = select(plain, Query(pids=frozenset({2, 3, 9})))
    assert (pids(chosen), parents(chosen)) == ([2, 3], [2])


def test_users_are_selected_and_an_unknown_user_matches_none() -> None:
    plain = shown(
        row(1, user="alice"), row(2, user="bob"), row(3, user=None), exited=(exited_row(1), exited_row(2, user=None))
    )
    chosen = select(plain, Query(users=frozenset({"alice", "carol"})))
    assert (pids(chosen), parents(chosen)) == ([1], [1])


def test_states_match_only_living_processes() -> None:
    plain = shown(row(1, state="R"), row(2, state="S"), row(3, state=None), exited=(exited_row(1),))
    chosen = select(plain, Query(states=frozenset("RD")))
    assert (pids(chosen), parents(chosen)) == ([1], [])


def test_a_minimum_percentage_omits_lower_and_unknown_ones() -> None:
    plain = shown(
        row(1, total_percent=4.9),
        row(2, total_percent=5.0),
        row(3, total_percent=None),
        exited=(exited_row(1, 5.0), exited_row(2, 4.0), exited_row(3, None)),
    )
    chosen = select(plain, Query(min_percent=5.0))
    assert (pids(chosen), parents(chosen)) == ([2], [1])
    assert pids(select(plain, Query(min_percent=0.0))) == [2, 1]


def test_kernel_threads_are_kthreadd_and_its_children() -> None:
    plain = shown(
        row(1, ppid=0, name="init"),
        row(2, ppid=0, name="kthreadd"),
        row(17, ppid=2, name="kworker/0:1"),
        row(30, ppid=1, name="kworker/0:1"),
        row(31, ppid=None),
        exited=(exited_row(1), exited_row(2)),
    )
    chosen = select(plain, Query(kernel_threads=False))
    assert (pids(chosen), parents(chosen)) == ([1, 30, 31], [1])
    assert select(chosen, Query(kernel_threads=False)) == chosen


def test_in_a_container_pid_2_is_not_a_kernel_thread() -> None:
    # A PID namespace has no kthreadd; PID 2 is its second process.
    plain = shown(row(1, ppid=0, name="sh"), row(2, ppid=1, name="nginx"), row(3, ppid=2), exited=(exited_row(2),))
    assert select(plain, Query(kernel_threads=False)) == plain


# Order


@pytest.mark.parametrize(
    ("key", "values"),
    [("pid", (1, 2, 3)), ("name", ("a", "b", "c")), ("user", ("a", "b", "c"))],
)
def test_texts_and_pids_are_ascending_by_default(key: SortKey, values: tuple[object, ...]) -> None:
    rows = [row(9 + at, **{key: value}) for at, value in enumerate(values)]
    mixed = shown(rows[1], rows[2], rows[0])
    assert select(mixed, Query(sort=key)).processes == rows
    assert select(mixed, Query(sort=key, order="desc")).processes == rows[::-1]


@pytest.mark.parametrize("key", sorted(set(get_args(SortKey)) - {"pid", "name", "user", "start_time"}))
def test_numbers_are_descending_by_default(key: SortKey) -> None:
    rows = [row(at, **{key: 10 - at}) for at in (1, 2, 3)]
    mixed = shown(rows[1], rows[2], rows[0])
    assert select(mixed, Query(sort=key)).processes == rows
    assert select(mixed, Query(sort=key, order="asc")).processes == rows[::-1]


def test_start_times_are_newest_first() -> None:
    plain = snapshot((1, 0), (2, 0))
    old, young = plain.processes
    young = replace(young, start_time=plain.time)
    assert select(shown(old, young), Query(sort="start_time")).processes == [young, old]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("key", ["user", "threads", "cpu_percent", "user_percent", "exited_percent"])
def test_unknown_values_come_last_in_both_directions(key: SortKey, order: Any) -> None:
    known = [row(at, **{key: "a" if key == "user" else 0}) for at in (1, 2)]
    unknown = [row(at, **{key: None}) for at in (3, 4)]
    ordered = select(shown(unknown[0], known[0], unknown[1], known[1]), Query(sort=key, order=order))
    assert pids(ordered)[2:] == [3, 4]


def test_top_and_order_alone_apply_to_total_percent() -> None:
    plain = snapshot((1, 10), (2, SECOND), (3, SECOND // 2))
    assert pids(select(plain, Query(top=2))) == [2, 3]
    assert pids(select(plain, Query(order="asc"))) == [1, 3, 2]


def test_exited_processes_are_sorted_and_limited_too() -> None:
    exited = (
        exited_row(1, 1.0, name="b"),
        exited_row(2, None, name="c"),
        exited_row(3, 3.0, name=None),
        exited_row(4, 2.0, name="a"),
    )
    plain = shown(exited=exited)
    assert parents(select(plain, Query(sort="name"))) == [4, 1, 2, 3]
    assert parents(select(plain, Query(sort="pid", order="desc"))) == [3, 4, 1, 2]
    assert parents(select(plain, Query(sort="threads"))) == [3, 4, 1, 2]
    assert parents(select(plain, Query(top=2))) == [3, 4]


# All criteria together, compared with a simple model

few_percents = st.none() | st.sampled_from([0.0, 1.0, 50.0])
few_names = st.sampled_from(["sh", "python", "perl"])
few_users = st.none() | st.sampled_from(["alice", "bob"])
rows_of_few_kinds = st.builds(
    replace,
    process_rows(),
    pid=st.integers(1, 6),
    ppid=st.none() | st.integers(0, 4),
    name=few_names | st.just("kthreadd"),
    user=few_users,
    state=st.none() | st.sampled_from("RS"),
    threads=st.none() | st.integers(1, 2),
    cpu_percent=few_percents,
    user_percent=few_percents,
    total_percent=few_percents,
    cpu_seconds=st.sampled_from([0.0, 7.0]),
)
exited_of_few_kinds = st.builds(
    ExitedUsage,
    name=st.none() | few_names,
    user=few_users,
    parent_pid=st.none() | st.integers(1, 4),
    parent_name=st.none() | few_names,
    count=st.none() | st.integers(1, 2),
    cpu_percent=few_percents,
    machine_percent=few_percents,
)
snapshots_of_few_kinds = st.builds(
    lambda processes, exited: shown(*processes, exited=tuple(exited)),
    st.lists(rows_of_few_kinds, max_size=8, unique_by=lambda row: row.pid),
    st.lists(exited_of_few_kinds, max_size=5),
)
queries = st.builds(
    Query,
    top=st.none() | st.integers(1, 5),
    sort=st.sampled_from(get_args(SortKey)),
    order=st.none() | st.sampled_from(["asc", "desc"]),
    name=st.none() | st.sampled_from(["p*", "re:h", "*"]),
    pids=st.frozensets(st.integers(1, 6), max_size=3),
    users=st.frozensets(st.sampled_from(["alice", "bob", "carol"]), max_size=2),
    states=st.frozensets(st.sampled_from("RSD"), max_size=2),
    min_percent=st.none() | st.sampled_from([0.0, 1.0, 2.0]),
    kernel_threads=st.booleans(),
)


def share(item: ProcessUsage | ExitedUsage) -> float | None:
    return item.total_percent if isinstance(item, ProcessUsage) else item.cpu_percent


def passes(query: Query, item: ProcessUsage | ExitedUsage, *, kernel: bool) -> bool:
    lives = isinstance(item, ProcessUsage)
    pid, above = (item.pid, item.ppid) if isinstance(item, ProcessUsage) else (item.parent_pid, item.parent_pid)
    state = item.state if isinstance(item, ProcessUsage) else None
    fitting = {None: True, "*": True, "p*": (item.name or "").startswith("p"), "re:h": "h" in (item.name or "")}
    return all(
        [
            fitting[query.name] and (query.name is None or item.name is not None),
            not query.pids or pid in query.pids,
            not query.users or item.user in query.users,
            not query.states or state in query.states,
            query.min_percent is None or (share(item) is not None and (share(item) or 0) >= query.min_percent),
            query.kernel_threads or not kernel or not ((lives and pid == 2) or above == 2),
        ]
    )


def in_order(query: Query, items: list[Any]) -> list[Any]:
    key: str = query.sort
    up = query.order == "asc" or (query.order is None and key in {"pid", "name", "user"})

    def compared(one: Any, other: Any) -> int:
        by = key if isinstance(one, ProcessUsage) or key in {"name", "user"} else "cpu_percent"
        sign = 1 if up else -1
        steps = [(getattr(one, by), getattr(other, by), sign), (share(one), share(other), -1)]
        if isinstance(one, ProcessUsage):
            steps += [(one.cpu_seconds, other.cpu_seconds, -1), (one.pid, other.pid, 1)]
        else:
            steps += [(one.count or 0, other.count or 0, -1)]
        for mine, its, direction in steps:
            if mine != its:
                if mine is None or its is None:
                    return 1 if mine is None else -1
                return direction if mine > its else -direction
        return 0

    return sorted(items, key=cmp_to_key(compared))[: query.top]


@given(snapshots_of_few_kinds, queries)
def test_all_criteria_together_agree_with_a_simple_model(original: Snapshot, query: Query) -> None:
    kernel = all(row.name == "kthreadd" for row in original.processes if row.pid == 2)
    chosen = select(original, query)
    processes = [row for row in original.processes if passes(query, row, kernel=kernel)]
    exited = [item for item in original.exited if passes(query, item, kernel=kernel)]
    assert chosen.processes == in_order(query, processes)
    assert chosen.exited == in_order(query, exited)
    assert replace(chosen, processes=original.processes, exited=original.exited) == original


@given(snapshots_of_few_kinds, queries)
def test_select_is_idempotent(original: Snapshot, query: Query) -> None:
    if query.kernel_threads:
        chosen = select(original, query)
        assert select(chosen, query) == chosen


def test_every_sort_key_is_a_field_of_a_process() -> None:
    assert set(get_args(SortKey)) <= {field.name for field in fields(ProcessUsage)}
