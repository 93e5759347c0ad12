from __future__ import annotations

import time
from datetime import timedelta

import pytest
from readings import SECOND, process

from cpuwatch.samplers.process_table import ProcessTable
from cpuwatch.samplers.wall_clock import WallClock


class Clocks:
    """The two clocks of the kernel, under control of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uptime_ns = 100 * SECOND
        self.wall_ns = 1_700_000_000 * SECOND
        self.waits_between_ns = 0
        monkeypatch.setattr(time, "clock_gettime_ns", lambda _: self.uptime_ns)
        monkeypatch.setattr(time, "time_ns", self._time_ns)

    def _time_ns(self) -> int:
        self.uptime_ns += self.waits_between_ns
        return self.wall_ns

    def advance(self, seconds: float) -> None:
        self.uptime_ns += round(seconds * SECOND)
        self.wall_ns += round(seconds * SECOND)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.mark.parametrize("step_seconds", [-86_400, -1, 1, 56 * 365 * 86_400])
def test_times_of_day_follow_a_clock_that_is_set(clocks: Clocks, step_seconds: int) -> None:
    table, wall_clock, before = ProcessTable(), WallClock(), process(7)
    table.put(before)
    wall_clock.follow(table)
    clocks.advance(1)
    clocks.wall_ns += step_seconds * SECOND
    wall_clock.follow(table)
    after = table.copy()[7]
    step = timedelta(seconds=step_seconds)
    assert (after.start_time, after.first_seen) == (before.start_time + step, before.first_seen + step)
    assert (after.key, after.start_ns, after.cpu_ns) == (before.key, before.start_ns, before.cpu_ns)
    clocks.advance(1)
    wall_clock.follow(table)
    assert table.copy()[7] is after


def test_gradual_adjustment_replaces_no_record_until_it_is_visible(clocks: Clocks) -> None:
    table, wall_clock, before = ProcessTable(), WallClock(), process(7)
    table.put(before)
    for _ in range(5):
        wall_clock.follow(table)
        assert table.copy()[7] is before
        clocks.advance(1)
        clocks.wall_ns += SECOND // 10
    wall_clock.follow(table)
    assert table.copy()[7].start_time == before.start_time + timedelta(seconds=0.5)


def test_preemption_between_the_two_clocks_is_not_a_step(clocks: Clocks) -> None:
    table, wall_clock, before = ProcessTable(), WallClock(), process(7)
    table.put(before)
    wall_clock.follow(table)
    clocks.waits_between_ns = 2 * SECOND
    wall_clock.follow(table)
    assert table.copy()[7] is before
