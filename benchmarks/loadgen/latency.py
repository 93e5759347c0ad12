"""Statistics of the times of single requests. Pure: integers of nanoseconds in, figures out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from benchmarks.loadgen.results import LatencySummary

__all__ = [
    "PERCENTILES",
    "by_second",
    "percentile",
    "percentile_ms",
    "percentiles_ms",
    "summarise",
]

_Number = TypeVar("_Number", int, float)

SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000

# In hundredths of a percent, because 99.9 has no exact binary fraction.
PERCENTILES = {"p50": 50_00, "p75": 75_00, "p90": 90_00, "p95": 95_00, "p99": 99_00, "p99.9": 99_90, "p99.99": 99_99}


def summarise(latencies_ns: Iterable[int]) -> LatencySummary:
    """The figures of these latencies. The standard deviation is the population's, not an estimate from a sample."""
    ordered = sorted(latencies_ns)
    count = len(ordered)
    if not count:
        return LatencySummary(0, None, None, None, None, dict.fromkeys(PERCENTILES))
    total = sum(ordered)
    # Integers to the end: the difference of two large floats would be noise.
    variance_of_sums = count * sum(value * value for value in ordered) - total * total
    return LatencySummary(
        count=count,
        mean_ms=total / count / _MILLISECOND_NS,
        stddev_ms=math.sqrt(variance_of_sums) / count / _MILLISECOND_NS,
        min_ms=ordered[0] / _MILLISECOND_NS,
        max_ms=ordered[-1] / _MILLISECOND_NS,
        percentiles_ms={name: percentile(ordered, part) / _MILLISECOND_NS for name, part in PERCENTILES.items()},
    )


def percentile(ordered: Sequence[_Number], hundredths: int) -> _Number:
    """The nearest-rank percentile: the smallest value that at least this share of all values does not exceed.

    It is a value that occurred. An interpolated value would be a guess, and a bad one in the tail.
    """
    rank = -(-len(ordered) * hundredths // 100_00)
    return ordered[max(rank, 1) - 1]


def percentiles_ms(values_ms: Iterable[float]) -> dict[str, float | None]:
    """All percentiles by name, and ``max``; None if there are no values."""
    ordered = sorted(values_ms)
    if not ordered:
        return dict.fromkeys((*PERCENTILES, "max"))
    return {**{name: percentile(ordered, part) for name, part in PERCENTILES.items()}, "max": ordered[-1]}


def by_second(sent_ns: Sequence[int], latencies_ns: Sequence[int], seconds: int) -> list[list[int]]:
    """The sorted latencies of the requests that ended in each whole second from the start."""
    found: list[list[int]] = [[] for _ in range(seconds)]
    for sent, latency in zip(sent_ns, latencies_ns, strict=True):
        second = (sent + latency) // SECOND_NS
        if 0 <= second < seconds:
            found[second].append(latency)
    for latencies in found:
        latencies.sort()
    return found


def percentile_ms(ordered_ns: Sequence[int], hundredths: int) -> float | None:
    """A percentile in milliseconds; None if there are no values."""
    return percentile(ordered_ns, hundredths) / _MILLISECOND_NS if ordered_ns else None
