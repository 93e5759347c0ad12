"""The rows of a snapshot, stored in columns. Pure.

A history holds hundreds of snapshots, and each has new rows of the processes that ran. Such a row takes 360 bytes as a
Struct with its floats, and 136 in columns. Rows of idle processes are shared between snapshots and stay objects. They
are looked up when somebody reads them: that takes longer than the rest of the arithmetic on an idle process, and nobody
reads most snapshots.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import isnan, nan
from typing import Any, ClassVar, Protocol, TypeAlias, overload

from msgspec.structs import fields

from cpuwatch.model import ProcessUsage

__all__ = ["PackedRows"]

_FLOATS = {field.name for field in fields(ProcessUsage) if field.type in {float, float | None}}
_INTEGERS = {field.name for field in fields(ProcessUsage) if field.type in {int, int | None}}
_FIELDS = tuple(field.name for field in fields(ProcessUsage))
_Column: TypeAlias = "tuple[Any, ...] | array[Any]"


class IdleProcess(Protocol):
    """The record of a process that did not run (:class:`~cpuwatch.ProcessTimes`)."""

    @property
    def at_rest(self) -> ProcessUsage:
        """Its row, the same object each time."""
        ...


class PackedRows(Sequence[ProcessUsage]):
    """An immutable list of rows, some of which are packed.

    ``idle`` has the processes whose rows are not packed, and ``None`` at each of the ``places`` of the packed rows, in
    ascending order. ``columns`` are the values of each field of the packed rows, by its name; without packed rows they
    may be empty.

    Each access creates a packed row anew: the rows of two accesses are equal, but not identical. ``PackedRows`` are
    equal to a list of equal rows, so a snapshot is equal to its copy from :func:`~cpuwatch.decode`.
    """

    __slots__ = ("_columns", "_idle", "_length", "_places", "_rows")

    def __init__(
        self, idle: Sequence[IdleProcess | None], places: Iterable[int], columns: Mapping[str, Sequence[Any]]
    ) -> None:
        self._idle = idle
        self._rows: list[ProcessUsage | None] | None = None
        self._length = len(idle)
        self._places = array("I", places)
        self._columns = tuple(_packed(name, columns[name]) for name in _FIELDS) if self._places else ()

    @property
    def packed(self) -> int:
        """The number of packed rows."""
        return len(self._places)

    def fresh(self) -> Iterator[ProcessUsage]:
        """The packed rows: those of the processes that may have run."""
        return self._unpacked_rows(lambda column: column if len(column) == self.packed else column * self.packed)

    def fields_of_fresh(self, names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """These fields of the packed rows, without making the rows."""
        columns = [(name, self.column(name)) for name in names]
        return zip(
            *(
                _unpacked(name, column if len(column) == self.packed else column * self.packed)
                for name, column in columns
            ),
            strict=True,
        )

    def column(self, name: str) -> _Column:
        """The values of this field of the packed rows, or a single value if all are equal."""
        return self._columns[_FIELDS.index(name)] if self._columns else ()

    def _idle_rows(self) -> list[ProcessUsage | None]:
        # Another thread may have set the rows and dropped the processes, in this order: hence the reverse order here.
        idle = self._idle
        if self._rows is None:
            self._rows = [None if process is None else process.at_rest for process in idle]
            self._idle = ()
        return self._rows

    def _list(self) -> list[ProcessUsage]:
        rows: list[Any] = self._idle_rows().copy()
        for place, row in zip(self._places, self.fresh(), strict=True):
            rows[place] = row
        return rows

    def _unpacked_rows(self, part: Callable[[_Column], _Column]) -> Iterator[ProcessUsage]:
        """The rows in this part of each column."""
        return map(ProcessUsage, *map(_unpacked, _FIELDS, map(part, self._columns))) if self._columns else iter(())

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[ProcessUsage]:
        return iter(self._list())

    @overload
    def __getitem__(self, index: int) -> ProcessUsage: ...
    @overload
    def __getitem__(self, index: slice) -> list[ProcessUsage]: ...
    def __getitem__(self, index: int | slice) -> ProcessUsage | list[ProcessUsage]:
        if isinstance(index, slice):
            return self._list()[index]
        row = self._idle_rows()[index]
        if row is None:
            at = bisect_left(self._places, index % self._length)
            (row,) = self._unpacked_rows(lambda column: column[at : at + 1] if len(column) > 1 else column)
        return row

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | PackedRows):
            return self._list() == list(other)
        return NotImplemented

    __hash__: ClassVar[None]  # type: ignore[assignment]  # unhashable, like a list

    def __repr__(self) -> str:
        return repr(self._list())


def _packed(name: str, column: Sequence[Any]) -> _Column:
    # Most columns of floats are not constant, and their ends already show it.
    if column[0] == column[-1] and column.count(column[0]) == len(column):
        column = column[:1]
    if name in _FLOATS:
        try:
            return array("d", column)
        except TypeError:
            # No percentage is NaN, so NaN can represent None.
            return array("d", [nan if value is None else value for value in column])
    if name in _INTEGERS:
        with suppress(TypeError, OverflowError):  # None, or out of the range of the kernel's integers
            return array("i", column)
    return tuple(column)


def _unpacked(name: str, column: _Column) -> Sequence[Any]:
    return [None if isnan(value) else value for value in column] if name in _FLOATS else column
