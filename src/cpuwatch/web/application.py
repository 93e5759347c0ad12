"""The Starlette app, made from its parts."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  asyncio loads it late: there may be no file descriptor left by then
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.log import logging_to_stderr
from cpuwatch.monitor import Monitor
from cpuwatch.samplers import open_sampler
from cpuwatch.settings import Settings
from cpuwatch.shortened import shortened
from cpuwatch.web import cpu_usage, health
from cpuwatch.web.guard import Guard
from cpuwatch.web.history import PAST, History
from cpuwatch.web.loop_errors import loop_errors_in_one_line
from cpuwatch.web.metrics import EXPOSED, metrics
from cpuwatch.web.openapi import DESCRIPTION, Description
from cpuwatch.web.operation import Operation
from cpuwatch.web.page import PAGE, Page
from cpuwatch.web.problem import problem
from cpuwatch.web.recurring import Answered
from cpuwatch.web.resource import Resource
from cpuwatch.web.rules import Rules
from cpuwatch.web.security_headers import with_security_headers
from cpuwatch.web.state import Live, State
from cpuwatch.web.static_files import STATIC, StaticFiles
from cpuwatch.web.stream import STREAM, Stream

__all__ = ["create_app"]


_FIRST_SNAPSHOT_SECONDS = 2.0
_MOST_OF_PATH = 200

_log = logging.getLogger("cpuwatch.web")


class _Service(Starlette):
    """The app behind its guard, with the main job's requests answered ahead of middleware and router.

    What is ahead of them is most of what cpuwatch adds to a request, where the server itself takes 200 µs. So one that
    comes again is answered even ahead of the guard. Middleware and router still take care of a server without lifespan,
    and of a prefix.
    """

    def __init__(self, rules: Rules, main_job: ASGIApp, routes: Sequence[BaseRoute], **options: Any) -> None:
        super().__init__(routes=routes, **options)
        # Starlette would answer a slash at the end with the whole URL, which behind a proxy is not the client's.
        self.router.redirect_slashes = False
        self._main_job = main_job
        self._guard = Guard(self._answer, rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known: Answered | None
        try:
            known = scope["state"]["cpuwatch_recurring"][scope]
        except KeyError:
            known = None
        if known is None:
            await self._guard(scope, receive, send)
            return
        # Middleware may write into a message, so each request has its own; headers that can be written into, Starlette
        # makes itself of what it finds there.
        await send({"type": "http.response.start", "status": 200, "headers": known.answer_headers})
        await send({"type": "http.response.body", "body": known.body})

    def build_middleware_stack(self) -> ASGIApp:
        """Without Starlette's own answer to a crash: the guard has one for all routes."""
        return ExceptionMiddleware(self.router, self.exception_handlers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        runs = "cpuwatch" in scope.get("state", ())
        if runs and scope["type"] == "http" and scope["path"] == "/cpu_usage" and not scope.get("root_path"):
            await self._main_job(scope, receive, send)
        else:
            await super().__call__(scope, receive, with_security_headers(send))


def create_app(settings: Settings | None = None) -> Starlette:
    """The app, to be run by any ASGI server that knows lifespans with state.

    A monitor starts and ends with its lifespan. Without ``settings`` they come from ``CPUWATCH_*`` at that moment, not
    when the module is imported; a bad one fails the start with an error that names it.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        chosen = Settings.from_environment(os.environ) if settings is None else settings
        rules = Rules(chosen)
        rules.look_up_full_name()
        sampler = open_sampler(chosen.backend, command_lines=chosen.command_lines)
        live = Live(Monitor(chosen.interval, chosen.history, sampler, chosen.history_bytes), chosen.streams)
        with logging_to_stderr(chosen.log_format, "cpuwatch"), loop_errors_in_one_line(), live.monitor as monitor:
            # Where it listens is the server's matter here; who makes the app with settings of his own knows it.
            if settings is None and chosen.token is None:
                _log.warning("no token is set (CPUWATCH_TOKEN_FILE): whoever reaches this port reads all processes")
            # Who asks first shall get an answer; if sampling fails, /readyz is there to say so.
            await monitor.wait_async(after=0, timeout=_FIRST_SNAPSHOT_SECONDS)
            async with _running(live.views.follow()), _running(live.broadcast.follow()):
                yield {"cpuwatch": live, "cpuwatch_rules": rules, "cpuwatch_recurring": live.views.recurring}

    main_job = Resource(cpu_usage.AllProcesses())
    endpoints: list[tuple[Operation, ASGIApp]] = [
        (cpu_usage.ALL_PROCESSES, main_job),
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
        main_job,
        [Route(operation.path, endpoint) for operation, endpoint in endpoints],
        exception_handlers={404: _on_unknown_path},
        lifespan=lifespan,
    )


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do this work beside the block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _on_unknown_path(request: Request, _: Exception) -> Response:
    return _response(request, 404, f"there is nothing at {shortened(request.url.path, _MOST_OF_PATH)}")


def _response(request: Request, status: int, detail: str) -> Response:
    answer = problem(status, detail)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(b"" if request.method == "HEAD" else answer.body, answer.status, headers)
