from __future__ import annotations

import asyncio
import importlib.metadata
import json
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import httpx
import pytest
from asgi_client import state_of
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import HOSTILE_NAMES, SECOND, process, reading, snapshot
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch import BusyProcess, CgroupUsage, Monitor, Reading, ScriptedSampler, decode
from cpuwatch.encoding.rounded import rounded
from cpuwatch.errors import SettingsError
from cpuwatch.query.view import View
from cpuwatch.settings import Settings
from cpuwatch.web import create_app
from cpuwatch.web.endpoints.cpu_usage import ProcessResponse, ViewResponse, one_process
from cpuwatch.web.http.response import Answer
from cpuwatch.web.response_cache import ResponseCache
from cpuwatch.web.state import Live, State

TICK = 0.001
TIMEOUT = 30.0


def stopped_monitor(*script: Reading | Exception, interval: float = TICK) -> Monitor:
    """Return a closed monitor that has replayed the whole script, so its data no longer change."""
    with Monitor(interval, sampler=ScriptedSampler(script)) as monitor:
        if len(script) > 1:
            assert monitor.wait(after=len(script) - 2, timeout=TIMEOUT)
    return monitor


def with_state(app: ASGIApp, state: State | dict[str, Any], root_path: str = "") -> ASGIApp:
    """Wrap the app so that requests have the state that a lifespan would pass."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state), "root_path": root_path}, receive, send)

    return call


def request(
    monitor: Monitor | None,
    path: str = "/cpu_usage",
    method: str = "GET",
    *,
    root_path: str = "",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    app = create_app(Settings())
    state: dict[str, Any] | State = {} if monitor is None else state_of(Live(monitor))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(with_state(app, state, root_path), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def problem(response: httpx.Response, status: int) -> str:
    """Check that the response is a problem as in RFC 9457, and return its detail."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    detail = body["detail"]
    assert isinstance(detail, str)
    return detail


