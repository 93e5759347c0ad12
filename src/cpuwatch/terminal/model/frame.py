"""The whole screen: header, table, panels and the line of keys. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.encoding.table import missing_processes
from cpuwatch.terminal.model.header import Scene, header_lines
from cpuwatch.terminal.model.panels import column_lines, detail_lines, help_lines
from cpuwatch.terminal.model.process_past import ProcessTick
from cpuwatch.terminal.model.rows import Item, Moment, Row
from cpuwatch.terminal.model.state import VIEWS, Panel, ViewState
from cpuwatch.terminal.model.table import TableLines, table_lines
from cpuwatch.terminal.model.text import Line, Screen, fitted
from cpuwatch.terminal.model.thread_panel import thread_lines

__all__ = ["Frame", "drawn", "waiting"]

_DETAIL_LINES = 9
"""With a line above them, and a graph of one line."""
_MAX_GRAPH_LINES = 4
_HINTS = (
    ("/", "filter"),
    ("t", "tree"),
    ("g", "group"),
    ("space", "freeze"),
    ("<>", "sort"),
    ("?", "help"),
    ("q", "quit"),
)

_HINT_OF_PANEL: dict[Panel, Sequence[tuple[str, str]]] = {
    "detail": (("H", "threads"),),
    "threads": (("H", "details"),),
}


class Frame(Struct, frozen=True):
    """The lines of the screen. ``first_row`` is the line of the first visible row, ``height`` the number of them.

    ``headings`` maps cells of the line above to columns: begin, end and field.
    """

    lines: list[Line]
    first_row: int
    height: int
    headings: list[tuple[int, int, str]] = []
    table: TableLines | None = None


def drawn(
    moment: Moment,
    rows: Sequence[Item],
    state: ViewState,
    scene: Scene,
    screen: Screen,
    opened: Item | None = None,
    opened_past: Sequence[ProcessTick] = (),
    before: Frame | None = None,
) -> Frame:
    """The screen, exactly as large as ``screen`` says. Lines of the frame ``before`` that still hold are used again."""
    lines = header_lines(moment.snapshot, scene, screen, each_cpu=state.each_cpu)
    lines = lines[: max(1, screen.rows - 4)]
    below: list[Line] = []
    rest = Screen(screen.columns, max(1, screen.rows - len(lines) - 2), screen.encoding)
    if state.panel in {"detail", "threads"} and opened is not None and rest.rows > _DETAIL_LINES + 2:
        below = [fitted([("rail", screen.glyphs.empty * screen.columns)], screen.columns)]
        if state.panel == "threads":
            below += thread_lines(opened, scene.threads, screen, max(_DETAIL_LINES, rest.rows // 2))
        else:
            graph_lines = max(1, min(_MAX_GRAPH_LINES, (rest.rows - _DETAIL_LINES - 10) // 3))
            below += detail_lines(opened, moment, opened_past, scene, screen, graph_lines)
    height = max(1, rest.rows - len(below))
    table = table_lines(
        rows,
        _within(state, rows, height),
        replace(rest, rows=height),
        moment.snapshot.time,
        scene.zone,
        scene.totals,
        None if before is None else before.table,
    )
    body = [table.heading, *table.rows]
    if state.panel == "help":
        body = help_lines(replace(rest, rows=height + 1))
    elif state.panel == "columns":
        body = column_lines(state, replace(rest, rows=height + 1))
    body = body[: height + 1]
    body += [[("", " " * screen.columns)]] * (height + 1 - len(body))
    first_row = len(lines) + 1
    lines = [*lines, *body, *below][: screen.rows - 1]
    has_threads = opened is not None and not (isinstance(opened, Row) and opened.kind == "group")
    hints = (*_HINT_OF_PANEL.get(state.panel, ()), *_HINTS) if has_threads else _HINTS
    lines.append(_last_line(moment, rows, state, height, screen, hints))
    return Frame(lines[-screen.rows :], first_row, height, table.headings, table)


def waiting(text: str, screen: Screen) -> Frame:
    """The screen before the first snapshot."""
    blank = [[("", " " * screen.columns)]] * (screen.rows - 1)
    return Frame([fitted([("dim", screen.shown(text))], screen.columns), *blank], 1, max(1, screen.rows - 2))


def _within(state: ViewState, rows: Sequence[Item], height: int) -> ViewState:
    last = max(0, len(rows) - height)
    return state if state.top <= last else replace(state, top=last)


def _last_line(
    moment: Moment,
    rows: Sequence[Item],
    state: ViewState,
    height: int,
    screen: Screen,
    hints: Sequence[tuple[str, str]],
) -> Line:
    if state.prompt:
        text = state.filter if state.prompt == "filter" else state.search
        note = f"  {state.note}" if state.note else ""
        return fitted(
            [
                ("key", f"{state.prompt}: "),
                ("", screen.shown(text)),
                ("cursor", " "),
                ("warm", screen.shown(note)),
            ],
            screen.columns,
        )
    if state.note:
        return fitted([("warm", screen.shown(state.note))], screen.columns)
    parts: Line = []
    if state.filter:
        parts += [("key", "filter "), ("", screen.shown(state.filter)), ("", "  ")]
    if state.cursor is not None:
        parts += [("warm", "order held"), ("dim", " (Esc)"), ("", "  ")]
    if state.view:
        parts += [("key", VIEWS[state.view]), ("", "  ")]
    if len(rows) > height:
        parts += [("dim", f"{state.top + 1}-{min(len(rows), state.top + height)} of {len(rows)}"), ("", "  ")]
    for line in missing_processes(moment.snapshot.sampling)[:1]:
        parts += [("warm", screen.shown(line)), ("", "  ")]
    for key, text in hints:
        parts += [("key", key), ("dim", f" {text}  ")]
    return fitted(parts, screen.columns)
