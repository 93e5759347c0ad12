"""Tables of results, the spread of measurements, and their Markdown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill

__all__ = ["Row", "Section", "Spread", "Table", "markdown", "markdown_table"]

_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of some values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Raises ``ValueError`` without values."""
        ordered = sorted(values)
        if not ordered:
            raise ValueError("a spread needs at least one value")
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def text(self, form: str) -> str:
        """``12.4 (11.9 to 13.2)``; ``form`` is for ``str.format``."""
        median, low, high = (form.format(value) for value in (self.median, self.low, self.high))
        return f"{median} ({low} to {high})"


@dataclass(frozen=True, slots=True)
class Row:
    """The cells, the first of which is the row's name, and the value to draw as a bar."""

    cells: Sequence[str]
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """``bar`` is the heading of the bars. Without it there are none."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Row]
    bar: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Tables of one kind, with paragraphs that explain them."""

    title: str
    paragraphs: Sequence[str]
    tables: Sequence[Table]


def markdown(section: Section) -> str:
    """A section with headings of levels 2 and 3."""
    parts = [f"## {section.title}", *(fill(text, _WIDTH, break_on_hyphens=False) for text in section.paragraphs)]
    for table in section.tables:
        parts += [f"### {table.title}"] if table.title else []
        parts.append(markdown_table(table.headings, (row.cells for row in table.rows)))
    return "\n\n".join(parts)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Names aligned left, numbers right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
