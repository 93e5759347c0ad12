"""Lines of styled text for a screen of a certain width and encoding. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from msgspec import Struct

from cpuwatch.encoding.columns import cell_width, clipped
from cpuwatch.text import printable

__all__ = ["UNKNOWN", "Fields", "Glyphs", "Line", "Screen", "Span", "duration", "fitted", "joined", "percent", "spark"]

Span = tuple[str, str]
"""The name of a style, and text without control characters."""

Line = list[Span]

UNKNOWN = "-"


class Glyphs(Struct, frozen=True):
    """The characters of bars and graphs. ``levels`` ascend from nearly nothing to full."""

    filled: str
    empty: str
    levels: str
    descending: str
    ascending: str
    opened: str
    closed: str
    branch: str
    separator: str


_UNICODE = Glyphs("━", "─", "▁▂▃▄▅▆▇█", "▼", "▲", "▾", "▸", "·", "·")
_ASCII = Glyphs("|", " ", ".:-=+*%#", "v", "^", "-", "+", " ", "|")


class Screen(Struct, frozen=True):
    """The size of the screen in cells, and the encoding of its text."""

    columns: int
    rows: int
    encoding: str = "utf-8"

    @property
    def glyphs(self) -> Glyphs:
        """Block characters, or ASCII if the encoding lacks them."""
        return _UNICODE if self.encoding.lower().replace("-", "") == "utf8" else _ASCII

    def shown(self, text: str) -> str:
        """The text without control characters and without characters that the encoding lacks."""
        return printable(text, self.encoding)


def fitted(line: Iterable[Span], width: int, style: str = "") -> Line:
    """The line, truncated or padded to exactly ``width`` cells. ``style`` is that of the padding."""
    fitting: Line = []
    left = width
    for name, text in line:
        shown = clipped(text, left)
        if shown:
            fitting.append((name, shown))
            left -= cell_width(shown)
        if shown != text:
            break
    if left > 0:
        fitting.append((style, " " * left))
    return fitting


def joined(parts: Iterable[Line], gap: str = "  ") -> Line:
    """The parts in one line, separated by the gap. Empty parts are left out."""
    line: Line = []
    for part in parts:
        if part:
            line += [("", gap), *part] if line else part
    return line


def percent(value: float | None) -> str:
    """One decimal below a thousand, none above, where it carries no information."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """A time as top(1) and the page show it: 0:07.25, 12:03, 3h12m, 4d07h."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(int(seconds * 100), 6000)
    hours = minutes // 60
    if minutes < 10:
        return f"{minutes}:{rest // 100:02}.{rest % 100:02}"
    if minutes < 60:
        return f"{minutes}:{rest // 100:02}"
    return f"{hours}h{minutes % 60:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def spark(values: Iterable[float], levels: str) -> str:
    """A graph of one line. Its top is the highest value, but at least 20, as in the page (view/sparkline.js)."""
    shown = list(values)
    top = max([20.0, *shown])
    return "".join([" " if value <= 0 else levels[ceil(value / top * len(levels)) - 1] for value in shown])


class Fields:
    """Lines of names and values, as panels have them."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def line(self, *fields: tuple[str, str]) -> Line:
        """The fields in one line; values are escaped."""
        line: Line = []
        for name, value in fields:
            line += [("dim", f"{'  ' if line else ''}{name} "), ("", self._screen.shown(value))]
        return line