@pytest.fixture(scope="module")
def monitor() -> Monitor:
    return stopped_monitor(
        reading(process(10), process(11, name="other")),
        reading(process(10, cpu_ns=SECOND), process(11, cpu_ns=SECOND // 4, name="other"), at_ns=101 * SECOND),
    )


@pytest.fixture(scope="module")
def empty() -> Monitor:
    return stopped_monitor()


# /cpu_usage


def test_cpu_usage_is_the_newest_snapshot_as_json(monitor: Monitor) -> None:
    response = request(monitor, headers={"accept-encoding": "identity"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "private, no-cache"
    assert int(response.headers["content-length"]) == len(response.content)
    assert monitor.latest is not None
    assert decode(response.content) == rounded(monitor.latest)
    assert [row["cpu_percent"] for row in json.loads(response.text)["processes"]] == [100.0, 25.0]


def test_head_passes_no_body_to_the_server(monitor: Monitor) -> None:
    # httpx drops the body of a HEAD response, so look at the ASGI messages.
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "HEAD", "path": "/cpu_usage", "query_string": b"", "headers": []}
    app = with_state(create_app(Settings()), state_of(Live(monitor)))

    async def call() -> None:
        await app(scope, receive, send)

    asyncio.run(call())
    assert b"".join(message.get("body", b"") for message in sent) == b""
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 0


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/10", "/cpu_usage/99", "/livez", "/readyz"])
def test_head_has_the_status_and_headers_of_get_and_no_body(monitor: Monitor, path: str) -> None:
    get, head = request(monitor, path), request(monitor, path, "HEAD")
    assert head.content == b""
    assert head.status_code == get.status_code
    if path != "/readyz":  # Its body contains the age, whose length can differ between the two requests.
        # Each request starts another service here, so the run and the time differ.
        own = {"etag", "server-timing"}
        assert dict(head.headers).keys() == dict(get.headers).keys()
        assert all(head.headers[name] == value for name, value in get.headers.items() if name not in own)


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/10", "/cpu%20usage", "/livez", "/readyz"])
def test_options_lists_the_allowed_methods(monitor: Monitor, path: str) -> None:
    response = request(monitor, path, "OPTIONS")
    assert response.status_code == 204
    assert response.content == b""
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_other_methods_are_405_with_the_allowed_ones(monitor: Monitor, method: str) -> None:
    response = request(monitor, "/cpu_usage", method)
    detail = problem(response, 405)
    assert method in detail
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/10"])
def test_before_the_first_snapshot_the_response_is_503_with_retry_after(empty: Monitor, path: str) -> None:
    response = request(empty, path)
    assert "no snapshot yet" in problem(response, 503)
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_name_survives_http(raw: bytes) -> None:
    name = raw.decode("utf-8", "backslashreplace")
    hostile = stopped_monitor(reading(process(name=name)), reading(process(name=name), at_ns=101 * SECOND))
    assert request(hostile).json()["processes"][0]["name"] == name
    assert request(hostile, "/cpu_usage/10").json()["process"]["name"] == name


# /cpu_usage/{pid}


def test_one_process_is_returned_with_the_interval(monitor: Monitor) -> None:
    response = request(monitor, "/cpu_usage/11")
    assert response.status_code == 200
    whole = json.loads(request(monitor).text)
    assert response.json() == {
        "sequence": 1,
        "time": whole["time"],
        "interval_seconds": 1.0,
        "process": whole["processes"][1],
        "crowded_by": [],
        "cgroups": [],
    }


def test_one_process_comes_with_its_cgroups_and_with_those_that_crowd_it() -> None:
    plain = snapshot((10, SECOND // 5), (11, SECOND))
    row = replace(plain.processes[0], wait_percent=80.0, verdict="crowded", cgroup="/a/b.service/c")
    busy = [BusyProcess(11, "stress", None, 100.000004), BusyProcess(10, "work", None, 20.0)]
    limits = [
        CgroupUsage(path, None, 1.000004, None, 2.0, None, None, None, None, 0.0, 2) for path in ("/", "/a", "/x")
    ]
    taken = replace(
        plain, processes=[row], cgroups=limits, machine=replace(plain.machine, busiest=busy, verdict="crowded")
    )
    body = json.loads(ProcessResponse(10).make(taken).body)
    assert [(other["pid"], other["total_percent"]) for other in body["crowded_by"]] == [(11, 100.0)]
    assert [(cgroup["path"], cgroup["cpu_percent"]) for cgroup in body["cgroups"]] == [("/a", 1.0), ("/", 1.0)]


@pytest.mark.parametrize("pid", [1, 12, 2**31 - 1])
def test_an_unknown_pid_is_404(monitor: Monitor, pid: int) -> None:
    assert f"no process {pid}" in problem(request(monitor, f"/cpu_usage/{pid}"), 404)


@pytest.mark.parametrize(
    "pid", ["0", "-1", "abc", "1e3", "1.0", "%20%31", "2147483648", "%D9%A3", "%00", "%0A1", "%FF"]
)
def test_an_invalid_pid_is_400_with_the_valid_range(monitor: Monitor, pid: str) -> None:
    assert "must be an integer from 1 to 2147483647" in problem(request(monitor, f"/cpu_usage/{pid}"), 400)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/?#"), min_size=1, max_size=12))
def test_any_text_as_a_pid_is_a_client_error(text: str) -> None:
    # A closed monitor has no snapshot and needs no thread.
    closed = Monitor(sampler=ScriptedSampler([]))
    closed.close()
    live = Live(closed)
    assert asyncio.run(one_process({"path_params": {"pid": text}, "state": {"cpuwatch": live}})).status in {400, 503}


# The other paths


def test_cpu_usage_with_a_blank_redirects(monitor: Monitor) -> None:
    response = request(monitor, "/cpu%20usage")
    assert response.status_code == 308
    assert response.headers["location"] == "/cpu_usage"


def test_the_redirect_keeps_the_query_and_the_prefix(monitor: Monitor) -> None:
    response = request(monitor, "/watch/cpu%20usage?top=3&sort=pid%20x", root_path="/watch")
    assert response.headers["location"] == "/watch/cpu_usage?top=3&sort=pid%20x"


def test_an_unknown_path_is_404_with_the_path(monitor: Monitor) -> None:
    assert "/cpu_use" in problem(request(monitor, "/cpu_use"), 404)


def test_livez_is_200_even_without_a_snapshot(empty: Monitor) -> None:
    response = request(empty, "/livez")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_readyz_is_200_while_the_newest_snapshot_is_fresh() -> None:
    now = time.monotonic_ns()
    # With an hour between ticks, three of them cannot pass on even the slowest machine.
    fresh = stopped_monitor(reading(at_ns=now - SECOND), reading(at_ns=now), interval=3600)
    response = request(fresh, "/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert response.json()["age_seconds"] >= 0


def test_readyz_is_503_before_the_first_snapshot(empty: Monitor) -> None:
    response = request(empty, "/readyz")
    assert problem(response, 503).startswith("there is no snapshot yet")
    assert response.headers["retry-after"] == "1"


def test_readyz_is_503_when_the_newest_snapshot_is_stale() -> None:
    stale = stopped_monitor(reading(at_ns=1), reading(at_ns=2))
    detail = problem(request(stale, "/readyz"), 503)
    assert "more than 3 intervals of 0.001 s" in detail


def test_readyz_gives_the_reason() -> None:
    class Broken(ScriptedSampler):
        def read(self) -> Reading:
            raise RuntimeError("the cable was pulled")

    with Monitor(TICK, sampler=Broken([])) as broken:
        while broken.health.failure is None:
            broken.wait(timeout=TICK)
    assert "RuntimeError: the cable was pulled" in problem(request(broken, "/readyz"), 503)


def test_a_server_without_lifespan_support_gets_a_clear_exception() -> None:
    assert "log" in problem(request(None), 500)
    transport = httpx.ASGITransport(with_state(create_app(Settings()), {}))

    async def send() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get("/cpu_usage")

    with pytest.raises(RuntimeError, match="lifespan"):
        asyncio.run(send())


# Cached responses


ALL = ViewResponse(View(), "json", "identity")


def test_a_snapshot_is_encoded_once_for_all_requests(monitor: Monitor) -> None:
    async def ask() -> list[Answer | None]:
        cache = ResponseCache(monitor)
        return [await cache.get(ALL) for _ in range(3)]

    first, *others = asyncio.run(ask())
    assert first is not None
    assert all(other is first for other in others)


def test_there_is_no_response_before_the_first_snapshot(empty: Monitor) -> None:
    assert asyncio.run(ResponseCache(empty).get(ALL)) is None


def test_the_follower_serves_each_newest_snapshot_with_its_responses() -> None:
    readings = [reading(process(cpu_ns=n), at_ns=(100 + n) * SECOND) for n in range(30)]

    async def follow() -> None:
        with Monitor(TICK, sampler=ScriptedSampler(readings)) as live:
            cache = ResponseCache(live)
            following = asyncio.create_task(cache.follow())
            sequence = 0
            while sequence < 29:
                found = await cache.wait(after=sequence, timeout=TIMEOUT)
                assert found is not None
                answer = await cache.get(ALL)
                assert answer is not None
                # Later snapshots may have arrived by now.
                answered = decode(answer.body)
                assert found.sequence <= answered.sequence <= cache.newest_sequence
                assert answered in map(rounded, live.history)
                assert sequence < found.sequence
                sequence = found.sequence
            live.close()
            await asyncio.wait_for(following, TIMEOUT)
            cache.end()
            assert await cache.wait(after=sequence) is None

    asyncio.run(follow())


# Lifespan


def in_lifespan(
    settings: Settings | None, act: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
) -> httpx.Response:
    app = create_app(settings)

    async def run() -> httpx.Response:
        async with app.router.lifespan_context(app) as state:
            assert state is not None
            transport = httpx.ASGITransport(with_state(app, dict(state)))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await act(client)

    return asyncio.run(run())


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = EntryPoints([EntryPoint("minute", "readings:minute", "cpuwatch.samplers")])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: offered.select(group=group))


@pytest.mark.usefixtures("third_party")
def test_the_first_request_gets_a_snapshot() -> None:
    response = in_lifespan(Settings(interval=0.05, backend="minute"), lambda client: client.get("/cpu_usage"))
    assert response.status_code == 200
    assert decode(response.content).host.backend == "scripted"


@pytest.mark.usefixtures("third_party")
def test_the_environment_is_read_when_the_app_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPUWATCH_BACKEND", "minute")
    response = in_lifespan(None, lambda client: client.get("/cpu_usage"))
    assert decode(response.content).host.backend == "scripted"


def test_an_invalid_environment_fails_at_the_start_and_not_at_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPUWATCH_INTERVAL", "never")
    with pytest.raises(SettingsError, match="CPUWATCH_INTERVAL"):
        in_lifespan(None, lambda client: client.get("/cpu_usage"))
