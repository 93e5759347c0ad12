"""The cached responses of a tick, with ticks that the test publishes."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
import zstandard
from asgi_client import TIMEOUT, Client, Service, service
from msgspec.structs import replace

from cpuwatch import GroupedSnapshot, Query, Snapshot, View, apply_view, decode, encode_lines, encode_view, table
from cpuwatch.encoding.formats import FORMATS
from cpuwatch.web.endpoints.cpu_usage import ViewResponse
from cpuwatch.web.endpoints.stream import Stream
from cpuwatch.web.http.response import Answer, Endpoint

ALL = ViewResponse(View(), "json", "identity")
BUSIEST = View(Query(top=1))


def with_service(act: Callable[[Service], Awaitable[None]], *, ticks: int = 1, processes: int = 40) -> None:
    async def run() -> None:
        async with service(ticks=ticks, processes=processes) as running:
            await act(running)

    asyncio.run(run())


async def made(running: Service, representation: ViewResponse) -> Answer:
    answer = await running.live.cache.get(representation)
    assert answer is not None
    return answer


def field(answer: Answer, name: bytes) -> bytes | None:
    return dict(answer.headers).get(name)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Count how often each snapshot was encoded as JSON, by sequence."""
    counts: Counter[int] = Counter()

    def counting(shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None) -> bytes:
        counts[shown.sequence] += 1
        return encode_view(shown, fields)

    monkeypatch.setitem(FORMATS, "json", replace(FORMATS["json"], encode=counting))
    return counts


def test_each_representation_is_made_once_a_tick(encoded: Counter[int]) -> None:
    async def act(running: Service) -> None:
        for _ in range(3):
            for _ in range(5):
                await made(running, ALL)
                await made(running, ViewResponse(BUSIEST, "json", "identity"))
            await running.tick()

    with_service(act)
    # Those of the last tick were made in advance, because they were requested in the tick before.
    assert encoded == {1: 2, 2: 2, 3: 2, 4: 2}


def test_representations_that_were_not_requested_are_not_made(encoded: Counter[int]) -> None:
    async def act(running: Service) -> None:
        await made(running, ALL)
        await running.tick(5)

    with_service(act)
    assert encoded == {1: 1, 2: 1}


def test_a_representation_requested_in_the_last_tick_is_ready(encoded: Counter[int]) -> None:
    async def act(running: Service) -> None:
        await made(running, ALL)
        await running.tick()
        assert encoded[2] == 1
        assert decode((await made(running, ALL)).body).sequence == 2
        assert encoded[2] == 1

    with_service(act)


@pytest.mark.parametrize("name", FORMATS)
def test_the_body_is_the_view_in_the_format(name: str) -> None:
    view = View(Query(top=3), fields=("pid", "name"))

    async def act(running: Service) -> None:
        assert running.live.cache.snapshot is not None
        shown = apply_view(running.live.cache.snapshot, view)
        answer = await made(running, ViewResponse(view, name, "identity"))
        bodies = {
            "json": encode_view(shown, view.fields),
            "ndjson": encode_lines(shown, view.fields),
            "text": table(shown, view.fields).encode(),
        }
        assert answer.body == bodies[name]
        assert field(answer, b"content-type") == FORMATS[name].content_type.encode()

    with_service(act)


@pytest.mark.parametrize("name", FORMATS)
def test_other_decoders_read_the_compressed_body(name: str) -> None:
    async def act(running: Service) -> None:
        plain = await made(running, ViewResponse(View(), name, "identity"))
        zipped = await made(running, ViewResponse(View(), name, "gzip"))
        standard = await made(running, ViewResponse(View(), name, "zstd"))
        assert gzip.decompress(zipped.body) == plain.body
        assert zstandard.ZstdDecompressor().decompress(standard.body) == plain.body
        assert max(len(zipped.body), len(standard.body)) < len(plain.body)
        assert field(zipped, b"content-encoding") == b"gzip"
        assert field(standard, b"content-encoding") == b"zstd"
        assert field(plain, b"content-encoding") is None
        for answer in (plain, zipped, standard):
            assert field(answer, b"content-length") == b"%d" % len(answer.body)
            assert field(answer, b"vary") == b"accept, accept-encoding"

    with_service(act)


def test_a_small_body_is_not_compressed() -> None:
    async def act(running: Service) -> None:
        answer = await made(running, ViewResponse(View(Query(top=1), fields=("pid",)), "text", "gzip"))
        assert len(answer.body) < 1024
        assert answer.body.decode().splitlines()[-1].strip() == "10"
        assert field(answer, b"content-encoding") is None

    with_service(act, processes=1)


def test_the_etag_depends_on_view_format_coding_and_tick_only() -> None:
    aspects = [
        ALL,
        ViewResponse(BUSIEST, "json", "identity"),
        ViewResponse(View(Query(top=2)), "json", "identity"),
        ViewResponse(View(fields=("pid",)), "json", "identity"),
        ViewResponse(View(group_by="name"), "json", "identity"),
        ViewResponse(View(), "ndjson", "identity"),
        ViewResponse(View(), "text", "identity"),
        ViewResponse(View(), "json", "gzip"),
        ViewResponse(View(), "json", "zstd"),
    ]

    async def act(running: Service) -> None:
        tags: list[bytes | None] = []
        for _ in range(3):
            tags += [(await made(running, representation)).etag for representation in aspects]
            assert [(await made(running, representation)).etag for representation in aspects] == tags[-len(aspects) :]
            await running.tick()
        assert None not in tags
        assert len(set(tags)) == 3 * len(aspects)
        # Another run starts from 1 again.
        async with service(processes=40) as other:
            assert (await made(other, ALL)).etag not in tags

    with_service(act)


