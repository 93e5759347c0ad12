"""Everything that relies on the internals of Hypercorn 0.18; its tests run against the installed version.

Time limits. Hypercorn waits without a limit for a client to read what was written, even after it has closed the
connection, so the descriptor stays in use. It forgets some connections without a pending request. If an app does not
finish a response, HTTP/2 clients are not notified, and after a pipelined request the task of the connection never ends.
An app cannot see any of this, so the class that serves a connection is replaced while the app runs.

Stopping. ASGI announces the stop only when the last request has ended (``lifespan.shutdown``), and on Python 3.12.1 and
later Hypercorn waits for that without a limit (hypercorn#308): a stream that ends at that message never ends. A signal
does not help either: the worker process of the ``hypercorn`` command is notified by an internal event.

Errors. Some malformed input, mostly of HTTP/2, raises where Hypercorn reads from a connection.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import CoroutineType
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
from hypercorn.utils import raise_shutdown

__all__ = [
    "BoundedConnection",
    "abort_connections",
    "bounded_connections",
    "call_when_server_stops",
    "hypercorn_adapted",
    "protocol_errors_logged_once",
]

_CHECK_SECONDS = 5.0
_STALL_SECONDS = 15.0
"""As long as the app gives a client to read a chunk (``cpuwatch.web.http.exchange``)."""
_READ_BYTES = 2048

_log = logging.getLogger("cpuwatch.web")


@contextmanager
def hypercorn_adapted() -> Iterator[None]:
    """Make Hypercorn limit its connections and log malformed input once, within the block."""
    with bounded_connections(), protocol_errors_logged_once():
        yield


@contextmanager
def bounded_connections() -> Iterator[None]:
    """Make Hypercorn serve new connections with :class:`BoundedConnection`, within the block."""
    unbounded = hypercorn_run.TCPServer  # type: ignore[attr-defined]
    hypercorn_run.TCPServer = BoundedConnection  # type: ignore[attr-defined,assignment]
    try:
        yield
    finally:
        hypercorn_run.TCPServer = unbounded  # type: ignore[attr-defined]


class BoundedConnection(TCPServer):
    """A connection that ends when its client has disconnected, or when it has been idle for some time.

    The app limits the time of pending requests. A client must read the rest in the server's buffers, and messages of
    the protocol itself, within ``_STALL_SECONDS``.
    """

    def __init__(self, app: AppWrapper, *others: Any) -> None:
        super().__init__(self._answer, *others)
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
        # In small portions, so that requests are answered, or their resets noticed, before there are thousands of them.
        while not self.reader.at_eof():
            try:
                data = await asyncio.wait_for(self.reader.read(_READ_BYTES), self.config.read_timeout)
            except OSError:
                break
            await self.protocol.handle(RawData(data))
            if len(data) == _READ_BYTES:
                await asyncio.sleep(0)
        await self.idle_task.stop()
        self.idle_task: AsyncioSingleTask = _NoIdleTime()
        await self.protocol.handle(Closed())

    async def _close(self) -> None:
        # Closing TLS fails if the client keeps sending, and nobody would catch the exception.
        with suppress(OSError):
            await super()._close()

    async def _answer(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        # Hypercorn passes a method of the stream.
        stream = send.__self__
        # Over HTTP/1.1 a stream is also closed when the client has half-closed the connection.
        if self.writer.transport.is_closing() or (stream.closed and isinstance(self.protocol.protocol, H2Protocol)):
            # The client has already disconnected, or reset the stream: some do so at once, repeatedly (CVE-2023-44487).
            # Hypercorn would send an error on an open stream.
            stream.closed = True
            await self._drop_requests()
            return
        self._under_way += 1
        try:
            await self._wrapped_app(scope, receive, send, sync_spawn, call_soon)
        finally:
            self._under_way -= 1
            self._quiet_since_seconds = self.loop.time()
        if stream.state is ASGIHTTPState.RESPONSE and not stream.closed:
            await self._break_off(stream.stream_id)
        if self.writer.transport.is_closing():
            await self._drop_requests()

    async def _break_off(self, stream_id: int) -> None:
        """Show the client that this response is incomplete, and drop the rest of it."""
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
        """When the connection is lost, let pending reads end, and do not answer the remaining requests."""
        protocol = self.protocol.protocol
        if isinstance(protocol, H11Protocol):
            protocol.connection = h11.Connection(h11.SERVER)
            await protocol.can_read.set()

    def _check(self) -> None:
        transport = self.writer.transport
        waiting_bytes = self._waiting_bytes()
        quiet_seconds = self.loop.time() - self._quiet_since_seconds
        if transport.is_closing() and not waiting_bytes:
            if self._has_ended:
                return
            # It should have ended long ago: something waits for a client that has disconnected.
            if self._is_lost and self._task is not None:
                self._task.cancel()
            self._is_lost = True
        elif self._under_way == 0 and quiet_seconds >= self._patience_seconds(waiting_bytes):
            transport.abort()
        self._timer = self.loop.call_later(_CHECK_SECONDS, self._check)

    def _patience_seconds(self, waiting_bytes: int) -> float:
        return _STALL_SECONDS if waiting_bytes else max(_STALL_SECONDS, self.config.keep_alive_timeout)

    def _waiting_bytes(self) -> int:
        """The number of bytes written but not yet sent."""
        try:
            return self.writer.transport.get_write_buffer_size()
        except AttributeError:
            # asyncio's TLS transport has dropped its protocol, so the connection is lost.
            return 0


class _NoIdleTime(AsyncioSingleTask):
    """Replaces the task that waits for another request, which would keep a finished connection open."""

    async def restart(self, *_: object) -> None:
        """Do not wait."""


def call_when_server_stops(callback: Callable[[], object]) -> None:
    """Call ``callback`` when Hypercorn begins to stop, before it waits for pending requests.

    Use it while a request is handled, when the server is certain to run. Other servers are unaffected.
    """
    for task in asyncio.all_tasks():
        # Hypercorn runs as long as a task of this function waits for a reason to stop.
        if getattr(task.get_coro(), "cr_code", None) is raise_shutdown.__code__:
            task.add_done_callback(lambda _: callback())


def abort_connections() -> int:
    """Close all connections at once and drop their unsent data. Returns the number of connections.

    Hypercorn waits without a limit for clients to read their responses, even when it stops, and does not expose its
    connections. They are found through the coroutine that serves each of them (``worker_serve``).
    """
    number = 0
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if not isinstance(coroutine, CoroutineType) or coroutine.cr_frame is None:
            continue
        if coroutine.__qualname__ == "worker_serve.<locals>._server_callback":
            coroutine.cr_frame.f_locals["writer"].transport.abort()
            number += 1
    return number


@contextmanager
def protocol_errors_logged_once() -> Iterator[None]:
    """Log malformed input on which Hypercorn fails in one line for each place in the code, within the block.

    This applies to the running event loop. Known cases are settings that are not base64, a CONNECT without a path and a
    method that is not ASCII, all over HTTP/2. Such a connection ends. asyncio would log a traceback for each.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    logged: set[str] = set()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and (place := _place_in_hypercorn(error)):
            if place in logged:
                return
            logged.add(place)
            cause = _only_cause(error)
            _log.warning(
                "connection closed after malformed input; further cases are not logged: %s: %s, at %s",
                type(cause).__name__,
                cause,
                place,
            )
        elif before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def _place_in_hypercorn(error: Exception) -> str | None:
    """Return where it was raised, if Hypercorn was reading from a connection. The app runs in other tasks."""
    frames = traceback.extract_tb(_only_cause(error).__traceback__)
    if not frames or not frames[0].filename.endswith("hypercorn/asyncio/tcp_server.py"):
        return None
    return f"{frames[-1].filename}:{frames[-1].lineno}"


def _only_cause(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
