"""The options of the performance suite, and the destination of its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from benchmarks.loadgen import plan
from benchmarks.loadgen.plan import DEFAULT, Plan
from benchmarks.loadgen.results import Results

finished = pytest.StashKey[tuple[Results, Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("performance", "the performance scenario (tests/perf)")

    def add(name: str, field: str, kind: Callable[[str], object], metavar: str, text: str) -> None:
        group.addoption(name, dest=field, type=kind, metavar=metavar, help=text)

    fixed_rate = "length of the phase at a fixed rate, 0 for none (a fifth of the duration, at most 60)"
    server = f"the server to start; {{port}} stands for its port ({DEFAULT.server_command})"
    add("--duration", "duration_seconds", plan.seconds(1), "SECONDS", "length of the measurement (300)")
    add("--clients", "connections", plan.connections, "N", "concurrent connections (5)")
    add("--warm-up", "warm_up_seconds", plan.seconds(0), "SECONDS", "load before the measurement (5)")
    add("--fixed-rate-seconds", "fixed_rate_seconds", plan.seconds(0), "SECONDS", fixed_rate)
    add("--url", "address", plan.address, "URL", "measure a running server on this machine instead")
    add("--server-command", "server_command", plan.command, "COMMAND", server)
    add("--port", "port", plan.port, "N", "the server's port (a free one)")
    add("--extra-processes", "extra_processes", plan.processes, "N", "additional processes to watch (0)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("address", None) and (
        config.getoption("server_command", None) or config.getoption("port", None)
    ):
        raise pytest.UsageError("--url names a running server; --server-command and --port cannot be used with it")


@pytest.fixture
def scenario(pytestconfig: pytest.Config) -> Plan:
    # If pytest starts above this directory, it reads this file too late for the options.
    given = {field.name: pytestconfig.getoption(field.name, None) for field in fields(Plan)}
    return replace(DEFAULT, **{name: value for name, value in given.items() if value is not None})


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
