"""The text of the filter and of the search: words, ``user=root``, or a regular expression after a slash. Pure.

``cgroup=PATH`` matches everything in a cgroup and below it.

The page has the same rules in ``web/static/model/filter.js``. Regular expressions are those of RE2, as in
:mod:`cpuwatch.query.name_pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cpuwatch.query.cgroup_name import cgroup_name
from cpuwatch.query.name_pattern import compile_name_pattern
from cpuwatch.query.units import is_in
from cpuwatch.terminal.model.rows import Item

__all__ = ["MAX_FILTER_CHARACTERS", "row_test"]

MAX_FILTER_CHARACTERS = 200
_EXACT = re.compile(r"(name|user|unit|pid|cgroup)=(.*)", re.DOTALL)


def row_test(text: str) -> Callable[[Item], bool] | None:
    """A predicate for rows; None if the text is empty, which every row matches.

    Raises :class:`~cpuwatch.errors.PatternError` for an invalid regular expression, and
    :class:`~cpuwatch.errors.MissingExtraError` if there is no matcher for them.
    """
    wanted = text.strip()
    if wanted in {"", "/"}:
        return None
    exact = _EXACT.fullmatch(wanted)
    if exact is not None:
        return _exact_test(exact[1], exact[2])
    if wanted.startswith("/"):
        matches = compile_name_pattern("re:(?i)" + wanted[1:].removesuffix("/"))
        return lambda row: any(map(matches, _texts(row)))
    words = wanted.lower().split()
    return lambda row: _holds(row, words)


def _exact_test(field: str, value: str) -> Callable[[Item], bool]:
    if field == "cgroup":
        return lambda row: is_in(row.cgroup, value or None)
    return lambda row: (_text_of(row, field) or "") == value


def _text_of(row: Item, field: str) -> str | None:
    match field:
        case "unit":
            return None if row.cgroup is None else cgroup_name(row.cgroup)
        case "pid":
            return str(row.pid) if row.pid else None
        case "user":
            return row.user
    return row.name


def _texts(row: Item) -> list[str]:
    texts = (row.name, row.user, _text_of(row, "unit"), _text_of(row, "pid"), row.command_line)
    return [text for text in texts if text is not None]


def _holds(row: Item, words: list[str]) -> bool:
    text = "\n".join(_texts(row)).lower()
    return all(word in text for word in words)
