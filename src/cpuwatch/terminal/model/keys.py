"""The keys and what they do: one table for the terminal, its help, and the page. Pure.

``tests/unit/test_terminal_keys.py`` checks that the page has the same keys (``web/static/app.js``) and the same help
(``web/page.html``). Keys of htop that do the same here are accepted as well.

The two differ in one key: ``/`` searches in htop and filters in the page. It filters here as well, as in btop: a filter
also finds what is below the screen or comes later, and Esc ends it. F3 and F4 search and filter as in htop.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["BINDINGS", "Action", "Binding", "action_of"]

Action = Literal[
    "quit",
    "help",
    "escape",
    "enter",
    "up",
    "down",
    "page_up",
    "page_down",
    "first",
    "last",
    "filter",
    "search",
    "search_next",
    "group",
    "tree",
    "collapse",
    "expand",
    "sort_total",
    "sort_cpu",
    "sort_pid",
    "sort_name",
    "sort_user",
    "sort_time",
    "reverse",
    "sort_left",
    "sort_right",
    "threads",
    "columns",
    "cpus",
    "kernel_threads",
    "freeze",
    "back",
    "forward",
    "far_back",
    "far_forward",
    "oldest",
    "live",
    "zoom_in",
    "zoom_out",
]


class Binding(Struct, frozen=True):
    """The keys of an action: those that the help names, others, and the one of the page.

    An action that only the page has is without keys.
    """

    action: Action
    keys: tuple[str, ...]
    text: str
    more: tuple[str, ...] = ()
    page_key: str | None = None


BINDINGS = (
    Binding("filter", ("/",), "Filter: words, user=root, unit=NAME, pid=1, or /regex/", ("f4", "\\"), "/"),
    Binding("search", ("f",), "Search: go to the next row that matches", ("f3",)),
    Binding("search_next", ("F",), "Search again", ("shift f3",)),
    Binding("freeze", (" ",), "Freeze or resume", (), " "),
    Binding("back", ("left", "["), "One tick back", (), "["),
    Binding("forward", ("right", "]"), "One tick forward", (), "]"),
    Binding("far_back", ("{",), "60 ticks back", ("shift left", "ctrl left")),
    Binding("far_forward", ("}",), "60 ticks forward", ("shift right", "ctrl right")),
    Binding("oldest", ("home",), "The oldest tick"),
    Binding("live", ("end",), "The newest tick"),
    Binding("sort_total", ("o",), "Sort by total; again to reverse, as the next ones", (), "o"),
    Binding("sort_cpu", ("c",), "Sort by CPU", ("P",), "c"),
    Binding("sort_pid", ("p",), "Sort by PID", ("N",), "p"),
    Binding("sort_name", ("n",), "Sort by name", (), "n"),
    Binding("sort_user", ("u",), "Sort by user", (), "u"),
    Binding("sort_time", ("T",), "Sort by CPU time"),
    Binding("sort_left", ("<",), "Sort by the column to the left", (",",)),
    Binding("sort_right", (">",), "Sort by the column to the right", (".", "f6")),
    Binding("reverse", ("I",), "Reverse the order"),
    Binding("tree", ("t",), "Tree", ("f5",), "t"),
    Binding("collapse", ("-",), "Collapse a branch"),
    Binding("expand", ("+",), "Expand a branch", ("=",)),
    Binding("group", ("g",), "Group by name, user, unit or not at all", (), "g"),
    Binding("cpus", ("1",), "Each CPU, or the machine only", (), "1"),
    Binding("kernel_threads", ("K",), "Show or hide kernel threads"),
    Binding("columns", ("C",), "Choose columns", ("f2",)),
    Binding("up", ("up",), "Move up; rows keep their order while the cursor is in the table", ("k", "ctrl p")),
    Binding("down", ("down",), "Move down", ("j", "ctrl n")),
    Binding("page_up", ("page up",), "One screen up"),
    Binding("page_down", ("page down",), "One screen down"),
    Binding("first", ("ctrl a",), "First row", ("ctrl home",)),
    Binding("last", ("ctrl e", "G"), "Last row", ("ctrl end",)),
    Binding("enter", ("enter",), "Open the details of a row, or the processes of a group"),
    Binding("threads", ("H",), "Show the threads of a process, or its details again"),
    Binding("escape", ("esc",), "Close, clear the filter, leave the table, go live", (), "Escape"),
    # Only the page can zoom; in the terminal these keys belong to the tree, as in htop.
    Binding("zoom_in", (), "Zoom the history in", (), "+"),
    Binding("zoom_out", (), "Zoom the history out", (), "-"),
    Binding("help", ("?",), "This help", ("f1", "h"), "?"),
    Binding("quit", ("q",), "Quit", ("f10", "Q")),
)

_ACTIONS = {key: binding.action for binding in BINDINGS for key in (*binding.keys, *binding.more)}


def action_of(key: str) -> Action | None:
    """The action of a key, by the name that urwid gives it."""
    return _ACTIONS.get(key)
