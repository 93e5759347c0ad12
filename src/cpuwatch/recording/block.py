"""The records of consecutive ticks as compressed columns. Pure.

The changes of all processes are sorted by process, then by tick, so that similar values are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, groupby, pairwise, repeat
from operator import add, attrgetter, sub

from msgspec import Struct

from cpuwatch.model import ProcessExit
from cpuwatch.recording.cgroup_columns import CgroupColumns, pack_cgroups, unpack_cgroups
from cpuwatch.recording.columns import Column, coded, growths, packed, split, sums_of, unpacked
from cpuwatch.recording.identities import IdentityColumns, pack_identities, unpack_identities
from cpuwatch.recording.packing import Unpacker, compressed, damage_named, pack
from cpuwatch.recording.records import Context, Status, TickRecord

__all__ = ["decode_ticks", "encode_ticks"]

_MAX_TICKS = 2**16
_GROWTHS = ("cpu_ns", "user_ns", "system_ns", "children_ns")

_LoadAverage = tuple[float, float, float] | None


class _Ticks(Struct, frozen=True, array_like=True, gc=False):
    """The columns of a number of consecutive ticks.

    One value a tick: ``clocks`` (see :func:`_clocks`), ``sequence``, ``sweep_ns``, ``lateness_ns``, ``missed_ticks``,
    ``failed_ticks``. Pairs of a tick and a value: what few ticks
    have. ``cpus`` are the counters of the CPUs, a column for each part of the ticks that begins with a context.
    ``processes`` are the PIDs that changed, with the number of changes of each; ``gaps`` are the ticks from one
    change of a process to the next. ``waits`` are the growths of the run delay, 0 where it is unknown, and the growths
    of the places where it is; they are empty if it is unknown everywhere. ``pressure`` is the same, a value a tick.
    ``cgroups`` is ``None`` if nothing about them changed.
    """

    first_number: int
    sequence: Column
    clocks: list[Column]
    sweep_ns: Column
    lateness_ns: Column
    missed_ticks: Column
    failed_ticks: Column
    cpus: list[Column]
    contexts: list[tuple[int, Context]]
    load_averages: list[tuple[int, _LoadAverage]]
    orders: list[tuple[int, list[int]]]
    excesses: list[tuple[int, dict[int, int]]]
    removals: list[Column]
    identity_counts: Column
    identities: IdentityColumns
    processes: list[Column]
    gaps: Column
    growths: list[Column]
    status_codes: Column
    statuses: list[Status]
    exit_counts: Column
    exits: list[Column]
    exit_names: list[tuple[str | None, str]]
    waits: list[Column] = []
    pressure: list[Column] = []
    cgroups: CgroupColumns | None = None


_ticks = Unpacker(_Ticks)


def encode_ticks(records: Sequence[TickRecord]) -> bytes:
    """The records as compressed bytes. Their numbers are consecutive.

    Raises ``OverflowError`` for values that do not fit into columns, and ``UnicodeEncodeError`` for lone surrogates.
    """
    if len(records) > _MAX_TICKS:
        raise OverflowError(f"a block of {len(records)} ticks")
    return compressed(pack(_columns(records)))


def decode_ticks(data: bytes) -> list[TickRecord]:
    """The records of these bytes. Raises :class:`~cpuwatch.errors.RecordingDamagedError` for any others."""
    columns = _ticks.decompress(data)
    with damage_named("not a block of ticks"):
        return _records(columns)


def _columns(records: Sequence[TickRecord]) -> _Ticks:
    def each(name: str) -> list[int]:
        return list(map(attrgetter(name), records))

    pids = list(chain.from_iterable(record.pids for record in records))
    ticks = list(chain.from_iterable(map(repeat, range(len(records)), (len(record.pids) for record in records))))
    by_process = sorted(range(len(pids)), key=pids.__getitem__)
    changes = [(pid, [ticks[row] for row in rows]) for pid, rows in groupby(by_process, key=pids.__getitem__)]
    status_codes, statuses = coded([status for record in records for status in record.statuses])
    exits = [exit_ for record in records for exit_ in record.exits]
    exit_codes, exit_names = coded([(exit_.name, exit_.user) for exit_ in exits])
    return _Ticks(
        first_number=records[0].number,
        sequence=packed(growths(each("sequence"))),
        clocks=_clocks(records),
        sweep_ns=packed(each("sweep_ns")),
        lateness_ns=packed(each("lateness_ns")),
        missed_ticks=packed(growths(each("missed_ticks"))),
        failed_ticks=packed(growths(each("failed_ticks"))),
        cpus=[_cpus(part) for part in _by_context(records)],
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
        identities=pack_identities([identity for record in records for identity in record.identities]),
        processes=[packed(growths([pid for pid, _ in changes])), packed([len(ticks) for _, ticks in changes])],
        gaps=packed([gap for _, ticks in changes for gap in map(sub, ticks, [-1, *ticks])]),
        growths=[
            packed([flat[row] for row in by_process])
            for flat in (list(chain.from_iterable(map(attrgetter(name), records))) for name in _GROWTHS)
        ],
        status_codes=packed([status_codes[row] for row in by_process]),
        statuses=statuses,
        exit_counts=packed([len(record.exits) for record in records]),
        exits=[
            packed(growths([exit_.pid for exit_ in exits])),
            packed([exit_.parent_pid for exit_ in exits]),
            packed(exit_codes),
            packed([exit_.cpu_ns for exit_ in exits]),
        ],
        exit_names=exit_names,
        waits=_waits(records, by_process),
        pressure=_with_unknown([record.pressure_ns for record in records]),
        cgroups=pack_cgroups([record.cgroups for record in records]),
    )


def _records(columns: _Ticks) -> list[TickRecord]:
    sequences = sums_of(unpacked(columns.sequence))
    count = len(sequences)
    if count > _MAX_TICKS:
        raise ValueError(f"a block of {count} ticks")
    monotonic_ns, uptime_ns, time_us = _times(columns.clocks)
    contexts, load_averages = dict(columns.contexts), dict(columns.load_averages)
    cpus = _unpacked_cpus(columns.cpus, sorted(contexts), count)
    orders, excesses = dict(columns.orders), dict(columns.excesses)
    removed = split(unpacked(columns.removals[1]), unpacked(columns.removals[0]))
    identities = split(unpack_identities(columns.identities), unpacked(columns.identity_counts))
    pids = sums_of(unpacked(columns.processes[0]))
    changes = unpacked(columns.processes[1])
    ticks = [tick - 1 for gaps in split(unpacked(columns.gaps), changes) for tick in accumulate(gaps)]
    if min(ticks, default=0) < 0:
        raise ValueError("a change before the first tick")
    places: list[list[int]] = [[] for _ in range(count)]
    for place, tick in enumerate(ticks):
        places[tick].append(place)
    by_tick = list(chain.from_iterable(places))
    changes_of_tick = list(map(len, places))
    row_pids = list(chain.from_iterable(map(repeat, pids, changes)))
    row_statuses = list(map(columns.statuses.__getitem__, unpacked(columns.status_codes)))
    rows = [
        split(list(map(flat.__getitem__, by_tick)), changes_of_tick)
        for flat in (row_pids, *map(unpacked, columns.growths))
    ]
    statuses = split(list(map(row_statuses.__getitem__, by_tick)), changes_of_tick)
    exits = split(_exits(columns), unpacked(columns.exit_counts))
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
            sums_of(unpacked(columns.missed_ticks)),
            sums_of(unpacked(columns.failed_ticks)),
            cpus,
            [contexts.get(tick) for tick in range(count)],
            [[load_averages[tick]] if tick in load_averages else None for tick in range(count)],
            [orders.get(tick) for tick in range(count)],
            removed,
            identities,
            *rows,
            statuses,
            exits,
            [excesses.get(tick) for tick in range(count)],
            _unpacked_waits(columns.waits, by_tick, changes_of_tick),
            _unpacked_with_unknown(columns.pressure, count),
            unpack_cgroups(columns.cgroups, count),
            strict=True,
        )
    ]


def _with_unknown(values: Sequence[int | None]) -> list[Column]:
    """Two columns: the values, 0 where they are unknown, and the growths of these places. None if all are unknown."""
    unknown = [place for place, value in enumerate(values) if value is None]
    if len(unknown) == len(values):
        return []
    return [packed([value or 0 for value in values]), packed(growths(unknown))]


def _unpacked_with_unknown(columns: Sequence[Column], count: int) -> list[int | None]:
    if not columns:
        return [None] * count
    values: list[int | None] = [*unpacked(columns[0])]
    for place in sums_of(unpacked(columns[1])):
        values[place] = None
    return values


def _waits(records: Sequence[TickRecord], by_process: Sequence[int]) -> list[Column]:
    flat = list(
        chain.from_iterable(
            repeat(None, len(record.pids)) if record.wait_ns is None else record.wait_ns for record in records
        )
    )
    return _with_unknown([flat[row] for row in by_process])


def _unpacked_waits(
    columns: Sequence[Column], by_tick: Sequence[int], counts: Sequence[int]
) -> list[list[int | None] | None]:
    """The growths of each tick, as in a :class:`TickRecord`."""
    values = _unpacked_with_unknown(columns, len(by_tick))
    ticks = split(list(map(values.__getitem__, by_tick)), counts)
    return [None if waits.count(None) == len(waits) else waits for waits in ticks]


def _by_context(records: Sequence[TickRecord]) -> Iterator[Sequence[TickRecord]]:
    """The records in parts with counters of the same CPUs: those can only change with the context."""
    begins = [tick for tick, record in enumerate(records) if tick == 0 or record.context is not None]
    for begin, end in pairwise([*begins, len(records)]):
        yield records[begin:end]


def _cpus(records: Sequence[TickRecord]) -> Column:
    """The counters of each CPU one after the other, each for all ticks."""
    return packed(list(chain.from_iterable(zip(*(record.cpus for record in records), strict=True))))


def _unpacked_cpus(columns: Sequence[Column], contexts: Sequence[int], count: int) -> list[list[int]]:
    begins = [0, *(tick for tick in contexts if tick)]
    cpus: list[list[int]] = []
    for column, (begin, end) in zip(columns, pairwise([*begins, count]), strict=True):
        values, ticks = unpacked(column), end - begin
        if ticks < 1 or len(values) % ticks:
            raise ValueError(f"{len(values)} counters of CPUs in {ticks} ticks")
        cpus += (values[tick::ticks] for tick in range(ticks))
    return cpus


def _clocks(records: Sequence[TickRecord]) -> list[Column]:
    """Three columns: the growth of the monotonic clock, and how the other two clocks drift from it, which is little."""
    monotonic_ns = [record.monotonic_ns for record in records]
    uptime_ns = [record.uptime_ns - record.monotonic_ns for record in records]
    time_us = [record.time_us - record.monotonic_ns // 1000 for record in records]
    return [packed(growths(values)) for values in (monotonic_ns, uptime_ns, time_us)]


def _times(columns: Sequence[Column]) -> tuple[list[int], list[int], list[int]]:
    monotonic_ns, uptime_ns, time_us = (sums_of(unpacked(column)) for column in columns)
    return (
        monotonic_ns,
        list(map(add, uptime_ns, monotonic_ns)),
        [drift_us + clock_ns // 1000 for drift_us, clock_ns in zip(time_us, monotonic_ns, strict=True)],
    )


def _exits(columns: _Ticks) -> list[ProcessExit]:
    pids, parents, codes, cpu_ns = map(unpacked, columns.exits)
    return [
        ProcessExit(pid, parent, *columns.exit_names[code], used_ns)
        for pid, parent, code, used_ns in zip(sums_of(pids), parents, codes, cpu_ns, strict=True)
    ]
