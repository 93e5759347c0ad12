"""Clients that do not read their responses, disconnect, or flood the server, over HTTP/1.1, HTTP/2 and TLS.

``python tests/functional/hostile_readers.py --clients 1000`` starts a server, runs this many clients of each kind,
and prints the memory of the server at the start, in the middle and at the end.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psutil
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from live_server import CPUWATCH_SERVE, Server

__all__ = ["KINDS", "connect", "http2", "make_certificate", "memory_bytes", "requests", "run_clients"]

_TIMEOUT_SECONDS = 10.0
_SETTLING_SECONDS = 40.0
_MAX_UNSETTLED = 20
_STREAMS = 100
_GET = b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n"

Connection = socket.socket
Behaviour = Callable[[Connection], None]


def connect(url: str, *, receive_buffer: int | None = None, http2_in_tls: bool = False) -> Connection:
    """Connect to a server, with TLS if its URL is https."""
    parts = urlsplit(url)
    plain = socket.socket()
    plain.settimeout(_TIMEOUT_SECONDS)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.connect((parts.hostname, parts.port))
    if parts.scheme == "http":
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if http2_in_tls else ["http/1.1"])
    return context.wrap_socket(plain)


def http2(connection: Connection, window: int | None = None) -> H2Connection:
    """Start an HTTP/2 connection. ``window`` is the initial flow-control window in bytes."""
    client = H2Connection(H2Configuration())
    if window is not None:
        client.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.initiate_connection()
    connection.sendall(client.data_to_send())
    return client


def requests(connection: Connection, client: H2Connection, count: int = _STREAMS, path: str = "/cpu_usage") -> None:
    """Send this many requests, each in a new stream."""
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    for _ in range(count):
        client.send_headers(client.get_next_available_stream_id(), fields, end_stream=True)
    connection.sendall(client.data_to_send())


def wait_for_response(connection: Connection) -> None:
    connection.recv(1)


def disconnects_at_once(connection: Connection) -> None:
    connection.sendall(_GET)


def disconnects_in_the_body(connection: Connection) -> None:
    connection.sendall(_GET)
    wait_for_response(connection)


def disconnects_with_a_reset(connection: Connection) -> None:
    connection.sendall(_GET * 3)
    wait_for_response(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def disconnects_with_many_unread(connection: Connection) -> None:
    connection.sendall(_GET * 100)
    wait_for_response(connection)


def disconnects_from_a_stream(connection: Connection) -> None:
    connection.sendall(_GET.replace(b"/cpu_usage", b"/cpu_usage/stream"))
    wait_for_response(connection)


def disconnects_in_its_request(connection: Connection) -> None:
    connection.sendall(_GET[:-2] + b"Content-Length: 100\r\n\r\nabc")


def upgrades_to_websocket(connection: Connection) -> None:
    connection.sendall(
        _GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    wait_for_response(connection)


def fails_to_upgrade_to_websocket(connection: Connection) -> None:
    connection.sendall(_GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    wait_for_response(connection)


def upgrades_to_http2(connection: Connection) -> None:
    connection.sendall(_GET[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n")
    wait_for_response(connection)


def has_no_window(connection: Connection) -> None:
    client = http2(connection, window=0)
    requests(connection, client)
    wait_for_response(connection)


def disconnects_in_the_bodies(connection: Connection) -> None:
    requests(connection, http2(connection))
    wait_for_response(connection)


def resets_streams_in_the_bodies(connection: Connection) -> None:
    client = http2(connection)
    requests(connection, client, 20)
    wait_for_response(connection)
    for stream in range(1, 40, 2):
        client.reset_stream(stream)
    connection.sendall(client.data_to_send())


def sends_goaway(connection: Connection) -> None:
    client = http2(connection)
    requests(connection, client, 20)
    client.close_connection()
    connection.sendall(client.data_to_send())


def resets_streams_at_once(connection: Connection) -> None:
    client = http2(connection)
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/cpu_usage")]
    for _ in range(300):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, fields, end_stream=True)
        client.reset_stream(stream)
    connection.sendall(client.data_to_send())


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def flooding(flood: bytes) -> Behaviour:
    def send(connection: Connection) -> None:
        http2(connection)
        connection.sendall(flood)
        wait_for_response(connection)

    return send


KINDS: dict[str, Behaviour] = {
    "HTTP/1.1 disconnects at once": disconnects_at_once,
    "HTTP/1.1 disconnects in the body": disconnects_in_the_body,
    "HTTP/1.1 disconnects with a reset": disconnects_with_a_reset,
    "HTTP/1.1 disconnects with many unread": disconnects_with_many_unread,
    "HTTP/1.1 disconnects from a stream": disconnects_from_a_stream,
    "HTTP/1.1 disconnects in its request": disconnects_in_its_request,
    "HTTP/1.1 upgrades to WebSocket": upgrades_to_websocket,
    "HTTP/1.1 fails to upgrade to WebSocket": fails_to_upgrade_to_websocket,
    "HTTP/1.1 upgrades to HTTP/2": upgrades_to_http2,
    "HTTP/2 has no window": has_no_window,
    "HTTP/2 disconnects in the bodies": disconnects_in_the_bodies,
    "HTTP/2 resets streams in the bodies": resets_streams_in_the_bodies,
    "HTTP/2 sends GOAWAY": sends_goaway,
    "HTTP/2 resets streams at once": resets_streams_at_once,
    "HTTP/2 floods with PING": flooding(frame(6, 0, 0, bytes(8)) * 2000),
    "HTTP/2 floods with SETTINGS": flooding(frame(4, 0, 0) * 2000),
    "HTTP/2 floods with PRIORITY": flooding(b"".join(frame(2, 0, n, bytes(4) + b"\0") for n in range(1, 4000, 2))),
    "HTTP/2 floods with CONTINUATION": flooding(frame(1, 1, 1) + frame(9, 0, 1, b"\0\1a\1b") * 2000),
    "HTTP/2 floods with empty DATA": flooding(frame(1, 4, 1, b"\x82\x84\x86\x41\x09localhost") + frame(0, 0, 1) * 2000),
}
"""The behaviour of each kind of client before it closes its connection."""


def run_clients(server: Server, kind: str, clients: int) -> None:
    """Run this many clients of a kind, one after the other. At intervals, wait until the server has closed them all."""
    for number in range(clients):
        with suppress(OSError), connect(server.url, http2_in_tls=kind.startswith("HTTP/2")) as connection:
            KINDS[kind](connection)
        if number % _MAX_UNSETTLED == _MAX_UNSETTLED - 1:
            wait_until_no_client_is_connected(server)


def wait_until_no_client_is_connected(server: Server) -> None:
    """Return once no client is connected to the server."""
    process, port = psutil.Process(server.pid), urlsplit(server.url).port
    deadline = time.monotonic() + _SETTLING_SECONDS
    while any(one.laddr.port == port and one.raddr for one in process.net_connections("tcp")):
        assert time.monotonic() < deadline, "the server does not close connections that clients have closed"
        time.sleep(0.02)


def memory_bytes(server: Server) -> int:
    """Return the memory of the server while no client is connected."""
    wait_until_no_client_is_connected(server)
    rss: int = psutil.Process(server.pid).memory_info().rss
    return rss


def make_certificate(folder: Path) -> tuple[str, str]:
    """Create a certificate, and return the paths of it and its key."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        cert, key = make_certificate(Path(folder))
        flags = ("--certfile", cert, "--keyfile", key) if options.tls else ()
        for kind in options.kinds:
            # Without a history, which would grow with each tick of the run.
            server = Server((*CPUWATCH_SERVE, "--history", "1", *flags))
            try:
                mib = [memory_bytes(server) / 2**20]
                for _ in range(2):
                    run_clients(server, kind, options.clients // 2)
                    mib.append(memory_bytes(server) / 2**20)
            finally:
                server.clean_up()
            print(f"{kind:34} MiB at the start, in the middle, at the end:", *(f"{one:.1f}" for one in mib), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
