"""Selects the fields of a row. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import asdict

__all__ = ["reduced"]


def reduced(row: Struct, fields: Sequence[str] | None = None) -> dict[str, object]:
    """Return these fields of a row by name, in this order. Without ``fields``, all of them."""
    return asdict(row) if fields is None else {name: getattr(row, name) for name in fields}
