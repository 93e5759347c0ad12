from __future__ import annotations

import pytest

from cpuwatch.measuring.cpus_over_time import CpusOverTime
from cpuwatch.measuring.used import graph


def test_the_parts_add_up_to_the_total() -> None:
    over_time = CpusOverTime()
    for step in range(1, 101):
        over_time.add(step / 10, step / 5)
    over_time.end(10.05, 21.0)
    parts = over_time.cpus(60)
    assert len(parts) == 60
    assert sum(parts) * 10.05 / 60 == pytest.approx(21.0)


def test_the_peak_is_over_a_second() -> None:
    over_time = CpusOverTime()
    for elapsed, total in ((0.1, 1.0), (0.2, 1.0), (1.0, 1.0), (2.0, 4.0), (3.0, 4.0)):
        over_time.add(elapsed, total)
    assert over_time.peak == 3.0


def test_the_peak_of_less_than_a_second_is_the_mean() -> None:
    over_time = CpusOverTime()
    over_time.end(0.5, 0.25)
    assert over_time.peak == 0.5


def test_a_long_run_keeps_few_points() -> None:
    over_time = CpusOverTime()
    for step in range(1, 100_000):
        over_time.add(step / 10, step / 10)
    assert len(over_time._points) <= 4097
    assert over_time.cpus(60) == pytest.approx([1.0] * 60)


def test_without_points_there_is_no_graph() -> None:
    assert CpusOverTime().cpus(60) == []
    assert CpusOverTime().peak is None


def test_the_graph_uses_what_the_encoding_has() -> None:
    assert graph([0, 1, 2], 2) == "▁▅█"
    assert graph([0, 1, 2], 2, "ascii") == "_=#"
    assert graph([0.0], 0.0) == "▁"
