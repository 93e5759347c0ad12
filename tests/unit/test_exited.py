from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from readings import process

from cpuwatch import ProcessExit
from cpuwatch.exited import ExitedShare, share_out

MS = 1_000_000
SHELL = {10: process(10), 1: process(1)}


def end(pid: int, parent_pid: int = 10, name: str = "true", cpu_ns: int = MS) -> ProcessExit:
    return ProcessExit(pid, parent_pid, name, "nobody", cpu_ns)


def test_the_amount_is_that_of_childrens_time_shared_out_by_what_the_messages_say() -> None:
    exits = [end(20, cpu_ns=3 * MS), end(21, cpu_ns=3 * MS), end(22, name="cat", cpu_ns=2 * MS)]
    shares = share_out(exits, SHELL, SHELL, {10: 10 * MS}, some_lost=False)
    assert shares == [
        ExitedShare("true", "nobody", 10, 2, 7_500_000),
        ExitedShare("cat", "nobody", 10, 1, 2_500_000),
    ]


def test_without_messages_the_amount_has_no_name() -> None:
    assert share_out([], SHELL, SHELL, {10: 5}, some_lost=False) == [ExitedShare(None, None, 10, None, 5)]


def test_what_lost_messages_would_explain_stays_without_a_name() -> None:
    shares = share_out([end(20, cpu_ns=4 * MS)], SHELL, SHELL, {10: 100 * MS}, some_lost=True)
    assert shares == [ExitedShare("true", "nobody", 10, 1, 5 * MS), ExitedShare(None, None, 10, None, 95 * MS)]


def test_a_process_that_was_listed_before_counts_with_what_it_used_since_and_with_its_name() -> None:
    earlier = {**SHELL, 20: process(20, cpu_ns=90 * MS, name="leader", user="alice")}
    exits = [end(20, name="thread", cpu_ns=91 * MS), end(21, cpu_ns=MS)]
    shares = share_out(exits, earlier, SHELL, {10: 2 * MS}, some_lost=False)
    assert shares == [ExitedShare("leader", "alice", 10, 1, MS), ExitedShare("true", "nobody", 10, 1, MS)]


def test_a_grandchild_counts_for_the_ancestor_that_lives() -> None:
    exits = [end(30, parent_pid=20), end(20, parent_pid=10, name="sh")]
    shares = share_out(exits, SHELL, SHELL, {10: 2 * MS}, some_lost=False)
    assert {(share.name, share.parent_pid) for share in shares} == {("true", 10), ("sh", 10)}


def test_processes_that_nobody_waited_for_are_counted_without_an_amount() -> None:
    assert share_out([end(20)], SHELL, SHELL, {}, some_lost=False) == [ExitedShare("true", "nobody", 10, 1, None)]


def test_processes_too_short_for_any_tick_count_the_same() -> None:
    exits = [end(20, cpu_ns=0), end(21, cpu_ns=0), end(22, name="cat", cpu_ns=0)]
    shares = share_out(exits, SHELL, SHELL, {10: 9 * MS}, some_lost=False)
    assert [share.cpu_ns for share in shares] == [6 * MS, 3 * MS]


pids = st.integers(1, 15)


@given(
    exits=st.lists(
        st.builds(
            ProcessExit,
            pid=pids,
            parent_pid=st.integers(0, 15),
            name=st.sampled_from("abc"),
            user=st.sampled_from("xy"),
            cpu_ns=st.integers(0, 10**12),
        )
    ),
    earlier=st.sets(pids),
    later=st.sets(pids),
    amounts=st.dictionaries(pids, st.integers(1, 10**12)),
    some_lost=st.booleans(),
)
def test_shares_add_up_to_the_credits_to_the_nanosecond(
    exits: list[ProcessExit], earlier: set[int], later: set[int], amounts: dict[int, int], *, some_lost: bool
) -> None:
    living = {pid: process(pid) for pid in later | amounts.keys()}
    before = {pid: process(pid, cpu_ns=MS) for pid in earlier}
    shares = share_out(exits, before, living, amounts, some_lost=some_lost)
    assert sum(share.cpu_ns or 0 for share in shares) == sum(amounts.values())
    assert all(share.cpu_ns is None or share.cpu_ns >= 0 for share in shares)
    assert sum(share.count or 0 for share in shares) == len({end.pid for end in exits})
