"""Clients that misbehave, and a well-behaved one beside them that measures how it is served."""

from __future__ import annotations

import http.client
import select
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self
from urllib.parse import urlsplit

import psutil
from live_server import Server

__all__ = ["Neighbour", "connected", "exchange", "sockets", "statuses"]

_PAUSE_SECONDS = 0.01
_TIMEOUT_SECONDS = 30
_SILENCE_MS = 150


def connected(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=_TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def sockets(server: Server, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connected(server)) for _ in range(number)]


def exchange(server: Server, requests: list[bytes], min_responses: int = 0) -> list[bytes]:
    """Send each request over a new connection, and return the bytes received until all are silent for a moment.

    The size of the response to a malformed request is unknown, so silence or a reset ends it. If each request gets at
    least ``min_responses``, these are awaited.
    """
    answers = dict.fromkeys(range(len(requests)), b"")
    with sockets(server, len(requests)) as connections:
        poll = select.poll()
        at = {connection.fileno(): index for index, connection in enumerate(connections)}
        for connection, request in zip(connections, requests, strict=True):
            with suppress(ConnectionError):
                connection.sendall(request)
            poll.register(connection, select.POLLIN)
        ends = time.monotonic() + _TIMEOUT_SECONDS
        while (ready := poll.poll(_SILENCE_MS)) or (
            time.monotonic() < ends and any(len(statuses(answer)) < min_responses for answer in answers.values())
        ):
            for number, _ in ready:
                part = b""
                with suppress(ConnectionError):
                    part = connections[at[number]].recv(65_536)
                answers[at[number]] += part
                if not part:
                    poll.unregister(number)
    return list(answers.values())


def statuses(answers: bytes) -> list[int]:
    """Return the status codes in a stream of responses. No body of the service contains a status line."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


class Neighbour:
    """A normal client that repeats requests during the block, each over a new connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat_requests)
        self._before_bytes = self._process.memory_info().rss
        self.growth_bytes = 0
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def assert_well_served(self, max_growth_bytes: int) -> None:
        """Check and print the figures. pytest shows them with -s."""
        median, worst = statistics.median(self.seconds), max(self.seconds)
        print(  # noqa: T201
            f"\n{len(self.seconds)} responses beside: median {median * 1e3:.1f} ms, worst {worst * 1e3:.1f} ms;"
            f" memory grew by {self.growth_bytes / 2**20:.1f} MiB"
        )
        assert self.failures == []
        assert len(self.seconds) > 10
        # The median, because other work may delay single requests.
        assert median < 0.1
        assert self.growth_bytes < max_growth_bytes

    def _repeat_requests(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            for path in ("/cpu_usage", "/livez"):
                began = time.monotonic()
                self._request(path)
                self.seconds.append(time.monotonic() - began)
            self.growth_bytes = max(self.growth_bytes, self._process.memory_info().rss - self._before_bytes)

    def _request(self, path: str) -> None:
        address = urlsplit(self._server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                self.failures.append(f"{path}: {answer.status}")
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{path}: {error!r}")
        finally:
            connection.close()
