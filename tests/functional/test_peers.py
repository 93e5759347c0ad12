"""The service asks other machines: real services, and servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from live_server import CPUWATCH_SERVE, Server, environment, run, running_server
from peer_servers import answer, raw_server

from cpuwatch.peers import connection as connection_module
from cpuwatch.peers import watch as watch_module
from cpuwatch.peers.connection import Connection, FetchError
from cpuwatch.peers.peer_list import parse_address
from cpuwatch.peers.source import PeerSource
from cpuwatch.peers.status import PeerStatus
from cpuwatch.peers.watch import PeerWatch
from cpuwatch.token_file import Token

pytestmark = pytest.mark.timeout(120)

TOKEN = "of-the-peers-0123456789"  # noqa: S105  a token for this test only
WAIT_SECONDS = 30

Result = TypeVar("Result")


def usage(**changes: object) -> bytes:
    body: dict[str, object] = {
        "time": "2026-01-01T00:00:00.000000Z",
        "interval_seconds": 1.0,
        "host": {"name": "there", "logical_cpus": 4},
        "machine": {"cpu_percent": 40.0},
        "attribution": {"processes_percent": 30.0, "exited_percent": 8.0, "unattributed_percent": 2.0},
        "processes": [{"pid": 7, "name": "<b>\u202e\x1b[31m", "user": "root", "total_percent": 120.0}],
    }
    return json.dumps(body | changes).encode()


@contextmanager
def watching(list_file: Path, *flags: str, **settings: str) -> Iterator[tuple[Server, httpx.Client]]:
    command = (*CPUWATCH_SERVE, "--peers", str(list_file), *flags)
    with running_server(command, **settings) as server, httpx.Client(base_url=server.url) as client:
        yield server, client


def peers_when(client: httpx.Client, condition: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, Any]:
    """The machines by name, as soon as the condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = {peer["name"]: peer for peer in client.get("/peers").json()["peers"]}
        if condition(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def states(*expected: tuple[str, str]) -> Callable[[dict[str, dict[str, Any]]], bool]:
    return lambda found: {(name, peer["state"]) for name, peer in found.items()} == set(expected)


def test_real_machines_are_shown_with_their_worst_processes(tmp_path: Path) -> None:
    token_file, list_file = tmp_path / "token", tmp_path / "peers"
    token_file.write_text(TOKEN)
    with (
        running_server(CPUWATCH_SERVE) as open_one,
        running_server((*CPUWATCH_SERVE, "--token-file", str(token_file))) as closed,
    ):
        list_file.write_text(
            f"{open_one.url} name=open\n"
            f"{closed.url} name=closed token-file={token_file}\n"
            f"{closed.url.replace('127.0.0.1', 'localhost')} name=without\n"
        )
        with watching(list_file) as (_, client):
            found = peers_when(client, states(("open", "live"), ("closed", "live"), ("without", "failed")))
            response = client.get("/peers")
    assert found["without"]["error"] == "it requires a token"
    for name in ("open", "closed"):
        assert found[name]["host"]
        assert 1 <= len(found[name]["processes"]) <= 3
        assert 0 <= found[name]["cpu_percent"] <= 100
    assert TOKEN not in response.text
    assert str(token_file) not in response.text


def test_each_kind_of_failure_is_told(tmp_path: Path) -> None:
    def responding(response: bytes | None) -> Any:
        return raw_server(lambda _: response)

    with (
        responding(answer(usage())) as good,
        responding(None) as silent,
        responding(answer(b"<title>Welcome to nginx!</title>")) as wrong,
        responding(b"220 mail.example ESMTP\r\n\r\n") as other,
        responding(answer(b"x" * 10_000_000)) as huge,
        responding(answer(b"", "302 Found", "Location: http://elsewhere.example/")) as moved,
        responding(answer(b"{}", "503 Service Unavailable")) as busy,
    ):
        servers = {
            "good": good, "silent": silent, "wrong": wrong, "other": other, "huge": huge, "moved": moved, "busy": busy,
        }  # fmt: skip
        list_file = tmp_path / "peers"
        lines = [f"127.0.0.1:{server.port} name={name}\n" for name, server in servers.items()]
        list_file.write_text("".join(lines) + "127.0.0.1:1 name=dead\nnone.invalid name=unknown\n")
        with watching(list_file) as (_, client):
            failed = [*(name for name in servers if name != "good"), "dead", "unknown"]
            found = peers_when(
                client, lambda found: all(found.get(name, {}).get("state") == "failed" for name in failed)
            )
    assert found["good"]["cpu_percent"] == 40.0
    assert found["silent"]["error"] == "no answer within 5 s"
    assert found["wrong"]["error"].startswith("not an answer of cpuwatch: ")
    assert found["other"]["error"].startswith("not an HTTP answer: ")
    assert found["huge"]["error"] == "the answer is larger than 256 KiB"
    assert found["moved"]["error"] == "it redirects (302), and redirects are not followed"
    assert found["busy"]["error"] == "it answers 503"
    assert found["dead"]["error"] == "Connection refused"
    assert found["unknown"]["error"]
    assert all(found[name]["answered"] is None for name in failed)


def test_a_machine_that_stops_answering_keeps_the_time_of_its_last_answer(tmp_path: Path) -> None:
    list_file = tmp_path / "peers"
    with raw_server(lambda _: answer(usage())) as peer:
        list_file.write_text(f"127.0.0.1:{peer.port} name=it\n")
        with watching(list_file) as (_, client):
            before = peers_when(client, states(("it", "live")))
            peer.close()
            after = peers_when(client, states(("it", "failed")))
    assert after["it"]["answered"] >= before["it"]["answered"]
    assert after["it"]["error"]


def test_a_slow_machine_is_shown_as_slow_before_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_SLOW_SECONDS", 0.05)
    monkeypatch.setattr(connection_module, "_TIMEOUT_SECONDS", float(WAIT_SECONDS))
    list_file, go = tmp_path / "peers", threading.Event()

    def slowly(_: bytes) -> bytes:
        go.wait(WAIT_SECONDS)
        time.sleep(0.1)
        return answer(usage())

    async def scenario(watch: PeerWatch) -> list[PeerStatus]:
        first = await shown_when(watch, lambda status: status.state == "slow")
        go.set()
        return [first, await shown_when(watch, lambda status: status.answered is not None)]

    with raw_server(slowly) as peer:
        list_file.write_text(f"127.0.0.1:{peer.port}\n")
        first, second = asyncio.run(with_watch(list_file, scenario))
    assert first.answer_seconds is None
    assert second.state == "slow"
    assert second.answer_seconds is not None
    assert second.answer_seconds >= 0.05


def test_requests_are_small_conditional_and_carry_the_token_only_to_its_machine(tmp_path: Path) -> None:
    list_file, shared, special = tmp_path / "peers", tmp_path / "shared", tmp_path / "special"
    shared.write_text("shared-0123456789abcdef")
    special.write_text("special-0123456789abcdef")

    def respond(request: bytes) -> bytes:
        if b'if-none-match: "7"' in request.lower():
            return answer(b"", "304 Not Modified", 'ETag: "7"')
        return answer(usage(), "200 OK", 'ETag: "7"')

    with raw_server(respond) as one, raw_server(respond) as other:
        list_file.write_text(f"127.0.0.1:{one.port} name=1\n127.0.0.1:{other.port} name=2 token-file={special}\n")
        with watching(list_file, "--peers-token-file", str(shared)) as (_, client):
            peers_when(client, lambda _: len(one.requests) >= 2 and len(other.requests) >= 2)
            found = peers_when(client, states(("1", "live"), ("2", "live")))
    assert found["1"]["error"] is None
    first, second = one.requests[:2]
    assert first.startswith(b"GET /cpu_usage?top=3&fields=pid,name,user,total_percent HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{one.port}".encode() in first.lower()
    assert b'if-none-match: "7"' in second.lower()
    assert all(b"Bearer shared-0123456789abcdef" in request for request in one.requests)
    assert all(b"Bearer special-0123456789abcdef" in request for request in other.requests)
    assert not any(b"shared" in request for request in other.requests)


def test_a_changed_list_applies_and_an_invalid_one_is_told(tmp_path: Path) -> None:
    list_file = tmp_path / "peers"
    with raw_server(lambda _: answer(usage())) as peer:
        list_file.write_text(f"127.0.0.1:{peer.port} name=old\n")
        with watching(list_file) as (server, client):
            peers_when(client, states(("old", "live")))
            list_file.write_text(f"127.0.0.1:{peer.port} name=new\n")
            peers_when(client, states(("new", "live")))
            list_file.write_text("here\nweb-1 nam=x\n")
            deadline = time.monotonic() + WAIT_SECONDS
            while (error := client.get("/peers").json()["list_error"]) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            peers_when(client, states(("new", "live")))
    assert error == f"{list_file}, line 2: invalid option 'nam': did you mean name? It must be one of name, token-file"
    assert server.output.count("invalid option") == 1


def test_the_list_can_come_from_a_url(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    with raw_server(lambda _: answer(usage())) as peer:
        targets = json.dumps([{"targets": [f"127.0.0.1:{peer.port}"], "labels": {"name": "it"}}]).encode()
        with raw_server(lambda _: answer(targets)) as discovery:
            command = (*CPUWATCH_SERVE, "--peers", f"http://127.0.0.1:{discovery.port}/targets")
            with running_server(command) as server, httpx.Client(base_url=server.url) as client:
                peers_when(client, states(("it", "live")))
        theft = json.dumps([{"targets": ["thief:1"], "labels": {"token_file": str(token_file)}}]).encode()
        with raw_server(lambda _: answer(theft)) as discovery:
            command = (*CPUWATCH_SERVE, "--peers", f"http://127.0.0.1:{discovery.port}/targets")
            with running_server(command) as server, httpx.Client(base_url=server.url) as client:
                deadline = time.monotonic() + WAIT_SECONDS
                while (shown := client.get("/peers").json())["list_error"] is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
    assert shown["list_error"].endswith("http://thief:1 has a token file: only lists in files may name them")
    assert shown["peers"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the list of machines '{path}': No such file or directory"),
        ("web-1\nweb 2", "{path}, line 2: invalid option '2': must be name=... or token-file=..."),
        ("web-1 token-file=/none", "token of http://web-1:8845: cannot read '/none': No such file or directory"),
    ],
)
def test_an_invalid_list_refuses_the_start_in_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "peers"
    if content is not None:
        path.write_text(content)
    done = run("serve", "--peers", str(path), "--port", "0")
    assert (done.returncode, done.stderr) == (2, f"cpuwatch: {message.format(path=path)}\n")


def test_a_token_is_not_given_to_a_list_that_anyone_on_the_way_can_change(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    flags = ("--peers", "http://sd.example/targets", "--peers-token-file", str(tmp_path / "token"))
    done = run("serve", *flags, "--port", "0")
    assert done.returncode == 2
    assert "use https, or a file" in done.stderr


def test_without_a_list_the_paths_say_what_to_do() -> None:
    with running_server(CPUWATCH_SERVE) as server, httpx.Client(base_url=server.url) as client:
        assert "machines" not in client.get("/").text
        for path in ("/peers", "/machines"):
            response = client.get(path)
            assert (response.status_code, response.json()["detail"]) == (
                404,
                "no other machines are configured: start cpuwatch with --peers FILE",
            )


def test_the_data_need_the_token_and_the_page_does_not(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "peers").write_text("127.0.0.1:1\n")
    with watching(tmp_path / "peers", "--token-file", str(tmp_path / "token")) as (_, client):
        assert client.get("/peers").status_code == 401
        assert client.get("/machines").status_code == 200
        assert '<a href="machines">' in client.get("/").text
        response = client.get("/peers", headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200
        known = {"authorization": f"Bearer {TOKEN}", "if-none-match": response.headers["etag"]}
        # A machine that fails is asked again after some seconds, so the response stays the same for a while.
        assert (
            client.get("/machines", headers={"if-none-match": client.get("/machines").headers["etag"]}).status_code
            == 304
        )
        assert client.get("/peers", headers=known).status_code in {200, 304}


def test_machines_are_asked_only_while_somebody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_LOOK_SECONDS", 0.2)
    list_file = tmp_path / "peers"

    async def scenario(watch: PeerWatch) -> None:
        await asyncio.sleep(0.1)
        assert peer.requests == []
        await shown_when(watch, lambda status: status.state == "live")
        async with asyncio.timeout(WAIT_SECONDS):
            # Nobody looks any more: what was known is forgotten.
            while watch.shown().peers:  # noqa: ASYNC110  there is no event
                await asyncio.sleep(0.01)
        count = len(peer.requests)
        await asyncio.sleep(0.2)
        assert len(peer.requests) == count > 0

    with raw_server(lambda _: answer(usage())) as peer:
        list_file.write_text(f"127.0.0.1:{peer.port}\n")
        asyncio.run(with_watch(list_file, scenario))


def test_a_machine_whose_snapshot_stays_the_same_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_MIN_STALE_SECONDS", 0.1)
    list_file = tmp_path / "peers"

    async def scenario(watch: PeerWatch) -> PeerStatus:
        return await shown_when(watch, lambda status: status.state == "stale")

    with raw_server(lambda _: answer(usage(interval_seconds=0.05))) as peer:
        list_file.write_text(f"127.0.0.1:{peer.port}\n")
        status = asyncio.run(with_watch(list_file, scenario))
    assert status.cpu_percent == 40.0
    assert status.error is None


async def with_watch(list_file: Path, scenario: Callable[[PeerWatch], Coroutine[Any, Any, Result]]) -> Result:
    """The result of the scenario, during which the machines of this list can be looked at."""
    watch = PeerWatch(PeerSource(list_file, None, asyncio.to_thread), interval_seconds=0.02)
    running = asyncio.create_task(watch.run())
    try:
        return await scenario(watch)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def shown_when(watch: PeerWatch, condition: Callable[[PeerStatus], bool]) -> PeerStatus:
    """The only machine of the list, as soon as the condition holds."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            watch.look()
            for status in watch.shown().peers:
                if condition(status):
                    return status
            await asyncio.sleep(0.01)


def test_a_connection_is_kept_and_a_closed_one_replaced() -> None:
    async def scenario(port: int) -> list[int]:
        connection = Connection(parse_address(f"127.0.0.1:{port}"), Token(TOKEN.encode()), ssl.create_default_context())
        statuses = [(await connection.get("/")).status for _ in range(3)]
        await connection.close()
        return statuses

    closing = answer(b"{}", "200 OK", "Connection: close")
    for response in (answer(b"{}"), closing):
        with raw_server(lambda _, response=response: response) as server:  # type: ignore[misc]
            assert asyncio.run(scenario(server.port)) == [200, 200, 200]
            assert len(server.requests) == 3


def test_endless_headers_and_endless_bodies_are_cut() -> None:
    async def fetched(port: int) -> None:
        connection = Connection(parse_address(f"127.0.0.1:{port}"), None, ssl.create_default_context())
        await connection.get("/")

    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 600 * (b"400\r\n" + b"x" * 1024 + b"\r\n")
    headers = b"HTTP/1.1 200 OK\r\n" + 20_000 * b"X-Header: 0123456789\r\n"
    for response, message in ((endless, "larger than 256 KiB"), (headers, "not an HTTP answer")):
        with (
            raw_server(lambda _, response=response: response) as server,  # type: ignore[misc]
            pytest.raises(FetchError, match=message),
        ):
            asyncio.run(fetched(server.port))


def test_the_service_stops_cleanly_while_a_machine_is_silent(tmp_path: Path) -> None:
    list_file = tmp_path / "peers"
    with raw_server(lambda _: None) as silent:
        list_file.write_text(f"127.0.0.1:{silent.port} name=it\n")
        server = Server((*CPUWATCH_SERVE, "--peers", str(list_file)))
        try:
            with httpx.Client(base_url=server.url) as client:
                server.wait_until_ready(client)
                peers_when(client, lambda _: bool(silent.requests))
            assert server.stop() == 0
        finally:
            server.clean_up()
    assert "error" not in server.output.lower().replace("hypercorn.error", "")


@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        (
            "httpcore",
            ["serve", "--port", "0", "--peers", "peers"],
            "--peers needs the extra 'peers': install cpuwatch with [peers]",
        ),
        (
            "pyarrow",
            ["ship", "none", "lake"],
            "Arrow and Parquet need the extra 'arrow': install cpuwatch with [arrow]",
        ),
    ],
)
def test_a_missing_extra_is_told_in_one_line(tmp_path: Path, missing: str, arguments: list[str], message: str) -> None:
    (tmp_path / "peers").write_text("127.0.0.1:1\n")
    code = f"import sys; sys.modules[{missing!r}] = None; from cpuwatch.commands.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment(), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"cpuwatch: {message}\n")
