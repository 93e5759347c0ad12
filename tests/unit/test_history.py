from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
import zstandard
from asgi_client import Client, Service, service
from readings import BOOT

from cpuwatch import decode
from cpuwatch.encoding.rounded import rounded
from cpuwatch.query.parameters import HISTORY
from cpuwatch.web.endpoints import history as history_module
from cpuwatch.web.endpoints.history import History

PATH = "/cpu_usage/history"
TICK_4 = (BOOT + timedelta(seconds=104)).isoformat().replace("+00:00", "Z")
TICK_5 = (BOOT + timedelta(seconds=105)).isoformat().replace("+00:00", "Z")


async def ask(running: Service, query: str, history: History | None = None, **headers: str) -> Client:
    client = Client(history or History(), running.live, query, path=PATH, **headers)
    await client.end()
    return client


async def page(running: Service, query: str) -> dict[str, Any]:
    client = await ask(running, query)
    assert client.status == 200, client.body
    assert int(client.headers["content-length"]) == len(client.body)
    body: dict[str, Any] = json.loads(client.body)
    return body


def sequences(body: dict[str, Any]) -> list[int]:
    return [shown["sequence"] for shown in body["snapshots"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("since=0", [1, 2, 3, 4, 5, 6]),
        ("since=4", [5, 6]),
        ("since=6", []),
        ("since=RUN0000000000", [1, 2, 3, 4, 5, 6]),
        ("since=RUN0000000004", [5, 6]),
        ("since=RUN0000000006", []),
        # An id of another run: everything in the history.
        ("since=RUN0000000999", [1, 2, 3, 4, 5, 6]),
        ("since=1234567890000000004", [1, 2, 3, 4, 5, 6]),
        ("since=999", [1, 2, 3, 4, 5, 6]),
        ("seconds=3", [4, 5, 6]),
        ("seconds=0.5", [6]),
        ("seconds=0", []),
        ("seconds=1e9", [1, 2, 3, 4, 5, 6]),
        (f"since={(BOOT + timedelta(seconds=104)).isoformat().replace('+00:00', 'Z')}", [5, 6]),
        (f"since={(BOOT + timedelta(seconds=104)).isoformat().replace('+', '%2B')}", [5, 6]),
        ("since=0001-01-01T00:00:00%2B23:59", [1, 2, 3, 4, 5, 6]),
        ("since=9999-12-31T23:59:59-23:59", []),
        (f"from={TICK_4}", [5, 6]),
        (f"from={TICK_4}&to={TICK_5}", [5]),
        (f"from=0001-01-01T00:00:00Z&to={TICK_5}", [1, 2, 3, 4, 5]),
        (f"since=2&to={TICK_5}", [3, 4, 5]),
        (f"seconds=4&to={TICK_5}", [3, 4, 5]),
        (f"from={TICK_5}&to={TICK_4}", []),
    ],
)
def test_history_is_selected_by_length_tick_or_time(query: str, expected: list[int]) -> None:
    async def act() -> None:
        async with service(ticks=6) as running:
            body = await page(running, query.replace("RUN", running.run))
            assert sequences(body) == expected
            assert body["run"] == running.run
            assert (body["oldest_sequence"], body["newest_sequence"], body["next_since"]) == (1, 6, None)

    asyncio.run(act())


def test_history_contains_the_snapshots_and_its_oldest_tick() -> None:
    async def act() -> None:
        async with service(ticks=8, history=3) as running:
            body = await page(running, "since=0")
            assert [decode(json.dumps(shown)) for shown in body["snapshots"]] == [
                rounded(kept) for kept in running.live.source.history
            ]
            assert (body["oldest_sequence"], body["newest_sequence"]) == (6, 8)

    asyncio.run(act())


def test_history_can_have_a_view() -> None:
    async def act() -> None:
        async with service(ticks=2) as running:
            some = await page(running, "since=0&top=1&fields=pid")
            assert [shown["processes"] for shown in some["snapshots"]] == [[{"pid": 10}]] * 2
            sums = await page(running, "since=0&group_by=user")
            assert [shown["groups"][0]["group"] for shown in sums["snapshots"]] == ["nobody"] * 2

    asyncio.run(act())


