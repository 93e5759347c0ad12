"""What covers a part of the table: the help, the choice of columns, the details of a process. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cpuwatch.model import ProcessUsage
from cpuwatch.query.crowd import crowd_of_process, crowd_text
from cpuwatch.terminal.model.columns import COLUMNS, name_of, shown_columns
from cpuwatch.terminal.model.header import Scene
from cpuwatch.terminal.model.keys import BINDINGS, Binding
from cpuwatch.terminal.model.process_past import ProcessTick, exited_under
from cpuwatch.terminal.model.rows import Item, Moment, Row, is_past
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.text import UNKNOWN, Fields, Line, Screen, duration, fitted, percent
from cpuwatch.terminal.model.unit_panel import unit_lines

__all__ = ["column_lines", "detail_lines", "help_lines"]

_KEY_NAMES = {" ": "space", "left": "←", "right": "→", "up": "↑", "down": "↓", "enter": "Enter", "esc": "Esc"}
_KEY_NAMES |= {"home": "Home", "end": "End", "page up": "PgUp", "page down": "PgDn", "ctrl a": "^A", "ctrl e": "^E"}
_ASCII_KEYS = {"left": "Left", "right": "Right", "up": "Up", "down": "Down"}
_TWO_COLUMNS_CELLS = 120
_KEY_CELLS = 10


def help_lines(screen: Screen) -> list[Line]:
    """The keys, in two columns where there is room."""
    count = 2 if screen.columns >= _TWO_COLUMNS_CELLS or screen.rows <= len(BINDINGS) // 2 + 2 else 1
    width = (screen.columns - 2 * (count - 1)) // count
    bindings = [binding for binding in BINDINGS if binding.keys]
    height = -(-len(bindings) // count)
    lines = [fitted([("bold", "Keys"), ("dim", "   Esc closes this help")], screen.columns)]
    for row in range(height):
        line: Line = []
        for binding in bindings[row::height]:
            line += [*([("", "  ")] if line else []), *fitted(_key_line(binding, screen), width)]
        lines.append(fitted(line, screen.columns))
    return lines


def _key_line(binding: Binding, screen: Screen) -> Line:
    names = _KEY_NAMES if screen.glyphs.filled != "|" else _KEY_NAMES | _ASCII_KEYS
    keys = " ".join(names.get(key, key) for key in binding.keys)
    return [("key", keys.rjust(_KEY_CELLS)), ("", "  " + binding.text)]


def column_lines(state: ViewState, screen: Screen) -> list[Line]:
    """The columns to choose from, with a mark at those that are shown."""
    shown = {column.field for column in shown_columns(replace(state, view=""), screen.columns)}
    lines = [fitted([("bold", "Columns"), ("dim", "   space shows or hides one, Esc closes")], screen.columns)]
    for index, (field, column) in enumerate(COLUMNS.items()):
        style = "cursor" if index == state.chosen_column else ""
        mark = "[x]" if field in shown else "[ ]"
        text = f" {mark} {column.heading:<9} {column.description}"
        lines.append(fitted([(style, text)], screen.columns, style))
    # The chosen one stays visible on a low screen.
    begin = max(0, state.chosen_column + 2 - screen.rows)
    return [lines[0], *lines[1 + begin :]]


def detail_lines(
    row: Item, moment: Moment, past: Sequence[ProcessTick], scene: Scene, screen: Screen, graph_lines: int
) -> list[Line]:
    """A process: its figures, its parents and children, what exited under it, and its last minutes as a graph.

    A unit: its sums, its limits and what they cost.
    """
    if isinstance(row, Row) and row.unit is not None:
        return unit_lines(row.unit, moment.snapshot.machine, screen)
    field = Fields(screen)
    shown = (lambda _: UNKNOWN) if is_past(row) else percent
    lines = [
        [
            ("bold", screen.shown(name_of(row))),
            ("dim", f"   PID {row.pid or UNKNOWN}   H threads   Esc closes"),
        ],
        field.line(
            ("total", shown(row.total_percent)),
            ("own", shown(row.cpu_percent)),
            ("user", shown(row.user_percent)),
            ("system", shown(row.system_percent)),
            ("exited", shown(row.exited_percent)),
            ("waiting", shown(row.wait_percent)),
            ("CPU time", duration(row.cpu_seconds)),
        ),
        field.line(
            ("user", row.user or UNKNOWN),
            ("state", row.state or UNKNOWN),
            ("threads", UNKNOWN if row.threads is None else str(row.threads)),
            ("started", _started(row, scene)),
            ("cgroup", row.cgroup or UNKNOWN),
        ),
        field.line(("parents", _parents(row, moment))),
        field.line(("children", _children(row, moment))),
        field.line(("exited", _exited(past))),
        field.line(*_denial(row, moment)),
        *_past_lines([tick.total_percent for tick in past], screen, graph_lines),
    ]
    return [fitted(line, screen.columns) for line in lines]


def _denial(row: Item, moment: Moment) -> list[tuple[str, str]]:
    """Whether the process got the CPU that it wanted, and which quota or which other processes are the reason."""
    if is_past(row):
        return [("verdict", UNKNOWN)]
    fields = [("verdict", row.verdict or UNKNOWN), ("throttled", percent(row.throttled_percent))]
    if isinstance(row, ProcessUsage) and (crowd := crowd_of_process(row, moment.snapshot.machine)):
        fields.append(("by", crowd_text(crowd)))
    cgroup = next((each for each in moment.snapshot.cgroups if each.path == row.cgroup), None)
    if cgroup is not None and cgroup.limited_by is not None:
        fields.append(("limit", f"{cgroup.limit_cpus:.2f} CPUs by {cgroup.limited_by}"))
    return fields


def _started(row: Item, scene: Scene) -> str:
    return UNKNOWN if row.start_time is None else row.start_time.astimezone(scene.zone).strftime("%Y-%m-%d %H:%M:%S")


def _parents(row: Item, moment: Moment) -> str:
    processes = {process.pid: process for process in moment.processes}
    chain: list[str] = []
    seen: set[int] = set()
    at = row.ppid
    while at in processes and at not in seen:
        seen.add(at)
        chain.append(f"{at} {processes[at].name}")
        at = processes[at].ppid
    return " < ".join(chain) or UNKNOWN


def _children(row: Item, moment: Moment) -> str:
    children = [process for process in moment.processes if row.pid and process.ppid == row.pid]
    children.sort(key=lambda process: process.total_percent or 0.0, reverse=True)
    return ", ".join(f"{child.pid} {child.name} {percent(child.total_percent)}" for child in children) or UNKNOWN


def _exited(past: Sequence[ProcessTick]) -> str:
    texts = [
        f"{'' if group.count is None else f'{group.count} '}{group.name or '(unknown)'} {duration(group.cpu_seconds)}"
        for group in exited_under(past)
    ]
    return f"{', '.join(texts)} in the last {len(past)} ticks" if texts else UNKNOWN


def _past_lines(past: Sequence[float | None], screen: Screen, height: int) -> list[Line]:
    width = max(1, screen.columns - 24)
    part = list(past[-width:])
    highest = max((value for value in part if value is not None), default=0.0)
    levels = screen.glyphs.levels
    scale = max(highest, 1.0) / height
    lines: list[Line] = []
    for row in range(height):
        floor = (height - 1 - row) * scale
        text = "".join(_glyph((value or 0.0) - floor, scale, levels) for value in part)
        label = "past " if row == 0 else "     "
        peak = f" peak {percent(highest)}" if row == 0 else ""
        lines.append([("dim", label), ("busy", text), ("dim", peak)])
    return lines


def _glyph(value: float, scale: float, levels: str) -> str:
    return " " if value <= 0 else levels[min(len(levels) - 1, int(value / scale * len(levels)))]
