"""Clients and processes that come and go, each kind in a separate thread."""

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

from hostile_clients import connected
from live_server import Server

__all__ = ["Crowd"]

_NAMES = 1000
"""More names than the service keeps sums for."""

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
_HOSTILE = (
    b"GET /cpu_usage HTTP/1.1\r\nHost: loc",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame, it is plain text",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\nConnection: Upgrade\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
)
_STREAM = b"GET /cpu_usage/stream?top=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TIMEOUT_SECONDS = 30


class Crowd:
    """Runs all clients and processes during the block. Unexpected results are in ``failures``."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._stopping = threading.Event()
        kinds = (
            self._processes,
            self._new_connections,
            self._kept_connection,
            self._streams,
            self._hostile_client,
            self._stalled_clients,
        )
        self._threads = [threading.Thread(target=self._repeat, args=(kind,)) for kind in kinds]
        self._choose = random.Random(8845)  # noqa: S311  reproducible
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
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, turn: Callable[[], None]) -> None:
        while not self._stopping.wait(0.02):
            try:
                turn()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{turn.__name__}: {error!r}")

    def _processes(self) -> None:
        """Run two short-lived processes with varying names, and a shell that starts more of them."""
        for _ in range(2):
            subprocess.run([str(self._folder / f"task{self._choose.randrange(_NAMES)}")], check=True)
        subprocess.run(["sh", "-c", "for i in 1 2 3 4 5; do /bin/true; done; sleep 0.1"], check=True)
        self.done["processes"] += 9

    def _new_connections(self) -> None:
        for path in (self._choose.choice(_PATHS), f"/cpu_usage?min_percent={self._choose.random():.6f}"):
            connection = self._connection()
            try:
                self._request(connection, path)
            finally:
                connection.close()

    def _kept_connection(self) -> None:
        connection = self._connection()
        try:
            for _ in range(20):
                for coding in ("gzip", "zstd", "identity"):
                    self._request(connection, "/cpu_usage", {"Accept-Encoding": coding})
                self._request(connection, "/cpu_usage", {"If-None-Match": "*", "Prefer": "wait=1"})
                if self._stopping.is_set():
                    break
        finally:
            connection.close()

    def _streams(self) -> None:
        """Open streams of several views, read for a moment, and disconnect within an event."""
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(self._server)) for _ in range(self._choose.randrange(1, 40))]
            for number, client in enumerate(clients):
                client.sendall(_STREAM % (1 + number % 30))
            self._stopping.wait(self._choose.random() * 2)
            for client in clients:
                client.recv(65_536)
        self.done["streams"] += len(clients)

    def _hostile_client(self) -> None:
        # A server that rejects a request may close before it has read everything.
        with connected(self._server) as client, suppress(ConnectionError):
            client.sendall(self._choose.choice(_HOSTILE))
            if self._choose.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                client.recv(65_536)
        self.done["hostile clients"] += 1

    def _stalled_clients(self) -> None:
        """Open clients that never read, for longer than an idle connection is kept."""
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(self._server)) for _ in range(10)]
            for client in clients[:5]:
                client.sendall(_STREAM % 1000)
            for client in clients[5:]:
                client.settimeout(0.5)
                with suppress(TimeoutError):
                    client.sendall(b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            self._stopping.wait(7)
        self.done["stalled clients"] += len(clients)

    def _connection(self) -> http.client.HTTPConnection:
        address = self._server.url.removeprefix("http://")
        return http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)

    def _request(
        self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None
    ) -> None:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.read()
        self.done["requests"] += 1
        if answer.status not in {200, 304}:
            self.failures.append(f"{path}: {answer.status}")
