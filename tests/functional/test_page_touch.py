"""The page on a touch screen, and with reduced motion."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser import keep_screenshot, needs_chromium, violations, window
from live_processes import Puppet, puppet, shell_loop
from live_server import CPUWATCH_SERVE, Server, running_server
from playwright.sync_api import Browser, Page, expect

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TARGET_PIXELS = 24  # WCAG 2.2, 2.5.8


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as started:
        yield started


@pytest.fixture(scope="module")
def burner() -> Iterator[Puppet]:
    with puppet() as child:
        child.rename(b"touch-burner")
        child.burn(0.3)
        yield child


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Page]:
    with window(browser, f"{server.url}/", **PHONE) as page:
        expect(page.locator("#status")).to_contain_text("Live")
        yield page


def test_a_tap_opens_a_process_and_another_closes_it(phone: Page, burner: Puppet) -> None:
    # With a single row, no other can take its place before the tap.
    phone.locator("#filter").fill("touch-burner")
    expect(phone.locator("tr.process")).to_have_count(1)
    phone.locator("td.c-total_percent").tap()
    detail = phone.locator("#detail")
    expect(detail.locator("h2")).to_contain_text(str(burner.pid))
    detail.locator(".kin").get_by_role("button", name=re.compile(f"^{os.getpid()} ")).tap()
    expect(detail.locator("h2")).to_contain_text(str(os.getpid()))
    detail.get_by_role("button", name="Close").tap()
    expect(detail).to_be_hidden()
    # The finger is lifted, so rows may move again.
    expect(phone.locator("#held")).to_have_text("")
    assert violations(phone) == []


def test_every_shortcut_has_a_touch_control(phone: Page, burner: Puppet) -> None:
    phone.locator("#view").select_option("tree")
    parent = phone.locator(f'tr.process:has(td.c-pid:text-is("{os.getpid()}"))')
    phone.locator("#filter").fill("touch-burner")
    expect(parent.locator("button.name")).to_have_attribute("aria-expanded", "true")
    parent.locator(".twist").tap()
    expect(parent.locator("button.name")).to_have_attribute("aria-expanded", "false")
    phone.locator("#filter").fill("")
    phone.locator("#view").select_option("name")
    expect(phone.locator("tr.group").first).to_be_visible()
    phone.locator("#view").select_option("")
    # This column is hidden on a phone.
    phone.locator("#sort").select_option("threads")
    phone.locator("#direction").tap()
    expect(phone).to_have_url(re.compile("sort=threads"))
    phone.get_by_role("button", name="Pause").tap()
    expect(phone.locator("#status")).to_contain_text("Paused")
    phone.locator("#strip").tap(position={"x": 8, "y": 8})
    expect(phone).to_have_url(re.compile("at="))
    phone.get_by_role("button", name="Go live").tap()
    expect(phone.locator("#status")).to_contain_text("Live")
    phone.get_by_role("button", name="Help").tap()
    # With a mouse, this text is the tooltip of a heading.
    phone.get_by_text("Columns").tap()
    expect(phone.locator("#columns")).to_contain_text("CPU use of descendants that exited within the interval")
    keep_screenshot(phone, "help-phone")
    phone.get_by_role("button", name="Close").tap()
    assert burner.pid


def test_touch_targets_are_large_enough(phone: Page) -> None:
    sizes = phone.evaluate(
        """() => [...document.querySelectorAll("button, select, input")].filter((one) => one.checkVisibility())
            .map((one) => [one.id || one.className || one.textContent, one.getBoundingClientRect()])
            .map(([name, { width, height }]) => [name, Math.min(width, height)])"""
    )
    assert [(name, size) for name, size in sizes if size < TARGET_PIXELS] == []


@pytest.mark.parametrize(("wish", "duration"), [("no-preference", "0.4s"), ("reduce", "0s")])
def test_reduced_motion_disables_transitions(browser: Browser, server: Server, wish: str, duration: str) -> None:
    with shell_loop(), window(browser, f"{server.url}/", reduced_motion=wish) as page:
        expect(page.locator("tr.exited").first).to_be_visible()
        # One script finds the row and reads its style, because rows come and go.
        fading = page.wait_for_function(
            """() => {
                const cell = document.querySelector("tr.exited td");
                return cell && getComputedStyle(cell).transitionDuration;
            }"""
        )
        assert fading.json_value() == duration
        if wish == "reduce":
            assert page.evaluate("document.getAnimations().length") == 0
