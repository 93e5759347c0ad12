"""The records of consecutive ticks as compressed columns. Pure.

The changes of all processes are sorted by process, then by tick, so that similar values are neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate, chain, groupby, pairwise, repeat
from operator import add, attrgetter, sub
from typing import TypeVar

import msgspec
import zstandard
from msgspec import Struct

from cpuwatch.errors import RecordingDamagedError
from cpuwatch.model import ProcessExit
from cpuwatch.recording.columns import Column, packed, unpacked
from cpuwatch.recording.records import Context, Identity, Status, TickRecord

__all__ = ["decode_ticks", "encode_ticks", "fits_block"]

_LEVEL = 12
_MAX_BYTES = 2**30
_GROWTHS = ("cpu_ns", "user_ns", "system_ns", "children_ns")

_T = TypeVar("_T", bound=Hashable)
_LoadAverage = tuple[float, float, float] | None


class _Ticks(Struct, frozen=True, array_like=True, gc=False):
    """The columns of a number of consecutive ticks.

    One value a tick: ``clocks`` (see :func:`_clocks`), ``sequence``, ``sweep_ns``, ``lateness_ns``, ``missed_ticks``,
    ``failed_ticks``, and one after the other the counters of each CPU. Pairs of a tick and a value: what few ticks
    have. ``processes`` are the PIDs that changed, with the number of changes of each; ``gaps`` are the ticks from one
    change of a process to the next.
    """

    first_number: int
    sequence: Column
    clocks: list[Column]
    sweep_ns: Column
    lateness_ns: Column
    missed_ticks: Column
    failed_ticks: Column
    cpus: Column
    contexts: list[tuple[int, Context]]
    load_averages: list[tuple[int, _LoadAverage]]
    orders: list[tuple[int, list[int]]]
    excesses: list[tuple[int, dict[int, int]]]
    removals: list[Column]
    identity_counts: Column
    identities: list[Identity]
    processes: list[Column]
    gaps: Column
    growths: list[Column]
    status_codes: Column
    statuses: list[Status]
    exit_counts: Column
    exits: list[Column]
    exit_names: list[tuple[str | None, str]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Ticks).decode


def fits_block(key: TickRecord, record: TickRecord) -> bool:
    """Whether the record may be in the block that begins with this key: both have counters of the same CPUs."""
    return record.context is None or key.context is None or record.context.cpus == key.context.cpus


def encode_ticks(records: Sequence[TickRecord]) -> bytes:
    """The records as compressed bytes. They have consecutive numbers, and all fit one block."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False)
    return compressor.compress(_encode(_columns(records)))


def decode_ticks(data: bytes) -> list[TickRecord]:
    """The records of these bytes. Raises :class:`~cpuwatch.errors.RecordingDamagedError` for any others."""
    try:
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
        return _records(_decode(raw))
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError, IndexError) as error:
        raise RecordingDamagedError(f"not a block of ticks: {error}") from error


def _columns(records: Sequence[TickRecord]) -> _Ticks:
    def each(name: str) -> list[int]:
        return list(map(attrgetter(name), records))

    pids = list(chain.from_iterable(record.pids for record in records))
    ticks = list(chain.from_iterable(map(repeat, range(len(records)), (len(record.pids) for record in records))))
    by_process = sorted(range(len(pids)), key=pids.__getitem__)
    changes = [(pid, [ticks[row] for row in rows]) for pid, rows in groupby(by_process, key=pids.__getitem__)]
    status_codes, statuses = _coded([status for record in records for status in record.statuses])
    exits = [exit_ for record in records for exit_ in record.exits]
    exit_codes, exit_names = _coded([(exit_.name, exit_.user) for exit_ in exits])
    return _Ticks(
        first_number=records[0].number,
        sequence=packed(_growth(each("sequence"))),
        clocks=_clocks(records),
        sweep_ns=packed(each("sweep_ns")),
        lateness_ns=packed(each("lateness_ns")),
        missed_ticks=packed(_growth(each("missed_ticks"))),
        failed_ticks=packed(_growth(each("failed_ticks"))),
        cpus=packed(list(chain.from_iterable(zip(*(record.cpus for record in records), strict=True)))),
        contexts=[(tick, record.context) for tick, record in enumerate(records) if record.context is not None],
        load_averages=[
            (tick, record.load_average[0]) for tick, record in enumerate(records) if record.load_average is not None
        ],
        orders=[(tick, record.order) for tick, record in enumerate(records) if record.order is not None],
        excesses=[(tick, record.excess_ns) for tick, record in enumerate(records) if record.excess_ns is not None],
        removals=[
            packed([len(record.removed) for record in records]),
            packed([pid for record in records for pid in record.removed]),
        ],
        identity_counts=packed([len(record.identities) for record in records]),
        identities=[identity for record in records for identity in record.identities],
        processes=[packed(_growth([pid for pid, _ in changes])), packed([len(ticks) for _, ticks in changes])],
        gaps=packed([gap for _, ticks in changes for gap in map(sub, ticks, [-1, *ticks])]),
        growths=[
            packed([flat[row] for row in by_process])
            for flat in (list(chain.from_iterable(map(attrgetter(name), records))) for name in _GROWTHS)
        ],
        status_codes=packed([status_codes[row] for row in by_process]),
        statuses=statuses,
        exit_counts=packed([len(record.exits) for record in records]),
        exits=[
            packed(_growth([exit_.pid for exit_ in exits])),
            packed([exit_.parent_pid for exit_ in exits]),
            packed(exit_codes),
            packed([exit_.cpu_ns for exit_ in exits]),
        ],
        exit_names=exit_names,
    )


