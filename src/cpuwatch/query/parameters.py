"""What a view is described with, in a query string or as flags: one table for parsing and for describing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, get_args

from msgspec import Struct

from cpuwatch.encoding.formats import FORMATS
from cpuwatch.errors import QueryError
from cpuwatch.query.name_pattern import compile_name_pattern
from cpuwatch.query.select import Query, SortKey
from cpuwatch.query.view import FIELDS, Grouping, View
from cpuwatch.settings import parse_integer
from cpuwatch.text import shortened
from cpuwatch.tick_id import MAX_TICK_ID, TickId

__all__ = [
    "FORMAT",
    "HISTORY",
    "METRICS",
    "PID",
    "VIEW",
    "Parameter",
    "exposed_processes",
    "view_from",
]

_HIGHEST_PID = 2**31 - 1
"""Of any system; Linux stops at 2**22 (PID_MAX_LIMIT in include/linux/threads.h)."""
_MOST_VALUES = 100
_HIGHEST_PERCENT = 1e6
_LONGEST_PAST_SECONDS = 1e9
_MOST_EXPOSED = 1000
_TICK = {"type": "integer", "minimum": 0, "maximum": MAX_TICK_ID}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""As in JSON (RFC 8259, 6), but that leading zeros do no harm."""


class Parameter(Struct, frozen=True):
    """A query parameter: its name, what it is for, its JSON Schema, and its parser, which raises ``ValueError``."""

    name: str
    description: str
    schema: dict[str, Any]
    parse: Callable[[str], Any]


def view_from(values: Mapping[str, Any]) -> View:
    """The view that these parameters describe. Raises :class:`~cpuwatch.errors.QueryError`."""
    return View(_query(values), values.get("fields"), values.get("group_by"))


def exposed_processes(values: Mapping[str, Any]) -> Query | None:
    """The processes that get metrics of their own, at most a thousand; None for none.

    Raises :class:`~cpuwatch.errors.QueryError` for a choice among processes where none are asked for.
    """
    if not values.get("per_process"):
        without_use = [name for name in values if name != "per_process"]
        if without_use:
            raise QueryError(f"{without_use[0]} chooses among processes, which needs per_process=true")
        return None
    return _query({"top": _MOST_EXPOSED, **values})


def _query(values: Mapping[str, Any]) -> Query:
    return Query(
        top=values.get("top"),
        sort=values.get("sort"),
        order=values.get("order"),
        name=values.get("name"),
        pids=frozenset(values.get("pid", ())),
        users=frozenset(values.get("user", ())),
        states=frozenset(values.get("state", ())),
        min_percent=values.get("min_percent"),
        kernel_threads=values.get("kernel_threads", True),
    )


def _whole(low: int, high: int, what: str) -> tuple[dict[str, Any], Callable[[str], int]]:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return schema, lambda text: parse_integer(text, low, high, what)


def _number(low: float, high: float) -> tuple[dict[str, Any], Callable[[str], float]]:
    def parse(text: str) -> float:
        # float() takes blanks, underscores, other scripts' digits and infinity too.
        if not (_NUMBER.fullmatch(text) and low <= float(text) <= high):
            raise ValueError(f"{shortened(text)!r} is no number from {low:g} to {high:g}")
        return float(text)

    return {"type": "number", "minimum": low, "maximum": high}, parse


def _choice(*allowed: str) -> tuple[dict[str, Any], Callable[[str], str]]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{shortened(text)!r} is none of {', '.join(allowed)}")
        return text

    return {"type": "string", "enum": list(allowed)}, parse


def _boolean() -> tuple[dict[str, Any], Callable[[str], bool]]:
    _, parse = _choice("true", "false")
    return {"type": "boolean"}, lambda text: parse(text) == "true"


def _several(
    item: tuple[dict[str, Any], Callable[[str], Any]],
) -> tuple[dict[str, Any], Callable[[str], tuple[Any, ...]]]:
    schema, parse_one = item

    def parse(text: str) -> tuple[Any, ...]:
        parts = text.split(",")
        if len(parts) > _MOST_VALUES:
            raise ValueError(f"{len(parts)} values are too many: {_MOST_VALUES} is the most")
        return tuple(map(parse_one, parts))

    return {"type": "array", "items": schema, "minItems": 1, "maxItems": _MOST_VALUES}, parse


def _word(text: str) -> str:
    if not text:
        raise ValueError("a value is empty")
    return text


def _state(text: str) -> str:
    if not (len(text) == 1 and text.isascii() and text.isalpha()):
        raise ValueError(f"{shortened(text)!r} is no letter of a process state, as R, S, D or Z")
    return text


def _pattern(text: str) -> str:
    if not text:
        raise ValueError("it is empty; * stands for any name")
    compile_name_pattern(text)
    return text


def _since(text: str) -> TickId | datetime:
    with suppress(ValueError):
        return TickId.parse(text)
    message = (
        f"invalid since {shortened(text)!r}: must be the id of an event, a sequence, "
        "or a time, as in 2026-01-31T12:00:00Z"
    )
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(message) from None
    if instant.tzinfo is None:
        raise ValueError(f"{message}: its offset from UTC is missing; a + in a URL is written %2B")
    return instant


def _table(*rows: tuple[str, str, tuple[dict[str, Any], Callable[[str], Any]]]) -> dict[str, Parameter]:
    return {name: Parameter(name, description, *kind) for name, description, kind in rows}


VIEW = _table(
    (
        "top",
        "Only the first so many rows; the busiest, unless sort says otherwise.",
        _whole(1, 100_000, "number of rows"),
    ),
    ("sort", "The field to sort by.", _choice(*get_args(SortKey))),
    ("order", "Direction; by default texts and pid ascend, numbers descend.", _choice("asc", "desc")),
    (
        "name",
        "Only these names: a glob for the whole name, or re: and a regular expression (RE2) for any part of it.",
        ({"type": "string", "minLength": 1, "maxLength": 256}, _pattern),
    ),
    ("pid", "Only these PIDs, with commas between them.", _several(_whole(1, _HIGHEST_PID, "pid"))),
    ("user", "Only processes of these users.", _several(({"type": "string", "pattern": "^[^,]+$"}, _word))),
    (
        "state",
        "Only processes in these states (letters of proc_pid_stat(5)).",
        _several(({"type": "string", "pattern": "^[A-Za-z]$"}, _state)),
    ),
    ("min_percent", "Only rows with at least this cpu_percent.", _number(0, _HIGHEST_PERCENT)),
    (
        "kernel_threads",
        "Whether kernel threads are shown.",
        _boolean(),
    ),
    ("fields", "Only these fields of each process.", _several(_choice(*FIELDS))),
    ("group_by", "Sums of groups in place of processes.", _choice(*get_args(Grouping))),
)

PID = _table(("pid", "The PID of the process.", _whole(1, _HIGHEST_PID, "pid")))

HISTORY = _table(
    ("seconds", "So much of the past, back from the newest snapshot.", _number(0, _LONGEST_PAST_SECONDS)),
    (
        "since",
        "All after this tick (the id of its event, or its sequence alone), or after this time (RFC 3339).",
        ({"anyOf": [_TICK, {"type": "string", "format": "date-time"}]}, _since),
    ),
)

FORMAT = _table(("format", "In place of an Accept header.", _choice(*FORMATS)))

METRICS = {
    **_table(
        ("per_process", "Whether the busiest processes get series of their own.", _boolean()),
        ("top", "Only so many processes.", _whole(1, _MOST_EXPOSED, "number of processes")),
    ),
    **{name: shared for name, shared in VIEW.items() if name not in {"top", "fields", "group_by"}},
}
