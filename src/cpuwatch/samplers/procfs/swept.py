"""What a sweep over all processes gives."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from cpuwatch.model import ProcessTimes

__all__ = ["Swept"]


class Swept(Struct, frozen=True, gc=False):
    """The processes by PID, how many could not be read by reason, and the parents that are hidden.

    See :class:`~cpuwatch.Reading` for the three.
    """

    processes: dict[int, ProcessTimes]
    unreadable: Counter[str]
    hidden_parents: frozenset[int]
