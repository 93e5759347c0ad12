from __future__ import annotations

import pytest

from benchmarks.loadgen.results import FailureKind, Memory, Threshold
from benchmarks.loadgen.validity import Extent, changed_machine, client_bound
from tests.perf.thresholds import thresholds

STEADY = Memory(after_warm_up_bytes=1_000, at_end_bytes=1_050, highest_bytes=9_000)


def failed_rows(rows: list[Threshold]) -> list[str]:
    return [row.name for row in rows if not row.passed]


def test_a_run_exactly_at_all_limits_passes() -> None:
    assert failed_rows(thresholds(1, [], STEADY, 20.0)) == []


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("reset", ["failed requests, of any kind"]),
        ("stale", ["failed requests, of any kind", "answers with stale data"]),
        ("sequence", ["failed requests, of any kind", "answers with data older than before"]),
    ],
)
def test_a_single_failure_fails_the_run(kind: str, names: list[str]) -> None:
    assert failed_rows(thresholds(10_000, [FailureKind(kind, 1, [])], STEADY, 1.0)) == names


def test_failures_of_both_phases_are_added() -> None:
    rows = thresholds(1, [FailureKind("stale", 2, []), FailureKind("stale", 3, [])], STEADY, 1.0)
    assert [row.found for row in rows if row.name == "answers with stale data"] == ["5"]


def test_growth_beyond_5_percent_and_lateness_beyond_20_ms_fail() -> None:
    grown = Memory(after_warm_up_bytes=1_000, at_end_bytes=1_051, highest_bytes=1_051)
    rows = thresholds(1, [], grown, 20.1)
    assert failed_rows(rows) == ["growth of the server's memory after the warm-up", "tick lateness under load, p99"]
    assert [(row.allowed, row.found) for row in rows if not row.passed] == [("5 %", "5.10 %"), ("20 ms", "20.10 ms")]


def test_unknown_values_fail() -> None:
    rows = thresholds(0, [], None, None)
    assert failed_rows(rows) == [
        "answered requests",
        "growth of the server's memory after the warm-up",
        "tick lateness under load, p99",
    ]


@pytest.mark.parametrize(
    ("cpu_percent", "per_second", "bound"),
    [(80.0, 6_000, False), (80.1, 10, True), (10.0, 6_000, False), (10.0, 6_700, True)],
)
def test_a_run_limited_by_the_client_is_invalid(cpu_percent: float, per_second: float, bound: bool) -> None:
    reason = client_bound(cpu_percent, per_second, ceiling_per_second=9_000)
    assert (reason is not None) is bound
    assert reason is None or reason.startswith("client-bound: ")


def test_memory_is_not_judged_if_the_machine_changed() -> None:
    grown = Memory(after_warm_up_bytes=1_000, at_end_bytes=2_000, highest_bytes=2_000)
    assert failed_rows(thresholds(1, [], grown, 20.1, machine_changed=True)) == ["tick lateness under load, p99"]


@pytest.mark.parametrize(
    ("processes", "body_bytes", "reason"),
    [
        (Extent(100, 120), Extent(10_000, 12_000), None),
        (Extent(100, 121), Extent(10_000, 12_000), "between 100 and 121 processes were watched"),
        (Extent(20, 30), Extent(2_000, 3_000), None),
        (Extent(20, 31), Extent(2_000, 2_000), "between 20 and 31 processes were watched"),
        (Extent(100, 100), Extent(10_000, 12_001), "bodies had between 10,000 and 12,001 bytes"),
        (None, Extent(10_000, 12_001), "bodies had between 10,000 and 12,001 bytes"),
        (None, Extent(0, 0), None),
    ],
)
def test_a_run_during_which_the_work_changed_is_invalid(
    processes: Extent | None, body_bytes: Extent, reason: str | None
) -> None:
    assert changed_machine(processes, body_bytes) == (reason and f"the machine changed: {reason}")
