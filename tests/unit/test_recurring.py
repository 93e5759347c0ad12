"""Requests that come again in the same bytes: the whole app, with ticks that the test gives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import accumulate
from typing import Any

import httpx
import pytest
from asgi_client import Service, service, state_of
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from cpuwatch import decode
from cpuwatch.settings import Settings
from cpuwatch.token import Token
from cpuwatch.web import create_app
from cpuwatch.web.answer import Answer
from cpuwatch.web.recurring import Recurring

TOKEN = "0123456789abcdef"  # noqa: S105  nobody's
ORIGIN = "https://grafana.example"
ANSWER = Answer.of(b"{}", "application/json")


class Asked:
    """The app between a client and its guard, both of which the test sees, in middleware that writes a header."""

    def __init__(self, running: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        app = create_app(settings)
        self.guarded = 0
        guard = app._guard  # type: ignore[attr-defined]

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.guarded += 1
            await guard(scope, receive, send)

        monkeypatch.setattr(app, "_guard", counted)
        state = state_of(running.live, settings)

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            async def written(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).append("x-middleware", "1")
                await send(message)

            await app({**scope, "state": dict(state)}, receive, written)

        self._transport = httpx.ASGITransport(with_state)

    async def __call__(self, target: str = "/cpu_usage", method: str = "GET", **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://localhost") as client:
            return await client.request(method, target, **options)


def with_app(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[Service, Asked], Awaitable[None]], settings: Settings | None = None
) -> None:
    async def run() -> None:
        async with service(processes=40) as running:
            await act(running, Asked(running, settings or Settings(), monkeypatch))

    asyncio.run(run())


def test_what_comes_again_in_a_tick_is_answered_alike_ahead_of_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(_: Service, ask: Asked) -> None:
        first, second = await ask("/cpu_usage?top=3"), await ask("/cpu_usage?top=3")
        assert ask.guarded == 1
        assert (second.status_code, second.content) == (200, first.content)
        assert [name for name, _ in second.headers.raw] == [name for name, _ in first.headers.raw]
        assert second.headers["server-timing"].startswith("age;dur=")
        assert second.headers["etag"] == first.headers["etag"]

    with_app(monkeypatch, act)


def test_what_middleware_writes_into_one_answer_is_not_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(_: Service, ask: Asked) -> None:
        for _again in range(3):
            assert (await ask()).headers.get_list("x-middleware") == ["1"]
        assert ask.guarded == 1

    with_app(monkeypatch, act)


def test_each_tick_has_its_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(running: Service, ask: Asked) -> None:
        seen = []
        for _tick in range(4):
            await running.tick()
            seen += [decode((await ask()).content).sequence, decode((await ask()).content).sequence]
        assert seen == [2, 2, 3, 3, 4, 4, 5, 5]
        assert ask.guarded == 4

    with_app(monkeypatch, act)


@pytest.mark.parametrize(
    ("method", "target", "options", "status"),
    [
        ("HEAD", "/cpu_usage", {}, 200),
        ("POST", "/cpu_usage", {}, 405),
        ("GET", "/cpu_usage/", {}, 404),
        ("GET", "/cpu_usage?top=0", {}, 400),
        ("GET", "/cpu_usage", {"headers": {"host": "evil.test"}}, 421),
        ("GET", "/cpu_usage", {"headers": {"accept": "image/png"}}, 406),
        ("GET", "/cpu_usage", {"headers": {"if-none-match": "*"}}, 304),
        ("GET", "/cpu_usage", {"content": b"x" * 20_000}, 413),
        ("GET", "/cpu_usage", {"content": b"x"}, 200),
    ],
)
def test_any_other_request_goes_the_whole_way_each_time(
    monkeypatch: pytest.MonkeyPatch, method: str, target: str, options: dict[str, Any], status: int
) -> None:
    async def act(_: Service, ask: Asked) -> None:
        await ask()
        for _again in range(2):
            assert (await ask(target, method, **options)).status_code == status
        assert ask.guarded == 3

    with_app(monkeypatch, act)


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        (Settings(token=Token(TOKEN.encode())), {"authorization": f"Bearer {TOKEN}"}),
        (Settings(access_log=True), {}),
        (Settings(cors_origins=frozenset({ORIGIN})), {"origin": ORIGIN}),
    ],
    ids=["token", "access log", "cors"],
)
def test_where_more_counts_than_the_bytes_each_goes_the_whole_way(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, headers: dict[str, str]
) -> None:
    async def act(_: Service, ask: Asked) -> None:
        first, second = await ask(headers=headers), await ask(headers=headers)
        assert first.status_code == second.status_code == 200
        assert second.headers.get("access-control-allow-origin") == first.headers.get("access-control-allow-origin")
        assert ask.guarded == 2

    with_app(monkeypatch, act, settings)


# Pairs that differ in one letter at most, so that two requests are often the same and often nearly so.
headers = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([b"1", b"2"])), max_size=3)
scopes = st.fixed_dictionaries(
    {
        "method": st.just("GET"),
        "path": st.sampled_from(["/cpu_usage", "/cpu_usage2"]),
        "query_string": st.sampled_from([b"", b"top=1"]),
        "headers": headers,
        "http_version": st.just("1.1"),
    }
)


@given(scopes, scopes)
def test_only_a_request_of_the_same_bytes_is_the_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    recurring = Recurring()
    recurring.remember(first, ANSWER)
    assert knows(recurring, second) == (first == second)
    recurring.begin(0)
    assert not knows(recurring, first)


def asking(number: int, query: bytes = b"") -> dict[str, Any]:
    return {"method": "GET", "path": f"/{number}", "query_string": query, "http_version": "1.1", "headers": []}


def knows(recurring: Recurring, scope: dict[str, Any]) -> bool:
    try:
        recurring[scope]
    except KeyError:
        return False
    return True


pauses_seconds = st.lists(st.floats(0, 0.002) | st.floats(0, 1e4), max_size=20)


@given(st.floats(0, 1e9), pauses_seconds.map(accumulate))
def test_it_gives_the_answer_with_the_age_that_it_has_now(taken_seconds: float, ages_seconds: Iterable[float]) -> None:
    recurring = Recurring()
    recurring.begin(taken_seconds)
    recurring.remember(asking(0), ANSWER)
    for age_seconds in ages_seconds:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cpuwatch.web.recurring.monotonic", lambda now=taken_seconds + age_seconds: now)
            known = recurring[asking(0)]
        assert known.body == b"{}"
        *headers, (name, value) = known.answer_headers
        assert (*headers, name) == (*ANSWER.headers, b"server-timing")
        assert int(value.removeprefix(b"age;dur=")) == pytest.approx(age_seconds * 1000, abs=1)


def test_what_a_server_hands_over_as_lists_is_known_too() -> None:
    recurring = Recurring()
    recurring.remember(asking(0) | {"headers": [[b"a", b"1"]]}, ANSWER)
    assert knows(recurring, asking(0) | {"headers": [[b"a", b"1"]]})
    assert not knows(recurring, asking(0) | {"headers": [[b"a", b"2"]]})


def test_only_so_many_are_remembered_the_first_of_a_tick() -> None:
    recurring = Recurring()
    requests = [asking(number, b"top=%d" % query) for query in range(1, 20) for number in range(20)]
    for scope in requests:
        recurring.remember(scope, ANSWER)
    known = [scope for scope in requests if knows(recurring, scope)]
    assert known == [asking(number, b"top=%d" % query) for query in range(1, 9) for number in range(8)]
