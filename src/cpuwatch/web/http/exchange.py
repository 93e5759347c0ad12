"""Limits the time of a response: the client may not read it, or disconnect at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Generator
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.web.http.body_limit import may_have_body
from cpuwatch.web.http.request import target

__all__ = ["CHUNK_BYTES", "STALL_SECONDS", "SlowClients", "StallLimit", "attend"]

CHUNK_BYTES = 65_536
STALL_SECONDS = 15.0
"""A client must read each chunk within this time."""

_FIRST_CHECK_SECONDS = 0.05
_CHECK_SECONDS = 1.0
_MAX_SLOW = 512

_log = logging.getLogger("cpuwatch.web")


class SlowClients:
    """Clients that have not read what was sent. Their number is limited, because the server keeps a chunk for each.

    Beyond the limit, the client that has stalled for the longest time is dropped at once.
    """

    def __init__(self, limit: int = _MAX_SLOW) -> None:
        self._limit = limit
        self._exchanges: dict[_Exchange, None] = {}

    def add(self, exchange: _Exchange) -> None:
        """Add a client. A client that is already in the list keeps its place."""
        self._exchanges[exchange] = None
        if len(self._exchanges) > self._limit:
            oldest = next(iter(self._exchanges))
            self.discard(oldest)
            oldest.give_up()

    def discard(self, exchange: _Exchange) -> None:
        """Remove a client that has read what was sent, or has disconnected."""
        self._exchanges.pop(exchange, None)


class StallLimit:
    """Middleware that cancels a request whose client has disconnected or does not read; see :func:`attend`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._slow_clients = SlowClients()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request (ASGI)."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        return attend(self._app, scope, receive, send, self._slow_clients)


async def attend(app: ASGIApp, scope: Scope, receive: Receive, send: Send, slow_clients: SlowClients) -> None:
    """Run ``app`` for an HTTP request as long as its client is connected and reads.

    Sends a body in 64 KiB chunks, because the server copies what the client has not read. ``app`` is cancelled wherever
    it waits, and so frees what it holds, if the client disconnects, does not read a chunk within ``STALL_SECONDS``, or
    exceeds the limit of ``slow_clients``. If ``app`` raises after the response has started, that is logged. In all
    these cases the response stays incomplete, and the server closes the connection or the stream.
    """
    exchange = _Exchange(scope, receive, send, slow_clients)
    answering = app(scope, exchange.receive, exchange.send).__await__()
    try:
        # Most requests never wait, so they need no timer, which would cost more than everything else here.
        waits_for = next(answering)
        async with asyncio.timeout(None) as limit:
            exchange.begin(limit)
            try:
                await _Begun(answering, waits_for)
            finally:
                exchange.end()
    except StopIteration:
        return
    except Exception as error:
        if isinstance(error, TimeoutError) and exchange.is_given_up:
            return
        if not exchange.has_started:
            raise
        _log.exception("the response to %r broke off", f"{scope['method']} {target(scope)}")


class _Begun(Generator[Any, Any, None]):
    """A coroutine that was started by hand and now waits for something; awaiting this runs the rest."""

    def __init__(self, steps: Generator[Any, Any, None], waits_for: object) -> None:
        self._steps = steps
        self._waits_for: list[object] = [waits_for]

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def send(self, value: Any) -> Any:
        """Return the next object it waits for. The first one is already known."""
        return self._waits_for.pop() if self._waits_for else self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise this where it waits."""
        return self._steps.throw(*error)


class _Exchange:
    """The messages from and to one client."""

    # Defaults on the class, because most requests end before one of these changes.
    has_started = False
    _body_ended = False
    _is_over = False
    _is_sending = False
    _due_seconds: float | None = None
    _limit: asyncio.Timeout | None = None
    _watching: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, slow_clients: SlowClients) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._slow_clients = slow_clients

    async def receive(self) -> Message:
        """The next message from the server (ASGI)."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.give_up()
        elif not message.get("more_body", False):
            self._body_ended = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message (ASGI), a large body in chunks."""
        body: bytes = message.get("body", b"")
        if len(body) > CHUNK_BYTES:
            last = (len(body) - 1) // CHUNK_BYTES * CHUNK_BYTES
            for start in range(0, last, CHUNK_BYTES):
                chunk = body[start : start + CHUNK_BYTES]
                await self.send({"type": message["type"], "body": chunk, "more_body": True})
            message = {**message, "body": body[last:]}
        self._due_seconds = None
        self.has_started = self._is_sending = True
        try:
            await self._send(message)
        except OSError:
            # The client has disconnected: some servers raise (ASGI 3.0, Disconnected Client).
            self.give_up()
            await asyncio.Event().wait()
        self._is_sending = False

    def begin(self, limit: asyncio.Timeout) -> None:
        """Start to watch the client, because the app waits. ``limit`` encloses the app."""
        self._limit = limit
        if self._is_over:
            self.give_up()
        self._timer = asyncio.get_running_loop().call_later(_FIRST_CHECK_SECONDS, self._check)

    @property
    def is_given_up(self) -> bool:
        """Whether the app was cancelled because of its client."""
        return self._limit is not None and self._limit.expired()

    def give_up(self) -> None:
        """Cancel the app: its client has disconnected, or does not read."""
        self._is_over = True
        if self._limit is not None and self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    def end(self) -> None:
        """Stop watching the client: the app has finished."""
        self._slow_clients.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._is_sending:
            self._slow_clients.discard(self)
        elif self._due_seconds is None:
            self._due_seconds = loop.time() + STALL_SECONDS
            self._slow_clients.add(self)
        elif loop.time() >= self._due_seconds:
            self.give_up()
            return
        if self._watching is None and self._is_body_read():
            self._watching = loop.create_task(self._watch_for_disconnect())
        self._timer = loop.call_later(_CHECK_SECONDS, self._check)

    def _is_body_read(self) -> bool:
        """Whether the client can send nothing but its disconnect."""
        return self._body_ended or not may_have_body(self._scope)

    async def _watch_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.give_up()
