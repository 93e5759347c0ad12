"""Identifies a tick across runs: the ids of events and the values of ``since``. Pure, except :func:`new_run`."""

from __future__ import annotations

import re
import secrets
from typing import Self

from msgspec import Struct

from cpuwatch.model import Snapshot
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.text import shortened

__all__ = ["RANGES", "TickId", "new_run"]

_RUNS = (100_000_000, 900_000_000)
_SEQUENCES = 10**10
RANGES = ((0, _SEQUENCES - 1), (_RUNS[0] * _SEQUENCES, _RUNS[1] * _SEQUENCES - 1))
"""The smallest and the largest number of a bare sequence, and of an id; all below 2**63."""
_TICK_ID = re.compile(r"(?P<run>[1-8][0-9]{8})?(?P<sequence>(?(run)[0-9]{10}|[0-9]{1,10}))", re.ASCII)


def new_run() -> str:
    """A random number of nine digits that identifies a run."""
    low, high = _RUNS
    return str(low + secrets.randbelow(high - low))


class TickId(Struct, frozen=True, gc=False):
    """A tick, written as one number: nine digits for its run, then ten for its sequence.

    Sequences start at 1 in each run, so a sequence alone is ambiguous; ``run`` is None for it. The id is a number so
    that clients can compare ids: within a run they ascend.
    """

    run: str | None
    sequence: int

    @classmethod
    def of(cls, snapshot: Snapshot | GroupedSnapshot) -> Self:
        """The id of a snapshot; without a run if no monitor took it."""
        return cls(snapshot.sampling.run or None, snapshot.sequence)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an id or a bare sequence. Raises ``ValueError`` with what is allowed."""
        match = _TICK_ID.fullmatch(text)
        if match is None:
            raise ValueError(f"invalid tick {shortened(text)!r}: must be the id of an event or a sequence")
        return cls(match["run"], int(match["sequence"]))

    def __str__(self) -> str:
        return str(self.sequence) if self.run is None else f"{self.run}{self.sequence:010}"

    def last_seen_in(self, newest: TickId) -> int:
        """The sequence after which a client that has this tick continues, in the run of the ``newest`` tick.

        0, which means from the oldest snapshot, if this tick is of another run or later than ``newest``.
        """
        return self.sequence if self.run == newest.run and self.sequence <= newest.sequence else 0
