"""Processes that live for milliseconds: the share of their CPU that cpuwatch, psutil and top show, and the cost.

``python -m benchmarks.short_lived`` prints two Markdown tables. The first compares each tool with the kernel's
counter of the load's cgroup (cpuacct.usage, or usage_usec of cpu.stat), all on the same load at the same time. The
second is the CPU of the cpuwatch process, from its CPU clock. Both need root.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from benchmarks import ROOT, contender, forker, say, watcher
from benchmarks.accounting_group import AccountingGroup, NoGroupError, accounting_group
from benchmarks.loadgen.plan import count
from benchmarks.loads import BUILD, PIPELINE_LOOP, TRUE_LOOP
from benchmarks.tables import markdown_table
from cpuwatch import open_sampler

LOADS = {
    "loop over `/bin/true`": TRUE_LOOP,
    "loop of three-stage pipelines": PIPELINE_LOOP,
    "tree of builds, like `make -j4`": BUILD,
}
_LOAD_USER_ID = 60_845
"""An unused ID, so that all processes of this user belong to the load. (Debian reserves 60000-64999.)"""
_NOBODY = 65_534
_MIN_SHARE_BURNED = 0.1
_STARTING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of sampling in percent of one core, by watcher, and the rate of forks on the whole machine."""

    load: str
    forks_a_second: float
    percent: dict[str, float]


def seen_shares(group: AccountingGroup, load: Sequence[str], tools: Iterable[str], seconds: int) -> dict[str, float]:
    """The share of the load's CPU that each tool showed."""
    where = [group.path, str(group.folder), str(group.counter), str(_LOAD_USER_ID), str(seconds)]
    with group.running(load, user=_LOAD_USER_ID):
        results = _outputs({tool: ["-m", watcher.__name__, tool, *where] for tool in tools})
    shares = {}
    for tool, (seen_ns, burned_ns) in results.items():
        if burned_ns < _MIN_SHARE_BURNED * seconds * 1e9:
            raise RuntimeError(
                f"the load burned only {burned_ns / 1e9:.2f} s of CPU in {seconds} s: "
                f"can user {_LOAD_USER_ID} read {BUILD[-1]}?"
            )
        shares[tool] = seen_ns / burned_ns
    return shares


def sampling_cost(watchers: Mapping[str, Sequence[str]], forks_a_second: int, ticks: int) -> Cost:
    """The mean over all ticks, with all these watchers side by side."""
    with _forking(forks_a_second) if forks_a_second else nullcontext():
        time.sleep(_STARTING_SECONDS)
        forks_before, before = contender.forks(), time.monotonic()
        costs = _outputs(
            {who: ["-m", contender.__name__, "cpuwatch", str(ticks), *user] for who, user in watchers.items()}
        )
        forks = (contender.forks() - forks_before) / (time.monotonic() - before)
    percent = {who: statistics.fmean(cpu_ns for cpu_ns, _ in cost) / 1e7 for who, cost in costs.items()}
    return Cost("processes that end at once" if forks_a_second else "none", forks, percent)


@contextmanager
def _forking(forks_a_second: int) -> Iterator[None]:
    command = [sys.executable, "-I", "-S", forker.__file__, str(forks_a_second)]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        # It ends with its standard input: when this block or this process ends.
        yield


def _outputs(scripts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The JSON that these scripts print, run at the same time."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in scripts.items():
            running[name] = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, cwd=ROOT)
        outputs = {name: script.communicate()[0] for name, script in running.items()}
    finally:
        for script in running.values():
            script.kill()
            script.wait()
    failed = [name for name, script in running.items() if script.returncode]
    if failed:
        raise RuntimeError(f"{', '.join(failed)} failed; see the error above")
    return {name: json.loads(output) for name, output in outputs.items()}


def share_table(shares: Mapping[str, Mapping[str, float]], tools: Sequence[str]) -> str:
    rows = ([load, *(f"{100 * share[tool]:.1f} %" for tool in tools)] for load, share in shares.items())
    return markdown_table(["load", *tools], rows)


def cost_table(costs: Sequence[Cost], watchers: Iterable[str]) -> str:
    names = list(watchers)
    rows = (
        [cost.load, f"{cost.forks_a_second:,.0f}", *(f"{cost.percent[name]:.2f} %" for name in names)] for cost in costs
    )
    return markdown_table(["load", "forks a second", *(f"cpuwatch {name}" for name in names)], rows)


def _tools() -> list[str]:
    tools = ["cpuwatch", "psutil"]
    if shutil.which("top"):
        return [*tools, "top"]
    say("top is not installed: skipped")
    return tools


def _watchers() -> dict[str, list[str]]:
    """The watchers with and without names of exited processes, each with the user to become, if any."""
    without = {"without names": [str(_NOBODY)]}
    with open_sampler("procfs") as sampler:
        names = sampler.read().exited_names
    if names == "taskstats":
        return {"with names": [], **without}
    say(f"cpuwatch with names of exited processes is skipped: {names}")
    return without


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=count(1), default=10, help="per load (default: 10)")
    at_least = count(forker.ROUNDS_A_SECOND)
    parser.add_argument("--forks", type=at_least, default=2000, metavar="A_SECOND", help="for the cost (default: 2000)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        say("nothing to measure: only root can create a cgroup and start processes as other users")
        return

    tools, watchers = _tools(), _watchers()
    shares: dict[str, dict[str, float]] = {}
    try:
        with accounting_group() as group:
            for name, load in LOADS.items():
                say(f"{name}, {options.seconds} s")
                shares[name] = seen_shares(group, load, tools, options.seconds)
    except NoGroupError as error:
        say(f"the shares are skipped: {error}")
    costs = []
    for forks_a_second in (0, options.forks):
        say(f"cost at {forks_a_second} forks a second, {options.seconds} s")
        costs.append(sampling_cost(watchers, forks_a_second, options.seconds))

    machine = f"{os.cpu_count()} CPUs, Linux {os.uname().release}, Python {sys.version.split()[0]}"
    print(f"{machine}. {options.seconds} s per line, everything in a line at the same time.")
    if shares:
        print("\nShare of the load's CPU that is shown for the load's processes; the kernel's counter is 100 %:\n")
        print(share_table(shares, tools))
    print("\nCPU of the sampling process, once a second, of one core:\n")
    print(cost_table(costs, watchers))


if __name__ == "__main__":
    main()
