"""Headless Chromium, and windows that fail on unexpected errors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
ARTIFACTS = Path(__file__).parents[2] / "reports" / "page"
TIMEOUT_MS = 15_000

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed (Debian: apt install chromium)"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        # Tests run as root, where Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def window(browser: Browser, url: str, *, allowed: str = "\0", **options: Any) -> Iterator[Page]:
    """Opens a new window at this address. On exit, fails if it reported an error or made a request to another host.

    Console messages that contain ``allowed`` are expected, for example those about a stopped server or a 401.
    """
    context = browser.new_context(**({"viewport": {"width": 1400, "height": 860}} | options))
    try:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        wrong: list[str] = []
        origin = urlsplit(url).netloc
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"a dialog opened: {dialog.message}"))
        page.on(
            "console",
            lambda message: (
                wrong.append(f"console: {message.text}")
                if message.type in {"error", "warning"} and allowed not in message.text
                else None
            ),
        )
        context.on(
            "request",
            lambda request: wrong.append(f"foreign: {request.url}") if urlsplit(request.url).netloc != origin else None,
        )
        page.goto(url)
        yield page
        assert wrong == []
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """The violations that axe-core finds, as text."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']][:3]}" for rule in found]


def keep_screenshot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
