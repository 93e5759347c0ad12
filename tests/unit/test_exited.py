from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from readings import process

from cpuwatch import ProcessExit, ProcessTimes
from cpuwatch.accounting.exited import ExitedShare, bound_estimates, share_out, trace
from cpuwatch.accounting.reapers import Candidates

MS = 1_000_000
SLACK_NS = 20 * MS


def end(pid: int, parent_pid: int = 10, name: str | None = "true", cpu_ns: int = MS) -> ProcessExit:
    return ProcessExit(pid, parent_pid, name, "nobody", cpu_ns)


def by_parent(told: ProcessExit) -> Candidates:
    return Candidates((told.parent_pid,) if told.parent_pid else ())


def shares_of(
    exits: Iterable[ProcessExit],
    credits_ns: Mapping[int, int],
    *,
    seen: Mapping[int, ProcessTimes] | None = None,
    reaper_of: Mapping[int, int] | None = None,
    some_lost: bool = False,
) -> list[ExitedShare]:
    ended = trace(exits, seen or {}, by_parent)
    return share_out(ended, reaper_of or {}, credits_ns, some_lost=some_lost, slack_ns=SLACK_NS)


def test_the_amount_is_that_of_childrens_time_shared_out_by_what_the_messages_say() -> None:
    exits = [end(20, cpu_ns=3 * MS), end(21, cpu_ns=3 * MS), end(22, name="cat", cpu_ns=2 * MS)]
    shares = shares_of(exits, {10: 10 * MS})
    assert shares == [
        ExitedShare("true", "nobody", 10, 2, 7_500_000),
        ExitedShare("cat", "nobody", 10, 1, 2_500_000),
    ]


def test_without_messages_the_amount_has_no_name() -> None:
    assert shares_of([], {10: 5}) == [ExitedShare(None, None, 10, None, 5)]


def test_what_lost_messages_would_explain_stays_without_a_name() -> None:
    shares = shares_of([end(20, cpu_ns=4 * MS)], {10: 100 * MS}, some_lost=True)
    assert shares == [ExitedShare("true", "nobody", 10, 1, 5 * MS), ExitedShare(None, None, 10, None, 95 * MS)]


def test_a_process_that_was_seen_before_counts_with_what_it_used_since_and_with_the_user_that_was_seen() -> None:
    seen = {20: process(20, cpu_ns=90 * MS, name="sh", user="alice")}
    exits = [end(20, name="gcc", cpu_ns=91 * MS), end(21, cpu_ns=MS)]
    shares = shares_of(exits, {10: 2 * MS}, seen=seen)
    assert shares == [ExitedShare("gcc", "alice", 10, 1, MS), ExitedShare("true", "nobody", 10, 1, MS)]


def test_a_process_whose_name_was_lost_has_the_one_that_was_seen_or_none() -> None:
    exits = [end(20, name=None), end(21, name=None)]
    shares = shares_of(exits, {10: 2 * MS}, seen={20: process(20, name="leader", user=None)})
    assert [share.name for share in shares] == ["leader", None]


def test_it_counts_for_the_nearest_that_something_was_credited_to_and_else_for_the_nearest() -> None:
    ended = trace([end(30), end(40, name="sh")], {}, lambda told: Candidates((5, 6) if told.pid == 30 else (7, 8)))
    shares = share_out(ended, {}, {6: 2 * MS}, some_lost=False, slack_ns=SLACK_NS)
    assert {(share.name, share.parent_pid) for share in shares} == {("true", 6), ("sh", 7)}


def test_one_that_had_been_seen_counts_for_the_one_who_was_found_to_have_waited() -> None:
    shares = shares_of([end(20)], {10: 2 * MS, 3: MS}, seen={20: process(20)}, reaper_of={20: 3})
    assert [(share.parent_pid, share.cpu_ns) for share in shares if share.name] == [(3, MS)]


def test_two_that_had_one_pid_are_both_kept_and_the_first_is_the_one_that_was_seen() -> None:
    exits = [end(20, name="old", cpu_ns=91 * MS), end(20, name="new", cpu_ns=3 * MS)]
    shares = shares_of(exits, {10: 4 * MS}, seen={20: process(20, cpu_ns=90 * MS, user=None)})
    assert [(share.name, share.count, share.cpu_ns) for share in shares] == [("old", 1, MS), ("new", 1, 3 * MS)]


def test_where_nothing_is_left_to_share_out_a_process_has_used_nothing_that_was_not_shown() -> None:
    assert shares_of([end(20, cpu_ns=19 * MS)], {}) == [ExitedShare("true", "nobody", 10, 1, 0)]


def test_what_nobody_waited_for_is_estimated_by_the_messages() -> None:
    shares = shares_of([end(20, cpu_ns=300 * MS), end(21, cpu_ns=500 * MS)], {})
    assert shares == [ExitedShare("true", "nobody", 10, 2, 800 * MS, estimated=True)]


def test_estimates_are_cut_down_to_what_is_unattributed() -> None:
    exact = ExitedShare("make", "root", 1, 1, 70)
    shares = [exact, ExitedShare("a", "x", 2, 1, 300, estimated=True), ExitedShare("b", "x", 2, 1, 100, estimated=True)]
    assert bound_estimates(shares, 1000) == shares
    assert [share.cpu_ns for share in bound_estimates(shares, 200)] == [70, 150, 50]
    assert [share.cpu_ns for share in bound_estimates(shares, None)] == [70, None, None]


def test_processes_too_short_for_any_tick_count_the_same() -> None:
    exits = [end(20, cpu_ns=0), end(21, cpu_ns=0), end(22, name="cat", cpu_ns=0)]
    shares = shares_of(exits, {10: 9 * MS})
    assert [share.cpu_ns for share in shares] == [6 * MS, 3 * MS]


pids = st.integers(1, 15)


@given(
    exits=st.lists(
        st.builds(
            ProcessExit,
            pid=pids,
            parent_pid=st.integers(0, 15),
            name=st.sampled_from("abc") | st.none(),
            user=st.sampled_from("xy"),
            cpu_ns=st.integers(0, 10**12),
        )
    ),
    seen=st.sets(pids),
    reaper_of=st.dictionaries(pids, pids),
    amounts=st.dictionaries(pids, st.integers(1, 10**12)),
    some_lost=st.booleans(),
    most_ns=st.none() | st.integers(0, 10**13),
)
def test_exact_shares_add_up_to_the_credits_to_the_nanosecond_and_each_process_is_counted(
    exits: list[ProcessExit],
    seen: set[int],
    reaper_of: dict[int, int],
    amounts: dict[int, int],
    *,
    some_lost: bool,
    most_ns: int | None,
) -> None:
    before = {pid: process(pid, cpu_ns=MS) for pid in seen}
    shares = shares_of(exits, amounts, seen=before, reaper_of=reaper_of, some_lost=some_lost)
    shares = bound_estimates(shares, most_ns)
    assert sum(share.cpu_ns or 0 for share in shares if not share.estimated) == sum(amounts.values())
    assert sum(share.cpu_ns or 0 for share in shares if share.estimated) <= (most_ns or 0)
    assert all(share.cpu_ns is None or share.cpu_ns >= 0 for share in shares)
    assert sum(share.count or 0 for share in shares) == len(exits)
