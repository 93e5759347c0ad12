"""Waiting for a CPU: what cpuwatch, pidstat and atop show of it, and what it costs cpuwatch to read it.

``python -m benchmarks.waiting`` prints two Markdown tables. The first has loads whose waiting is known, all of them on
one CPU and each alone: processes with one thread and with three, and a cgroup with a quota (version 1, as root). The
tools watch each load one after the other, for four seconds. ``taskstats`` is not among them, because the tests compare
cpuwatch with it. pidstat and atop come from Debian's packages ``sysstat`` and ``atop``; missing ones are left out.

The second compares the CPU time of a reading and its snapshot with that of the same code without run delay and without
cgroups. Both read in turn, in the same second, so that the rest of the machine disturbs both. The processes are in
twenty cgroups, two of them with a quota.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import IO
from unittest import mock

import psutil

from benchmarks.processes import burning, count_processes, forked
from benchmarks.tables import Spread, markdown_table
from cpuwatch import NO_CARRY, account, open_sampler, usage
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts
from cpuwatch.samplers.procfs.process_reader import ProcessReader

_CPU = max(os.sched_getaffinity(0))
_SECONDS = 4
_GROUP = "/sys/fs/cgroup/cpu/cpuwatch-benchmark"
_GROUPS = 20
_GROUPS_WITH_QUOTA = 2


@contextmanager
def cgroup(number: int, percent: int | None) -> Iterator[Path]:
    """A cgroup of version 1 whose processes get this share of a CPU. Raises ``OSError`` if that is not possible."""
    group = Path(f"{_GROUP}-{number}")
    group.mkdir()
    try:
        if percent is not None:
            (group / "cpu.cfs_quota_us").write_text(str(percent * 1000))
        yield group
    finally:
        while (group / "cgroup.procs").read_text():
            time.sleep(0.02)
        group.rmdir()


def shown_by_cpuwatch(pids: Sequence[int]) -> float:
    """The average ``wait_percent``."""
    with open_sampler("procfs") as sampler:
        earlier = sampler.read()
        time.sleep(_SECONDS)
        rows = {row.pid: row for row in usage(earlier, sampler.read()).processes}
    return statistics.fmean(rows[pid].wait_percent or 0.0 for pid in pids)


def shown_by_pidstat(pids: Sequence[int]) -> float:
    """The average of its column ``%wait``."""
    text = _output(["pidstat", "-h", "-u", "-p", ",".join(map(str, pids)), str(_SECONDS), "1"])
    heading = next(line for line in text.splitlines() if "%wait" in line).lstrip("#").split()
    column = heading.index("%wait")
    lines = [line.split() for line in text.splitlines() if line and line[0].isdigit() and "%wait" not in line]
    return statistics.fmean(float(cells[column - len(heading)]) for cells in lines)


def shown_by_atop(pids: Sequence[int]) -> float:
    """The average of the run delay of its label ``PRC``, of the second sample: the first is since boot."""
    text = _output(["atop", "-P", "PRC", str(_SECONDS), "2"]).partition("SEP")[2]
    delays = []
    for line in text.splitlines():
        cells = line.rpartition(")")[0].split(") ")
        numbers = cells[-1].split() if line.startswith("PRC") else []
        # The last ones: thread group, whether it is a process, run delay.
        with suppress(IndexError, ValueError):
            if int(line.split()[6]) in pids and numbers[11] == "y":
                delays.append(100 * int(numbers[12]) / (_SECONDS * 1e9))
    return statistics.fmean(delays)


TOOLS: dict[str, Callable[[Sequence[int]], float]] = {
    "cpuwatch": shown_by_cpuwatch,
    "pidstat": shown_by_pidstat,
    "atop": shown_by_atop,
}


def shown_table() -> str:
    """What each tool shows of each load."""
    tools = [name for name in TOOLS if name == "cpuwatch" or shutil.which(name)]
    rows = []
    for what, count, threads, expected in (
        ("2 processes on one CPU", 2, 1, "50"),
        ("4 processes on one CPU", 4, 1, "75"),
        ("1 process with 3 threads on one CPU", 1, 3, "200"),
    ):
        with burning(count, _CPU, threads) as pids:
            rows.append([what, expected, *_shown(tools, pids)])
    with suppress(OSError), cgroup(0, 20) as group, burning(1, _CPU) as pids:
        (group / "cgroup.procs").write_text(str(pids[0]))
        rows.append(["1 process with a quota of 20 % of a CPU", "80", *_shown(tools, pids)])
    return markdown_table(["load", "waiting, % of the time", *tools], rows)


def _shown(tools: Sequence[str], pids: Sequence[int]) -> list[str]:
    time.sleep(0.5)
    return [f"{TOOLS[tool](pids):.1f}" for tool in tools]


def _output(command: Sequence[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C", "S_TIME_FORMAT": "ISO"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def probe(*, with_waiting: bool) -> None:
    """Take a reading and its snapshot for each line of standard input; write the CPU time of both."""
    with ExitStack() as stack:
        if not with_waiting:
            stack.enter_context(mock.patch(f"{ProcessReader.__module__}.counts_run_delay", return_value=False))
            stack.enter_context(mock.patch.object(CgroupMounts, "find", return_value=CgroupMounts()))
        sampler = stack.enter_context(open_sampler("procfs"))
        reading, carry = sampler.read(), NO_CARRY
        print(flush=True)
        for _ in sys.stdin:
            begun_ns = time.thread_time_ns()
            earlier, reading = reading, sampler.read()
            _, carry = account(earlier, reading, carry)
            print(time.thread_time_ns() - begun_ns, flush=True)


@contextmanager
def probing(option: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs :func:`probe`."""
    command = [sys.executable, "-m", "benchmarks.waiting", option]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        _line_of(process.stdout)
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def cost_row(processes: int, active_share: float, ticks: int) -> list[str]:
    """Milliseconds of a tick without and with waiting, and the median ratio of the two in one tick.

    The second one finds warm caches, so the order changes from tick to tick, and the result is the mean of both orders.
    """
    with ExitStack() as stack:
        quotas = [50] * _GROUPS_WITH_QUOTA + [None] * (_GROUPS - _GROUPS_WITH_QUOTA)
        groups = [stack.enter_context(cgroup(number, quota)) for number, quota in enumerate(quotas)]
        stack.enter_context(forked(max(0, processes - count_processes()), active_share, pause=0.5))
        for child, group in zip(psutil.Process().children(recursive=True), cycle(groups)):
            (group / "cgroup.procs").write_text(str(child.pid))
        probes = [stack.enter_context(probing(option)) for option in ("--probe-without", "--probe")]
        found: list[list[float]] = [[], []]
        for tick in range(ticks):
            time.sleep(0.5)
            for place in (0, 1) if tick % 2 else (1, 0):
                process = probes[place]
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
                found[place].append(int(_line_of(process.stdout)) / 1e6)
        without, with_delay = (Spread.of(each[4:]) for each in found)
    ratios = [later / earlier for earlier, later in zip(*found, strict=True)][4:]
    ratio = statistics.geometric_mean(statistics.median(ratios[order::2]) for order in (0, 1))
    return [f"{processes:,}", without.text("{:.2f}"), with_delay.text("{:.2f}"), f"{100 * (ratio - 1):+.0f} %"]


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--processes", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--probe-without", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe or options.probe_without:
        probe(with_waiting=options.probe)
        return
    print(shown_table(), end="\n\n")
    rows = [cost_row(processes, 0.05, options.ticks) for processes in options.processes]
    print(markdown_table(["processes, 5 % active", "without waiting and cgroups, ms", "with them, ms", "more"], rows))


if __name__ == "__main__":
    main()
