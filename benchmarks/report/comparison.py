"""Compares a run with earlier ones, and tells changes from the noise between repeated runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from math import sqrt
from statistics import fmean, median, stdev
from typing import NamedTuple
from xml.etree.ElementTree import Element

from benchmarks.loadgen.results import Results
from benchmarks.report import figures
from benchmarks.report.axes import usable
from benchmarks.report.charts import range_strip
from benchmarks.report.markup import Content, element, paragraph, table
from benchmarks.report.verdict import verdict

__all__ = ["Judgement", "comparison", "cpu_per_request_us", "judge"]


# Two-sided 95 % quantiles of Student's t by degrees of freedom; between two the one for fewer, which is the wider.
_STUDENT_95 = {
    **dict(enumerate((12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228), start=1)),
    12: 2.179,
    15: 2.131,
    20: 2.086,
    30: 2.042,
    60: 2.000,
    120: 1.980,
}


_OF_THE_MOMENT = frozenset({"load average before the run"})
"""What is never the same twice says nothing about a difference."""


class Judgement(Enum):
    """Where a value lies beside those of the baselines."""

    UNKNOWN = "noise unknown"
    WITHIN = "within the range"
    NOISE = "within the noise"
    BEYOND = "beyond the noise"


class _Measure(NamedTuple):
    name: str
    read: Callable[[Results], float | None]
    text: Callable[[float | None], str]
    unit: str
    more_is_better: bool | None


def judge(value: float, baselines: Sequence[float]) -> Judgement:
    """Beyond the noise is what lies outside of where 95 of 100 further runs like the baselines would be.

    That is the prediction interval of Student's t. The range alone would not do: of three runs of the same code the
    third is outside the range of the first two in two of three cases.
    """
    if len(baselines) < 2:
        return Judgement.UNKNOWN
    if min(baselines) <= value <= max(baselines):
        return Judgement.WITHIN
    freedom = len(baselines) - 1
    quantile = _STUDENT_95[max(known for known in _STUDENT_95 if known <= freedom)]
    reach = quantile * stdev(baselines) * sqrt(1 + 1 / len(baselines))
    return Judgement.NOISE if abs(value - fmean(baselines)) <= reach else Judgement.BEYOND


def cpu_per_request_us(results: Results) -> float | None:
    """CPU time that all processes of the server took for a request, in microseconds."""
    known = [
        (second.server_cpu_percent, second.requests)
        for second in results.seconds_log
        if second.server_cpu_percent is not None
    ]
    requests = sum(count for _, count in known)
    return sum(cpu for cpu, _ in known) * 10_000 / requests if requests > 0 else None


def _percentile(name: str) -> _Measure:
    return _Measure(
        name,
        lambda results: results.latency.percentiles_ms.get(name),
        figures.milliseconds,
        " ms",
        more_is_better=False,
    )


def _fixed_rate_p99(results: Results) -> float | None:
    return None if results.fixed_rate is None else results.fixed_rate.from_intended.percentiles_ms.get("p99")


def _server_cpu(results: Results) -> float | None:
    known = usable(second.server_cpu_percent for second in results.seconds_log)
    return fmean(known) if known else None


def _highest_mebibytes(results: Results) -> float | None:
    return figures.in_mebibytes(None if results.memory is None else results.memory.highest_bytes)


_MEASURES = (
    _Measure("requests per second", lambda results: results.requests_per_second, figures.rate, "", more_is_better=True),
    _Measure(
        "average time", lambda results: results.latency.mean_ms, figures.milliseconds, " ms", more_is_better=False
    ),
    *map(_percentile, ("p50", "p95", "p99", "p99.9")),
    _Measure("p99 at the fixed rate", _fixed_rate_p99, figures.milliseconds, " ms", more_is_better=False),
    _Measure("CPU per request", cpu_per_request_us, figures.rate, " µs", more_is_better=False),
    _Measure("CPU of the server", _server_cpu, figures.tenths, " %", more_is_better=None),
    _Measure("highest memory of the server", _highest_mebibytes, figures.tenths, " MiB", more_is_better=False),
    _Measure(
        "client's ceiling",
        lambda results: results.calibration.requests_per_second,
        figures.rate,
        " / s",
        more_is_better=None,
    ),
)


def comparison(results: Results, baselines: Sequence[Results]) -> list[Element]:
    """The section's content."""
    rows = [row for measure in _MEASURES if (row := _row(measure, results, baselines))]
    headings = ["", "this run", "baseline", "change", "verdict"]
    if len(baselines) > 1:
        headings[2:3] = ["median", "range of the baselines", "where it lies"]
    return [
        paragraph(_reading(len(baselines))),
        element("div", table(headings, rows), class_="judged"),
        paragraph(
            "The client's ceiling, reached against a server that does nothing, is a measure of the machine and not of "
            "cpuwatch: if that moved, so did the ground under all the other rows."
        ),
        *_differences(results, baselines),
        element("h3", "The baselines"),
        table(
            ["started", "revision", "verdict", "requests / s", "average, ms", "requests"],
            [_listed(baseline) for baseline in baselines],
        ),
    ]


