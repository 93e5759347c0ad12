"""The cost of a sampling tick: cpuwatch beside other samplers, on the same processes, in the same seconds.

``python -m benchmarks.cost`` prints Markdown tables: the CPU time of a tick for each number of processes, and the time
that each idle process adds. It is the user and system time of the sampler's process, from its CPU clock, in
nanoseconds. The others are psutil and, if installed, top, htop, atop and pidstat (Debian: ``procps``, ``htop``,
``atop``, ``sysstat``); :mod:`benchmarks.peers.console_tools` explains how they run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import contender, say
from benchmarks.loadgen.plan import count
from benchmarks.peers.console_tools import COMMANDS, POLL_SECONDS, ConsoleTool, running_tool
from benchmarks.processes import count_processes, forked
from benchmarks.tables import Row, Spread, Table, markdown_table

_FORK_EVERY_POLLS = 7
_TRIES_FOR_QUIET_SECONDS = 3
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Tick:
    """The CPU time of one tick, and whether any process forked in the second before it."""

    cpu_ns: int
    forked: bool


@dataclass(frozen=True, slots=True)
class Run:
    """All ticks of all samplers on one set of processes."""

    processes: int
    ticks: dict[str, list[Tick]]

    def spread_ms(self, name: str) -> Spread:
        """The CPU time of a tick."""
        return Spread.of(tick.cpu_ns / 1e6 for tick in self.ticks[name])


def measure(names: Sequence[str], ticks: int, *, fork_each_second: bool = False) -> Run:
    """Run these samplers side by side for this number of ticks."""
    scripts: dict[str, subprocess.Popen[bytes]] = {}
    tools: dict[str, ConsoleTool] = {}
    deadline = time.monotonic() + 3 * ticks + _PATIENCE_SECONDS
    with ExitStack() as stack:
        for name in names:
            if name in COMMANDS:
                tools[name] = stack.enter_context(running_tool(name))
                continue
            arguments = [sys.executable, contender.__file__, name, str(ticks)]
            scripts[name] = stack.enter_context(subprocess.Popen(arguments, stdout=subprocess.PIPE))
            stack.callback(scripts[name].kill)
        polls = 0
        wanted = contender.WARM_UP_TICKS + ticks
        while any(script.poll() is None for script in scripts.values()) or any(
            len(tool.ticks_ns) < wanted for tool in tools.values()
        ):
            if time.monotonic() > deadline:
                seen = {name: len(tool.ticks_ns) for name, tool in tools.items()}
                raise RuntimeError(f"timed out waiting for {wanted} ticks of each sampler; seen from outside: {seen}")
            time.sleep(POLL_SECONDS)
            polls += 1
            for tool in tools.values():
                tool.poll()
            if fork_each_second and polls % _FORK_EVERY_POLLS == 0:
                subprocess.run(["true"], check=True)
        processes = count_processes()
        costs = {name: _costs(name, script) for name, script in scripts.items()}
        for name, tool in tools.items():
            costs[name] = [Tick(cpu_ns, forked=True) for cpu_ns in tool.ticks_ns[contender.WARM_UP_TICKS : wanted]]
        return Run(processes, {name: costs[name] for name in names})


def _costs(name: str, script: subprocess.Popen[bytes]) -> list[Tick]:
    output, _ = script.communicate()
    if script.returncode:
        raise RuntimeError(f"the sampler {name} failed; see its error above")
    return [Tick(cpu_ns, was_forked) for cpu_ns, was_forked in json.loads(output)]


def compare(sizes: Sequence[int], names: Sequence[str], ticks: int, active: float) -> list[Run]:
    """All samplers on each number of processes."""
    runs = []
    for size in sizes:
        with forked(size, active):
            say(f"{size} processes, {active:.0%} of them active, {ticks} ticks")
            runs.append(measure(names, ticks))
    return runs


def idle_cost(sizes: Sequence[int], ticks: int) -> dict[str, float | None]:
    """Microseconds that each idle process adds to a tick of cpuwatch, from the slope between two numbers of processes.

    Seconds without a fork on the machine are separate from seconds with forks: while the kernel's count of forks does
    not change, cpuwatch does not list /proc. None: there were too few such seconds.
    """
    quiet: list[tuple[int, float | None]] = []
    busy: list[tuple[int, float | None]] = []
    for size in (min(sizes), max(sizes)):
        with forked(size):
            say(f"{size} idle processes, at least 2 x {ticks} ticks")
            for _ in range(_TRIES_FOR_QUIET_SECONDS):
                run = measure(["cpuwatch"], ticks)
                if (median_ns := _median_ns(run, was_forked=False)) is not None:
                    break
            quiet.append((run.processes, median_ns))
            run = measure(["cpuwatch"], ticks, fork_each_second=True)
            busy.append((run.processes, _median_ns(run, was_forked=True)))
    return {"no fork on the machine": _slope_us(*quiet), "with forks": _slope_us(*busy)}


def _median_ns(run: Run, *, was_forked: bool) -> float | None:
    chosen = [tick.cpu_ns for tick in run.ticks["cpuwatch"] if tick.forked == was_forked]
    return statistics.median(chosen) if len(chosen) >= min(5, len(run.ticks["cpuwatch"])) else None


def _slope_us(few: tuple[int, float | None], many: tuple[int, float | None]) -> float | None:
    if few[1] is None or many[1] is None:
        return None
    return (many[1] - few[1]) / (many[0] - few[0]) / 1000


def cost_table(run: Run) -> Table:
    """A row for each sampler, cpuwatch first."""
    headings = ["sampler", "CPU of a tick, ms", "µs a process", "times cpuwatch"]
    ours = run.spread_ms("cpuwatch").median
    rows = []
    for name in run.ticks:
        spread = run.spread_ms(name)
        cells = [name, spread.text("{:.2f}"), f"{1000 * spread.median / run.processes:.2f}"]
        rows.append(Row([*cells, f"{spread.median / ours:.1f}"], spread.median))
    return Table(f"{run.processes:,} processes", headings, rows, "CPU of a tick")


def samplers() -> tuple[list[str], list[str]]:
    """The samplers that can run here, cpuwatch first, and those that are not installed."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    return [*contender.CONTENDERS, *(name for name in COMMANDS if name not in missing)], missing


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=count(0), nargs="+", default=[100, 1000, 5000], metavar="N")
    parser.add_argument("--ticks", type=count(1), default=15)
    parser.add_argument("--active", type=float, default=0.05, metavar="SHARE", help="of the processes, 0..1")
    parser.add_argument("--idle", type=count(0), nargs=2, default=[1000, 5000], metavar="N")
    options = parser.parse_args()

    names, missing = samplers()
    for name in missing:
        say(f"{name} is not installed: left out")
    others = count_processes()
    runs = compare(options.processes, names, options.ticks, options.active)
    idle = idle_cost(options.idle, options.ticks)

    machine = f"{os.cpu_count()} CPUs, Linux {os.uname().release}, Python {sys.version.split()[0]}"
    print(f"CPU time of one tick at 1 Hz, median and range of {options.ticks}. {machine}.")
    print(f"{options.active:.0%} of the processes are active, and {others} others are on the machine.")
    print(f"Load average {os.getloadavg()[0]:.1f}.")
    for run in runs:
        costs = cost_table(run)
        print(f"\n{costs.title}:\n\n{markdown_table(costs.headings, (row.cells for row in costs.rows))}\n")
    few, many = min(options.idle), max(options.idle)
    print(f"Time that each idle process adds to a tick of cpuwatch (between {few:,} and {many:,} of them):\n")
    cells = ([kind, "-" if us is None else f"{us:.2f}"] for kind, us in idle.items())
    print(markdown_table(["second", "µs each"], cells))
    for kind, us in idle.items():
        if us is None:
            print(f"\nToo few seconds of the kind '{kind}': other work on this machine decides that.")


if __name__ == "__main__":
    main()
