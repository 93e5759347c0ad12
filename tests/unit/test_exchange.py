from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.web.http import exchange
from cpuwatch.web.http.exchange import CHUNK_BYTES, SlowClients, attend

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
SCOPE: Scope = {"type": "http", "method": "GET", "http_version": "1.1", "headers": []}


class Wire:
    """A server with one client, which can disconnect or stop reading."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.takes = True
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(self, message: Message) -> None:
        if not self.takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    def disconnect(self) -> None:
        self.inbox.put_nowait({"type": "http.disconnect"})

    async def ask(self, app: ASGIApp, scope: Scope = SCOPE, slow_clients: SlowClients | None = None) -> None:
        async with asyncio.timeout(30):
            await attend(app, scope, self.inbox.get, self.send, slow_clients or SlowClients())


class Held:
    """An app that waits forever and records when it is cancelled."""

    def __init__(self, wait: Callable[[Receive, Send], Awaitable[object]]) -> None:
        self._wait = wait
        self.freed = False

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._wait(receive, send)
            raise AssertionError("nothing was to come")
        finally:
            self.freed = True


async def nothing(_: Receive, __: Send) -> None:
    await asyncio.Event().wait()


async def an_answer(_: Receive, send: Send) -> None:
    await send(START)


@given(st.integers(0, 3), st.sampled_from([-1, 0, 1]), st.booleans())
def test_a_body_is_sent_in_chunks(chunks: int, more: int, more_body: bool) -> None:
    body = bytes(range(251)) * (CHUNK_BYTES * 4 // 251)
    body = body[: max(0, chunks * CHUNK_BYTES + more)]
    wire = Wire()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": body, "more_body": more_body})

    asyncio.run(wire.ask(app))
    assert wire.sent[0] == START
    assert b"".join(message["body"] for message in wire.sent[1:]) == body
    assert max(len(message["body"]) for message in wire.sent[1:]) <= CHUNK_BYTES
    assert len(wire.sent) == 1 + max(1, -(-len(body) // CHUNK_BYTES))
    assert [message["more_body"] for message in wire.sent[1:]] == [True] * (len(wire.sent) - 2) + [more_body]


def test_a_small_body_is_sent_in_one_message() -> None:
    wire, message = Wire(), {"type": "http.response.body", "body": b"x"}

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(message)

    asyncio.run(wire.ask(app))
    assert wire.sent[0] is message


@pytest.mark.parametrize("wait", [nothing, an_answer], ids=["waiting", "sending"])
def test_a_disconnect_cancels_the_request(wait: Callable[[Receive, Send], Awaitable[object]]) -> None:
    async def act() -> None:
        wire, app = Wire(), Held(wait)
        wire.takes = False
        asking = asyncio.create_task(wire.ask(app))
        await asyncio.sleep(0)
        wire.disconnect()
        await asking
        assert app.freed
        assert wire.sent == []

    asyncio.run(act())


@pytest.mark.parametrize("error", [ConnectionResetError, BrokenPipeError, OSError])
def test_an_os_error_from_the_server_counts_as_a_disconnect(error: type[OSError]) -> None:
    async def send(_: Message) -> None:
        raise error

    app = Held(an_answer)
    asyncio.run(attend(app, SCOPE, Wire().inbox.get, send, SlowClients()))
    assert app.freed


def test_a_stalled_client_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "STALL_SECONDS", 0.001)
    wire, app = Wire(), Held(an_answer)
    wire.takes = False
    asyncio.run(wire.ask(app))
    assert app.freed


def test_with_too_many_slow_clients_the_first_is_dropped_at_once() -> None:
    async def act() -> None:
        slow_clients = SlowClients(3)
        apps = [Held(an_answer) for _ in range(6)]
        asking = []
        for app in apps:
            wire = Wire()
            wire.takes = False
            asking.append(asyncio.create_task(wire.ask(app, slow_clients=slow_clients)))
        await asyncio.wait(asking[:3])
        assert [app.freed for app in apps] == [True] * 3 + [False] * 3
        for task in asking[3:]:
            task.cancel()
        await asyncio.wait(asking)

    asyncio.run(act())


def test_an_app_that_sends_nothing_for_long_is_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "STALL_SECONDS", 0.001)
    monkeypatch.setattr(exchange, "_CHECK_SECONDS", 0.001)
    wire = Wire()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b""})

    asyncio.run(wire.ask(app))
    assert len(wire.sent) == 2


def test_the_request_body_is_left_to_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_FIRST_CHECK_SECONDS", 0)
    wire = Wire()
    wire.inbox = asyncio.Queue()

    async def act() -> None:
        got: asyncio.Queue[Message] = asyncio.Queue()

        async def app(_: Scope, receive: Receive, __: Send) -> None:
            while True:
                got.put_nowait(await receive())

        asking = asyncio.create_task(wire.ask(app, {**SCOPE, "headers": [(b"content-length", b"2")]}))
        for more in (True, False):
            # Time for a check whether the client has disconnected.
            await asyncio.sleep(0.01)
            wire.inbox.put_nowait({"type": "http.request", "body": b"x", "more_body": more})
            assert (await asyncio.wait_for(got.get(), 30))["body"] == b"x"
        wire.disconnect()
        await asking

    asyncio.run(act())


def test_exceptions_of_the_app_propagate_and_no_task_is_left() -> None:
    async def app(*_: Any) -> None:
        raise TimeoutError("its own")

    async def act() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError, match="its own"):
            await attend(app, SCOPE, Wire().inbox.get, Wire().send, SlowClients())
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == before

    asyncio.run(act())