def _records(columns: _Ticks) -> list[TickRecord]:
    sequences = _sums(unpacked(columns.sequence))
    count = len(sequences)
    monotonic_ns, uptime_ns, time_us = _times(columns.clocks)
    cpus = unpacked(columns.cpus)
    contexts, load_averages = dict(columns.contexts), dict(columns.load_averages)
    orders, excesses = dict(columns.orders), dict(columns.excesses)
    removed = _split(unpacked(columns.removals[1]), unpacked(columns.removals[0]))
    identities = _split(columns.identities, unpacked(columns.identity_counts))
    pids = _sums(unpacked(columns.processes[0]))
    changes = unpacked(columns.processes[1])
    ticks = [tick - 1 for gaps in _split(unpacked(columns.gaps), changes) for tick in accumulate(gaps)]
    by_tick = sorted(range(len(ticks)), key=ticks.__getitem__)
    changes_of_tick = [0] * count
    for tick in ticks:
        changes_of_tick[tick] += 1
    row_pids = list(chain.from_iterable(map(repeat, pids, changes)))
    rows = [
        _split([flat[row] for row in by_tick], changes_of_tick) for flat in (row_pids, *map(unpacked, columns.growths))
    ]
    status_codes = unpacked(columns.status_codes)
    statuses = _split([columns.statuses[status_codes[row]] for row in by_tick], changes_of_tick)
    exits = _split(_exits(columns), unpacked(columns.exit_counts))
    numbers = range(columns.first_number, columns.first_number + count)
    return [
        TickRecord(*values)
        for values in zip(
            numbers,
            sequences,
            time_us,
            monotonic_ns,
            uptime_ns,
            unpacked(columns.sweep_ns),
            unpacked(columns.lateness_ns),
            _sums(unpacked(columns.missed_ticks)),
            _sums(unpacked(columns.failed_ticks)),
            [cpus[tick::count] for tick in range(count)],
            [contexts.get(tick) for tick in range(count)],
            [[load_averages[tick]] if tick in load_averages else None for tick in range(count)],
            [orders.get(tick) for tick in range(count)],
            removed,
            identities,
            *rows,
            statuses,
            exits,
            [excesses.get(tick) for tick in range(count)],
            strict=True,
        )
    ]


def _clocks(records: Sequence[TickRecord]) -> list[Column]:
    """Three columns: the growth of the monotonic clock, and how the other two clocks drift from it, which is little."""
    monotonic_ns = [record.monotonic_ns for record in records]
    uptime_ns = [record.uptime_ns - record.monotonic_ns for record in records]
    time_us = [record.time_us - record.monotonic_ns // 1000 for record in records]
    return [packed(_growth(values)) for values in (monotonic_ns, uptime_ns, time_us)]


def _times(columns: Sequence[Column]) -> tuple[list[int], list[int], list[int]]:
    monotonic_ns, uptime_ns, time_us = (_sums(unpacked(column)) for column in columns)
    return (
        monotonic_ns,
        list(map(add, uptime_ns, monotonic_ns)),
        [drift_us + clock_ns // 1000 for drift_us, clock_ns in zip(time_us, monotonic_ns, strict=True)],
    )


def _exits(columns: _Ticks) -> list[ProcessExit]:
    pids, parents, codes, cpu_ns = map(unpacked, columns.exits)
    return [
        ProcessExit(pid, parent, *columns.exit_names[code], used_ns)
        for pid, parent, code, used_ns in zip(_sums(pids), parents, codes, cpu_ns, strict=True)
    ]


def _growth(values: list[int]) -> list[int]:
    """The first value, then the differences between neighbours."""
    return list(map(sub, values, [0, *values]))


def _sums(growths: list[int]) -> list[int]:
    return list(accumulate(growths))


def _coded(values: Iterable[_T]) -> tuple[list[int], list[_T]]:
    """Each value as its index in the list of distinct values, and that list."""
    codes: dict[_T, int] = {}
    return [codes.setdefault(value, len(codes)) for value in values], list(codes)


def _split(values: Sequence[_T], counts: list[int]) -> list[list[_T]]:
    ends = list(accumulate(counts, initial=0))
    if min(counts, default=0) < 0 or ends[-1] != len(values):
        raise ValueError(f"{len(values)} values in parts of {ends[-1]} in all")
    return [list(values[begin:end]) for begin, end in pairwise(ends)]
