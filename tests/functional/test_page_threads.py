"""The threads of a process in its panel on the page, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import keep_screenshot, needs_chromium, violations, window
from live_processes import Child, started
from live_server import CPUWATCH_SERVE, Server, running_server
from playwright.sync_api import Browser, Locator, Page, expect

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

INTERVAL = "0.2"


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL=INTERVAL, CPUWATCH_ACCESS_LOG="true") as found:
        yield found


@pytest.fixture
def child() -> Iterator[Child]:
    """A process with threads that have unusual names."""
    with started("named_threads.py") as process:
        found = Child(process)
        assert found.answer() == "ready"
        for name in (b"worker-one", b"<b>bold</b>", b"\x1b[31mred"):
            found.command(f"start {name.hex()}")
        yield found


def panel_of(page: Page, child: Child) -> Locator:
    """The panel of the process, opened through the address."""
    key = f"{child.pid}-{Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    expect(page.locator("#status")).to_have_text(re.compile("Live"))
    page.evaluate("key => { location.hash = `open=${key}`; }", key)
    expect(page.locator("#detail")).to_be_visible()
    return page.locator("#detail .threads")


def requests_for_threads(server: Server) -> int:
    return server.output.count("/threads?")


def wait_for_ticks(page: Page, count: int) -> None:
    """Wait for the time of this many ticks."""
    page.wait_for_timeout(count * float(INTERVAL) * 1000)


def test_threads_are_shown_and_read_only_while_their_section_is_open(
    browser: Browser, server: Server, child: Child
) -> None:
    with window(browser, f"{server.url}/") as page:
        section = panel_of(page, child)
        wait_for_ticks(page, 5)
        assert requests_for_threads(server) == 0
        section.locator("summary").click()
        names = section.locator("tbody th bdi")
        expect(names).to_have_count(4)
        assert {"worker-one", "<b>bold</b>", "\\x1b[31mred"} < set(names.all_inner_texts())
        expect(section.locator(".note")).to_contain_text("All threads: ")
        assert section.locator("tbody tr").first.locator("td").count() == 5
        assert violations(page) == []
        keep_screenshot(page, "threads")
        # It goes on while the section is open.
        before = requests_for_threads(server)
        while requests_for_threads(server) < before + 2:
            page.wait_for_timeout(50)
        before = requests_for_threads(server)
        section.locator("summary").click()
        wait_for_ticks(page, 30)
        # One was under way, and another one may have begun before the page noticed.
        assert requests_for_threads(server) <= before + 2


def test_a_new_thread_appears_and_an_exited_process_is_reported(browser: Browser, server: Server, child: Child) -> None:
    with window(browser, f"{server.url}/", allowed="404") as page:
        section = panel_of(page, child)
        section.locator("summary").click()
        names = section.locator("tbody th bdi")
        expect(names).to_have_count(4)
        child.command(f"start {b'latecomer'.hex()}")
        expect(names.filter(has_text="latecomer")).to_have_count(1)
        child.end()
        child.reap()
        expect(section.locator(".note")).to_have_text("The process has exited.")
        expect(section.locator("table")).to_be_hidden()


def test_threads_of_the_past_are_not_known(browser: Browser, server: Server, child: Child) -> None:
    with window(browser, f"{server.url}/") as page:
        section = panel_of(page, child)
        section.locator("summary").click()
        expect(section.locator("tbody tr")).to_have_count(4)
        page.locator("#pause").click()
        expect(section.locator(".note")).to_have_text("Threads are not recorded.")
        expect(section.locator("table")).to_be_hidden()
        page.locator("#pause").click()
        expect(section.locator("tbody tr")).to_have_count(4)
