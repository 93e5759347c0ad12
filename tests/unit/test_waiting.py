"""``Prefer: wait`` at ``/cpu_usage``."""

from __future__ import annotations

import asyncio

import pytest
from asgi_client import TIMEOUT, Client, Service, service

from cpuwatch import Snapshot, decode
from cpuwatch.web.endpoints.cpu_usage import all_processes
from cpuwatch.web.http.response import Endpoint

PATH = "/cpu_usage"


async def tag_of(running: Service) -> str:
    client = Client(Endpoint(all_processes), running.live, path=PATH)
    await client.end()
    return client.headers["etag"]


def request(running: Service, **headers: str) -> Client:
    return Client(Endpoint(all_processes), running.live, path=PATH, **headers)


async def held(running: Service, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return once the request waits for the next snapshot."""
    views, waits = running.live.cache, asyncio.Event()
    wait = views.wait

    async def noted(after: int, timeout: float | None = None) -> Snapshot | None:
        if timeout is not None:
            assert timeout == 30
            waits.set()
        return await wait(after, timeout)

    monkeypatch.setattr(views, "wait", noted)
    await asyncio.wait_for(waits.wait(), TIMEOUT)
    assert not client.task.done()


def test_prefer_wait_with_the_newest_etag_is_answered_at_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        async with service() as running:
            client = request(running, if_none_match=await tag_of(running), prefer="wait=30")
            await held(running, client, monkeypatch)
            await running.tick()
            await client.end()
            assert client.status == 200
            assert client.headers["preference-applied"] == "wait=30"
            assert decode(client.body).sequence == 2

    asyncio.run(act())


@pytest.mark.parametrize(("prefer", "applied"), [("wait=0", "wait=0"), ("wait=soon", None), ("return=minimal", None)])
def test_without_a_new_tick_in_time_the_response_is_304(prefer: str, applied: str | None) -> None:
    async def act() -> None:
        async with service() as running:
            client = request(running, if_none_match=await tag_of(running), prefer=prefer)
            await client.end()
            assert (client.status, client.body) == (304, b"")
            assert client.headers.get("preference-applied") == applied

    asyncio.run(act())


def test_an_older_etag_is_answered_at_once() -> None:
    async def act() -> None:
        async with service() as running:
            for headers in ({"if_none_match": '"other"'}, {}):
                client = request(running, prefer="wait=30", **headers)
                await client.end()
                assert client.status == 200
                assert "preference-applied" not in client.headers

    asyncio.run(act())


def test_waiting_requests_are_answered_at_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        async with service() as running:
            client = request(running, if_none_match=await tag_of(running), prefer="wait=30")
            await held(running, client, monkeypatch)
            running.live.cache.end()
            await client.end()
            assert client.status == 304

    asyncio.run(act())
