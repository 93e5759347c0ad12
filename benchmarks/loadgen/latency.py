"""What the times of single requests come to. Pure: integers of nanoseconds in, figures out."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from benchmarks.loadgen.results import LatencySummary, TickPosition

__all__ = [
    "PERCENTILES",
    "by_second",
    "by_tick_position",
    "idle_connections",
    "percentile",
    "percentile_ms",
    "percentiles_ms",
    "summarise",
]

_Number = TypeVar("_Number", int, float)

SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000

# In hundredths of a per cent, because 99.9 is no number that binary fractions know.
PERCENTILES = {"p50": 50_00, "p75": 75_00, "p90": 90_00, "p95": 95_00, "p99": 99_00, "p99.9": 99_90, "p99.99": 99_99}

TICK_SLICES = 20

# From 1 us to 1,000 s in steps of 12 %: narrow enough to see two humps, few enough for a chart and a table.
_BOUNDS_NS = [round(1_000 * 10 ** (step / 20)) for step in range(181)]


def summarise(latencies_ns: Iterable[int]) -> LatencySummary:
    """Of these latencies. The standard deviation is that of all there are, not an estimate from a sample of them."""
    ordered = sorted(latencies_ns)
    count = len(ordered)
    if not count:
        return LatencySummary(0, None, None, None, None, dict.fromkeys(PERCENTILES), [])
    total = sum(ordered)
    # Whole numbers to the end: the difference of two large floats would be noise.
    variance_of_sums = count * sum(value * value for value in ordered) - total * total
    return LatencySummary(
        count=count,
        mean_ms=total / count / _MILLISECOND_NS,
        stddev_ms=math.sqrt(variance_of_sums) / count / _MILLISECOND_NS,
        min_ms=ordered[0] / _MILLISECOND_NS,
        max_ms=ordered[-1] / _MILLISECOND_NS,
        percentiles_ms={name: percentile(ordered, part) / _MILLISECOND_NS for name, part in PERCENTILES.items()},
        histogram=_histogram(ordered),
    )


def percentile(ordered: Sequence[_Number], hundredths: int) -> _Number:
    """The nearest-rank percentile: the smallest value that so many of all are not above.

    It is a value that occurred. One between two that occurred would be a guess, and in the tail a bad one.
    """
    rank = -(-len(ordered) * hundredths // 100_00)
    return ordered[max(rank, 1) - 1]


def percentiles_ms(values_ms: Iterable[float]) -> dict[str, float | None]:
    """All percentiles by name, and ``max``; None where there are no values."""
    ordered = sorted(values_ms)
    if not ordered:
        return dict.fromkeys((*PERCENTILES, "max"))
    return {**{name: percentile(ordered, part) for name, part in PERCENTILES.items()}, "max": ordered[-1]}


def _histogram(ordered: Sequence[int]) -> list[tuple[float, int]]:
    """How many lie up to each bound and above the one before; the last bound is the highest there is."""
    bounds = [bound for bound in _BOUNDS_NS if bound < ordered[-1]]
    bounds.append(next((bound for bound in _BOUNDS_NS if bound >= ordered[-1]), ordered[-1]))
    ends = [0, *(bisect_right(ordered, bound) for bound in bounds)]
    counts = (end - begin for begin, end in pairwise(ends))
    return [(bound / _MILLISECOND_NS, count) for bound, count in zip(bounds, counts, strict=True) if count]


def by_second(sent_ns: Sequence[int], latencies_ns: Sequence[int], seconds: int) -> list[list[int]]:
    """The latencies of the requests that ended in each whole second from the start, in order of size."""
    found: list[list[int]] = [[] for _ in range(seconds)]
    for sent, latency in zip(sent_ns, latencies_ns, strict=True):
        second = (sent + latency) // SECOND_NS
        if 0 <= second < seconds:
            found[second].append(latency)
    for latencies in found:
        latencies.sort()
    return found


def by_tick_position(
    sent_ns: Sequence[int], latencies_ns: Sequence[int], ticks_ns: Sequence[int]
) -> list[TickPosition]:
    """Requests by the time since the last tick (``ticks_ns`` in order), in 20 slices of 50 ms.

    Those that were sent before the first tick or more than a second after one belong to none.
    """
    slices: list[list[int]] = [[] for _ in range(TICK_SLICES)]
    for sent, latency in zip(sent_ns, latencies_ns, strict=True):
        before = bisect_right(ticks_ns, sent)
        if before and (since_ns := sent - ticks_ns[before - 1]) < SECOND_NS:
            slices[since_ns * TICK_SLICES // SECOND_NS].append(latency)
    for latencies in slices:
        latencies.sort()
    return [
        TickPosition(
            slice=number,
            requests=len(latencies),
            p50_ms=percentile_ms(latencies, PERCENTILES["p50"]),
            p99_ms=percentile_ms(latencies, PERCENTILES["p99"]),
        )
        for number, latencies in enumerate(slices)
    ]


def percentile_ms(ordered_ns: Sequence[int], hundredths: int) -> float | None:
    """A percentile in milliseconds; None where there are no values."""
    return percentile(ordered_ns, hundredths) / _MILLISECOND_NS if ordered_ns else None


def idle_connections(connections: int, per_second: float, mean_ms: float | None) -> float | None:
    """Connections that waited for no answer, on average: what is missing to Little's law, L = rate x mean time."""
    return None if mean_ms is None else connections - per_second * mean_ms / 1e3
