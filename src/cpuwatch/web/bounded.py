"""Keeping what was made last, and no more than there is to be room for."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["keep"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def keep(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Add something new; where there are ``most`` already, what came first goes."""
    while len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value
