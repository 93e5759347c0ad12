"""The page of machines, in a browser: three real services, a dead one, a slow one, and one that sends hostile names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import keep_screenshot, needs_chromium, violations, window
from live_server import CPUWATCH_SERVE, Server, running_server
from peer_servers import answer, raw_server
from playwright.sync_api import Browser, Page, expect

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

TOKEN = "of-the-machines-0123456789"  # noqa: S105  a token for this test only
SLOW_SECONDS = 1.5
HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def usage(name: str, cpu_percent: float) -> bytes:
    body = {
        "time": "2026-01-01T00:00:00.000000Z",
        "interval_seconds": 3600.0,
        "host": {"name": name, "logical_cpus": 4},
        "machine": {"cpu_percent": cpu_percent},
        "attribution": {"processes_percent": cpu_percent, "exited_percent": 0.0, "unattributed_percent": 0.0},
        "processes": [{"pid": 7, "name": HOSTILE, "user": "root", "total_percent": 4 * cpu_percent}],
    }
    return answer(json.dumps(body).encode())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """The service with the list, and the three real ones in it."""
    folder: Path = tmp_path_factory.mktemp("machines")
    (folder / "token").write_text(TOKEN)

    def slowly(_: bytes) -> bytes:
        time.sleep(SLOW_SECONDS)
        return usage("slow", 0.0)

    with ExitStack() as stack:
        real = [stack.enter_context(running_server(CPUWATCH_SERVE)) for _ in range(3)]
        slow, hostile = (stack.enter_context(raw_server(each)) for each in (slowly, lambda _: usage(HOSTILE, 100.0)))
        lines = [f"{server.url} name=real-{number}" for number, server in enumerate(real, 1)]
        lines += [f"127.0.0.1:{slow.port} name=slow", f"127.0.0.1:{hostile.port}", "127.0.0.1:1 name=dead"]
        (folder / "peers").write_text("\n".join(lines))
        flags = ("--peers", str(folder / "peers"), "--token-file", str(folder / "token"))
        yield [stack.enter_context(running_server((*CPUWATCH_SERVE, *flags))), *real]


@pytest.fixture
def page(browser: Browser, servers: list[Server]) -> Iterator[Page]:
    # The first request has no token, and the browser reports its 401.
    with window(browser, f"{servers[0].url}/machines", allowed="401") as opened:
        opened.locator("#token-value").fill(TOKEN)
        opened.keyboard.press("Enter")
        yield opened


def test_all_machines_are_side_by_side_with_their_state(page: Page) -> None:
    machines = page.locator(".machine")
    expect(machines).to_have_count(6)
    expect(page.locator("#status")).to_have_text("1 of 6 machines without an answer")
    expect(page.locator(".machine.failed")).to_have_text("dead\u2013\u2013No answer: Connection refused")
    expect(page.locator(".machine.slow .fact")).to_contain_text("Slow: ")
    expect(page.locator(".machine.live")).to_have_count(4)
    # The busiest comes first, its names are text, and nothing of them is markup.
    expect(machines.first).to_contain_text("<img src=x onerror=alert(1)>\\u202e")
    expect(machines.first.locator(".figure")).to_have_text("100.0 %")
    expect(machines.first.locator(".worst-figure")).to_have_text("400.0 %")
    expect(page.locator("img")).to_have_count(0)
    expect(machines.last).to_contain_text("dead")
    keep_screenshot(page, "machines")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_click_opens_the_page_of_the_machine(page: Page, servers: list[Server]) -> None:
    link = page.locator(".machine", has_text="real-2")
    expect(link).to_have_attribute("href", f"{servers[2].url}/")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")


def test_the_filter_the_order_and_the_keys(page: Page) -> None:
    machines = page.locator(".machine")
    expect(page.locator(".machine.live")).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.type("real-")
    expect(machines).to_have_count(3)
    page.keyboard.press("Escape")
    expect(machines).to_have_count(6)
    page.locator("#sort").select_option("state")
    expect(machines.first).to_contain_text("dead")
    page.locator("#sort").select_option("name")
    expect(machines.first).to_contain_text("<img")
    page.keyboard.press("ArrowRight")
    expect(machines.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(machines.nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(machines.first).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("real-3")
    expect(machines).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(machines.first).to_be_focused()


def test_a_service_that_stops_is_told(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "peers").write_text("127.0.0.1:1 name=dead\n")
    server = Server((*CPUWATCH_SERVE, "--peers", str(tmp_path / "peers")))
    try:
        with window(browser, f"{server.url}/machines", allowed="ERR_") as opened:
            expect(opened.locator(".machine.failed")).to_have_count(1)
            server.stop()
            expect(opened.locator("#status")).to_contain_text("No answer from this server since ")
    finally:
        server.clean_up()
