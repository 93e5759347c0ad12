"""The options of the performance suite, and where its results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from .report import Run

FULL_SECONDS = 300.0

finished = pytest.StashKey[tuple[Run, Path]]()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86_400:
        raise ValueError(f"{text} is no number of seconds from 1 to 86400")
    return seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--duration",
        type=_seconds,
        default=FULL_SECONDS,
        metavar="SECONDS",
        help="how long the performance scenario measures (default: 300)",
    )


@pytest.fixture
def duration(pytestconfig: pytest.Config) -> float:
    # A default here as well: if pytest is started above this directory, it comes to know the option too late.
    seconds: float = pytestconfig.getoption("--duration", FULL_SECONDS)
    return seconds


@pytest.fixture
def reports(pytestconfig: pytest.Config) -> Path:
    directory = pytestconfig.rootpath / "reports"
    directory.mkdir(exist_ok=True)
    return directory


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if finished not in config.stash:
        return
    run, page = config.stash[finished]
    summary = run.summary
    terminalreporter.section("performance")
    terminalreporter.line(f"average number of requests per second: {summary.requests_per_second:,.0f}")
    terminalreporter.line(f"average time per response: {summary.mean_ms or 0:.3f} ms")
    terminalreporter.line(f"total number of requests over {run.seconds:g} s: {summary.requests:,}")
    terminalreporter.line(f"failed requests: {run.failures}")
    terminalreporter.line(f"report: {page.relative_to(config.rootpath)}")
