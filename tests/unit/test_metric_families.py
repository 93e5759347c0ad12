from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from readings import SECOND, as_label, process, reading, snapshot
from strategies import broken_texts, snapshots

from cpuwatch import Attribution, CpuTimes, MachineUsage, Sampling, Snapshot, usage
from cpuwatch.accounting.totals import CpuTotals, add, no_totals
from cpuwatch.encoding.metric_families import metric_families, process_families
from cpuwatch.encoding.openmetrics import Family, openmetrics_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "http-api.md"


def samples(families: Iterable[Family]) -> list[Sample]:
    """Return the samples that an independent parser reads from these families."""
    text = openmetrics_text(families).decode()
    return [sample for metric in text_string_to_metric_families(text) for sample in metric.samples]


def added(taken: Snapshot) -> CpuTotals:
    """Return the totals after this snapshot, the first one."""
    return add(no_totals(taken), taken)


def values(taken: Snapshot, name: str, label: str | None = None) -> dict[str | None, float]:
    found = [sample for sample in samples(metric_families(taken, added(taken))) if sample.name == name]
    return {None if label is None else sample.labels[label]: sample.value for sample in found}


@pytest.fixture
def taken() -> Snapshot:
    """One second of two CPUs. One ran a process for half of it, the other waited for a disk for a tenth."""
    earlier = reading(process(10), total=CpuTimes(0, 0, 0, 0, 0, 0), per_cpu={0: CpuTimes(0, 0, 0)})
    later = reading(
        process(10, cpu_ns=SECOND // 2),
        total=CpuTimes(30, 10, 145, 5, 4, 6),
        per_cpu={0: CpuTimes(30, 20, 50), 1: CpuTimes(1, 1, 1)},
        at_ns=101 * SECOND,
        sweep_ns=2_000_000,
        unreadable={"EACCES": 3},
    )
    return usage(earlier, later, sequence=7)


def test_utilization_by_mode_is_a_ratio_whose_sum_is_one(taken: Snapshot) -> None:
    assert values(taken, "system_cpu_utilization_ratio", "cpu_mode") == pytest.approx(
        {"user": 0.15, "system": 0.05, "iowait": 0.025, "interrupt": 0.02, "steal": 0.03, "idle": 0.725}
    )


def test_a_cpu_without_a_baseline_has_no_sample(taken: Snapshot) -> None:
    assert values(taken, "cpuwatch_logical_cpu_utilization_ratio", "cpu_logical_number") == {"0": 0.5}


def test_the_attribution_adds_up_to_the_busy_time(taken: Snapshot) -> None:
    found = values(taken, "cpuwatch_attribution_ratio", "to")
    assert found == pytest.approx({"processes": 0.25, "unattributed": 0.0})
    assert values(taken, "cpuwatch_attribution_excess_ratio") == {None: 0.0}


def test_the_totals_are_counters_by_name_and_kind(taken: Snapshot) -> None:
    assert values(taken, "cpuwatch_cpu_seconds_total", "kind") == {
        "named": 0.5,
        "unnamed": 0.0,
        "other": 0.0,
        "retired": 0.0,
        "unattributed": 0.0,
    }


def test_the_time_by_mode_is_a_counter_of_all_cpus(taken: Snapshot) -> None:
    assert values(taken, "system_cpu_time_seconds_total", "cpu_mode") == pytest.approx(
        {"user": 0.3, "system": 0.1, "iowait": 0.05, "interrupt": 0.04, "steal": 0.06, "idle": 1.45}
    )


def test_the_sampling_reports_its_state(taken: Snapshot) -> None:
    sampling = Sampling(0.125, missed_ticks=2, failed_ticks=3, unreadable={"EACCES": 3}, lost_exits=5)
    found = {
        sample.name: sample.value
        for sample in samples(metric_families(replace(taken, sampling=sampling), added(taken)))
    }
    expected = {
        "cpuwatch_ticks_total": 7,
        "cpuwatch_missed_ticks_total": 2,
        "cpuwatch_failed_ticks_total": 3,
        "cpuwatch_lost_exits_total": 5,
        "cpuwatch_unreadable_processes": 3,
        "cpuwatch_lateness_seconds": 0.125,
        "cpuwatch_interval_seconds": 1.0,
        "cpuwatch_sweep_seconds": 0.002,
        "cpuwatch_snapshot_timestamp_seconds": taken.time.timestamp(),
        "cpuwatch_processes": 1,
        "cpuwatch_logical_cpus": 2,
        "system_cpu_load_average_1m": 0.5,
        "system_cpu_load_average_5m": 0.25,
        "system_cpu_load_average_15m": 0.125,
    }
    assert {name: found[name] for name in expected} == expected


def test_unknown_values_have_no_sample(taken: Snapshot) -> None:
    unknown = replace(
        taken,
        machine=MachineUsage(None, None, None, None, None, None, [None], None),
        attribution=Attribution(None, None, None, None),
        processes=[],
    )
    names = {sample.name for sample in samples(metric_families(unknown, no_totals(unknown)))}
    assert not [name for name in names if name.startswith("system_") or name.endswith("_ratio")]


def test_a_process_has_its_time_and_its_share_of_the_machine(taken: Snapshot) -> None:
    new_row = replace(taken.processes[0], pid=11, user=None, machine_percent=None)
    found = samples(process_families([*taken.processes, new_row]))
    values_now = [sample for sample in found if not sample.name.endswith("_created")]
    assert [(sample.name, sample.labels, sample.value) for sample in values_now] == [
        ("process_cpu_time_seconds_total", {"pid": "10", "name": "work", "user": "nobody"}, 0.5),
        ("process_cpu_time_seconds_total", {"pid": "11", "name": "work", "user": ""}, 0.5),
        ("process_cpu_utilization_ratio", {"pid": "10", "name": "work", "user": "nobody"}, 0.25),
    ]


@given(snapshots(broken_texts))
def test_a_parser_reads_any_snapshot_and_finds_the_names(taken: Snapshot) -> None:
    found = samples([*metric_families(taken, added(taken)), *process_families(taken.processes)])
    named = {sample.labels["name"] for sample in found if sample.labels.get("kind") == "named"}
    ran = {row.name for row in taken.processes if row.cpu_percent}
    ran |= {row.name for row in taken.exited if row.cpu_percent and row.name is not None}
    if taken.interval_seconds > 1e-9:
        assert named == {as_label(name) for name in ran}
    times = [sample.labels["name"] for sample in found if sample.name == "process_cpu_time_seconds_total"]
    assert set(times) == {as_label(row.name) for row in taken.processes}


def test_a_counter_has_its_start_time(taken: Snapshot) -> None:
    since = (taken.time - timedelta(seconds=taken.interval_seconds)).timestamp()
    found = [*metric_families(taken, added(taken)), *process_families(taken.processes)]
    created = {sample.name: sample.value for sample in samples(found) if sample.name.endswith("_created")}
    assert created == {
        "cpuwatch_cpu_seconds_created": since,
        "cpuwatch_excess_cpu_seconds_created": since,
        "system_cpu_time_seconds_created": since,
        "cpuwatch_wait_seconds_created": since,
        "cpuwatch_ticks_created": since,
        "cpuwatch_missed_ticks_created": since,
        "cpuwatch_failed_ticks_created": since,
        "cpuwatch_lost_exits_created": since,
        "process_cpu_time_seconds_created": taken.processes[0].start_time.timestamp(),
    }


def test_a_series_that_is_new_to_the_reader_starts_at_0(taken: Snapshot) -> None:
    new_row = replace(taken.processes[0], name="new")
    later = replace(taken, sequence=8, processes=[*taken.processes, new_row])
    totals = add(added(taken), later)

    def cpu_seconds(known_sequence: int | None) -> dict[str, float]:
        found = samples(metric_families(later, totals, known_sequence))
        labels = ("name", "kind")
        return {
            next(sample.labels[label] for label in labels if label in sample.labels): sample.value
            for sample in found
            if sample.name == "cpuwatch_cpu_seconds_total"
        }

    unlisted = {"unnamed": 0.0, "other": 0.0, "retired": 0.0, "unattributed": 0.0}
    assert cpu_seconds(None) == cpu_seconds(8) == {"work": 1.0, "new": 0.5, **unlisted}
    assert cpu_seconds(7) == {"work": 1.0, "new": 0.0, **unlisted}
    assert cpu_seconds(6) == {"work": 0.0, "new": 0.0, **unlisted}


def test_the_document_lists_exactly_these_metrics(taken: Snapshot) -> None:
    sampling = Sampling(0.125, unreadable={"EACCES": 3})
    machine = replace(taken.machine, pressure_percent=5.0, waiting_threads=0.25)
    families = [
        *metric_families(replace(taken, sampling=sampling, machine=machine), added(taken)),
        *process_families(snapshot((10, SECOND)).processes),
    ]
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Metrics\n")
    rows = [line for line in section.split("\n### ")[0].splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(
        dict.fromkeys(sample.name for sample in samples(families) if not sample.name.endswith("_created"))
    )
