"""The client's work: N connections, kept up until the end, and their results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.loadgen.body_check import Check
from benchmarks.loadgen.books import Books
from benchmarks.loadgen.connection import Connection
from benchmarks.loadgen.outcome import Message, Outcome, Progress, Started
from benchmarks.loadgen.pace import Pace

__all__ = ["Load"]

_PAUSE_AFTER_FAILURE_SECONDS = 0.1


class Load:
    """``connections`` to one server that send requests at a pace.

    ``tell`` receives a message at the start and in each second.
    """

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        accept: str,
        connections: int,
        timeout_seconds: float,
        books: Books,
        new_check: Callable[[], Check],
        pace: Pace,
        tell: Callable[[Message], None],
    ) -> None:
        self._host, self._port = host, port
        literal = f"[{host}]" if ":" in host else host
        head = f"GET {path} HTTP/1.1\r\nHost: {literal}:{port}\r\nAccept: {accept}\r\n\r\n"
        self.request = head.encode("ascii")
        self.books = books
        self.new_check = new_check
        self._timeout_seconds = timeout_seconds
        self._pace = pace
        self._tell = tell
        self._connections = connections
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._timer: asyncio.TimerHandle | None = None
        self._holders: list[asyncio.Task[None]] = []
        self._cpu_before_ns = 0

    async def run(self) -> Outcome:
        """Run until the end, or until soon after :meth:`stop`."""
        books = self.books
        self._tell(Started(books.starts_ns))
        self._holders = [asyncio.create_task(self._hold()) for _ in range(self._connections)]
        beside = [asyncio.create_task(work()) for work in (self._report, self._abort_what_hangs, self._mark_start)]
        await asyncio.wait(self._holders)
        finished_ns = time.perf_counter_ns()
        for task in beside:
            task.cancel()
        for holder in self._holders:
            if not holder.cancelled():
                holder.result()
        if not any(holder.cancelled() for holder in self._holders):
            for due_ns in self._pace.unsent_ns():
                books.fail("timeout", "due, but no connection became free to send it", due_ns, finished_ns)
        # Not only to the last response: a server that dies halfway was slow; its run was not shorter.
        ended_ns = max(books.last_answer_ns, min(finished_ns, self._pace.ends_ns))
        return Outcome(
            starts_ns=books.starts_ns,
            elapsed_ns=max(0, ended_ns - books.starts_ns),
            client_cpu_ns=time.process_time_ns() - self._cpu_before_ns if self._cpu_before_ns else 0,
            requests=len(books.samples.sent_ns),
            reconnects=books.reconnects,
            decoded_bodies=books.decoded_bodies,
            shortest_body=books.shortest_body,
            longest_body=books.longest_body,
            processes=books.processes,
            fewest_processes=books.fewest_processes,
            most_processes=books.most_processes,
            failures=books.failures,
            ticks=books.ticks,
        )

    def stop(self) -> None:
        """End now. Pending requests do not count."""
        self._pace.ends_ns = min(self._pace.ends_ns, time.perf_counter_ns())
        for holder in self._holders:
            holder.cancel()

    # For the connections

    def free(self, connection: Connection) -> None:
        now_ns = time.perf_counter_ns()
        due_ns = self._pace.take(now_ns)
        if due_ns is not None:
            connection.send(due_ns, now_ns)
        elif (next_ns := self._pace.next_ns(now_ns)) is None:
            connection.close()
        else:
            self._idle.append(connection)
            self._wake_at(next_ns, now_ns)

    def gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _wake_at(self, next_ns: int, now_ns: int) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later((next_ns - now_ns) / 1e9, self._wake)

    def _wake(self) -> None:
        self._timer = None
        waiting, self._idle = self._idle, []
        for connection in waiting:
            self.free(connection)

    # In the background

    async def _hold(self) -> None:
        """One of the N: a connection, and the next one when it ends."""
        loop = asyncio.get_running_loop()
        while self._pace.next_ns(began_ns := time.perf_counter_ns()) is not None:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    _, connection = await loop.create_connection(lambda: Connection(self), self._host, self._port)
            except OSError as error:
                self.books.fail("connect", f"{type(error).__name__}: {error}", began_ns, time.perf_counter_ns())
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)
                continue
            self._open.add(connection)
            try:
                in_good_order = await connection.ended
            finally:
                connection.close()
            if not in_good_order:
                # Do not hammer a server that refuses at once.
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)

    async def _mark_start(self) -> None:
        await asyncio.sleep((self.books.starts_ns - time.perf_counter_ns()) / 1e9)
        self._cpu_before_ns = time.process_time_ns()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            seconds = (time.perf_counter_ns() - self.books.starts_ns) / 1e9
            try:
                self._tell(Progress(seconds, len(self.books.samples.sent_ns), self.books.failed))
            except OSError:
                # The parent process is gone.
                self.stop()

    async def _abort_what_hangs(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            for connection in list(self._open):
                connection.abort_after(self._timeout_seconds)
