"""Checks the internals of the installed Hypercorn on which the service relies."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from importlib.metadata import version
from types import CodeType
from typing import Any

import hypercorn.asyncio.run as hypercorn_run
import hypercorn.asyncio.tcp_server as hypercorn_tcp_server
import pytest
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h2 import H2Protocol

from cpuwatch.server.hypercorn_quirks import BoundedConnection, bounded_connections, protocol_errors_logged_once


def names_in(code: CodeType) -> set[str]:
    inner = [names_in(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inner)


def test_hypercorn_uses_the_bounded_connection_within_the_block() -> None:
    server = vars(hypercorn_run)
    assert server["TCPServer"] is TCPServer
    with bounded_connections():
        assert server["TCPServer"] is BoundedConnection
    assert server["TCPServer"] is TCPServer
    # Hypercorn looks the class up for each connection.
    assert "TCPServer" in names_in(hypercorn_run.worker_serve.__code__)


def test_the_functions_that_are_called_or_replaced_exist() -> None:
    assert list(inspect.signature(TCPServer.__init__).parameters)[1] == "app"
    for name in ("run", "_read_data", "_close"):
        assert inspect.iscoroutinefunction(getattr(TCPServer, name))
    for name in ("_flush", "_window_updated"):
        assert inspect.iscoroutinefunction(getattr(H2Protocol, name))


def test_the_installed_version_is_a_supported_one() -> None:
    # The bounds of pyproject.toml.
    assert version("hypercorn").split(".")[:2] == ["0", "18"]


def test_the_server_runs_until_the_shutdown_task_ends() -> None:
    assert "raise_shutdown" in names_in(hypercorn_run.worker_serve.__code__)


def test_the_coroutine_of_a_connection_holds_its_writer() -> None:
    inner = {part.co_name: part for part in hypercorn_run.worker_serve.__code__.co_consts if isinstance(part, CodeType)}
    assert "writer" in inner["_server_callback"].co_varnames


def raised_in(file: str, text: str) -> Exception:
    """Return an exception that looks as if raised in this file of Hypercorn."""
    try:
        exec(compile(f"raise RuntimeError({text!r})", file, "exec"), {})  # noqa: S102  sets the file in the traceback
    except RuntimeError as error:
        # Remove the frame of the test, as in a task of the server.
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    raise AssertionError


def reported(*errors: Exception) -> list[Any]:
    """Return the errors that are passed on to the previous handler of the event loop."""
    passed_on: list[Any] = []

    async def act() -> None:
        loop = asyncio.get_running_loop()
        handler: Callable[[Any, dict[str, Any]], object] = lambda _, context: passed_on.append(context["exception"])  # noqa: E731
        loop.set_exception_handler(handler)
        with protocol_errors_logged_once():
            for error in errors:
                loop.call_exception_handler({"message": "", "exception": error})
        assert loop.get_exception_handler() is handler

    asyncio.run(act())
    return passed_on


def test_malformed_input_is_logged_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    file = hypercorn_tcp_server.__file__
    assert file.endswith("hypercorn/asyncio/tcp_server.py")
    errors = [raised_in(file, "bad settings"), ExceptionGroup("tasks", [raised_in(file, "bad settings")])]
    with caplog.at_level(logging.WARNING):
        assert reported(*errors) == []
    (record,) = caplog.records
    assert "connection closed after malformed input" in record.getMessage()
    assert "RuntimeError: bad settings, at " + file in record.getMessage()


def test_other_errors_are_passed_to_the_previous_handler(caplog: pytest.LogCaptureFixture) -> None:
    errors = [raised_in("elsewhere.py", "a defect"), ValueError("never raised")]
    assert reported(*errors) == errors
    assert not caplog.records