def test_the_cache_is_limited_and_fewer_views_are_made_in_advance(encoded: Counter[int]) -> None:
    async def act(running: Service) -> None:
        flood = [ViewResponse(View(Query(top=number)), "json", "identity") for number in range(1, 500)]
        for representation in flood:
            shown = json.loads((await made(running, representation)).body)["processes"]
            assert len(shown) == min(representation.view.query.top or 0, 40)
        cache = running.live.cache
        assert cache._published is not None
        assert len(cache._published.made) == 64
        assert len(cache._wanted) == 16
        await running.tick()
        assert encoded[2] == 16

    with_service(act)


def test_a_failure_in_advance_is_logged_and_the_tick_is_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(shown: object, fields: object) -> bytes:
        del shown, fields
        raise RuntimeError("out of ink")

    async def act(running: Service) -> None:
        await made(running, ALL)
        monkeypatch.setitem(FORMATS, "json", replace(FORMATS["json"], encode=failing))
        assert await running.tick() == 2
        with pytest.raises(RuntimeError, match="out of ink"):
            await made(running, ALL)
        assert (await made(running, ViewResponse(View(), "text", "identity"))).status == 200

    with caplog.at_level(logging.ERROR):
        with_service(act)
    assert "tick 2: ViewResponse(" in caplog.text


class Gate:
    """A JSON encoder that waits until the test opens it, and counts its calls."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.calls: list[int] = []
        self.threads: set[int] = set()

    def encode(self, shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None) -> bytes:
        self.threads.add(threading.get_ident())
        self.calls.append(shown.sequence)
        self.reached.set()
        assert self.opened.wait(TIMEOUT), "the event loop waits for the encoder"
        return encode_view(shown, fields)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setitem(FORMATS, "json", replace(FORMATS["json"], encode=made.encode))
    return made


def test_first_responses_are_made_in_a_few_threads_off_the_event_loop(gate: Gate) -> None:
    async def act(running: Service) -> None:
        views = [ViewResponse(View(Query(top=number)), "json", "identity") for number in range(1, 30)]
        asking = [asyncio.create_task(made(running, view)) for view in views]
        # Answered although all others wait.
        text = await made(running, ViewResponse(View(), "text", "identity"))
        assert text.status == 200
        assert len(gate.calls) <= 2
        gate.opened.set()
        for answer in await asyncio.gather(*asking):
            assert answer.status == 200
        assert threading.get_ident() not in gate.threads

    with_service(act)


def test_a_first_response_is_made_once_for_all_waiting_clients(gate: Gate) -> None:
    async def act(running: Service) -> None:
        first, second, third = (asyncio.create_task(made(running, ALL)) for _ in range(3))
        assert await asyncio.to_thread(gate.reached.wait, TIMEOUT)
        # It is not started again if the client of the first request disconnects.
        first.cancel()
        gate.opened.set()
        assert await second is await third
        assert gate.calls == [1]

    with_service(act)


class Late:
    """A representation that is made when the test allows it. Its value is the sequence of its snapshot."""

    is_made_ahead = False

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def make(self, snapshot: Snapshot) -> int:
        self.reached.set()
        assert self.opened.wait(TIMEOUT)
        return snapshot.sequence


def test_a_late_response_is_not_served_in_the_next_tick() -> None:
    async def act(running: Service) -> None:
        cache, late = running.live.cache, Late()
        asking = asyncio.create_task(cache.get(late))
        assert await asyncio.to_thread(late.reached.wait, TIMEOUT)
        before = cache.newest_sequence
        await running.tick()
        late.opened.set()
        assert await asking == before
        assert await cache.get(late) == before + 1

    with_service(act)


def test_a_tick_is_served_although_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    async def act(running: Service) -> None:
        await made(running, ALL)
        monkeypatch.setattr(ThreadPoolExecutor, "submit", refusing)
        for sequence in (2, 3):
            assert await running.tick() == sequence
            assert decode((await made(running, ALL)).body).sequence == sequence
        assert (await made(running, ViewResponse(BUSIEST, "text", "identity"))).status == 200
        assert running.live.supervisor.restarts == 0

    with_service(act)


def test_all_threads_exist_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    async def act(running: Service) -> None:
        monkeypatch.setattr(threading.Thread, "start", refusing)
        stream = Client(Endpoint(Stream()), running.live)
        for sequence in (1, 2, 3):
            assert await stream.ids(1) == [sequence]
            await asyncio.gather(
                *(made(running, ViewResponse(View(Query(top=n)), "json", "gzip")) for n in range(1, 9))
            )
            await running.tick()
        await stream.leave()

    with_service(act)
