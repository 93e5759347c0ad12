"""Parsers for the files of a cgroup that limit and count its CPU use. Pure.

Formats: Documentation/admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst and admin-guide/cgroup-v1/cpusets.rst.
All raise ``ValueError`` on malformed input.
"""

from __future__ import annotations

import re

from msgspec import Struct

__all__ = ["Quota", "Throttling", "count_cpus", "parse_cpu_max", "parse_throttling", "quota_of_v1"]

_RANGE = re.compile(rb"([0-9]+)(?:-([0-9]+))?")


class Quota(Struct, frozen=True, gc=False):
    """The CPU time that a cgroup may use in each period."""

    quota_ns: int
    period_ns: int


class Throttling(Struct, frozen=True, gc=False):
    """The counters of a cgroup with a quota."""

    periods: int
    throttled_periods: int
    throttled_ns: int


def parse_cpu_max(data: bytes) -> Quota | None:
    """``cpu.max`` of v2, as ``50000 100000`` in microseconds; None for ``max 100000``."""
    quota, period = data.split()
    return None if quota == b"max" else Quota(int(quota) * 1000, int(period) * 1000)


def quota_of_v1(quota_us: bytes, period_us: bytes) -> Quota | None:
    """``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` of v1; None for a quota of -1."""
    quota = int(quota_us)
    return None if quota < 0 else Quota(quota * 1000, int(period_us) * 1000)


def parse_throttling(data: bytes) -> Throttling | None:
    """``cpu.stat``: v2 counts in microseconds, v1 in nanoseconds. None if v2 has no cpu controller here."""
    values = dict(line.split() for line in data.splitlines())
    if b"throttled_usec" in values:
        throttled_ns = int(values[b"throttled_usec"]) * 1000
    elif b"throttled_time" in values:
        throttled_ns = int(values[b"throttled_time"])
    else:
        return None
    try:
        return Throttling(int(values[b"nr_periods"]), int(values[b"nr_throttled"]), throttled_ns)
    except KeyError as error:
        raise ValueError(f"cpu.stat has no {error}") from error


def count_cpus(data: bytes) -> int | None:
    """The number of CPUs in a list such as ``0-3,8``; None if it is empty, as in a new cpuset of v1."""
    ranges = _RANGE.findall(data)
    return sum(int(last or first) - int(first) + 1 for first, last in ranges) or None
