"""Runs one Python sampler once a second and prints what each tick cost. :mod:`cost` starts this file as a script.

A process of its own for each, so that its CPU clock holds the cost of this sampler and of nothing else.
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
    """Give root's rights up for those of this user."""
    # What Python loads late (codecs, say) is loaded now: that user may not be allowed to read it.
    with open_sampler("procfs") as sampler:
        sampler.read()
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)


def main() -> None:
    """Arguments: the contender, the number of ticks, the user to run as if it is another.

    Prints JSON: for each tick its CPU in ns, and if forks came.
    """
    name, ticks = sys.argv[1], int(sys.argv[2])
    for user_id in sys.argv[3:]:
        become(int(user_id))
    tick = CONTENDERS[name]()
    costs: list[tuple[int, bool]] = []
    forks_before = forks()
    deadline = time.monotonic()
    for _ in range(WARM_UP_TICKS + ticks):
        # On a grid, as a monitor does it; a tick that took longer than a second leaves deadlines out.
        deadline += max(1, int(time.monotonic() - deadline) + 1)
        # From before the sleep to after the tick: going to sleep and waking up are part of what sampling costs.
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
