from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

import cpuwatch
from cpuwatch.errors import MeasurementError

pytestmark = [pytest.mark.timeout(60), pytest.mark.any_python]

BURN_300_MS = "import time\nwhile time.process_time() < 0.3: pass"


def spend(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def burner() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", BURN_300_MS])


def test_own_and_exited_cpu_match_the_clocks() -> None:
    before = time.process_time()
    with cpuwatch.measure() as used:
        spend(0.1)
        subprocess.run([sys.executable, "-I", "-S", "-c", BURN_300_MS], check=True)
    own = time.process_time() - before
    assert 0.1 <= used.own_seconds <= own
    assert used.exited_seconds == pytest.approx(0.3, rel=0.1)
    assert used.alive_seconds == 0
    assert used.cpu_seconds == used.own_seconds + used.children_seconds
    assert used.threads["MainThread"] >= 0.1
    assert sum(group.cpu_seconds for group in used.groups) == pytest.approx(used.cpu_seconds)


def test_a_child_that_is_alive_has_a_name() -> None:
    child = subprocess.Popen(["sh", "-c", "i=0; while :; do i=$((i + 1)); done"])
    try:
        with cpuwatch.measure() as used:
            time.sleep(0.3)
    finally:
        child.kill()
        child.wait()
    assert used.alive_seconds > 0.01
    row = next(group for group in used.groups if group.group == "sh")
    assert row.alive == 1
    assert row.alive_seconds == pytest.approx(used.alive_seconds)


def test_what_a_child_used_before_the_block_does_not_count() -> None:
    child = burner()
    time.sleep(0.2)
    with cpuwatch.measure() as whole:
        pass
    with cpuwatch.open_sampler("procfs") as sampler:
        spent = sampler.read().processes[child.pid].cpu_ns / 1e9
    with cpuwatch.measure() as used:
        child.wait()
    assert whole.cpu_seconds < 0.1
    assert used.exited_seconds < 0.35 - spent


def test_sampling_names_the_children_that_exit() -> None:
    with cpuwatch.measure(interval=0.02) as used:
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"], check=True)
    row = next(group for group in used.groups if group.group == "sh")
    assert row.exited == 1
    assert row.exited_seconds > 0.5 * used.exited_seconds
    assert sum(group.cpu_seconds for group in used.groups) == pytest.approx(used.cpu_seconds, rel=0.001)


def test_measurements_nest() -> None:
    with cpuwatch.measure() as outer:
        spend(0.05)
        with cpuwatch.measure() as inner:
            spend(0.05)
    assert 0.05 <= inner.cpu_seconds < outer.cpu_seconds
    assert outer.cpu_seconds >= 0.1


def test_async_with_and_decorators() -> None:
    reports: list[cpuwatch.Measurement] = []

    @cpuwatch.measure(report=reports.append)
    def add(first: int, second: int) -> int:
        return first + second

    @cpuwatch.measure(report=reports.append)
    async def add_later(first: int, second: int) -> int:
        async with cpuwatch.measure() as used:
            await asyncio.sleep(0)
        reports.append(used)
        return first + second

    assert add(1, 2) == 3
    assert add.__name__ == "add"
    assert asyncio.run(add_later(1, 2)) == 3
    assert len(reports) == 3
    assert all(used.cpu_seconds >= 0 for used in reports)


def test_a_failing_block_is_measured() -> None:
    measured = cpuwatch.measure()
    with pytest.raises(ZeroDivisionError), measured:
        _ = 1 / 0
    assert measured.elapsed_seconds > 0


def test_wrong_uses_raise() -> None:
    def numbers() -> object:
        yield 1

    with pytest.raises(MeasurementError, match=r"generator .*numbers"):
        cpuwatch.measure()(numbers)
    with pytest.raises(MeasurementError, match="not started"):
        _ = cpuwatch.measure().cpu_seconds
    with cpuwatch.measure() as used, pytest.raises(MeasurementError, match="in use"), used:
        pass


def test_it_shows_itself() -> None:
    with cpuwatch.measure() as used:
        assert repr(used).startswith("<cpuwatch.Measurement ")
    assert "s of CPU in" in str(used)
    assert used._repr_html_().startswith("<table><caption>")


def test_it_becomes_an_arrow_table() -> None:
    pytest.importorskip("pyarrow")
    with cpuwatch.measure() as used:
        spend(0.01)
    assert used.to_arrow().column("cpu_seconds").to_pylist() == [group.cpu_seconds for group in used.groups]
