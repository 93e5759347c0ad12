"""The Starlette app, made from its parts."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import wcwidth  # noqa: F401  the table loads it late: there may be no file descriptor left by then
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.environment import check_token_is_in_use, warnings_about
from cpuwatch.log import logging_to_stderr
from cpuwatch.monitor import Monitor
from cpuwatch.samplers import open_sampler
from cpuwatch.settings import Settings
from cpuwatch.text import shortened
from cpuwatch.web.access.guard import Guard
from cpuwatch.web.access.hosts import Rules
from cpuwatch.web.endpoints import cpu_usage, health
from cpuwatch.web.endpoints.description import DESCRIPTION, Description
from cpuwatch.web.endpoints.history import PAST, History
from cpuwatch.web.endpoints.metrics import EXPOSED, metrics
from cpuwatch.web.endpoints.page import PAGE, Page
from cpuwatch.web.endpoints.static_files import STATIC, StaticFiles
from cpuwatch.web.endpoints.stream import STREAM, Stream
from cpuwatch.web.http.exchange import SlowClients, attend
from cpuwatch.web.http.problem import problem
from cpuwatch.web.http.resource import Resource
from cpuwatch.web.http.security_headers import with_security_headers
from cpuwatch.web.loop_errors import loop_errors_in_one_line
from cpuwatch.web.openapi.operation import Operation
from cpuwatch.web.routing import Endpoint, Routes, normalized_prefix
from cpuwatch.web.state import Live, State

__all__ = ["create_app"]


_FIRST_SNAPSHOT_SECONDS = 2.0
_MOST_OF_PATH = 200

_log = logging.getLogger("cpuwatch.web")


class _Service(Starlette):
    """The app with its guard around all requests. Requests that are none of the ``routes`` are left to Starlette."""

    def __init__(self, rules: Rules, routes: Routes, **options: Any) -> None:
        super().__init__(routes=routes.routes, **options)
        # Starlette would answer a slash at the end with the whole URL, which behind a proxy is not the client's.
        self.router.redirect_slashes = False
        self._slow_clients = SlowClients()
        self._guard = Guard(routes, self._answer_otherwise, rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        root_path: str = scope.get("root_path", "")
        if root_path:
            scope = {**scope, "root_path": normalized_prefix(root_path)}
        await attend(self._guard, scope, receive, send, self._slow_clients)

    def build_middleware_stack(self) -> ASGIApp:
        """Without Starlette's own answer to a crash: the guard has one for all routes."""
        return ExceptionMiddleware(self.router, self.exception_handlers)

    async def _answer_otherwise(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, with_security_headers(send))


def create_app(settings: Settings | None = None) -> Starlette:
    """The app, to be run by any ASGI server that knows lifespans with state.

    A monitor starts and ends with its lifespan. Without ``settings`` they come from ``CPUWATCH_*`` at that moment, not
    when the module is imported; a bad one fails the start with an error that names it.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        chosen, warnings = _from_environment() if settings is None else (settings, [])
        rules = Rules(chosen)
        rules.look_up_full_name()
        sampler = open_sampler(chosen.backend, command_lines=chosen.command_lines)
        live = Live(Monitor(chosen.interval, chosen.history, sampler, chosen.history_bytes), chosen.streams)
        with (
            logging_to_stderr(chosen.log_format, "cpuwatch"),
            loop_errors_in_one_line(),
            _bounded_connections(),
            live.monitor as monitor,
        ):
            for warning in warnings:
                _log.warning("%s", warning)
            # Where it listens is the server's matter here; who makes the app with settings of his own knows it.
            if settings is None and chosen.token is None:
                _log.warning("no token is set (CPUWATCH_TOKEN_FILE): whoever reaches this port reads all processes")
            # Who asks first shall get an answer; if sampling fails, /readyz is there to say so.
            await monitor.wait_async(after=0, timeout=_FIRST_SNAPSHOT_SECONDS)
            async with live.running():
                yield {"cpuwatch": live, "cpuwatch_rules": rules}

    endpoints: list[tuple[Operation, ASGIApp]] = [
        (cpu_usage.ALL_PROCESSES, Resource(cpu_usage.AllProcesses())),
        (STREAM, Stream()),
        (PAST, History()),
        (cpu_usage.ONE_PROCESS, Resource(cpu_usage.one_process)),
        (cpu_usage.REDIRECT, Resource(cpu_usage.redirect)),
        (EXPOSED, Resource(metrics)),
        (PAGE, Resource(Page())),
        (STATIC, Resource(StaticFiles())),
        (health.ALIVE, Resource(health.alive)),
        (health.READY, Resource(health.ready)),
    ]
    described = [operation for operation, _ in endpoints]
    endpoints.append((DESCRIPTION, Resource(Description([*described, DESCRIPTION]))))
    return _Service(
        Rules(settings or Settings()),
        Routes([Endpoint(operation, app) for operation, app in endpoints]),
        exception_handlers={404: _on_unknown_path},
        lifespan=lifespan,
    )


def _from_environment() -> tuple[Settings, list[str]]:
    """The settings, and what is to be said about variables that are none."""
    settings = Settings.from_environment(os.environ)
    check_token_is_in_use(os.environ, settings)
    return settings, warnings_about(os.environ)


def _bounded_connections() -> AbstractContextManager[None]:
    if "hypercorn.asyncio" not in sys.modules:  # another server runs the app
        return nullcontext()
    from cpuwatch.web.hypercorn_quirks import bounded_connections  # noqa: PLC0415  it imports Hypercorn

    return bounded_connections()


async def _on_unknown_path(request: Request, _: Exception) -> Response:
    return _response(request, 404, f"there is nothing at {shortened(request.url.path, _MOST_OF_PATH)}")


def _response(request: Request, status: int, detail: str) -> Response:
    answer = problem(status, detail)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(b"" if request.method == "HEAD" else answer.body, answer.status, headers)
