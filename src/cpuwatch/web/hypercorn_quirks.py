"""Bounds in time on the connections of Hypercorn, which has few of its own.

Hypercorn 0.18 waits without a bound for a client to take what was written, even after it has closed the connection, so
that the descriptor stays in use. It forgets some connections on which no request is under way. Where an app does not
finish an answer, HTTP/2 clients are not told, and after a pipelined request the connection's task never ends. An app
sees nothing of this, so the class that serves a connection is replaced for as long as the app runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import hypercorn.asyncio.run as hypercorn_run
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import AppWrapper

from cpuwatch.web.exchange import CHUNK_BYTES, STALL_SECONDS

__all__ = ["BoundedConnection", "bounded_connections"]

_CHECK_SECONDS = 5.0
_READ_BYTES = 2048


@contextmanager
def bounded_connections() -> Iterator[None]:
    """For as long as the block lasts, Hypercorn serves new connections with :class:`BoundedConnection`."""
    unbounded = hypercorn_run.TCPServer  # type: ignore[attr-defined]
    hypercorn_run.TCPServer = BoundedConnection  # type: ignore[attr-defined,assignment]
    try:
        yield
    finally:
        hypercorn_run.TCPServer = unbounded  # type: ignore[attr-defined]


class BoundedConnection(TCPServer):
    """A connection that is closed if its client does not take what was written, or if nothing is under way on it.

    A client has to take ``CHUNK_BYTES``, or all that waits for it, within ``STALL_SECONDS``. That is checked from time
    to time, so that a write costs nothing more.
    """

    def __init__(self, app: AppWrapper, *others: Any) -> None:
        super().__init__(self._answer, *others)  # type: ignore[arg-type]  # called as an AppWrapper is
        self._wrapped_app = app
        self._under_way = 0
        self._quiet_since_seconds = self.loop.time()
        self._written_bytes = 0
        self._due_bytes = 0
        self._due_seconds: float | None = None
        self._is_read_to_end = False
        self._is_lost = False
        self._has_ended = False
        self._task: asyncio.Task[Any] | None = None
        self._timer = self.loop.call_later(_CHECK_SECONDS, self._check)

    async def run(self) -> None:
        """Serve the connection to its end."""
        self._task = asyncio.current_task()
        try:
            await super().run()
        finally:
            self._has_ended = True
            if not self._waiting_bytes():
                self._timer.cancel()

    async def protocol_send(self, event: Event) -> None:
        """Write what the protocol hands out, or note that it is idle or no longer so."""
        if isinstance(event, Updated) and self._is_read_to_end:
            # No time to wait for a further request: what belongs to a connection that is over would be kept as long.
            return
        await super().protocol_send(event)
        if isinstance(event, RawData):
            self._written_bytes += len(event.data)

    async def _read_data(self) -> None:
        # In small portions, so that requests are answered, or found to be reset, before there are thousands of them.
        while not self.reader.at_eof():
            try:
                data = await asyncio.wait_for(self.reader.read(_READ_BYTES), self.config.read_timeout)
            except OSError:
                break
            await self.protocol.handle(RawData(data))
            if len(data) == _READ_BYTES:
                await asyncio.sleep(0)
        self._is_read_to_end = True
        await self.idle_task.stop()
        await self.protocol.handle(Closed())

    async def _close(self) -> None:
        # The end of TLS fails if the client goes on to send, and nobody would catch it.
        with suppress(OSError):
            await super()._close()

    async def _answer(self, scope: Any, receive: Any, send: Any, *others: Any) -> None:
        # What Hypercorn hands out is a method of the stream.
        stream = send.__self__
        is_http2 = isinstance(self.protocol.protocol, H2Protocol)
        # Over HTTP/1.1 a stream is closed too when the client has said that it sends nothing more.
        if self.writer.transport.is_closing() or (is_http2 and stream.closed):
            # The client has left already, or has reset the stream: some do that at once, and often (CVE-2023-44487).
            # Of an open stream Hypercorn would go on to send an error.
            stream.closed = True
            return
        self._under_way += 1
        try:
            await self._wrapped_app(scope, receive, send, *others)
        finally:
            self._under_way -= 1
            self._quiet_since_seconds = self.loop.time()
        if isinstance(stream, HTTPStream) and stream.state is ASGIHTTPState.RESPONSE and not stream.closed:
            await self._break_off(stream.stream_id)

    async def _break_off(self, stream_id: int) -> None:
        """Let the client see that this answer is not finished, and drop what is left of it."""
        protocol = self.protocol.protocol
        if isinstance(protocol, H2Protocol):
            with suppress(ProtocolError):
                protocol.connection.reset_stream(stream_id, ErrorCodes.CANCEL)
            # The sending task finds the stream closed, and drops its buffer.
            await protocol._window_updated(stream_id)  # noqa: SLF001
            await protocol._flush()  # noqa: SLF001
        else:
            self.writer.transport.abort()

    def _check(self) -> None:
        transport = self.writer.transport
        waiting_bytes = self._waiting_bytes()
        now_seconds = self.loop.time()
        if self._is_stalled(waiting_bytes, now_seconds):
            transport.abort()
        elif transport.is_closing() and not waiting_bytes:
            if self._has_ended:
                return
            # It should have ended long ago: something waits for a client that has left.
            if self._is_lost and self._task is not None:
                self._task.cancel()
            self._is_lost = True
        elif self._under_way == 0 and now_seconds - self._quiet_since_seconds >= self._patience_seconds:
            transport.abort()
        self._timer = self.loop.call_later(_CHECK_SECONDS, self._check)

    def _waiting_bytes(self) -> int:
        """What was written and not yet taken."""
        try:
            return self.writer.transport.get_write_buffer_size()
        except AttributeError:
            # asyncio's transport for TLS has let go of its protocol, where it would ask: the connection is lost.
            return 0

    def _is_stalled(self, waiting_bytes: int, now_seconds: float) -> bool:
        if not waiting_bytes:
            self._due_seconds = None
            return False
        taken_bytes = self._written_bytes - waiting_bytes
        if self._due_seconds is None or taken_bytes >= self._due_bytes:
            self._due_seconds = now_seconds + STALL_SECONDS
            self._due_bytes = taken_bytes + min(waiting_bytes, CHUNK_BYTES)
        return now_seconds >= self._due_seconds

    @property
    def _patience_seconds(self) -> float:
        return max(STALL_SECONDS, self.config.keep_alive_timeout)
