"""The contract of every sampler: one test module that runs over all of them."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import psutil
import pytest
from live_processes import Puppet, open_paths, puppet

from cpuwatch import NO_CARRY, OpenSampler, Reading, Sampler, ScriptedSampler, account, open_sampler, usage
from cpuwatch.errors import SamplerClosedError
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.procfs.process_reader import ProcessReader
from cpuwatch.samplers.procfs.sampler import ProcfsSampler
from cpuwatch.samplers.psutil import PsutilSampler

pytestmark = pytest.mark.timeout(60)

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def clock_mode(_: pytest.MonkeyPatch) -> OpenSampler:
    return open_sampler("procfs")


def stat_mode(monkeypatch: pytest.MonkeyPatch) -> OpenSampler:
    # CPU clocks do not match a /proc of another PID namespace, which does not show the processes of these tests.
    # (test_namespaces.py opens a real one.) Here the same code has to run on this machine's /proc.
    monkeypatch.setattr(cpu_clock, "is_usable", lambda *_: False)
    return open_sampler("procfs")


def psutil_sampler(_: pytest.MonkeyPatch) -> OpenSampler:
    return open_sampler("psutil")


def scripted(_: pytest.MonkeyPatch) -> OpenSampler:
    """A script that follows what happens, since it can be a generator."""

    def replay() -> Iterator[Reading]:
        with open_sampler("procfs") as real:
            while True:
                yield real.read()

    return OpenSampler(ScriptedSampler(replay()))


BACKENDS: list[Callable[[pytest.MonkeyPatch], OpenSampler]] = [clock_mode, stat_mode, psutil_sampler, scripted]
NAMES = ["procfs/clock", "procfs/stat", "psutil", "scripted"]


@pytest.fixture(params=BACKENDS, ids=NAMES)
def sampler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSampler]:
    with request.param(monkeypatch) as opened:
        yield opened


def test_every_sampler_satisfies_the_protocol(sampler: OpenSampler) -> None:
    assert isinstance(sampler, Sampler)


def test_this_process_is_in_every_reading(sampler: OpenSampler) -> None:
    for _ in range(3):
        assert sampler.read().processes[os.getpid()].pid == os.getpid()


def test_processes_that_live_throughout_a_reading_are_seen(sampler: OpenSampler) -> None:
    before = set(psutil.pids())
    seen = sampler.read().processes.keys()
    after = set(psutil.pids())
    assert before & after <= seen


def test_a_reading_has_its_time_and_host(sampler: OpenSampler) -> None:
    before_ns, before = time.monotonic_ns(), datetime.now(UTC)
    reading = sampler.read()
    after_ns, after = time.monotonic_ns(), datetime.now(UTC)
    assert before_ns <= reading.monotonic_ns <= after_ns
    assert 0 < reading.sweep_ns <= after_ns - before_ns
    # The wall clock may be set at any time, but it always has a time zone.
    assert reading.time.utcoffset() == before.utcoffset() == after.utcoffset()
    assert reading.host.name == os.uname().nodename
    assert reading.host.logical_cpus == os.cpu_count() == len(reading.machine.per_cpu)
    assert 0 < reading.host.clock_resolution_seconds <= 0.01
    assert reading.host.backend in NAMES
    assert reading.machine.load_average is not None
    assert all(load >= 0 for load in reading.machine.load_average)


def test_the_boot_id_is_the_same_in_every_reading(sampler: OpenSampler) -> None:
    assert sampler.read().host.boot_id == sampler.read().host.boot_id != ""


def test_every_field_has_its_type_and_range(sampler: OpenSampler) -> None:
    before = datetime.now(UTC)
    reading = sampler.read()
    for pid, record in reading.processes.items():
        assert type(pid) is int
        assert record.pid == pid > 0
        assert type(record.key) is str
        assert record.key
        assert type(record.start_ns) is int
        assert 0 <= record.start_ns <= reading.uptime_ns + 2 * TICK_NS
        assert record.start_time.tzinfo is UTC
        # A sampler may read once before its first reading, so that all values belong to one instant.
        assert before <= record.first_seen <= reading.time
        assert record.ppid is None or (type(record.ppid) is int and record.ppid >= 0)
        assert type(record.name) is str
        assert record.user is None or type(record.user) is str
        assert record.state is None or (type(record.state) is str and len(record.state) == 1)
        assert record.threads is None or (type(record.threads) is int and record.threads >= 0)
        for amount_ns in (record.cpu_ns, record.user_ns, record.system_ns, record.children_ns):
            assert type(amount_ns) is int
            assert amount_ns >= 0


def test_no_two_processes_have_the_same_key(sampler: OpenSampler) -> None:
    processes = sampler.read().processes
    assert len({record.key for record in processes.values()}) == len(processes)


def test_values_of_this_process_match_the_kernel(sampler: OpenSampler) -> None:
    # The first reading starts threads that look up users. If one exited in between, the thread counts would differ.
    sampler.read()
    for lookup in [thread for thread in threading.enumerate() if thread.name == "cpuwatch-user-names"]:
        lookup.join(10)
    record = sampler.read().processes[os.getpid()]
    kernel = psutil.Process()
    assert record.name == kernel.name()[:15]
    assert record.user == kernel.username()
    assert record.ppid == os.getppid()
    assert record.threads == kernel.num_threads()
    assert record.state == "R"
    assert abs(record.start_time.timestamp() - kernel.create_time()) < 1


def test_the_cpu_time_of_this_process_matches_its_clock(sampler: OpenSampler) -> None:
    resolution_ns = sampler.read().host.clock_resolution_seconds * 1e9
    before_ns = time.process_time_ns()
    record = sampler.read().processes[os.getpid()]
    after_ns = time.process_time_ns()
    # User and system time are each rounded down to the resolution.
    assert before_ns - 2 * resolution_ns <= record.cpu_ns <= after_ns


def test_counters_never_go_back(sampler: OpenSampler) -> None:
    with puppet() as busy:
        busy.burn(1.0, 2)
        readings = [sampler.read() for _ in range(30)]
    for earlier, later in pairwise(readings):
        assert earlier.monotonic_ns < later.monotonic_ns
        assert earlier.uptime_ns < later.uptime_ns
        for pid, record in later.processes.items():
            before = earlier.processes.get(pid)
            if before is not None and before.key == record.key:
                assert before.cpu_ns <= record.cpu_ns
                assert before.user_ns <= record.user_ns
                assert before.system_ns <= record.system_ns
                assert (before.children_ns or 0) <= (record.children_ns or 0)
        for cpu, times in later.machine.per_cpu.items():
            assert earlier.machine.per_cpu[cpu].user_ns <= times.user_ns
            assert earlier.machine.per_cpu[cpu].system_ns <= times.system_ns


def test_a_busy_process_keeps_its_identity(sampler: OpenSampler) -> None:
    with puppet() as child:
        first = sampler.read().processes[child.pid]
        child.spend(30)
        second = sampler.read().processes[child.pid]
    assert (second.key, second.start_ns, second.start_time) == (first.key, first.start_ns, first.start_time)
    assert second.first_seen == first.first_seen
    assert second.cpu_ns > first.cpu_ns


def test_an_idle_process_keeps_its_record(sampler: OpenSampler) -> None:
    # usage() skips records that are the same object as before, which makes idle processes cheap.
    with puppet() as child:
        records = [sampler.read().processes[child.pid]]
        # Reporting that it is ready takes CPU as well, and may go on during the first readings.
        while len(records) < 100 and (len(records) < 2 or records[-1] is not records[-2]):
            records.append(sampler.read().processes[child.pid])
    assert records[-1] is records[-2]


def test_an_exited_process_is_gone(sampler: OpenSampler) -> None:
    with puppet() as child:
        assert child.pid in sampler.read().processes
        child.end()
        child.reap()
        assert child.pid not in sampler.read().processes


def test_a_new_process_is_in_the_next_reading(sampler: OpenSampler) -> None:
    earlier = sampler.read()
    with puppet() as child:
        later = sampler.read()
    assert child.pid not in earlier.processes
    record = later.processes[child.pid]
    assert record.ppid == os.getpid()
    assert record.first_seen == later.time
    assert earlier.uptime_ns - TICK_NS <= record.start_ns <= later.uptime_ns


def test_a_stopped_process_has_its_state(sampler: OpenSampler) -> None:
    with puppet() as child:
        sampler.read()
        stopped = psutil.Process(child.pid)
        stopped.suspend()
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert sampler.read().processes[child.pid].state == "T"


def test_two_readings_make_a_snapshot(sampler: OpenSampler) -> None:
    with puppet() as child:
        earlier = sampler.read()
        child.spend(50)
        later = sampler.read()
    snapshot = usage(earlier, later)
    row = next(row for row in snapshot.processes if row.pid == child.pid)
    assert row.cpu_percent is not None
    assert row.cpu_percent > 0
    assert {row.pid for row in snapshot.processes} == later.processes.keys()


@pytest.mark.any_python
@pytest.mark.parametrize("order", ["its parent is read before it", "it is read before its parent"])
def test_a_child_reaped_during_a_reading_is_counted_once(
    sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    is_child_first = order == "it is read before its parent"
    allocate_pids_after(300 if is_child_first else os.getpid())
    with puppet() as child:
        assert (child.pid < os.getpid()) == is_child_first
        child.spend(300)
        readings = [sampler.read()]
        key = readings[0].processes[child.pid].key
        # Long enough that the earlier usage of the child would fit into these intervals.
        time.sleep(0.4)
        child.spend(10)
        with monkeypatch.context() as patched:
            do_after_read_of(patched, child.pid if is_child_first else os.getpid(), lambda: kill_and_reap(child))
            readings.append(sampler.read())
        time.sleep(0.4)
        readings.append(sampler.read())
    assert key not in {record.key for record in readings[-1].processes.values()}
    shown_ns, carry = 0.0, NO_CARRY
    for earlier, later in pairwise(readings):
        snapshot, carry = account(earlier, later, carry)
        of_child = sum(row.cpu_percent or 0 for row in snapshot.processes if row.key == key)
        of_parent = sum(row.exited_percent or 0 for row in snapshot.processes if row.pid == os.getpid())
        shown_ns += (of_child + of_parent) * snapshot.interval_seconds * 1e7
    # It has used some 10 ms since the first reading. The 300 ms before that must not be shown again.
    assert shown_ns < 150_000_000


def allocate_pids_after(pid: int) -> None:
    """Make the kernel allocate the next free PID after this one."""
    try:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid))
    except PermissionError:
        pytest.skip("only root can choose a PID")


def kill_and_reap(child: Puppet) -> None:
    child.end()
    child.reap()


def do_after_read_of(monkeypatch: pytest.MonkeyPatch, wanted: int, action: Callable[[], None]) -> None:
    """Run an action after a sampler has read this process, before it reads the next one."""
    actions = [action]

    def after(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(owner: object, pid: int, *arguments: Any) -> Any:
            result = real(owner, pid, *arguments)
            if pid == wanted and actions:
                actions.pop()()
            return result

        return read

    monkeypatch.setattr(ProcessReader, "read", after(ProcessReader.read))
    monkeypatch.setattr(PsutilSampler, "_read_process", after(PsutilSampler._read_process))


def test_many_readings_keep_each_file_of_a_process_open_at_most_once(sampler: OpenSampler) -> None:
    sampler.read()
    before = Counter(path for path in open_paths() if not may_stay_open(path))
    with puppet() as child:
        for _ in range(50):
            child.clock()
            sampler.read()
    # Two readings later no file of an exited process is open.
    sampler.read()
    known = sampler.read().processes
    after = open_paths()
    assert Counter(path for path in after if not may_stay_open(path)) == before
    held = [path for path in after if may_stay_open(path)]
    assert len(held) == len(set(held)) <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
    assert {int(path.split("/")[2]) for path in held} <= known.keys()


def may_stay_open(path: str) -> bool:
    """Whether this is the file of a process, which a sampler may keep open while the process runs."""
    return any(
        map(PurePath(path).match, ("/proc/[0-9]*/stat", "/proc/[0-9]*/schedstat", "/proc/[0-9]*/task/*/schedstat"))
    )


@pytest.mark.parametrize("opened", BACKENDS, ids=NAMES)
def test_closing_closes_all_files_and_ends_reading(
    opened: Callable[[pytest.MonkeyPatch], OpenSampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    sampler = opened(monkeypatch)
    sampler.read()
    sampler.close()
    sampler.close()
    with pytest.raises(SamplerClosedError, match="open a new one"):
        sampler.read()
    if opened is not scripted:
        assert len(os.listdir("/proc/self/fd")) == before


def test_host_backend_distinguishes_the_modes_of_procfs(monkeypatch: pytest.MonkeyPatch) -> None:
    with clock_mode(monkeypatch) as exact, stat_mode(monkeypatch) as coarse:
        clock, stat = exact.read().host, coarse.read().host
    assert (clock.backend, clock.clock_resolution_seconds) == ("procfs/clock", 1e-9)
    assert (stat.backend, stat.clock_resolution_seconds) == ("procfs/stat", TICK_NS / 1e9)


def test_procfs_accepts_another_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    sampler = ProcfsSampler("proc")
    try:
        assert os.getpid() in sampler.read().processes
    finally:
        sampler.close()
