"""The connection of the page: lost and restored, shared by tabs, with a token, below a prefix."""

from __future__ import annotations

import re

import httpx
import pytest
from browser import keep_screenshot, needs_chromium, window
from live_server import CPUWATCH_SERVE, Server, running_server
from playwright.sync_api import Browser, expect

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

INTERVAL = "0.2"


def test_the_page_recovers_when_the_server_comes_back(browser: Browser) -> None:
    first = Server(CPUWATCH_SERVE, CPUWATCH_INTERVAL=INTERVAL)
    with httpx.Client(base_url=first.url) as client:
        first.wait_until_ready(client)
    address = first.url.removeprefix("http://")
    again = (*CPUWATCH_SERVE[:-1], address)
    with window(browser, f"{first.url}/", allowed="ERR_") as page:
        try:
            expect(page.locator("#status")).to_contain_text("Live")
        finally:
            first.stop()
        expect(page.locator("#status")).to_contain_text("Stale for")
        keep_screenshot(page, "stale")
        with running_server(again, CPUWATCH_INTERVAL=INTERVAL):
            expect(page.locator("#status")).to_contain_text("Live")
            expect(page.locator("tr.process").first).to_be_visible()


def test_the_page_asks_for_the_token_once_per_tab(browser: Browser) -> None:
    token = "a-token-for-the-page"  # noqa: S105
    with (
        running_server(CPUWATCH_SERVE, CPUWATCH_TOKEN=token) as server,
        window(browser, f"{server.url}/", allowed="401") as page,
    ):
        assert httpx.get(f"{server.url}/").text.count("<tr>") == 1
        field = page.get_by_label("This server requires a token")
        field.fill("a-wrong-token-of-mine")
        field.press("Enter")
        expect(page.locator("#token-note")).to_contain_text("rejected")
        field.fill(token)
        field.press("Enter")
        expect(page.locator("#status")).to_contain_text("Live")
        page.reload()
        expect(page.locator("#status")).to_contain_text("Live")


def test_the_page_works_below_a_prefix(browser: Browser) -> None:
    with (
        running_server((*CPUWATCH_SERVE, "--root-path", "/cpu")) as server,
        window(browser, f"{server.url}/cpu/") as page,
    ):
        expect(page.locator("#status")).to_contain_text("Live")


def test_a_hidden_tab_closes_the_stream_and_catches_up_when_visible(browser: Browser) -> None:
    show = """(state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with (
        running_server((*CPUWATCH_SERVE, "--access-log"), CPUWATCH_INTERVAL=INTERVAL) as server,
        window(browser, f"{server.url}/") as page,
    ):
        expect(page.locator("#status")).to_contain_text("Live")
        page.evaluate(show, "hidden")
        # The server logs a request when it is complete.
        expect(page.locator("#status")).to_contain_text("Stale")
        assert "/cpu_usage/stream " in server.output.replace('"', " ").replace("\n", " ")
        before = page.locator("#sum").inner_text()
        page.evaluate(show, "visible")
        expect(page.locator("#status")).to_contain_text("Live")
        expect(page.locator("#sum")).not_to_have_text(before)


def test_a_link_to_an_expired_moment_says_so_and_goes_live(browser: Browser) -> None:
    with (
        running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL=INTERVAL) as server,
        window(browser, f"{server.url}/#at=2020-01-01T00:00:00Z") as page,
    ):
        expect(page.locator("#filter-note")).to_contain_text("no longer has the moment")
        expect(page.locator("#status")).to_contain_text("Live")


def test_tabs_share_one_connection(browser: Browser) -> None:
    with running_server((*CPUWATCH_SERVE, "--access-log"), CPUWATCH_INTERVAL=INTERVAL) as server:
        context = browser.new_context()
        pages = [context.new_page() for _ in range(3)]
        for page in pages:
            page.goto(f"{server.url}/")
            expect(page.locator("#status")).to_contain_text("Live")
        context.close()
        server.stop()
        streams = re.findall(r"target=\S*/cpu_usage/stream[\s\"]", server.output)
        assert len(streams) == 1, server.output
