"""Clients that behave badly towards a server, and one beside them that behaves well and notes how it is served."""

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
_PATIENCE_SECONDS = 30
_QUIET_MS = 150


def connected(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=_PATIENCE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def sockets(server: Server, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connected(server)) for _ in range(number)]


def exchange(server: Server, requests: list[bytes], least_answers: int = 0) -> list[bytes]:
    """What comes back for each, over a connection of its own, until nothing has come for a moment.

    There is no telling how much is to come for what is malformed, so that is all there is to go by; a reset is an end
    like another. Where it is known that there are ``least_answers`` to each, nothing is over before.
    """
    answers = dict.fromkeys(range(len(requests)), b"")
    with sockets(server, len(requests)) as connections:
        poll = select.poll()
        at = {connection.fileno(): index for index, connection in enumerate(connections)}
        for connection, request in zip(connections, requests, strict=True):
            with suppress(ConnectionError):
                connection.sendall(request)
            poll.register(connection, select.POLLIN)
        ends = time.monotonic() + _PATIENCE_SECONDS
        while (ready := poll.poll(_QUIET_MS)) or (
            time.monotonic() < ends and any(len(statuses(answer)) < least_answers for answer in answers.values())
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
    """Those of the answers in a stream of bytes; no body of the service has such a line in it."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


class Neighbour:
    """A normal client: it asks again and again, over a new connection each time, while the block lasts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)
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

    def assert_well_served(self, most_growth_bytes: int) -> None:
        """Says the figures too, which pytest shows with -s."""
        median, worst = statistics.median(self.seconds), max(self.seconds)
        print(  # noqa: T201
            f"\n{len(self.seconds)} answers beside: median {median * 1e3:.1f} ms, worst {worst * 1e3:.1f} ms;"
            f" memory grew by {self.growth_bytes / 2**20:.1f} MiB"
        )
        assert self.failures == []
        assert len(self.seconds) > 10
        # On a quiet machine each of them is; here others may run.
        assert median < 0.1
        assert self.growth_bytes < most_growth_bytes

    def _ask_on(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            for path in ("/cpu_usage", "/livez"):
                began = time.monotonic()
                self._ask(path)
                self.seconds.append(time.monotonic() - began)
            self.growth_bytes = max(self.growth_bytes, self._process.memory_info().rss - self._before_bytes)

    def _ask(self, path: str) -> None:
        address = urlsplit(self._server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                self.failures.append(f"{path}: {answer.status}")
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{path}: {error!r}")
        finally:
            connection.close()
