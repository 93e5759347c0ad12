"""The response cache: everything that is made from the published snapshot, each at most once per tick.

Responses of ``/cpu_usage``, events of the streams, metrics and the page all come from here. They are made in threads,
so the event loop encodes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from cpuwatch.fixed_threads import FixedThreads
from cpuwatch.model import Snapshot
from cpuwatch.snapshot_source import SnapshotSource
from cpuwatch.tick_id import TickId

__all__ = ["Representation", "ResponseCache", "etag_of", "keep"]

_MAX_KEPT = 64
_MAX_MADE_AHEAD = 16
_MAX_OF_THE_PAST = 32
_MAX_MADE_AT_ONCE = 2
"""More would only take turns at the interpreter, and take it from the event loop."""
_THREADS = 6
"""At most this many are busy: for what is made ahead, two first representations, one of the past. The rest is room."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Made_co = TypeVar("_Made_co", covariant=True)
_Made = TypeVar("_Made")

_log = logging.getLogger("cpuwatch.web")


class Representation(Hashable, Protocol[_Made_co]):
    """Something made from a snapshot, such as a response. Equal representations share one result."""

    @property
    def is_made_ahead(self) -> bool:
        """Whether it is made for the next tick in advance, if it was requested in this one."""
        ...

    def make(self, snapshot: Snapshot) -> _Made_co:
        """Make it; called in a thread."""
        ...


class _Published:
    """A published snapshot, when it was taken (``time.monotonic``), and what was made of it.

    ``made_ahead`` was made before it was published, and ``made`` is what clients have requested since.
    """

    def __init__(self, snapshot: Snapshot, taken_seconds: float, made_ahead: dict[Representation[Any], Any]) -> None:
        self.snapshot = snapshot
        self.taken_seconds = taken_seconds
        self.made_ahead = made_ahead
        self.made: dict[Representation[Any], Any] = {}
        self.making: dict[Representation[Any], asyncio.Task[Any]] = {}


