"""The page over recordings of several days: moments, zoom, ranges and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from browser import keep_screenshot, needs_chromium, violations, window
from live_server import CPUWATCH_SERVE, SCRIPTS, Server, running_server
from playwright.sync_api import Browser, Locator, Page, expect
from recorded_days import BACKUP_HOURS, DAYS, GAP_SECONDS, HOSTILE_NAME, record_days

pytest_plugins = ["one_browser"]
pytestmark = [pytest.mark.timeout(120), needs_chromium, pytest.mark.any_python]

END = datetime(2026, 11, 26, 12, tzinfo=UTC)
BEGIN = END - timedelta(days=DAYS)
BACKUP = BEGIN + timedelta(days=2, hours=BACKUP_HOURS[0])
IN_BACKUP = BACKUP + timedelta(minutes=10)
ZONE: dict[str, Any] = {"timezone_id": "Europe/Berlin"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("recording")
    record_days(directory, END)
    return directory


@pytest.fixture(scope="module")
def playback(recording: Path) -> Iterator[Server]:
    """The page over the recording alone."""
    command = (str(SCRIPTS / "cpuwatch"), "replay", str(recording), "--serve", "--bind", "127.0.0.1:0")
    with running_server(command) as started:
        yield started


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose recording began days ago."""
    directory = tmp_path_factory.mktemp("live")
    record_days(directory, datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))
    with running_server((*CPUWATCH_SERVE, "--record", str(directory)), CPUWATCH_INTERVAL="0.2") as started:
        yield started


@pytest.fixture
def page(browser: Browser, playback: Server) -> Iterator[Page]:
    with opened(browser, playback) as shown:
        yield shown


@contextmanager
def opened(browser: Browser, server: Server, fragment: str = "", **options: Any) -> Iterator[Page]:
    """A window in which the chart of the past is drawn."""
    with window(browser, f"{server.url}/{fragment}", **(ZONE | options)) as page:
        expect(page.locator("#past .line")).to_have_attribute("d", re.compile("M.*L.*L.*L"))
        yield page


def text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def at(page: Page, time: datetime) -> dict[str, float]:
    """The place of a time in the chart."""
    box = page.locator("#strip").bounding_box()
    assert box
    begin, end = (float(page.locator("#scrub").get_attribute(name) or 0) for name in ("min", "max"))
    share = (time.timestamp() * 1000 - begin) / (end - begin)
    return {"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2}


def expect_span(page: Page, low_seconds: float, high_seconds: float) -> None:
    """Wait until the slider spans this much time."""
    page.wait_for_function(
        """([low, high]) => {
            const {min, max} = document.querySelector('#scrub');
            return low <= (max - min) / 1000 && (max - min) / 1000 <= high;
        }""",
        arg=[low_seconds, high_seconds],
    )


def expect_moment(page: Page, time: datetime, within: timedelta = timedelta(0)) -> None:
    """Wait until the address has a moment this near to the time."""
    page.wait_for_function(
        """([time, within]) => {
            const moment = new URLSearchParams(location.hash.slice(1)).get('at');
            return moment !== null && Math.abs(Date.parse(moment) - Date.parse(time)) <= within;
        }""",
        arg=[time.isoformat(), 1000 * within.total_seconds()],
    )


def click_at(page: Page, time: datetime) -> None:
    place = at(page, time)
    page.mouse.click(place["x"], place["y"])


def drag(page: Page, start: datetime, end: datetime) -> None:
    first, last = at(page, start), at(page, end)
    page.mouse.move(first["x"], first["y"])
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(first["x"] + step / 5 * (last["x"] - first["x"]), first["y"])
    page.mouse.up()


def ranked(page: Page) -> Locator:
    return page.locator("#ranking tbody tr")


def test_the_chart_spans_the_days_and_shows_the_gap_and_the_exited_share(page: Page) -> None:
    expect_span(page, DAYS * 86400 - 120, DAYS * 86400 + 120)
    line = page.locator("#past .line").get_attribute("d") or ""
    runs = [[float(x) for x in re.findall(r"([\d.]+),", run)] for run in line.split("M")[1:]]
    # The first reading after the gap is no tick, so the gap is a minute longer.
    assert len(runs) == 2
    before, after = runs
    share = [1000 * second / (DAYS * 86400) for second in GAP_SECONDS]
    assert before[-1] == pytest.approx(share[0], abs=4)
    assert after[0] == pytest.approx(share[1], abs=4)
    exited = [float(y) for y in re.findall(r",([\d.]+)", page.locator("#past .exited").get_attribute("d") or "")]
    assert min(exited) == pytest.approx(77.5, abs=2), "0.9 of 4 CPUs"
    expect(page.locator("#axis")).to_contain_text("25 Nov")
    expect(page.locator("#status")).to_have_text(
        re.compile(r"^Recording of here, from Mon 23 Nov 2026, 13:0\d:\d\d UTC\+1 to Thu 26 Nov 2026, 13:00:00 UTC\+1$")
    )


def test_a_click_shows_the_moment_in_the_whole_page(page: Page) -> None:
    click_at(page, IN_BACKUP)
    expect_moment(page, IN_BACKUP, within=timedelta(minutes=15))
    expect(page.locator("#moment")).to_have_text(re.compile(r"^Shown: Wed 25 Nov 2026, 23:\d\d:\d\d UTC\+1$"))
    first = page.locator("tr.process").first
    expect(page.locator("tr.process:has-text('backup') td.c-cpu_percent")).to_have_text("150.0")
    expect(first).to_be_visible()
    expect(page.locator("#attribution b").first).to_have_text(re.compile("^[0-9]"))
    expect(page.locator("#interval")).to_have_text("60.00 s")
    expect(page.locator("#scrub")).to_have_attribute("aria-valuetext", re.compile(r"Wed 25 Nov 2026, 23:.*% busy"))
    # The past of the processes at that time.
    expect(page.locator("tr.process:has-text('backup') .spark path")).to_have_attribute("d", re.compile("L"))
    page.locator("tr.process:has-text('backup') button.name").click()
    expect(page.locator("#detail")).to_be_visible()
    expect(page.locator("#detail polyline")).to_have_count(1)
    page.get_by_role("button", name="Go to newest").click()
    expect(page.locator("#interval")).to_have_text("1.00 s")
    expect(page).not_to_have_url(re.compile("at="))


def test_a_moment_in_the_gap_is_reported_as_not_recorded(page: Page) -> None:
    click_at(page, BEGIN + timedelta(hours=33))
    expect(page.locator("#moment")).to_have_text(
        re.compile(r"^Not recorded: 24 Nov 2\d:\d\d:\d\d UTC\+1\. Shown: 24 Nov 18:59:00 UTC\+1$")
    )
    expect(page.locator("#scrub")).to_have_attribute("aria-valuetext", re.compile("not recorded$"))


def test_dragging_follows_the_pointer_and_ends_where_it_was_released(page: Page) -> None:
    drag(page, BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=20))
    expect_moment(page, BEGIN + timedelta(hours=20), within=timedelta(minutes=15))


