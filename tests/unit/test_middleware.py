from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch import Monitor, ScriptedSampler
from cpuwatch.settings import Settings
from cpuwatch.token_file import Token, parse_token
from cpuwatch.web import create_app
from cpuwatch.web.access.hosts import AllowedHosts
from cpuwatch.web.access.token import TokenCheck
from cpuwatch.web.app import MIDDLEWARE
from cpuwatch.web.http import body_limit
from cpuwatch.web.http.response import Answer, Endpoint
from cpuwatch.web.state import Live, State, settings_of

TOKEN = "0123456789abcdef"  # noqa: S105  a token for this test only
CLOSED = Settings(token=Token(TOKEN.encode()))
ORIGIN = "https://grafana.example"
CORS = Settings(cors_origins=frozenset({ORIGIN}))
MAX_BODY_BYTES = 16_384


class App:
    """Starlette treats an object as an ASGI endpoint, but a function as one that takes a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    await Answer.of(b"inside", "text/plain", headers=[("vary", "accept")])(scope, receive, send)


def protected(app: ASGIApp, settings: Settings | None = None) -> ASGIApp:
    """Return the app behind the middleware, at all paths. One path needs no token."""
    around = Starlette(routes=[Route("/open", App(app))], middleware=MIDDLEWARE)
    around.router.redirect_slashes = False
    around.router.default = TokenCheck(app, settings_of)
    state: State = {"cpuwatch": Live(Monitor(sampler=ScriptedSampler([])), settings)}

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await around({**scope, "state": dict(state)}, receive, send)

    return with_state


async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def ask(
    settings: Settings | None = None,
    target: str = "/cpu_usage",
    method: str = "GET",
    *,
    app: ASGIApp = inner,
    content: bytes | AsyncIterator[bytes] | None = None,
    **headers: str,
) -> httpx.Response:
    """Send a request through the middleware. Header names have underscores instead of hyphens."""
    transport = httpx.ASGITransport(protected(app, settings))
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, target, headers=fields, content=content)

    return asyncio.run(send())


def detail(response: httpx.Response, status: int) -> str:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    text = response.json()["detail"]
    assert isinstance(text, str)
    return text


# Host


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8845", "localhost.", "127.0.0.1", "192.0.2.7:1", "[::1]:8845"]
)
def test_addresses_and_localhost_pass(host: str) -> None:
    assert ask(host=host).text == "inside"


def test_the_names_of_the_machine_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Watch1")
    monkeypatch.setattr(socket, "getfqdn", lambda: "watch1.example.org")
    hosts = AllowedHosts()
    assert [hosts.is_allowed(name) for name in (b"watch1", b"watch1.local:80", b"watch1.evil.test")] == [1, 1, 0]
    hosts._add_full_name()
    assert hosts.is_allowed(b"watch1.example.org:8845")


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:8845", "localhost.evil.test", "127.0.0.1.evil.test", "", "a b", "x@localhost"]
)
def test_any_other_host_is_421(host: str) -> None:
    text = detail(ask(host=host), 421)
    assert repr(host) in text
    assert "CPUWATCH_ALLOWED_HOSTS" in text


def test_configured_hosts_pass_and_a_star_allows_all() -> None:
    assert ask(Settings(allowed_hosts=frozenset({"watch.example"})), host="watch.example:80").text == "inside"
    assert ask(Settings(allowed_hosts=frozenset({"watch.example"})), host="other.example").status_code == 421
    assert ask(Settings(allowed_hosts=frozenset({"*"})), host="other.example").text == "inside"


@given(st.binary(max_size=40).filter(lambda raw: b"," not in raw), st.booleans())
def test_any_host_is_allowed_or_refused_and_always_the_same(host: bytes, often: bool) -> None:
    hosts = AllowedHosts()
    first = hosts.is_allowed(host)
    for number in range(300 if often else 1):
        assert hosts.is_allowed(b"10.0.%d.%d" % divmod(number, 256))
    assert hosts.is_allowed(host) == first
    assert len(hosts._accepted) <= 256


# Token


@pytest.mark.parametrize("shown", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}"])
def test_a_request_with_the_token_is_accepted(shown: str) -> None:
    assert ask(CLOSED, authorization=shown).text == "inside"


@pytest.mark.parametrize(
    "shown",
    ["Bearer", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN.upper()}"],
)
def test_a_wrong_token_is_401_and_called_wrong(shown: str) -> None:
    response = ask(CLOSED, authorization=shown)
    text = detail(response, 401)
    assert response.headers["www-authenticate"] == 'Bearer realm="cpuwatch", error="invalid_token"'
    assert TOKEN not in text + str(response.headers)


@pytest.mark.parametrize("target", ["/cpu_usage", "/open/", "/open/../cpu_usage", "/no"])
def test_every_path_without_a_token_is_401(target: str) -> None:
    response = ask(CLOSED, target)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="cpuwatch"'


def test_an_open_endpoint_needs_no_token() -> None:
    assert ask(CLOSED, "/open").text == "inside"


@given(st.binary())
def test_no_other_bytes_are_accepted_as_the_token(shown: bytes) -> None:
    token = parse_token(TOKEN)
    assert token.matches(b"Bearer " + shown) == (shown.strip(b" ") == TOKEN.encode())
    assert not token.matches(shown)


# Headers


@pytest.mark.parametrize(
    ("answered", "status"),
    [
        (lambda: ask(), 200),  # noqa: PLW0108  ask() has defaults
        (lambda: ask(app=failing), 500),
        (lambda: ask(host="evil.test"), 421),
        (lambda: ask(CLOSED), 401),
        (lambda: ask(target="/" + "a" * 9000), 414),
        (lambda: ask(content=b"a" * (MAX_BODY_BYTES + 1)), 413),
        (lambda: ask(CORS, method="OPTIONS", origin=ORIGIN, access_control_request_method="GET"), 200),
    ],
)
def test_every_response_has_security_headers(answered: Callable[[], httpx.Response], status: int) -> None:
    response = answered()
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-frame-options"] == "DENY"
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"


@pytest.mark.parametrize("target", ["/cpu_usage", "/no", "/cpu_usage/", "/livez"])
def test_security_headers_are_sent_once(target: str) -> None:
    names = [name for name, _ in ask(target=target).headers.multi_items()]
    assert names.count("content-security-policy") == 1


def test_added_middleware_sees_every_request() -> None:
    class Marked:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def marking(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], (b"x-marked", b"yes")]}
                await send(message)

            await self._app(scope, receive, marking)

    app = create_app(Settings())
    app.add_middleware(Marked)
    state: State = {"cpuwatch": Live(Monitor(sampler=ScriptedSampler([])))}

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    async def get(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://localhost") as client:
            return await client.get(path)

    for path, status in (("/livez", 200), ("/no", 404)):
        response = asyncio.run(get(path))
        assert response.status_code == status
        assert response.headers["x-marked"] == "yes"


# CORS


def test_without_configured_origins_no_other_page_can_read_responses() -> None:
    response = ask(origin=ORIGIN)
    assert not [name for name in response.headers if name.startswith("access-control")]
    preflight = ask(method="OPTIONS", origin=ORIGIN, access_control_request_method="GET")
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_only_a_configured_origin_can_read_responses() -> None:
    allowed, other = ask(CORS, origin=ORIGIN), ask(CORS, origin="https://evil.test")
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "etag" in allowed.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers
    for response in (allowed, other, ask(CORS)):
        assert response.headers.get_list("vary", split_commas=True) == ["accept", "Origin"]
        assert "access-control-allow-credentials" not in response.headers


def test_a_configured_origin_can_read_error_responses() -> None:
    closed = Settings(token=CLOSED.token, cors_origins=CORS.cors_origins)
    response = ask(closed, origin=ORIGIN)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == ORIGIN


def test_a_preflight_request_needs_no_token() -> None:
    closed = Settings(token=CLOSED.token, cors_origins=CORS.cors_origins)

    def preflight(origin: str) -> httpx.Response:
        return ask(
            closed,
            method="OPTIONS",
            origin=origin,
            access_control_request_method="GET",
            access_control_request_headers="authorization",
        )

    response = preflight(ORIGIN)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "authorization" in response.headers["access-control-allow-headers"]
    refused = preflight("https://evil.test")
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


# Size


def test_a_url_is_accepted_up_to_the_limit() -> None:
    assert ask(target="/?" + "a" * (8192 - 2)).text == "inside"
    assert "8192" in detail(ask(target="/?" + "a" * (8192 - 1)), 414)
    assert "8192" in detail(ask(target="/" + "a" * 8192), 414)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_small_body_is_drained(method: str) -> None:
    assert ask(method=method, content=b"a" * MAX_BODY_BYTES).text == "inside"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_larger_body_is_413_and_closes_the_connection(method: str) -> None:
    response = ask(method=method, content=b"a" * (MAX_BODY_BYTES + 1))
    assert "16384" in detail(response, 413)
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(("parts", "status"), [(16, 200), (17, 413)])
def test_a_body_without_content_length_is_counted(parts: int, status: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield b"a" * 1000

    assert ask(method="POST", content=body()).status_code == status


def test_a_body_that_does_not_arrive_is_not_awaited_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "_MAX_SECONDS", 0.01)
    monkeypatch.setattr(body_limit, "_MAX_SECONDS_AFTER_REFUSAL", 0.01)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing comes")

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"content-length", b"9")]}
    asyncio.run(served(protected(inner), scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]


@pytest.mark.parametrize("flood", [2, 50, 5000])
def test_a_refused_body_is_drained_until_the_server_disconnects(flood: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "_MAX_SECONDS_AFTER_REFUSAL", 0.01)

    # Like Hypercorn: a bounded queue with a disconnect message in it, for which the end of the response waits.
    async def run() -> list[Message]:
        queue: asyncio.Queue[Message] = asyncio.Queue(10)
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await queue.put({"type": "http.disconnect"})

        async def client() -> None:
            for _ in range(flood):
                await queue.put({"type": "http.request", "body": b"a" * 20_000, "more_body": True})

        headers = [(b"transfer-encoding", b"chunked")]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
        async with asyncio.timeout(20):
            flooding = asyncio.create_task(client())
            await protected(inner)(scope, queue.get, send)
            flooding.cancel()
        return sent

    assert asyncio.run(run())[0]["status"] == 413


# Crashes


async def defective(_: Scope) -> Answer:
    raise RuntimeError("a defect")


failing: ASGIApp = Endpoint(defective)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_crash_response_has_the_id_of_the_log_line(method: str, caplog: pytest.LogCaptureFixture) -> None:
    response = ask(app=failing, target="/x%0Ay?z=1", method=method)
    assert response.status_code == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "/x%0Ay?z=1" in record.getMessage()
    if method == "GET":
        number = response.json()["id"]
        assert len(number) == 16
        assert number in record.getMessage()
        assert record.__dict__["fields"] == {"id": number}
        assert "defect" not in response.text
    else:
        assert response.content == b""


def test_a_crash_after_the_start_of_a_response_sends_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[str] = []

    async def half(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a defect")

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    asyncio.run(served(protected(half), scope, receive, send))
    assert sent == ["http.response.start"]
    assert len(caplog.records) == 1


# Access log


def test_requests_are_logged_only_if_the_access_log_is_enabled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "httpx")
    caplog.set_level(logging.INFO, "cpuwatch")
    ask(target="/cpu_usage?top=1")
    assert not caplog.records
    wanted = Settings(token=CLOSED.token, access_log=True)
    ask(wanted, "/cpu_usage?top=1", authorization=f"Bearer {TOKEN}")
    ask(wanted, "/%0A", host="evil.test")
    first, second = (record.__dict__["fields"] for record in caplog.records)
    assert (first["method"], first["target"], first["status"], first["bytes"]) == ("GET", "/cpu_usage?top=1", 200, 6)
    assert (second["target"], second["status"]) == ("/%0A", 421)
    assert first["client"] == "127.0.0.1"
    assert first["seconds"] >= 0
    assert TOKEN not in json.dumps([first, second])
