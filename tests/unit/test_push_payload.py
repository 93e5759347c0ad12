from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, process, reading
from recorded_runs import live_ticks, runs

from cpuwatch import CpuTimes, ProcessTimes, Reading
from cpuwatch.accounting.listed_names import empty_listing, relist
from cpuwatch.encoding.metric_points import Attributes, Interval, Metric, Point, merged
from cpuwatch.push.payload import (
    BY_CGROUP,
    BY_NAME,
    EXCESS,
    MACHINE,
    MAX_DAY_SERIES,
    MAX_SERIES,
    MAX_TOP,
    PROCESS,
    TICKS,
    Payload,
    list_policies,
)
from cpuwatch.recording.clock_time import time_us
from cpuwatch.recording.sums import add_tick, empty_slot
from cpuwatch.sampled_tick import SampledTick

UNIT = "/system.slice/nginx.service"
OTHER_SERIES = 20
"""Kinds, the machine, ticks, the host."""


def second(number: int, *processes: ProcessTimes, busy_ns: int = 0) -> Reading:
    """Return the reading of this second; the machine was busy for ``busy_ns`` until then."""
    at_ns = (100 + number) * SECOND
    return reading(*processes, at_ns=at_ns, total=CpuTimes(busy_ns, 0, 2 * at_ns - busy_ns, 0, 0, 0))


def intervals(ticks: Iterable[SampledTick], seconds: float = 1.0, top: int = 20) -> list[Interval]:
    payload = Payload(seconds, top)
    made = [payload.add(tick) for tick in ticks]
    return [interval for interval in [*made, payload.flush()] if interval is not None]


def pushed(*readings: Reading, seconds: float = 1.0, top: int = 20) -> list[Interval]:
    return intervals(live_ticks(readings), seconds, top)


def grown(interval: Interval, metric: Metric) -> dict[Attributes, int]:
    return {
        point.attributes: point.value - point.before for point in interval.points if point.metric.name == metric.name
    }


def named(interval: Interval, metric: Metric = BY_NAME) -> dict[str, int]:
    """Return what each listed name used, and ``<kind>`` of the others; zeros are left out."""
    return {
        attributes[1][1] if len(attributes) > 1 else f"<{attributes[0][1]}>": ns
        for attributes, ns in grown(interval, metric).items()
        if ns
    }


@given(runs(), st.sampled_from([0.001, 1.0, 3.0, 1e9]), st.integers(1, 3))
def test_the_series_add_up_to_the_busy_time(ticks: list[SampledTick], seconds: float, top: int) -> None:
    expected = empty_slot(0)
    for before, tick in pairwise(ticks):
        if tick.snapshot is not None:
            end_us = time_us(tick.reading.time)
            add_tick(expected, time_us(before.reading.time), end_us, tick.reading.processes, tick.snapshot)
    made = intervals(ticks, seconds, top)
    for metric in (BY_NAME, BY_CGROUP):
        shown = sum(sum(grown(interval, metric).values()) for interval in made)
        excess = sum(sum(grown(interval, EXCESS).values()) for interval in made)
        assert shown - excess == expected.machine.busy_ns


@given(runs(), st.sampled_from([0.001, 1.0, 3.0]), st.integers(1, 3))
def test_counters_never_decrease_and_continue_where_they_were(
    ticks: list[SampledTick], seconds: float, top: int
) -> None:
    known: dict[tuple[str, Attributes], Point] = {}
    previous: set[tuple[str, Attributes]] = set()
    for interval in intervals(ticks, seconds, top):
        assert interval.begin_ns < interval.end_ns
        counters = [point for point in interval.points if point.metric.kind == "counter"]
        series = [(point.metric.name, point.attributes) for point in counters]
        assert len(series) == len(set(series))
        for key, point in zip(series, counters, strict=True):
            assert point.before <= point.value
            # The machine's counters are those of the readings, which are any integers here.
            assert point.before >= 0 or point.metric == MACHINE
            assert point.is_new == (key not in previous)
            before = known.get(key)
            if before is not None:
                assert point.before >= before.value
                assert point.start_ns == before.start_ns
            if before is not None and not point.is_new:
                assert point.before == before.value
            known[key] = point
        previous = set(series)


