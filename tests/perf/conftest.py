"""The options of the performance suite, and where its results go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.loadgen import plan
from benchmarks.loadgen.plan import DEFAULT, Plan
from benchmarks.loadgen.results import Results

finished = pytest.StashKey[tuple[Results, Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("performance", "the performance scenario (tests/perf)")

    def add(name: str, **about: Any) -> None:
        group.addoption(name, **about)

    add("--duration", type=plan.seconds(1), metavar="SECONDS", help="how long to measure (300)")
    add("--clients", type=plan.connections, metavar="N", help="concurrent connections (5)")
    add("--warm-up", type=plan.seconds(0), metavar="SECONDS", help="load before that does not count (5)")
    add(
        "--fixed-rate-seconds",
        type=plan.seconds(0),
        metavar="SECONDS",
        help="length of the phase at a fixed rate; 0: without (a fifth of the duration, 60 at most)",
    )
    add("--url", type=plan.address, help="measure the server that runs there already, on this machine")
    add(
        "--server-command",
        type=plan.command,
        metavar="COMMAND",
        help=f"the server to start, with {{port}} in it ({DEFAULT.server_command})",
    )
    add("--port", type=plan.port, metavar="N", help="the port that the server gets (a free one)")
    add("--extra-processes", type=plan.processes, metavar="N", help="processes to be watched besides (0)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--url", None) and (
        config.getoption("--server-command", None) or config.getoption("--port", None)
    ):
        raise pytest.UsageError("--url names a server that runs already: --server-command and --port do not go with it")


@pytest.fixture
def scenario(pytestconfig: pytest.Config) -> Plan:
    def chosen(option: str, default: Any) -> Any:
        # If pytest is started above this directory, it comes to know the options too late.
        value = pytestconfig.getoption(option, None)
        return default if value is None else value

    return Plan(
        duration_seconds=chosen("--duration", DEFAULT.duration_seconds),
        connections=chosen("--clients", DEFAULT.connections),
        warm_up_seconds=chosen("--warm-up", DEFAULT.warm_up_seconds),
        fixed_rate_seconds=chosen("--fixed-rate-seconds", DEFAULT.fixed_rate_seconds),
        address=chosen("--url", DEFAULT.address),
        server_command=chosen("--server-command", DEFAULT.server_command),
        port=chosen("--port", DEFAULT.port),
        extra_processes=chosen("--extra-processes", DEFAULT.extra_processes),
    )


@pytest.fixture
def reports(pytestconfig: pytest.Config) -> Path:
    directory = pytestconfig.rootpath / "reports"
    directory.mkdir(exist_ok=True)
    return directory


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if finished not in config.stash:
        return
    results, page = config.stash[finished]
    say = terminalreporter.line
    terminalreporter.section("performance")
    if results.partial:
        say(f"PARTIAL: stopped after {results.seconds:.0f} of {results.wanted_seconds:g} s", yellow=True)
    if results.invalid:
        say(f"INVALID: {results.invalid}", red=True)
    mean_ms = results.latency.mean_ms
    say(f"average number of requests per second: {results.requests_per_second:,.0f}")
    say(f"average time per response: {'-' if mean_ms is None else f'{mean_ms:.3f} ms'}")
    say(f"total number of requests over {results.seconds:.0f} s: {results.requests:,}")
    for threshold in results.thresholds:
        word = "pass" if threshold.passed else "FAIL"
        say(f"{word}: {threshold.name}: {threshold.found} (allowed: {threshold.allowed})", red=not threshold.passed)
    say(
        f"client: {results.client_cpu_percent:.0f} % of a core; it reaches "
        f"{results.calibration.requests_per_second:,.0f} requests a second against a server that does nothing"
    )
    say(f"report: {page.relative_to(config.rootpath)}")
