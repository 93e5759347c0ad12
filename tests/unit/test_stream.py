from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from importlib.resources import files

import pytest
from asgi_client import TIMEOUT, Client, Service, service
from hypercorn.utils import ShutdownError, raise_shutdown

from cpuwatch import Snapshot, decode
from cpuwatch.encoding.rounded import rounded
from cpuwatch.encoding.sse import encode_view_event
from cpuwatch.query.parameters import VIEW, parse_query_string, view_from
from cpuwatch.server.hypercorn_quirks import call_when_server_stops
from cpuwatch.tick_id import TickId
from cpuwatch.web.access.limits import PAGE_VIEWS, StreamPlaces
from cpuwatch.web.endpoints.stream import Stream
from cpuwatch.web.http.response import Endpoint

PAGE_QUERIES = ["fields=key,cpu_percent&min_percent=0.2", ""]


def in_run(text: str, running: Service) -> str:
    other = "123456789" if running.run != "123456789" else "123456788"
    return text.replace("RUN", running.run).replace("OTHER", other)


def limited(running: Service, total: int = 200, max_views: int = 32) -> None:
    running.live.streams = StreamPlaces(total, max_views)


def test_a_stream_starts_with_the_newest_tick_and_sends_each_new_one() -> None:
    async def act() -> None:
        async with service(ticks=3) as running:
            client = Client(Endpoint(Stream()), running.live)
            first = await client.event()
            shown = running.live.cache.snapshot
            assert shown is not None
            assert first.id == f"{shown.sampling.run}0000000003"
            assert decode(first.data) == rounded(shown)
            for sequence in (4, 5, 6):
                await running.tick()
                event = await client.event()
                assert (event.id, decode(event.data).sequence) == (f"{shown.sampling.run}{sequence:010}", sequence)
            assert client.status == 200
            assert client.headers["content-type"] == "text/event-stream"
            assert client.headers["cache-control"] == "no-store"
            assert "content-length" not in client.headers
            assert client.stream.retry_ms == 2000
            await client.leave()

    asyncio.run(act())


def test_a_stream_can_have_a_view() -> None:
    async def act() -> None:
        async with service() as running:
            some = Client(Endpoint(Stream()), running.live, "top=1&fields=pid,name")
            sums = Client(Endpoint(Stream()), running.live, "group_by=name")
            assert json.loads((await some.event()).data)["processes"] == [{"pid": 10, "name": "work"}]
            assert [group["processes"] for group in json.loads((await sums.event()).data)["groups"]] == [2]
            await some.leave()
            await sums.leave()

    asyncio.run(act())


def test_a_client_that_reconnects_gets_missed_ticks_in_order_before_new_ones() -> None:
    async def act() -> None:
        async with service(ticks=9) as running:
            client = Client(Endpoint(Stream()), running.live, last_event_id=str(TickId(running.run, 4)))
            assert await client.ids(5) == [5, 6, 7, 8, 9]
            await running.tick()
            assert await client.ids(1) == [10]
            await client.leave()

    asyncio.run(act())


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("RUN0000000009", 10),
        ("RUN0000000007", 8),
        ("RUN0000000000", 6),
        # An id of another run: everything in the history.
        ("RUN0000005000", 6),
        ("OTHER0000000009", 6),
        ("OTHER0000005000", 6),
        ("9", 6),
        ("5000", 6),
        ("", 9),
    ],
)
def test_the_first_event_depends_on_the_last_event_id_and_the_history(last: str, first: int) -> None:
    async def act() -> None:
        async with service(ticks=9, history=4) as running:
            client = Client(Endpoint(Stream()), running.live, last_event_id=in_run(last, running))
            if first > 9:
                # The opening lines show that the client is registered.
                await client.until(lambda: bool(client.messages))
                await running.tick()
            assert await client.ids(1) == [first]
            await client.leave()

    asyncio.run(act())


def test_a_slow_reader_skips_to_the_newest_tick() -> None:
    async def act() -> None:
        async with service() as running:
            client = Client(Endpoint(Stream()), running.live)
            assert await client.ids(1) == [1]
            client.reads.clear()
            await running.tick()
            await client.until(lambda: client.blocked)
            await running.tick(5)
            client.reads.set()
            # The event that was being sent, and the newest.
            assert await client.ids(2) == [2, 7]
            await client.leave()

    asyncio.run(act())


def test_a_tick_during_the_start_of_a_stream_is_sent_once() -> None:
    async def act() -> None:
        async with service() as running:
            client = Client(Endpoint(Stream()), running.live, last_event_id=str(TickId(running.run, 1)))
            client.reads.clear()
            await client.until(lambda: client.blocked)
            await running.tick()
            client.reads.set()
            assert await client.ids(1) == [2]
            await running.tick()
            assert await client.ids(1) == [3]
            await client.leave()

    asyncio.run(act())


