"""The geometry of line charts; the macro ``chart`` in ``macros.html.j2`` draws it as inline SVG.

The plot stretches to the width of the page while lines and letters keep their size: the ``svg`` element is the plot
itself, axes hang in its margins, and only the lines live in a coordinate system of 1000 by 1000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from statistics import median
from typing import NamedTuple

from benchmarks.report.axes import Axis

__all__ = ["Chart", "Points", "line_chart"]

Points = Sequence[tuple[float, float | None]]
"""From left to right. Where a value is None, the line is interrupted."""


class Chart(NamedTuple):
    """``paths`` are SVG paths by the name of their line, ``errors`` places on the horizontal axis to mark."""

    name: str
    title: str
    description: str
    across: Axis
    up: Axis
    paths: Mapping[str, str]
    errors: Sequence[float]


def line_chart(
    title: str,
    axes: tuple[Axis, Axis],
    lines: Mapping[str, Points],
    text: Callable[[float | None], str],
    errors: Sequence[float] = (),
) -> Chart:
    """``axes`` are horizontal and vertical."""
    across, up = axes
    extents = "; ".join(_extent(name, points, text) for name, points in lines.items())
    return Chart(
        name=title.lower().replace(" ", "-"),
        title=title,
        description=f"{title} over time, in {up.title}: {extents}.",
        across=across,
        up=up,
        paths={name: _path(points, across, up) for name, points in lines.items()},
        errors=errors,
    )


def _extent(name: str, points: Points, text: Callable[[float | None], str]) -> str:
    known = [value for _, value in points if value is not None]
    if not known:
        return f"{name} unknown"
    return f"{name} from {text(min(known))} to {text(max(known))}, median {text(median(known))}"


def _path(points: Points, across: Axis, up: Axis) -> str:
    parts: list[str] = []
    command = "M"
    for at, value in points:
        if value is None or not isfinite(value):
            command = "M"
            continue
        x, y = round(1000 * across.position(at)), round(1000 - 1000 * up.position(value))
        # A point between two gaps has no line. A line of no length shows as a dot, by its round cap.
        parts.append(f"{command}{x} {y}" + ("h0" if command == "M" else ""))
        command = "L"
    return "".join(parts) or "M0 0"