def test_stepping_crosses_ticks_and_the_gap(page: Page) -> None:
    after = BEGIN + timedelta(seconds=GAP_SECONDS[1] + 60)
    before = BEGIN + timedelta(seconds=GAP_SECONDS[0] - 60)
    page.goto(f"{page.url.partition('#')[0]}#at={text(after)}")
    expect(page.locator("#moment")).to_have_text("Shown: Wed 25 Nov 2026, 01:01:00 UTC+1")
    page.keyboard.press("[")
    expect(page.locator("#moment")).to_contain_text("Tue 24 Nov 2026, 18:59:00")
    expect_moment(page, before)
    page.keyboard.press("[")
    expect(page.locator("#moment")).to_contain_text("18:58:00")
    page.keyboard.press("]")
    expect(page.locator("#moment")).to_contain_text("18:59:00")
    page.keyboard.press("]")
    expect(page.locator("#moment")).to_contain_text("Wed 25 Nov 2026, 01:01:00")


def test_the_wheel_zooms_around_the_pointer_down_to_seconds(page: Page) -> None:
    page.goto(f"{page.url}#zoom=600")
    expect(page.locator("#past-span")).to_contain_text("12:50")
    place = at(page, END - timedelta(minutes=2))
    page.mouse.move(place["x"], place["y"])
    for _ in range(10):
        page.mouse.wheel(0, -300)
    expect_span(page, 0, 30)
    expect(page).to_have_url(re.compile("zoom="))
    expect(page.locator("#past-span")).to_contain_text("(zoomed)")
    # Ticks were recorded every second here; a minute has one point elsewhere.
    page.wait_for_function("() => document.querySelector('#past .line').getAttribute('d').split('L').length > 25")
    page.keyboard.press("-")
    expect_span(page, 50, 120)
    page.get_by_role("button", name="Zoom in").click()
    expect_span(page, 29, 31)
    for _ in range(16):
        page.get_by_role("button", name="Zoom out").click()
    expect(page).not_to_have_url(re.compile("zoom="))
    expect_span(page, DAYS * 86400 - 120, DAYS * 86400 + 120)


