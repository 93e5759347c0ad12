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

import h11
import hypercorn.asyncio.run as hypercorn_run
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import AsyncioSingleTask
from hypercorn.events import Closed, RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState
from hypercorn.typing import AppWrapper

from cpuwatch.web.http.exchange import STALL_SECONDS

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
    """A connection that is over when its client has left, or when nothing is under way on it for some time.

    Requests under way are bounded in time by the app. What they left in the server's buffers, and what the protocol
    says by itself, a client has to take within ``STALL_SECONDS``.
    """

    def __init__(self, app: AppWrapper, *others: Any) -> None:
        super().__init__(self._answer, *others)  # type: ignore[arg-type]  # called as an AppWrapper is
        self._wrapped_app = app
        self._under_way = 0
        self._quiet_since_seconds = self.loop.time()
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
        await self.idle_task.stop()
        self.idle_task = _NoIdleTime()
        await self.protocol.handle(Closed())

    async def _close(self) -> None:
        # The end of TLS fails if the client goes on to send, and nobody would catch it.
        with suppress(OSError):
            await super()._close()

    async def _answer(self, scope: Any, receive: Any, send: Any, *others: Any) -> None:
        # What Hypercorn hands out is a method of the stream.
        stream = send.__self__
        # Over HTTP/1.1 a stream is closed too when the client has said that it sends nothing more.
        if self.writer.transport.is_closing() or (stream.closed and isinstance(self.protocol.protocol, H2Protocol)):
            # The client has left already, or has reset the stream: some do that at once, and often (CVE-2023-44487).
            # Of an open stream Hypercorn would go on to send an error.
            stream.closed = True
            await self._drop_requests()
            return
        self._under_way += 1
        try:
            await self._wrapped_app(scope, receive, send, *others)
        finally:
            self._under_way -= 1
            self._quiet_since_seconds = self.loop.time()
        if stream.state is ASGIHTTPState.RESPONSE and not stream.closed:
            await self._break_off(stream.stream_id)
        await self._drop_requests()

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

    async def _drop_requests(self) -> None:
        """Once the connection is lost, let whatever reads from it come to its end, and not wait to answer the rest."""
        protocol = self.protocol.protocol
        if self.writer.transport.is_closing() and isinstance(protocol, H11Protocol):
            protocol.connection = h11.Connection(h11.SERVER)
            await protocol.can_read.set()

    def _check(self) -> None:
        transport = self.writer.transport
        waiting_bytes = self._waiting_bytes()
        quiet_seconds = self.loop.time() - self._quiet_since_seconds
        if transport.is_closing() and not waiting_bytes:
            if self._has_ended:
                return
            # It should have ended long ago: something waits for a client that has left.
            if self._is_lost and self._task is not None:
                self._task.cancel()
            self._is_lost = True
        elif self._under_way == 0 and quiet_seconds >= self._patience_seconds(waiting_bytes):
            transport.abort()
        self._timer = self.loop.call_later(_CHECK_SECONDS, self._check)

    def _patience_seconds(self, waiting_bytes: int) -> float:
        return STALL_SECONDS if waiting_bytes else max(STALL_SECONDS, self.config.keep_alive_timeout)

    def _waiting_bytes(self) -> int:
        """What was written and not yet taken."""
        try:
            return self.writer.transport.get_write_buffer_size()
        except AttributeError:
            # asyncio's transport for TLS has let go of its protocol, where it would ask: the connection is lost.
            return 0


class _NoIdleTime(AsyncioSingleTask):
    """In place of the task that waits for a further request: a connection that is over would be kept as long."""

    async def restart(self, *_: object) -> None:
        """Begin no waiting."""
