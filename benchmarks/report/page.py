"""The HTML report of a run. Pure: data in, one self-contained page out that needs neither network nor script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from benchmarks.loadgen.results import Results
from benchmarks.report import figures, sections
from benchmarks.report.comparison import comparison
from benchmarks.report.markup import Content, document, element, paragraph, table
from benchmarks.report.verdict import verdict

__all__ = ["render"]

_STYLE = Path(__file__).with_name("page.css")


def render(results: Results, baseline: Sequence[Results] = ()) -> str:
    """The page; with earlier runs to compare with, if there are any."""
    parts: list[tuple[str, str, Sequence[Content]]] = [
        ("thresholds", "Thresholds", [_thresholds(results)]),
        ("latency", "Latency", sections.latency(results)),
        ("time", "Over time", sections.time_lines(results)),
        ("errors", "Errors", sections.errors(results)),
        ("freshness", "Freshness of the data", sections.freshness(results)),
        ("sampler", "Does the sampler disturb the requests?", sections.sampler(results)),
        ("loop", "What a closed loop hides", sections.closed_loop(results)),
        ("client", "Was it the server that was measured?", sections.client(results)),
        ("server", "What it cost the server", sections.server(results)),
        ("environment", "Environment", sections.environment(results)),
    ]
    if baseline:
        parts.insert(1, ("comparison", "Comparison with earlier runs", comparison(results, baseline)))
    title = f"cpuwatch: {figures.count(results.connections)} concurrent clients, {_span(results)}"
    return document(
        title,
        _STYLE.read_text(encoding="utf-8"),
        element(
            "header",
            element("h1", title),
            paragraph(f"{results.url} · started {results.started}", class_="soft"),
            _verdict(results),
            _three_figures(results),
        ),
        element("nav", *(element("a", name, href=f"#{key}") for key, name, _ in parts), aria_label="Sections"),
        element(
            "main",
            *(element("section", element("h2", name), *content, id=key) for key, name, content in parts),
        ),
    )


def _span(results: Results) -> str:
    """What was measured; what was wanted, if that is the same but for a part of a second."""
    if not results.partial and abs(results.seconds - results.wanted_seconds) < 1:
        return figures.duration(results.wanted_seconds)
    return figures.duration(results.seconds)


def _verdict(results: Results) -> Element:
    return element(
        "div",
        *(
            paragraph(element("strong", found.word, class_=f"badge {found.style}"), " ", found.reason)
            for found in verdict(results)
        ),
        class_="verdict",
    )


def _three_figures(results: Results) -> Element:
    average_ms = results.latency.mean_ms
    shown = {
        "Average number of requests per second": (figures.rate(results.requests_per_second), ""),
        "Average time per response": (figures.milliseconds(average_ms), "" if average_ms is None else "ms"),
        f"Total number of requests over {_span(results)}": (figures.count(results.requests), ""),
    }
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value, element("small", f" {unit}") if unit else None))
            for name, (value, unit) in shown.items()
        ),
        class_="figures",
    )


def _thresholds(results: Results) -> Element:
    if not results.thresholds:
        return paragraph("None.")
    rows: list[list[Content]] = [
        [
            threshold.name,
            element("span", "✓ pass" if threshold.passed else "✗ fail", class_="pass" if threshold.passed else "fail"),
            threshold.found,
            threshold.allowed,
        ]
        for threshold in results.thresholds
    ]
    return table(["", "verdict", "found", "allowed"], rows, numbers=False)
