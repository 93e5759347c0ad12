"""What the user chose to see. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["VIEWS", "Panel", "Prompt", "ViewName", "ViewState"]

ViewName = Literal["", "tree", "name", "user", "unit"]
Panel = Literal["", "help", "columns", "detail", "threads"]
Prompt = Literal["", "filter", "search"]

VIEWS: dict[ViewName, str] = {
    "": "processes",
    "tree": "tree",
    "name": "by name",
    "user": "by user",
    "unit": "by unit",
}


class ViewState(Struct, frozen=True):
    """The order, the filter, the place of the cursor and what is open.

    ``cursor`` is the key of a row. While it is set, rows keep their order. ``top`` is the index of the first visible
    row. ``columns`` is None for the default columns; the newest choice is last. ``opened`` is the key of the row whose
    details or threads are shown.
    """

    sort: str = "total_percent"
    descending: bool = True
    view: ViewName = ""
    filter: str = ""
    search: str = ""
    prompt: Prompt = ""
    panel: Panel = ""
    opened: str | None = None
    cursor: str | None = None
    top: int = 0
    closed: frozenset[str] = frozenset()
    columns: tuple[str, ...] | None = None
    chosen_column: int = 0
    each_cpu: bool = True
    kernel_threads: bool = True
    note: str = ""
