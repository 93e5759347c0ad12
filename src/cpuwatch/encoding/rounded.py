"""Rounds the values of a view for the wire: to a ten-thousandth of a percent and a microsecond. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import astuple, replace

from cpuwatch.model import Snapshot
from cpuwatch.query.view import GroupedSnapshot

__all__ = ["rounded", "rounded_rows"]

_DIGITS = {"percent": 4, "seconds": 6}
_Row = TypeVar("_Row", bound=Struct)
_Shown = TypeVar("_Shown", bound=Snapshot | GroupedSnapshot)


def rounded(shown: _Shown) -> _Shown:
    """The view with all percentages and seconds rounded. The values in the library stay exact."""
    (head,) = rounded_rows([shown])
    lists = ("processes", "exited") if isinstance(shown, Snapshot) else ("groups",)
    parts: dict[str, Any] = {name: rounded_rows(getattr(shown, name)) for name in lists}
    parts |= {name: rounded_rows([getattr(shown, name)])[0] for name in ("machine", "attribution", "sampling")}
    return replace(head, **parts)


def rounded_rows(rows: Sequence[_Row]) -> list[_Row]:
    """These rows, all of one type, rounded column by column, which needs no code for each field."""
    if not rows:
        return []
    kind = type(rows[0])
    columns: list[Sequence[Any]] = list(zip(*map(astuple, rows), strict=True))
    for place, name in enumerate(kind.__struct_fields__):
        digits = _DIGITS.get(name.rpartition("_")[2])
        if digits is not None:
            columns[place] = [_rounded(value, digits) for value in columns[place]]
    return list(map(kind, *columns))


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    # Most percentages are 0, and None cannot be rounded.
    return value and round(value, digits)