def test_an_event_is_encoded_once_for_all_streams_of_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def counting(shown: Snapshot, fields: Sequence[str] | None) -> bytes:
        encoded.append(shown.sequence)
        return encode_view_event(shown, fields)

    async def act() -> None:
        async with service() as running:
            monkeypatch.setattr("cpuwatch.web.endpoints.stream.encode_view_event", counting)
            clients = [Client(Endpoint(Stream()), running.live) for _ in range(3)]
            for sequence in (1, 2, 3):
                assert [await client.ids(1) for client in clients] == [[sequence]] * 3
                await running.tick()
            # One that lost its connection reads the newest tick like all others.
            late = Client(Endpoint(Stream()), running.live, last_event_id=str(TickId(running.run, 3)))
            assert [await client.ids(1) for client in (*clients, late)] == [[4]] * 4
            await left([*clients, late])

    asyncio.run(act())
    assert encoded == [1, 2, 3, 4]


def test_streams_beyond_the_limit_are_503_until_one_closes() -> None:
    async def act() -> None:
        async with service() as running:
            limited(running, total=2)
            clients = [Client(Endpoint(Stream()), running.live) for _ in range(2)]
            for client in clients:
                await client.event()
            refused = Client(Endpoint(Stream()), running.live)
            await refused.end()
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert "2 streams" in json.loads(refused.body)["detail"]
            await clients[0].leave()
            assert running.live.streams.taken_places == 1
            late = Client(Endpoint(Stream()), running.live)
            await late.event()
            await late.leave()
            await clients[1].leave()
            assert running.live.streams.taken_places == 0

    asyncio.run(act())


def test_the_number_of_different_views_is_limited() -> None:
    async def act() -> None:
        async with service() as running:
            limited(running, max_views=1)
            client = Client(Endpoint(Stream()), running.live, "top=1")
            await client.event()
            other, same = (
                Client(Endpoint(Stream()), running.live, "top=2"),
                Client(Endpoint(Stream()), running.live, "top=1"),
            )
            await other.end()
            assert other.status == 503
            await same.event()
            await same.leave()
            await client.leave()

    asyncio.run(act())


async def opened(running: Service, count: int, client: str, query: str = "top={}") -> list[Client]:
    """Open streams of one client. If the query has a placeholder, each has another view."""
    clients = [Client(Endpoint(Stream()), running.live, query.format(1 + n), client=client) for n in range(count)]
    for one in clients:
        await one.until(lambda one=one: bool(one.messages))  # type: ignore[misc]
    return clients


async def left(clients: list[Client]) -> None:
    for client in clients:
        if not client.task.done():
            await client.leave()


@pytest.mark.parametrize("query", ["", "top=1", "top={}"])
def test_one_client_cannot_take_all_streams(query: str) -> None:
    async def act() -> None:
        async with service() as running:
            limited(running, total=16)
            greedy = await opened(running, 6, "192.0.2.1", query)
            assert [client.status for client in greedy] == [200] * 4 + [429] * 2
            assert greedy[-1].headers["retry-after"] == "5"
            assert "4 streams are open already by 192.0.2.1" in json.loads(greedy[-1].body)["detail"]
            others = await opened(running, 4, "192.0.2.2", query)
            assert [client.status for client in others] == [200] * 4
            await greedy[0].leave()
            again = await opened(running, 1, "192.0.2.1", query)
            assert again[0].status == 200
            await left([*greedy, *others, *again])
            assert running.live.streams.taken_places == 0

    asyncio.run(act())


def test_one_client_cannot_take_all_views() -> None:
    async def act() -> None:
        async with service() as running:
            limited(running, max_views=12)
            greedy = await opened(running, 5, "192.0.2.1")
            assert [client.status for client in greedy] == [200] * 3 + [429] * 2
            assert "3 different views are open already by" in json.loads(greedy[-1].body)["detail"]
            # Another stream of a view it already has, and a view of another client.
            more = [*await opened(running, 1, "192.0.2.1"), *await opened(running, 1, "192.0.2.2", "top=4")]
            assert [client.status for client in more] == [200, 200]
            await left([*greedy, *more])

    asyncio.run(act())


def test_the_views_of_the_page_are_never_refused() -> None:
    async def act() -> None:
        async with service() as running:
            limited(running, total=8, max_views=3)
            crowd = [one for n in range(9) for one in await opened(running, 2, f"192.0.2.{n}")]
            statuses = [client.status for client in crowd]
            assert statuses.count(200) == 6
            # Even for a client that has used up its share.
            page = [await opened(running, 1, "192.0.2.0", query) for query in PAGE_QUERIES]
            assert [client.status for (client,) in page] == [200, 200]
            await left([*crowd, *(client for (client,) in page)])

    asyncio.run(act())


