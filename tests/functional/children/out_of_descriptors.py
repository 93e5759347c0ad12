"""Reads without a free file descriptor, and again afterwards; writes the results as JSON.

``--reserve N`` leaves N descriptors free.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from cpuwatch import OpenSampler, Reading, open_sampler, usage
from cpuwatch.samplers.procfs import cpu_clock

_LIMIT = 256
_TIMEOUT_SECONDS = 20


def start(user_id: int | None) -> int:
    """Start a child that sleeps, and wakes up at each SIGUSR1."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        if user_id is not None:
            os.setuid(user_id)
        os.write(write_end, b"x")
        while True:
            time.sleep(3600)
    os.read(read_end, 1)
    os.close(read_end)
    os.close(write_end)
    wait_until_asleep(pid)
    return pid


def wait_until_asleep(pid: int) -> None:
    while b") S " not in Path(f"/proc/{pid}/stat").read_bytes():
        time.sleep(0.001)


def work(pid: int) -> None:
    """Make the child run, and wait until it has."""
    clock_id = (~pid << 3) | 2
    before = time.clock_gettime_ns(clock_id)
    os.kill(pid, signal.SIGUSR1)
    while time.clock_gettime_ns(clock_id) == before:
        time.sleep(0.001)
    wait_until_asleep(pid)


@contextmanager
def descriptors_used_up(reserve: int) -> Iterator[None]:
    """Leave this many descriptors free, including those that a sampler has closed since the last time."""
    taken: list[int] = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    for fd in taken[len(taken) - reserve :]:
        os.close(fd)
    yield
    for fd in taken[: len(taken) - reserve]:
        os.close(fd)


def attempt(sampler: OpenSampler) -> Reading | OSError:
    try:
        return sampler.read()
    except OSError as error:
        return error


def shown(reading: Reading | OSError) -> dict[str, Any]:
    if isinstance(reading, OSError):
        return {"error": reading.errno}
    return {
        "unreadable": reading.unreadable,
        "processes": {pid: record.user for pid, record in reading.processes.items()},
        "keys": {pid: record.key for pid, record in reading.processes.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend")
    parser.add_argument("--reserve", type=int, default=0)
    parser.add_argument("--user-id", type=int)
    options = parser.parse_args()
    if options.backend == "procfs/stat":
        cpu_clock.is_usable = lambda *_: False

    idle, active = start(None), start(None)
    with open_sampler(options.backend.partition("/")[0]) as sampler:
        before = sampler.read()
        before = sampler.read()
        newcomer = start(options.user_id)
        for pid in (active, newcomer):
            work(pid)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_LIMIT, hard))
        during = []
        for _ in range(3):
            with descriptors_used_up(options.reserve):
                during.append(attempt(sampler))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        after = sampler.read()
        # User names are looked up in the background.
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline and str(after.processes[newcomer].user).isdigit():
            time.sleep(0.01)
            after = sampler.read()
    for pid in (idle, active, newcomer):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    rows = {row.pid: row.cpu_percent for row in usage(before, after).processes}
    read = [reading for reading in during if isinstance(reading, Reading)]
    in_turn = [usage(earlier, later) for earlier, later in pairwise([before, *read, after])]
    sys.stdout.write(
        json.dumps(
            {
                "idle": idle,
                "active": active,
                "newcomer": newcomer,
                "before": shown(before),
                "during": [shown(reading) for reading in during],
                "after": shown(after),
                "percent": rows,
                "in_turn": [{row.pid: row.cpu_percent for row in one.processes} for one in in_turn],
            }
        )
    )


if __name__ == "__main__":
    main()
