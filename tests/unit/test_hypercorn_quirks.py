"""What of Hypercorn's inside is relied on, in the version that is installed."""

from __future__ import annotations

import inspect
from types import CodeType

import hypercorn.asyncio.run as hypercorn_run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h2 import H2Protocol

from cpuwatch.web.hypercorn_quirks import BoundedConnection, bounded_connections


def names_in(code: CodeType) -> set[str]:
    inner = [names_in(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inner)


def test_hypercorn_serves_with_the_bounded_connection_as_long_as_the_block_lasts() -> None:
    server = vars(hypercorn_run)
    assert server["TCPServer"] is TCPServer
    with bounded_connections():
        assert server["TCPServer"] is BoundedConnection
    assert server["TCPServer"] is TCPServer
    # It looks the class up for each connection.
    assert "TCPServer" in names_in(hypercorn_run.worker_serve.__code__)


def test_what_is_called_and_replaced_is_there() -> None:
    assert list(inspect.signature(TCPServer.__init__).parameters)[1] == "app"
    for name in ("run", "_read_data", "_close"):
        assert inspect.iscoroutinefunction(getattr(TCPServer, name))
    for name in ("_flush", "_window_updated"):
        assert inspect.iscoroutinefunction(getattr(H2Protocol, name))
