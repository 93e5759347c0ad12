"""Charts as inline SVG that needs no script.

The drawing is stretched to the width of the page while lines and letters keep their size: the ``svg`` is the plot
itself, axes hang in its margins, and only the data lies in a coordinate system of 1000 by 1000.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple
from xml.etree.ElementTree import Element

from benchmarks.report.axes import Axis
from benchmarks.report.markup import element

__all__ = ["Bar", "Line", "Mark", "bar_chart", "figure", "line_chart", "range_strip"]

_STYLES = ("a", "b", "c", "d")
"""Classes of the page's style sheet: each a colour and a dash pattern, so that no line is known by colour alone."""


class Line(NamedTuple):
    """Points from left to right; where a value is not known, the line is interrupted."""

    name: str
    points: Sequence[tuple[float, float | None]]
    dots: bool = False


class Bar(NamedTuple):
    """From ``low`` to ``high`` on the horizontal axis; ``text`` is shown on hovering."""

    low: float
    high: float
    value: float
    text: str


class Mark(NamedTuple):
    """A place on the horizontal axis; with a name as a line from top to bottom, else as a stroke at the ground."""

    at: float
    name: str = ""


def figure(caption: str, chart: Element, data: Element, lines: Sequence[Line] = (), marks: str = "") -> Element:
    """A chart with its title, legend and the numbers behind it. ``marks``: what strokes at the ground stand for."""
    legend = [_explained("M0 5H30", f"line {style}", line.name) for line, style in zip(lines, _STYLES, strict=False)]
    if marks:
        legend.append(_explained("M15 0V10", "stroke", marks))
    shown = element("ul", *legend, class_="legend") if legend else None
    return element("figure", element("figcaption", caption), shown, chart, data)


def _explained(drawing: str, style: str, name: str) -> Element:
    return element("li", element("svg", element("path", d=drawing, class_=style), aria_hidden="true"), name)


def line_chart(
    name: str, title: str, description: str, axes: tuple[Axis, Axis], lines: Sequence[Line], marks: Sequence[Mark] = ()
) -> Element:
    """``name`` is unique on the page. ``axes``: horizontal, vertical."""
    across, upwards = axes
    drawing = _drawing()
    dots = []
    for line, style in zip(lines, _STYLES, strict=False):
        drawing.append(element("path", d=_path(line.points, across, upwards), class_=f"line {style}"))
        for at, value in line.points if line.dots else ():
            if value is not None and isfinite(value):
                place = {"cx": _across(across, at), "cy": _up(upwards, value)}
                dots.append(element("circle", r=2.5, class_=style, **place))
    return _chart(name, title, description, axes, [drawing, *dots, *_marks(across, marks)])


def bar_chart(
    name: str, title: str, description: str, axes: tuple[Axis, Axis], bars: Iterable[Bar], marks: Sequence[Mark] = ()
) -> Element:
    """Like :func:`line_chart`."""
    across, upwards = axes
    drawing = _drawing()
    for bar in bars:
        left, right = (round(1000 * across.position(edge), 1) for edge in (bar.low, bar.high))
        # What is there has to be seen, however rare it is.
        height = max(round(1000 * upwards.position(bar.value)), 6)
        shape = {"x": left, "width": max(right - left, 1), "y": 1000 - height, "height": height}
        drawing.append(element("rect", element("title", bar.text), **shape))
    return _chart(name, title, description, axes, [drawing, *_marks(across, marks)])


def range_strip(value: float, others: Sequence[float]) -> Element:
    """Where a value lies beside others: a stroke for each of them on a bar over their range, a diamond for itself."""
    low, high = min(value, *others), max(value, *others)
    span = high - low or 1.0

    def place(at: float) -> float:
        return round(6 + 88 * (at - low) / span, 1) if high > low else 50

    left, right = place(min(others)), place(max(others))
    at = place(value)
    return element(
        "svg",
        element("path", d="M0 9H100", class_="rail"),
        element("rect", x=left - 1, width=right - left + 2, y=5, height=8),
        *(element("path", d=f"M{place(other):g} 3V15", class_="other") for other in others),
        element("path", d=f"M{at:g} 3L{at + 5:g} 9L{at:g} 15L{at - 5:g} 9Z", class_="own"),
        viewBox="0 0 100 18",
        class_="strip",
        aria_hidden="true",
    )


def _chart(name: str, title: str, description: str, axes: tuple[Axis, Axis], content: Iterable[Element]) -> Element:
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-text"),
        _frame(*axes),
        *content,
        class_="chart",
        role="img",
        aria_labelledby=f"{name}-title {name}-text",
    )


def _frame(across: Axis, upwards: Axis) -> Element:
    frame = element("g", class_="axes")
    for value, label in upwards.ticks:
        y = _up(upwards, value)
        frame.append(element("line", x2="100%", y1=y, y2=y))
        frame.append(element("text", label, x=-7, y=y, dy=".32em", class_="upwards"))
    for value, label in across.ticks:
        x = _across(across, value)
        frame.append(element("line", x1=x, x2=x, y1="100%", y2="100%", class_="tick"))
        frame.append(element("text", label, x=x, y="100%", dy="1.6em", class_="across"))
    frame.append(element("text", upwards.title, x=-7, y=0, dy="-1em", class_="title"))
    frame.append(element("text", across.title, x="100%", y="100%", dy="3em", class_="title end"))
    return frame


def _drawing() -> Element:
    whole = {"width": "100%", "height": "100%", "viewBox": "0 0 1000 1000"}
    return element("svg", preserveAspectRatio="none", class_="data", **whole)


def _path(points: Iterable[tuple[float, float | None]], across: Axis, upwards: Axis) -> str:
    parts: list[str] = []
    command = "M"
    for at, value in points:
        if value is None or not isfinite(value):
            command = "M"
            continue
        x, y = round(1000 * across.position(at)), round(1000 - 1000 * upwards.position(value))
        # A point between two gaps is no line: one of no length is drawn as a dot, by its round cap.
        parts.append(f"{command}{x} {y}" + ("h0" if command == "M" else ""))
        command = "L"
    return "".join(parts) or "M0 0"


def _marks(across: Axis, marks: Iterable[Mark]) -> Iterable[Element]:
    row = 0
    for mark in marks:
        x = _across(across, mark.at)
        if not mark.name:
            yield element("line", x1=x, x2=x, y1="94%", y2="100%", class_="stroke")
            continue
        yield element("line", x1=x, x2=x, y1=4 + 15 * row, y2="100%", class_="mark")
        before = across.position(mark.at) > 0.7
        yield element(
            "text", mark.name, x=x, dx=-4 if before else 4, y=14 + 15 * row, class_="mark end" if before else "mark"
        )
        row += 1


def _across(axis: Axis, value: float) -> str:
    return f"{round(100 * axis.position(value), 2):g}%"


def _up(axis: Axis, value: float) -> str:
    return f"{round(100 - 100 * axis.position(value), 2):g}%"