def test_the_exempt_views_are_those_that_the_page_requests() -> None:
    script = (files("cpuwatch.web") / "static" / "feed" / "worker.js").read_text()
    assert set(re.findall(r"readEvents\((.*?),", script)) == {"STREAM", "`${STREAM}?${PAST_FIELDS}`"}
    (past,) = re.findall(r'PAST_FIELDS = "(.*)";', script)
    assert [past, ""] == PAGE_QUERIES
    assert {view_from(parse_query_string(query.encode(), VIEW)) for query in PAGE_QUERIES} == PAGE_VIEWS


def test_a_client_that_disconnects_while_not_reading_frees_its_place() -> None:
    async def act() -> None:
        async with service() as running:
            client = Client(Endpoint(Stream()), running.live)
            client.reads.clear()
            await running.tick()
            await client.until(lambda: client.blocked)
            await client.leave()
            assert running.live.streams.taken_places == 0

    asyncio.run(act())


def test_comments_keep_an_idle_stream_alive() -> None:
    async def act() -> None:
        async with service() as running:
            client = Client(Endpoint(Stream(keep_alive_seconds=0.001)), running.live)
            await client.event()
            await client.until(lambda: len(client.stream.comments) >= 3)
            await running.tick()
            assert await client.ids(1) == [2]
            await client.leave()

    asyncio.run(act())


def test_at_shutdown_the_current_event_is_completed_and_the_stream_ends() -> None:
    async def act() -> None:
        async with service(processes=2000) as running:
            clients = [Client(Endpoint(Stream()), running.live) for _ in range(3)]
            clients[0].reads.clear()
            for client in clients[1:]:
                await client.event()
            running.live.cache.end()
            clients[0].reads.set()
            for client in clients:
                await client.end()
                assert client.messages[-1] == {"type": "http.response.body", "body": b""}
                assert client.stream.unfinished == b""
            refused = Client(Endpoint(Stream()), running.live)
            await refused.end()
            assert refused.status == 503

    asyncio.run(act())


def test_a_large_event_is_sent_in_chunks() -> None:
    async def act() -> None:
        async with service(processes=2000) as running:
            client = Client(Endpoint(Stream()), running.live)
            event = await client.event()
            assert len(decode(event.data).processes) == 2000
            sizes = [len(message.get("body", b"")) for message in client.messages]
            assert sum(sizes) > 4 * max(sizes)
            assert max(sizes) == 65_536
            await client.leave()

    asyncio.run(act())


@pytest.mark.parametrize(
    ("query", "headers", "status", "detail"),
    [
        ("topp=1", {}, 400, "topp"),
        ("format=json", {}, 400, "format"),
        ("", {"last_event_id": "yesterday"}, 400, "Last-Event-ID"),
        ("", {"accept": "application/json"}, 406, "text/event-stream"),
    ],
)
def test_invalid_requests_are_refused_before_the_stream_starts(
    query: str, headers: dict[str, str], status: int, detail: str
) -> None:
    async def act() -> None:
        async with service() as running:
            client = Client(Endpoint(Stream()), running.live, query, **headers)
            await client.end()
            assert client.status == status
            assert client.headers["content-type"] == "application/problem+json"
            assert detail in json.loads(client.body)["detail"]

    asyncio.run(act())


def test_a_view_that_cannot_be_encoded_ends_only_its_own_streams(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(shown: Snapshot, fields: Sequence[str] | None) -> bytes:
        if fields is not None:
            raise RuntimeError("no such ink")
        return encode_view_event(shown, fields)

    async def act() -> None:
        async with service() as running:
            good = Client(Endpoint(Stream()), running.live)
            bad = Client(Endpoint(Stream()), running.live, "fields=pid")
            assert [await good.ids(1), await bad.ids(1)] == [[1], [1]]
            monkeypatch.setattr("cpuwatch.web.endpoints.stream.encode_view_event", failing)
            for sequence in (2, 3):
                assert await running.tick() == sequence
                assert await good.ids(1) == [sequence]
            # The body stays incomplete, so the client knows that it has to reconnect.
            await bad.end()
            assert bad.messages[-1].get("more_body")
            await left([good])

    asyncio.run(act())
    assert "no such ink" in caplog.text


def test_streams_end_when_the_server_begins_to_stop() -> None:
    async def act() -> None:
        told, stopped = asyncio.Event(), asyncio.Event()
        waiting = asyncio.create_task(raise_shutdown(told.wait))
        await asyncio.sleep(0)
        call_when_server_stops(stopped.set)
        assert not stopped.is_set()
        told.set()
        with pytest.raises(ShutdownError):
            await waiting
        await asyncio.wait_for(stopped.wait(), TIMEOUT)

    asyncio.run(act())
