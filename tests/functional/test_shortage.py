"""Without file descriptors, threads or permissions in /proc, the server continues, and recovers afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from hostile_clients import connected
from live_processes import CHILDREN
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, running_server
from namespaces import unshared
from pids_cgroup import PIDS_CGROUPS, without_new_threads

from cpuwatch.tick_id import TickId

pytestmark = pytest.mark.timeout(120)

DESCRIPTORS = 64
CLIENTS = 100
TIMEOUT_SECONDS = 20
NOBODY = 65_534
FIRST_UNKNOWN_USER = 100_000
STOP_SECONDS = 3
STREAM = b"GET /cpu_usage/stream?top=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def limited(command: tuple[str, ...]) -> tuple[str, ...]:
    return ("sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh", *command)


@pytest.fixture(params=[CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(limited(request.param), CPUWATCH_INTERVAL="0.2") as server:
        yield server
    assert "Traceback" not in server.output


def wait_for(server: Server, message: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while message not in server.output:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.02)


def next_sequence(stream: HTTPResponse) -> int:
    while not (line := stream.readline()).startswith(b"id: "):
        assert line, "the stream ended"
    return TickId.parse(line[4:].decode().strip()).sequence


def hold_all(server: Server, stack: ExitStack) -> HTTPResponse:
    """Open more streams than the server has file descriptors, and return an accepted one."""
    first = stack.enter_context(connected(server))
    first.sendall(STREAM)
    stream = stack.enter_context(HTTPResponse(first))
    stream.begin()
    assert stream.status == 200
    next_sequence(stream)
    for _ in range(CLIENTS):
        # The kernel accepts them all. Those for which the server has no descriptor wait in the backlog.
        stack.enter_context(connected(server)).sendall(STREAM)
    wait_for(server, "new connections must wait")
    return stream


def test_sampling_and_streams_continue_while_new_clients_wait(server: Server) -> None:
    with ExitStack() as stack:
        stream = hold_all(server, stack)
        began = next_sequence(stream)
        # Longer than several retries of asyncio.
        while (sequence := next_sequence(stream)) < began + 15:
            # Of users that the server has not looked up before, and cannot look up now either.
            for number in range(10 if os.geteuid() == 0 else 0):
                subprocess.run(["true"], check=True, user=FIRST_UNKNOWN_USER + sequence * 10 + number)
    wait_for(server, "new connections are taken again")
    ready = httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_SECONDS)
    assert ready.status_code == 200
    snapshot = httpx.get(f"{server.url}/cpu_usage?top=1").json()
    assert snapshot["sampling"]["failed_ticks"] == 0, server.output
    assert snapshot["sampling"]["unreadable"] == {}
    assert server.output.count("new connections must wait") == 1
    assert server.output.count("new connections are taken again") == 1
    assert "asyncio" not in server.output


@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def test_the_server_stops_in_time_without_free_descriptors(command: tuple[str, ...]) -> None:
    with running_server(limited(command), CPUWATCH_INTERVAL="0.2") as server, ExitStack() as stack:
        hold_all(server, stack)
        assert server.stop(signal.SIGTERM, within=STOP_SECONDS) == 0
    assert "Traceback" not in server.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of two users")
def test_unreadable_processes_are_counted_until_they_are_readable(tmp_path: Path) -> None:
    all_shown = tmp_path / "all shown"
    prefix = unshared("--mount", "--pid", "--fork", "--kill-child")
    script = [sys.executable, str(CHILDREN / "serve_hidden.py"), "hidepid=1", str(NOBODY), str(all_shown)]
    server = Server((*prefix, *script))
    try:
        with httpx.Client(base_url=server.url) as client:
            server.wait_until_ready(client)
            partly = client.get("/cpu_usage").json()
            assert partly["sampling"]["unreadable"] == {"EPERM": 1}
            assert "hidepid=1" in partly["sampling"]["hidden"][0]
            text = client.get("/cpu_usage?format=text").text
            assert "mounted with hidepid=1, so processes of other users cannot be read" in text
            assert "unreadable: 1 process (EPERM 1)" in text
            (own,) = (row["pid"] for row in partly["processes"])
            assert own != 1
            assert 'cpuwatch_unreadable_processes{reason="EPERM"} 1\n' in client.get("/metrics").text
            assert client.get("/readyz").status_code == 200
            all_shown.touch()
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while (whole := client.get("/cpu_usage").json())["sampling"]["unreadable"]:
                assert time.monotonic() < deadline, whole
                time.sleep(0.05)
            assert {row["pid"] for row in whole["processes"]} == {1, own}
            # Checked in every 16th reading.
            while any("hidepid" in reason for reason in client.get("/cpu_usage").json()["sampling"]["hidden"]):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert whole["sampling"]["failed_ticks"] == 0
    finally:
        server.clean_up()
    # Present in each snapshot, but not logged.
    assert "EPERM" not in server.output


@pytest.mark.skipif(PIDS_CGROUPS is None, reason="no cgroup with the pids controller can be made")
@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def test_ticks_are_served_while_no_thread_can_be_started(command: tuple[str, ...]) -> None:
    with (
        running_server(command, CPUWATCH_INTERVAL="0.1") as server,
        httpx.Client(base_url=server.url, timeout=TIMEOUT_SECONDS) as client,
        connected(server) as connection,
        without_new_threads(server.pid),
    ):
        connection.sendall(STREAM)
        stream = HTTPResponse(connection)
        stream.begin()
        first = next_sequence(stream)
        for number in range(1, 20):
            # Views, codings and the history, each requested for the first time.
            assert client.get(f"/cpu_usage?top={number}").status_code == 200
            assert client.get(f"/cpu_usage/history?seconds={number}").status_code == 200
            assert client.get("/metrics").status_code == 200
        while (last := next_sequence(stream)) < first + 20:
            pass
        assert client.get("/cpu_usage?top=1").json()["sequence"] >= last
        assert client.get("/readyz").json()["restarts"] == 0
    assert "can't start new thread" not in server.output
