"""Clients and processes that come and go, each kind in a thread of its own, until they are told to end."""

from __future__ import annotations

import http.client
import random
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from live_server import Server
from rough_clients import connected

__all__ = ["Crowd"]

_NAMES = 1000
"""More than the service keeps sums for."""

_PATHS = (
    "/cpu_usage",
    "/cpu_usage?top=5&format=text",
    "/cpu_usage?group_by=name",
    "/cpu_usage?group_by=tree&top=3",
    "/cpu_usage?format=ndjson&name=re:^t",
    "/cpu_usage/1",
    "/cpu_usage/history?seconds=5&top=3",
    "/metrics",
    "/metrics?per_process=true&top=20",
    "/openapi.json",
    "/readyz",
    "/",
)
_ROUGH = (
    b"GET /cpu_usage HTTP/1.1\r\nHost: loc",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame, it is plain text",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\nConnection: Upgrade\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
)
_STREAM = b"GET /cpu_usage/stream?top=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PATIENCE_SECONDS = 30


class Crowd:
    """All of them, for as long as the block lasts. What any of them did not expect is in ``failures``."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._ended = threading.Event()
        kinds = (self._processes, self._new_connections, self._kept_connection, self._streams, self._rough, self._stuck)
        self._threads = [threading.Thread(target=self._go_on, args=(kind,)) for kind in kinds]
        self._choose = random.Random(8845)  # noqa: S311  the same in each run
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for number in range(_NAMES):
            (self._folder / f"task{number}").symlink_to("/bin/true")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, turn: Callable[[], None]) -> None:
        while not self._ended.wait(0.02):
            try:
                turn()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{turn.__name__}: {error!r}")

    def _processes(self) -> None:
        """Two short ones, under names that change, and one that other short ones come from and that lives on a bit."""
        for _ in range(2):
            subprocess.run([str(self._folder / f"task{self._choose.randrange(_NAMES)}")], check=True)
        subprocess.run(["sh", "-c", "for i in 1 2 3 4 5; do /bin/true; done; sleep 0.1"], check=True)
        self.done["processes"] += 9

    def _new_connections(self) -> None:
        for path in (self._choose.choice(_PATHS), f"/cpu_usage?min_percent={self._choose.random():.6f}"):
            connection = self._connection()
            try:
                self._ask(connection, path)
            finally:
                connection.close()

    def _kept_connection(self) -> None:
        connection = self._connection()
        try:
            for _ in range(20):
                for coding in ("gzip", "zstd", "identity"):
                    self._ask(connection, "/cpu_usage", {"Accept-Encoding": coding})
                self._ask(connection, "/cpu_usage", {"If-None-Match": "*", "Prefer": "wait=1"})
                if self._ended.is_set():
                    break
        finally:
            connection.close()

    def _streams(self) -> None:
        """Some that read for a moment, of more and fewer views, and leave in the midst of it."""
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(self._server)) for _ in range(self._choose.randrange(1, 40))]
            for number, client in enumerate(clients):
                client.sendall(_STREAM % (1 + number % 30))
            self._ended.wait(self._choose.random() * 2)
            for client in clients:
                client.recv(65_536)
        self.done["streams"] += len(clients)

    def _rough(self) -> None:
        # A server that refuses what it reads may close before it has read all.
        with connected(self._server) as client, suppress(ConnectionError):
            client.sendall(self._choose.choice(_ROUGH))
            if self._choose.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                client.recv(65_536)
        self.done["rough clients"] += 1

    def _stuck(self) -> None:
        """Some that never read what they asked for, for longer than an idle connection is kept."""
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(self._server)) for _ in range(10)]
            for client in clients[:5]:
                client.sendall(_STREAM % 1000)
            for client in clients[5:]:
                client.settimeout(0.5)
                with suppress(TimeoutError):
                    client.sendall(b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            self._ended.wait(7)
        self.done["stuck clients"] += len(clients)

    def _connection(self) -> http.client.HTTPConnection:
        address = self._server.url.removeprefix("http://")
        return http.client.HTTPConnection(address, timeout=_PATIENCE_SECONDS)

    def _ask(self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None) -> None:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.read()
        self.done["requests"] += 1
        if answer.status not in {200, 304}:
            self.failures.append(f"{path}: {answer.status}")
