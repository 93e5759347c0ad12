"""The changes of cgroups as columns. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub

from msgspec import Struct

from cpuwatch.recording.columns import Column, growths, packed, split, sums_of, unpacked
from cpuwatch.recording.records import CGROUP_COUNTERS, CgroupChanges, CgroupIdentity

__all__ = ["CgroupColumns", "pack_cgroups", "unpack_cgroups"]


class CgroupColumns(Struct, frozen=True, array_like=True, gc=False):
    """The changes of cgroups in consecutive ticks.

    Pairs of a tick and a value: ``removed`` and ``identities``, which few ticks have. ``growths`` has four columns for
    each counter: the places of the cgroups, the number of changes of each, the ticks from one change to the next, and
    the growths.
    """

    removed: list[tuple[int, list[str]]]
    identities: list[tuple[int, list[CgroupIdentity]]]
    growths: list[list[Column]]


def pack_cgroups(ticks: Sequence[CgroupChanges | None]) -> CgroupColumns | None:
    """The changes of these ticks as columns; None if there are none."""
    changes = [(tick, change) for tick, change in enumerate(ticks) if change is not None]
    if not changes:
        return None
    return CgroupColumns(
        [(tick, change.removed) for tick, change in changes if change.removed],
        [(tick, change.identities) for tick, change in changes if change.identities],
        [
            _pack_growths([(tick, change.growths[counter]) for tick, change in changes])
            for counter, _ in enumerate(CGROUP_COUNTERS)
        ],
    )


def unpack_cgroups(columns: CgroupColumns | None, count: int) -> list[CgroupChanges | None]:
    """The changes of ``count`` ticks. Raises ``ValueError`` or ``LookupError`` if the columns do not match."""
    ticks: list[CgroupChanges | None] = [None] * count
    if columns is None:
        return ticks
    removed, identities = dict(columns.removed), dict(columns.identities)
    grown: list[defaultdict[int, dict[int, int]]] = []
    for _, packed_growths in zip(CGROUP_COUNTERS, columns.growths, strict=True):
        by_tick: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for tick, place, growth in _unpack_growths(packed_growths):
            by_tick[tick][place] = growth
        grown.append(by_tick)
    for tick in {*removed, *identities}.union(*grown):
        if tick < 0:
            raise ValueError("a change before the first tick")
        ticks[tick] = CgroupChanges(
            removed.get(tick, []), identities.get(tick, []), [by_tick.get(tick, {}) for by_tick in grown]
        )
    return ticks


def _pack_growths(ticks: Sequence[tuple[int, dict[int, int]]]) -> list[Column]:
    changes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for tick, by_place in ticks:
        for place, growth in by_place.items():
            changes[place].append((tick, growth))
    places = sorted(changes)
    ticks_of = [[tick for tick, _ in changes[place]] for place in places]
    return [
        packed(growths(places)),
        packed(list(map(len, ticks_of))),
        packed([gap for each in ticks_of for gap in map(sub, each, [-1, *each])]),
        packed([growth for place in places for _, growth in changes[place]]),
    ]


def _unpack_growths(columns: Sequence[Column]) -> Iterator[tuple[int, int, int]]:
    """Tick, place and growth of each change."""
    places, counts, gaps, values = columns
    growths_of = split(unpacked(values), unpacked(counts))
    gaps_of = split(unpacked(gaps), unpacked(counts))
    for place, of_gaps, of_growths in zip(sums_of(unpacked(places)), gaps_of, growths_of, strict=True):
        for tick, growth in zip(accumulate(of_gaps), of_growths, strict=True):
            yield tick - 1, place, growth
