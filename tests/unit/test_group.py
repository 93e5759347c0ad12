from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import snapshot
from strategies import snapshots

from cpuwatch import ExitedUsage, ProcessUsage, Snapshot, TreeUsage, UsageGroup, by_name, by_tree, by_user

Grouping = Callable[[Snapshot], list[UsageGroup]]


@st.composite
def crowds(draw: st.DrawFn) -> Snapshot:
    """Few PIDs, names and users, so that groups have members and trees have branches; also cycles of parents."""
    made = draw(snapshots())
    pids = draw(st.lists(st.integers(1, 12), unique=True, max_size=8))
    names = st.sampled_from(["a", "b", "c"])
    percents = st.none() | st.floats(0, 400)
    template = snapshot((1, 0)).processes[0]
    processes = [
        replace(
            template,
            pid=pid,
            ppid=draw(st.none() | st.integers(0, 12)),
            name=draw(names),
            user=draw(st.none() | names),
            cgroup=draw(st.none() | st.sampled_from(["/", "/x.service", "/y/x.service"])),
            cpu_percent=draw(percents),
            machine_percent=draw(percents),
        )
        for pid in pids
    ]
    exited = draw(
        st.lists(
            st.builds(
                ExitedUsage,
                name=st.none() | names,
                user=st.none() | names,
                parent_pid=st.none() | st.integers(0, 12),
                parent_name=st.none() | names,
                count=st.none() | st.integers(1, 9),
                cpu_percent=percents,
                machine_percent=percents,
            ),
            max_size=4,
        )
    )
    return replace(made, processes=processes, exited=exited)


def totals_of_snapshot(taken: Snapshot) -> tuple[float, float, float, int, int]:
    rows: list[ProcessUsage | ExitedUsage] = [*taken.processes, *taken.exited]
    return (
        sum(row.cpu_percent or 0 for row in rows),
        sum(row.machine_percent or 0 for row in rows),
        sum(row.cpu_percent or 0 for row in taken.exited),
        len(taken.processes),
        sum(row.count or 0 for row in taken.exited),
    )


def totals_of_groups(groups: list[UsageGroup] | list[TreeUsage]) -> tuple[float, float, float, int, int]:
    return (
        sum(group.cpu_percent for group in groups),
        sum(group.machine_percent for group in groups),
        sum(group.exited_percent for group in groups),
        sum(group.processes for group in groups),
        sum(group.exited for group in groups),
    )


@pytest.mark.parametrize("grouping", [by_name, by_user])
@given(taken=crowds())
def test_groups_add_up_to_the_snapshot(grouping: Grouping, taken: Snapshot) -> None:
    assert all(map(is_close, totals_of_groups(grouping(taken)), totals_of_snapshot(taken)))


@pytest.mark.parametrize("grouping", [by_name, by_user])
@given(taken=crowds())
def test_the_busiest_group_comes_first_and_each_group_only_once(grouping: Grouping, taken: Snapshot) -> None:
    groups = grouping(taken)
    assert all(one.cpu_percent >= other.cpu_percent for one, other in pairwise(groups))
    assert len({group.group for group in groups}) == len(groups)


@given(crowds())
def test_the_roots_of_the_trees_add_up_to_the_snapshot(taken: Snapshot) -> None:
    roots = [tree for tree in by_tree(taken) if tree.parent is None]
    assert all(map(is_close, totals_of_groups(roots), totals_of_snapshot(taken)))


@given(crowds())
def test_a_tree_is_the_sum_of_its_root_and_its_branches(taken: Snapshot) -> None:
    trees = by_tree(taken)
    rows = {row.pid: row for row in taken.processes}
    for tree in trees:
        if tree.pid is None:
            continue
        branches = [other for other in trees if other.parent == tree.pid]
        exited = [row for row in taken.exited if row.parent_pid == tree.pid]
        own = (rows[tree.pid].cpu_percent or 0) + sum(row.cpu_percent or 0 for row in exited)
        assert is_close(tree.cpu_percent, own + sum(branch.cpu_percent for branch in branches))
        assert tree.processes == 1 + sum(branch.processes for branch in branches)
        for field in ("threads", "cpu_seconds", "user_percent", "system_percent"):
            parts = [getattr(part, field) for part in (rows[tree.pid], *branches)]
            known = [part for part in parts if part is not None]
            assert (getattr(tree, field) is None) == (not known)
            assert is_close(getattr(tree, field) or 0, sum(known))


