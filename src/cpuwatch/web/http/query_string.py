"""The query string of a request, parsed by the table of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from cpuwatch.errors import QueryError
from cpuwatch.query.parameters import Parameter
from cpuwatch.text import shortened

__all__ = ["parse_query_string"]

_LONGEST_QUERY_STRING = 4096


def parse_query_string(raw: bytes, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parsed values by name.

    Raises :class:`~cpuwatch.errors.QueryError`, which names the parameter and what is allowed, for one that is not
    known, given twice, empty or out of its range.
    """
    if len(raw) > _LONGEST_QUERY_STRING:
        raise QueryError(f"the query is {len(raw)} bytes long: {_LONGEST_QUERY_STRING} is the most")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise QueryError("the query is no percent-encoded UTF-8") from None
    values: dict[str, Any] = {}
    for name, text in pairs:
        parameter = known.get(name)
        if parameter is None:
            raise QueryError(f"there is no parameter {shortened(name)!r} here; there are {', '.join(known) or 'none'}")
        if name in values:
            raise QueryError(f"{name} is given twice; several values go into one, with commas between them")
        try:
            values[name] = parameter.parse(text)
        except ValueError as error:
            raise QueryError(str(error)) from None
    return values
