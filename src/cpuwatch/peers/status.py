"""What the service tells about the machines of its list. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from cpuwatch.peers.usage import PeerAttribution, PeerProcess

__all__ = ["PeerState", "PeerStatus", "Peers", "WatchedPeers"]

PeerState = Literal["asking", "live", "slow", "stale", "failed"]


class PeerStatus(Struct, frozen=True):
    """A machine on the page.

    ``state`` is ``asking`` before the first answer, ``slow`` if an answer takes more than a second, ``stale`` if the
    snapshots stay the same, and ``failed`` after a request without a valid answer; ``error`` is the reason. Values are
    those of the last answer, at ``answered``, which took ``answer_seconds``; without one they are null.
    """

    url: str
    name: str | None
    state: PeerState
    error: str | None
    answered: datetime | None
    answer_seconds: float | None
    host: str | None
    logical_cpus: int | None
    cpu_percent: float | None
    attribution: PeerAttribution | None
    processes: list[PeerProcess]


class Peers(Struct, frozen=True):
    """The machines of the list. ``list_error`` says why a newer list does not apply."""

    interval_seconds: float
    list_error: str | None
    peers: list[PeerStatus]


class WatchedPeers(Protocol):
    """Asks machines while somebody looks (:class:`~cpuwatch.peers.watch.PeerWatch`).

    ``version`` grows with each change of what :meth:`shown` returns.
    """

    @property
    def version(self) -> int: ...  # noqa: D102

    def look(self) -> None: ...  # noqa: D102

    def shown(self) -> Peers: ...  # noqa: D102

    async def run(self) -> None: ...  # noqa: D102
