"""A receiver of metrics that answers as a script says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

__all__ = ["Answer", "Receiver", "scripted_receiver"]


class Answer(NamedTuple):
    """What to answer to a request. Status 0 closes the connection, status -1 never answers."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Receiver(NamedTuple):
    """The URL, and the bodies of all requests so far, in order."""

    url: str
    bodies: list[bytes]


@contextmanager
def scripted_receiver(script: Sequence[Answer]) -> Iterator[Receiver]:
    """Answer each request with the next answer of the script; the last one answers all further requests."""
    bodies: list[bytes] = []
    end = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            answer = script[min(len(bodies), len(script)) - 1]
            if answer.status == -1:
                end.wait()
            if answer.status <= 0:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Receiver(f"http://127.0.0.1:{server.server_port}", bodies)
        finally:
            end.set()
            server.shutdown()
            thread.join()
