"""Clients that ask and then take nothing, leave, or flood, over HTTP/1.1 and HTTP/2, plain and in TLS.

``python tests/functional/rough_readers.py --clients 1000`` starts a server, sends so many of each sort, and prints its
memory at the start, half-way and at the end.
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

__all__ = ["SORTS", "come_and_go", "connect", "http2", "make_certificate", "memory_bytes", "requests"]

_PATIENCE_SECONDS = 10.0
_SETTLING_SECONDS = 40.0
_AT_ONCE = 20
_STREAMS = 100
_GET = b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n"

Connection = socket.socket
Sort = Callable[[Connection], None]


def connect(url: str, *, receive_buffer: int | None = None, http2_in_tls: bool = False) -> Connection:
    """A connection to a server, in TLS if its URL says so."""
    parts = urlsplit(url)
    plain = socket.socket()
    plain.settimeout(_PATIENCE_SECONDS)
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
    """The client's side of HTTP/2, which has said hello; ``window`` is how much of an answer it takes unasked."""
    client = H2Connection(H2Configuration())
    if window is not None:
        client.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.initiate_connection()
    connection.sendall(client.data_to_send())
    return client


def requests(connection: Connection, client: H2Connection, count: int = _STREAMS, path: str = "/cpu_usage") -> None:
    """Ask so many times, each in a stream of its own."""
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    for _ in range(count):
        client.send_headers(client.get_next_available_stream_id(), fields, end_stream=True)
    connection.sendall(client.data_to_send())


def until_answered(connection: Connection) -> None:
    connection.recv(1)


def leaves_at_once(connection: Connection) -> None:
    connection.sendall(_GET)


def leaves_in_the_body(connection: Connection) -> None:
    connection.sendall(_GET)
    until_answered(connection)


def leaves_with_a_reset(connection: Connection) -> None:
    connection.sendall(_GET * 3)
    until_answered(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def leaves_many_unread(connection: Connection) -> None:
    connection.sendall(_GET * 100)
    until_answered(connection)


def leaves_a_stream(connection: Connection) -> None:
    connection.sendall(_GET.replace(b"/cpu_usage", b"/cpu_usage/stream"))
    until_answered(connection)


def leaves_in_its_request(connection: Connection) -> None:
    connection.sendall(_GET[:-2] + b"Content-Length: 100\r\n\r\nabc")


def upgrades_to_websocket(connection: Connection) -> None:
    connection.sendall(
        _GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    until_answered(connection)


def fails_to_upgrade_to_websocket(connection: Connection) -> None:
    connection.sendall(_GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    until_answered(connection)


def upgrades_to_http2(connection: Connection) -> None:
    connection.sendall(_GET[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n")
    until_answered(connection)


def has_no_window(connection: Connection) -> None:
    client = http2(connection, window=0)
    requests(connection, client)
    until_answered(connection)


def leaves_in_the_bodies(connection: Connection) -> None:
    requests(connection, http2(connection))
    until_answered(connection)


def resets_in_the_bodies(connection: Connection) -> None:
    client = http2(connection)
    requests(connection, client, 20)
    until_answered(connection)
    for stream in range(1, 40, 2):
        client.reset_stream(stream)
    connection.sendall(client.data_to_send())


def says_goodbye(connection: Connection) -> None:
    client = http2(connection)
    requests(connection, client, 20)
    client.close_connection()
    connection.sendall(client.data_to_send())


def resets_at_once(connection: Connection) -> None:
    client = http2(connection)
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/cpu_usage")]
    for _ in range(300):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, fields, end_stream=True)
        client.reset_stream(stream)
    connection.sendall(client.data_to_send())


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def flooding(flood: bytes) -> Sort:
    def send(connection: Connection) -> None:
        http2(connection)
        connection.sendall(flood)
        until_answered(connection)

    return send


SORTS: dict[str, Sort] = {
    "HTTP/1.1 leaves at once": leaves_at_once,
    "HTTP/1.1 leaves in the body": leaves_in_the_body,
    "HTTP/1.1 leaves with a reset": leaves_with_a_reset,
    "HTTP/1.1 leaves many unread": leaves_many_unread,
    "HTTP/1.1 leaves a stream": leaves_a_stream,
    "HTTP/1.1 leaves in its request": leaves_in_its_request,
    "HTTP/1.1 to WebSocket": upgrades_to_websocket,
    "HTTP/1.1 to WebSocket, wrongly": fails_to_upgrade_to_websocket,
    "HTTP/1.1 to HTTP/2": upgrades_to_http2,
    "HTTP/2 has no window": has_no_window,
    "HTTP/2 leaves in the bodies": leaves_in_the_bodies,
    "HTTP/2 resets in the bodies": resets_in_the_bodies,
    "HTTP/2 says goodbye": says_goodbye,
    "HTTP/2 resets at once": resets_at_once,
    "HTTP/2 floods with PING": flooding(frame(6, 0, 0, bytes(8)) * 2000),
    "HTTP/2 floods with SETTINGS": flooding(frame(4, 0, 0) * 2000),
    "HTTP/2 floods with PRIORITY": flooding(b"".join(frame(2, 0, n, bytes(4) + b"\0") for n in range(1, 4000, 2))),
    "HTTP/2 floods with CONTINUATION": flooding(frame(1, 1, 1) + frame(9, 0, 1, b"\0\1a\1b") * 2000),
    "HTTP/2 floods with empty DATA": flooding(frame(1, 4, 1, b"\x82\x84\x86\x41\x09localhost") + frame(0, 0, 1) * 2000),
}
"""What each sort of client does before it closes its connection."""


def come_and_go(server: Server, sort: str, clients: int) -> None:
    """So many clients of a sort, one after the other, but no more than a few whose end the server has not seen yet."""
    for number in range(clients):
        with suppress(OSError), connect(server.url, http2_in_tls=sort.startswith("HTTP/2")) as connection:
            SORTS[sort](connection)
        if number % _AT_ONCE == _AT_ONCE - 1:
            wait_until_alone(server)


def wait_until_alone(server: Server) -> None:
    """Until nobody is connected to the server any more."""
    process, port = psutil.Process(server.pid), urlsplit(server.url).port
    deadline = time.monotonic() + _SETTLING_SECONDS
    while any(one.laddr.port == port and one.raddr for one in process.net_connections("tcp")):
        assert time.monotonic() < deadline, "the server does not let go of connections that clients have closed"
        time.sleep(0.02)


def memory_bytes(server: Server) -> int:
    """The memory of a server to which nobody is connected."""
    wait_until_alone(server)
    rss: int = psutil.Process(server.pid).memory_info().rss
    return rss


def make_certificate(folder: Path) -> tuple[str, str]:
    """The files of a certificate and its key."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--sorts", nargs="*", choices=list(SORTS), default=list(SORTS))
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        cert, key = make_certificate(Path(folder))
        flags = ("--certfile", cert, "--keyfile", key) if options.tls else ()
        for sort in options.sorts:
            # Without old snapshots, whose memory grows with each tick of the run.
            server = Server((*CPUWATCH_SERVE, "--history", "1", *flags))
            try:
                mib = [memory_bytes(server) / 2**20]
                for _ in range(2):
                    come_and_go(server, sort, options.clients // 2)
                    mib.append(memory_bytes(server) / 2**20)
            finally:
                server.clean_up()
            print(f"{sort:34} MiB at the start, half-way, at the end:", *(f"{one:.1f}" for one in mib), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