def test_a_history_too_large_for_one_body_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        async with service(ticks=7) as running:
            whole = await ask(running, "since=0")
            monkeypatch.setattr(history_module, "_MAX_BYTES", len(whole.body) // 3)
            found: list[int] = []
            since: str | None = "0"
            while since is not None:
                body = await page(running, f"since={since}")
                assert 0 < len(body["snapshots"]) < 4
                found += sequences(body)
                since = body["next_since"]
            assert found == [1, 2, 3, 4, 5, 6, 7]
            monkeypatch.setattr(history_module, "_MAX_BYTES", 1)
            assert sequences(await page(running, "since=3")) == [4]

    asyncio.run(act())


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "one of seconds, since and from"),
        ("top=1", "one of seconds, since and from"),
        (f"to={TICK_4}", "one of seconds, since and from"),
        (f"seconds=1&from={TICK_4}", "one of seconds, since and from"),
        ("from=yesterday", "invalid from 'yesterday': must be a time"),
        ("from=1", "invalid from '1': must be a time"),
        ("from=2026-01-01T00:00:00", "the offset from UTC is missing"),
        ("seconds=1&since=2", "one of seconds, since and from"),
        ("seconds=-1", "seconds"),
        ("seconds=nan", "seconds"),
        ("since=yesterday", "2026-01-31T12:00:00Z"),
        ("since=2026-01-31T12:00:00", "offset from UTC"),
        ("since=2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00Z"),
        ("since=99999999999999999999", "since"),
        ("since=1&format=json", "format"),
        ("since=1&sort=color", "sort"),
    ],
)
def test_an_invalid_query_is_400_with_what_is_allowed(query: str, detail: str) -> None:
    async def act() -> None:
        async with service() as running:
            client = await ask(running, query)
            assert client.status == 400
            assert detail in json.loads(client.body)["detail"]

    asyncio.run(act())


def test_the_newest_etag_is_304_until_the_next_tick() -> None:
    async def act() -> None:
        async with service(ticks=2) as running:
            first = await ask(running, "since=0")
            tag = first.headers["etag"]
            again = await ask(running, "since=0", if_none_match=tag)
            assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
            other = await ask(running, "since=1", if_none_match=tag)
            assert other.status == 200
            await running.tick()
            later = await ask(running, "since=0", if_none_match=tag)
            assert (later.status, later.headers["etag"] != tag) == (200, True)

    asyncio.run(act())


def test_history_is_compressed_for_clients_that_accept_it() -> None:
    async def act() -> None:
        async with service(ticks=5) as running:
            plain = await ask(running, "since=0")
            coded = await ask(running, "since=0", accept_encoding="zstd")
            assert coded.headers["content-encoding"] == "zstd"
            assert coded.headers["vary"] == "accept-encoding"
            assert zstandard.decompress(coded.body) == plain.body
            assert coded.headers["etag"] != plain.headers["etag"]

    asyncio.run(act())


def test_requests_beyond_the_limit_are_503_with_retry_after() -> None:
    async def act() -> None:
        async with service() as running:
            history = History()
            slow = [Client(history, running.live, "since=0", path=PATH) for _ in range(16)]
            for client in slow:
                client.reads.clear()
            for client in slow:
                await client.until(lambda client=client: client.blocked)  # type: ignore[misc]
            refused = await ask(running, "since=0", history)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            for client in slow:
                client.reads.set()
                await client.end()
                assert client.status == 200
            assert (await ask(running, "since=0", history)).status == 200

    asyncio.run(act())


def test_before_the_first_snapshot_history_is_503() -> None:
    async def act() -> None:
        async with service(ticks=0) as running:
            assert (await ask(running, "since=0")).status == 503

    asyncio.run(act())


def test_the_parameters_are_those_of_a_view_and_two_more() -> None:
    assert HISTORY.keys() == history_module.HISTORY_PARAMETERS.keys() - {
        "top",
        "sort",
        "order",
        "name",
        "pid",
        "user",
        "state",
        "min_percent",
        "kernel_threads",
        "fields",
        "group_by",
    }
