"""Names of processes, users, cgroups and the machine appear as text, whatever they contain."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import keep_screenshot, needs_chromium, violations, window
from hostile_sampler.cpuwatch_hostile import CPUS, FIRST_PID, HIDDEN, SHOWN, UNREADABLE
from live_processes import puppet
from live_server import CPUWATCH_SERVE, Server, running_server
from playwright.sync_api import Browser, Page, expect

from cpuwatch import Sampling
from cpuwatch.encoding.table import missing_processes
from cpuwatch.text import printable

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

IMAGE = "<img src=x onerror=alert(1)>"
INSTALLED = Path(__file__).parent / "hostile_sampler"
WIDTHS = [1920, 1400, 1100, 700, 390]
MISSING = [printable(line).strip() for line in missing_processes(Sampling(unreadable=UNREADABLE, hidden=HIDDEN))]
KERNEL_NAMES = {
    b"<img src=x on>": "<img src=x on>",
    b"<svg onload=a>": "<svg onload=a>",
    b'"quo\'ted"&amp;': '"quo\'ted"&amp;',
    b"new\nline": "new\\nline",
    "a\u202ecod.exe".encode(): "a\\u202ecod.exe",
    b"": "(no name)",
}


def hostile_server(cpus: int = CPUS) -> AbstractContextManager[Server]:
    path = os.pathsep.join(filter(None, [str(INSTALLED), os.environ.get("PYTHONPATH")]))
    command = (*CPUWATCH_SERVE, "--backend", "hostile", "--interval", "0.2")
    return running_server(command, PYTHONPATH=path, HOSTILE_CPUS=str(cpus))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with hostile_server() as started:
        yield started


def names(page: Page) -> set[str]:
    return set(page.locator("tr.process button.name bdi").all_inner_texts())


def elements_from_names(page: Page) -> int:
    """Counts elements that only markup in a name could have created."""
    return page.locator(
        "img, iframe, object, embed, body script, h1 ~ h1, svg[onload], a, [onerror], [style*=red], table ~ table"
    ).count()


def test_names_are_text_in_the_page_without_scripts(browser: Browser, server: Server) -> None:
    with window(browser, f"{server.url}/", java_script_enabled=False) as page:
        assert page.locator("tbody tr").count() == len(SHOWN)
        assert {IMAGE, "<script>alert(2)</script>"} <= set(page.locator("tbody td:nth-child(2)").all_inner_texts())
        assert page.locator("#host").inner_text() == "<b>host</b>"
        assert page.locator("#missing").inner_text().splitlines() == MISSING
        assert elements_from_names(page) == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_missing_processes_are_reported_in_the_words_of_the_text_table(
    browser: Browser, server: Server, width: int
) -> None:
    with window(browser, f"{server.url}/", viewport={"width": width, "height": 900}) as page:
        expect(page.locator("tr.process").first).to_be_visible()
        missing = page.locator("#missing")
        assert missing.inner_text().splitlines() == MISSING
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert missing.bounding_box()["y"] < page.locator("#table").bounding_box()["y"]  # type: ignore[index]


@pytest.mark.parametrize("view", ["", "tree", "name", "user", "unit"])
def test_names_are_text_in_every_view(browser: Browser, server: Server, view: str) -> None:
    with window(browser, f"{server.url}/#view={view}") as page:
        rows = page.locator("tr.process, tr.group")
        expect(rows.nth(len(SHOWN) - 1)).to_be_visible()
        shown = set(page.locator("button.name bdi").all_inner_texts())
        if view in {"", "tree", "name"}:
            assert set(SHOWN.values()) <= shown
        elif view == "user":
            assert {text[:100] for text in SHOWN.values()} & shown >= {IMAGE}
        else:
            assert f"/{IMAGE}" in shown
        expect(page).to_have_title(re.compile("<b>host</b>"))
        assert elements_from_names(page) == 0


def test_names_are_text_in_the_panel_the_filter_and_the_address(browser: Browser, server: Server) -> None:
    with window(browser, f"{server.url}/#filter={quote(IMAGE)}&open={quote(IMAGE)}") as page:
        expect(page.locator("#filter")).to_have_value(IMAGE)
        expect(page.locator("tr.process button.name bdi")).to_have_text(IMAGE)
        page.locator("tr.process button.name").click()
        detail = page.locator("#detail")
        expect(detail.locator("h2")).to_have_text(f"{IMAGE} · {FIRST_PID}")
        for text in (IMAGE, f"/{IMAGE}"):
            expect(detail.locator("dd bdi", has_text=re.compile(f"^{re.escape(text)}$"))).to_have_count(1)
        children = detail.locator(".kin button").all_inner_texts()
        assert all(any(text in child for child in children) for text in SHOWN.values() if text != IMAGE)
        keep_screenshot(page, "hostile")
        page.keyboard.press("Escape")
        page.locator("#filter").fill(f"/({IMAGE}/")
        expect(page.locator("#filter-note")).to_contain_text(IMAGE)
        assert elements_from_names(page) == 0


def test_a_click_on_a_group_filters_by_its_exact_name(browser: Browser, server: Server) -> None:
    with window(browser, f"{server.url}/#view=name") as page:
        page.locator("tr.group", has_text=IMAGE).click()
        expect(page.locator("#filter")).to_have_value(f"name={IMAGE}")
        expect(page.locator("tr.process")).to_have_count(1)
        assert names(page) == {IMAGE}


def test_names_of_exited_processes_are_text(browser: Browser, server: Server) -> None:
    with window(browser, f"{server.url}/") as page:
        expect(page.locator("tr.exited", has_text="alert(3)").first).to_be_visible()
        assert elements_from_names(page) == 0


def overflowing(page: Page, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).evaluate_all(
        "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.outerHTML)"
    )
    return found


@pytest.mark.parametrize("cpus", [1, 4, 5, 8, 12, 13, 24, 64, CPUS])
def test_each_cpu_has_a_visible_bar(browser: Browser, cpus: int) -> None:
    with hostile_server(cpus) as server, window(browser, f"{server.url}/") as page:
        bars = page.locator("#cpus li .track")
        expect(bars).to_have_count(cpus)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 860})
            for at in {0, cpus // 2, cpus - 1}:
                expect(bars.nth(at)).to_be_in_viewport(ratio=0.9)
            assert bars.first.evaluate("({ clientWidth, clientHeight }) => clientWidth * clientHeight") >= 12
            assert overflowing(page, ".overview .panel") == []
        keep_screenshot(page, f"cpus-{cpus}")


def test_the_figures_of_a_large_machine_fit(browser: Browser, server: Server) -> None:
    with window(browser, f"{server.url}/") as page:
        expect(page.locator("td.c-cpu_percent").first).to_have_text(re.compile("^9[56][0-9]{2}$"))
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 860})
            assert overflowing(page, "td.number, #load") == []
            keep_screenshot(page, f"large-machine-{width}")
            assert violations(page) == []
        page.locator("tr.process button.name").first.click()
        figures = page.locator(".chart text")
        expect(figures).to_have_count(5)
        assert min(figures.evaluate_all("all => all.map((one) => one.getBBox().x)")) >= 0


def test_names_from_the_kernel_are_text(browser: Browser) -> None:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as server, puppet() as child:
        child.rename(next(iter(KERNEL_NAMES)))
        with window(browser, f"{server.url}/#filter=pid%3D{child.pid}") as page:
            for name, shown in KERNEL_NAMES.items():
                child.rename(name)
                expect(page.locator("button.name bdi")).to_have_text(shown)
                page.locator("button.name").click()
                expect(page.locator("#detail h2")).to_contain_text(shown)
                page.keyboard.press("Escape")
            assert elements_from_names(page) == 0
