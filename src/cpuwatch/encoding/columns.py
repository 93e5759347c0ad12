"""Lays out text in columns for a terminal: escaped, aligned and truncated to a width. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from textwrap import wrap

from cpuwatch.text import printable

__all__ = ["aligned", "cell_width", "clipped", "wrapped"]

_GAP = "  "
_SINGLE_SPACE = re.compile("(?<! ) (?! )")
_NO_BREAK_SPACE = "\xa0"


def aligned(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Collection[str],
    dispensable: Iterable[str] = (),
    encoding: str = "utf-8",
    width: int | None = None,
    min_last: int = 0,
) -> Iterator[str]:
    """The lines of a table, truncated to ``width`` cells.

    The columns named in ``left`` are left-aligned, the others right-aligned. If a table is too wide, the
    ``dispensable`` columns are dropped in their order until the last column has ``min_last`` cells.
    """
    columns = [_Column(heading, cells, encoding) for heading, *cells in zip(headings, *rows, strict=True)]
    if width is not None:
        for heading in dispensable:
            if _needed(columns, min_last) <= width:
                break
            columns = [column for column in columns if column.heading != heading]
    padded = [column.padded(left_aligned=column.heading in left) for column in columns]
    return (clipped(_GAP.join(cells), width).rstrip() for cells in zip(*padded, strict=True))


def clipped(text: str, width: int | None) -> str:
    """The longest prefix of printable ``text`` that fits into ``width`` cells."""
    if width is None or len(text) <= width // 2:
        return text
    if text.isascii():
        return text[:width]
    # Not a sum over characters: the width of one depends on those before it (emoji with modifiers).
    return text[: bisect_right(range(len(text) + 1), width, key=lambda end: cell_width(text[:end])) - 1]


def wrapped(text: str, width: int | None) -> list[str]:
    """Printable ``text`` on as many lines as needed; items separated by two spaces are kept whole if they fit."""
    if width is None:
        return [text]
    if _GAP in text:
        text = _SINGLE_SPACE.sub(_NO_BREAK_SPACE, text)  # never part of printable text
    lines = wrap(text, width, subsequent_indent=_GAP, break_on_hyphens=False)
    return [clipped(line.replace(_NO_BREAK_SPACE, " "), width) for line in lines]


class _Column:
    def __init__(self, heading: str, cells: Sequence[str], encoding: str) -> None:
        self.heading = heading
        self._cells = [printable(cell, encoding) for cell in (heading, *cells)]
        self._widths = list(map(cell_width, self._cells))
        self.width = max(self._widths)

    def padded(self, *, left_aligned: bool) -> list[str]:
        blanks = [" " * (self.width - width) for width in self._widths]
        pairs = zip(self._cells, blanks, strict=True)
        return [cell + blank if left_aligned else blank + cell for cell, blank in pairs]


def _needed(columns: Sequence[_Column], min_last: int) -> int:
    *others, last = columns
    return sum(column.width + len(_GAP) for column in others) + min(last.width, min_last)


def cell_width(text: str) -> int:
    """The width of printable text in terminal cells: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  its tables take longer to load than the rest of cpuwatch

    return wcswidth(text)