def _reading(baselines: int) -> str:
    if baselines == 1:
        return (
            "There is one baseline, so the noise between runs of the same code is unknown: no change below can be "
            "told from it. Give two or more."
        )
    return (
        f"Median and range are those of {baselines} earlier runs. Better or worse is said only of what is beyond their "
        "noise: outside of where, by their scatter, 95 of 100 further runs of the same code would lie (prediction "
        "interval of Student's t). So in about one of 20 rows it is said by chance"
        + (", and two runs only show large changes. Give three or more." if baselines == 2 else ".")
    )


def _row(measure: _Measure, results: Results, baselines: Sequence[Results]) -> list[Content] | None:
    value = measure.read(results)
    others = usable(measure.read(baseline) for baseline in baselines)
    if value is None or not usable([value]) or not others:
        return None
    middle = median(others)
    judgement = judge(value, others)
    text = judgement.value
    if judgement is Judgement.BEYOND and measure.more_is_better is not None:
        better = (value > middle) is measure.more_is_better
        text = f"{'▲ better' if better else '▼ worse'}: {text}"
    low, high = measure.text(min(others)), measure.text(max(others))
    cells: list[Content] = [measure.text(value) + measure.unit, measure.text(middle) + measure.unit]
    if len(baselines) > 1:
        cells += [f"{low} to {high}{measure.unit}", range_strip(value, others)]
    return [measure.name, *cells, figures.change(value, middle), text]


def _differences(results: Results, baselines: Sequence[Results]) -> list[Element]:
    """What was not the same: a change of speed may be a change of that."""
    own = _conditions(results)
    rows: list[list[Content]] = []
    for name, value in own.items():
        others = dict.fromkeys(
            other for baseline in baselines if (other := _conditions(baseline).get(name, "not given")) != value
        )
        if others:
            rows.append([name, value, element("ul", *(element("li", other) for other in others))])
    if not rows:
        return [paragraph("The runs had the same environment: CPU, kernel, versions, server command, clients, length.")]
    return [
        element("h3", "What else differs"),
        paragraph("Speed may differ for any of these reasons too."),
        table(["", "this run", "baseline"], rows, numbers=False),
    ]


def _conditions(results: Results) -> dict[str, str]:
    return {
        "length": figures.duration(results.wanted_seconds),
        "connections": figures.count(results.connections),
        "processes watched": figures.count(results.environment.processes_watched),
        **{name: value for name, value in results.environment.rows.items() if name not in _OF_THE_MOMENT},
    }


def _listed(baseline: Results) -> list[Content]:
    return [
        baseline.started,
        baseline.environment.git_revision or figures.UNKNOWN,
        ", ".join(part.word for part in verdict(baseline)),
        figures.rate(baseline.requests_per_second),
        figures.milliseconds(baseline.latency.mean_ms),
        figures.count(baseline.requests),
    ]
