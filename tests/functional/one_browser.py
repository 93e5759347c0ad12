"""A pytest plugin for the tests of the page: one browser per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import chromium
from playwright.sync_api import Browser


# Not session-scoped: while Playwright runs, asyncio cannot run in the same thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started
