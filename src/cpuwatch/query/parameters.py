"""The query parameters and flags of a view: one table, to parse them and to describe them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias, get_args
from urllib.parse import parse_qsl

from msgspec import Struct

from cpuwatch.errors import QueryError
from cpuwatch.fields import NAMES, SortKey
from cpuwatch.parse import invalid, parse_choice, parse_integer
from cpuwatch.query.name_pattern import compile_name_pattern
from cpuwatch.query.select import DEFAULT_SORT, Order, Query
from cpuwatch.query.summary import SUMMARY_GROUPS
from cpuwatch.query.view import Grouping, View
from cpuwatch.text import shortened
from cpuwatch.tick_id import RANGES, TickId

__all__ = [
    "AT",
    "HISTORY",
    "METRICS",
    "PID",
    "SUMMARY",
    "TICK_SCHEMAS",
    "TIMELINE",
    "VIEW",
    "Parameter",
    "choice",
    "exposed_processes",
    "parameters",
    "parse_query_string",
    "view_from",
]

_MAX_PID = 2**31 - 1
"""On any system; the limit of Linux is 2**22 (PID_MAX_LIMIT in include/linux/threads.h)."""
_MAX_VALUES = 100
_MAX_PERCENT = 1e6
_MAX_PAST_SECONDS = 1e9
_MAX_EXPOSED = 1000
_MAX_POINTS = 2000
_MAX_QUERY_STRING_BYTES = 4096
TICK_SCHEMAS = [{"type": "integer", "minimum": low, "maximum": high} for low, high in RANGES]
"""A tick: a sequence, or an id."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""As in JSON (RFC 8259, 6), with leading zeros allowed."""


_Schema: TypeAlias = dict[str, Any]
_Parser: TypeAlias = Callable[[str, str], Any]
"""Takes the parameter's name, for messages, and the text; raises ``ValueError``."""
_Kind: TypeAlias = tuple[_Schema, _Parser]


class Parameter(Struct, frozen=True):
    """A query parameter: its name, what it does, its JSON Schema and its parser."""

    name: str
    description: str
    schema: dict[str, Any]
    parser: Callable[[str, str], Any]

    def parse(self, text: str) -> Any:
        """The value. Raises ``ValueError`` with the parameter, what was given and what is allowed."""
        return self.parser(self.name, text)


def parameters(*rows: tuple[str, str, _Kind]) -> dict[str, Parameter]:
    """A table of parameters by name, from their name, description and kind."""
    return {name: Parameter(name, description, *kind) for name, description, kind in rows}


