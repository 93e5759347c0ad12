"""Watches one cgroup with one tool and prints the CPU that it saw. :mod:`benchmarks.short_lived` runs this file.

Each tool has a separate process, side by side on the same load. It is compared with the kernel's counter over its own
seconds, from its first look to its last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.accounting_group import used_ns
from benchmarks.top_text import begins_screen, percent_by_user
from cpuwatch import NO_CARRY, account, open_sampler

TOP = ["top", "-b", "-d", "1"]


class Load(NamedTuple):
    """The load to watch: its cgroup's path, folder and counter, and the user of its processes."""

    path: str
    folder: Path
    counter: Path
    user_id: str


class Look(NamedTuple):
    """The percentage of one CPU that a tool showed for the load, the time, and the kernel's counter at that time."""

    percent: float
    monotonic_ns: int
    used_ns: int


def with_cpuwatch(load: Load, seconds: int) -> Iterable[Look]:
    """The cgroup's rows: their own CPU and that of their exited children."""
    carry = NO_CARRY
    with open_sampler("procfs") as sampler:
        # The first reading among thousands of processes takes long. The counter is read after it.
        sampler.read()
        earlier = sampler.read()
        yield _look(load, 0.0)
        for _ in range(seconds):
            time.sleep(1)
            later = sampler.read()
            look = _look(load, 0.0)
            snapshot, carry = account(earlier, later, carry)
            earlier = later
            rows = [row for row in snapshot.processes if row.cgroup == load.path]
            yield look._replace(percent=sum((row.cpu_percent or 0) + (row.exited_percent or 0) for row in rows))


def with_psutil(load: Load, seconds: int) -> Iterable[Look]:
    """``process_iter(["name", "cpu_percent"])``.

    It shows 0 for a process at first sight, so the load starts before the first look.
    """
    for tick in range(seconds + 1):
        time.sleep(1 if tick else 0)
        members = set(map(int, (load.folder / "cgroup.procs").read_text().split()))
        rows = psutil.process_iter(["name", "cpu_percent"])
        percents = {row.pid: row.info["cpu_percent"] for row in rows}
        yield _look(load, sum(percents.get(pid) or 0.0 for pid in members))


def with_top(load: Load, seconds: int) -> Iterable[Look]:
    """``top -b -d 1``: the rows of the load's user, who has no other processes."""
    command = [*TOP, "-n", str(seconds + 1)]
    lines: list[str] = []
    looks: list[Look] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace", env=_plain_words()
    ) as top:
        assert top.stdout is not None
        for line in top.stdout:
            if begins_screen(line):
                looks.append(_look(load, 0.0))
            lines.append(line)
    for look, percents in zip(looks, percent_by_user(lines), strict=True):
        yield look._replace(percent=percents.get(load.user_id, 0.0))


WATCHERS: dict[str, Callable[[Load, int], Iterable[Look]]] = {
    "cpuwatch": with_cpuwatch,
    "psutil": with_psutil,
    "top": with_top,
}


def _look(load: Load, percent: float) -> Look:
    return Look(percent, time.monotonic_ns(), used_ns(load.counter))


def _plain_words() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "COLUMNS": "120"}


def main() -> None:
    """Arguments: the tool, path, folder, counter, user id, seconds. Prints JSON: nanoseconds seen and burned."""
    tool, path, folder, counter, user_id, seconds = sys.argv[1:]
    looks = list(WATCHERS[tool](Load(path, Path(folder), Path(counter), user_id), int(seconds)))
    # The percentage of the first look covers the time before it.
    seen_ns = sum(new.percent / 100 * (new.monotonic_ns - old.monotonic_ns) for old, new in pairwise(looks))
    json.dump([seen_ns, looks[-1].used_ns - looks[0].used_ns], sys.stdout)


if __name__ == "__main__":
    main()
