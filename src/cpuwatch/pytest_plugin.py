"""``pytest --cpu``: the CPU time of each test, from setup to teardown, with its subprocesses.

The amounts travel as user properties of the last report of a test. So they are in JUnit XML, and pytest-xdist brings
them from its workers.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from cpuwatch.encoding.columns import aligned
from cpuwatch.measuring.block import Measurement, measure
from cpuwatch.measuring.used import seconds

__all__ = ["CpuOfTest", "CpuOfTests"]

_PROPERTIES = {
    "cpu_seconds": "cpu_seconds",
    "cpu_own_seconds": "own_seconds",
    "cpu_children_seconds": "children_seconds",
    "cpu_elapsed_seconds": "elapsed_seconds",
}
"""The attribute of the measurement for each user property, in the order of the fields below."""


class CpuOfTest(Struct, frozen=True, gc=False):
    """What one test used: the process of pytest itself, and the subprocesses that exited or were alive at the end."""

    test: str
    cpu_seconds: float
    own_seconds: float
    children_seconds: float
    elapsed_seconds: float


class CpuOfTests:
    """Measures the tests in this process, and collects and shows the results of all processes."""

    def __init__(self, config: pytest.Config) -> None:
        self._count: int = config.option.cpu_tests
        self._json: str | None = config.option.cpu_json
        self._is_worker = hasattr(config, "workerinput")
        self._running: Measurement | None = None
        self._results: list[CpuOfTest] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Measure a test."""
        with measure() as self._running:
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the amounts to the report about the teardown, which is the last one."""
        if call.when == "teardown" and self._running is not None:
            used = self._running
            item.user_properties += [(name, getattr(used, field)) for name, field in _PROPERTIES.items()]
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the amounts."""
        properties = dict(report.user_properties)
        if report.when == "teardown" and not self._is_worker and "cpu_seconds" in properties:
            amounts = [float(str(properties[name])) for name in _PROPERTIES]
            self._results.append(CpuOfTest(report.nodeid, *amounts))

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        if self._json is not None and not self._is_worker:
            tests = sorted(self._results, key=lambda result: -result.cpu_seconds)
            Path(self._json).write_bytes(msgspec.json.format(msgspec.json.encode({"tests": tests})) + b"\n")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the tests that used the most."""
        shown = sorted(self._results, key=lambda result: -result.cpu_seconds)[: self._count]
        if not shown:
            return
        total = sum(result.cpu_seconds for result in self._results)
        terminalreporter.section(f"{seconds(total)} s of CPU in {len(self._results)} tests")
        headings = ("CPU s", "OWN s", "CHILDREN s", "ELAPSED s", "TEST")
        for line in aligned(headings, map(_cells, shown), left={"TEST"}):
            terminalreporter.write_line(line)


def _cells(result: CpuOfTest) -> tuple[str, ...]:
    amounts = (result.cpu_seconds, result.own_seconds, result.children_seconds, result.elapsed_seconds)
    return (*map(seconds, amounts), result.test)
