"""The view of units: a tree with sums, limits, verdicts and names, and the panel of a unit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import keep_screenshot, needs_chromium, violations, window
from live_server import CPUWATCH_SERVE, Server, running_server
from playwright.sync_api import Browser, Locator, Page, expect

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

INSTALLED = Path(__file__).parent / "units_sampler"
WIDE = {"width": 1600, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    path = os.pathsep.join(filter(None, [str(INSTALLED), os.environ.get("PYTHONPATH")]))
    with running_server((*CPUWATCH_SERVE, "--backend", "units", "--interval", "0.2"), PYTHONPATH=path) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with window(browser, f"{server.url}/#view=unit", viewport=WIDE) as opened:
        expect(unit(opened, "shop-web")).to_be_visible()
        yield opened


def unit(page: Page, name: str) -> Locator:
    return page.locator("tr.group", has=page.locator(f'button.name bdi:text-is("{name}")'))


def figures(row: Locator) -> dict[str, str]:
    """The text of each visible cell, by column."""
    cells = row.locator("td:visible")
    classes = [cell.get_attribute("class") or "" for cell in cells.all()]
    keys = [found[1] for found in (re.search(r"c-(\w+)", text) for text in classes) if found]
    return dict(zip(keys, cells.all_inner_texts(), strict=True))


def number(text: str) -> float:
    return float(text.replace("\N{EN DASH}", "nan"))


def test_units_have_sums_limits_and_a_verdict(page: Page) -> None:
    web = figures(unit(page, "shop-web"))
    assert number(web["total_percent"]) == pytest.approx(50, abs=1)
    assert number(web["wait_percent"]) == pytest.approx(120, abs=2)
    assert (web["quota_cpus"], web["verdict"]) == ("0.5", "throttled")
    assert number(web["quota_percent"]) == pytest.approx(100, abs=2)
    assert number(web["throttled_periods_percent"]) == pytest.approx(90, abs=6)
    assert number(web["pressure_percent"]) == pytest.approx(60, abs=2)
    session = figures(unit(page, "session-3.scope"))
    assert (session["verdict"], session["quota_cpus"]) == ("crowded", "\N{EN DASH}")
    system = figures(unit(page, "system.slice"))
    assert number(system["total_percent"]) == pytest.approx(92, abs=2)
    assert figures(unit(page, "postgresql.service"))["verdict"] == "busy"
    assert "pid" not in web
    expect(page.locator("#verdict")).to_have_text("crowded")
    page.locator("#view").select_option("")
    expect(page.locator("th.c-pid")).to_be_visible()
    expect(page.locator("th.c-quota_cpus")).to_be_hidden()


def test_units_of_the_same_name_are_apart_and_below_their_parents(page: Page) -> None:
    expect(unit(page, "init.scope")).to_have_count(3)
    for user in (1000, 1001):
        expect(unit(page, f"user@{user}.service")).to_have_count(1)
    expect(unit(page, "default/web-0")).to_have_count(1)
    expect(unit(page, "default/web-0/nginx")).to_have_count(1)


def test_branches_of_units_collapse_and_expand(page: Page) -> None:
    user = unit(page, "user-1000.slice").locator("button.name")
    expect(user).to_have_attribute("aria-expanded", "true")
    user.focus()
    page.keyboard.press("ArrowLeft")
    expect(unit(page, "session-3.scope")).to_have_count(0)
    expect(unit(page, "user@1001.service")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(unit(page, "session-3.scope")).to_have_count(1)


def test_a_unit_opens_a_panel_with_its_limits_and_processes(page: Page) -> None:
    unit(page, "shop-web").locator("button.name").click()
    panel = page.locator("#unit-detail")
    expect(panel.locator("h2")).to_have_text("shop-web · 1 process")
    for fact in ("throttled: by a quota", "0.5 CPUs, "):
        expect(panel.locator("dd", has_text=fact)).to_have_count(1)
    expect(panel.get_by_text("Crowded by")).to_be_hidden()
    panel.get_by_role("button", name=re.compile(r"^\d+ node ")).click()
    expect(panel).to_be_hidden()
    expect(page.locator("#detail h2")).to_contain_text("node")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()


def test_the_panels_of_crowded_units_and_processes_say_who_crowds_them(page: Page) -> None:
    unit(page, "session-3.scope").locator("button.name").click()
    unit_panel, process_panel = page.locator("#unit-detail"), page.locator("#detail")
    # It wants more than one CPU, so its own processes are among them.
    expect(unit_panel.locator(".crowding").get_by_role("button", name=re.compile("cc1plus"))).to_have_count(3)
    unit_panel.locator(".kin ul").get_by_role("button").first.click()
    expect(process_panel.locator("h2")).to_have_text(re.compile(r"cc1plus · \d+"))
    pid = process_panel.locator("h2").inner_text().rpartition(" ")[2]
    crowd = process_panel.locator(".crowding")
    expect(crowd.get_by_role("button")).to_have_count(3)
    expect(crowd.get_by_role("button", name=re.compile(f"^{pid} "))).to_have_count(0)
    page.locator("#view").select_option("")
    page.locator("tr.process", has_text="postgres").locator("button.name").click()
    expect(process_panel.locator("h2")).to_contain_text("postgres")
    expect(crowd).to_be_hidden()


def test_the_panel_survives_the_address_and_lists_its_processes(browser: Browser, page: Page) -> None:
    unit(page, "system.slice").locator("button.name").click()
    expect(page.locator("#unit-detail h2")).to_have_text("system.slice · 3 processes")
    with window(browser, page.url, viewport=WIDE) as again:
        expect(again.locator("#unit-detail h2")).to_have_text("system.slice · 3 processes")
        again.get_by_role("button", name="Show as rows").click()
        expect(again.locator("tr.process")).to_have_count(3)
        expect(again.locator("#filter")).to_have_value("cgroup=/system.slice")
        expect(again.locator("#view")).to_have_value("")


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"),
    [
        ("units-light", WIDE, "light"),
        ("units-dark", WIDE, "dark"),
        ("units-laptop", {"width": 1100, "height": 700}, "light"),
        ("units-phone", PHONE, "light"),
        ("units-phone-dark", PHONE, "dark"),
    ],
)
def test_pictures(browser: Browser, server: Server, name: str, viewport: dict[str, int], scheme: str) -> None:
    with window(browser, f"{server.url}/#view=unit", viewport=viewport, color_scheme=scheme) as page:
        expect(unit(page, "shop-web")).to_be_visible()
        page.wait_for_timeout(1000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep_screenshot(page, name)
        unit(page, "session-3.scope").locator("button.name").click()
        expect(page.locator("#unit-detail")).to_be_visible()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep_screenshot(page, f"{name}-open")
        assert violations(page) == []
