"""Columns of integers as bytes that compress well. Pure.

The values are reduced by their minimum, divided by their greatest common divisor, and stored as 64-bit little-endian
integers whose bytes are grouped by significance ("byte shuffle", as in Blosc and HDF5). Bytes that are zero in all
values are left out. The noise of nanoseconds is then apart from the bytes that seldom differ. The width is fixed,
because :mod:`array` and numpy read such a column without a loop over bytes; varints need one.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate, pairwise
from math import gcd
from operator import sub
from typing import TypeVar

from msgspec import Struct

__all__ = ["Column", "coded", "growths", "packed", "scaled", "split", "sums_of", "unpacked"]

_T = TypeVar("_T")
_Code = TypeVar("_Code", bound=Hashable)

_WIDTH = 8
_MAX_VALUES = 2**20
"""Bounds the memory for a column of equal values, which takes no bytes."""


class Column(Struct, frozen=True, array_like=True, gc=False):
    """``count`` integers ``minimum + scale * n``; ``data`` has the lowest bytes of all n, then the next ones, ..."""

    count: int
    minimum: int
    scale: int
    data: bytes


def packed(values: Sequence[int]) -> Column:
    """The values as a column. Raises ``OverflowError`` if they are too many, or span more than 64 bits."""
    if len(values) > _MAX_VALUES:
        raise OverflowError(f"a column of {len(values)} values")
    minimum = min(values, default=0)
    if minimum:
        values = [value - minimum for value in values]
    scale = gcd(*values)
    if not scale:
        return Column(len(values), minimum, 0, b"")
    if scale > 1:
        values = [value // scale for value in values]
    numbers = array("Q", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    raw = numbers.tobytes()
    width = (max(values).bit_length() + 7) // 8
    return Column(len(values), minimum, scale, b"".join(raw[place::_WIDTH] for place in range(width)))


def unpacked(column: Column) -> list[int]:
    """The values of a column. Raises ``ValueError`` if its data does not match its count, or for too many."""
    count, minimum, scale = column.count, column.minimum, column.scale
    if not 0 <= count <= _MAX_VALUES:
        raise ValueError(f"a column of {count} values")
    if not scale or not count:
        return [minimum] * count
    width, rest = divmod(len(column.data), count)
    if rest or width > _WIDTH:
        raise ValueError(f"a column of {count} values has {len(column.data)} bytes")
    if width == 1:
        # Most columns: a table of all values saves the arithmetic.
        return list(map([minimum + scale * number for number in range(256)].__getitem__, column.data))
    raw = bytearray(_WIDTH * count)
    for place in range(width):
        raw[place::_WIDTH] = column.data[place * count : (place + 1) * count]
    numbers = array("Q")
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    if scale == 1 and not minimum:
        return numbers.tolist()
    return [minimum + scale * number for number in numbers]


def scaled(column: Column, factor: int) -> Column:
    """The column of the values times this factor."""
    return Column(column.count, factor * column.minimum, factor * column.scale, column.data)


def growths(values: Sequence[int]) -> list[int]:
    """The first value, then the differences between neighbours."""
    return list(map(sub, values, [0, *values]))


def sums_of(differences: Iterable[int]) -> list[int]:
    """The values with these :func:`growths`."""
    return list(accumulate(differences))


def coded(values: Iterable[_Code]) -> tuple[list[int], list[_Code]]:
    """Each value as its index in the list of distinct values, and that list."""
    codes: dict[_Code, int] = {}
    return [codes.setdefault(value, len(codes)) for value in values], list(codes)


def split(values: list[_T], counts: Sequence[int]) -> list[list[_T]]:
    """The values in parts of these lengths. Raises ``ValueError`` if they do not match."""
    ends = list(accumulate(counts, initial=0))
    if min(counts, default=0) < 0 or ends[-1] != len(values):
        raise ValueError(f"{len(values)} values in parts of {ends[-1]} in all")
    return [values[begin:end] for begin, end in pairwise(ends)]