def is_close(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def test_the_tree_of_make_includes_its_compilers() -> None:
    make, compiler, other = snapshot((10, 10**7), (11, 3 * 10**8), (12, 10**8)).processes
    taken = replace(
        snapshot(),
        processes=[
            replace(make, name="make", ppid=1),
            replace(compiler, name="cc1", ppid=10),
            replace(other, ppid=1),
        ],
        exited=[ExitedUsage("cc1", "nobody", 10, "make", 7, 90.0, 45.0)],
    )
    tree = by_tree(taken)[0]
    assert (tree.pid, tree.name, tree.processes, tree.exited) == (10, "make", 2, 7)
    assert (tree.cpu_percent, tree.exited_percent) == (121.0, 90.0)


def test_exited_processes_without_a_name_count_for_the_user_of_their_reaper() -> None:
    (shell,) = snapshot((10, 0)).processes
    taken = replace(
        snapshot(),
        processes=[replace(shell, user="alice")],
        exited=[ExitedUsage(None, None, 10, "work", None, 50.0, 25.0)],
    )
    (group,) = by_user(taken)
    assert (group.group, group.processes, group.exited) == ("alice", 1, 0)
    assert (group.cpu_percent, group.machine_percent, group.exited_percent) == (50.0, 25.0, 50.0)
    assert [group.group for group in by_name(taken)] == [None, "work"]


def test_kernel_workers_are_one_group_by_name() -> None:
    template = snapshot((1, 0)).processes[0]
    names = {2: "kthreadd", 10: "kworker/0:1-events", 11: "kworker/u4:2+flush-8:0", 12: "kworker/0:1-mine"}
    rows = [
        replace(template, pid=pid, name=name, ppid={2: 0, 12: 1}.get(pid, 2), cpu_percent=1.0)
        for pid, name in names.items()
    ]
    exited = [ExitedUsage("kworker/1:0", "root", 2, "kthreadd", 1, None, None)]
    taken = replace(snapshot(), processes=rows, exited=exited)
    assert {group.group: (group.processes, group.exited) for group in by_name(taken)} == {
        "kthreadd": (1, 0),
        "kworker": (2, 1),
        "kworker/0:1-mine": (1, 0),
    }
    assert {tree.name for tree in by_tree(taken)} == set(names.values())


def test_if_pid_2_is_not_kthreadd_its_children_keep_their_names() -> None:
    template = snapshot((1, 0)).processes[0]
    rows = [replace(template, pid=2, name="sh"), replace(template, pid=3, ppid=2, name="kworker/0:1-mine")]
    assert {group.group for group in by_name(replace(snapshot(), processes=rows))} == {"sh", "kworker/0:1-mine"}


def test_groups_and_trees_have_the_waiting_of_their_processes_and_a_verdict() -> None:
    template = snapshot((1, 0)).processes[0]
    rows = [
        replace(template, pid=10, ppid=1, cpu_percent=20.0, wait_percent=75.0, throttled_percent=70.0),
        replace(template, pid=11, ppid=10, cpu_percent=5.0, wait_percent=10.0, throttled_percent=0.0),
        replace(template, pid=12, ppid=10, cpu_percent=5.0),
    ]
    taken = replace(snapshot(), processes=rows)
    for group in (by_name(taken)[0], by_user(taken)[0], by_tree(taken)[0]):
        assert (group.cpu_percent, group.wait_percent, group.throttled_percent) == (30.0, 85.0, 70.0)
        assert (group.verdict, group.threads) == ("throttled", 3)
    assert [tree.verdict for tree in by_tree(taken)] == ["throttled", "crowded", None]
