"""Rounds the values of a view for the wire: to a ten-thousandth of a percent and a microsecond. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import astuple, replace

from cpuwatch.model import ProcessUsage, Snapshot
from cpuwatch.query.view import GroupedSnapshot

__all__ = ["rounded", "rounded_rows"]

_DIGITS = {"percent": 4, "seconds": 6, "threads": 4, "cpus": 4}
"""By the last word of a name of at least two: ``threads`` and ``cpus`` alone are whole numbers."""

_MAX_SCALED = 1e9
"""Up to this value, a float times the scale is still exact to less than a digit."""

_Row = TypeVar("_Row", bound=Struct)
_Shown = TypeVar("_Shown", bound=Snapshot | GroupedSnapshot)


def rounded(shown: _Shown) -> _Shown:
    """The view with all percentages and seconds rounded. The values in the library stay exact."""
    (head,) = rounded_rows([shown])
    parts: dict[str, Any] = {
        name: rounded_rows([getattr(shown, name)])[0] for name in ("machine", "attribution", "sampling")
    }
    parts["machine"] = replace(parts["machine"], busiest=rounded_rows(shown.machine.busiest))
    if isinstance(shown, Snapshot):
        parts |= {
            "processes": _rounded_processes(shown.processes),
            "exited": rounded_rows(shown.exited),
            "cgroups": rounded_rows(shown.cgroups),
        }
    else:
        parts["groups"] = rounded_rows(shown.groups)
    return replace(head, **parts)


def rounded_rows(rows: Sequence[_Row]) -> list[_Row]:
    """These rows, all of one type, rounded column by column, which needs no code for each field."""
    if not rows:
        return []
    kind = type(rows[0])
    columns: list[Sequence[Any]] = list(zip(*map(astuple, rows), strict=True))
    for place, name in enumerate(kind.__struct_fields__):
        prefix, _, unit = name.rpartition("_")
        digits = _DIGITS.get(unit)
        if prefix and digits is not None:
            columns[place] = _rounded(columns[place], digits)
    return list(map(kind, *columns))


def _rounded_processes(processes: Sequence[ProcessUsage]) -> list[ProcessUsage]:
    """The rows of processes, rounded.

    Most processes are idle: their percentages are 0 or unknown, and only their CPU time needs rounding. Columns of all
    rows would take longer than the encoding.
    """
    rows = list(processes)
    is_active = [
        row.total_percent
        or row.cpu_percent
        or row.machine_percent
        or row.user_percent
        or row.system_percent
        or row.exited_percent
        or row.wait_percent
        for row in rows
    ]
    active_rows = iter(rounded_rows(list(compress(rows, is_active))))
    cpu_seconds = _rounded([row.cpu_seconds for row in rows], _DIGITS["seconds"])
    return [
        next(active_rows) if active else replace(row, cpu_seconds=seconds)
        for row, active, seconds in zip(rows, is_active, cpu_seconds, strict=True)
    ]


def _rounded(values: Sequence[Any], digits: int) -> list[Any]:
    scale = 10.0**digits
    # round() with digits takes four times as long as scaling.
    return [
        round(value * scale) / scale
        if value.__class__ is float and -_MAX_SCALED < value < _MAX_SCALED
        else _rounded_rarely(value, digits)
        for value in values
    ]


def _rounded_rarely(value: Any, digits: int) -> Any:
    if isinstance(value, list):
        return _rounded(value, digits)
    return value and round(value, digits)
