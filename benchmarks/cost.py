"""What a tick of sampling costs: cpuwatch beside top and psutil, on the same processes, in the same seconds.

``python benchmarks/cost.py`` prints two Markdown tables: CPU time a tick, and what each idle process adds to it.
The CPU time is user and system time of each sampler's own process, from its CPU clock, in nanoseconds.
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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import contender
from processes import count_processes, forked

_POLL_SECONDS = 0.05
_QUIET_POLLS = 4
"""So many polls without CPU are taken for top's sleep: 0.2 of the second that it sleeps."""
_FORK_EVERY_POLLS = 7
_TRIES_FOR_QUIET_SECONDS = 3
_TOP_ARGUMENTS = ("-b", "-d", "1")


@dataclass(frozen=True, slots=True)
class Tick:
    """The CPU that one tick took, and whether processes were forked anywhere in the second before it."""

    cpu_ns: int
    forked: bool


@dataclass(frozen=True, slots=True)
class Run:
    """All ticks of all samplers on one set of processes."""

    processes: int
    ticks: dict[str, list[Tick]]

    def median_ms(self, name: str) -> float | None:
        """The median CPU time of a tick; None if that sampler was not there."""
        ticks = self.ticks.get(name)
        return statistics.median(tick.cpu_ns for tick in ticks) / 1e6 if ticks else None


