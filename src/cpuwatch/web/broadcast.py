"""Delivers the event of each tick to the listeners of its view."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import ClassVar

from msgspec import Struct

from cpuwatch.encoding.sse import encode_view_event
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import VIEW, parse_query_string, view_from
from cpuwatch.query.view import View, apply_view
from cpuwatch.snapshot_source import SnapshotSource
from cpuwatch.web.access.client_limits import refused, share_of
from cpuwatch.web.http.response import Answer
from cpuwatch.web.response_cache import ResponseCache

__all__ = ["PAGE_VIEWS", "Broadcast", "Event", "Subscription", "ViewEvent"]

_RETRY_SECONDS = 5
_PAST_OF_THE_PAGE = b"fields=key,cpu_percent&min_percent=0.2"

PAGE_VIEWS: frozenset[View] = frozenset({View(), view_from(parse_query_string(_PAST_OF_THE_PAGE, VIEW))})
"""The views that the page listens to (``static/feed/worker.js``). There is always room for them."""

_log = logging.getLogger("cpuwatch.web")


class Event(Struct, frozen=True):
    """The event of a tick in a view, encoded."""

    sequence: int
    data: bytes


class ViewEvent(Struct, frozen=True):
    """The event of a view (:class:`~cpuwatch.web.response_cache.Representation`)."""

    view: View
    is_made_ahead: ClassVar[bool] = True

    def make(self, snapshot: Snapshot) -> Event:
        """The event of this snapshot."""
        return Event(snapshot.sequence, encode_view_event(apply_view(snapshot, self.view), self.view.fields))


class Subscription:
    """One listener. It holds at most one event, the newest: a slow listener misses the ones in between."""

    def __init__(self, view: View, client: str | None = None) -> None:
        self.view = view
        self.client = client
        self.ended: bool = False
        self._newest: Event | None = None
        self._changed = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Replace the pending event, if any."""
        self._newest = event
        self._changed.set()

    def end(self) -> None:
        """End the listener: no more events will come."""
        self.ended = True
        self._changed.set()

    async def receive(self, timeout: float) -> Event | None:
        """Return the pending event, or wait for the next one. None after this time, or if no more will come."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return None
        if not self.ended:
            self._changed.clear()
        event, self._newest = self._newest, None
        return None if self.ended else event


class Broadcast:
    """All listeners, by the view they listen to."""

    def __init__(
        self,
        source: SnapshotSource,
        cache: ResponseCache,
        max_listeners: int,
        max_views: int = 32,
    ) -> None:
        self._source = source
        self._cache = cache
        self._max_listeners = max_listeners
        self._max_views = max_views
        # The rest is reserved for the views of the page.
        self._max_others = max(1, max_listeners - share_of(max_listeners))
        self._listeners: dict[View, set[Subscription]] = {}
        self._handed_out = 0
        self._taken_seconds: float | None = None
        self._ended = False

    def _all(self) -> Iterator[Subscription]:
        return chain.from_iterable(self._listeners.values())

    @property
    def taken_seconds(self) -> float | None:
        """When the last delivered tick was taken, by ``time.monotonic``; None without listeners."""
        return self._taken_seconds if self._listeners else None

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return sum(map(len, self._listeners.values()))

    def refusal(self, view: View, client: str | None) -> Answer | None:
        """Return the response to a client that cannot listen to this view now, or None if it can.

        Different views are limited too, because each costs work at every tick. The views of the page are exempt, and
        some places are reserved for them.
        """
        if self._ended:
            return refused(503, "the service is stopping", _RETRY_SECONDS)
        for_page = view in PAGE_VIEWS
        everyone = list(self._all())
        alike = [one for one in everyone if (one.view in PAGE_VIEWS) == for_page]
        full = _excess(everyone, view, self._max_listeners)
        if not for_page:
            full = full or _excess(alike, view, self._max_others, self._max_views)
        if full:
            return refused(503, f"{full}, which is the limit", _RETRY_SECONDS)
        own = [one for one in alike if client is not None and one.client == client]
        own_full = _excess(own, view, share_of(self._max_listeners), share_of(self._max_views))
        if own_full:
            return refused(429, f"{own_full} by {client}, which is the limit for one client", _RETRY_SECONDS)
        return None

    @contextmanager
    def subscription(self, view: View, client: str | None = None) -> Iterator[Subscription]:
        """Listen to a view within the block; check :meth:`refusal` before."""
        subscription = Subscription(view, client)
        self._listeners.setdefault(view, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._listeners[view].discard(subscription)
            if not self._listeners[view]:
                del self._listeners[view]

    async def follow(self) -> None:
        """Make and deliver the events of each published tick, until no more will come.

        Can be called again after a failure.
        """
        while (snapshot := await self._cache.wait(after=self._handed_out)) is not None:
            taken_seconds = self._cache.taken_seconds
            for view in list(self._listeners):
                await self._hand_out(snapshot.sequence, view)
            self._handed_out, self._taken_seconds = snapshot.sequence, taken_seconds

    def end(self) -> None:
        """End all listeners, each after the event it is sending."""
        self._ended = True
        for listeners in self._listeners.values():
            for subscription in listeners:
                subscription.end()

    async def after(self, sequence: int, view: View) -> Event | None:
        """The event of the first snapshot after this one in the history; None if that is not published yet."""
        wanted = next(self._source.history.after(sequence), None)
        if wanted is None or wanted.sequence > self._cache.newest_sequence:
            return None
        return await self._cache.get_past(wanted, ViewEvent(view))

    async def _hand_out(self, sequence: int, view: View) -> None:
        try:
            event = await self._cache.get(ViewEvent(view))
        except Exception:  # noqa: BLE001  the streams of other views continue
            _log.exception("the events of tick %d could not be made", sequence)
            return
        if event is not None:
            for subscription in self._listeners.get(view, ()):
                subscription.offer(event)


def _excess(listeners: Sequence[Subscription], view: View, limit: int, max_views: float = math.inf) -> str | None:
    """Return which limit one more listener to this view would exceed."""
    views = {one.view for one in listeners}
    if len(listeners) >= limit:
        return f"{limit} streams are open already"
    if view not in views and len(views) >= max_views:
        return f"streams of {max_views} different views are open already"
    return None
