"""Reads many processes that all run between two readings, with few descriptors; writes the open files as JSON."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cpuwatch import OpenSampler, open_sampler
from cpuwatch.samplers.procfs import cpu_clock

_CHILDREN = 40
_READINGS = 5
_WAKE_UP = signal.SIGUSR1


def start() -> int:
    """Start a child that sleeps, and wakes up at each signal."""
    pid = os.fork()
    while pid == 0:
        signal.sigwait({_WAKE_UP})
    return pid


def work(pid: int) -> None:
    """Make the child run, and wait until it has."""
    clock_id = (~pid << 3) | 2
    before = time.clock_gettime_ns(clock_id)
    os.kill(pid, _WAKE_UP)
    while time.clock_gettime_ns(clock_id) == before:
        time.sleep(0.001)


def held() -> list[str]:
    """Return the files of processes that are open: ``stat`` and ``schedstat``."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        # The descriptor of the listing itself is closed by now.
        with suppress(FileNotFoundError):
            links.append(link.readlink())
    return sorted(str(link) for link in links if link.match("/proc/[0-9]*/*stat"))


def clocks_ns(pids: list[int]) -> list[int]:
    return [time.clock_gettime_ns((~pid << 3) | 2) for pid in pids]


def reading(sampler: OpenSampler, children: list[int]) -> dict[str, Any]:
    for pid in children:
        work(pid)
    before_ns = clocks_ns(children)
    seen = sampler.read()
    after_ns = clocks_ns(children)
    return {
        "held": held(),
        "missing": sorted(set(children) - seen.processes.keys()),
        "unreadable": seen.unreadable,
        "before_ns": before_ns,
        "cpu_ns": [seen.processes[pid].cpu_ns for pid in children],
        "after_ns": after_ns,
    }


def main() -> None:
    backend, limit = sys.argv[1], int(sys.argv[2])
    if backend == "procfs/stat":
        cpu_clock.is_usable = lambda *_: False
    signal.pthread_sigmask(signal.SIG_BLOCK, {_WAKE_UP})
    children = [start() for _ in range(_CHILDREN)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with open_sampler("procfs") as sampler:
            mode = sampler.read().host.backend
            readings = [reading(sampler, children) for _ in range(_READINGS)]
        after = held()
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    sys.stdout.write(json.dumps({"backend": mode, "readings": readings, "held_after_closing": after}))


if __name__ == "__main__":
    main()
