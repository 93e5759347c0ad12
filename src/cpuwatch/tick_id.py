"""Which tick of which run: the ids of events, and what ``since`` may say. Pure, but for :func:`new_run`."""

from __future__ import annotations

import re
import secrets
from typing import Self

from msgspec import Struct

from cpuwatch.model import Snapshot
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.text import shortened

__all__ = ["MAX_TICK_ID", "TickId", "new_run"]

_RUNS = (100_000_000, 900_000_000)
MAX_TICK_ID = _RUNS[1] * 10**10 - 1
"""Below 2**63."""
_TICK_ID = re.compile(r"(?P<run>[1-8][0-9]{8})?(?P<sequence>(?(run)[0-9]{10}|[0-9]{1,10}))", re.ASCII)


def new_run() -> str:
    """A number for a run, nine digits, that no other is likely to have."""
    low, high = _RUNS
    return str(low + secrets.randbelow(high - low))


class TickId(Struct, frozen=True, gc=False):
    """A tick, written as one number: nine digits for its run, then ten for its sequence.

    Sequences begin at 1 again in each run, so a sequence alone does not say which tick it is; ``run`` is None then. A
    number, because clients may compute with ids: those of one run ascend.
    """

    run: str | None
    sequence: int

    @classmethod
    def of(cls, snapshot: Snapshot | GroupedSnapshot) -> Self:
        """The id of a snapshot. Without a run if no monitor took it."""
        return cls(snapshot.sampling.run or None, snapshot.sequence)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its number, or a sequence alone. Raises ``ValueError`` with what is allowed."""
        match = _TICK_ID.fullmatch(text)
        if match is None:
            raise ValueError(f"invalid tick {shortened(text)!r}: must be the id of an event, or a sequence")
        return cls(match["run"], int(match["sequence"]))

    def __str__(self) -> str:
        return str(self.sequence) if self.run is None else f"{self.run}{self.sequence:010}"

    def last_seen_in(self, newest: TickId) -> int:
        """The sequence after which a client that has this tick goes on, in the run of the ``newest`` tick.

        0, for all that is kept, if this tick is of another run or has not been yet.
        """
        return self.sequence if self.run == newest.run and self.sequence <= newest.sequence else 0
