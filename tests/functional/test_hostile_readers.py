"""Clients that do not read their responses, or disconnect: their cost, and how others are served."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from resource import RLIMIT_NOFILE

import httpx
import psutil
import pytest
from h2.events import DataReceived, StreamEnded, StreamReset
from hostile_readers import KINDS, Behaviour, connect, http2, make_certificate, memory_bytes, requests, run_clients
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, running_server

pytestmark = pytest.mark.timeout(150)

COMMANDS = pytest.mark.parametrize("command", [HYPERCORN, CPUWATCH_SERVE], ids=["hypercorn", "cpuwatch-serve"])
MAX_GROWTH_BYTES = 16 << 20
"""Much less than the traffic of these clients: a hundred thousand responses of about 30 KiB."""
LET_GO_SECONDS = 40
GET = b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.any_python
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_clients_that_disconnect_leak_no_memory(tls: bool, tmp_path: Path) -> None:
    flags: tuple[str, ...] = ()
    if tls:
        cert, key = make_certificate(tmp_path)
        flags = ("--certfile", cert, "--keyfile", key)
    server = Server((*CPUWATCH_SERVE, *flags))
    try:
        for sort in KINDS:
            run_clients(server, sort, 30)
        before = memory_bytes(server)
        for sort in KINDS:
            run_clients(server, sort, 40 if tls else 100)
        assert memory_bytes(server) - before < MAX_GROWTH_BYTES
        assert httpx.get(f"{server.url}/livez", verify=False).status_code == 200  # noqa: S501  a self-signed certificate
    finally:
        server.clean_up()
    assert "Traceback" not in server.output


@COMMANDS
def test_unread_http_2_streams_are_reset_and_others_of_the_connection_continue(command: tuple[str, ...]) -> None:
    with running_server(command) as server, connect(server.url) as connection:
        client = http2(connection, window=0)
        requests(connection, client, 20)
        requests(connection, client, 1)
        client.increment_flow_control_window(1 << 20, 41)
        connection.sendall(client.data_to_send())
        connection.settimeout(LET_GO_SECONDS)
        received, reset = 0, set[int]()
        while len(reset) < 20:
            for event in client.receive_data(connection.recv(65_536)):
                match event:
                    case DataReceived(stream_id=41):
                        received += len(event.data)
                    case StreamEnded():
                        assert (event.stream_id, received > 0) == (41, True)
                    case StreamReset():
                        reset.add(event.stream_id)
            connection.sendall(client.data_to_send())
        assert reset == set(range(1, 41, 2))


@COMMANDS
def test_a_client_that_sends_goaway_is_answered(command: tuple[str, ...]) -> None:
    with running_server(command) as server, connect(server.url) as connection:
        connection.sendall(GET.replace(b"/cpu_usage", b"/livez"))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"status":"alive"}')


def stall(connection: socket.socket) -> None:
    """Send many requests at once, and never read."""
    connection.sendall(GET * 400)


def stall_once(connection: socket.socket) -> None:
    """Request no more than the buffers of the server can hold."""
    connection.sendall(GET * 4)


def start_http2(connection: socket.socket) -> None:
    """Start HTTP/2 without a request."""
    http2(connection)


def fail_to_upgrade(connection: socket.socket) -> None:
    connection.sendall(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")


def flood_unread(connection: socket.socket) -> None:
    """Request acknowledgements until no more can be sent."""
    http2(connection)
    connection.setblocking(False)
    with suppress(BlockingIOError):
        for _ in range(100):
            connection.sendall((b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)) * 2000)


@pytest.mark.parametrize("behave", [stall, stall_once, start_http2, fail_to_upgrade, flood_unread])
def test_stalled_clients_do_not_lock_out_others(behave: Behaviour) -> None:
    with running_server(CPUWATCH_SERVE) as server, ExitStack() as stack:
        psutil.Process(server.pid).rlimit(RLIMIT_NOFILE, (128, 128))
        for _ in range(120):
            behave(stack.enter_context(connect(server.url, receive_buffer=2048)))
        deadline = time.monotonic() + LET_GO_SECONDS
        while True:
            try:
                assert httpx.get(f"{server.url}/livez", timeout=5).status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "no client was disconnected"
        # Not just one place is free, but as many as before.
        for _ in range(100):
            stack.enter_context(connect(server.url))
        assert httpx.get(f"{server.url}/livez", timeout=LET_GO_SECONDS).status_code == 200


def history(server: Server) -> int:
    return httpx.get(f"{server.url}/cpu_usage/history?seconds=0", timeout=10).status_code


@pytest.mark.any_python
@pytest.mark.parametrize("leave", [True, False], ids=["gone", "slow"])
def test_slow_or_disconnected_readers_of_history_make_room_for_others(leave: bool) -> None:
    with (
        running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.05", CPUWATCH_PROXIES="127.0.0.1") as server,
        ExitStack() as stack,
    ):
        while len(httpx.get(f"{server.url}/cpu_usage/history?since=0", timeout=30).content) < 1_000_000:
            time.sleep(0.1)
        readers = [stack.enter_context(connect(server.url, receive_buffer=2048)) for _ in range(16)]
        for reader in readers:
            # More than the kernel buffers (tcp_wmem).
            reader.sendall(b"GET /cpu_usage/history?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        while history(server) != 503:
            time.sleep(0.05)
        if leave:
            for reader in readers:
                reader.close()
        deadline = time.monotonic() + (5 if leave else LET_GO_SECONDS)
        while history(server) != 200:
            assert time.monotonic() < deadline, "no place became free"
            time.sleep(0.05)


def stream_from(server: Server, address: str, query: str, stack: ExitStack) -> int:
    """Open a stream from a client with this address, and return its status."""
    client = stack.enter_context(httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=10))
    return stack.enter_context(client.stream("GET", f"{server.url}/cpu_usage/stream{query}")).status_code


@pytest.mark.parametrize("query", ["", "?top=1", "?top={}"])
def test_one_client_cannot_take_all_streams(query: str) -> None:
    with running_server(CPUWATCH_SERVE, CPUWATCH_STREAMS="20") as server, ExitStack() as stack:
        greedy = [stream_from(server, "127.0.0.2", query.format(1 + n), stack) for n in range(8)]
        assert greedy == [200] * 5 + [429] * 3
        page = "?fields=key,cpu_percent&min_percent=0.2"
        assert [stream_from(server, "127.0.0.1", query, stack) for query in ("", page, "?top=50")] == [200] * 3
