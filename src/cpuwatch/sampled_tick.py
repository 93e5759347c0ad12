"""One tick of a monitor: the raw reading, and the snapshot that was made from it."""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.accounting.reaped import Carry
from cpuwatch.model import Reading, Snapshot

__all__ = ["SampledTick"]


class SampledTick(Struct, frozen=True, dict=True):
    """A reading with all that is needed to compute the next snapshot again, equal to the live one.

    ``number`` counts the readings of a run from 1. ``snapshot`` is ``None`` for the first reading of a run, and for one
    that cannot be accounted for. ``carry`` is what :func:`~cpuwatch.accounting.usage.account` returned, and goes into
    the next interval. ``lateness_ns``, ``missed_ticks`` and ``failed_ticks`` are the monitor's own state at this tick.
    """

    run: str
    number: int
    reading: Reading
    snapshot: Snapshot | None
    carry: Carry
    lateness_ns: int = 0
    missed_ticks: int = 0
    failed_ticks: int = 0
