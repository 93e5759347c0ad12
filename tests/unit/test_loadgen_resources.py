from __future__ import annotations

from datetime import UTC, datetime

from benchmarks.loadgen.resources import Use, family, memory_of
from cpuwatch import ProcessUsage

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def process(pid: int, ppid: int | None) -> ProcessUsage:
    return ProcessUsage(pid, NOW, f"{pid}-1", ppid, "x", "root", "S", 1, 1.0, 0.5, 1.0, 0.0, 0.0, 1.0, 1.0, NOW)


def test_the_processes_of_a_server_are_its_listeners_and_their_descendants() -> None:
    rows = [process(pid, ppid) for pid, ppid in [(1, 0), (12, 11), (10, 1), (11, 10), (20, 1), (13, 10), (0, None)]]
    assert sorted(row.pid for row in family([10], rows)) == [10, 11, 12, 13]
    # A listener can be a child of another listener.
    assert sorted(row.pid for row in family([10, 11, 99], rows)) == [10, 11, 12, 13]
    assert family([], rows) == []


def test_a_cycle_of_parents_terminates() -> None:
    # PIDs can be reused while /proc is read.
    assert sorted(row.pid for row in family([1], [process(1, 2), process(2, 1)])) == [1, 2]


def test_memory_at_both_ends_is_a_median_and_the_peak_is_kept() -> None:
    sizes = [100, 900, 100, 100, 100, 5_000, 50, 50, 50, 50, 110, 110, 110, 110, 1]
    memory = memory_of([Use(), *(Use(1.0, size) for size in sizes), Use()])
    assert memory is not None
    assert (memory.after_warm_up_bytes, memory.at_end_bytes, memory.highest_bytes) == (100, 110, 5_000)
    assert memory_of([Use(), Use()]) is None
