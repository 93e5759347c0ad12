"""What a key or the mouse changes: a state in, a state out, and what only the application can do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.errors import CpuwatchError
from cpuwatch.fields import FIELDS
from cpuwatch.terminal.model.columns import COLUMNS, UNIT_COLUMNS, shown_columns
from cpuwatch.terminal.model.filter import MAX_FILTER_CHARACTERS, row_test
from cpuwatch.terminal.model.keys import Action, action_of
from cpuwatch.terminal.model.rows import Item, Row
from cpuwatch.terminal.model.state import VIEWS, ViewName, ViewState

__all__ = ["Effect", "Shown", "clicked", "kept_in_table", "pressed", "scrolled"]

Effect = Literal["", "quit", "freeze", "back", "forward", "far_back", "far_forward", "oldest", "live"]
"""What is outside of the view: the time, and the end."""

_EFFECTS: dict[Action, Effect] = {
    "quit": "quit",
    "freeze": "freeze",
    "back": "back",
    "forward": "forward",
    "far_back": "far_back",
    "far_forward": "far_forward",
    "oldest": "oldest",
    "live": "live",
}
_SORTS: dict[Action, str] = {
    "sort_total": "total_percent",
    "sort_cpu": "cpu_percent",
    "sort_pid": "pid",
    "sort_name": "name",
    "sort_user": "user",
    "sort_time": "cpu_seconds",
}
_GROUPS: tuple[ViewName, ...] = ("", "name", "user", "unit")
_WHEEL_ROWS = 3


class Shown(Struct, frozen=True):
    """What is on the screen: all rows of the view in order, how many of them are visible, and the columns in cells."""

    rows: Sequence[Item]
    height: int
    columns: int
    is_frozen: bool = False


def pressed(state: ViewState, key: str, shown: Shown) -> tuple[ViewState, Effect]:
    """The state after a key, and the effect it has outside of the view."""
    if state.prompt:
        return _typed(state, key, shown), ""
    action = action_of(key)
    if action is None:
        return state, ""
    state = replace(state, note="")
    if state.panel == "help" and action in {"help", "enter", "quit"}:
        action = "escape"
    in_columns = state.panel == "columns" and action in {"up", "down", "enter", "freeze"}
    if action == "escape" and not _has_something_to_leave(state):
        return state, "live" if shown.is_frozen else ""
    if action in _EFFECTS and not in_columns:
        return state, _EFFECTS[action]
    return (_in_columns if in_columns else _changed)(state, action, shown), ""


def _changed(state: ViewState, action: Action, shown: Shown) -> ViewState:
    return _sorted_by(state, _SORTS[action]) if action in _SORTS else _CHANGES[action](state, shown)


def clicked(state: ViewState, row: int | None, heading: str | None, shown: Shown) -> ViewState:
    """The state after a click on a visible row, on a heading, or elsewhere. A second click on a row opens it."""
    if heading is not None:
        return _sorted_by(state, heading) if (COLUMNS | UNIT_COLUMNS)[heading].is_sortable else state
    if row is None or state.top + row >= len(shown.rows):
        return replace(state, cursor=None, panel="" if state.panel == "help" else state.panel)
    key = shown.rows[state.top + row].key
    if key == state.cursor:
        return _open(state, shown)
    return replace(state, cursor=key)


def scrolled(state: ViewState, rows: int, shown: Shown) -> ViewState:
    """The state after the wheel was turned: up is negative. The cursor stays in its row."""
    last = max(0, len(shown.rows) - shown.height)
    return replace(state, top=max(0, min(last, state.top + rows * _WHEEL_ROWS)))


def kept_in_table(state: ViewState, before: Sequence[Item], rows: Sequence[Item]) -> ViewState:
    """The state after the rows changed: if the row under the cursor is gone, the cursor is in the row at its place."""
    if state.cursor is None or any(row.key == state.cursor for row in rows):
        return state
    index = next((index for index, row in enumerate(before) if row.key == state.cursor), None)
    if index is None or not rows:
        return replace(state, cursor=None)
    return replace(state, cursor=rows[min(index, len(rows) - 1)].key)


def _has_something_to_leave(state: ViewState) -> bool:
    return bool(state.panel or state.filter or state.cursor)


def _typed(state: ViewState, key: str, shown: Shown) -> ViewState:
    text = state.filter if state.prompt == "filter" else state.search
    match key:
        case "enter":
            state = replace(state, prompt="")
            return _found(state, shown) if state.search and text == state.search else state
        case "esc":
            cleared = {"filter": ""} if state.prompt == "filter" else {"search": ""}
            return replace(state, prompt="", note="", **cleared)
        case "backspace":
            text = text[:-1]
        case "ctrl u":
            text = ""
        case _ if len(key) == 1 and key.isprintable():
            text = (text + key)[:MAX_FILTER_CHARACTERS]
        case _:
            return state
    if state.prompt == "search":
        return replace(state, search=text)
    return replace(state, filter=text, note=_problem(text), top=0)


def _problem(text: str) -> str:
    try:
        row_test(text)
    except CpuwatchError as error:
        return str(error)
    return ""


def _found(state: ViewState, shown: Shown) -> ViewState:
    """The cursor on the next row after it that matches the search, from the top again after the last one."""
    try:
        test = row_test(state.search)
    except CpuwatchError as error:
        return replace(state, note=str(error))
    if test is None:
        return state
    begin = _index(state, shown) + 1
    for offset in range(len(shown.rows)):
        row = shown.rows[(begin + offset) % len(shown.rows)]
        if test(row):
            return _at(state, (begin + offset) % len(shown.rows), shown)
    return replace(state, note=f"nothing matches {state.search!r}")


def _sorted_by(state: ViewState, field: str) -> ViewState:
    descending = not state.descending if state.sort == field else FIELDS[field].descends
    # A new order is wanted now, so the old one is not held.
    return replace(state, sort=field, descending=descending, cursor=None, top=0)


def _sort_beside(step: int) -> Callable[[ViewState, Shown], ViewState]:
    def change(state: ViewState, shown: Shown) -> ViewState:
        fields = [column.field for column in shown_columns(state, shown.columns) if column.is_sortable]
        at = fields.index(state.sort) if state.sort in fields else 0
        wanted = fields[max(0, min(len(fields) - 1, at + step))]
        return state if wanted == state.sort else _sorted_by(state, wanted)

    return change


def _index(state: ViewState, shown: Shown) -> int:
    """The index of the row under the cursor; -1 if it is not in the table."""
    return next((index for index, row in enumerate(shown.rows) if row.key == state.cursor), -1)


def _at(state: ViewState, index: int, shown: Shown) -> ViewState:
    """The cursor in this row, scrolled as little as possible to make it visible."""
    if not shown.rows:
        return replace(state, cursor=None, top=0)
    index = max(0, min(len(shown.rows) - 1, index))
    top = min(state.top, index)
    top = max(top, index - shown.height + 1, 0)
    return replace(state, cursor=shown.rows[index].key, top=top)


def _moved(step: int) -> Callable[[ViewState, Shown], ViewState]:
    def change(state: ViewState, shown: Shown) -> ViewState:
        index = _index(state, shown)
        if index < 0:
            return _at(state, state.top if step > 0 else state.top + shown.height - 1, shown)
        return _at(state, index + step, shown)

    return change


def _paged(direction: int) -> Callable[[ViewState, Shown], ViewState]:
    def change(state: ViewState, shown: Shown) -> ViewState:
        page = direction * max(1, shown.height - 1)
        if state.cursor is None:
            last = max(0, len(shown.rows) - shown.height)
            return replace(state, top=max(0, min(last, state.top + page)))
        return _at(state, max(0, _index(state, shown)) + page, shown)

    return change


def _under_cursor(state: ViewState, shown: Shown) -> Item | None:
    index = _index(state, shown)
    return shown.rows[index] if index >= 0 else None


def _open(state: ViewState, shown: Shown) -> ViewState:
    row = _under_cursor(state, shown)
    if row is None:
        return state
    is_open = state.panel == "detail" and state.opened == row.key
    if isinstance(row, Row) and row.unit is not None and is_open:
        return replace(state, view="", filter=f"cgroup={row.cgroup or ''}", cursor=None, top=0, panel="", opened=None)
    if isinstance(row, Row) and row.kind == "group" and row.unit is None:
        return replace(state, view="", filter=f"{state.view}={row.name or ''}", cursor=None, top=0)
    if is_open:
        return replace(state, panel="", opened=None)
    return replace(state, panel="detail", opened=row.key)


def _threads(state: ViewState, shown: Shown) -> ViewState:
    """The threads of the row with open details or under the cursor; the details again if they are shown already."""
    if state.panel == "threads":
        return replace(state, panel="detail")
    key = state.opened if state.panel == "detail" else state.cursor
    if key is None or any(row.key == key and isinstance(row, Row) and row.kind == "group" for row in shown.rows):
        return replace(state, note="threads: move to a process first (down, or a click)")
    return replace(state, panel="threads", opened=key)


def _escape(state: ViewState, _: Shown) -> ViewState:
    if state.panel:
        return replace(state, panel="", opened=None)
    if state.filter:
        return replace(state, filter="")
    return replace(state, cursor=None, top=0)


def _view(state: ViewState, view: ViewName) -> ViewState:
    return replace(state, view=view, cursor=None, top=0, note=f"view: {VIEWS[view]}")


def _tree(state: ViewState, _: Shown) -> ViewState:
    return _view(state, "" if state.view == "tree" else "tree")


def _group(state: ViewState, _: Shown) -> ViewState:
    at = _GROUPS.index(state.view) if state.view in _GROUPS else 0
    return _view(state, _GROUPS[(at + 1) % len(_GROUPS)])


def _branch(*, is_closed: bool) -> Callable[[ViewState, Shown], ViewState]:
    def change(state: ViewState, _: Shown) -> ViewState:
        if state.cursor is None or state.view not in {"tree", "unit"}:
            return state
        key = {state.cursor}
        return replace(state, closed=state.closed | key if is_closed else state.closed - key)

    return change


def _in_columns(state: ViewState, action: Action, shown: Shown) -> ViewState:
    fields = list(COLUMNS)
    if action in {"up", "down"}:
        step = -1 if action == "up" else 1
        return replace(state, chosen_column=(state.chosen_column + step) % len(fields))
    field = fields[state.chosen_column]
    chosen = [column.field for column in shown_columns(replace(state, view=""), shown.columns)]
    others = [name for name in chosen if name != field]
    # A table without names says nothing.
    return replace(state, columns=tuple(others if field in chosen and field != "name" else [*others, field]))


_CHANGES: dict[Action, Callable[[ViewState, Shown], ViewState]] = {
    "help": lambda state, _: replace(state, panel="help"),
    "escape": _escape,
    "enter": _open,
    "up": _moved(-1),
    "down": _moved(1),
    "page_up": _paged(-1),
    "page_down": _paged(1),
    "first": lambda state, shown: _at(state, 0, shown),
    "last": lambda state, shown: _at(state, len(shown.rows) - 1, shown),
    "threads": _threads,
    "filter": lambda state, _: replace(state, prompt="filter"),
    "search": lambda state, _: replace(state, prompt="search", search=""),
    "search_next": _found,
    "group": _group,
    "tree": _tree,
    "collapse": _branch(is_closed=True),
    "expand": _branch(is_closed=False),
    "reverse": lambda state, _: _sorted_by(state, state.sort),
    "sort_left": _sort_beside(-1),
    "sort_right": _sort_beside(1),
    "columns": lambda state, _: replace(state, panel="" if state.panel == "columns" else "columns"),
    "cpus": lambda state, _: replace(state, each_cpu=not state.each_cpu),
    "kernel_threads": lambda state, _: replace(state, kernel_threads=not state.kernel_threads),
}
