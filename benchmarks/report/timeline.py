"""The run, second by second, as charts. In a long run each row stands for several seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from statistics import fmean
from typing import NamedTuple

from benchmarks.loadgen.results import Second
from benchmarks.report import figures
from benchmarks.report.axes import by_value, clock, linear
from benchmarks.report.charts import Chart, Points, line_chart

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


def spans(log: Sequence[Second], limit: int = _MAX_ROWS) -> list[Span]:
    """At most ``limit`` spans, all but the last of the same length."""
    length = max(ceil(len(log) / limit), 1)
    return [_span(log[at : at + length]) for at in range(0, len(log), length)]


def _span(log: Sequence[Second]) -> Span:
    def highest(read: Callable[[Second], float | None]) -> float | None:
        return max((value for second in log if (value := read(second)) is not None), default=None)

    return Span(
        second=log[0].second,
        seconds=len(log),
        requests_per_second=fmean(second.requests for second in log),
        slowest_second=min(second.requests for second in log),
        errors=sum(second.errors for second in log),
        p50_ms=highest(lambda second: second.p50_ms),
        p95_ms=highest(lambda second: second.p95_ms),
        p99_ms=highest(lambda second: second.p99_ms),
        server_cpu_percent=highest(lambda second: second.server_cpu_percent),
        client_cpu_percent=highest(lambda second: second.client_cpu_percent),
        server_rss_bytes=highest(lambda second: second.server_rss_bytes),
        client_rss_bytes=highest(lambda second: second.client_rss_bytes),
    )


def charts(rows: Sequence[Span]) -> list[Chart]:
    """Latency, requests, CPU and memory; none if the run ended in its first second."""
    if not rows:
        return []
    across = clock("time since the warm-up, min:s", rows[-1].second + rows[-1].seconds)

    def line(read: Callable[[Span], float | None]) -> Points:
        return [(row.second, read(row)) for row in rows]

    def values(lines: dict[str, Points]) -> list[float | None]:
        return [value for points in lines.values() for _, value in points]

    latency = {
        "p50": line(lambda row: row.p50_ms),
        "p95": line(lambda row: row.p95_ms),
        "p99": line(lambda row: row.p99_ms),
    }
    requests = {"answered": line(lambda row: row.requests_per_second)}
    if rows[0].seconds > 1:
        requests["slowest second"] = line(lambda row: row.slowest_second)
    cpu = {
        "server": line(lambda row: row.server_cpu_percent),
        "client": line(lambda row: row.client_cpu_percent),
    }
    memory = {
        "server": line(lambda row: figures.in_mebibytes(row.server_rss_bytes)),
        "client": line(lambda row: figures.in_mebibytes(row.client_rss_bytes)),
    }
    errors = [row.second for row in rows if row.errors]
    return [
        line_chart("Latency", (across, by_value("ms", values(latency))), latency, figures.thousandths),
        line_chart(
            "Requests per second", (across, linear("requests / s", values(requests))), requests, figures.rate, errors
        ),
        line_chart("CPU", (across, linear("% of one core", values(cpu))), cpu, figures.tenths),
        line_chart("Resident memory", (across, linear("MiB", values(memory))), memory, figures.tenths),
    ]
