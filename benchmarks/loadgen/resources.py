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
    """A process group in one second: percent of one core, and resident bytes at its end; None if unknown."""

    cpu_percent: float | None = None
    rss_bytes: int | None = None


def family(leaders: Collection[int], processes: Sequence[cpuwatch.ProcessUsage]) -> list[cpuwatch.ProcessUsage]:
    """The rows of these processes and all their descendants."""
    children: dict[int | None, list[cpuwatch.ProcessUsage]] = {}
    for process in processes:
        children.setdefault(process.ppid, []).append(process)
    # A leader may descend from another; it counts once.
    found = {process.pid: process for process in processes if process.pid in leaders}
    to_look_at = list(found)
    while to_look_at:
        for child in children.get(to_look_at.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                to_look_at.append(child.pid)
    return list(found.values())


def memory_of(seconds: Sequence[Use]) -> Memory | None:
    """Memory at the start and end of these seconds, each the median of a few; None if unknown."""
    known = [use.rss_bytes for use in seconds if use.rss_bytes is not None]
    if not known:
        return None
    return Memory(
        after_warm_up_bytes=round(statistics.median(known[:_ENDS_OVER_SECONDS])),
        at_end_bytes=round(statistics.median(known[-_ENDS_OVER_SECONDS:])),
        highest_bytes=max(known),
    )


class _Log:
    """The resources of each group, its leaders and their descendants, in each second."""

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
                # Missed seconds are unknown.
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
    """Log these groups for the time of the block, in a thread on these CPUs. Seconds count from ``starts_ns``.

    Read the log after the block.
    """
    log = _Log(groups, starts_ns)
    thread = threading.Thread(target=log.run, args=(cpus,), name="resource-log")
    thread.start()
    try:
        yield log.uses
    finally:
        log.stop()
        thread.join()
