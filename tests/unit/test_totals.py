from __future__ import annotations

import math
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, minute, process, reading, snapshot

from cpuwatch import ExitedUsage, MachineUsage, Monitor, ProcessUsage, Snapshot, usage
from cpuwatch.accounting.listed_names import ListPolicy
from cpuwatch.accounting.totals import CpuTotals, RunningTotals, add, no_totals

TIMEOUT = 30.0
NAMES = st.sampled_from("abcdefgh")
PERCENTS = st.none() | st.just(0.0) | st.floats(0, 400)
TEMPLATE = snapshot((10, SECOND)).processes[0]


def row(name: str, percent: float | None) -> ProcessUsage:
    return replace(TEMPLATE, name=name, cpu_percent=percent)


def exited_row(name: str | None, percent: float | None) -> ExitedUsage:
    return ExitedUsage(name, None, 10, None, None, percent, percent)


@st.composite
def intervals(draw: st.DrawFn) -> Snapshot:
    return replace(
        snapshot(),
        interval_seconds=draw(st.floats(0.001, 100)),
        processes=draw(st.lists(st.builds(row, NAMES, PERCENTS), max_size=6)),
        exited=draw(st.lists(st.builds(exited_row, st.none() | NAMES, PERCENTS), max_size=3)),
    )


def percents_by_name(taken: Snapshot) -> list[tuple[str | None, float]]:
    living = [(row.name, row.cpu_percent or 0.0) for row in taken.processes]
    return [*living, *((row.name, row.cpu_percent or 0.0) for row in taken.exited)]


def used_seconds(snapshots: list[Snapshot]) -> float:
    return math.fsum(
        taken.interval_seconds * percent / 100 for taken in snapshots for _, percent in percents_by_name(taken)
    )


def running(snapshots: list[Snapshot], max_names: int) -> list[CpuTotals]:
    """Return the totals before the first snapshot, and after each, without a limit on names over time."""
    policy = ListPolicy(max_names, burst=1e9, admissions_per_day=0, half_life_seconds=1e9)
    steps = [no_totals(snapshots[0] if snapshots else snapshot(), policy)]
    for taken in snapshots:
        steps.append(add(steps[-1], taken))
    return steps


def added(taken: Snapshot) -> CpuTotals:
    """Return the totals after this snapshot, the first one."""
    return add(no_totals(taken), taken)


def named_seconds(totals: CpuTotals) -> dict[str, float]:
    return {name: total.seconds for name, total in totals.named.items()}


def all_seconds(totals: CpuTotals) -> float:
    unlisted = totals.unnamed_seconds + totals.other_seconds + totals.retired_seconds
    return math.fsum([*named_seconds(totals).values(), unlisted])


