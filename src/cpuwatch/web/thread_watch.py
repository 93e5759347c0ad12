"""Measures the threads of processes for clients that ask for them, and shares the measurements between clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from typing import Protocol

from cpuwatch.accounting.threads import thread_usage
from cpuwatch.errors import NotFoundError
from cpuwatch.fixed_threads import FixedThreads
from cpuwatch.samplers.threads import ThreadReader
from cpuwatch.thread_usage import ThreadReading, ThreadsSnapshot
from cpuwatch.web.access.limits import Places
from cpuwatch.web.http.response import Answer
from cpuwatch.web.response_cache import keep

__all__ = ["ThreadRepresentation", "ThreadWatch"]

_MIN_INTERVAL_SECONDS = 0.5
"""A newer measurement is shared. It is also the interval of the first one, for which the client waits."""
_MAX_INTERVAL_SECONDS = 10.0
"""A reading that is older is forgotten."""
_MAX_AT_ONCE = 16
_MAX_KEPT_THREADS = 20_000
_MAX_KEPT_ANSWERS = 16
_PAUSE_FACTOR = 4
"""After each reading, the next one waits this many times as long as it took. So readings take a fifth of a CPU."""


class ThreadRepresentation(Hashable, Protocol):
    """A response made of the threads of a process. Equal representations share one response."""

    def make(self, snapshot: ThreadsSnapshot) -> Answer:
        """Make it; called in a thread."""
        ...


class ThreadWatch:
    """The processes whose threads clients ask for. Nothing is read unless a client asks.

    A client that asks again gets the usage since its last request. The first request waits for half a second, and so
    does one that comes after ten. All clients that ask for the same process within half a second get the same result.
    Readings are taken one at a time. At most 16 measurements are under way, and a quarter of them for one client.
    """

    def __init__(
        self,
        threads: FixedThreads,
        open_reader: Callable[[], ThreadReader],
        min_interval_seconds: float = _MIN_INTERVAL_SECONDS,
    ) -> None:
        self._threads = threads
        self._open_reader = open_reader
        self._min_interval_seconds = min_interval_seconds
        self._reader: ThreadReader | None = None
        self._turn = asyncio.Lock()
        self._next_turn_seconds = 0.0
        self._places = Places(_MAX_AT_ONCE, "measurements of threads under way")
        self._measured: dict[int, _Measured] = {}
        self._measuring: dict[int, asyncio.Task[_Measured]] = {}

    async def get(self, pid: int, client: str | None, representation: ThreadRepresentation) -> Answer:
        """The response for the threads of this process, or the refusal if ``client`` has reached a limit.

        Raises what the reader raises.
        """
        measured = self._measured.get(pid)
        if measured is None or measured.age_seconds() >= self._min_interval_seconds:
            measuring = self._measuring.get(pid)
            if measuring is None:
                refusal = self._places.refusal(client)
                if refusal is not None:
                    return refusal
                measuring = self._begin(pid, client)
            # Shielded: if one client disconnects, the others still wait for it.
            measured = await asyncio.shield(measuring)
        return await measured.answer(representation, self._threads)

    async def close(self) -> None:
        """End all measurements."""
        tasks = list(self._measuring.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, pid: int, client: str | None) -> asyncio.Task[_Measured]:
        with ExitStack() as place:
            place.enter_context(self._places.taken(client))
            task = asyncio.create_task(self._measure(pid))
            ends = place.pop_all()
        self._measuring[pid] = task

        def end(done: asyncio.Task[_Measured]) -> None:
            ends.close()
            del self._measuring[pid]
            if not done.cancelled():
                done.exception()  # nobody may be waiting

        task.add_done_callback(end)
        return task

    async def _measure(self, pid: int) -> _Measured:
        known = self._measured.pop(pid, None)
        later: ThreadReading | None = None
        if known is not None and known.age_seconds() <= _MAX_INTERVAL_SECONDS:
            later = await self._read(pid)
            if later.key == known.reading.key:
                return await self._account(known.reading, later)
        earlier = later or await self._read(pid)
        await asyncio.sleep(self._min_interval_seconds)
        later = await self._read(pid)
        if later.key != earlier.key:
            raise NotFoundError(f"process {pid} has exited; another process has its PID now")
        return await self._account(earlier, later)

    async def _account(self, earlier: ThreadReading, later: ThreadReading) -> _Measured:
        measured = _Measured(later, await self._threads.run(thread_usage, earlier, later))
        pid = later.pid
        self._measured[pid] = measured
        while sum(len(each.reading.threads) for each in self._measured.values()) > _MAX_KEPT_THREADS:
            del self._measured[next(iter(self._measured))]
        asyncio.get_running_loop().call_later(_MAX_INTERVAL_SECONDS, self._forget, pid, measured)
        return measured

    def _forget(self, pid: int, measured: _Measured) -> None:
        if self._measured.get(pid) is measured:
            del self._measured[pid]

    async def _read(self, pid: int) -> ThreadReading:
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next_turn_seconds - time.monotonic()))
            begin_seconds = time.monotonic()
            try:
                return await self._threads.run(self._read_now, pid)
            finally:
                now_seconds = time.monotonic()
                self._next_turn_seconds = now_seconds + _PAUSE_FACTOR * (now_seconds - begin_seconds)

    def _read_now(self, pid: int) -> ThreadReading:
        if self._reader is None:
            self._reader = self._open_reader()
        return self._reader.read(pid)


class _Measured:
    """What the threads of a process used until the last reading, and the responses made of it."""

    def __init__(self, reading: ThreadReading, snapshot: ThreadsSnapshot) -> None:
        self.reading = reading
        self._snapshot = snapshot
        self._answers: dict[ThreadRepresentation, Answer] = {}
        self._making = asyncio.Lock()

    def age_seconds(self) -> float:
        return time.monotonic() - self.reading.monotonic_ns / 1e9

    async def answer(self, representation: ThreadRepresentation, threads: FixedThreads) -> Answer:
        async with self._making:
            made = self._answers.get(representation)
            if made is None:
                made = await threads.run(representation.make, self._snapshot)
                keep(self._answers, representation, made, _MAX_KEPT_ANSWERS)
            return made
