"""The table of processes: its heading and its visible rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from msgspec import Struct

from cpuwatch.terminal.model.columns import GRAPH, GRAPH_TICKS, UNIT_COLUMNS, Column, name_of, padded, shown_columns
from cpuwatch.terminal.model.rows import FADING_TICKS, Item, Row
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.text import Line, Screen, Span, fitted, spark

__all__ = ["Layout", "TableLines", "table_lines"]


class Layout(Struct, frozen=True):
    """What decides how a row is formatted, beside the row."""

    columns: tuple[Column, ...]
    width: int
    encoding: str
    now: datetime
    zone: tzinfo | None


class _Known(Struct, frozen=True):
    """A line, and what it was made of."""

    row: Item
    style: str
    graph: str
    line: Line


class TableLines(Struct, frozen=True):
    """The heading, and a line for each visible row. ``headings`` has the columns of cells of each heading.

    ``known`` has the lines by key. Most processes do not run in most seconds, so most lines of a table are those of the
    table before.
    """

    heading: Line
    rows: list[Line]
    headings: list[tuple[int, int, str]]
    layout: Layout
    known: dict[str, _Known]


def table_lines(
    rows: Sequence[Item],
    state: ViewState,
    screen: Screen,
    now: datetime,
    zone: tzinfo | None = None,
    totals: Sequence[Mapping[str, float]] = (),
    before: TableLines | None = None,
) -> TableLines:
    """The rows from ``state.top`` on, as many as the height of the screen. Lines of ``before`` are used again."""
    columns = shown_columns(state, screen.columns)
    heading, places = _heading(columns, state, screen)
    # Start times depend on the day, so the minute is exact enough.
    layout = Layout(tuple(columns), screen.columns, screen.encoding, now.replace(second=0, microsecond=0), zone)
    before_known = before.known if before is not None and before.layout == layout else {}
    has_graph = any(column.field == GRAPH for column in columns)
    known: dict[str, _Known] = {}
    lines: list[Line] = []
    for row in rows[state.top : state.top + screen.rows]:
        style = "cursor" if row.key == state.cursor else _row_style(row)
        graph = _graph(row, totals, screen) if has_graph else ""
        shown = before_known.get(row.key)
        if shown is None or shown.style != style or shown.graph != graph or shown.row != row:
            shown = _Known(row, style, graph, _row_line(row, style, graph, layout, screen))
        known[row.key] = shown
        lines.append(shown.line)
    return TableLines(heading, lines, places, layout, known)


def _heading(columns: Sequence[Column], state: ViewState, screen: Screen) -> tuple[Line, list[tuple[int, int, str]]]:
    line: Line = []
    places = []
    at = 0
    for column in columns:
        is_last = column is columns[-1]
        sorts = column.field == state.sort
        mark = (screen.glyphs.descending if state.descending else screen.glyphs.ascending) if sorts else ""
        width = max(1, screen.columns - at) if is_last else column.width
        # The arrow replaces the last letter rather than widen the column.
        text = (column.heading[: width - 1] + mark) if mark and len(column.heading) >= width else column.heading + mark
        text = text[:width]
        line.append(("sorted" if sorts else "heading", text.ljust(width) if column.left_aligned else text.rjust(width)))
        line.append(("heading", " "))
        places.append((at, at + width, column.field))
        at += width + 1
    return fitted(line, screen.columns, "heading"), places


def _graph(row: Item, totals: Sequence[Mapping[str, float]], screen: Screen) -> str:
    return spark([tick.get(row.key, 0.0) for tick in totals], screen.glyphs.levels).rjust(GRAPH_TICKS)


def _row_line(row: Item, style: str, graph: str, layout: Layout, screen: Screen) -> Line:
    columns, now, zone = layout.columns, layout.now, layout.zone
    line: Line = []
    for column in columns[:-1]:
        text = graph if column.field == GRAPH else column.text(row, now, zone)
        line.append((style or _cell_style(column, row), padded(text, column, screen) + " "))
    last = columns[-1]
    if last.field == "name":
        line += _name(row, style, screen)
    else:
        line.append((style or _cell_style(last, row), padded(last.text(row, now, zone), last, screen)))
    return fitted(_merged(line), screen.columns, style)


def _name(row: Item, style: str, screen: Screen) -> Line:
    indent = ""
    if isinstance(row, Row):
        glyphs = screen.glyphs
        mark = {"open": glyphs.opened, "closed": glyphs.closed, "": " "}[row.branch]
        is_in_tree = row.kind == "branch" or (row.kind == "group" and row.cgroup is not None)
        indent = "  " * row.depth + mark + " " if is_in_tree else "  " * row.depth
    text = screen.shown(name_of(row))
    suffix = " (exited)" if isinstance(row, Row) and _is_over(row) else ""
    return [(style or "dim", indent), (style or "name", text), (style or "dim", suffix)]


def _is_over(row: Row) -> bool:
    return row.kind in {"gone", "exited"} or (row.kind == "group" and row.count == 0 and row.unit is None)


def _row_style(row: Item) -> str:
    """Empty for a living process, whose cells have styles of their own."""
    if not isinstance(row, Row) or row.kind in {"group", "branch"}:
        return ""
    return "exited" if row.age == 0 else "fading" if row.age < FADING_TICKS - 1 else "faded"


def _cell_style(column: Column, row: Item) -> str:
    if column.field == "total_percent":
        value = row.total_percent
        if value is None or value < 0.05:
            return "dim"
        return "hot" if value >= 80 else "warm" if value >= 20 else "busy"
    if column.field == GRAPH:
        return "busy"
    if column.field.endswith("_percent") and column.field not in UNIT_COLUMNS:
        value = getattr(row, column.field)
        return "dim" if value is None or value < 0.05 else ""
    if column.field == "verdict":
        return "warm" if row.verdict in {"throttled", "crowded", "stolen"} else "dim"
    return "dim" if column.field in {"state", "cpu_seconds", "threads", "start_time", "cgroup", "pid"} else ""


def _merged(line: Sequence[Span]) -> Line:
    merged: Line = []
    for style, text in line:
        if merged and merged[-1][0] == style:
            merged[-1] = (style, merged[-1][1] + text)
        elif text:
            merged.append((style, text))
    return merged
