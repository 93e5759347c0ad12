"""``wait_percent`` matches the run delay that the kernel reports for the same processes (taskstats)."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from live_processes import CHILDREN
from quota_groups import counters, quota_group

from benchmarks.processes import burning
from cpuwatch import open_sampler, usage
from cpuwatch.samplers.procfs import taskstats

pytestmark = [pytest.mark.timeout(120)]

NOBODY = 65_534
CPU = max(os.sched_getaffinity(0))
ATTR_TGID = 2
DELAY = struct.Struct("=24xQ")
"""``cpu_delay_total`` in struct taskstats (include/uapi/linux/taskstats.h)."""
STEP_NS = 1_000_000


class KernelDelays:
    """The run delay of all threads of a process, as the kernel adds it up. It needs CAP_NET_ADMIN."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self._socket.settimeout(5)
        self._socket.bind((0, 0))
        self._socket.send(taskstats.family_request("TASKSTATS"))
        self._family = taskstats.family_id(self._socket.recv(16_384))

    def wait_ns(self, pid: int) -> int:
        """The sum over the threads of this process."""
        attribute = struct.pack("=HHI", 8, ATTR_TGID, pid)
        payload = struct.pack("=BBH", 1, 1, 0) + attribute
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), self._family, 1, 1, 0) + payload)
        reply = self._socket.recv(16_384)
        number = taskstats.error_number(reply)
        if number:
            raise OSError(number, os.strerror(number))
        # Behind the headers: the aggregate, in it the PID (8 bytes), then the attribute with the statistics.
        delay: int = DELAY.unpack_from(reply, 20 + 4 + 8 + 4)[0]
        return delay

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def kernel() -> Iterator[KernelDelays]:
    try:
        delays = KernelDelays()
        delays.wait_ns(os.getpid())
    except (OSError, taskstats.MessageError) as error:
        pytest.skip(f"needs taskstats: {error}")
    yield delays
    delays.close()


@contextmanager
def reader(user_id: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(CHILDREN / "reads_waiting.py"), str(user_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[str]) -> dict[int, int | None]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return {int(pid): wait_ns for pid, wait_ns in json.loads(process.stdout.readline()).items()}


# The kernel counts a wait when it ends. So the waits must come to many times those that are under way, which are longer
# on a busy machine.
@pytest.mark.parametrize(("count", "threads", "seconds"), [(2, 1, 12), (8, 1, 8), (2, 3, 8)])
@pytest.mark.parametrize("user_id", [0, NOBODY], ids=["root", "nobody"])
def test_the_sum_of_waiting_is_that_of_the_kernel(
    kernel: KernelDelays, count: int, threads: int, seconds: int, user_id: int
) -> None:
    with burning(count, CPU, threads) as pids, reader(user_id) as process:
        read(process)

        def bracketed() -> tuple[int, int, int]:
            before = sum(map(kernel.wait_ns, pids))
            waits = read(process)
            shown = [waits[pid] for pid in pids]
            assert None not in shown
            return before, sum(wait_ns or 0 for wait_ns in shown), sum(map(kernel.wait_ns, pids))

        first = bracketed()
        time.sleep(seconds)
        second = bracketed()
    least, most = second[0] - first[2], second[2] - first[0]
    slack_ns = count * STEP_NS
    assert least > 0
    assert 0.99 * least - slack_ns <= second[1] - first[1] <= 1.01 * most + slack_ns


def test_a_thread_that_always_wants_to_run_either_runs_or_waits() -> None:
    with burning(3, CPU) as pids, open_sampler("procfs") as sampler:
        earlier = sampler.read()
        time.sleep(2)
        later = sampler.read()
    rows = {row.pid: row for row in usage(earlier, later).processes}
    wants = [(rows[pid].cpu_percent or 0) + (rows[pid].wait_percent or 0) for pid in pids]
    # Run delay is added when a process gets the CPU, up to a few time slices after it began to wait.
    assert all(80 < percent < 120 for percent in wants), wants
    waits = [rows[pid].wait_percent for pid in pids]
    assert min(wait or 0 for wait in waits) > 30


def test_a_process_that_gets_no_cpu_at_all_is_found() -> None:
    # Six processes share a millisecond in each second, so most of them do not run between two readings.
    with quota_group(1000, 1_000_000) as group, burning(6, CPU) as pids, open_sampler("procfs") as sampler:
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        time.sleep(3)
        readings = [sampler.read()]
        for _ in range(4):
            time.sleep(0.5)
            readings.append(sampler.read())
    found = 0
    for earlier, later in pairwise(readings):
        rows = {row.pid: row for row in usage(earlier, later).processes}
        starved = [rows[pid] for pid in pids if rows[pid].cpu_percent == 0 and rows[pid].state == "R"]
        assert all((row.wait_percent or 0) > 99 for row in starved), starved
        found += len(starved)
    assert found > 0


def test_waiting_contains_the_time_in_which_a_quota_kept_a_process_from_running() -> None:
    with quota_group(5_000, 100_000) as group, burning(1, CPU) as [pid], open_sampler("procfs") as sampler:
        (group / "cgroup.procs").write_text(str(pid))
        time.sleep(0.5)
        earlier = sampler.read()
        throttled_before = counters(group).throttled_ns
        time.sleep(3)
        throttled_after = counters(group).throttled_ns
        later = sampler.read()
    (row,) = [row for row in usage(earlier, later).processes if row.pid == pid]
    before, after = earlier.processes[pid].wait_ns, later.processes[pid].wait_ns
    assert before is not None
    assert after is not None
    throttled = throttled_after - throttled_before
    assert throttled > 0
    # The wait of the last period is added when the process gets the CPU again.
    assert after - before > throttled - 150_000_000
    assert (row.cpu_percent or 0) < 20


def test_pressure_is_the_growth_of_the_counter_of_the_kernel() -> None:
    def total_us() -> int:
        try:
            words = Path("/proc/pressure/cpu").read_text().split()
        except OSError as error:
            pytest.skip(f"no pressure: {error}")
        return int(words[4].removeprefix("total="))

    with burning(2, CPU), open_sampler("procfs") as sampler:
        before = total_us()
        earlier = sampler.read()
        between = total_us()
        time.sleep(1)
        between_later = total_us()
        later = sampler.read()
        after = total_us()
    found = usage(earlier, later).machine
    assert found.pressure_percent is not None
    interval_us = (later.monotonic_ns - earlier.monotonic_ns) / 1000
    found_us = found.pressure_percent / 100 * interval_us
    assert between_later - between - 1000 <= found_us <= after - before + 1000 or found.pressure_percent == 100
    # Two processes want the same CPU all the time. Other busy CPUs lower the pressure.
    assert found.pressure_percent > 0
    assert (found.waiting_threads or 0) > 0.5
