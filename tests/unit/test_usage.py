from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, process, reading
from strategies import Fate, Pair, instants, pairs

from cpuwatch import CpuTimes, ProcessTimes, ProcessUsage, Reading, Snapshot, encode, usage
from cpuwatch.errors import ReadingOrderError

LIVING = st.sampled_from([fate for fate in Fate if fate is not Fate.EXITED])


def one_second(before: ProcessTimes | None, after: ProcessTimes, *, cpus: int = 2, sweep_ns: int = 0) -> ProcessUsage:
    """The row of a process over the second from 100 to 101 s after boot."""
    earlier = reading(*([] if before is None else [before]), cpus=cpus)
    later = reading(after, at_ns=101 * SECOND, cpus=cpus, sweep_ns=sweep_ns)
    (row,) = usage(earlier, later).processes
    return row


def share(row: ProcessUsage) -> tuple[float | None, ...]:
    return row.cpu_percent, row.machine_percent, row.user_percent, row.system_percent


def numbers(value: object) -> Iterator[float]:
    """Every number in the value, at any depth."""
    match value:
        case dict():
            for item in value.values():
                yield from numbers(item)
        case list() | tuple():
            for item in value:
                yield from numbers(item)
        case int() | float():
            yield value


# Worked examples


def test_half_a_second_of_cpu_in_a_second_on_two_cpus_is_50_percent_and_25_of_the_machine() -> None:
    row = one_second(process(cpu_ns=7 * SECOND), process(cpu_ns=7 * SECOND + SECOND // 2))
    assert (row.cpu_percent, row.machine_percent) == (50.0, 25.0)
    assert row.cpu_seconds == 7.5


def test_a_process_on_three_cpus_shows_three_hundred_percent() -> None:
    row = one_second(process(), process(cpu_ns=3 * SECOND), cpus=4)
    assert (row.cpu_percent, row.machine_percent) == (300.0, 75.0)


def test_the_exact_total_is_split_in_proportion_to_the_ticks_of_the_interval() -> None:
    before = process(cpu_ns=4 * SECOND, user_ns=4 * SECOND)
    after = process(cpu_ns=4 * SECOND + 400_000_000, user_ns=4 * SECOND + 30_000_000, system_ns=10_000_000)
    assert share(one_second(before, after)) == (40.0, 20.0, 30.0, 10.0)


def test_without_a_new_tick_the_total_is_split_in_proportion_to_the_whole_life() -> None:
    before = process(cpu_ns=4 * SECOND, user_ns=SECOND, system_ns=3 * SECOND)
    after = process(cpu_ns=4 * SECOND + 8_000_000, user_ns=SECOND, system_ns=3 * SECOND)
    row = one_second(before, after)
    assert row.cpu_percent == pytest.approx(0.8)
    assert row.user_percent == pytest.approx(0.2)
    assert row.system_percent == pytest.approx(0.6)


def test_time_that_the_kernel_moves_between_modes_gives_no_negative_share() -> None:
    before = process(cpu_ns=4 * SECOND, user_ns=3 * SECOND, system_ns=SECOND)
    after = process(cpu_ns=5 * SECOND, user_ns=SECOND * 5 // 2, system_ns=SECOND * 5 // 2)
    assert share(one_second(before, after)) == (100.0, 50.0, 50.0, 50.0)


def test_a_process_that_never_filled_a_tick_has_no_known_split() -> None:
    row = one_second(process(cpu_ns=1000, user_ns=0), process(cpu_ns=2000, user_ns=0))
    assert row.cpu_percent == pytest.approx(0.0001)
    assert (row.user_percent, row.system_percent) == (None, None)


def test_a_process_that_started_in_the_interval_is_charged_with_all_its_time() -> None:
    born = process(cpu_ns=300_000_000, start_ns=100 * SECOND + SECOND // 2)
    assert share(one_second(None, born)) == pytest.approx((30.0, 15.0, 30.0, 0.0))


def test_an_older_process_without_a_baseline_has_cpu_seconds_but_no_percentages() -> None:
    row = one_second(None, process(cpu_ns=9 * SECOND, start_ns=5 * SECOND))
    assert share(row) == (None, None, None, None)
    assert row.cpu_seconds == 9.0


@pytest.mark.parametrize(("start_ns", "cpu_percent"), [(99_990_000_000, 10.0), (99_989_999_999, None)])
def test_the_interval_begins_one_tick_of_the_start_times_early(start_ns: int, cpu_percent: float | None) -> None:
    # Start times are rounded down to ticks of 10 ms: a process that started just after 100 s may appear to be older.
    row = one_second(None, process(cpu_ns=100_000_000, start_ns=start_ns))
    assert row.cpu_percent == cpu_percent


def test_a_process_that_started_during_the_earlier_sweep_started_in_the_interval() -> None:
    earlier = reading(sweep_ns=5_000_000)
    later = reading(process(cpu_ns=100_000_000, start_ns=99_985_000_000), at_ns=101 * SECOND)
    assert usage(earlier, later).processes[0].cpu_percent == 10.0


def test_a_counter_that_decreases_gives_unknown_values() -> None:
    assert share(one_second(process(cpu_ns=2), process(cpu_ns=1))) == (None, None, None, None)


@pytest.mark.parametrize(
    ("ran_ns", "cpu_percent"),
    [
        (2 * SECOND, 200.0),
        # Sweeps take time and ticks are rounded, so slightly more than the interval is plausible.
        (2 * SECOND + 20_000_002, 200.0),
        # More than that means that some CPUs are not visible (in a container, lxcfs). The clock is exact.
        (2 * SECOND + 20_000_003, 202.0000003),
        (5 * SECOND, 500.0),
    ],
)
def test_more_than_the_cpus_can_provide_is_capped_within_the_tolerance_and_trusted_beyond(
    ran_ns: int, cpu_percent: float | None
) -> None:
    row = one_second(process(), process(cpu_ns=ran_ns), sweep_ns=10_000_000)
    assert row.cpu_percent == cpu_percent


def test_a_process_with_a_reused_pid_inherits_nothing() -> None:
    before = process(10, cpu_ns=9 * SECOND, start_ns=5 * SECOND)
    young = process(10, cpu_ns=SECOND // 10, start_ns=100 * SECOND + 1)
    assert one_second(before, young).cpu_percent == 10.0
    old = process(10, cpu_ns=9 * SECOND + 1, start_ns=6 * SECOND)
    assert one_second(before, old).cpu_percent is None


def test_the_machine_shows_each_kind_of_time_in_percent_of_all_time() -> None:
    before = CpuTimes(SECOND, SECOND, SECOND, SECOND, SECOND, SECOND)
    after = CpuTimes(SECOND + 40, SECOND + 20, SECOND + 25, SECOND + 5, SECOND + 8, SECOND + 2)
    machine = usage(reading(total=before), reading(total=after, at_ns=101 * SECOND)).machine
    assert (machine.user_percent, machine.system_percent, machine.iowait_percent) == (40.0, 20.0, 5.0)
    assert (machine.irq_percent, machine.steal_percent, machine.cpu_percent) == (8.0, 2.0, 70.0)
    assert machine.load_average == (0.5, 0.25, 0.125)


def test_a_kind_of_time_that_the_platform_does_not_count_is_unknown_and_counts_as_0() -> None:
    machine = usage(reading(total=CpuTimes(0, 0, 0)), reading(total=CpuTimes(30, 20, 50), at_ns=101 * SECOND)).machine
    assert (machine.iowait_percent, machine.irq_percent, machine.steal_percent) == (None, None, None)
    assert machine.cpu_percent == 50.0


def test_idle_time_that_decreases_counts_as_0() -> None:
    before, after = CpuTimes(0, 0, 500, 0, 0, 0), CpuTimes(10, 0, 400, 0, 0, 0)
    assert usage(reading(total=before), reading(total=after, at_ns=101 * SECOND)).machine.cpu_percent == 100.0


def test_a_machine_whose_counters_do_not_advance_has_no_percentages() -> None:
    books = CpuTimes(1, 2, 3, 4, 5, 6)
    found = usage(reading(total=books), reading(total=books, at_ns=101 * SECOND))
    assert found.machine.cpu_percent is None
    assert found.attribution.unattributed_percent is None


def test_an_offline_or_new_cpu_is_unknown_and_each_cpu_is_at_the_index_of_its_number() -> None:
    def times(busy: int, idle: int) -> CpuTimes:
        return CpuTimes(busy, 0, idle, 0, 0, 0)

    earlier = reading(per_cpu={0: times(0, 0), 1: times(0, 0), 4: times(0, 0)})
    # Not in numerical order; the result must be.
    later = reading(per_cpu={4: times(1, 1), 3: times(9, 9), 0: times(1, 3)}, at_ns=101 * SECOND)
    assert usage(earlier, later).machine.per_cpu_percent == [25.0, None, None, None, 50.0]


def test_time_of_no_process_is_unattributed() -> None:
    earlier = reading(process(cpu_ns=0), total=CpuTimes(0, 0, 0, 0, 0, 0))
    later = reading(process(cpu_ns=SECOND // 2), total=CpuTimes(60, 0, 40, 0, 0, 0), at_ns=101 * SECOND)
    attribution = usage(earlier, later).attribution
    assert (attribution.processes_percent, attribution.exited_percent) == (25.0, None)
    assert (attribution.unattributed_percent, attribution.excess_percent) == (35.0, 0.0)


def test_time_of_processes_beyond_the_machines_ticks_is_excess() -> None:
    earlier = reading(process(cpu_ns=0), total=CpuTimes(0, 0, 0, 0, 0, 0))
    later = reading(process(cpu_ns=SECOND), total=CpuTimes(40, 0, 60, 0, 0, 0), at_ns=101 * SECOND)
    attribution = usage(earlier, later).attribution
    assert (attribution.processes_percent, attribution.unattributed_percent) == (50.0, 0.0)
    assert attribution.excess_percent == 10.0


def test_the_snapshot_has_the_time_the_durations_and_the_failures_of_the_reading() -> None:
    later = reading(at_ns=102 * SECOND, sweep_ns=3_000_000, unreadable={"EACCES": 2})
    found = usage(reading(), later, sequence=7)
    assert (found.sequence, found.time, found.host) == (7, later.time, later.host)
    assert (found.interval_seconds, found.sweep_seconds) == (2.0, 0.003)
    assert found.sampling.unreadable == {"EACCES": 2}


def test_a_row_identifies_the_process() -> None:
    record = process(10, cpu_ns=1, name="a) b", user=None, state="R")
    row = one_second(process(10), record)
    for field in ("pid", "key", "start_time", "first_seen", "ppid", "name", "user", "state", "threads"):
        assert getattr(row, field) == getattr(record, field)


def test_readings_of_different_boots_are_rejected_with_both_boot_ids() -> None:
    with pytest.raises(ReadingOrderError, match=r"'before'.*'after'"):
        usage(reading(boot_id="before"), reading(boot_id="after", at_ns=101 * SECOND))


def test_readings_in_the_wrong_order_are_rejected_with_the_time_between_them() -> None:
    with pytest.raises(ReadingOrderError, match=r"1\.000000 s before"):
        usage(reading(at_ns=101 * SECOND), reading())


def test_two_readings_of_the_same_instant_have_no_rates() -> None:
    at_rest = process(11, cpu_ns=SECOND)
    found = usage(reading(process(10), at_rest), reading(process(10, cpu_ns=5), at_rest))
    assert found.interval_seconds == 0.0
    assert [share(row) for row in found.processes] == [(None,) * 4] * 2
    assert found.processes[1].cpu_seconds == 1.0
    assert msgspec.structs.astuple(found.attribution) == (None,) * 4


# Properties of any two readings


@given(pairs())
def test_each_process_is_charged_with_exactly_its_use(pair: Pair) -> None:
    found = usage(pair.earlier, pair.later)
    interval_ns = pair.later.monotonic_ns - pair.earlier.monotonic_ns
    assert {row.pid for row in found.processes} == set(pair.spent_ns)
    for row in found.processes:
        spent_ns = pair.spent_ns[row.pid]
        if spent_ns is None:
            assert share(row) == (None, None, None, None), pair.fates[row.pid]
        else:
            assert row.cpu_percent is not None, pair.fates[row.pid]
            assert row.cpu_percent * interval_ns / 100 == pytest.approx(spent_ns, rel=1e-9), pair.fates[row.pid]


@given(pairs())
def test_the_sum_neither_loses_nor_adds_time(pair: Pair) -> None:
    found = usage(pair.earlier, pair.later)
    interval_ns = pair.later.monotonic_ns - pair.earlier.monotonic_ns
    shown_ns = math.fsum(row.cpu_percent or 0 for row in found.processes) * interval_ns / 100
    assert shown_ns == pytest.approx(sum(ns for ns in pair.spent_ns.values() if ns is not None), rel=1e-9)


@given(pairs())
def test_no_number_is_negative_infinite_or_nan(pair: Pair) -> None:
    for value in numbers(msgspec.json.decode(encode(usage(pair.earlier, pair.later)))):
        assert math.isfinite(value)
        assert value >= 0


@given(pairs(fates=st.sampled_from([fate for fate in Fate if fate is not Fate.RAN_ON_MORE_CPUS_THAN_ARE_SHOWN])))
def test_no_process_has_more_than_all_cpus_unless_some_are_not_visible(pair: Pair) -> None:
    cpus = pair.later.host.logical_cpus
    for row in usage(pair.earlier, pair.later).processes:
        assert row.cpu_percent is None or row.cpu_percent <= 100 * cpus
        assert row.machine_percent is None or row.machine_percent <= 100


@given(pairs())
def test_machine_percent_is_cpu_percent_divided_by_the_cpus_and_the_modes_add_up(pair: Pair) -> None:
    for row in usage(pair.earlier, pair.later).processes:
        if row.cpu_percent is None:
            assert share(row) == (None, None, None, None)
            continue
        assert row.machine_percent == pytest.approx(row.cpu_percent / pair.later.host.logical_cpus)
        assert (row.user_percent is None) == (row.system_percent is None)
        if row.user_percent is not None and row.system_percent is not None:
            assert row.user_percent + row.system_percent == pytest.approx(row.cpu_percent)


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_the_processes_only_affects_the_order_of_the_rows(pair: Pair, dice: random.Random) -> None:
    def shuffled(one: Reading) -> Reading:
        items = list(one.processes.items())
        dice.shuffle(items)
        return replace(one, processes=dict(items))

    plain = usage(pair.earlier, pair.later)
    mixed = usage(shuffled(pair.earlier), shuffled(pair.later))
    assert {row.pid: row for row in plain.processes} == {row.pid: row for row in mixed.processes}
    assert plain.machine == mixed.machine
    # The last digits of a sum of floats depend on the order.
    assert msgspec.structs.astuple(plain.attribution) == pytest.approx(msgspec.structs.astuple(mixed.attribution))


@given(pairs(fates=LIVING))
def test_an_identical_record_counts_as_an_equal_one(pair: Pair) -> None:
    again = replace(pair.later, processes=pair.earlier.processes)
    anew = replace(pair.later, processes={pid: replace(record) for pid, record in again.processes.items()})
    kept, remade = usage(pair.earlier, again), usage(pair.earlier, anew)
    assert kept == remade
    assert all(share(row) == (0.0, 0.0, 0.0, 0.0) for row in kept.processes)


@given(pairs(fates=st.sampled_from([Fate.REPLACED_BY_NEWBORN, Fate.REPLACED_BY_OLDER])))
def test_the_previous_process_of_a_reused_pid_makes_no_difference(pair: Pair) -> None:
    without = usage(replace(pair.earlier, processes={}), pair.later)
    assert usage(pair.earlier, pair.later) == without


@given(pairs(), instants, instants)
def test_the_wall_clock_does_not_matter(pair: Pair, before: object, after: object) -> None:
    jumped = usage(replace(pair.earlier, time=before), replace(pair.later, time=after))
    assert jumped == replace(usage(pair.earlier, pair.later), time=after)


@given(pairs(fates=st.sampled_from([Fate.RESTED, Fate.RAN, Fate.APPEARED_OLD])), st.integers(0, 10**15))
def test_a_suspended_machine_shows_no_spike(pair: Pair, slept_ns: int) -> None:
    woken = replace(
        pair.later,
        uptime_ns=pair.later.uptime_ns + slept_ns,
        time=pair.later.time + timedelta(microseconds=slept_ns // 1000),
    )
    assert usage(pair.earlier, woken).processes == usage(pair.earlier, pair.later).processes


@given(pairs())
def test_the_attribution_adds_up_to_the_busy_time(pair: Pair) -> None:
    found = usage(pair.earlier, pair.later)
    parts = found.attribution
    assert parts.processes_percent is not None
    assert parts.processes_percent == pytest.approx(math.fsum(row.machine_percent or 0 for row in found.processes))
    if found.machine.cpu_percent is None:
        assert parts.unattributed_percent is None
        return
    assert parts.unattributed_percent is not None
    assert parts.excess_percent is not None
    added = parts.processes_percent + (parts.exited_percent or 0) + parts.unattributed_percent - parts.excess_percent
    # An interval of a nanosecond can have an excess of a billion times the busy time; subtracting it costs digits.
    assert added == pytest.approx(found.machine.cpu_percent, rel=1e-9, abs=1e-9 + 1e-14 * parts.excess_percent)
    assert min(parts.unattributed_percent, parts.excess_percent) == 0


@given(pairs(max_processes=0))
def test_the_parts_of_the_machine_add_up_and_do_not_exceed_the_whole(pair: Pair) -> None:
    machine = usage(pair.earlier, pair.later).machine
    if machine.cpu_percent is None:
        return
    parts = [machine.user_percent, machine.system_percent, machine.irq_percent, machine.steal_percent]
    busy = math.fsum(part or 0 for part in parts)
    assert busy == pytest.approx(machine.cpu_percent)
    for part in (*parts, machine.iowait_percent, machine.cpu_percent, *machine.per_cpu_percent):
        assert part is None or 0 <= part <= 100
    before, after = pair.earlier.machine.total, pair.later.machine.total
    idle_ns = max(0, after.idle_ns - before.idle_ns)
    waited_ns = 0 if before.iowait_ns is None or after.iowait_ns is None else max(0, after.iowait_ns - before.iowait_ns)
    if idle_ns:
        # Only iowait is shown, not idle; idle follows from the amounts of both, unless iowait is unknown.
        idle = 100 - machine.cpu_percent - (machine.iowait_percent or 0)
        assert idle * (idle_ns + waited_ns) == pytest.approx(
            (100 - machine.cpu_percent) * idle_ns, rel=1e-6, abs=1e-6 * (idle_ns + waited_ns)
        )


@given(pairs(max_processes=0))
def test_each_cpu_is_at_the_index_of_its_number_and_unknown_without_a_baseline(pair: Pair) -> None:
    figures = usage(pair.earlier, pair.later).machine.per_cpu_percent
    before, now = pair.earlier.machine.per_cpu, pair.later.machine.per_cpu
    assert len(figures) == max(now, default=-1) + 1
    for cpu, figure in enumerate(figures):
        if figure is not None:
            assert cpu in before
            assert cpu in now


@given(pairs(fates=LIVING))
def test_an_interval_of_0_has_no_rates(pair: Pair) -> None:
    at_once = replace(pair.later, monotonic_ns=pair.earlier.monotonic_ns)
    found = usage(pair.earlier, at_once)
    assert all(share(row) == (None, None, None, None) for row in found.processes)


@given(pairs(), st.integers(1, 10**16))
def test_the_later_reading_first_is_rejected(pair: Pair, distance_ns: int) -> None:
    before = replace(pair.later, monotonic_ns=pair.earlier.monotonic_ns - distance_ns)
    with pytest.raises(ReadingOrderError):
        usage(pair.earlier, before)


@given(pairs())
def test_the_same_two_readings_give_the_same_snapshot(pair: Pair) -> None:
    first: Snapshot = usage(pair.earlier, pair.later)
    assert usage(pair.earlier, pair.later) == first


def test_the_use_of_exited_children_is_in_the_row_of_their_parent_and_in_the_attribution() -> None:
    before = process(10, cpu_ns=SECOND, children_ns=5 * SECOND)
    earlier = reading(before, process(11, cpu_ns=SECOND), total=CpuTimes(0, 0, 0, 0, 0, 0))
    # 1 s of the growth of 1.5 s was already shown in the row of the child.
    after = process(10, cpu_ns=SECOND, children_ns=6 * SECOND + SECOND // 2)
    later = reading(after, total=CpuTimes(30, 0, 70, 0, 0, 0), at_ns=101 * SECOND)
    found = usage(replace_ppid(earlier, 11, 10), later)
    (row,) = found.processes
    assert row.exited_percent == 50.0
    assert found.attribution.exited_percent == 25.0
    assert found.attribution.unattributed_percent == 5.0
    assert [(exited.parent_pid, exited.cpu_percent) for exited in found.exited] == [(10, 50.0)]


def test_more_childrens_time_than_the_cpus_can_provide_is_unknown() -> None:
    earlier = reading(process(10, children_ns=0))
    later = reading(process(10, children_ns=3 * SECOND), at_ns=101 * SECOND)
    found = usage(earlier, later)
    assert found.processes[0].exited_percent is None
    assert found.attribution.exited_percent == 0.0
    assert found.exited == []


def test_childrens_time_is_limited_by_the_present_cpus_not_by_the_visible_ones() -> None:
    earlier = reading(process(10, children_ns=0))
    later = replace(reading(process(10, children_ns=3 * SECOND), at_ns=101 * SECOND), present_cpus=4)
    found = usage(earlier, later)
    assert found.processes[0].exited_percent == 300.0
    assert [row.cpu_percent for row in found.exited] == [300.0]


def replace_ppid(original: Reading, pid: int, ppid: int) -> Reading:
    return replace(original, processes={**original.processes, pid: replace(original.processes[pid], ppid=ppid)})
