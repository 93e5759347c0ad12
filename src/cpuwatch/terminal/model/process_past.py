"""What one process used in the last ticks, and what exited under it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Self, TypeVar

from msgspec import Struct

from cpuwatch.model import Snapshot

__all__ = ["ExitedUnder", "ProcessTick", "exited_under"]

_Number = TypeVar("_Number", int, float)


class ExitedUnder(Struct, frozen=True):
    """Exited processes of one name. ``count`` and ``cpu_seconds`` are None if they are unknown in every tick."""

    name: str | None
    count: int | None
    cpu_seconds: float | None


class ProcessTick(Struct, frozen=True):
    """A process in one tick. ``total_percent`` is None in a tick that does not have the process."""

    total_percent: float | None
    exited: tuple[ExitedUnder, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, key: str) -> Self:
        """The process with this key in the snapshot."""
        process = next((row for row in snapshot.processes if row.key == key), None)
        if process is None:
            return cls(None)
        exited = tuple(
            ExitedUnder(
                group.name,
                group.count,
                None if group.cpu_percent is None else group.cpu_percent / 100 * snapshot.interval_seconds,
            )
            for group in snapshot.exited
            if group.parent_pid == process.pid
        )
        return cls(process.total_percent, exited)


def exited_under(ticks: Iterable[ProcessTick]) -> list[ExitedUnder]:
    """What exited in all these ticks, by name, busiest first."""
    groups: defaultdict[str | None, list[ExitedUnder]] = defaultdict(list)
    for tick in ticks:
        for group in tick.exited:
            groups[group.name].append(group)
    summed = [
        ExitedUnder(
            name,
            _known_sum(group.count for group in parts),
            _known_sum(group.cpu_seconds for group in parts),
        )
        for name, parts in groups.items()
    ]
    return sorted(summed, key=lambda group: -(group.cpu_seconds or 0.0))


def _known_sum(values: Iterable[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None
