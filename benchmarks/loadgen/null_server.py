"""A server that only sends responses: it shows the highest rate of the client.

``python -m benchmarks.loadgen.null_server --length N`` prints the port that it listens on. Each response has a body of
N bytes and passes the client's checks, so the client does the same work as against cpuwatch.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

import msgspec

__all__ = ["body"]


def body(sequence: int, length: int) -> bytes:
    """A current snapshot without processes, padded to this length (if the length is sufficient)."""
    fields = {
        "sequence": sequence,
        "time": datetime.now(UTC),
        "interval_seconds": 1.0,
        "sweep_seconds": 0.0,
        "processes": [],
        "filling": "",
    }
    room = length - len(msgspec.json.encode(fields))
    return msgspec.json.encode(fields | {"filling": "-" * room})


class _Answering(asyncio.BufferedProtocol):
    def __init__(self, server: _Server) -> None:
        self._server = server
        self._room = bytearray(4_096)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, _: int) -> bytearray:
        return self._room

    def buffer_updated(self, _: int) -> None:
        # The client waits for each response, and each request is one small packet.
        self._transport.write(self._server.answer)


class _Server:
    def __init__(self, length: int) -> None:
        self._length = length
        self.answer = b""

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Answering(self), "127.0.0.1", 0)
        self._renew(0)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()

    def _renew(self, sequence: int) -> None:
        data = body(sequence, self._length)
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data
        asyncio.get_running_loop().call_later(1, self._renew, sequence + 1)


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadgen.null_server", description=__doc__)
    parser.add_argument("--length", type=int, required=True)
    asyncio.run(_Server(parser.parse_args().length).serve())


if __name__ == "__main__":
    main()
