from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=20.0, help="how long the server is under load (20)")


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    minutes: float = request.config.getoption("--minutes")
    if not 1 <= minutes <= 1440:
        raise pytest.UsageError(f"--minutes {minutes:g}: must be from 1 to 1440")
    return minutes * 60