@given(runs(min_ticks=3), st.integers(1, 3))
def test_a_merged_interval_is_that_of_both(ticks: list[SampledTick], top: int) -> None:
    made = intervals(ticks, 0.001, top)
    for first, second_one in pairwise(made):
        both = merged(first, second_one)
        assert (both.end_ns, len(both.points)) == (second_one.end_ns, len(second_one.points))
        for point, newer in zip(both.points, second_one.points, strict=True):
            assert (point.value, point.attributes) == (newer.value, newer.attributes)
            # An amount, such as the number of CPUs, may decrease.
            assert point.before <= newer.before or point.metric.kind == "amount"
    if made:
        whole = made[0]
        for later in made[1:]:
            whole = merged(whole, later)
        for metric in (EXCESS, TICKS):
            total = sum(sum(grown(interval, metric).values()) for interval in made)
            assert sum(grown(whole, metric).values()) == total


def test_an_interval_has_the_sums_of_its_ticks_and_nothing_is_lost_between_two() -> None:
    made = pushed(*(second(n, process(cpu_ns=n * SECOND // 2), busy_ns=n * SECOND) for n in range(7)), seconds=3)
    half = SECOND // 2
    assert [named(interval) for interval in made] == [{"work": 3 * half, "<unattributed>": 3 * half}] * 2
    assert made[0].end_ns == made[1].begin_ns


def test_what_exited_has_a_name_if_it_is_known_and_otherwise_its_cgroup_counts() -> None:
    shell = replace(process(1, name="sh", children_ns=0), cgroup=UNIT)
    made = pushed(second(0, shell), second(1, replace(shell, children_ns=SECOND // 4), busy_ns=SECOND // 4))
    assert named(made[0]) == {"<exited>": SECOND // 4}
    assert named(made[0], BY_CGROUP) == {UNIT: SECOND // 4}


def test_kernel_workers_are_one_series() -> None:
    kernel = [replace(process(2, name="kthreadd"), ppid=0)]
    workers = [replace(process(10 + n, name=f"kworker/{n}:1-events"), ppid=2) for n in range(5)]
    later = [replace(worker, cpu_ns=SECOND // 10, name=worker.name.replace("events", "flush")) for worker in workers]
    made = pushed(second(0, *kernel, *workers), second(1, *kernel, *later, busy_ns=SECOND // 2))
    assert named(made[0]) == {"kworker": SECOND // 2}


def test_a_renamed_worker_counts_for_each_name_and_its_process_keeps_its_series() -> None:
    made = pushed(
        second(0, process(name="old")),
        second(1, process(name="old", cpu_ns=SECOND // 4), busy_ns=SECOND // 4),
        second(2, process(name="new", cpu_ns=SECOND), busy_ns=SECOND),
    )
    assert [named(interval) for interval in made] == [{"old": SECOND // 4}, {"new": 3 * SECOND // 4}]
    series = [set(grown(interval, PROCESS)) for interval in made]
    assert series[0] == series[1]
    assert dict(next(iter(series[0])))["name"] == "old"


def test_a_process_is_counted_since_its_start() -> None:
    old = process(1, start_ns=5 * SECOND, cpu_ns=10 * SECOND, system_ns=4 * SECOND)
    young = process(2, start_ns=100 * SECOND + 1, cpu_ns=SECOND // 2)
    later = replace(old, cpu_ns=11 * SECOND, user_ns=7 * SECOND)
    (interval,) = pushed(second(0, old), second(1, later, young, busy_ns=2 * SECOND))
    points = {
        (dict(point.attributes)["process.pid"], dict(point.attributes)["cpu.mode"]): point
        for point in interval.points
        if point.metric == PROCESS
    }
    assert [(point.before, point.value) for point in points.values()] == [
        (6 * SECOND, 7 * SECOND),
        (4 * SECOND, 4 * SECOND),
        (0, SECOND // 2),
        (0, 0),
    ]
    assert dict(points["1", "user"].attributes)["process.creation.time"] == "2026-01-01T00:00:05.000Z"
    assert points["1", "user"].start_ns == time_us(old.start_time) * 1000


def test_an_exited_process_has_no_series_any_more() -> None:
    ran = process(cpu_ns=SECOND // 2)
    made = pushed(second(0, process()), second(1, ran, busy_ns=SECOND), second(2, busy_ns=SECOND))
    assert [len(grown(interval, PROCESS)) for interval in made] == [2, 0]


def test_the_machine_is_counted_by_mode_since_boot() -> None:
    (interval,) = pushed(second(0, busy_ns=SECOND), second(1, busy_ns=2 * SECOND))
    points = {dict(point.attributes)["cpu.mode"]: point for point in interval.points if point.metric == MACHINE}
    assert set(points) == {"user", "system", "idle", "iowait", "interrupt", "steal"}
    assert (points["user"].before, points["user"].value) == (SECOND, 2 * SECOND)
    assert points["user"].start_ns == time_us(second(0).time - timedelta(seconds=100)) * 1000


def test_a_clock_that_is_set_back_does_not_turn_an_interval_around() -> None:
    earlier, later = second(0, process()), second(1, process(cpu_ns=SECOND // 2), busy_ns=SECOND)
    (interval,) = pushed(earlier, replace(later, time=later.time - timedelta(hours=1)))
    assert interval.end_ns - interval.begin_ns == SECOND


@pytest.mark.parametrize("hostile", ["a\x1b[0m", "\udcff", "x" * 5000])
def test_hostile_names_are_safe_and_bounded(hostile: str) -> None:
    (interval,) = pushed(
        second(0, process(name=hostile)), second(1, process(name=hostile, cpu_ns=SECOND), busy_ns=SECOND)
    )
    (name,) = named(interval)
    assert name.isprintable()
    assert len(name.encode()) <= 210


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("top", [20, MAX_TOP])
def test_a_day_with_ten_thousand_names_has_at_most_a_thousand_series(seed: int, top: int) -> None:
    """One simulated host; ``python -m benchmarks.pushing --hosts 1000`` simulates a thousand."""
    random = Random(seed)  # noqa: S311  reproducible
    listings = [empty_listing(policy) for policy in list_policies(top)]
    seen: list[set[str]] = [set(), set(), set()]
    per_name = (1, 1, 2)
    for minute in range(24 * 60):
        new = range(7 * minute, 7 * minute + 7)
        used = {str(name): random.lognormvariate(17, 2) / 1e9 for name in (*new, *range(-40, 0))}
        listings = [relist(listing, used, 60.0) for listing in listings]
        for listing, of_day in zip(listings, seen, strict=True):
            of_day.update(listing.listed)
        moment = sum(series * len(listing.listed) for listing, series in zip(listings, per_name, strict=True))
        assert moment + OTHER_SERIES <= MAX_SERIES
    assert len(seen[0]) > 2 * top
    assert sum(series * len(of_day) for of_day, series in zip(seen, per_name, strict=True)) <= MAX_DAY_SERIES


def test_a_notable_name_has_a_series_after_a_burst_of_others() -> None:
    listing = empty_listing(list_policies(20)[0])
    for number in range(1000):
        listing = relist(listing, {f"{number}-{index}": 0.001 for index in range(30)}, 10.0)
    assert "culprit" in relist(listing, {"culprit": 1.0}, 10.0).listed


def test_a_host_has_at_most_100_series() -> None:
    crowd = [replace(process(pid, name=f"p{pid}"), cgroup=f"/s/{pid}.service") for pid in range(3, 500)]
    later = [replace(record, cpu_ns=1000 + record.pid) for record in crowd]
    (interval,) = pushed(second(0, *crowd), second(1, *later, busy_ns=SECOND), top=30)
    # And one with the attributes of the host.
    assert 90 <= len(interval.points) < MAX_SERIES
    sums: defaultdict[str, int] = defaultdict(int)
    for point in interval.points:
        sums[point.metric.name] += point.value - point.before
    assert sums[BY_NAME.name] == sums[BY_CGROUP.name] == SECOND
