"""The pytest plugin of cpuwatch: its options. Everything else is loaded with ``pytest --cpu`` only.

It is outside the package, because pytest loads it at every start and ``import cpuwatch`` takes longer than all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("cpuwatch", "CPU time of tests")
    group.addoption(
        "--cpu",
        action="store_true",
        help="measure the CPU time of each test, its subprocesses included, and show the tests that used the most",
    )
    group.addoption(
        "--cpu-tests",
        type=int,
        default=10,
        metavar="N",
        help="show at most N tests (default: 10)",
    )
    group.addoption("--cpu-json", metavar="FILE", help="write the CPU time of every test to FILE; implies --cpu")


def pytest_configure(config: pytest.Config) -> None:
    """Register what measures, if it was asked for."""
    if config.option.cpu or config.option.cpu_json:
        from cpuwatch.pytest_plugin import CpuOfTests  # noqa: PLC0415  loaded on request only

        config.pluginmanager.register(CpuOfTests(config), "cpuwatch-cpu")
