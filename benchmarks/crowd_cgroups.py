"""The cgroups of a crowd (:mod:`benchmarks.crowd_readings`): their limits and counters, as with cgroup v2. Pure.

A thread of a cgroup waits while one of its processes does, so the pressure of a cgroup and of those above it grows by
what its processes waited. Two services have a quota: in a second in which they run, a fifth of their periods is
throttled, for about 20 ms each.
"""

from __future__ import annotations

from collections import Counter
from math import log
from random import Random

from msgspec.structs import replace

from cpuwatch.accounting.cgroups import path_with_ancestors
from cpuwatch.model import CgroupTimes

__all__ = ["CrowdCgroups"]

_LIMITED = ("/system.slice/java.service", "/system.slice/postgres.service")
_QUOTA = CgroupTimes(quota_ns=50_000_000, period_ns=100_000_000, periods=0, throttled_periods=0, throttled_ns=0)
_PERIODS = 10
_THROTTLED_SHARE = 0.2
_MEDIAN_THROTTLED_NS = 20_000_000
_THROTTLED_SIGMA = 0.7
_MAX_PRESSURE_NS = 10**9
_MS_NS = 10**6


class CrowdCgroups:
    """The cgroups of the processes and the ones above them. Those of which nothing changed stay the same objects."""

    def __init__(self, cpus: int, seed: int) -> None:
        self._cpus = cpus
        # Its own numbers, so that the rest of the crowd is the same as without cgroups.
        self._random = Random(seed)  # noqa: S311  no secret
        self._cgroups: dict[str, CgroupTimes] = {}
        self._pressure_ns = Counter[str]()
        self._waits_ns = Counter[str]()

    def add(self, path: str) -> None:
        """There is a process in this cgroup."""
        for above in path_with_ancestors(path):
            if above not in self._cgroups:
                limits = _QUOTA if above in _LIMITED else CgroupTimes()
                self._cgroups[above] = replace(limits, cpus=self._cpus, pressure_ns=0)

    def wait(self, path: str, wait_ns: float) -> None:
        """A process of this cgroup ran, and waited this long."""
        for above in path_with_ancestors(path):
            self._waits_ns[above] += int(wait_ns)

    def times(self) -> dict[str, CgroupTimes]:
        """The cgroups after the waits of a second."""
        self._cgroups = self._cgroups.copy()
        for path, wait_ns in self._waits_ns.items():
            self._pressure_ns[path] += min(_MAX_PRESSURE_NS, wait_ns)
            before = self._cgroups[path]
            now = replace(before, pressure_ns=self._pressure_ns[path] // _MS_NS * _MS_NS)
            if path in _LIMITED:
                now = self._throttled(now)
            if now != before:
                self._cgroups[path] = now
        self._waits_ns.clear()
        return self._cgroups

    def _throttled(self, times: CgroupTimes) -> CgroupTimes:
        random = self._random
        periods = random.randint(1, _PERIODS)
        throttled = sum(random.random() < _THROTTLED_SHARE for _ in range(periods))
        throttled_us = sum(
            int(random.lognormvariate(log(_MEDIAN_THROTTLED_NS), _THROTTLED_SIGMA)) // 1000 for _ in range(throttled)
        )
        return replace(
            times,
            periods=(times.periods or 0) + periods,
            throttled_periods=(times.throttled_periods or 0) + throttled,
            throttled_ns=(times.throttled_ns or 0) + 1000 * throttled_us,
        )
