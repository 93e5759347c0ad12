from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cpuwatch.samplers.procfs.cpu_clock import GONE, clock_id, read_all, read_one, resolution_seconds


@pytest.fixture(scope="module")
def exited_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize("pid", [1, 2, 1234, 2**22])
def test_the_clock_id_has_the_layout_of_the_kernel(pid: int) -> None:
    # CPUCLOCK_PID and CPUCLOCK_WHICH of include/linux/posix-timers_types.h; 2 is CPUCLOCK_SCHED.
    number = clock_id(pid)
    assert ~(number >> 3) == pid
    assert number & 0b111 == 2


def test_the_clock_id_matches_the_c_library() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    found = ctypes.c_int()
    assert libc.clock_getcpuclockid(os.getpid(), ctypes.byref(found)) == 0
    assert found.value == clock_id(os.getpid())


def test_the_clock_of_this_process_is_its_process_time() -> None:
    before = time.process_time_ns()
    found = read_one(os.getpid())
    after = time.process_time_ns()
    assert before <= found <= after


def test_an_exited_process_has_no_clock(exited_pid: int) -> None:
    assert read_one(exited_pid) == GONE


def test_exited_processes_keep_their_positions(exited_pid: int) -> None:
    own, gone = clock_id(os.getpid()), clock_id(exited_pid)
    times = read_all([gone, own, gone, gone, own, gone])
    assert [found == GONE for found in times] == [True, False, True, True, False, True]
    assert 0 < times[1] <= times[4] <= time.process_time_ns()


def test_clock_ids_can_come_from_an_iterator(exited_pid: int) -> None:
    taken: list[int] = []

    def ids() -> Iterator[int]:
        for pid in (os.getpid(), exited_pid, os.getpid()):
            taken.append(pid)
            yield clock_id(pid)

    assert [found == GONE for found in read_all(ids())] == [False, True, False]
    assert taken == [os.getpid(), exited_pid, os.getpid()]


def test_no_clock_ids_return_no_times() -> None:
    assert read_all([]) == []


def test_the_resolution_is_a_nanosecond() -> None:
    assert resolution_seconds() == 1e-9
