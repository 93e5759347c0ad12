"""How the latencies of a run are spread: the table of percentiles, and two charts that show body and tail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil, exp, isfinite, log
from typing import NamedTuple
from xml.etree.ElementTree import Element

from benchmarks.loadgen.results import LatencySummary
from benchmarks.report import figures
from benchmarks.report.axes import by_value, linear, logarithmic, of_percentiles, rarity
from benchmarks.report.charts import Bar, Line, Mark, bar_chart, figure, line_chart
from benchmarks.report.markup import Content, data_table, table

__all__ = ["Bin", "coarser", "histogram", "percentile_curve", "percentile_names", "summaries"]

_MOST_BARS = 60
_ROUNDING = 5e-4
"""By this part of itself a bound may be off: it is written in whole nanoseconds."""
_MARKED = ("p50", "p95", "p99", "p99.9")


class Bin(NamedTuple):
    """How many latencies lie above ``low_ms`` and up to ``high_ms``."""

    low_ms: float
    high_ms: float
    requests: int


def summaries(columns: dict[str, LatencySummary]) -> Element:
    """The figures of one or more kinds of request side by side."""
    rows: list[list[Content]] = [["requests", *(figures.count(column.count) for column in columns.values())]]
    for name, field in {"average": "mean_ms", "standard deviation": "stddev_ms", "min": "min_ms"}.items():
        rows.append([name, *(figures.milliseconds(getattr(column, field)) for column in columns.values())])
    for name in percentile_names(columns.values()):
        values = (column.percentiles_ms.get(name) for column in columns.values())
        rows.append([name, *map(figures.milliseconds, values)])
    rows.append(["max", *(figures.milliseconds(column.max_ms) for column in columns.values())])
    return table(["ms", *columns], rows)


def percentile_names(summaries: Iterable[LatencySummary]) -> list[str]:
    """All that any of them has, the rarest last."""
    names = dict.fromkeys(name for summary in summaries for name in summary.percentiles_ms)
    return sorted(names, key=lambda name: rarity(name) or 0)


def coarser(histogram: Sequence[tuple[float, int]], most: int = _MOST_BARS) -> list[Bin]:
    """The same in at most so many bins of one width, in geometric steps.

    Whole bins are put together: new bounds between the old ones would make every other bar too high.
    """
    usable = [(bound, count) for bound, count in histogram if count > 0 and isfinite(bound) and bound > 0]
    if not usable:
        return []
    usable.sort()
    logs = [log(bound) for bound, _ in usable]
    gaps = [gap for before, after in pairwise(logs) if (gap := after - before) > 2 * _ROUNDING]
    step = min(gaps, default=0.05)
    first = logs[0] - step
    width = step * ceil(ceil((logs[-1] - first - _ROUNDING) / step) / most)
    bins: dict[int, int] = {}
    for position, (_, count) in zip(logs, usable, strict=True):
        at = ceil((position - first - _ROUNDING) / width) - 1
        bins[at] = bins.get(at, 0) + count
    return [Bin(_power(first + at * width), _power(first + (at + 1) * width), count) for at, count in bins.items()]


def histogram(summary: LatencySummary) -> Element | None:
    """None without latencies."""
    bins = coarser(summary.histogram)
    total = sum(bin_.requests for bin_ in bins)
    if not total:
        return None
    bars = [
        Bar(
            low,
            high,
            100 * count / total,
            f"{figures.milliseconds(low)} to {figures.milliseconds(high)} ms: {count:,} requests",
        )
        for low, high, count in bins
    ]
    known = [(name, value) for name in _MARKED if (value := summary.percentiles_ms.get(name)) is not None]
    marks = [Mark(value, f"{name} {figures.milliseconds(value)}") for name, value in known if isfinite(value)]
    axes = (
        logarithmic("ms, logarithmic", [edge for bin_ in bins for edge in bin_[:2]]),
        linear("% of requests", [bar.value for bar in bars]),
    )
    fullest = max(bins, key=lambda bin_: bin_.requests)
    text = (
        f"Latencies from {figures.milliseconds(bins[0].low_ms)} to {figures.milliseconds(bins[-1].high_ms)} ms, "
        f"most often between {figures.milliseconds(fullest.low_ms)} and {figures.milliseconds(fullest.high_ms)} ms. "
        + ", ".join(f"{mark.name} ms" for mark in marks)
    )
    title = "Distribution of latencies"
    rows: list[list[Content]] = [
        [figures.milliseconds(low), figures.milliseconds(high), f"{count:,}", f"{100 * count / total:.3f}"]
        for low, high, count in bins
    ]
    data = data_table(["above, ms", "up to, ms", "requests", "%"], rows)
    return figure(title, bar_chart("distribution", title, text, axes, bars, marks), data)


def percentile_curve(columns: dict[str, LatencySummary]) -> Element:
    """Latency against rarity: what one in 10, in 100, in 1,000 requests takes."""
    names = [name for name in percentile_names(columns.values()) if rarity(name)]
    lines = [
        Line(title, [(rarity(name) or 0, summary.percentiles_ms.get(name)) for name in names], dots=True)
        for title, summary in columns.items()
    ]
    axes = (
        of_percentiles("percentile, from the frequent to the rare", names),
        by_value("ms", [value for line in lines for _, value in line.points]),
    )
    title = "Latency by percentile"
    ends = [(line.name, line.points[0][1], line.points[-1][1]) for line in lines if line.points]
    text = ". ".join(
        f"{name}: from {figures.milliseconds(first)} ms at {names[0]} to {figures.milliseconds(last)} ms at {names[-1]}"
        for name, first, last in ends
    )
    rows: list[list[Content]] = [
        [name, *(figures.milliseconds(summary.percentiles_ms.get(name)) for summary in columns.values())]
        for name in names
    ]
    data = data_table(["percentile", *(f"{title}, ms" for title in columns)], rows)
    return figure(title, line_chart("percentiles", title, text, axes, lines), data, lines)


def _power(exponent: float) -> float:
    """A bound from its logarithm, cut to what a float can be."""
    return exp(min(max(exponent, -700.0), 700.0))