def parse_query_string(raw: bytes, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parsed values by name. A list may be one value with commas, or a parameter that is repeated.

    Raises :class:`~cpuwatch.errors.QueryError`, which names the parameter and what is allowed, if one is unknown, empty
    or out of range, or if one that takes a single value is repeated.
    """
    if len(raw) > _MAX_QUERY_STRING_BYTES:
        raise QueryError(f"the query string has {len(raw)} bytes: at most {_MAX_QUERY_STRING_BYTES} are allowed")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise QueryError("the query string is not percent-encoded UTF-8") from None
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise QueryError(f"unknown parameter {shortened(name)!r}: this path accepts {allowed}")
        texts.setdefault(name, []).append(text)
    values: dict[str, Any] = {}
    for name, repeated in texts.items():
        if len(repeated) > 1 and known[name].schema.get("type") != "array":
            raise QueryError(f"{name} is repeated: it takes one value")
        try:
            values[name] = known[name].parse(",".join(repeated))
        except ValueError as error:
            raise QueryError(str(error)) from None
    return values


def view_from(values: Mapping[str, Any]) -> View:
    """The view that these values describe. Raises :class:`~cpuwatch.errors.QueryError`."""
    return View(_query(values), values.get("fields"), values.get("group_by"))


def exposed_processes(values: Mapping[str, Any]) -> Query | None:
    """The processes that get their own metrics, at most a thousand; None for none.

    Raises :class:`~cpuwatch.errors.QueryError` if the parameters select processes without ``per_process``.
    """
    if not values.get("per_process"):
        unused = [name for name in values if name != "per_process"]
        if unused:
            raise QueryError(f"{unused[0]} selects processes: it needs per_process=true")
        return None
    return _query({"top": _MAX_EXPOSED, **values})


def _query(values: Mapping[str, Any]) -> Query:
    return Query(
        top=values.get("top"),
        sort=values.get("sort", DEFAULT_SORT),
        order=values.get("order"),
        name=values.get("name"),
        pids=frozenset(values.get("pid", ())),
        users=frozenset(values.get("user", ())),
        states=frozenset(values.get("state", ())),
        min_percent=values.get("min_percent"),
        kernel_threads=values.get("kernel_threads", True),
    )


def _integer(low: int, high: int) -> _Kind:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return schema, lambda name, text: parse_integer(name, text, low, high)


def _number(low: float, high: float) -> _Kind:
    def parse(name: str, text: str) -> float:
        # float() accepts blanks, underscores, digits of other scripts and infinity too.
        if not (_NUMBER.fullmatch(text) and low <= float(text) <= high):
            raise ValueError(invalid(name, text, f"must be a number from {low:g} to {high:g}"))
        return float(text)

    return {"type": "number", "minimum": low, "maximum": high}, parse


def choice(*allowed: str) -> _Kind:
    """The kind of a parameter that takes one of these values."""
    return {"type": "string", "enum": list(allowed)}, lambda name, text: parse_choice(name, text, allowed)


def _boolean() -> _Kind:
    return {"type": "boolean"}, lambda name, text: parse_choice(name, text, ("true", "false")) == "true"


def _several(item: _Kind) -> _Kind:
    schema, parse_one = item

    def parse(name: str, text: str) -> tuple[Any, ...]:
        parts = text.split(",")
        if len(parts) > _MAX_VALUES:
            raise ValueError(f"invalid {name}: {len(parts)} values, must be at most {_MAX_VALUES}")
        return tuple(parse_one(name, part) for part in parts)

    return {"type": "array", "items": schema, "minItems": 1, "maxItems": _MAX_VALUES}, parse


def _user(name: str, text: str) -> str:
    if not text:
        raise ValueError(invalid(name, text, "must not be empty"))
    return text


def _state(name: str, text: str) -> str:
    if not (len(text) == 1 and text.isascii() and text.isalpha()):
        raise ValueError(invalid(name, text, "must be the letter of a process state, such as R, S, D or Z"))
    return text


def _pattern(name: str, text: str) -> str:
    if not text:
        raise ValueError(invalid(name, text, "must not be empty; * matches any name"))
    compile_name_pattern(text)
    return text


def _since(name: str, text: str) -> TickId | datetime:
    with suppress(ValueError):
        return TickId.parse(text)
    return _instant(name, text, "must be the id of an event, a sequence, or a time, such as 2026-01-31T12:00:00Z")


def _time(name: str, text: str) -> datetime:
    return _instant(name, text, "must be a time, such as 2026-01-31T12:00:00Z")


def _instant(name: str, text: str, rule: str) -> datetime:
    try:
        # RFC 3339 allows small letters.
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(invalid(name, text, rule)) from None
    if instant.tzinfo is None:
        raise ValueError(invalid(name, text, f"{rule}; the offset from UTC is missing (write a + in a URL as %2B)"))
    return instant


_TIME: _Kind = ({"type": "string", "format": "date-time"}, _time)

VIEW = parameters(
    ("top", "Show only the first N rows, by default the busiest.", _integer(1, 100_000)),
    ("sort", f"Sort by this field, by default {DEFAULT_SORT}.", choice(*get_args(SortKey))),
    ("order", "Sort in this direction; by default, pid and texts ascend, all else descends.", choice(*get_args(Order))),
    (
        "name",
        "Show only these names: a glob for the whole name, or re: and a regular expression (RE2) for any part of it.",
        ({"type": "string", "minLength": 1, "maxLength": 256}, _pattern),
    ),
    ("pid", "Show only these PIDs, separated by commas.", _several(_integer(1, _MAX_PID))),
    ("user", "Show only processes of these users.", _several(({"type": "string", "pattern": "^[^,]+$"}, _user))),
    (
        "state",
        "Show only processes in these states (letters of proc_pid_stat(5)).",
        _several(({"type": "string", "pattern": "^[A-Za-z]$"}, _state)),
    ),
    ("min_percent", "Show only processes with at least this total_percent.", _number(0, _MAX_PERCENT)),
    ("kernel_threads", "Whether to show kernel threads.", _boolean()),
    ("fields", "Show only these fields of each process.", _several(choice(*NAMES))),
    ("group_by", "Show sums of groups in place of processes.", choice(*get_args(Grouping))),
)

PID = parameters(("pid", "The PID of the process.", _integer(1, _MAX_PID)))

HISTORY = parameters(
    ("seconds", "The last N seconds before the newest snapshot.", _number(0, _MAX_PAST_SECONDS)),
    (
        "since",
        "All snapshots after this tick (the id of its event, or its sequence alone), or after this time (RFC 3339).",
        ({"anyOf": [*TICK_SCHEMAS, {"type": "string", "format": "date-time"}]}, _since),
    ),
    ("from", "All snapshots after this time (RFC 3339), also those that are only in the recording.", _TIME),
    ("to", "No snapshots after this time (RFC 3339).", _TIME),
)

AT = parameters(("at", "The snapshot at this time (RFC 3339) instead of the newest one.", _TIME))

_RANGE = parameters(
    ("from", "Only what is after this time (RFC 3339), by default all that is recorded.", _TIME),
    ("to", "Only what is not after this time (RFC 3339).", _TIME),
)

SUMMARY = {
    **_RANGE,
    **parameters(
        ("group_by", "Sum up groups in place of processes.", choice(*SUMMARY_GROUPS)),
        ("top", "List only the first N rows; the others are added up.", _integer(1, 100_000)),
    ),
}

TIMELINE = {**_RANGE, **parameters(("points", "The largest number of points.", _integer(1, _MAX_POINTS)))}

METRICS = {
    **parameters(
        ("per_process", "Whether the busiest processes get their own series.", _boolean()),
        ("top", "The number of processes with their own series.", _integer(1, _MAX_EXPOSED)),
    ),
    **{name: shared for name, shared in VIEW.items() if name not in {"top", "fields", "group_by"}},
}
