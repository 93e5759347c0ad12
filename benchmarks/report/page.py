"""The HTML report of a run. Pure: data in, one self-contained page out that needs neither network nor script."""

from __future__ import annotations

from benchmarks.loadgen.results import LatencySummary, Results
from benchmarks.loadgen.validity import MAX_CLIENT_CPU_PERCENT, MAX_SHARE_OF_CEILING
from benchmarks.report import figures, templates
from benchmarks.report.timeline import charts, spans
from benchmarks.report.verdict import verdict

__all__ = ["cpu_per_request_us", "render"]


def render(results: Results) -> str:
    """The page."""
    seconds = spans(results.seconds_log)
    latencies = _latencies(results)
    return templates.render(
        "report/run.html.j2",
        results=results,
        span=_span(results),
        verdicts=verdict(results),
        latencies=latencies,
        percentiles=list(dict.fromkeys(name for each in latencies.values() for name in each.percentiles_ms)),
        spans=seconds,
        charts=charts(seconds),
        cpu_per_request_us=cpu_per_request_us(results),
        max_share_of_ceiling_percent=100 * MAX_SHARE_OF_CEILING,
        max_client_cpu_percent=MAX_CLIENT_CPU_PERCENT,
    )


def cpu_per_request_us(results: Results) -> float | None:
    """CPU time of all server processes per request, in microseconds."""
    known = [
        (second.server_cpu_percent, second.requests)
        for second in results.seconds_log
        if second.server_cpu_percent is not None
    ]
    requests = sum(count for _, count in known)
    return sum(cpu for cpu, _ in known) * 10_000 / requests if requests > 0 else None


def _latencies(results: Results) -> dict[str, LatencySummary]:
    """The columns of the latency table, by heading."""
    columns = {"answered": results.latency}
    if results.failed_latency.count:
        columns["failed"] = results.failed_latency
    if results.fixed_rate is not None:
        columns["fixed rate, from sent"] = results.fixed_rate.from_sent
        columns["fixed rate, from due"] = results.fixed_rate.from_intended
    return columns


def _span(results: Results) -> str:
    """The length that was measured, or the length that was wanted if they differ by less than a second."""
    if not results.partial and abs(results.seconds - results.wanted_seconds) < 1:
        return figures.duration(results.wanted_seconds)
    return figures.duration(results.seconds)
