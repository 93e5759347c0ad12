"""Whatever clients do, the server keeps running, answers others, and uses little memory."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hostile_clients import Neighbour, connected, exchange, sockets, statuses
from live_server import CPUWATCH_SERVE, Server, running_server

pytestmark = [pytest.mark.timeout(120), pytest.mark.any_python]

SLOW_CLIENTS = 500
MALFORMED = 10_000
MALFORMED_HTTP_2 = 500
AT_ONCE = 100
HALF_CLOSED = 100
DISTINCT_VIEWS = 2000
PIPELINED = 50
MIB = 1 << 20
GET = b"GET /cpu_usage?top=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"

# Responses to clients that violate HTTP or the rules of the service: no 5xx,
# except 501 for an unknown transfer coding (RFC 9112, 6.1).
ALLOWED = {100, 101, 200, 204, 308, 400, 403, 404, 405, 406, 408, 413, 414, 421, 426, 431, 501}

MALFORMED_REQUESTS = (
    b"\r\n\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
    b"G\xc3\x84T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%ff%00%0a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /cpu_usage?name=%ff%fe&& HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /cpu_usage?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\nAccept: ;;;q=;,*\r\nAccept-Encoding: ,;q=nan\r\n\r\n",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nab",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame, it is plain text",
    # Upgrades to HTTP/2 with settings that are not base64, not HTTP/2, or out of range.
    *(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: %s\r\nConnection: Upgrade\r\n\r\n"
        % settings
        for settings in (b"A", b"AAM", b"AAAA", b"AAUAAAAA")
    ),
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """One server for all tests. It must also stop cleanly at the end."""
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as server:
        yield server
    assert "Traceback" not in server.output


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    # Also checked here, to name the test in which it happened.
    assert "Traceback" not in shared.output


def mutated(request: bytes, choose: random.Random) -> bytes:
    """Change, remove or duplicate a few bytes."""
    data = bytearray(request)
    for _ in range(choose.randrange(1, 4)):
        place = choose.randrange(len(data))
        match choose.randrange(3):
            case 0:
                data[place] = choose.randrange(256)
            case 1:
                del data[place : place + choose.randrange(1, 8)]
                data = data or bytearray(b"\0")
            case _:
                data[place:place] = data[place : place + choose.randrange(1, 8)]
    return bytes(data)


def test_clients_that_send_a_byte_at_a_time_delay_no_others_and_are_disconnected(server: Server) -> None:
    with Neighbour(server) as neighbour, sockets(server, SLOW_CLIENTS) as clients:
        unfinished = {client.fileno(): client for client in clients}
        poll = select.poll()
        for number in unfinished:
            poll.register(number, select.POLLIN)
        position = 0
        deadline = time.monotonic() + 20
        while unfinished:
            assert time.monotonic() < deadline, f"{len(unfinished)} are still connected"
            for client in unfinished.values():
                # Each sends a header that never ends.
                with suppress(ConnectionError):
                    client.sendall(GET[position : position + 1] if position < len(GET) - 4 else b"x")
            position += 1
            for number, _ in poll.poll(500):
                poll.unregister(number)
                del unfinished[number]
    neighbour.assert_well_served(64 * MIB)


def test_malformed_requests_are_refused_and_delay_no_others(server: Server) -> None:
    choose = random.Random(8845)  # noqa: S311  reproducible
    spoilt_ones = [mutated(choose.choice((GET, *MALFORMED_REQUESTS)), choose) for _ in range(MALFORMED)]
    requests = [*MALFORMED_REQUESTS, *spoilt_ones]
    with Neighbour(server) as neighbour:
        for start in range(0, len(requests), AT_ONCE):
            some = requests[start : start + AT_ONCE]
            for request, answer in zip(some, exchange(server, some), strict=True):
                assert ALLOWED.issuperset(statuses(answer)), (request, answer)
    neighbour.assert_well_served(64 * MIB)


def http_2(*headers: tuple[str, str]) -> bytes:
    """Return a complete request with these headers, valid in HTTP/2 or not."""
    rules = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = H2Connection(rules)
    connection.initiate_connection()
    connection.send_headers(1, [*headers, (":scheme", "http"), (":authority", "localhost")], end_stream=True)
    return connection.data_to_send()


def test_malformed_http_2_is_refused_and_logged_once(server: Server) -> None:
    path = (":path", "/cpu_usage?top=1")
    requests = [
        http_2((":method", "GET"), path),
        http_2((":method", "GET")),
        http_2((":method", "CONNECT")),
        http_2((":method", "G\xc4T"), path),
        http_2((":method", "GET"), (":path", "")),
        http_2((":method", "GET"), (":path", "/\xff")),
        http_2(path),
        http_2((":method", "GET"), path, ("Upper", "case")),
        http_2((":method", "GET"), path, ("connection", "close")),
        http_2((":method", "POST"), path, ("content-length", "5")),
    ]
    choose = random.Random(8845)  # noqa: S311  reproducible
    requests += [mutated(choose.choice(requests), choose) for _ in range(MALFORMED_HTTP_2)]
    with Neighbour(server) as neighbour:
        for start in range(0, len(requests), AT_ONCE):
            exchange(server, requests[start : start + AT_ONCE])
    neighbour.assert_well_served(64 * MIB)
    told = [line.rpartition(" at ")[2] for line in server.output.splitlines() if "closed after malformed input" in line]
    assert told
    assert len(told) == len(set(told))


def test_clients_that_disconnect_before_their_response_are_not_logged(server: Server) -> None:
    lines = server.output.count("\n")
    for _ in range(50):
        with connected(server) as client:
            client.sendall(GET * PIPELINED)
    # The server has noticed the disconnects by now.
    assert statuses(exchange(server, [GET], min_responses=1)[0]) == [200]
    assert server.output.count("\n") == lines


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    paths = ["/livez", "/cpu_usage?top=1", "/nothing", "/cpu_usage?top=0"]
    head = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Neighbour(server) as neighbour:
        burst = "".join(map(head.format, paths * PIPELINED)).encode()
        for answers in exchange(server, [burst] * 10, min_responses=len(paths) * PIPELINED):
            assert statuses(answers) == [200, 200, 404, 400] * PIPELINED
    neighbour.assert_well_served(32 * MIB)


def test_clients_that_half_close_are_answered_and_disconnected(server: Server) -> None:
    with Neighbour(server) as neighbour:
        while len(neighbour.seconds) <= 10:
            with sockets(server, HALF_CLOSED) as clients:
                for client in clients:
                    client.sendall(GET)
                    client.shutdown(socket.SHUT_WR)
                for client in clients:
                    answer = b""
                    while part := client.recv(65_536):
                        answer += part
                    assert statuses(answer) == [200]
    neighbour.assert_well_served(32 * MIB)


def test_a_flood_of_distinct_views_is_answered_but_not_cached(server: Server) -> None:
    with Neighbour(server) as neighbour, httpx.Client(base_url=server.url, timeout=30) as client:
        for number in range(DISTINCT_VIEWS):
            assert client.get(f"/cpu_usage?min_percent={number / 1000}").status_code == 200
    neighbour.assert_well_served(32 * MIB)
