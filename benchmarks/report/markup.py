"""HTML as a tree. Text is never put together with markup, so none that comes from outside can become any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

__all__ = ["Content", "data_table", "document", "element", "paragraph", "table"]

Content = str | Element | None
"""What can stand inside of an element; None stands for nothing."""

# Controls and lone surrogates are no characters of HTML, and overrides of direction would turn the text around them.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_LONGEST_TEXT = 2_000


def element(tag: str, *content: Content, **attributes: str | float) -> Element:
    """An element. An underscore in the name of an attribute stands for a hyphen, one at its end for nothing.

    Texts from outside are content, never attributes: only content is made readable, and cut if it is too long.
    """
    made = Element(tag)
    for name, value in attributes.items():
        text = value if isinstance(value, str) else f"{value:g}"
        made.set(name.rstrip("_").replace("_", "-"), text)
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif part is not None and len(made):
            made[-1].tail = (made[-1].tail or "") + _readable(part)
        elif part is not None:
            made.text = (made.text or "") + _readable(part)
    return made


def paragraph(*content: Content, **attributes: str) -> Element:
    """A paragraph."""
    return element("p", *content, **attributes)


def table(headings: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: bool = True) -> Element:
    """A table whose rows begin with their name. ``numbers``: the other cells stand to the right, digit under digit."""
    head = element("thead", element("tr", *(element("th", heading, scope="col") for heading in headings)))
    body = element("tbody")
    for name, *cells in rows:
        body.append(element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells)))
    made = element("table", head if any(headings) else None, body, class_="numbers" if numbers else "texts")
    return element("div", made, class_="wide")


def data_table(headings: Sequence[str], rows: Iterable[Sequence[Content]], note: str = "") -> Element:
    """The numbers behind a chart, folded away."""
    summary = element("summary", "Data of this chart")
    return element("details", summary, paragraph(note) if note else None, table(headings, rows))


def document(title: str, style: str, *content: Content) -> str:
    """The whole page as text."""
    css = Element("style")
    css.text = style
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        css,
    )
    page = element("html", head, element("body", *content), lang="en")
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def _readable(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}… ({len(text) - _LONGEST_TEXT:,} more characters)"
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
