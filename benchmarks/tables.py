"""Tables of results, and how they are written in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill

__all__ = ["Row", "Section", "Table", "markdown", "markdown_table"]

_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Row:
    """The cells, the first of which names the row, and what may be drawn as a bar."""

    cells: Sequence[str]
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """``bar`` says what the bars stand for; without it none are drawn."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Row]
    bar: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Tables of one kind, with paragraphs that say what is in them."""

    title: str
    paragraphs: Sequence[str]
    tables: Sequence[Table]


def markdown(section: Section) -> str:
    """A section with headings of the second and third degree."""
    parts = [f"## {section.title}", *(fill(text, _WIDTH, break_on_hyphens=False) for text in section.paragraphs)]
    for table in section.tables:
        parts += [f"### {table.title}"] if table.title else []
        parts.append(markdown_table(table.headings, (row.cells for row in table.rows)))
    return "\n\n".join(parts)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Names to the left, numbers to the right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