def test_the_seconds_of_a_name_include_all_its_processes_and_the_exited_ones() -> None:
    earlier = reading(process(1, name="cc"), process(2, name="cc"), process(3, name="sh"))
    later = reading(
        process(1, cpu_ns=SECOND // 2, name="cc"),
        process(2, cpu_ns=SECOND // 4, name="cc"),
        process(3, cpu_ns=SECOND // 8, name="sh"),
        at_ns=102 * SECOND,
    )
    taken = replace(
        usage(earlier, later), exited=[exited_row("cc", 100.0), exited_row(None, 25.0), exited_row("gone", None)]
    )
    totals = add(add(no_totals(taken), taken), taken)
    assert named_seconds(totals) == {"cc": 5.5, "sh": 0.25}
    assert totals.unnamed_seconds == 1.0


def test_the_seconds_of_a_process_remain_after_it_exits() -> None:
    before = added(snapshot((10, SECOND)))
    after = add(before, snapshot())
    assert named_seconds(after) == {"work": 1.0}


def test_unknown_amounts_add_nothing() -> None:
    taken = replace(snapshot(), processes=[row("a", None)], exited=[exited_row("b", None), exited_row(None, None)])
    totals = added(taken)
    assert (totals.named, totals.unnamed_seconds, totals.other_seconds) == ({}, 0.0, 0.0)


def test_an_unknown_busy_time_adds_nothing() -> None:
    machine = MachineUsage(None, None, None, None, None, None, [None], None)
    totals = added(replace(snapshot(), machine=machine, processes=[row("a", 50.0)]))
    assert (totals.unattributed_seconds, totals.excess_seconds, totals.mode_seconds) == (0.0, 0.0, {})


@given(st.lists(intervals(), max_size=12), st.integers(1, 9))
def test_no_counter_decreases(snapshots: list[Snapshot], max_names: int) -> None:
    for before, after in pairwise(running(snapshots, max_names)):
        for sum_of in map(attrgetter, ("unnamed_seconds", "other_seconds", "retired_seconds")):
            assert sum_of(after) >= sum_of(before)
        for name in before.named.keys() & after.named.keys():
            assert after.named[name].seconds >= before.named[name].seconds


@given(st.lists(intervals(), max_size=12), st.integers(1, 9))
def test_the_sums_add_up_to_all_use(snapshots: list[Snapshot], max_names: int) -> None:
    assert all_seconds(running(snapshots, max_names)[-1]) == pytest.approx(used_seconds(snapshots))


@given(st.lists(intervals(), max_size=12), st.integers(1, 9))
def test_without_the_retired_sum_the_series_grow_by_the_use_in_each_interval(
    snapshots: list[Snapshot], max_names: int
) -> None:
    for (before, after), taken in zip(pairwise(running(snapshots, max_names)), snapshots, strict=True):
        of_names = [seconds - named_seconds(before).get(name, 0.0) for name, seconds in named_seconds(after).items()]
        of_the_rest = (
            after.unnamed_seconds - before.unnamed_seconds,
            after.other_seconds - before.other_seconds,
        )
        assert math.fsum([*of_names, *of_the_rest]) == pytest.approx(used_seconds([taken]), abs=1e-9)


@given(st.lists(intervals(), max_size=12), st.integers(1, 9))
def test_the_number_of_names_is_limited_and_heavy_users_are_among_them(
    snapshots: list[Snapshot], max_names: int
) -> None:
    totals = running(snapshots, max_names)[-1]
    assert len(totals.named) <= max_names
    used: defaultdict[str, float] = defaultdict(float)
    for taken in snapshots:
        for name, percent in percents_by_name(taken):
            if name is not None:
                used[name] += taken.interval_seconds * percent / 100
    # Sums in another order are rounded differently.
    frequent = {name for name, seconds in used.items() if seconds > 1.0001 * sum(used.values()) / max_names + 1e-9}
    assert frequent <= totals.named.keys()


def test_names_that_occur_once_do_not_displace_a_recurring_one() -> None:
    snapshots = [
        replace(snapshot(), interval_seconds=1.0, processes=[row(f"once{i}", 50.0), row("steady", 40.0)])
        for i in range(100)
    ]
    assert named_seconds(running(snapshots, 5)[-1])["steady"] == pytest.approx(40.0)


def test_an_unlisted_name_is_listed_if_it_keeps_recurring() -> None:
    first = replace(snapshot(), interval_seconds=1.0, processes=[row("a", 100.0), row("b", 100.0)])
    later = replace(first, processes=[row("late", 90.0)])
    totals = running([first, *[later] * 10], 2)
    assert "late" not in totals[2].named
    assert "late" in totals[-1].named


def test_a_name_counts_since_the_start_of_the_interval_in_which_it_was_listed() -> None:
    first = replace(snapshot(sequence=7), interval_seconds=1.0, processes=[row("a", 50.0)])
    second = replace(
        first, sequence=8, time=first.time + timedelta(seconds=2), interval_seconds=2.0, processes=[row("b", 50.0)]
    )
    third = replace(second, sequence=9, time=second.time + timedelta(seconds=1), interval_seconds=1.0)
    totals = running([first, second, third], 5)[-1]
    assert (totals.since, totals.first_sequence, totals.sequence) == (first.time - timedelta(seconds=1), 7, 9)
    assert {name: (total.since, total.first_sequence) for name, total in totals.named.items()} == {
        "a": (totals.since, 7),
        "b": (first.time, 8),
    }
    assert totals.newest_sequence == 8


@given(st.lists(st.tuples(intervals(), st.floats(0, 100)), max_size=12), st.integers(1, 9))
def test_all_series_less_the_excess_add_up_to_the_busy_time(
    pairs: list[tuple[Snapshot, float]], max_names: int
) -> None:
    snapshots = [replace(taken, machine=replace(taken.machine, cpu_percent=busy)) for taken, busy in pairs]
    totals = running(snapshots, max_names)
    busy = math.fsum(
        taken.machine.cpu_percent / 100 * taken.interval_seconds * taken.host.logical_cpus
        for taken in snapshots
        if taken.machine.cpu_percent is not None
    )
    counted = all_seconds(totals[-1]) + totals[-1].unattributed_seconds - totals[-1].excess_seconds
    assert counted + totals[-1].balance_seconds == pytest.approx(busy, abs=1e-6)
    for before, after in pairwise(totals):
        assert after.unattributed_seconds >= before.unattributed_seconds
        assert after.excess_seconds >= before.excess_seconds


def test_rounding_that_cancels_out_does_not_count_as_unattributed() -> None:
    template = replace(snapshot(), interval_seconds=1.0, processes=[row("a", 50.0)])
    cpus = template.host.logical_cpus
    busy = [replace(template, machine=replace(template.machine, cpu_percent=p / cpus)) for p in (49.0, 51.0)]
    totals = running(busy * 100, 5)[-1]
    assert totals.unattributed_seconds == pytest.approx(0.0, abs=1e-9)
    assert totals.excess_seconds == 0.0


def test_kernel_workers_have_one_sum() -> None:
    workers = [replace(row(name, 50.0), ppid=2) for name in ("kworker/0:1-events", "kworker/0:1-mm_percpu_wq")]
    impostor = replace(row("kworker/0:1-mine", 50.0), ppid=1)
    exited = [
        replace(exited_row("kworker/u8:3", 25.0), parent_pid=2),
        replace(exited_row("kworker/u8:3", 25.0), parent_pid=9),
    ]
    taken = replace(snapshot(), interval_seconds=1.0, processes=[*workers, impostor], exited=exited)
    assert named_seconds(added(taken)) == {"kworker": 1.25, "kworker/0:1-mine": 0.5, "kworker/u8:3": 0.25}


def test_a_monitor_adds_each_snapshot_to_the_totals_without_a_reader() -> None:
    totals = RunningTotals()
    monitor = Monitor(0.0005, sampler=minute())
    monitor.follow(totals.take)
    with monitor:
        assert monitor.wait(after=58, timeout=TIMEOUT)
    assert totals.latest is not None
    assert named_seconds(totals.latest) == {"work": pytest.approx(used_seconds(list(monitor.history)))}
    assert len(list(monitor.history)) == 59
