"""A plugin for the tests of the page: the browser of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import chromium
from playwright.sync_api import Browser


# Not for the session: as long as Playwright runs, asyncio cannot in the same thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started
