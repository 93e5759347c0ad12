"""Screenshots of the page for visual review, in reports/page/."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from browser import keep_screenshot, needs_chromium, window
from live_processes import puppet, shell_loop
from live_server import CPUWATCH_SERVE, Server, running_server
from playwright.sync_api import Browser, expect

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

LOADS = {b"postgres": 0.35, b"node": 0.2, b"nginx": 0.05, b"python3": 0.1}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server on a machine with some load, of which a shell loop makes the most."""
    with ExitStack() as stack:
        for name, load in LOADS.items():
            child = stack.enter_context(puppet())
            child.rename(name)
            child.burn(load)
        stack.enter_context(shell_loop())
        yield stack.enter_context(running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2"))


WIDE = {"width": 1600, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize(
    ("name", "viewport", "scheme", "fragment", "keys"),
    [
        ("light", WIDE, "light", "", ""),
        ("dark", WIDE, "dark", "", ""),
        ("laptop", {"width": 1100, "height": 700}, "light", "", ""),
        ("phone", PHONE, "light", "", ""),
        ("phone-dark", PHONE, "dark", "", ""),
        ("tree", WIDE, "light", "#view=tree", ""),
        ("group", WIDE, "dark", "#view=user", ""),
        ("help", WIDE, "light", "", "?"),
        ("detail", WIDE, "light", "#filter=postgres", "open"),
        ("detail-phone", PHONE, "light", "#filter=postgres", "open"),
        # For the README (docs/page-*.png); last, so that there is a history to show.
        ("page-light", {"width": 1200, "height": 500}, "light", "", ""),
        ("page-dark", {"width": 1200, "height": 500}, "dark", "", ""),
    ],
)
def test_pictures(
    browser: Browser, server: Server, name: str, viewport: dict[str, int], scheme: str, fragment: str, keys: str
) -> None:
    with window(browser, f"{server.url}/{fragment}", viewport=viewport, color_scheme=scheme) as page:
        expect(page.locator("#status")).to_contain_text("Live")
        page.wait_for_timeout(1000)
        if keys == "open":
            page.locator("button.name").first.click()
            expect(page.locator("#detail")).to_be_visible()
        elif keys:
            page.keyboard.press(keys)
        if name.startswith("page-"):
            expect(page.locator("button.name bdi").first).to_have_text("sh", timeout=60_000)
        # Nothing overflows horizontally.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep_screenshot(page, name)
