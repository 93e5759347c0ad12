"""Values of a process match its own measurements and those of psutil."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import pytest
from live_processes import Clock, Puppet, puppet

from cpuwatch import OpenSampler, Reading, open_sampler, usage

pytestmark = [pytest.mark.timeout(60), pytest.mark.any_python]

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
ALLOWED_PERCENT = 0.1
SHARP_PERCENT = 0.5
LOADS = [(0.0, 0), (0.01, 1), (0.1, 1), (0.5, 1), (1.0, 1), (0.25, 4), (1.0, 3)]


class Bracketed(NamedTuple):
    """A reading between two readings that the measured process takes of its own clock."""

    before: Clock
    reading: Reading
    after: Clock


def bracketed(sampler: OpenSampler, child: Puppet) -> Bracketed:
    return Bracketed(child.clock(), sampler.read(), child.clock())


def percent(cpu_ns: int, interval_ns: int) -> float:
    return 100 * cpu_ns / interval_ns


def true_percent(first: Bracketed, second: Bracketed, cpu_slack_ns: int) -> tuple[float, float]:
    """The minimum and maximum that the process can have used between two readings, by its own account.

    Its clock was read within each bracket, so the brackets contain all skew of the readings.
    """
    least = percent(
        second.before.cpu_ns - first.after.cpu_ns - cpu_slack_ns,
        second.after.monotonic_ns - first.before.monotonic_ns,
    )
    most = percent(
        second.after.cpu_ns - first.before.cpu_ns + cpu_slack_ns,
        second.before.monotonic_ns - first.after.monotonic_ns,
    )
    return least, most


def let_a_second_pass() -> None:
    """Let the measured interval pass."""
    time.sleep(1)


@pytest.mark.parametrize(("load", "threads"), LOADS)
def test_procfs_matches_the_clock_of_the_process(load: float, threads: int) -> None:
    with puppet() as child, open_sampler("procfs") as sampler:
        child.burn(load, threads)
        # A busy machine widens the brackets. That makes the comparison less precise, not wrong, so it is repeated.
        for _ in range(3):
            first = bracketed(sampler, child)
            let_a_second_pass()
            second = bracketed(sampler, child)
            snapshot = usage(first.reading, second.reading)
            row = next(row for row in snapshot.processes if row.pid == child.pid)
            least, most = true_percent(first, second, cpu_slack_ns=0)

            assert row.cpu_percent is not None
            assert least - ALLOWED_PERCENT <= row.cpu_percent <= most + ALLOWED_PERCENT
            assert first.before.cpu_ns <= first.reading.processes[child.pid].cpu_ns <= first.after.cpu_ns
            assert second.before.cpu_ns <= second.reading.processes[child.pid].cpu_ns <= second.after.cpu_ns
            if most - least < SHARP_PERCENT * max(1, threads):
                break


@pytest.mark.parametrize(("load", "threads"), LOADS)
def test_psutil_matches_the_clock_of_the_process_within_ticks(load: float, threads: int) -> None:
    # utime and stime are each rounded down to a tick, and lack what a thread has run since the last tick of the
    # scheduler.
    slack_ns = (2 + threads) * TICK_NS
    with puppet() as child, open_sampler("psutil") as sampler:
        child.burn(load, threads)
        first = bracketed(sampler, child)
        let_a_second_pass()
        second = bracketed(sampler, child)
        snapshot = usage(first.reading, second.reading)
    row = next(row for row in snapshot.processes if row.pid == child.pid)
    least, most = true_percent(first, second, slack_ns)
    assert row.cpu_percent is not None
    assert least - ALLOWED_PERCENT <= row.cpu_percent <= most + ALLOWED_PERCENT


def test_procfs_and_psutil_agree_on_every_process_within_ticks() -> None:
    with puppet() as busy, puppet() as idle, open_sampler("procfs") as procfs, open_sampler("psutil") as psutil:
        busy.burn(1.0)
        busy.spend(100)
        for _ in range(5):
            before, between, after = procfs.read(), psutil.read(), procfs.read()
            both = {
                pid
                for pid, record in before.processes.items()
                if pid in between.processes and pid in after.processes and after.processes[pid].key == record.key
            }
            assert {busy.pid, idle.pid, os.getpid()} <= both
            for pid in both:
                low, ticks, high = before.processes[pid], between.processes[pid], after.processes[pid]
                slack_ns = (2 + max(low.threads or 1, high.threads or 1)) * TICK_NS
                assert low.cpu_ns - slack_ns <= ticks.cpu_ns <= high.cpu_ns, (low, ticks, high)
                assert abs(ticks.start_ns - low.start_ns) <= 2 * TICK_NS, (low, ticks)


def test_a_process_started_in_the_interval_is_charged_completely() -> None:
    with open_sampler("procfs") as sampler:
        earlier = sampler.read()
        with puppet() as child:
            before = child.spend(50)
            later = sampler.read()
            after = child.clock()
    row = next(row for row in usage(earlier, later).processes if row.pid == child.pid)
    assert row.cpu_percent is not None
    used_ns = row.cpu_percent / 100 * (later.monotonic_ns - earlier.monotonic_ns)
    assert before.cpu_ns - 1000 <= used_ns <= after.cpu_ns + 1000
    assert row.start_time <= row.first_seen


def test_user_and_system_time_add_up() -> None:
    with puppet() as child, open_sampler("procfs") as sampler:
        child.spend(100)
        earlier = sampler.read()
        child.spend(100)
        later = sampler.read()
    row = next(row for row in usage(earlier, later).processes if row.pid == child.pid)
    assert row.user_percent is not None
    assert row.system_percent is not None
    assert row.user_percent + row.system_percent == pytest.approx(row.cpu_percent)
    # Hashing runs in user mode.
    assert row.user_percent > row.system_percent
