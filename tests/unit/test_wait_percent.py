from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, process, reading

from cpuwatch import Snapshot, by_name, by_tree, usage
from cpuwatch.accounting.listed_names import ListPolicy
from cpuwatch.accounting.totals import add, no_totals
from cpuwatch.encoding.metric_families import metric_families

waits = st.none() | st.integers(0, 10**12)


def waited(before_ns: int | None, after_ns: int | None, *, start_ns: int = 5 * SECOND, cpu_ns: int = 0) -> float | None:
    """``wait_percent`` of a process over two seconds."""
    earlier = process(start_ns=5 * SECOND, wait_ns=before_ns)
    later = process(start_ns=start_ns, wait_ns=after_ns, cpu_ns=cpu_ns)
    (row,) = usage(reading(earlier), reading(later, at_ns=102 * SECOND)).processes
    return row.wait_percent


@given(waits, waits)
def test_waiting_is_the_growth_of_the_run_delay(before_ns: int | None, after_ns: int | None) -> None:
    found = waited(before_ns, after_ns, cpu_ns=1)
    if before_ns is None or after_ns is None or after_ns < before_ns:
        assert found is None
    else:
        assert found == pytest.approx((after_ns - before_ns) / 2e7)


def test_a_process_that_started_in_the_interval_waited_from_its_start_on() -> None:
    assert waited(7, SECOND, start_ns=101 * SECOND) == 50.0
    assert waited(7, None, start_ns=101 * SECOND) is None
    # One that is older has no baseline.
    assert waited(7, SECOND, start_ns=6 * SECOND) is None


@pytest.mark.parametrize(("wait_ns", "percent"), [(None, None), (0, 0.0), (SECOND, 0.0)])
def test_a_process_at_rest_does_not_wait_if_that_is_known(wait_ns: int | None, percent: float | None) -> None:
    record = process(wait_ns=wait_ns)
    (row,) = usage(reading(record), reading(record, at_ns=102 * SECOND)).processes
    assert row.wait_percent == percent


def test_a_process_that_waits_without_running_has_used_nothing() -> None:
    earlier, later = process(wait_ns=0, cpu_ns=9), process(wait_ns=2 * SECOND, cpu_ns=9)
    (row,) = usage(reading(earlier), reading(later, at_ns=102 * SECOND)).processes
    assert (row.cpu_percent, row.wait_percent) == (0.0, 100.0)


@given(waits, waits)
def test_pressure_is_a_share_of_the_interval(before_ns: int | None, after_ns: int | None) -> None:
    readings = [
        replace(taken, machine=replace(taken.machine, pressure_ns=pressure_ns))
        for taken, pressure_ns in ((reading(), before_ns), (reading(at_ns=102 * SECOND), after_ns))
    ]
    found = usage(*readings).machine.pressure_percent
    if before_ns is None or after_ns is None or after_ns < before_ns:
        assert found is None
    else:
        assert found == pytest.approx(min(100, (after_ns - before_ns) / 2e7))


def test_readings_of_one_instant_have_no_pressure() -> None:
    taken = replace(reading(), machine=replace(reading().machine, pressure_ns=5))
    machine = usage(taken, taken).machine
    assert (machine.pressure_percent, machine.waiting_threads) == (None, None)


@pytest.fixture
def mixed() -> Snapshot:
    """Two processes that waited, one of which did not run, and one whose waiting is unknown."""
    before = [process(1, wait_ns=0), process(2, wait_ns=0), process(3, name="other")]
    after = [
        process(1, cpu_ns=SECOND, wait_ns=SECOND),
        process(2, wait_ns=2 * SECOND),
        process(3, name="other", cpu_ns=5),
    ]
    return usage(reading(*before), reading(*after, at_ns=102 * SECOND))


def test_the_machine_has_the_average_number_of_waiting_threads(mixed: Snapshot) -> None:
    assert mixed.machine.waiting_threads == 1.5
    unknown = usage(reading(process()), reading(process(cpu_ns=5), at_ns=102 * SECOND))
    assert unknown.machine.waiting_threads is None


def test_groups_add_up_what_is_known(mixed: Snapshot) -> None:
    assert {group.group: group.wait_percent for group in by_name(mixed)} == {"work": 150.0, "other": None}
    # Process 1 is the parent of the others.
    assert {tree.pid: tree.wait_percent for tree in by_tree(mixed)} == {1: 150.0, 2: 100.0, 3: None}


def test_metrics_count_the_seconds_by_name(mixed: Snapshot) -> None:
    totals = add(add(no_totals(mixed), mixed), mixed)
    (family,) = [one for one in metric_families(mixed, totals) if one.name == "cpuwatch_wait_seconds"]
    assert {sample.labels.get("name"): sample.value for sample in family.samples if sample.value} == {"work": 6.0}


def test_waiting_is_in_exactly_one_sum_when_names_are_dropped() -> None:
    totals = None
    policy = ListPolicy(2, burst=1e9, admissions_per_day=0, half_life_seconds=1e9)
    for number in range(6):
        before = [process(1, name="steady", wait_ns=0), process(2, name=f"name {number}", wait_ns=0)]
        after = [
            process(1, name="steady", cpu_ns=SECOND, wait_ns=SECOND),
            process(2, name=f"name {number}", cpu_ns=SECOND // 2, wait_ns=SECOND),
        ]
        snapshot = usage(reading(*before), reading(*after, at_ns=102 * SECOND), sequence=number + 1)
        totals = add(totals or no_totals(snapshot, policy), snapshot)
        named = sum(total.wait_seconds for total in totals.named.values())
        waited_seconds = named + totals.other_wait_seconds + totals.retired_wait_seconds
        assert waited_seconds == pytest.approx(2 * (number + 1))
    assert totals is not None
    assert totals.retired_wait_seconds > 0