@pytest.mark.parametrize("by", ["shift", "button"])
def test_a_brushed_range_is_ranked(page: Page, by: str) -> None:
    zoom = f"{text(BACKUP - timedelta(hours=3))}/{text(BACKUP + timedelta(hours=3))}"
    page.goto(f"{page.url.partition('#')[0]}#zoom={zoom}")
    expect(page.locator("#past-span")).to_contain_text("(zoomed)")
    if by == "button":
        page.get_by_role("button", name="Select range").click()
    else:
        page.keyboard.down("Shift")
    drag(page, BACKUP, BACKUP + timedelta(hours=BACKUP_HOURS[1] - BACKUP_HOURS[0]))
    page.keyboard.up("Shift")
    expect(page.get_by_role("button", name="Select range")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#ranking h2")).to_have_text(re.compile(r"^Used most between 25 Nov 2\d:\d\d.* and .*UTC\+1$"))
    expect(ranked(page).first).to_contain_text("backup")
    assert float(page.locator(".selection").get_attribute("width") or 0) == pytest.approx(1000 / 12, abs=4)
    assert "at=" not in page.url
    page.locator("#ranking-by").select_option("user")
    expect(ranked(page).first).to_contain_text("root")
    page.locator("#ranking-by").select_option("unit")
    expect(ranked(page).first).to_contain_text("backup.service")
    page.locator("#ranking-by").select_option("name")
    expect(page.locator("#ranking")).to_contain_text(HOSTILE_NAME)
    assert violations(page) == []
    keep_screenshot(page, f"range-{by}")
    page.keyboard.press("Escape")
    expect(page.locator("#ranking")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("range="))


def test_a_range_beside_the_gap_says_how_much_was_not_recorded(browser: Browser, playback: Server) -> None:
    start, end = BEGIN + timedelta(hours=29), BEGIN + timedelta(hours=37)
    with opened(browser, playback, f"#range={text(start)}/{text(end)}") as page:
        expect(page.locator("#ranking .note")).to_contain_text("6 h 1 m of this range was not recorded.")
        expect(ranked(page).first).to_contain_text("web 10")


def test_a_link_opens_on_the_same_view(browser: Browser, playback: Server, page: Page) -> None:
    page.keyboard.press("+")
    page.keyboard.press("+")
    click_at(page, END - timedelta(hours=3))
    page.keyboard.down("Shift")
    drag(page, END - timedelta(hours=10), END - timedelta(hours=6))
    page.keyboard.up("Shift")
    expect(ranked(page).first).to_be_visible()
    expect(page.locator("#moment")).to_contain_text("Shown")
    with opened(browser, playback, page.url.partition("/#")[2] and f"#{page.url.partition('#')[2]}") as other:
        for part in ("#moment", "#past-span", "#ranking h2", "#sum"):
            expect(other.locator(part)).to_have_text(page.locator(part).inner_text())
        expect(ranked(other)).to_have_text(ranked(page).all_inner_texts(), use_inner_text=True)
        assert other.locator(".selection").bounding_box() == page.locator(".selection").bounding_box()


def test_the_back_button_leaves_the_range_and_then_the_moment(page: Page) -> None:
    click_at(page, IN_BACKUP)
    expect(page).to_have_url(re.compile("[#&]at="))
    expect(page.locator("#moment")).to_contain_text("Shown: Wed")
    page.keyboard.down("Shift")
    drag(page, BACKUP, BACKUP + timedelta(hours=3))
    page.keyboard.up("Shift")
    expect(ranked(page).first).to_be_visible()
    page.go_back()
    expect(page.locator("#ranking")).to_be_hidden()
    expect(page.locator("#moment")).to_contain_text("Shown: Wed")
    page.go_back()
    expect(page.locator("#moment")).to_contain_text("Newest")
    page.go_forward()
    expect(page.locator("#moment")).to_contain_text("Shown: Wed")


def test_keys_alone_reach_a_moment_a_zoom_and_a_range(page: Page) -> None:
    page.locator("#scrub").focus()
    page.keyboard.press("Home")
    expect(page.locator("#moment")).to_contain_text("Mon 23 Nov 2026, 13:0")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#moment")).to_contain_text("Mon 23 Nov 2026, 13:4")
    page.keyboard.press("End")
    expect(page.locator("#moment")).to_contain_text("Thu 26 Nov 2026, 13:00:00")
    for _ in range(8):
        page.keyboard.press("+")
    expect(page.locator("#past-span")).to_contain_text("(zoomed)")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#moment")).to_contain_text(re.compile("12:4[0-9]|12:5[0-9]"))
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(ranked(page).first).to_contain_text("web 10")
    expect(page.locator("#scrub")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.locator("#ranking")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#moment")).to_contain_text("Newest")


class Fingers:
    """Touches by several fingers, which Playwright does not offer."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def touch(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_two_fingers_zoom_and_one_moves(browser: Browser, playback: Server) -> None:
    with opened(browser, playback, **PHONE) as page:
        box = page.locator("#strip").bounding_box()
        assert box
        y, middle = box["y"] + 20, box["x"] + box["width"] / 2
        fingers = Fingers(page)
        fingers.touch("touchStart", (middle - 20, y))
        fingers.touch("touchStart", (middle - 20, y), (middle + 20, y))
        for apart in (30, 60, 100):
            fingers.touch("touchMove", (middle - apart, y), (middle + apart, y))
        fingers.touch("touchEnd")
        page.wait_for_function(
            "(limit) => document.querySelector('#scrub').max - document.querySelector('#scrub').min < limit",
            arg=DAYS * 86_400_000 / 4,
        )
        expect(page).to_have_url(re.compile("zoom="))
        assert "at=" not in page.url, "fingers that zoom do not move"
        page.touchscreen.tap(middle, y)
        expect(page).to_have_url(re.compile("[#&]at="))
        expect(page.locator("#moment")).to_contain_text("Shown")
        page.get_by_role("button", name="Select range").tap()
        fingers.touch("touchStart", (middle - 60, y))
        for x in (-40, 0, 60):
            fingers.touch("touchMove", (middle + x, y))
        fingers.touch("touchEnd")
        expect(ranked(page).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
        keep_screenshot(page, "range-phone")


def test_a_live_page_with_a_recording_goes_back_days_and_returns(browser: Browser, recorder: Server) -> None:
    with opened(browser, recorder) as page:
        expect(page.locator("#status")).to_contain_text("Live, every")
        expect_span(page, DAYS * 86400 + 1, 10 * DAYS * 86400)
        click_at(page, datetime.now(UTC) - timedelta(hours=30))
        expect(page.locator("tr.process")).to_have_count(4)
        expect(page.locator("#status")).to_contain_text("Paused at")
        page.keyboard.press("[")
        expect(page.locator("tr.process")).to_have_count(4)
        page.get_by_role("button", name="Go live").click()
        expect(page.locator("#moment")).to_have_text("Live; drag to rewind")
        page.wait_for_function("() => document.querySelectorAll('tr.process').length > 4")
        # The chart ends with the newest ticks, which follow.
        newest = page.locator("#scrub").get_attribute("max") or ""
        expect(page.locator("#scrub")).not_to_have_attribute("max", newest)


def test_the_layout_does_not_move(browser: Browser, playback: Server) -> None:
    with opened(browser, playback) as page:
        page.evaluate(
            """() => {
                window.shifts = [];
                const shifted = ({ hadRecentInput, sources }) =>
                    hadRecentInput ? [] : sources.map(({ node }) => node?.outerHTML ?? node?.textContent ?? "removed");
                new PerformanceObserver((list) => shifts.push(...list.getEntries().flatMap(shifted))).observe({
                    type: "layout-shift",
                });
            }"""
        )
        place = page.locator("#rows").bounding_box()
        click_at(page, IN_BACKUP)
        expect(page.locator("#moment")).to_contain_text("Shown")
        drag(page, BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=20))
        click_at(page, BEGIN + timedelta(hours=33))
        expect(page.locator("#moment")).to_contain_text("Not recorded")
        assert page.locator("#rows").bounding_box() == place
        assert page.evaluate("shifts") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violations(browser: Browser, playback: Server, scheme: str) -> None:
    fragment = f"#at={text(IN_BACKUP)}&range={text(BACKUP)}/{text(BACKUP + timedelta(hours=2))}"
    with opened(browser, playback, fragment, color_scheme=scheme) as page:
        expect(ranked(page).first).to_be_visible()
        assert violations(page) == []
        keep_screenshot(page, f"recording-{scheme}")


def test_an_invalid_range_in_the_address_is_ignored(browser: Browser, playback: Server) -> None:
    with opened(browser, playback, "#range=x/y&zoom=never&by=__proto__&at=0") as page:
        expect(page.locator("#ranking")).to_be_hidden()
        expect_span(page, 86401, 10 * 86400)


def test_without_a_recording_there_are_no_controls_for_it(browser: Browser) -> None:
    with (
        running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as server,
        opened(browser, server, f"#range={text(BACKUP)}/{text(END)}") as page,
    ):
        expect(page.locator("#select-range")).to_have_count(0)
        expect(page.locator("#zoom-in")).to_have_count(0)
        expect(page.locator("#ranking")).to_be_hidden()
        page.locator("#strip").click(position={"x": 20, "y": 20})
        expect(page.locator("#moment")).to_contain_text("Shown")
        page.locator("#strip").click(position={"x": 40, "y": 20}, modifiers=["Shift"])
        expect(page.locator("#ranking")).to_be_hidden()
