"""The run, second by second, as charts; of a long run each row stands for several seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from statistics import fmean, median
from typing import NamedTuple
from xml.etree.ElementTree import Element

from benchmarks.loadgen.results import Second
from benchmarks.report import figures
from benchmarks.report.axes import Axis, by_value, clock, linear
from benchmarks.report.charts import Line, Mark, figure, line_chart
from benchmarks.report.markup import Content, data_table

__all__ = ["Span", "spans", "timeline"]

_MOST_ROWS = 300


class Span(NamedTuple):
    """Some seconds in a row. Percentiles of several seconds cannot be made from those of each: the worst one stands."""

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


def spans(log: Sequence[Second], most: int = _MOST_ROWS) -> list[Span]:
    """At most so many, all but the last of the same length."""
    length = max(ceil(len(log) / most), 1)
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


def timeline(log: Sequence[Second]) -> list[Element]:
    """Four charts: requests and errors, latency, CPU, memory."""
    rows = spans(log)
    if not rows:
        return []
    across = clock("time since the end of the warm-up, min:s", log[-1].second + 1)
    length = rows[0].seconds
    note = "" if length == 1 else f"Each row stands for {length} seconds; latency, CPU and memory are their highest."
    return [
        _requests(rows, across, note),
        _chart(
            ("latency", "Latency"),
            rows,
            (across, by_value("ms", [time for row in rows for time in (row.p50_ms, row.p95_ms, row.p99_ms)])),
            {"p50": lambda row: row.p50_ms, "p95": lambda row: row.p95_ms, "p99": lambda row: row.p99_ms},
            figures.milliseconds,
            note,
        ),
        _chart(
            ("cpu", "CPU"),
            rows,
            (across, linear("% of one core", _both(rows, "cpu_percent"))),
            {"server": lambda row: row.server_cpu_percent, "client": lambda row: row.client_cpu_percent},
            figures.tenths,
            note,
        ),
        _chart(
            ("memory", "Resident memory"),
            rows,
            (across, linear("MiB", map(figures.in_mebibytes, _both(rows, "rss_bytes")))),
            {
                "server": lambda row: figures.in_mebibytes(row.server_rss_bytes),
                "client": lambda row: figures.in_mebibytes(row.client_rss_bytes),
            },
            figures.tenths,
            note,
        ),
    ]


def _requests(rows: Sequence[Span], across: Axis, note: str) -> Element:
    several = rows[0].seconds > 1
    lines = [Line("answered", [(row.second, row.requests_per_second) for row in rows])]
    if several:
        lines.append(Line("slowest second", [(row.second, float(row.slowest_second)) for row in rows]))
    marks = [Mark(row.second) for row in rows if row.errors]
    title = "Requests per second"
    rates = [row.requests_per_second for row in rows]
    text = (
        f"Requests per second over time: lowest {min(rates):,.0f}, median {median(rates):,.0f}, "
        f"highest {max(rates):,.0f}. Errors in {len(marks)} of {len(rows)} rows."
    )
    cells: list[list[Content]] = [
        [
            _clock(row.second),
            f"{row.requests_per_second:,.0f}",
            *([f"{row.slowest_second:,}"] if several else []),
            f"{row.errors:,}",
        ]
        for row in rows
    ]
    headings = ["min:s", "requests / s", *(["slowest second"] if several else []), "errors"]
    upwards = linear("requests / s", rates)
    chart = line_chart("requests", title, text, (across, upwards), lines, marks)
    return figure(title, chart, data_table(headings, cells, note), lines, "errors" if marks else "")


def _chart(
    names: tuple[str, str],
    rows: Sequence[Span],
    axes: tuple[Axis, Axis],
    series: dict[str, Callable[[Span], float | None]],
    text: Callable[[float | None], str],
    note: str,
) -> Element:
    name, title = names
    unit = axes[1].title.partition(",")[0]
    lines = [Line(key, [(row.second, read(row)) for row in rows]) for key, read in series.items()]
    description = f"{title} over time, {unit}: " + "; ".join(_extent(line, text) for line in lines) + "."
    cells: list[list[Content]] = [[_clock(row.second), *(text(read(row)) for read in series.values())] for row in rows]
    chart = line_chart(name, title, description, axes, lines)
    return figure(title, chart, data_table(["min:s", *(f"{key}, {unit}" for key in series)], cells, note), lines)


def _extent(line: Line, text: Callable[[float | None], str]) -> str:
    known = [value for _, value in line.points if value is not None]
    if not known:
        return f"{line.name} unknown"
    return f"{line.name} from {text(min(known))} to {text(max(known))}, median {text(median(known))}"


def _both(rows: Sequence[Span], what: str) -> list[float | None]:
    return [getattr(row, f"{who}_{what}") for row in rows for who in ("server", "client")]


def _clock(second: int) -> str:
    return f"{second // 60}:{second % 60:02}"
