"""Runs one Python sampler once a second and prints the cost of each tick. :mod:`benchmarks.cost` runs this file.

Each sampler has a separate process, whose CPU clock measures only this sampler.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from cpuwatch import encode, open_sampler, usage

WARM_UP_TICKS = 2

Tick = Callable[[], object]


def cpuwatch_tick(finish: Callable[..., object] = lambda snapshot: snapshot) -> Tick:
    sampler = open_sampler("procfs")
    earlier = sampler.read()

    def tick() -> object:
        nonlocal earlier
        later = sampler.read()
        snapshot = usage(earlier, later)
        earlier = later
        return finish(snapshot)

    return tick


def psutil_tick() -> Tick:
    def tick() -> object:
        return [process.info for process in psutil.process_iter(["name", "cpu_percent"])]

    return tick


CONTENDERS: dict[str, Callable[[], Tick]] = {
    "cpuwatch": cpuwatch_tick,
    "cpuwatch + JSON": lambda: cpuwatch_tick(encode),
    "psutil": psutil_tick,
}


def forks() -> int:
    """The kernel's count of all forks since boot (proc_stat(5))."""
    found = re.search(rb"^processes (\d+)", Path("/proc/stat").read_bytes(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def become(user_id: int) -> None:
    """Drop root's privileges and become this user."""
    # Load now what Python loads lazily (codecs, for example): the user may not be allowed to read it.
    with open_sampler("procfs") as sampler:
        sampler.read()
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)


def main() -> None:
    """Arguments: the contender, the number of ticks, optionally the ID of the user to become.

    Prints JSON: for each tick its CPU time in ns, and whether any process forked.
    """
    name, ticks = sys.argv[1], int(sys.argv[2])
    for user_id in sys.argv[3:]:
        become(int(user_id))
    tick = CONTENDERS[name]()
    costs: list[tuple[int, bool]] = []
    forks_before = forks()
    deadline = time.monotonic()
    for _ in range(WARM_UP_TICKS + ticks):
        # On a grid, like the monitor. A tick that takes longer than a second skips deadlines.
        deadline += max(1, int(time.monotonic() - deadline) + 1)
        # From before the sleep to after the tick: falling asleep and waking up are part of the cost.
        cpu_before = time.process_time_ns()
        time.sleep(max(0.0, deadline - time.monotonic()))
        tick()
        cpu = time.process_time_ns() - cpu_before
        forks_now = forks()
        costs.append((cpu, forks_now != forks_before))
        forks_before = forks_now
    json.dump(costs[WARM_UP_TICKS:], sys.stdout)


if __name__ == "__main__":
    main()
