"""The page with all tables of :mod:`peers`: one file that needs neither network nor script. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from benchmarks import ROOT
from benchmarks.report.markup import Content, document, element, paragraph, table
from benchmarks.tables import Row, Section, Table

__all__ = ["render"]

_STYLES = (ROOT / "benchmarks" / "report" / "page.css", Path(__file__).with_name("peers.css"))


def render(title: str, under_title: str, sections: Sequence[Section], environment: Mapping[str, str]) -> str:
    """The page as text."""
    parts = [(f"part-{number}", section) for number, section in enumerate(sections)]
    links = [element("a", section.title, href=f"#{key}") for key, section in parts]
    return document(
        title,
        "\n".join(style.read_text(encoding="utf-8") for style in _STYLES),
        element("header", element("h1", title), paragraph(under_title, class_="soft")),
        element("nav", *links, element("a", "Environment", href="#environment"), aria_label="Sections"),
        element(
            "main",
            *(element("section", *_content(section), id=key) for key, section in parts),
            element(
                "section",
                element("h2", "Environment"),
                table(["", ""], list(environment.items()), numbers=False),
                id="environment",
            ),
        ),
    )


def _content(section: Section) -> list[Content]:
    content: list[Content] = [element("h2", section.title), *map(paragraph, section.paragraphs)]
    for each in section.tables:
        content += [element("h3", each.title) if each.title else None, _drawn(each)]
    return content


def _drawn(shown: Table) -> Element:
    """The table, and behind each row its bar."""
    headings = [element("th", heading, scope="col") for heading in shown.headings]
    if shown.bar:
        headings.append(element("th", shown.bar, scope="col", class_="bar"))
    longest = max((row.bar for row in shown.rows if row.bar is not None), default=0.0)
    body = element("tbody", *(_row(row, longest, bars=bool(shown.bar)) for row in shown.rows))
    made = element("table", element("thead", element("tr", *headings)), body, class_="numbers")
    return element("div", made, class_="wide")


def _row(row: Row, longest: float, *, bars: bool) -> Element:
    name, *cells = row.cells
    made = element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
    if "cpuwatch" in name:
        made.set("class", "ours")
    if bars:
        made.append(element("td", _bar(row.bar, longest), class_="bar"))
    return made


def _bar(value: float | None, longest: float) -> Element | None:
    if value is None or longest <= 0:
        return None
    # What is there has to be seen, however small it is.
    width = max(round(100 * value / longest, 2), 0.5)
    return element(
        "svg", element("rect", width=f"{width:g}%", height="100%"), aria_hidden="true", preserveAspectRatio="none"
    )
