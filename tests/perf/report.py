"""The HTML report of a run. Pure: data in, one self-contained page out; every text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from .client import Outcome
from .latency import Summary

__all__ = ["Run", "render"]

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#ccc, #444); --soft: light-dark(#555, #aaa); }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 3rem; margin: 1.5rem 0; }
.figures dt { color: var(--soft); } .figures dd { margin: 0; font-size: 2.6rem; font-weight: 600; line-height: 1.2; }
.warning { border: 2px solid; padding: .5rem 1rem; font-weight: 600; }
table { border-collapse: collapse; } caption { text-align: left; color: var(--soft); }
th, td { border-bottom: 1px solid var(--line); padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } h2, table { break-after: avoid; break-inside: avoid; } }
"""

_FULL_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Run:
    """All that the report shows; :func:`dataclasses.asdict` of it is the raw data beside it."""

    started: str
    seconds: float
    connections: int
    summary: Summary
    outcome: Outcome
    requests_each_second: list[int]
    environment: dict[str, str]

    @property
    def failures(self) -> int:
        """Failed requests of every kind."""
        return sum(failure.count for failure in self.outcome.failures.values())


def render(run: Run) -> str:
    """The page."""
    span = duration(run.seconds)
    title = f"/cpu_usage under {run.connections} concurrent clients for {span}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head>",
            f"<body><h1>{escape(title)}</h1>",
            *_warnings(run),
            _figures(run, span),
            f"<p>{_verdict(run)}</p>",
            "<h2>Latency of successful requests</h2>",
            _table(("", "ms"), _latencies(run.summary), numbers=True),
            "<p>From the first byte sent to the last byte received, on an open connection. Each client sends its next "
            "request when the answer is there, so while the server stalls nothing is sent, and waiting that clients "
            "with a rate of their own would have suffered is not seen here (coordinated omission).</p>",
            "<h2>Requests in each second</h2>",
            _table(("", "requests"), _spread(run.requests_each_second), numbers=True),
            "<h2>Errors</h2>",
            _errors(run.outcome),
            "<h2>Environment</h2>",
            _table(("", ""), (*_environment(run), *run.environment.items())),
            "</body></html>",
            "",
        ]
    )


def duration(seconds: float) -> str:
    """``5 minutes``, ``90 seconds``."""
    if seconds >= 60 and seconds % 60 == 0:
        minutes = int(seconds // 60)
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{seconds:g} seconds"


def _warnings(run: Run) -> list[str]:
    if run.seconds >= _FULL_SECONDS:
        return []
    return [
        f'<p class="warning">SHORT RUN: {escape(duration(run.seconds))} instead of {duration(_FULL_SECONDS)}. '
        "Good for a look, not for a comparison.</p>"
    ]


def _figures(run: Run, span: str) -> str:
    summary = run.summary
    figures = {
        "Average number of requests per second": f"{summary.requests_per_second:,.0f}",
        "Average time per response": "-" if summary.mean_ms is None else f"{summary.mean_ms:,.3f} ms",
        f"Total number of requests over {span}": f"{summary.requests:,}",
    }
    rows = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
    return f'<dl class="figures">{"".join(rows)}</dl>'


def _verdict(run: Run) -> str:
    outcome = run.outcome
    failed = "No request failed." if not run.failures else f"<strong>{run.failures:,} requests failed.</strong>"
    return (
        f"{failed} Status and length of each answer were checked; "
        f"{outcome.checked_bodies:,} were decoded, and their sequence compared with the one before. "
        f"{outcome.reconnects:,} connections were closed by the server in good order and opened again. "
        f"Before the measurement came {escape(duration(outcome.warm_up_seconds))} of warm-up that do not count."
    )


def _latencies(summary: Summary) -> Iterable[tuple[str, str]]:
    rows = {"average": summary.mean_ms, "min": summary.min_ms, **summary.percentiles_ms, "max": summary.max_ms}
    return ((name, "-" if value is None else f"{value:,.3f}") for name, value in rows.items())


def _spread(counts: Sequence[int]) -> Iterable[tuple[str, str]]:
    if not counts:
        return [("whole seconds", "0")]
    ordered = sorted(counts)
    return [
        ("slowest second", f"{ordered[0]:,}"),
        ("median", f"{ordered[len(ordered) // 2]:,}"),
        ("fastest second", f"{ordered[-1]:,}"),
    ]


def _errors(outcome: Outcome) -> str:
    if not outcome.failures:
        return "<p>None.</p>"
    rows = ((kind, f"{failure.count:,}", failure.first) for kind, failure in outcome.failures.items())
    return _table(("kind", "count", "the first one"), rows)


def _environment(run: Run) -> Iterable[tuple[str, str]]:
    outcome = run.outcome
    elapsed_ns = max(outcome.elapsed_ns, 1)
    return [
        ("started", run.started),
        ("measured", f"{outcome.elapsed_ns / 1e9:.3f} s"),
        ("processes watched", "-" if outcome.processes is None else f"{outcome.processes:,}"),
        ("body", f"{outcome.shortest_body:,} to {outcome.longest_body:,} bytes"),
        ("client's CPU", f"{100 * outcome.client_cpu_ns / (elapsed_ns + outcome.warm_up_seconds * 1e9):.0f} % of one"),
    ]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    kind = ' class="number"' if numbers else ""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td{kind}>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    titles = f"<thead><tr>{head}</tr></thead>" if any(headings) else ""
    return f"<table>{titles}<tbody>{body}</tbody></table>"