class ResponseCache:
    """The results made from the published snapshot.

    A tick is published once everything that clients requested in the last tick has been made for it, so that their
    requests do not wait. A representation that is new in a tick is made for the first request; others wait for the same
    one. At most two are made at once.
    """

    def __init__(self, source: SnapshotSource) -> None:
        self.ended: bool = False
        self.threads: FixedThreads = FixedThreads(_THREADS, "encoder")
        self._source = source
        self._published: _Published | None = None
        self._wanted: dict[Representation[Any], None] = {}
        self._past: dict[tuple[TickId, Representation[Any]], Any] = {}
        self._making = asyncio.Semaphore(_MAX_MADE_AT_ONCE)
        self._reading_past = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot | None:
        """The published snapshot; None while there is none."""
        published = self._newest()
        return None if published is None else published.snapshot

    @property
    def newest(self) -> TickId:
        """Its tick; sequence 0 of no run while there is none."""
        snapshot = self.snapshot
        return TickId(None, 0) if snapshot is None else TickId.of(snapshot)

    @property
    def newest_sequence(self) -> int:
        """Its sequence; 0 while there is none."""
        snapshot = self.snapshot
        return 0 if snapshot is None else snapshot.sequence

    @property
    def taken_seconds(self) -> float | None:
        """When it was taken, by ``time.monotonic``; None while there is none."""
        published = self._newest()
        return None if published is None else published.taken_seconds

    def age(self) -> bytes:
        """Its age now, for ``Server-Timing`` (w3.org/TR/server-timing)."""
        taken_seconds = 0.0 if self._published is None else self._published.taken_seconds
        return b"age;dur=%d" % int((time.monotonic() - taken_seconds) * 1000)

    def made(self, representation: Representation[_Made]) -> _Made | None:
        """The representation of the published snapshot if it has been requested already, without waiting."""
        return None if self._published is None else self._published.made.get(representation)

    async def get(self, representation: Representation[_Made]) -> _Made | None:
        """The representation of the published snapshot; None while there is none. Raises what its ``make`` raises."""
        published = self._newest()
        if published is None:
            return None
        made: _Made | None = published.made.get(representation)
        if made is not None:
            return made
        if representation.is_made_ahead and len(self._wanted) < _MAX_MADE_AHEAD:
            self._wanted[representation] = None
        if representation in published.made_ahead:
            made = published.made_ahead[representation]
            keep(published.made, representation, made, _MAX_KEPT)
            return made
        making = published.making.get(representation)
        if making is None:
            making = asyncio.create_task(self._make_first(published, representation))
            published.making[representation] = making
            making.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be waiting
        # Shielded: if one client disconnects, the others still wait for it.
        first: _Made = await asyncio.shield(making)
        return first

    async def get_past(self, snapshot: Snapshot, representation: Representation[_Made]) -> _Made:
        """The representation of a snapshot in the history, made one at a time.

        Clients that lost their connections at the same time reconnect at the same time, and get the same events.
        """
        if snapshot.sequence == self.newest_sequence and (newest := await self.get(representation)) is not None:
            return newest
        key = (TickId.of(snapshot), representation)
        async with self._reading_past:
            if key not in self._past:
                keep(self._past, key, await self.threads.run(representation.make, snapshot), _MAX_OF_THE_PAST)
            made: _Made = self._past[key]
            return made

    async def read_past(self, read: Callable[[], _Made]) -> _Made:
        """Run a function that reads much of the history, in a thread and one at a time.

        So reading the past occupies at most one thread.
        """
        async with self._reading_past:
            return await self.threads.run(read)

    async def wait(self, after: int, timeout: float | None = None) -> Snapshot | None:
        """The published snapshot, as soon as its sequence is above ``after``.

        None when ``timeout`` seconds have passed, or when no more snapshots will come.
        """
        try:
            async with asyncio.timeout(timeout):
                while (snapshot := self.snapshot) is None or snapshot.sequence <= after:
                    if self.ended:
                        return None
                    await self._changed.wait()
        except TimeoutError:
            return None
        return snapshot

    async def follow(self) -> None:
        """Publish each tick until the monitor is closed. Can be called again after a failure."""
        while await self._source.wait_async(after=self.newest_sequence) is not None:
            newest = self._source.newest()
            if newest is not None:
                wanted, self._wanted = self._wanted, {}
                made = await self.threads.run(_make_all, newest[0], wanted) if wanted else {}
                self._publish(*newest, made)

    def end(self) -> None:
        """Release all waiting requests: no more snapshots will come."""
        self.ended = True
        self._changed.set()

    def _newest(self) -> _Published | None:
        if self._published is None and (newest := self._source.newest()) is not None:
            self._publish(*newest, {})
        return self._published

    def _publish(self, snapshot: Snapshot, taken_seconds: float, made: dict[Representation[Any], Any]) -> None:
        self._published = _Published(snapshot, taken_seconds, made)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _make_first(self, published: _Published, representation: Representation[_Made]) -> _Made:
        try:
            async with self._making:
                made = await self.threads.run(representation.make, published.snapshot)
        finally:
            del published.making[representation]
        keep(published.made, representation, made, _MAX_KEPT)
        return made


def _make_all(snapshot: Snapshot, representations: Iterable[Representation[Any]]) -> dict[Representation[Any], Any]:
    made = {}
    for representation in representations:
        try:
            made[representation] = representation.make(snapshot)
        except Exception:  # noqa: BLE001  the tick is still published; requests for this representation get the error
            _log.exception("tick %d: %r could not be made", snapshot.sequence, representation)
    return made


def etag_of(snapshot: Snapshot, what: object) -> str:
    """The ETag of a representation of this snapshot, from its ``repr``."""
    digest = blake2b(repr(what).encode("utf-8", "replace"), digest_size=6).hexdigest()
    return f'"{TickId.of(snapshot)}-{digest}"'


def keep(kept: dict[_Key, _Value], key: _Key, value: _Value, limit: int) -> None:
    """Add to a dict with a size limit. The oldest entry is removed first."""
    while len(kept) >= limit:
        del kept[next(iter(kept))]
    kept[key] = value
