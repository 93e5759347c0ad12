"""ASGI clients controlled by a test: endless responses, slow clients, disconnects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import httpx
from event_stream import Event, EventStream
from readings import SECOND, process, reading
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch import Monitor, Reading, ScriptedSampler
from cpuwatch.settings import Settings
from cpuwatch.tick_id import TickId
from cpuwatch.web import create_app
from cpuwatch.web.access.hosts import AllowedHosts
from cpuwatch.web.http.exchange import SlowClients, attend
from cpuwatch.web.state import Live, State

TIMEOUT = 30.0


class Stepped(ScriptedSampler):
    """A sampler that reads on command."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        super().__init__(readings)
        self._permits = threading.Semaphore(0)

    def step(self, readings: int = 1) -> None:
        self._permits.release(readings)

    def read(self) -> Reading:
        self._permits.acquire()
        return super().read()


class Service:
    """The state that a lifespan creates, with ticks on command."""

    def __init__(self, sampler: Stepped, monitor: Monitor) -> None:
        self.live = Live(monitor)
        self._sampler = sampler

    @property
    def run(self) -> str:
        """The id of the run."""
        assert self.live.cache.snapshot is not None
        return self.live.cache.snapshot.sampling.run

    async def tick(self, count: int = 1) -> int:
        """Make ticks, and return the sequence of the newest snapshot once it is served."""
        for _ in range(count):
            before = self.live.cache.newest_sequence
            self._sampler.step()
            assert await self.live.cache.wait(after=before, timeout=TIMEOUT)
        return self.live.cache.newest_sequence


def state_of(live: Live, settings: Settings | None = None) -> State:
    """Return the state that a lifespan with these settings passes to each request."""
    if settings is not None:
        live.settings, live.hosts = settings, AllowedHosts(settings.allowed_hosts)
    return {"cpuwatch": live}


async def get(live: Live, path: str, **headers: str) -> httpx.Response:
    """Send a GET request to an app whose lifespan passes this state."""
    app = create_app(Settings())

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state_of(live)), "root_path": ""}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(call), base_url="http://localhost") as client:
        return await client.get(path, headers=headers)


@asynccontextmanager
async def service(ticks: int = 1, processes: int = 2, history: int = 600) -> AsyncIterator[Service]:
    readings = [
        reading(*(process(10 + number, cpu_ns=n) for number in range(processes)), at_ns=(100 + n) * SECOND)
        for n in range(100)
    ]
    sampler = Stepped(readings)
    with Monitor(0.001, history, sampler) as monitor:
        running = Service(sampler, monitor)
        try:
            async with running.live.running():
                sampler.step()
                await running.tick(ticks)
                yield running
        finally:
            monitor._stop.set()
            sampler.step()


class Client:
    """A request in progress."""

    def __init__(
        self,
        app: ASGIApp,
        live: Live,
        query: str = "",
        *,
        path: str = "/cpu_usage/stream",
        client: str | None = None,
        **headers: str,
    ) -> None:
        self.messages: list[Message] = []
        self.stream = EventStream()
        self.reads = asyncio.Event()
        self.reads.set()
        self.blocked = False
        self._moved = asyncio.Condition()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "client": client and (client, 50_000),
            "state": state_of(live),
        }
        self.task = asyncio.ensure_future(attend(app, scope, self._inbox.get, self._send, SlowClients()))

    async def _send(self, message: Message) -> None:
        if not self.reads.is_set():
            self.blocked = True
            await self._tell()
        await self.reads.wait()
        self.messages.append(message)
        for event in self.stream.feed(message.get("body", b"")):
            self._events.put_nowait(event)
        await self._tell()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the received messages satisfy a condition."""
        async with asyncio.timeout(TIMEOUT), self._moved:
            await self._moved.wait_for(holds)

    async def event(self) -> Event:
        return await asyncio.wait_for(self._events.get(), TIMEOUT)

    async def ids(self, count: int) -> list[int]:
        return [TickId.parse((await self.event()).id).sequence for _ in range(count)]

    async def end(self) -> None:
        await asyncio.wait_for(asyncio.shield(self.task), TIMEOUT)

    async def leave(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})
        await self.end()

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)