class Top:
    """``top -b -d 1``, watched from outside: it sleeps for a second between its ticks, so they stand apart."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["top", *_TOP_ARGUMENTS], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self._clock = (~self._process.pid << 3) | 2
        self._at_last_tick = self._at_last_poll = 0
        self._quiet = 0
        self._bursts: list[int] = []

    def poll(self) -> None:
        """Look at its clock; to be called every ``_POLL_SECONDS``."""
        if self._process.poll() is not None:
            raise RuntimeError(f"top ended by itself with exit code {self._process.returncode}")
        now = time.clock_gettime_ns(self._clock)
        self._quiet = self._quiet + 1 if now == self._at_last_poll else 0
        self._at_last_poll = now
        if self._quiet == _QUIET_POLLS and now > self._at_last_tick:
            self._bursts.append(now - self._at_last_tick)
            self._at_last_tick = now

    @property
    def ticks(self) -> list[Tick]:
        """All but the first ones, which hold its start."""
        return [Tick(burst, forked=True) for burst in self._bursts[contender.WARM_UP_TICKS :]]

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def measure(names: Iterable[str], ticks: int, *, fork_each_second: bool = False) -> Run:
    """Run these samplers side by side for so many ticks."""
    wanted = set(names)
    scripts: dict[str, subprocess.Popen[bytes]] = {}
    top: Top | None = None
    try:
        top = Top() if "top" in wanted else None
        for name in sorted(wanted - {"top"}):
            arguments = [sys.executable, contender.__file__, name, str(ticks)]
            scripts[name] = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        polls = 0
        while any(script.poll() is None for script in scripts.values()) or (top and len(top.ticks) < ticks):
            time.sleep(_POLL_SECONDS)
            polls += 1
            if top:
                top.poll()
            if fork_each_second and polls % _FORK_EVERY_POLLS == 0:
                subprocess.run(["true"], check=True)
        processes = count_processes()
        costs = {name: _costs(name, script) for name, script in scripts.items()}
        return Run(processes, costs | ({"top": top.ticks} if top else {}))
    finally:
        for script in scripts.values():
            script.kill()
            script.wait()
        if top:
            top.stop()


def _costs(name: str, script: subprocess.Popen[bytes]) -> list[Tick]:
    output, _ = script.communicate()
    if script.returncode:
        raise RuntimeError(f"the sampler {name} failed; its error stands above")
    return [Tick(cpu_ns, was_forked) for cpu_ns, was_forked in json.loads(output)]


def compare(sizes: Sequence[int], names: Sequence[str], ticks: int, active: float, *, together: bool) -> list[Run]:
    """All samplers on each number of processes."""
    runs = []
    for size in sizes:
        with forked(size, active):
            _say(f"{size} processes, {active:.0%} of them active, {ticks} ticks")
            if together:
                runs.append(measure(names, ticks))
            else:
                alone = [measure([name], ticks) for name in names]
                runs.append(Run(alone[0].processes, {n: t for run in alone for n, t in run.ticks.items()}))
    return runs


def idle_cost(sizes: Sequence[int], ticks: int) -> dict[str, float | None]:
    """Microseconds that each idle process adds to a tick of cpuwatch, from the slope between two numbers of them.

    Once for seconds in which nothing was forked on the machine and once for seconds with forks: while the kernel's
    count of forks stands still, /proc need not be listed. None: there were too few such seconds.
    """
    quiet: list[tuple[int, float | None]] = []
    busy: list[tuple[int, float | None]] = []
    for size in (min(sizes), max(sizes)):
        with forked(size):
            _say(f"{size} idle processes, at least 2 x {ticks} ticks")
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


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [headings, ["---:"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cost_table(runs: Sequence[Run], names: Sequence[str]) -> str:
    rivals = [name for name in names if not name.startswith("cpuwatch")]
    headings = ["processes", *(f"{name}, ms" for name in names), *(f"{name}, µs each" for name in names)]
    headings += [f"{rival} / cpuwatch" for rival in rivals]
    return table(headings, (_cost_row(run, names, rivals) for run in runs))


def _cost_row(run: Run, names: Sequence[str], rivals: Sequence[str]) -> list[str]:
    ms = {name: run.median_ms(name) for name in names}
    row = [f"{run.processes:,}"]
    row += [_number(ms[name], "{:.2f}") for name in names]
    row += [_number(ms[name], "{:.2f}", 1000 / run.processes) for name in names]
    ours = ms["cpuwatch"]
    return row + [_number(ms[rival], "{:.1f}", 1 / ours if ours else 0.0) for rival in rivals]


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "-" if value is None else form.format(value * factor)


def _contenders() -> list[str]:
    names = ["cpuwatch", "cpuwatch + JSON"]
    for name, there in {"top": shutil.which("top") is not None, "psutil": True}.items():
        if there:
            names.append(name)
        else:
            _say(f"{name} is not installed: left out")
    return names


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _number_from(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < low:
            raise argparse.ArgumentTypeError(f"{text} is below {low}")
        return number

    return parse


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=_number_from(0), nargs="+", default=[100, 1000, 5000], metavar="N")
    parser.add_argument("--ticks", type=_number_from(1), default=15)
    parser.add_argument("--active", type=float, default=0.05, metavar="SHARE", help="of the processes, 0..1")
    parser.add_argument("--idle", type=_number_from(0), nargs=2, default=[1000, 5000], metavar="N")
    parser.add_argument(
        "--one-at-a-time", action="store_true", help="one sampler after the other, not all in the same seconds"
    )
    options = parser.parse_args()

    names = _contenders()
    others = count_processes()
    runs = compare(options.processes, names, options.ticks, options.active, together=not options.one_at_a_time)
    idle = idle_cost(options.idle, options.ticks)

    machine = f"{os.cpu_count()} CPUs, Linux {os.uname().release}, Python {sys.version.split()[0]}"
    print(f"CPU time of one tick at 1 Hz, median of {options.ticks}; {options.active:.0%} of the processes active,")
    print(f"and {others} others on the machine. {machine}. Load average {os.getloadavg()[0]:.1f}.")
    print(f"\n{cost_table(runs, names)}\n")
    few, many = min(options.idle), max(options.idle)
    print(f"What each idle process adds to a tick of cpuwatch (between {few:,} and {many:,} of them):\n")
    print(table(["second", "µs each"], ([kind, _number(us, "{:.2f}")] for kind, us in idle.items())))
    for kind, us in idle.items():
        if us is None:
            print(f"\nToo few seconds were of the kind '{kind}': something else on this machine decides that.")


if __name__ == "__main__":
    main()
