"""One connection of the client: just enough HTTP/1.1 for responses with a content length or in chunks."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Protocol

from benchmarks.loadgen.body_check import BadAnswerError, Check
from benchmarks.loadgen.books import Books, Kind
from benchmarks.loadgen.chunks import BadChunkError, Chunks

__all__ = ["Connection", "Work"]

_ROOM = 65_536
_MAX_HEAD = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)


class Work(Protocol):
    """Decides when a connection sends its next request."""

    request: bytes
    books: Books
    new_check: Callable[[], Check]

    def free(self, connection: Connection) -> None:
        """The connection waits for no response: call ``send`` or ``close``, now or later."""

    def gone(self, connection: Connection) -> None:
        """The connection is closed."""


class Connection(asyncio.BufferedProtocol):
    """Sends a request when told to and checks the response. ``ended`` tells whether it closed in good order.

    The response stays in one buffer: nothing is joined, and a body is compared in place.
    """

    def __init__(self, work: Work) -> None:
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._work = work
        self._books = work.books
        self._check = work.new_check()
        self._in_good_order = True
        self._buffer = bytearray(_ROOM)
        self._filled = 0
        self._body_at = 0  # 0: the head is incomplete
        self._end_at: int | None = 0  # None: unknown
        self._chunks: Chunks | None = None
        self._due_ns = 0
        self._sent_ns = 0  # 0: no response is pending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._work.free(self)

    def send(self, due_ns: int, now_ns: int) -> None:
        """Send the request that was due at ``due_ns``."""
        self._filled = self._body_at = 0
        self._due_ns = due_ns
        self._sent_ns = now_ns
        self._transport.write(self._work.request)

    def close(self) -> None:
        """Close it. A pending response does not count."""
        self._sent_ns = 0
        self._transport.abort()

    def abort_after(self, timeout_seconds: float) -> None:
        """Give up on a response that is not complete after this time."""
        if 0 < self._sent_ns < time.perf_counter_ns() - timeout_seconds * 1e9:
            self._give_up("timeout", f"no whole answer within {timeout_seconds:g} s")

    def get_buffer(self, _: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, count: int) -> None:
        self._filled += count
        if not self._sent_ns:
            if not self._transport.is_closing():
                self._give_up("length", f"bytes that no request asked for: {bytes(self._buffer[:100])!r}")
            return
        if not self._body_at:
            self._take_head()
        if self._body_at and self._chunks:
            self._follow(self._chunks)
        if self._body_at and self._end_at is not None and self._filled >= self._end_at:
            self._finish(self._end_at)

    def _take_head(self) -> None:
        end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
        if end < 0:
            if self._filled >= _MAX_HEAD:
                self._give_up("length", f"a head without end: {bytes(self._buffer[:100])!r}")
            return
        found = _LENGTH.search(self._buffer, 0, end + 2)
        if found is not None:
            self._chunks = None
            self._end_at = end + 4 + int(found[1])
            # With room for one more byte, to detect an excess.
            self._make_room(self._end_at + 1)
        elif _CHUNKED.search(self._buffer, 0, end + 2):
            self._chunks = Chunks(end + 4)
            self._end_at = None
        else:
            self._give_up("length", f"neither a content length nor chunks: {bytes(self._buffer[:end])!r}")
            return
        self._body_at = end + 4

    def _follow(self, chunks: Chunks) -> None:
        try:
            self._end_at = chunks.end(self._buffer, self._filled)
        except BadChunkError as error:
            self._give_up("length", str(error))
            return
        if self._filled == len(self._buffer):
            self._make_room(2 * self._filled)

    def _make_room(self, size: int) -> None:
        if size > len(self._buffer):
            # A new one, because asyncio still holds a view of the old.
            self._buffer = self._buffer[: self._filled] + bytearray(size - self._filled)

    def _finish(self, end_at: int) -> None:
        now_ns = time.perf_counter_ns()
        sent_ns, self._sent_ns = self._sent_ns, 0
        if self._filled > end_at:
            self._give_up("length", f"{self._filled - end_at} bytes after the end of the body", sent_ns)
            return
        closes = _CLOSE.search(self._buffer, 0, self._body_at) is not None
        try:
            length, age_ns = self._look(end_at, now_ns)
        except BadAnswerError as error:
            self._books.fail(error.kind, str(error), sent_ns, now_ns)
        else:
            self._books.succeed(self._due_ns, sent_ns, now_ns, age_ns, length)
        if closes:
            self._books.reconnects += 1
            self._transport.close()
        else:
            self._work.free(self)

    def _look(self, end_at: int, now_ns: int) -> tuple[int, int | None]:
        """The length of the body and the age of its data."""
        if self._buffer[9:12] != b"200":
            raise BadAnswerError("status", self._buffer[: self._body_at].decode("latin-1"))
        if self._chunks:
            body = self._chunks.body(self._buffer)
            return len(body), self._check.check(body, 0, len(body), now_ns)
        return end_at - self._body_at, self._check.check(self._buffer, self._body_at, end_at, now_ns)

    def _give_up(self, kind: Kind, detail: str, sent_ns: int = 0) -> None:
        now_ns = time.perf_counter_ns()
        self._books.fail(kind, detail, sent_ns or self._sent_ns or now_ns, now_ns)
        self._sent_ns = 0
        self._in_good_order = False
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent_ns:
            if error is None:
                self._give_up("early end", f"closed after {self._filled} bytes of the answer")
            else:
                self._give_up("reset", f"{type(error).__name__}: {error}")
        self._work.gone(self)
        if not self.ended.done():
            self.ended.set_result(self._in_good_order)
