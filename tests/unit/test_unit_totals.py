"""Sums by unit since the start, and their metrics."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from readings import SECOND, snapshot
from strategies import broken_texts, snapshots

from cpuwatch import CgroupUsage, ExitedUsage, Snapshot
from cpuwatch.accounting.listed_names import list_policy
from cpuwatch.encoding.openmetrics import openmetrics_text
from cpuwatch.encoding.unit_families import unit_families
from cpuwatch.query.unit_totals import RunningUnitTotals, UnitSeconds, UnitTotals, add_units, no_unit_totals

DOCUMENT = Path(__file__).parents[2] / "docs" / "http-api.md"
WEB = "/system.slice/web.service"
JOB = "/system.slice/job.service"


def second(*cgroups: str | None, sequence: int = 1, wait: float = 0.0, throttled: float = 0.0) -> Snapshot:
    """A second in which a process in each of these cgroups used half a CPU."""
    plain = snapshot(*((10 + number, SECOND // 2) for number in range(len(cgroups))), sequence=sequence)
    rows = [
        replace(row, cgroup=path, wait_percent=wait, throttled_percent=throttled)
        for row, path in zip(plain.processes, cgroups, strict=True)
    ]
    return replace(plain, processes=rows)


def added(*taken: Snapshot, units: int = 25) -> UnitTotals:
    totals = no_unit_totals(taken[0], list_policy(units))
    for each in taken:
        totals = add_units(totals, each)
    return totals


def samples(
    taken: Snapshot, totals: UnitTotals, known: int | None = None
) -> dict[tuple[str, str | None, str | None], float]:
    text = openmetrics_text(unit_families(taken, totals, known)).decode()
    return {
        (sample.name, sample.labels.get("kind"), sample.labels.get("unit")): sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }


def test_the_seconds_of_a_unit_are_those_of_its_processes_and_of_what_they_reaped() -> None:
    exited = [ExitedUsage("cc1", None, 10, "sh", 4, 25.0, 12.5), ExitedUsage("lost", None, 99, None, 1, 10.0, 5.0)]
    taken = replace(second(WEB, f"{WEB}/worker", None, wait=40.0, throttled=30.0), exited=exited)
    totals = added(taken)
    assert astuple(totals.units[WEB].seconds) == pytest.approx((1.25, 0.8, 0.6))
    assert astuple(totals.other) == pytest.approx((0.6, 0.4, 0.3))


def test_the_pressure_of_a_unit_is_that_of_its_cgroup() -> None:
    cgroup = CgroupUsage(WEB, None, 50.0, None, 2.0, None, None, None, None, 25.0, 2)
    taken = replace(second(WEB, JOB), cgroups=[cgroup])
    totals = added(taken, taken, replace(taken, cgroups=[]))
    assert totals.units[WEB].pressure_seconds == 0.5
    assert totals.units[JOB].pressure_seconds is None


def test_a_unit_that_is_no_longer_listed_moves_to_the_retired_sum() -> None:
    busy = replace(second(JOB), interval_seconds=100.0)
    totals = added(second(WEB), busy, units=1)
    assert list(totals.units) == [JOB]
    assert totals.retired == UnitSeconds(cpu=0.5)
    totals = add_units(totals, second(WEB))
    assert (list(totals.units), totals.other) == ([JOB], UnitSeconds(cpu=0.5))


some_seconds = st.builds(
    lambda cgroups, wait, throttled, length: replace(
        second(*cgroups, wait=wait, throttled=throttled), interval_seconds=length
    ),
    st.lists(st.none() | st.sampled_from([f"/{letter}.service" for letter in "abcdef"]), max_size=4),
    st.floats(0, 400),
    st.floats(0, 400),
    st.floats(0.1, 1000),
)


@given(st.lists(some_seconds, min_size=1, max_size=10), st.integers(1, 4))
def test_no_counter_falls_and_every_second_is_in_one_sum(taken: list[Snapshot], units: int) -> None:
    running = [added(*taken[: count + 1], units=units) for count in range(len(taken))]
    for before, after in pairwise(running):
        for path in before.units.keys() & after.units.keys():
            pairs = zip(astuple(after.units[path].seconds), astuple(before.units[path].seconds), strict=True)
            assert all(one >= other for one, other in pairs)
        for name in ("other", "retired"):
            pairs = zip(astuple(getattr(after, name)), astuple(getattr(before, name)), strict=True)
            assert all(one >= other for one, other in pairs)
    last = running[-1]
    assert len(last.units) <= units
    for index, field in enumerate(("cpu_percent", "wait_percent", "throttled_percent")):
        counted = [astuple(each)[index] for each in (last.other, last.retired)]
        counted += [astuple(total.seconds)[index] for total in last.units.values()]
        used = math.fsum(getattr(row, field) * each.interval_seconds / 100 for each in taken for row in each.processes)
        assert math.fsum(counted) == pytest.approx(used)


def test_a_follower_has_the_totals_of_all_snapshots() -> None:
    running = RunningUnitTotals(2)
    assert running.latest is None
    for sequence in (1, 2):
        running.take(second(WEB, sequence=sequence))
    assert running.latest is not None
    assert (running.latest.units[WEB].seconds.cpu, running.latest.sequence) == (1.0, 2)


# Metrics


def test_units_have_counters_and_those_with_a_quota_have_it() -> None:
    limited = CgroupUsage(WEB, None, 50.0, 0.5, 0.5, WEB, 100.0, 30.0, 75.0, 25.0, 2)
    unlisted = replace(limited, path="/idle.service")
    free = replace(limited, path=JOB, quota_cpus=None, throttled_periods_percent=None, pressure_percent=None)
    taken = replace(second(WEB, JOB, wait=40.0, throttled=30.0), cgroups=[limited, unlisted, free])
    found = samples(taken, added(taken))
    created = {key for key in found if key[0].endswith("_created")}
    assert {key: value for key, value in found.items() if key not in created and value} == {
        ("cpuwatch_unit_cpu_seconds_total", "named", WEB): 0.5,
        ("cpuwatch_unit_cpu_seconds_total", "named", JOB): 0.5,
        ("cpuwatch_unit_wait_seconds_total", "named", WEB): 0.4,
        ("cpuwatch_unit_wait_seconds_total", "named", JOB): 0.4,
        ("cpuwatch_unit_throttled_seconds_total", "named", WEB): 0.3,
        ("cpuwatch_unit_throttled_seconds_total", "named", JOB): 0.3,
        ("cpuwatch_unit_pressure_seconds_total", "named", WEB): 0.25,
        ("cpuwatch_unit_quota_cpus", None, WEB): 0.5,
        ("cpuwatch_unit_throttled_periods_ratio", None, WEB): 0.75,
    }
    assert {(name, kind) for name, kind, unit in found if kind in {"other", "retired"}} >= {
        (f"cpuwatch_unit_{what}_seconds_total", kind)
        for what in ("cpu", "wait", "throttled")
        for kind in ("other", "retired")
    }


def test_a_unit_that_is_new_to_the_reader_starts_at_0() -> None:
    first, later = second(WEB), second(WEB, JOB, sequence=2)
    totals = added(first, later)

    def cpu_seconds(known: int | None) -> tuple[float, float]:
        found = samples(later, totals, known)
        web, job = (found["cpuwatch_unit_cpu_seconds_total", "named", path] for path in (WEB, JOB))
        return web, job

    assert cpu_seconds(None) == cpu_seconds(2) == (1.0, 0.5)
    assert cpu_seconds(1) == (1.0, 0.0)
    assert cpu_seconds(0) == (0.0, 0.0)
    assert totals.newest_sequence == 2


@given(snapshots(broken_texts))
def test_a_parser_reads_the_units_of_any_snapshot(taken: Snapshot) -> None:
    assert ("cpuwatch_unit_cpu_seconds_total", "other", None) in samples(taken, added(taken))


def test_the_document_lists_exactly_these_metrics_of_units() -> None:
    limited = CgroupUsage(WEB, None, 50.0, 0.5, 0.5, WEB, 100.0, 30.0, 75.0, 25.0, 2)
    taken = replace(second(WEB), cgroups=[limited])
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("\n### Units in metrics\n")
    rows = [line for line in section.split("\n### ")[0].splitlines() if line.startswith("| `cpuwatch")]
    names = dict.fromkeys(name for name, _, _ in samples(taken, added(taken)) if not name.endswith("_created"))
    assert [row.split("`")[1] for row in rows] == list(names)
