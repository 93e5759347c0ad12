"""What the samples of a run come to. Pure: integers of nanoseconds in, figures out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["PERCENTILES", "Summary", "each_second", "percentile", "summarise"]

SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000

# In hundredths of a per cent, because 99.9 is no number that binary fractions know.
PERCENTILES = {"p50": 50_00, "p75": 75_00, "p90": 90_00, "p95": 95_00, "p99": 99_00, "p99.9": 99_90, "p99.99": 99_99}


@dataclass(frozen=True, slots=True)
class Summary:
    """The three figures that were asked for, and how the latencies are spread; None where nothing was answered."""

    requests: int
    requests_per_second: float
    mean_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles_ms: dict[str, float]


def summarise(latencies_ns: Iterable[int], elapsed_ns: int) -> Summary:
    """Of all successful requests of a run that took ``elapsed_ns``."""
    ordered = sorted(latencies_ns)
    if not ordered:
        return Summary(0, 0.0, None, None, None, {})
    return Summary(
        requests=len(ordered),
        requests_per_second=len(ordered) * SECOND_NS / elapsed_ns,
        mean_ms=sum(ordered) / len(ordered) / _MILLISECOND_NS,
        min_ms=ordered[0] / _MILLISECOND_NS,
        max_ms=ordered[-1] / _MILLISECOND_NS,
        percentiles_ms={name: percentile(ordered, part) / _MILLISECOND_NS for name, part in PERCENTILES.items()},
    )


def percentile(ordered: Sequence[int], hundredths: int) -> int:
    """The nearest-rank percentile: the smallest value that so many of all are not above.

    It is a value that occurred. One between two that occurred would be a guess, and in the tail a bad one.
    """
    rank = -(-len(ordered) * hundredths // 100_00)
    return ordered[max(rank, 1) - 1]


def each_second(sent_ns: Sequence[int], latencies_ns: Sequence[int], seconds: int) -> list[int]:
    """How many answers came in each whole second from the start."""
    counts = [0] * seconds
    for sent, latency in zip(sent_ns, latencies_ns, strict=True):
        second = (sent + latency) // SECOND_NS
        if second < seconds:
            counts[second] += 1
    return counts
