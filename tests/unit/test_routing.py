from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import pytest
from asgi_client import service, state_of
from hypothesis import assume, example, given
from hypothesis import strategies as st
from starlette.types import Message

from cpuwatch.settings import Settings
from cpuwatch.token_file import Token
from cpuwatch.web import create_app
from cpuwatch.web.http.request import normalized_prefix

TOKEN = "0123456789abcdef"  # noqa: S105  a token for this test only
CLOSED = Settings(token=Token(TOKEN.encode()))
REFUSALS = {401, 404, 405, 414, 421}
SHOWN_TO_ALL = {b"text/html; charset=utf-8", b"text/javascript; charset=utf-8"}
APP = create_app(CLOSED)


def requested(target: str, root_path: str, method: str = "GET", token: str | None = None) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        # Like Hypercorn.
        "path": unquote(path),
        "raw_path": path.encode("ascii", "replace"),
        "root_path": root_path,
        "query_string": query.encode("ascii", "replace"),
        "headers": [(b"host", b"localhost"), *([(b"authorization", f"Bearer {token}".encode())] if token else [])],
    }


def answers(*scopes: dict[str, Any]) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    async def one(scope: dict[str, Any], state: Any) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await APP({**scope, "state": dict(state)}, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], dict(sent[0]["headers"]), body

    async def act() -> list[tuple[int, dict[bytes, bytes], bytes]]:
        async with service() as running:
            state = state_of(running.live, CLOSED)
            return [await one(scope, state) for scope in scopes]

    return asyncio.run(act())


def statuses(*scopes: dict[str, Any]) -> list[int]:
    return [status for status, _, _ in answers(*scopes)]


prefixes = st.sampled_from(
    [
        "",
        "/",
        "/static",
        "/static/",
        "/static/cpu",
        "/livez",
        "/livez/",
        "/readyz/x",
        "/cpu",
        "/cpu/",
        "cpu",
        "/cpu_usage",
    ]
) | st.from_regex(r"(/[a-z]{0,3}){0,3}/?", fullmatch=True)
PATHS = (
    "/cpu_usage /cpu_usage/1 /cpu%20usage /cpu_usage/stream /cpu_usage/history /metrics /openapi.json /livez /readyz"
)
TRICKS = "/ // /. /.. /%2e%2e %2f %2F ; ? /static /static/app.js /cpu"
paths = st.sampled_from(PATHS.split()) | st.lists(st.sampled_from([*PATHS.split(), *TRICKS.split()])).map("".join)


@example("/static", True, "/cpu_usage", "GET")
@example("/static/cpu", True, "/metrics", "HEAD")
@given(prefixes, st.booleans(), paths, st.sampled_from(["GET", "HEAD", "POST"]))
def test_without_the_token_only_open_endpoints_answer(prefix: str, in_place: bool, target: str, method: str) -> None:
    target = (normalized_prefix(prefix) if in_place else "") + target
    assume(target.startswith("/"))  # anything else is 400 before routing (test_request_target.py)
    (status, _, _), (as_get, headers, body) = answers(requested(target, prefix, method), requested(target, prefix))
    if status not in REFUSALS:
        assert as_get == status
        assert (
            headers[b"content-type"] in SHOWN_TO_ALL or body == b'{"status":"alive"}' or b"newest snapshot is" in body
        )
        assert b"boot_id" not in body


@pytest.mark.parametrize("prefix", ["/static", "/static/cpu", "/livez", "/", "/cpu/", "cpu"])
@pytest.mark.parametrize("path", ["/cpu_usage", "/metrics", "/cpu_usage/history?seconds=1", "/openapi.json"])
def test_data_need_the_token_under_any_prefix(prefix: str, path: str) -> None:
    target = normalized_prefix(prefix) + path
    shown = [requested(path_seen, prefix, token=TOKEN) for path_seen in (target, path)]
    assert statuses(requested(target, prefix), *shown) == [401, 200, 200]


@pytest.mark.parametrize("prefix", ["", "/", "/static", "/static/", "/livez", "/cpu", "/cpu/", "/cpu_usage"])
@pytest.mark.parametrize("taken_off", [False, True])
def test_open_endpoints_answer_whether_or_not_a_proxy_strips_the_prefix(prefix: str, taken_off: bool) -> None:
    before = "" if taken_off else normalized_prefix(prefix)
    paths = ("/livez", "/static/app.js", "/")
    assert statuses(*(requested(before + path, prefix) for path in paths)) == [200] * 3


@pytest.mark.parametrize(
    ("root_path", "prefix"), [("", ""), ("/", ""), ("//", ""), ("/a", "/a"), ("/a/", "/a"), ("a/b//", "/a/b")]
)
def test_a_prefix_starts_with_a_slash_and_ends_without_one(root_path: str, prefix: str) -> None:
    assert normalized_prefix(root_path) == prefix


@pytest.mark.parametrize("prefix", ["/cpu", "/cpu/"])
def test_redirects_stay_under_the_prefix(prefix: str) -> None:
    ((status, headers, _),) = answers(requested("/cpu/cpu%20usage", prefix, token=TOKEN))
    assert (status, headers[b"location"]) == (308, b"/cpu/cpu_usage")
