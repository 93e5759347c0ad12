"""Slots of sums as compressed columns. Pure.

The amounts of all slots are sorted by dimension, then by key, then by slot, so that similar values are neighbours.
Amounts are rounded to a tenth of a millisecond and peaks to a tenth of a percent, for the noise below that would
double their size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from cpuwatch.recording.columns import Column, coded, growths, packed, split, sums_of, unpacked
from cpuwatch.recording.identities import key_number
from cpuwatch.recording.packing import Unpacker, compressed, damage_named, pack_escaped
from cpuwatch.recording.sums import DIMENSIONS, Amount, Dimension, ExitedKey, Key, MachineSums, ProcessKey, Slot

__all__ = ["decode_sums", "encode_sums"]

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
    """The slots of all levels, and the keys of their amounts.

    ``processes`` are sorted by PID: columns of the PIDs, of the numbers in their keys (see
    :class:`~cpuwatch.recording.identities.IdentityColumns`), and of the indexes of all other parts in ``texts``.
    ``process_keys`` are the keys that have no number, by index.
    """

    processes: list[Column]
    process_keys: list[tuple[int, str]]
    names: list[str | None]
    users: list[str | None]
    cgroups: list[str | None]
    exited: list[ExitedKey]
    texts: list[str | None]
    levels: list[_Level]


_sums = Unpacker(_Sums)


def encode_sums(levels: Sequence[Sequence[Slot]]) -> bytes:
    """The slots of each level as compressed bytes. Raises ``OverflowError`` for values that do not fit into columns."""
    keys: dict[Dimension, dict[Key, int]] = {dimension: {} for dimension in DIMENSIONS}
    for level in levels:
        for slot in level:
            for dimension, table in slot.amounts.items():
                known = keys[dimension]
                for key in table:
                    known.setdefault(key, len(known))
    of_processes = sorted((key for key in keys["process"] if isinstance(key, ProcessKey)), key=attrgetter("pid", "key"))
    keys["process"] = {key: code for code, key in enumerate(of_processes)}
    lists: list[Any] = [list(keys[dimension]) for dimension in DIMENSIONS]
    processes, names, users, cgroups, exited = lists
    codes, texts = coded([text for key in processes for text in _texts(key)])
    numbers = [key_number(key.pid, key.key) for key in processes]
    content = _Sums(
        [
            packed(growths([key.pid for key in processes])),
            packed([number or 0 for number in numbers]),
            *(packed(codes[place::_TEXTS]) for place in range(_TEXTS)),
        ],
        [(place, key.key) for place, key in enumerate(processes) if numbers[place] is None],
        names,
        users,
        cgroups,
        exited,
        texts,
        [_level(level, keys) for level in levels],
    )
    return compressed(pack_escaped(content))


def decode_sums(data: bytes, level: int, dimensions: Collection[Dimension] = DIMENSIONS) -> list[Slot]:
    """The slots of one level in these bytes, with the amounts of these dimensions.

    Raises :class:`~cpuwatch.errors.RecordingDamagedError` for any other bytes.
    """
    content = _sums.decompress(data)
    with damage_named("not a block of sums"):
        return _slots(content, content.levels[level], dimensions)


_TEXTS = 4


def _texts(key: ProcessKey) -> tuple[str | None, ...]:
    return key.boot_id, key.name, key.user, key.cgroup


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
    for dimension, table in zip(DIMENSIONS, level.tables, strict=True):
        if dimension in dimensions:
            _fill(slots, dimension, _keys(content, dimension), table)
    return slots


def _keys(content: _Sums, dimension: Dimension) -> Sequence[Key]:
    match dimension:
        case "process":
            return _processes(content)
        case "name":
            return content.names
        case "user":
            return content.users
        case "cgroup":
            return content.cgroups
        case "exited":
            return content.exited


def _processes(content: _Sums) -> list[ProcessKey]:
    pids, numbers, *codes = map(unpacked, content.processes)
    keys = dict(content.process_keys)
    processes = []
    for place, (pid, number, *indexes) in enumerate(zip(sums_of(pids), numbers, *codes, strict=True)):
        boot_id, name, user, cgroup = (content.texts[index] for index in indexes)
        if boot_id is None or name is None:
            raise ValueError(f"process {pid} has no boot or no name")
        processes.append(ProcessKey(boot_id, keys.get(place, f"{pid}-{number}"), pid, name, user, cgroup))
    return processes


def _fill(slots: Sequence[Slot], dimension: Dimension, keys: Sequence[Key], table: _Table) -> None:
    distances = unpacked(table.slots)
    if min(distances, default=0) < 0:
        raise ValueError("slots are not in order")
    amounts = [
        Amount(_AMOUNT_NS * own, _AMOUNT_NS * exited, _PEAK * peak)
        for own, exited, peak in zip(unpacked(table.own), unpacked(table.exited), unpacked(table.peak), strict=True)
    ]
    counts = unpacked(table.counts)
    for key, part, of_key in zip(keys, split(distances, counts), split(amounts, counts), strict=True):
        for place, amount in zip(accumulate(part), of_key, strict=True):
            slots[place].amounts[dimension][key] = amount
