"""Which tick of which run: the ids of events, and what ``since`` may say. Pure."""

from __future__ import annotations

import re
from typing import Self

from msgspec import Struct

from cpuwatch.model import Snapshot
from cpuwatch.shortened import shortened
from cpuwatch.view import GroupedSnapshot

__all__ = ["TICK_ID_PATTERN", "TickId"]

_MAX_SEQUENCE = 2**63 - 1
TICK_ID_PATTERN = "[0-9a-f]{8}-[0-9]{1,19}"
_TICK_ID = re.compile(r"(?:(?P<run>[0-9a-f]{8})-)?(?P<sequence>[0-9]{1,19})", re.ASCII)


class TickId(Struct, frozen=True, gc=False):
    """A tick, written ``RUN-SEQUENCE``, as in ``4f3a2b1c-123``.

    Sequences begin at 1 again in each run, so a sequence alone does not say which tick it is; ``run`` is None then.
    """

    run: str | None
    sequence: int

    @classmethod
    def of(cls, snapshot: Snapshot | GroupedSnapshot) -> Self:
        """The id of a snapshot. Without a run if no monitor took it."""
        return cls(snapshot.sampling.run or None, snapshot.sequence)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``RUN-SEQUENCE``, or a sequence alone. Raises ``ValueError`` with what is allowed."""
        match = _TICK_ID.fullmatch(text)
        if match is None or int(match["sequence"]) > _MAX_SEQUENCE:
            raise ValueError(f"invalid tick {shortened(text)!r}: must be RUN-SEQUENCE, as in 4f3a2b1c-123")
        return cls(match["run"], int(match["sequence"]))

    def __str__(self) -> str:
        return str(self.sequence) if self.run is None else f"{self.run}-{self.sequence}"

    def last_seen_in(self, newest: TickId) -> int:
        """The sequence after which a client that has this tick goes on, in the run of the ``newest`` tick.

        0, for all that is kept, if this tick is of another run or has not been yet.
        """
        return self.sequence if self.run == newest.run and self.sequence <= newest.sequence else 0
