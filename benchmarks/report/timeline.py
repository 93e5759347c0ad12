"""The run, second by second, as charts. In a long run each row stands for several seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from operator import attrgetter
from statistics import fmean
from typing import NamedTuple

from benchmarks.loadgen.results import Second
from benchmarks.report import figures
from benchmarks.report.axes import by_value, clock, linear
from benchmarks.report.charts import Chart, line_chart

__all__ = ["Span", "charts", "spans"]

_MAX_ROWS = 300


class Span(NamedTuple):
    """Consecutive seconds. Percentiles of several seconds do not add up, so the worst second's value stands."""

    second: int
    seconds: int
    requests_per_second: float
    slowest_second: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    server_cpu_percent: float | None
    client_cpu_percent: float | None
    server_rss_bytes: float | None
    client_rss_bytes: float | None


_Read = Callable[[Span], float | None]
_Text = Callable[[float | None], str]


def spans(log: Sequence[Second], limit: int = _MAX_ROWS) -> list[Span]:
    """At most ``limit`` spans, all but the last of the same length."""
    length = max(ceil(len(log) / limit), 1)
    return [_span(log[at : at + length]) for at in range(0, len(log), length)]


def _span(log: Sequence[Second]) -> Span:
    def highest(field: str) -> float | None:
        return max((value for second in log if (value := getattr(second, field)) is not None), default=None)

    return Span(
        log[0].second,
        len(log),
        fmean(second.requests for second in log),
        min(second.requests for second in log),
        sum(second.errors for second in log),
        *map(highest, Span._fields[5:]),
    )


def charts(rows: Sequence[Span]) -> list[Chart]:
    """Latency, requests, CPU and memory; none if the run ended in its first second."""
    if not rows:
        return []
    across = clock("time since the warm-up, min:s", rows[-1].second + rows[-1].seconds)

    def chart(title: str, unit: str, text: _Text, lines: Mapping[str, _Read], errors: Sequence[float] = ()) -> Chart:
        points = {name: [(row.second, read(row)) for row in rows] for name, read in lines.items()}
        values = [value for line in points.values() for _, value in line]
        up = by_value(unit, values) if unit == "ms" else linear(unit, values)
        return line_chart(title, (across, up), points, text, errors)

    requests: dict[str, _Read] = {"answered": attrgetter("requests_per_second")}
    if rows[0].seconds > 1:
        requests["slowest second"] = attrgetter("slowest_second")
    memory: dict[str, _Read] = {
        "server": lambda row: figures.in_mebibytes(row.server_rss_bytes),
        "client": lambda row: figures.in_mebibytes(row.client_rss_bytes),
    }
    errors = [row.second for row in rows if row.errors]
    latency = {name: attrgetter(f"{name}_ms") for name in ("p50", "p95", "p99")}
    cpu = {name: attrgetter(f"{name}_cpu_percent") for name in ("server", "client")}
    return [
        chart("Latency", "ms", figures.thousandths, latency),
        chart("Requests per second", "requests / s", figures.rate, requests, errors),
        chart("CPU", "% of one core", figures.tenths, cpu),
        chart("Resident memory", "MiB", figures.tenths, memory),
    ]
