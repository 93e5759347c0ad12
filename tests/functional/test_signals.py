"""Signals stop the server even if something hangs, and the log never blocks it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hostile_clients import connected
from live_processes import CHILDREN
from live_server import CPUWATCH_SERVE, Server, environment, run, running_server

pytestmark = pytest.mark.timeout(60)

STOP_SECONDS = 3
HARD_STOP_EXIT_CODE = 1
REQUESTS = 300


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_closed_terminal_stops_the_server_cleanly(number: signal.Signals) -> None:
    with running_server(CPUWATCH_SERVE) as server:
        assert server.stop(number, within=STOP_SECONDS) == 0
    assert "Traceback" not in server.output


def test_nohup_keeps_the_server_running_when_the_terminal_closes() -> None:
    with running_server(("nohup", *CPUWATCH_SERVE)) as server, httpx.Client(base_url=server.url) as client:
        os.kill(server.pid, signal.SIGHUP)
        for _ in range(3):
            assert client.get("/livez").status_code == 200
        assert server.stop(within=STOP_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_ignored_signals_are_logged_and_change_nothing(number: signal.Signals) -> None:
    with running_server(CPUWATCH_SERVE) as server, httpx.Client(base_url=server.url) as client:
        os.kill(server.pid, number)
        while f"ignored {number.name}" not in server.output:
            assert client.get("/livez").status_code == 200
        assert server.stop(within=STOP_SECONDS) == 0


@contextmanager
def frozen_server(*arguments: str, **settings: str) -> Iterator[Server]:
    """Run a server whose event loop is blocked."""
    command = (sys.executable, str(CHILDREN / "frozen.py"), *CPUWATCH_SERVE[1:], *arguments)
    with running_server(command, **settings) as server, connected(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while "frozen\n" not in server.output:
            os.sched_yield()
        yield server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_blocked_event_loop_does_not_prevent_the_shutdown(number: signal.Signals) -> None:
    with frozen_server() as server:
        assert server.stop(number, within=STOP_SECONDS) == HARD_STOP_EXIT_CODE
        last = server.output.splitlines()[-1]
        assert "level=error logger=cpuwatch.server" in last
        assert f"the server did not stop within 2.5 s of {number.name}" in last


@contextmanager
def unread_pipe() -> Iterator[tuple[int, int]]:
    """Create a pipe of the smallest possible size, and yield its ends."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def request_until_answered(url: str) -> None:
    while True:
        try:
            httpx.get(url, timeout=STOP_SECONDS)
        except httpx.ConnectError:
            continue
        return


@contextmanager
def server_with_unread_log(*program: str) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """Run a server whose log is not read. Yields its process, its port, and the read end of the log."""
    port = free_port()
    command = [*program, "serve", "--bind", f"127.0.0.1:{port}", "--access-log"]
    with (
        unread_pipe() as (reader, writer),
        subprocess.Popen(command, stderr=writer, stdout=subprocess.PIPE, env=environment()) as process,
    ):
        try:
            request_until_answered(f"http://127.0.0.1:{port}/readyz")
            yield process, port, reader
        finally:
            process.kill()


def test_an_unread_log_blocks_neither_requests_nor_the_shutdown() -> None:
    with server_with_unread_log(CPUWATCH_SERVE[0]) as (process, port, reader):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            for _ in range(REQUESTS):
                assert client.get("/livez").status_code == 200
            # Sampling continues too.
            before = client.get("/cpu_usage?top=1").json()["sequence"]
            while client.get("/cpu_usage?top=1").json()["sequence"] == before:
                pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0
        # The beginning of the log, as much as the pipe holds, was written.
        assert os.read(reader, 4096).startswith(b"time=")


def test_a_blocked_event_loop_and_an_unread_log_do_not_prevent_the_shutdown() -> None:
    with server_with_unread_log(sys.executable, str(CHILDREN / "frozen.py")) as (process, port, _):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            for _ in range(REQUESTS):
                assert client.get("/readyz").status_code in {200, 503}
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert process.stdout is not None
            assert process.stdout.readline() == b"frozen\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == HARD_STOP_EXIT_CODE


def test_dropped_lines_are_counted_when_the_log_is_read_again() -> None:
    with server_with_unread_log(CPUWATCH_SERVE[0]) as (process, port, reader):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            for _ in range(1500):
                assert client.get("/livez").status_code == 200
        log = b""
        while b"log lines were dropped" not in log:
            log += os.read(reader, 65_536)
        assert log.count(b"target=/livez") >= 1000
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0


def test_a_server_does_not_take_a_unix_socket_from_a_running_one(tmp_path: Path) -> None:
    place = tmp_path / "http.sock"
    bind = f"unix:{place}"
    with running_unix_server(bind) as server, httpx.Client(transport=httpx.HTTPTransport(uds=str(place))) as client:
        done = run("serve", "--bind", bind)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert f"already in use by process {server.pid}" in done.stderr
        assert client.get("http://localhost/livez").status_code == 200
    assert not place.exists()


@contextmanager
def running_unix_server(bind: str) -> Iterator[Server]:
    server = Server((CPUWATCH_SERVE[0], "serve", "--bind", bind))
    try:
        assert server.url
        yield server
        assert server.stop(within=STOP_SECONDS) == 0
    finally:
        server.clean_up()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with (
        running_unix_server(f"unix:{place}"),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(place))) as client,
    ):
        assert client.get("http://localhost/livez").status_code == 200


def test_one_of_several_servers_that_start_at_once_gets_a_stale_socket(tmp_path: Path) -> None:
    place = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    servers = [Server((CPUWATCH_SERVE[0], "serve", "--bind", f"unix:{place}")) for _ in range(4)]
    try:
        refused = [server for server in servers if server.refused()]
        assert len(refused) == 3, [server.output for server in servers]
        for server in refused:
            assert "already in use by process" in server.output
    finally:
        for server in servers:
            server.clean_up()


def test_a_file_that_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "notes.txt"
    place.write_text("mine")
    done = run("serve", "--bind", f"unix:{place}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "not a socket" in done.stderr
    assert place.read_text() == "mine"


def test_the_socket_of_another_server_is_not_removed_at_the_end(tmp_path: Path) -> None:
    place = tmp_path / "http.sock"
    with running_unix_server(f"unix:{place}"), socket.socket(socket.AF_UNIX) as other:
        place.unlink()
        other.bind(str(place))
    assert place.exists()
