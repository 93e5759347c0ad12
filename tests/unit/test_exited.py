from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from readings import process

from cpuwatch import ProcessExit, ProcessTimes
from cpuwatch.accounting.exited import ExitedShare, bound_estimates, match_exits, share_credits
from cpuwatch.accounting.reapers import Candidates

MS = 1_000_000
SLACK_NS = 20 * MS


def exit_message(pid: int, parent_pid: int = 10, name: str | None = "true", cpu_ns: int = MS) -> ProcessExit:
    return ProcessExit(pid, parent_pid, name, "nobody", cpu_ns)


def by_parent(message: ProcessExit) -> Candidates:
    return Candidates((message.parent_pid,) if message.parent_pid else ())


def shares_of(
    exits: Iterable[ProcessExit],
    credits_ns: Mapping[int, int],
    *,
    seen: Mapping[int, ProcessTimes] | None = None,
    reaper_of: Mapping[int, int] | None = None,
    some_lost: bool = False,
) -> list[ExitedShare]:
    exited = match_exits(exits, seen or {}, by_parent)
    return share_credits(exited, reaper_of or {}, credits_ns, some_lost=some_lost, slack_ns=SLACK_NS)


def test_childrens_time_is_distributed_in_proportion_to_the_messages() -> None:
    exits = [
        exit_message(20, cpu_ns=3 * MS),
        exit_message(21, cpu_ns=3 * MS),
        exit_message(22, name="cat", cpu_ns=2 * MS),
    ]
    shares = shares_of(exits, {10: 10 * MS})
    assert shares == [
        ExitedShare("true", "nobody", 10, 2, 7_500_000),
        ExitedShare("cat", "nobody", 10, 1, 2_500_000),
    ]


def test_without_messages_the_share_has_no_name() -> None:
    assert shares_of([], {10: 5}) == [ExitedShare(None, None, 10, None, 5)]


def test_the_amount_of_lost_messages_has_no_name() -> None:
    shares = shares_of([exit_message(20, cpu_ns=4 * MS)], {10: 100 * MS}, some_lost=True)
    assert shares == [ExitedShare("true", "nobody", 10, 1, 5 * MS), ExitedShare(None, None, 10, None, 95 * MS)]


def test_a_process_seen_before_counts_with_its_use_since_then_and_the_user_last_seen() -> None:
    seen = {20: process(20, cpu_ns=90 * MS, name="sh", user="alice")}
    exits = [exit_message(20, name="gcc", cpu_ns=91 * MS), exit_message(21, cpu_ns=MS)]
    shares = shares_of(exits, {10: 2 * MS}, seen=seen)
    assert shares == [ExitedShare("gcc", "alice", 10, 1, MS), ExitedShare("true", "nobody", 10, 1, MS)]


def test_a_process_whose_name_was_lost_has_the_name_last_seen_or_none() -> None:
    exits = [exit_message(20, name=None), exit_message(21, name=None)]
    shares = shares_of(exits, {10: 2 * MS}, seen={20: process(20, name="leader", user=None)})
    assert [share.name for share in shares] == ["leader", None]


def test_a_process_counts_for_the_nearest_candidate_with_a_credit_otherwise_for_the_nearest() -> None:
    candidates = {30: Candidates((5, 6)), 40: Candidates((7, 8))}
    exited = match_exits([exit_message(30), exit_message(40, name="sh")], {}, lambda message: candidates[message.pid])
    shares = share_credits(exited, {}, {6: 2 * MS}, some_lost=False, slack_ns=SLACK_NS)
    assert {(share.name, share.parent_pid) for share in shares} == {("true", 6), ("sh", 7)}


def test_a_process_seen_before_counts_for_its_reaper() -> None:
    shares = shares_of([exit_message(20)], {10: 2 * MS, 3: MS}, seen={20: process(20)}, reaper_of={20: 3})
    assert [(share.parent_pid, share.cpu_ns) for share in shares if share.name] == [(3, MS)]


def test_two_processes_with_the_same_pid_are_both_kept_and_the_first_is_the_one_last_seen() -> None:
    exits = [exit_message(20, name="old", cpu_ns=91 * MS), exit_message(20, name="new", cpu_ns=3 * MS)]
    shares = shares_of(exits, {10: 4 * MS}, seen={20: process(20, cpu_ns=90 * MS, user=None)})
    assert [(share.name, share.count, share.cpu_ns) for share in shares] == [("old", 1, MS), ("new", 1, 3 * MS)]


def test_without_a_credit_a_process_used_only_what_was_shown_before() -> None:
    assert shares_of([exit_message(20, cpu_ns=19 * MS)], {}) == [ExitedShare("true", "nobody", 10, 1, 0)]


def test_unreaped_processes_are_estimated_from_their_messages() -> None:
    shares = shares_of([exit_message(20, cpu_ns=300 * MS), exit_message(21, cpu_ns=500 * MS)], {})
    assert shares == [ExitedShare("true", "nobody", 10, 2, 800 * MS, estimated=True)]


def test_estimates_are_scaled_down_to_the_unattributed_time() -> None:
    exact = ExitedShare("make", "root", 1, 1, 70)
    shares = [exact, ExitedShare("a", "x", 2, 1, 300, estimated=True), ExitedShare("b", "x", 2, 1, 100, estimated=True)]
    assert bound_estimates(shares, 1000) == shares
    assert [share.cpu_ns for share in bound_estimates(shares, 200)] == [70, 150, 50]
    assert [share.cpu_ns for share in bound_estimates(shares, None)] == [70, None, None]


def test_processes_too_short_for_a_tick_count_the_same() -> None:
    exits = [exit_message(20, cpu_ns=0), exit_message(21, cpu_ns=0), exit_message(22, name="cat", cpu_ns=0)]
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
    max_ns=st.none() | st.integers(0, 10**13),
)
def test_exact_shares_add_up_to_the_credits_to_the_nanosecond_and_each_process_is_counted(
    exits: list[ProcessExit],
    seen: set[int],
    reaper_of: dict[int, int],
    amounts: dict[int, int],
    *,
    some_lost: bool,
    max_ns: int | None,
) -> None:
    before = {pid: process(pid, cpu_ns=MS) for pid in seen}
    shares = shares_of(exits, amounts, seen=before, reaper_of=reaper_of, some_lost=some_lost)
    shares = bound_estimates(shares, max_ns)
    assert sum(share.cpu_ns or 0 for share in shares if not share.estimated) == sum(amounts.values())
    assert sum(share.cpu_ns or 0 for share in shares if share.estimated) <= (max_ns or 0)
    assert all(share.cpu_ns is None or share.cpu_ns >= 0 for share in shares)
    assert sum(share.count or 0 for share in shares) == len(exits)
