from __future__ import annotations

import statistics

import pytest
from html_page import Page
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.page import render
from benchmarks.tables import Row, Section, Spread, Table, markdown

TABLE = Table(
    "100 processes",
    ["", "ms"],
    [Row(["cpuwatch", "1.0"], 1.0), Row(["psutil <b>", "10.0"], 10.0), Row(["ratio", "10"])],
    "time",
)
SECTION = Section("A tick", ["What & how."], [TABLE])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_a_spread_is_median_lowest_and_highest(values: list[float]) -> None:
    assert Spread.of(iter(values)) == Spread(statistics.median(values), min(values), max(values))


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        Spread.of([])


def test_a_spread_is_written_with_its_range() -> None:
    assert Spread(1234.56, 1000, 2000).text("{:,.1f}") == "1,234.6 (1,000.0 to 2,000.0)"


def test_a_section_in_markdown() -> None:
    assert markdown(SECTION) == (
        "## A tick\n\nWhat & how.\n\n### 100 processes\n\n"
        "|  | ms |\n| --- | ---: |\n| cpuwatch | 1.0 |\n| psutil <b> | 10.0 |\n| ratio | 10 |"
    )


def test_the_page_has_all_cells_and_a_bar_for_each_value() -> None:
    page = Page(render("Peers", "command", [SECTION], {"kernel": "Linux <6>"}))
    for text in ("Peers", "A tick", "What & how.", "100 processes", "psutil <b>", "10.0", "time", "Linux <6>"):
        assert text in page.texts
    widths = [attributes["width"] for tag, attributes in page.tags if tag == "rect"]
    assert widths == ["10%", "100%"]


def test_the_page_needs_no_network_and_no_scripts() -> None:
    page = Page(render("Peers", "command", [SECTION], {}))
    assert not {"script", "link", "img"} & {tag for tag, _ in page.tags}
    assert "url(" not in page.style
    assert "@import" not in page.style
