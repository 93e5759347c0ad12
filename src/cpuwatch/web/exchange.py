"""One request and its answer, with a client that may take nothing of it, or leave at any time."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.web.request_body import announces_body

__all__ = ["CHUNK_BYTES", "STALL_SECONDS", "SlowClients", "attend"]

CHUNK_BYTES = 65_536
STALL_SECONDS = 15.0
"""A client has to take each chunk within this time."""

_FIRST_CHECK_SECONDS = 0.05
"""Most requests are answered by then, and pay for nothing but a timer."""
_CHECK_SECONDS = 1.0
_MAX_SLOW = 512


class SlowClients:
    """Those that just now have not taken what was sent: a limited number, for a server keeps a chunk for each.

    With one more, the one that has been here the longest is given up at once.
    """

    def __init__(self, most: int = _MAX_SLOW) -> None:
        self._most = most
        self._exchanges: dict[_Exchange, None] = {}

    def add(self, exchange: _Exchange) -> None:
        """Note a client; one that is noted already keeps its age."""
        self._exchanges[exchange] = None
        if len(self._exchanges) > self._most:
            oldest = next(iter(self._exchanges))
            self.discard(oldest)
            oldest.give_up()

    def discard(self, exchange: _Exchange) -> None:
        """Forget a client that has taken what was sent, or has gone."""
        self._exchanges.pop(exchange, None)


async def attend(app: ASGIApp, scope: Scope, receive: Receive, send: Send, slow_clients: SlowClients) -> None:
    """Let ``app`` answer an HTTP request for as long as its client is there and takes what is sent.

    Bodies go to the server in chunks, because a server copies what a client does not take yet. When the client leaves,
    does not take a chunk within ``STALL_SECONDS``, or is one too many of the ``slow_clients``, ``app`` is cancelled
    wherever it waits, and so frees what it holds: bodies, places, locks. The answer stays unfinished, and the server
    ends the connection or the stream.
    """
    try:
        async with asyncio.timeout(None) as limit:
            exchange = _Exchange(scope, receive, send, limit, slow_clients)
            try:
                await app(scope, exchange.receive, exchange.send)
            finally:
                exchange.end()
    except TimeoutError:
        if not limit.expired():
            raise


class _Exchange:
    """What goes from and to one client; ``limit`` is around the app that answers it."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, limit: asyncio.Timeout, slow_clients: SlowClients
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._slow_clients = slow_clients
        self._body_ended = False
        self._due_seconds: float | None = None
        self._watching: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(_FIRST_CHECK_SECONDS, self._check)

    async def receive(self) -> Message:
        """The next message from the server (ASGI), for whoever reads the body of the request."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.give_up()
        elif not message.get("more_body", False):
            self._body_ended = True
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server (ASGI), a large body in chunks."""
        body: bytes = message.get("body", b"")
        try:
            for start in range(0, len(body) - CHUNK_BYTES, CHUNK_BYTES):
                chunk = body[start : start + CHUNK_BYTES]
                await self._send_in_time({"type": message["type"], "body": chunk, "more_body": True})
            if len(body) > CHUNK_BYTES:
                message = {**message, "body": body[(len(body) - 1) // CHUNK_BYTES * CHUNK_BYTES :]}
            await self._send_in_time(message)
        except OSError:
            # The client has left: some servers say it like this (ASGI 3.0, Disconnected Client).
            self.give_up()
            await asyncio.Event().wait()

    def give_up(self) -> None:
        """Cancel the app: its client has left, or takes nothing."""
        if self._limit.when() is None:
            self._limit.reschedule(self._loop.time())

    def end(self) -> None:
        """The app has answered, or given up."""
        self._timer.cancel()
        self._slow_clients.discard(self)
        if self._watching is not None:
            self._watching.cancel()

    async def _send_in_time(self, message: Message) -> None:
        self._due_seconds = self._loop.time() + STALL_SECONDS
        await self._send(message)
        self._due_seconds = None

    def _check(self) -> None:
        if self._due_seconds is None:
            self._slow_clients.discard(self)
        elif self._loop.time() >= self._due_seconds:
            self.give_up()
            return
        else:
            self._slow_clients.add(self)
        if self._watching is None and self._is_body_read():
            self._watching = self._loop.create_task(self._watch_for_disconnect())
        self._timer = self._loop.call_later(_CHECK_SECONDS, self._check)

    def _is_body_read(self) -> bool:
        """Whether all that can still come from the client is that it leaves."""
        return self._body_ended or not announces_body(self._scope, dict(self._scope["headers"]))

    async def _watch_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.give_up()
