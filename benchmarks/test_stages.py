"""Benchmarks of the stages of a tick: ``pytest benchmarks/test_stages.py``.

Stages that read from the kernel use this machine with a thousand additional idle processes. Pure stages use readings of
5,000 synthetic processes, of which every twentieth ran.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.processes import forked
from cpuwatch import CpuTimes, Host, MachineTimes, ProcessTimes, Reading, decode, encode, measure, usage
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.procfs.cgroup import CgroupReader
from cpuwatch.samplers.procfs.parse import parse_machine_stat, parse_process_stat
from cpuwatch.samplers.procfs.process_reader import ProcessReader
from cpuwatch.samplers.procfs.sampler import ProcfsSampler
from cpuwatch.samplers.procfs.sweep import Instant
from cpuwatch.samplers.users import UserNames

REAL_PROCESSES = 1000
SYNTHETIC_PROCESSES = 5000
ACTIVE_EVERY = 20
SECOND_NS = 1_000_000_000
TICK_NS = SECOND_NS // os.sysconf("SC_CLK_TCK")
TIME = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sampler() -> Iterator[ProcfsSampler]:
    """A sampler that has read the thousand processes before."""
    with forked(REAL_PROCESSES):
        opened = ProcfsSampler()
        opened.read()
        yield opened
        opened.close()


def _process(pid: int, cpu_ns: int) -> ProcessTimes:
    return ProcessTimes(
        pid=pid,
        key=f"{pid}-{pid}",
        start_ns=pid * TICK_NS,
        start_time=TIME,
        first_seen=TIME,
        ppid=1,
        name=f"worker-{pid}",
        user="somebody",
        state="S",
        threads=1,
        cpu_ns=cpu_ns,
        user_ns=cpu_ns // 2,
        system_ns=cpu_ns // 3,
        children_ns=0,
    )


def _reading(processes: dict[int, ProcessTimes], second: int) -> Reading:
    cpu = CpuTimes(second * SECOND_NS // 2, second * SECOND_NS // 4, second * SECOND_NS // 4)
    return Reading(
        time=TIME,
        monotonic_ns=second * SECOND_NS,
        uptime_ns=second * SECOND_NS,
        sweep_ns=10_000_000,
        host=Host("made-up", "boot", 2, "scripted", 1e-9),
        machine=MachineTimes(cpu, {0: cpu, 1: cpu}, (0.1, 0.2, 0.3)),
        processes=processes,
    )


@pytest.fixture(scope="module")
def readings() -> tuple[Reading, Reading]:
    """Two consecutive readings. As from a sampler, records of processes that did not run are the same object."""
    before = {pid: _process(pid, SECOND_NS + pid) for pid in range(1, SYNTHETIC_PROCESSES + 1)}
    after = {
        pid: replace(record, cpu_ns=record.cpu_ns + 1_000_000) if pid % ACTIVE_EVERY == 0 else record
        for pid, record in before.items()
    }
    return _reading(before, 3600), _reading(after, 3601)


def test_list(benchmark: BenchmarkFixture, sampler: ProcfsSampler) -> None:
    # Not public. It runs in every tick before which a process was forked.
    pids = benchmark(sampler._list_pids)  # noqa: SLF001
    assert len(pids) > REAL_PROCESSES


@pytest.mark.usefixtures("sampler")
def test_clocks(benchmark: BenchmarkFixture) -> None:
    clock_ids = [cpu_clock.clock_id(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()]
    clocks = benchmark(cpu_clock.read_all, clock_ids)
    assert len(clocks) > REAL_PROCESSES


def test_parse_a_process(benchmark: BenchmarkFixture) -> None:
    data = Path("/proc/self/stat").read_bytes()
    assert benchmark(parse_process_stat, data).state == "R"


def test_parse_the_machine(benchmark: BenchmarkFixture) -> None:
    data = Path("/proc/stat").read_bytes()
    assert benchmark(parse_machine_stat, data, TICK_NS).forks


def test_read_a_process(benchmark: BenchmarkFixture) -> None:
    reader = ProcessReader(Path("/proc"), TICK_NS, UserNames())
    pid = os.getpid()
    instant = Instant(datetime.now(UTC), time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    known = reader.read(pid, 0, None, instant)
    assert benchmark(reader.read, pid, time.process_time_ns(), known, instant).pid == pid


def test_read_a_cgroup(benchmark: BenchmarkFixture) -> None:
    assert benchmark(CgroupReader().read, f"/proc/{os.getpid()}").path


def test_read_all_again(benchmark: BenchmarkFixture, sampler: ProcfsSampler) -> None:
    assert len(benchmark(sampler.read).processes) > REAL_PROCESSES


def test_usage(benchmark: BenchmarkFixture, readings: tuple[Reading, Reading]) -> None:
    assert len(benchmark(usage, *readings).processes) == SYNTHETIC_PROCESSES


def test_encode(benchmark: BenchmarkFixture, readings: tuple[Reading, Reading]) -> None:
    assert benchmark(encode, usage(*readings)).startswith(b'{"sequence":1,')


def test_decode(benchmark: BenchmarkFixture, readings: tuple[Reading, Reading]) -> None:
    snapshot = usage(*readings)
    assert benchmark(decode, encode(snapshot)) == snapshot


def test_measure_nothing(benchmark: BenchmarkFixture) -> None:
    def block() -> None:
        with measure():
            pass

    benchmark(block)


def test_measure_with_a_living_child(benchmark: BenchmarkFixture) -> None:
    def block() -> None:
        with measure():
            pass

    with forked(1):
        benchmark(block)
