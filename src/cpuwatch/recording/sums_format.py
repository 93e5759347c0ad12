"""Slots of sums as compressed columns. Pure.

The amounts of all slots are sorted by dimension, then by key, then by slot, so that similar values are neighbours.
Amounts are rounded to a tenth of a millisecond and peaks to a tenth of a percent, for the noise below that would
double their size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import astuple

from cpuwatch.recording.columns import Column, growths, packed, scaled, split, sums_of, unpacked
from cpuwatch.recording.packed_processes import PackedProcesses, ProcessColumns, ProcessTable, pack_processes
from cpuwatch.recording.packing import Unpacker, compressed, damage_named, pack_escaped
from cpuwatch.recording.sums import DIMENSIONS, Amount, Dimension, ExitedKey, Key, MachineSums, SegmentSums, Slot

__all__ = ["decode_segment_sums", "decode_sums", "encode_sums"]

_AMOUNT_NS = 100_000
_PEAK = 10
_MIN, _MAX = -(2**62), 2**62


class _Table(Struct, frozen=True, array_like=True, gc=False):
    """The amounts of one dimension: for each key how many slots have it, then slot by slot what they have.

    ``slots`` are the distances from one slot of a key to its next.
    """

    counts: Column
    slots: Column
    own: Column
    exited: Column
    peak: Column


class _Level(Struct, frozen=True, array_like=True, gc=False):
    """Slots of one length."""

    begin_us: Column
    end_us: Column
    machine: list[Column]
    tables: list[_Table]


class _Sums(Struct, frozen=True, array_like=True, gc=False):
    """The slots of all levels, and the keys of their amounts."""

    processes: ProcessColumns
    names: list[str | None]
    users: list[str | None]
    cgroups: list[str | None]
    exited: list[ExitedKey]
    levels: list[_Level]
    is_complete: bool


_sums = Unpacker(_Sums)


def encode_sums(sums: SegmentSums) -> bytes:
    """The sums as compressed bytes. Raises ``OverflowError`` for values that do not fit into columns."""
    levels = [[] if sums.total is None else [sums.total], sums.minutes]
    keys: dict[Dimension, dict[Key, int]] = {dimension: {} for dimension in DIMENSIONS}
    for level in levels:
        for slot in level:
            for dimension, table in slot.amounts.items():
                known = keys[dimension]
                for key in table:
                    known.setdefault(key, len(known))
    processes, keys["process"] = pack_processes(keys["process"], sums.started, sums.ended)
    names, users, cgroups, exited = (list(keys[dimension]) for dimension in DIMENSIONS[1:])
    content = [processes, names, users, cgroups, exited, [_level(level, keys) for level in levels], sums.is_complete]
    return compressed(pack_escaped(content))


def decode_sums(data: bytes, level: int, dimensions: Collection[Dimension] = DIMENSIONS) -> list[Slot]:
    """The slots of one level in these bytes, with the amounts of these dimensions.

    Raises :class:`~cpuwatch.errors.RecordingDamagedError` for any other bytes.
    """
    content = _sums.decompress(data)
    with damage_named("not a block of sums"):
        return _slots(content, content.levels[level], dimensions)


def decode_segment_sums(data: bytes) -> SegmentSums:
    """The sums in these bytes. Raises :class:`~cpuwatch.errors.RecordingDamagedError` for any other bytes."""
    content = _sums.decompress(data)
    with damage_named("not a block of sums"):
        total, minutes = (_slots(content, level, DIMENSIONS) for level in content.levels)
        started, ended = ProcessTable(content.processes).lived()
        return SegmentSums(total[0] if total else None, minutes, started, ended, content.is_complete)


def _level(slots: Sequence[Slot], keys: Mapping[Dimension, Mapping[Key, int]]) -> _Level:
    return _Level(
        packed(growths([slot.begin_us for slot in slots])),
        packed([slot.end_us - slot.begin_us for slot in slots]),
        [packed([_bounded(value) for value in column]) for column in zip(*map(_machine_values, slots), strict=True)],
        [_table(slots, dimension, keys[dimension]) for dimension in DIMENSIONS],
    )


def _table(slots: Sequence[Slot], dimension: Dimension, codes: Mapping[Key, int]) -> _Table:
    rows: list[list[tuple[int, Amount]]] = [[] for _ in codes]
    for place, slot in enumerate(slots):
        for key, amount in slot.amounts[dimension].items():
            rows[codes[key]].append((place, amount))
    amounts = [amount for of_key in rows for _, amount in of_key]
    return _Table(
        packed([len(of_key) for of_key in rows]),
        packed([distance for of_key in rows for distance in growths([place for place, _ in of_key])]),
        packed([_rounded(amount.own_ns) for amount in amounts]),
        packed([_rounded(amount.exited_ns) for amount in amounts]),
        packed([_bounded((amount.peak + _PEAK // 2) // _PEAK) for amount in amounts]),
    )


def _machine_values(slot: Slot) -> tuple[int, ...]:
    return astuple(slot.machine)


def _rounded(amount_ns: int) -> int:
    return _bounded((amount_ns + _AMOUNT_NS // 2) // _AMOUNT_NS)


def _bounded(value: int) -> int:
    """No machine gets there, but a sampler that returns nonsense must not end the recording."""
    return max(_MIN, min(value, _MAX))


def _slots(content: _Sums, level: _Level, dimensions: Collection[Dimension]) -> list[Slot]:
    slots = [
        Slot(begin, begin + length, MachineSums(*figures), {dimension: {} for dimension in dimensions})
        for begin, length, figures in zip(
            sums_of(unpacked(level.begin_us)),
            unpacked(level.end_us),
            zip(*map(unpacked, level.machine), strict=True),
            strict=True,
        )
    ]
    keys: dict[Dimension, Sequence[Any]] = {
        "name": content.names,
        "user": content.users,
        "cgroup": content.cgroups,
        "exited": content.exited,
    }
    for dimension, table in zip(DIMENSIONS, level.tables, strict=True):
        if dimension not in dimensions:
            continue
        if dimension != "process":
            _fill(slots, dimension, keys[dimension], table)
        elif len(slots) == 1:
            # It is only read.
            slots[0].amounts["process"] = cast("dict[Key, Amount]", _packed_processes(content, table))
        else:
            _fill(slots, "process", ProcessTable(content.processes).keys, table)
    return slots


def _packed_processes(content: _Sums, table: _Table) -> PackedProcesses:
    """The amounts of a single slot, in which all processes are."""
    processes = ProcessTable(content.processes)
    amounts = _amounts(table)
    counts = {(1, 0)} if processes.ids else set()
    if set(zip(unpacked(table.counts), unpacked(table.slots), strict=True)) != counts:
        raise ValueError("a process is not in the slot")
    if {len(values) for values in amounts} != {len(processes.ids)}:
        raise ValueError(f"{len(processes.ids)} processes do not have as many amounts")
    return PackedProcesses(processes, *amounts)


def _amounts(table: _Table) -> list[list[int]]:
    return [
        unpacked(scaled(column, factor))
        for column, factor in ((table.own, _AMOUNT_NS), (table.exited, _AMOUNT_NS), (table.peak, _PEAK))
    ]


def _fill(slots: Sequence[Slot], dimension: Dimension, keys: Sequence[Key], table: _Table) -> None:
    distances = unpacked(table.slots)
    if min(distances, default=0) < 0:
        raise ValueError("slots are not in order")
    amounts = [Amount(*values) for values in zip(*_amounts(table), strict=True)]
    counts = unpacked(table.counts)
    for key, part, of_key in zip(keys, split(distances, counts), split(amounts, counts), strict=True):
        for place, amount in zip(accumulate(part), of_key, strict=True):
            slots[place].amounts[dimension][key] = amount
