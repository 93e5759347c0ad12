"""CPU and memory of server and client in each second of the measurement, CPU taken with cpuwatch itself."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

import cpuwatch
from benchmarks.loadgen.placement import running_on
from benchmarks.loadgen.results import Memory

__all__ = ["Use", "family", "logging_resources", "memory_of"]

_SECOND_NS = 1_000_000_000
_ENDS_OVER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Use:
    """Of a group of processes in one second: per cent of one core, and bytes resident at its end; None: not known."""

    cpu_percent: float | None = None
    rss_bytes: int | None = None


def family(leaders: Collection[int], processes: Sequence[cpuwatch.ProcessUsage]) -> list[cpuwatch.ProcessUsage]:
    """The rows of these processes and of all that descend from them."""
    children: dict[int | None, list[cpuwatch.ProcessUsage]] = {}
    for process in processes:
        children.setdefault(process.ppid, []).append(process)
    # A leader may descend from another, and is one process all the same.
    found = {process.pid: process for process in processes if process.pid in leaders}
    to_look_at = list(found)
    while to_look_at:
        for child in children.get(to_look_at.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                to_look_at.append(child.pid)
    return list(found.values())


def memory_of(seconds: Sequence[Use]) -> Memory | None:
    """At the start and at the end of these seconds, each as the median of a few; None if it was never seen."""
    known = [use.rss_bytes for use in seconds if use.rss_bytes is not None]
    if not known:
        return None
    return Memory(
        after_warm_up_bytes=round(statistics.median(known[:_ENDS_OVER_SECONDS])),
        at_end_bytes=round(statistics.median(known[-_ENDS_OVER_SECONDS:])),
        highest_bytes=max(known),
    )


class _Log:
    """What was used in each second by each group: the processes that these lead."""

    def __init__(self, groups: Mapping[str, Collection[int]], starts_ns: int) -> None:
        self._groups = groups
        self._starts_ns = starts_ns
        self._stop = threading.Event()
        self.uses: dict[str, list[Use]] = {name: [] for name in groups}

    def run(self, cpus: Collection[int] | None) -> None:
        """Until :meth:`stop`."""
        with running_on(cpus), cpuwatch.open_sampler() as sampler:
            self._wait_until(0)
            earlier = sampler.read()
            second = 0
            while self._wait_until(second + 1):
                later = sampler.read()
                # Seconds that were slept through are not known.
                now = max(second + 1, (time.perf_counter_ns() - self._starts_ns) // _SECOND_NS)
                snapshot = cpuwatch.usage(earlier, later)
                for name, leaders in self._groups.items():
                    self.uses[name] += [Use()] * (now - second - 1)
                    self.uses[name].append(_use_of(family(leaders, snapshot.processes)))
                earlier, second = later, now

    def stop(self) -> None:
        self._stop.set()

    def _wait_until(self, second: int) -> bool:
        due_ns = self._starts_ns + second * _SECOND_NS
        return not self._stop.wait(max(0.0, (due_ns - time.perf_counter_ns()) / 1e9))


def _use_of(processes: Sequence[cpuwatch.ProcessUsage]) -> Use:
    percents = [process.cpu_percent for process in processes if process.cpu_percent is not None]
    sizes = [size for process in processes if (size := _rss_bytes(process.pid)) is not None]
    return Use(sum(percents) if percents else None, sum(sizes) if sizes else None)


def _rss_bytes(pid: int) -> int | None:
    try:
        size: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
    return size


@contextmanager
def logging_resources(
    groups: Mapping[str, Collection[int]], starts_ns: int, cpus: Collection[int] | None
) -> Iterator[Mapping[str, Sequence[Use]]]:
    """A log of these groups for the time of the block, by a thread on these CPUs; seconds count from ``starts_ns``.

    The log may be read when the block has ended.
    """
    log = _Log(groups, starts_ns)
    thread = threading.Thread(target=log.run, args=(cpus,), name="resource-log")
    thread.start()
    try:
        yield log.uses
    finally:
        log.stop()
        thread.join()
