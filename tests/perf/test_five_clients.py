"""Five concurrent clients for five minutes: the rate and latency of requests, and the number of failures."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from benchmarks.loadgen.outcome import Progress
from benchmarks.loadgen.plan import Plan
from benchmarks.loadgen.scenario import Show, measure
from benchmarks.loadgen.target_server import NoServerError
from benchmarks.report.page import render

from .conftest import finished
from .thresholds import thresholds


def _progress_line(config: pytest.Config, clients: int) -> Show:
    """Return a function that shows the progress in one line of a terminal, and nothing in a log."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty:
        return lambda *_: None
    rewrite, flush = reporter.rewrite, reporter.flush
    # pytest captures output, even that of its reporter.
    capture = config.pluginmanager.get_plugin("capturemanager")
    uncaptured = nullcontext if capture is None else capture.global_and_fixture_disabled

    def show(phase: str, seconds: float, news: Progress) -> None:
        if news.seconds <= 0:
            text = f"warming up, {-news.seconds:.0f} s left"
        else:
            rate = news.requests / news.seconds
            left = max(0.0, seconds - news.seconds)
            text = f"{left:.0f} s left, {rate:,.0f} requests a second, {news.failures:,} failed"
        with uncaptured():
            rewrite(f"{clients} clients, {phase}: {text}", erase=True)
            flush()

    return show


def test_every_request_of_five_clients_is_answered(scenario: Plan, reports: Path, pytestconfig: pytest.Config) -> None:
    try:
        results = measure(scenario, thresholds, _progress_line(pytestconfig, scenario.connections))
    except NoServerError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    (reports / "perf.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    page = reports / "perf.html"
    page.write_text(render(results), encoding="utf-8")
    pytestconfig.stash[finished] = results, page
    if results.partial:
        # Interrupted by Ctrl-C; the results so far are saved.
        raise KeyboardInterrupt

    wrong = [] if results.invalid is None else [f"INVALID: {results.invalid}"]
    wrong += [f"{row.name}: {row.found}, allowed: {row.allowed}" for row in results.thresholds if not row.passed]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)
