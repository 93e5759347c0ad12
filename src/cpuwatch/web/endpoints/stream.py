"""``/cpu_usage/stream``: each tick of a view as a Server-Sent Event (html.spec.whatwg.org, 9.2)."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import ClassVar

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.encoding.sse import KEEP_ALIVE, encode_retry, encode_view_event
from cpuwatch.errors import QueryError
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import VIEW, parse_query_string, view_from
from cpuwatch.query.view import View, apply_view
from cpuwatch.tick_id import TickId
from cpuwatch.web.access.limits import client_of, refused
from cpuwatch.web.http.negotiation import accepted
from cpuwatch.web.http.request import header_text
from cpuwatch.web.http.response import Answer
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.state import Live, live

__all__ = ["STREAM", "Stream", "ViewEvent"]

_MEDIA_TYPE = "text/event-stream"
_RETRY_MS = 2000
_RETRY_AFTER_STOP_SECONDS = 5


STREAM = Operation(
    path="/cpu_usage/stream",
    name="stream",
    summary="Each tick as a Server-Sent Event, without end: JSON as of /cpu_usage, with run and sequence as its id.",
    content={_MEDIA_TYPE: TEXT},
    headers=("X-Accel-Buffering",),
    problems=(406, 429, 503),
    query=VIEW,
    request_headers=("Last-Event-ID",),
    is_stream=True,
)


class Event(Struct, frozen=True):
    """The event of a tick in a view, encoded."""

    sequence: int
    data: bytes


class ViewEvent(Struct, frozen=True, cache_hash=True):
    """The event of a view (:class:`~cpuwatch.web.response_cache.Representation`)."""

    view: View
    is_made_ahead: ClassVar[bool] = True

    def make(self, snapshot: Snapshot) -> Event:
        """The event of this snapshot."""
        return Event(snapshot.sequence, encode_view_event(apply_view(snapshot, self.view), self.view.fields))


class Stream:
    """``GET /cpu_usage/stream``: the newest tick at once, then every new one, as JSON.

    Each has a :class:`~cpuwatch.tick_id.TickId` as its id. With ``Last-Event-ID``, which browsers send when they
    reconnect, the later ticks come first: those in the history, and with a recording those of earlier runs. A client
    that reads too slowly misses the ticks in between. A comment is sent after each ``keep_alive_seconds`` without an
    event.
    """

    def __init__(self, keep_alive_seconds: float = 15.0) -> None:
        self._keep_alive_seconds = keep_alive_seconds

    async def __call__(self, scope: Scope) -> ASGIApp:
        """Return what sends the stream, or the problem that prevents it."""
        state, last = live(scope), _last_event_id(scope)
        view = view_from(parse_query_string(scope["query_string"], VIEW))
        accepted(header_text(scope, b"accept"), [_MEDIA_TYPE])
        if state.cache.ended:
            return refused(503, "the service is stopping", _RETRY_AFTER_STOP_SECONDS)
        client = client_of(scope, state.settings.proxies)
        refusal = state.streams.refusal(view, client)
        if refusal is not None or scope["method"] == "HEAD":
            return refusal or _OPENING
        return partial(self._send, state, view, client, last)

    async def _send(
        self, state: Live, view: View, client: str | None, last: TickId | None, _: Scope, __: Receive, send: Send
    ) -> None:
        state.heed_server_stop()
        with state.streams.taken(view, client):
            async with aclosing(self._events(state, view, last)) as events:
                await send({"type": "http.response.start", "status": 200, "headers": _OPENING.headers})
                async for event in events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _events(self, state: Live, view: View, last: TickId | None) -> AsyncGenerator[bytes]:
        yield encode_retry(_RETRY_MS)
        async for earlier in _of_earlier_runs(state, view, last):
            yield earlier
        cache, representation = state.cache, ViewEvent(view)
        newest = cache.newest_sequence
        # A tick of another run, or a sequence without a run, is unknown here, so the whole history is sent.
        sent = newest - 1 if last is None else last.last_seen_in(cache.newest)
        # In several rounds, because more ticks arrive meanwhile. A reader that does not catch up skips to the newest.
        behind: float = math.inf
        while 0 < cache.newest_sequence - sent < behind:
            newest = cache.newest_sequence
            behind = newest - sent
            while sent < newest and not cache.ended and (past := _first_after(state, sent)):
                event = await cache.get_past(past, representation)
                yield event.data
                sent = event.sequence
        while not cache.ended:
            if await cache.wait(after=sent, timeout=self._keep_alive_seconds) is None:
                if not cache.ended:
                    yield KEEP_ALIVE
            elif (latest := await cache.get(representation)) is not None:
                yield latest.data
                sent = latest.sequence


def _first_after(state: Live, sequence: int) -> Snapshot | None:
    """The first snapshot after this one in the history; None if that is not published yet."""
    first = next(state.source.history.after(sequence), None)
    return None if first is None or first.sequence > state.cache.newest_sequence else first


async def _of_earlier_runs(state: Live, view: View, last: TickId | None) -> AsyncGenerator[bytes]:
    """The recorded events after a tick of another run, until the current run begins.

    They are read one by one as the client takes them. Without a recording of that run there are none.
    """
    recording, current = state.recording, state.cache.newest.run
    if recording is None or last is None or last.run is None or last.run == current:
        return
    if last.run not in await state.cache.read_past(recording.runs):
        return
    later = recording.after(last)

    def next_event() -> bytes | None:
        snapshot = next(later, None)
        return None if snapshot is None or snapshot.sampling.run == current else ViewEvent(view).make(snapshot).data

    while (event := await state.cache.read_past(next_event)) is not None:
        yield event


# Otherwise a proxy such as nginx would buffer events.
_FINITE = Answer.of(b"", _MEDIA_TYPE, headers=[("x-accel-buffering", "no")])
_OPENING = Answer(200, tuple(field for field in _FINITE.headers if field[0] != b"content-length"), b"")


def _last_event_id(scope: Scope) -> TickId | None:
    value = header_text(scope, b"last-event-id")
    if not value:
        return None
    try:
        return TickId.parse(value)
    except ValueError as error:
        raise QueryError(f"Last-Event-ID: {error}") from None
